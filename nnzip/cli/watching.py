"""Progress on the screen: a bar on a terminal and in a notebook, a line every half minute in a pipe or a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nnzip.executor import require_thread_memory
from nnzip.progress import Progress
from nnzip.report import numbers

if TYPE_CHECKING:
    from rich.console import Console

    from nnzip.progress import ProgressCallback

LOG_SECONDS = 30.0
_LATE = 0.1  # of the time since the last sign of life is left, where everything should be done by now


class Watch:
    """The last moment of a command, and what follows from it as time goes on."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._started = now, now()
        self._moment, self._at = Progress("starting", 0.0), self._started

    def see(self, moment: Progress) -> None:
        """The command has come so far."""
        self._moment, self._at = moment, self._now()

    @property
    def stage(self) -> str:
        return self._moment.stage

    @property
    def seconds_left(self) -> float | None:
        """Of the whole; None while that is not known."""
        left, fraction = self._moment.seconds_left, self._moment.fraction
        if left is None and fraction > 0:
            left = (self._at - self._started) * (1 - fraction) / fraction
        if left is None:
            return None
        since = self._now() - self._at
        return max(left - since, min(_LATE * since, left))

    @property
    def fraction(self) -> float:
        """Share of the command's time that has passed."""
        left, passed = self.seconds_left, self._now() - self._started
        return self._moment.fraction if left is None else passed / max(passed + left, 1e-9)

    @property
    def details(self) -> str:
        """ "5.9 MB/s, 14.8 times smaller, 1:23 left"."""
        moment, texts = self._moment, []
        passed = self._at - self._started
        if moment.source_bytes and passed > 0:
            texts.append(f"{numbers.file_size(moment.source_bytes / passed)}/s")
        if moment.file_bytes:
            texts.append(f"{numbers.number(moment.source_bytes / moment.file_bytes)} times smaller")
        if self.seconds_left is not None:
            texts.append(f"{remaining(self.seconds_left)} left")
        return ", ".join(texts)


def remaining(seconds: float) -> str:
    """75 -> "1:15"; 7500 -> "2:05:00"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[ProgressCallback]:
    """Show the progress of what is done inside, on stderr: yields the function to pass as `progress`.

    A bar that is gone afterwards on a terminal and, with ipywidgets, in a notebook; elsewhere a line every 30 seconds.
    """
    from rich.console import Console

    console = console or Console(stderr=True, highlight=False, markup=False)
    widgets = console.is_jupyter and find_spec("ipywidgets") is not None  # rich warns without them
    with _bar(console) if console.is_terminal or widgets else _lines(console) as callback:
        yield callback


@contextmanager
def _bar(console: Console) -> Iterator[ProgressCallback]:
    from rich.progress import BarColumn, ProgressColumn, Task
    from rich.progress import Progress as ProgressBar
    from rich.text import Text

    watch = Watch()

    class Stage(ProgressColumn):
        def render(self, task: Task) -> Text:
            task.completed = watch.fraction  # time alone moves the bar
            return Text(f"{watch.stage:<10}")

    class Details(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{watch.fraction:4.0%}  {watch.details}")

    columns = (Stage(), BarColumn(bar_width=20), Details())
    with ProgressBar(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        bar.add_task("", total=1.0)

        def see(moment: Progress) -> None:
            is_news = moment.stage != watch.stage or moment.fraction == 1
            watch.see(moment)
            if is_news:  # not at the next tick of the bar, when it may be over
                bar.refresh()

        yield see


@contextmanager
def _lines(console: Console) -> Iterator[ProgressCallback]:
    watch, ended = Watch(), threading.Event()

    def log() -> None:
        while not ended.wait(LOG_SECONDS):
            details = watch.details
            console.print(f"{watch.stage}: {watch.fraction:.0%}{', ' if details else ''}{details}", soft_wrap=True)

    require_thread_memory()
    thread = threading.Thread(target=log, daemon=True)
    thread.start()
    try:
        yield watch.see
    finally:
        ended.set()
        thread.join()

"""The terminal: messages, progress and errors go to stderr, data to stdout, and every error becomes an exit code here.

Each command does its work inside `session`, the one place that turns an exception into a message and an exit code.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from nnzip.errors import NnzipError, NnzipWarning, ResourceError
from nnzip.report import numbers

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from nnzip.progress import Progress

EXIT_BUG = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
EXIT_TERMINATED = 143  # 128 + SIGTERM
PIPED_WIDTH = 200  # columns of a table that is written to a file or a pipe, where nothing may be cut off

# Errors of the operating system that are a limit of this machine and no bug, wherever they come up.
RESOURCE_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.EFBIG,
}  # fmt: skip

ProgressCallback = Callable[["Progress"], None]


class Terminal:
    """Output of a command: `data` to stdout, everything else to stderr.

    quiet: only errors and the data that was asked for. verbose: third-party warnings and tracebacks too.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose or bool(os.environ.get("NNZIP_DEBUG"))
        self._stderr: Console | None = None

    @property
    def stderr(self) -> Console:
        if self._stderr is None:
            from nnzip.cli.console import PlainConsole

            self._stderr = PlainConsole(stderr=True)
        return self._stderr

    def message(self, text: RenderableType = "") -> None:
        """Say something to the user, unless the command is quiet."""
        if not self.quiet:
            self.stderr.print(text, soft_wrap=isinstance(text, str))

    def warning(self, text: str) -> None:
        self.message(f"warning: {text}")

    def error(self, text: str) -> None:
        """Say why the command failed; plain text, also when quiet, and without rich where it was not yet imported."""
        sys.stderr.write(f"error: {numbers.visible(text)}\n")

    def data(self, content: RenderableType) -> None:
        """Write a result to stdout; tables are as wide as they need to be when stdout is no terminal."""
        from nnzip.cli.console import PlainConsole

        console = PlainConsole(width=None if sys.stdout.isatty() else PIPED_WIDTH)
        with console.capture() as rendered:
            console.print(content, soft_wrap=isinstance(content, str))
        sys.stdout.write(rendered.get())

    def table(
        self,
        titles: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Collection[int] = (),
        aside: bool = False,
    ) -> None:
        """Write a table to stdout, or (aside) as a message; the columns numbered in `right` are numbers."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for index, title in enumerate(titles):
            table.add_column(title, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        (self.message if aside else self.data)(table)

    def promises(self, kept: Sequence[Mapping[str, Any]], sizes: Mapping[str, int], *, aside: bool = False) -> None:
        """Promises beyond the bounds as they were kept, and the bytes they took of each variable; sets and maxima have
        no tolerance.
        """
        rows = [
            (
                each["promise"],
                numbers.count(each["points"]),
                numbers.count(each["violations"]),
                f"{100 * each['tightest']:.1f} %" if each["tightest"] else "-",
            )
            for each in kept
        ]
        if rows:
            self.table(
                ("promise", "points", "violations", "largest error / tolerance"), rows, right=(1, 2, 3), aside=aside
            )
            taken = ", ".join(f"{name} {numbers.file_size(size)}" for name, size in sizes.items())
            (self.message if aside else self.data)(f"corrections for promises: {taken}")

    def json(self, content: object) -> None:
        """Write a result to stdout as JSON (strict: NaN and infinity become null)."""
        sys.stdout.write(json.dumps(_finite(content), indent=2, allow_nan=False, default=str) + "\n")

    def agrees(self, doubt: str) -> bool:
        """Ask whether to go on in spite of a doubt; nobody agrees where there is no terminal."""
        if not (sys.stdin.isatty() and self.stderr.is_terminal):
            return False
        return typer.confirm(f"{doubt}. Go on?", err=True)

    @contextmanager
    def progress(self, *, logs: bool = True) -> Iterator[ProgressCallback | None]:
        """Shows progress on stderr; yields the callback the codec reports to, or None where nobody watches: a quiet
        command, without `logs` also one whose stderr is no terminal.
        """
        if self.quiet or not (logs or self.stderr.is_terminal):
            yield None
            return
        from nnzip.cli.watching import show_progress

        with show_progress(self.stderr) as callback:
            yield callback

    @staticmethod
    def part_of(
        progress: ProgressCallback | None, stage: str, share: tuple[float, float] = (0.0, 1.0)
    ) -> Callable[[float], None] | None:
        """A callback for a step that knows only its own fraction: it fills the share (start, stop) of the bar."""
        if progress is None:
            return None
        from nnzip.progress import Progress

        start, stop = share
        return lambda fraction: progress(Progress(stage, start + (stop - start) * fraction))


def _finite(content: object) -> object:
    """content with everything JSON cannot say made sayable: NaN and infinities to None, numpy scalars to Python's."""
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if hasattr(content, "item") and getattr(content, "shape", None) == ():
        content = content.item()
    if isinstance(content, float) and not abs(content) < float("inf"):
        return None
    return content


@contextmanager
def session(*, quiet: bool = False, verbose: bool = False) -> Iterator[Terminal]:
    """Run a command's body: silence third parties, clean up on signals, turn every exception into an exit code.

    Raises typer.Exit with the code of `nnzip.errors`; 130 after Ctrl-C, 141 when the reader of stdout has gone,
    143 after SIGTERM, 1 for a bug.
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)
    silenced, log = _third_party_silenced(enabled=not terminal.verbose), _own_log(terminal)
    with silenced, log, _own_warnings(terminal), _terminate_cleanly():
        try:
            yield terminal
            sys.stdout.flush()
        except Exception as error:
            raise typer.Exit(_report(terminal, error)) from error
        except KeyboardInterrupt as error:
            terminal.error("interrupted; nothing was written")
            raise typer.Exit(EXIT_INTERRUPTED) from error


def _report(terminal: Terminal, error: Exception) -> int:
    """Tell the user about error; the exit code it gets."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, BrokenPipeError):
        # Python flushes stdout once more when it exits: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    if terminal.verbose:
        traceback.print_exception(error)
    if isinstance(error, NnzipError):
        terminal.error(str(error))
        return error.exit_code
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, not imported for this
        terminal.error("not enough memory; take fewer variables at a time (--variables), or a machine with more")
        return ResourceError.exit_code
    if isinstance(error, OSError) and error.errno in RESOURCE_ERRNOS:
        where = f": {error.filename}" if error.filename else ""
        terminal.error(f"{os.strerror(error.errno)}{where}")
        return ResourceError.exit_code
    from nnzip.version import __version__

    terminal.error(
        f"a bug in nnzip {__version__}: {type(error).__name__}: {error}\n"
        "Please report it with the command you ran; -v (or NNZIP_DEBUG=1) shows where it happened."
    )
    return EXIT_BUG


@contextmanager
def _third_party_silenced(*, enabled: bool) -> Iterator[None]:
    """Keep other packages' warnings and log lines away from the user."""
    import logging

    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        if enabled:
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


@contextmanager
def _own_log(terminal: Terminal) -> Iterator[None]:
    """Show what was read, where a command is verbose."""
    import logging

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.message(record.getMessage())

    logger, handler, level = logging.getLogger("nnzip"), Shown(), logging.getLogger("nnzip").level
    if terminal.verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _own_warnings(terminal: Terminal) -> Iterator[None]:
    """Show nnzip's own warnings as messages."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, NnzipWarning):
            terminal.warning(str(message))
        else:
            others(message, category, *place, **more)

    with warnings.catch_warnings():
        others = warnings.showwarning
        warnings.showwarning = show
        warnings.simplefilter("always", NnzipWarning)
        yield


@contextmanager
def _terminate_cleanly() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that temporary files are removed as they are after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(signal_number: int, frame: Any) -> None:
        raise SystemExit(EXIT_TERMINATED)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

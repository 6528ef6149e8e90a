"""Time left, speed and ratio as they are shown, and lines instead of a bar where there is no terminal."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from nnzip.cli import watching
from nnzip.cli.watching import Watch, remaining, show_progress
from nnzip.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_counts_down_between_reports() -> None:
    clock = Clock()
    watch = Watch(clock)
    assert watch.seconds_left is None
    watch.see(Progress("reading", 0.0, 100.0))
    clock.now = 25.0
    assert watch.seconds_left == 75.0
    assert watch.fraction == 0.25


def test_a_late_report_leaves_a_part_of_what_it_is_late() -> None:
    clock = Clock()
    watch = Watch(clock)
    watch.see(Progress("coding", 0.0, 10.0))
    clock.now = 30.0
    assert watch.seconds_left == pytest.approx(3.0)
    assert watch.fraction < 1


def test_a_fraction_alone_gives_the_time_left() -> None:
    clock = Clock()
    watch = Watch(clock)
    clock.now = 10.0
    watch.see(Progress("verifying", 0.25))
    assert watch.seconds_left == pytest.approx(30.0)


def test_details_have_speed_ratio_and_time_left() -> None:
    clock = Clock()
    watch = Watch(clock)
    clock.now = 10.0
    watch.see(Progress("coding", 0.5, 75.0, source_bytes=60_000_000, file_bytes=4_000_000))
    assert watch.details.replace("\u00a0", " ") == "6.00 MB/s, 15.0 times smaller, 1:15 left"


def test_remaining_time_reads_as_a_clock() -> None:
    assert [remaining(seconds) for seconds in (4, 75, 7500)] == ["0:04", "1:15", "2:05:00"]


def test_a_pipe_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOG_SECONDS", 0.05)
    console = Console(file=io.StringIO(), force_terminal=False)
    with show_progress(console) as progress:
        progress(Progress("coding", 0.42, 60.0))
        deadline = time.monotonic() + 10
        while not console.file.getvalue() and time.monotonic() < deadline:  # type: ignore[attr-defined]
            time.sleep(0.01)
    first = console.file.getvalue().splitlines()[0]  # type: ignore[attr-defined]
    assert first.startswith("coding: ")
    assert first.endswith(" left")


def test_a_notebook_without_widgets_has_lines_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "find_spec", lambda name: None)
    console = Console(file=io.StringIO(), force_jupyter=True)
    with show_progress(console) as callback:
        callback(Progress("coding", 0.5, 10.0))

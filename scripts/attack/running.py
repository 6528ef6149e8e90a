"""Attacks in child processes with limits: a crash, a hang or a lack of memory is a finding like any other."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnzip.errors import NnzipError

MEMORY = 3 << 30
"""Bytes of address space that a child may take beyond what it has at first."""
CASE_SECONDS, GRACE_SECONDS = 60, 900
BAD = ("wrong", "violation", "unclean", "crash")
"""Outcomes that must not be: other data without a word; a broken promise; an error that is none of ours (or a warning,
or too much time or memory); the end of the process."""

Attack = Callable[[int, Path], str]
"""A case by its number, in an empty folder of its own; returns the outcome, or raises `FindingError`."""


class FindingError(Exception):
    """Something that must not be: an outcome of BAD and its description."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


@dataclass
class Tally:
    """How many cases of an attack had which outcome, and what was found: number of the case and description."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values())

    def add(self, outcome: str, number: int = 0, text: str = "") -> None:
        self.outcomes[outcome] += 1
        if outcome in BAD:
            self.findings.append((number, f"{outcome}: {text}"))

    def merge(self, other: Tally) -> None:
        self.outcomes += other.outcomes
        self.findings += other.findings


def run(attack: Attack, first: int, seconds: float, most: int = sys.maxsize) -> tuple[Tally, int]:
    """Cases from `first` on for so long, in one child or in several where they end too early; and the next number."""
    tally, started = Tally(), time.monotonic()
    number = first
    while (left := seconds - (time.monotonic() - started)) > 0 and number < first + most:
        part, number = _child(attack, number, left, first + most - number)
        tally.merge(part)
    return tally, number


def outcome_of(attack: Attack, number: int, folder: Path) -> tuple[str, str]:
    """The outcome of one case, and its description."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with _time_limit():
                return attack(number, folder), ""
        except FindingError as found:
            return found.outcome, str(found)
        except NnzipError as error:
            return "refused", str(error)
        except BaseException:
            return "unclean", traceback.format_exc(limit=-4)


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(signal_number: int, frame: Any) -> None:
        raise FindingError("unclean", f"it took more than {CASE_SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _child(attack: Attack, first: int, seconds: float, most: int) -> tuple[Tally, int]:
    """Cases in one forked process, which tells its place through shared memory."""
    place = mmap.mmap(-1, 8)
    with tempfile.TemporaryDirectory(prefix="nnzip-attack-") as name:
        report = Path(name, "report.json")
        child = os.fork()
        if not child:
            os._exit(_work(attack, first, seconds, most, Path(name), place))
        deadline = time.monotonic() + seconds + GRACE_SECONDS
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.02)
        number = int.from_bytes(place[:], "little")
        tally = Tally()
        if report.exists():
            content = json.loads(report.read_text())
            tally = Tally(Counter(content["outcomes"]), [(case, text) for case, text in content["findings"]])
        else:
            for case in range(first, number):
                tally.add("before a crash", case)
            tally.add("crash", number, f"the process ended with status {ended[1]}, or hung")
        return tally, number + 1


def _work(attack: Attack, first: int, seconds: float, most: int, folder: Path, place: mmap.mmap) -> int:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    tally, started = Tally(), time.monotonic()
    for number in range(first, first + most):
        place[:] = number.to_bytes(8, "little")
        with tempfile.TemporaryDirectory(dir=folder) as name:
            tally.add(*_ordered(number, outcome_of(attack, number, Path(name))))
        if time.monotonic() - started > seconds:
            break
    (folder / "half.json").write_text(json.dumps({"outcomes": tally.outcomes, "findings": tally.findings}))
    (folder / "half.json").rename(folder / "report.json")
    return 0


def _ordered(number: int, found: tuple[str, str]) -> tuple[str, int, str]:
    return found[0], number, found[1]

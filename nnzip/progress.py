"""What a running command tells whoever watches it, and how long the rest takes."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CHECKED = 3e6
"""Values of a network that are decoded and compared in a second, about."""


@dataclass(frozen=True)
class Estimate:
    """What a compression takes: number of tiles (0: a network), bytes of memory and of the file (None: unknown),
    seconds of the reading before the coding, and of the coding by variable.

    `source_bytes` are the compressed variables as float32.
    """

    tiles: int
    memory_bytes: int
    source_bytes: int
    file_bytes: int | None
    reading: float
    coding: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Of the whole."""
        return self.reading + sum(self.coding.values())


@dataclass(frozen=True)
class Progress:
    """A moment of a command: the `fraction` of its time that has passed.

    `seconds_left`: of the whole, where they are known (else the fraction tells); `source_bytes`: float32 values that
    are done, and `file_bytes`: what has become of them; `estimate`: of a compression, at its start.
    """

    stage: str
    fraction: float
    seconds_left: float | None = None
    source_bytes: int = 0
    file_bytes: int = 0
    estimate: Estimate | None = None


_ALL = 1 - 1e-9

ProgressCallback = Callable[[Progress], None]


def report_to(progress: ProgressCallback | None) -> Callable[[str, float], None]:
    """A function of stage and fraction that calls `progress`, if there is one."""

    def report(stage: str, fraction: float) -> None:
        if progress is not None:
            progress(Progress(stage, min(fraction, 1.0)))

    return report


class Pace:
    """Reports the progress of a compression: what is done against its `estimate`, which its own speed corrects."""

    _TRUST = 0.05  # of the estimated seconds: so much work counts as done as fast as estimated

    def __init__(self, progress: ProgressCallback | None, make: Callable[[], Estimate]) -> None:
        self._progress, self._started = progress, clock.monotonic()
        self._values = self._source_bytes = self._file_bytes = 0
        self._done = 0.0  # estimated seconds of the coding that is done
        self._fraction = 0.0
        self._coding_from: float | None = None
        if progress is not None:  # else the estimate is not worth its time
            progress(Progress("estimating", 0.0))
            self._estimate = make()
            progress(Progress("reading", 0.0, self._estimate.seconds, estimate=self._estimate))

    def read(self, values: int) -> None:
        """So many more values have been read for the first time."""
        if self._progress is None:
            return
        self._values += values
        share = 4 * self._values / self._estimate.source_bytes
        self._report("reading", (1 - share) * self._estimate.reading + sum(self._estimate.coding.values()))

    def coded(self, name: str, share: float, source_bytes: int, file_bytes: int) -> None:
        """A further `share` of the variable `name` has been coded, so many bytes of float32 in so many of the file."""
        if self._progress is None:
            return
        self._done += share * self._estimate.coding[name]
        self._source_bytes += source_bytes
        self._file_bytes += file_bytes
        whole = sum(self._estimate.coding.values())
        trusted = self._TRUST * whole
        spent = clock.monotonic() - (self._coding_from or self._started)
        left = whole - self._done if self._done < _ALL * whole else 0.0  # shares may add up to nearly one
        self._report("coding", left * (spent + trusted) / (self._done + trusted))

    def begin_coding(self) -> None:
        """Everything has been read once."""
        self._coding_from = clock.monotonic()
        if self._progress is not None:
            self._report("coding", sum(self._estimate.coding.values()))

    def _report(self, stage: str, left: float) -> None:
        if self._progress is None:
            return
        passed = clock.monotonic() - self._started
        self._fraction = max(self._fraction, passed / max(passed + left, 1e-9))  # several tiles may come at once
        self._progress(Progress(stage, self._fraction, left, self._source_bytes, self._file_bytes))


class TrainingPace:
    """Reports the progress of networks that are trained and checked one after the other, by what each says itself; the
    first time with an estimate of the whole, which `begin` says how to make."""

    def __init__(self, progress: ProgressCallback | None) -> None:
        self._progress, self._started = progress, clock.monotonic()
        self._began, self._all = self._started, 1
        self._upto = self._own = self._checked = 0
        self._stage: Callable[[float], str] = str
        self._estimate: Callable[[float, Mapping[str, float]], Estimate] | None = None

    def say(self, stage: str, fraction: float) -> None:
        """Something goes on whose end is not known."""
        if self._progress is not None:
            self._progress(Progress(stage, min(fraction, 1.0)))

    def begin(self, make: Callable[[float, Mapping[str, float]], Estimate], values: int) -> None:
        """Everything has been read once, so many values; `make` an estimate of the seconds of that and of the rest."""
        self._began, self._all, self._estimate = clock.monotonic(), values, make

    def next(self, values: int, stage: Callable[[float], str]) -> None:
        """A network of so many of them; `stage` says what its loss means."""
        self._upto, self._own, self._checked, self._stage = self._upto + values, values, 0, stage

    def tell(self, error: float, left: float) -> None:
        """The loss, and the seconds that the training takes yet."""
        self._report(self._stage(error), left + self._own / CHECKED)

    def checked(self, values: int) -> None:
        """So many more values have been decoded and compared."""
        self._checked += values
        self._report("checking", max(self._own - self._checked, 0) / CHECKED)

    def _report(self, stage: str, left: float) -> None:
        """`left`: seconds of this network; others take as long for each value."""
        if self._progress is None:
            return
        now, estimate = clock.monotonic(), None
        left = (now - self._began + left) * self._all / self._upto - (now - self._began)
        if self._estimate is not None:
            estimate = self._estimate(self._began - self._started, {"network": now - self._began + left})
            self._estimate = None
        passed = now - self._started
        self._progress(Progress(stage, passed / max(passed + left, 1e-9), left, estimate=estimate))

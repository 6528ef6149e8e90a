"""Promises about one variable: how each narrows the allowed values, and whether decoded values keep it.

Narrowing happens while a tile is coded, before it is corrected; checking afterwards on what the reader decodes, by
other arithmetic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nnzip.promises.intervals import Intervals, Points, next_above, next_below, not_above, not_below
from nnzip.promises.kept import Kept

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Values [time, lat, lon] of one channel of a variable from the time step `start` of the record; NaN: missing."""

    channel: int
    start: int
    original: Values


@dataclass(frozen=True)
class Held:
    """The time steps of the record from `start` on that are in memory: `values` [channel, time, lat, lon], of which
    `channels` are the variable's."""

    values: NDArray[np.floating]
    channels: slice
    start: int

    @property
    def times(self) -> slice:
        return slice(self.start, self.start + self.values.shape[1])

    def read(self, times: slice) -> NDArray[np.floating]:
        """The variable's values [channel, time, lat, lon] of time steps of the record."""
        return self.values[self.channels, times.start - self.start : times.stop - self.start]


class Inside(Protocol):
    """Where a part is concerned."""

    def __call__(self, part: Part) -> Points:
        """Bool in the shape of the part; False where values are missing."""

    def within(self, times: slice) -> Inside:
        """The same for these time steps alone, with all it needs in memory."""


COMPARE: dict[str, Callable[[Values, float], Points]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Check(Protocol):
    """Counts what breaks a promise, part by part: every channel's parts in the order of time, without gaps."""

    def add(self, part: Part, decoded: Values) -> None:
        """`decoded`: numbers of the output type in the shape of the part."""

    @property
    def kept(self) -> Kept:
        """All parts added so far."""


class Constraint(Protocol):
    """A promise about one variable."""

    def narrow(self, allowed: Intervals, part: Part, decoded: Values, guard: float) -> None:
        """Narrow `allowed`, knowing what a part decodes to before corrections, within `guard`."""

    def checker(self) -> Check:
        """A check that has seen nothing yet."""

    def within(self, held: Held) -> Constraint:
        """The same for these time steps alone, with all it needs in memory: it can go to another process."""


class PointCheck:
    """The check of a promise that looks at every point alone."""

    def __init__(self, check: Callable[[Part, Values], Kept]) -> None:
        self._check, self.kept = check, Kept()

    def add(self, part: Part, decoded: Values) -> None:
        self.kept += self._check(part, decoded)


@dataclass(frozen=True)
class Tolerance:
    """At most `tolerance` of error inside."""

    tolerance: float
    inside: Inside

    def narrow(self, allowed: Intervals, part: Part, decoded: Values, guard: float) -> None:
        allowed.tighten(part.original, self.tolerance, self.inside(part))

    def checker(self) -> Check:
        return PointCheck(self._check)

    def within(self, held: Held) -> Tolerance:
        return replace(self, inside=self.inside.within(held.times))

    def _check(self, part: Part, decoded: Values) -> Kept:
        inside = self.inside(part)
        errors = np.abs(decoded[inside] - part.original[inside])
        largest = float(errors.max(initial=0.0))
        return Kept(errors.size, int((errors > self.tolerance).sum()), largest / self.tolerance)


@dataclass(frozen=True)
class SameSide:
    """Every point is on its side of `threshold`, whether that is compared in float64 or in the output type."""

    comparison: str
    threshold: float
    dtype: str

    def narrow(self, allowed: Intervals, part: Part, decoded: Values, guard: float) -> None:
        for threshold, concerned in self._thresholds(part.original):
            fulfilled = COMPARE[self.comparison](part.original, threshold)
            above, below = fulfilled & concerned, ~fulfilled & concerned
            if "<" in self.comparison:
                above, below = below, above
            limit = np.asarray(threshold, dtype=np.float64)
            if self.comparison in (">", "<="):  # the threshold itself is below
                allowed.raise_low(next_above(limit, self.dtype), above)
                allowed.cap_high(not_above(limit, self.dtype), below)
            else:
                allowed.raise_low(not_below(limit, self.dtype), above)
                allowed.cap_high(next_below(limit, self.dtype), below)

    def checker(self) -> Check:
        return PointCheck(self._check)

    def within(self, held: Held) -> SameSide:
        return self

    def _check(self, part: Part, decoded: Values) -> Kept:
        compare = COMPARE[self.comparison]
        wrong = np.zeros(decoded.shape, dtype=np.bool_)
        for threshold, concerned in self._thresholds(part.original):
            wrong |= (compare(part.original, threshold) != compare(decoded, threshold)) & concerned
        return Kept(int(compare(part.original, self.threshold).sum()), int(wrong.sum()))

    def _thresholds(self, original: Values) -> list[tuple[float, Points]]:
        """The threshold as users may compare it, and the points where they can: `array > 0.1` rounds 0.1 to the type
        of the array, `array > numpy.float64(0.1)` does not."""
        rounded = float(np.dtype(self.dtype).type(self.threshold))
        finite = np.isfinite(original)
        if rounded == self.threshold:
            return [(self.threshold, finite)]
        return [(self.threshold, finite), (rounded, original == original.astype(self.dtype))]

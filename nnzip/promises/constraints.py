"""Promises about one variable: how each narrows the allowed values of a tile, and whether decoded values keep it.

A tile is float64 [channel, time, lat, lon] of one variable, NaN where missing; `start` is its first time step in the
record. Narrowing happens before a tile is corrected, checking afterwards on the output type, by other arithmetic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nnzip.promises.intervals import Intervals, Points, next_above, next_below, not_below

Values = NDArray[np.float64]
Inside = Callable[[Values, int], Points]
"""Where a tile (original, start) is concerned: bool in its shape; False where values are missing."""

COMPARE: dict[str, Callable[[Values, float], Points]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Kept:
    """How many points (or blocks) a promise concerned and how many break it.

    `tightest`: the largest error as a share of the tolerance promised; 0 for promises without a tolerance.
    """

    points: int = 0
    violations: int = 0
    tightest: float = 0.0

    def __add__(self, other: Kept) -> Kept:
        return Kept(self.points + other.points, self.violations + other.violations, max(self.tightest, other.tightest))


class Constraint(Protocol):
    """A promise about one variable."""

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: float, start: int) -> None:
        """Narrow `allowed`, knowing what the tile decodes to before corrections, within `guard`."""

    def check(self, original: Values, decoded: Values, start: int) -> Kept:
        """Count what breaks the promise in a tile; `decoded` holds numbers of the output type."""


@dataclass(frozen=True)
class Tolerance:
    """At most `tolerance` of error inside."""

    tolerance: float
    inside: Inside

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: float, start: int) -> None:
        allowed.tighten(original, self.tolerance, self.inside(original, start))

    def check(self, original: Values, decoded: Values, start: int) -> Kept:
        inside = self.inside(original, start)
        errors = np.abs(decoded[inside] - original[inside])
        largest = float(errors.max(initial=0.0))
        return Kept(errors.size, int((errors > self.tolerance).sum()), largest / self.tolerance)


@dataclass(frozen=True)
class SameSide:
    """Every point is on its side of `threshold`, whether that is compared in float64 or in the output type."""

    comparison: str
    threshold: float
    dtype: str

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: float, start: int) -> None:
        finite = np.isfinite(original)
        for threshold, concerned in self._thresholds(original, finite):
            true = COMPARE[self.comparison](original, threshold) & concerned
            false = concerned & ~true
            above, below = (true, false) if ">" in self.comparison else (false, true)
            limit = np.float64(threshold)
            if self.comparison in (">", "<="):
                allowed.raise_low(next_above(limit, self.dtype), above)
                allowed.cap_high(-not_below(-limit, self.dtype), below)
            else:
                allowed.raise_low(not_below(limit, self.dtype), above)
                allowed.cap_high(next_below(limit, self.dtype), below)

    def check(self, original: Values, decoded: Values, start: int) -> Kept:
        compare, finite = COMPARE[self.comparison], np.isfinite(original)
        wrong = np.zeros(original.shape, dtype=np.bool_)
        for threshold, concerned in self._thresholds(original, finite):
            wrong |= (compare(original, threshold) != compare(decoded, threshold)) & concerned
        return Kept(int(compare(original, self.threshold).sum()), int(wrong.sum()))

    def _thresholds(self, original: Values, finite: Points) -> list[tuple[float, Points]]:
        """The threshold as users may compare it, and the points where they can: array > 0.1 rounds 0.1 to the
        array's type, array > float64(0.1) does not."""
        rounded = float(np.dtype(self.dtype).type(self.threshold))
        if rounded == self.threshold:
            return [(self.threshold, finite)]
        return [(self.threshold, finite), (rounded, original == original.astype(self.dtype))]

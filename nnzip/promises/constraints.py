"""Promises about one variable: how each narrows the allowed values, and whether decoded values keep it.

A constraint knows the record; `within` gives what it means for one box of it, such as a tile. That narrows what the
box's values may become before they are corrected, and checks afterwards what a reader decodes, by other arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nnzip.plan.cutting import Box
from nnzip.promises.inside import COMPARE, Inside, Values, Where
from nnzip.promises.intervals import Intervals, Points, next_above, next_below, not_above, not_below
from nnzip.promises.kept import Kept


class BoxConstraint(Protocol):
    """A promise about the values [channel, time, lat, lon] of a box, float64 with NaN where missing; picklable."""

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: Guard) -> None:
        """Narrow `allowed`, knowing what the box decodes to before corrections, within `guard`."""

    def check(self, original: Values, decoded: Values) -> Kept:
        """Count what breaks the promise; `decoded`: numbers of the output type."""


class Constraint(Protocol):
    """A promise about a variable's record."""

    def within(self, box: Box) -> BoxConstraint:
        """The promise about a box, with all it needs in memory. May read the record."""


Guard = float | NDArray[np.float64]
"""By how much decoders may differ: one number, or one per channel."""


@dataclass(frozen=True)
class Tolerance:
    """At most `tolerance` of error in a part of the record."""

    tolerance: float
    where: Where

    def within(self, box: Box) -> BoxTolerance:
        return BoxTolerance(self.tolerance, self.where.within(box))


@dataclass(frozen=True)
class BoxTolerance:
    """At most `tolerance` of error inside."""

    tolerance: float
    inside: Inside

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: Guard) -> None:
        allowed.tighten(original, self.tolerance, self.inside(original))

    def check(self, original: Values, decoded: Values) -> Kept:
        inside = self.inside(original)
        errors = np.abs(decoded[inside] - original[inside])
        largest = float(errors.max(initial=0.0))
        return Kept(
            errors.size, int((errors > self.tolerance).sum()), largest / self.tolerance if self.tolerance else 0.0
        )


@dataclass(frozen=True)
class SameSide:
    """Every point is on its side of `threshold`, whether that is compared in float64 or in the output type."""

    comparison: str
    threshold: float
    dtype: str

    def within(self, box: Box) -> SameSide:
        return self

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: Guard) -> None:
        for threshold, concerned in self._thresholds(original):
            fulfilled = COMPARE[self.comparison](original, threshold)
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

    def check(self, original: Values, decoded: Values) -> Kept:
        compare = COMPARE[self.comparison]
        wrong = np.zeros(decoded.shape, dtype=np.bool_)
        for threshold, concerned in self._thresholds(original):
            wrong |= (compare(original, threshold) != compare(decoded, threshold)) & concerned
        return Kept(int(compare(original, self.threshold).sum()), int(wrong.sum()))

    def _thresholds(self, original: Values) -> list[tuple[float, Points]]:
        """The threshold as users may compare it, and the points where they can: `array > 0.1` rounds 0.1 to the type
        of the array, `array > numpy.float64(0.1)` does not."""
        rounded = float(np.dtype(self.dtype).type(self.threshold))
        finite = np.isfinite(original)
        if rounded == self.threshold:
            return [(self.threshold, finite)]
        return [(self.threshold, finite), (rounded, original == original.astype(self.dtype))]

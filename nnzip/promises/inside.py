"""Where a tolerance below the bound holds: in the tails of cells, beyond a threshold, in a region."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nnzip.plan.cutting import Box
from nnzip.promises.intervals import Points

Values = NDArray[np.float64]
Inside = Callable[[Values], Points]
"""The points of a box's values [channel, time, lat, lon] that are concerned; False where values are missing."""

COMPARE: dict[str, Callable[[Values, float], Points]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Where(Protocol):
    """A part of a variable's record."""

    def within(self, box: Box) -> Inside:
        """Which points of a box lie in it, with all that takes in memory: it can go to another process."""


@dataclass(frozen=True)
class Tails:
    """Below `lower` or above `upper`, per cell [channel, lat, lon]; None: no such tail."""

    lower: Values | None
    upper: Values | None

    def within(self, box: Box) -> Tails:
        channels, _, rows, columns = box.slices
        lower, upper = (
            None if limit is None else limit[channels, rows, columns].copy() for limit in (self.lower, self.upper)
        )
        return Tails(lower, upper)

    def __call__(self, values: Values) -> Points:
        below = np.zeros(values.shape, dtype=np.bool_) if self.lower is None else values < self.lower[:, None]
        return below if self.upper is None else below | (values > self.upper[:, None])


@dataclass(frozen=True)
class Beyond:
    """Where a value compares with `threshold` as wanted: ">", ">=", "<" or "<="."""

    comparison: str
    threshold: float

    def within(self, box: Box) -> Beyond:
        return self

    def __call__(self, values: Values) -> Points:
        return COMPARE[self.comparison](values, self.threshold)


@dataclass(frozen=True)
class Region:
    """Where `mask(box)` is true; it broadcasts to [time, lat, lon] of the box."""

    mask: Callable[[Box], Points]

    def within(self, box: Box) -> Mask:
        return Mask(self.mask(box))


@dataclass(frozen=True)
class Mask:
    """Where `points` are true, which broadcast to [time, lat, lon]."""

    points: Points

    def __call__(self, values: Values) -> Points:
        return np.isfinite(values) & self.points

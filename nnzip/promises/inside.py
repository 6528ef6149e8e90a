"""Where a tolerance below the bound holds: in the tails of cells, beyond a threshold, in a region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.promises.constraints import COMPARE, Part
from nnzip.promises.intervals import Points


@dataclass(frozen=True)
class Tails:
    """Below `lower` or above `upper`, per cell [channel, lat, lon]; None: no such tail."""

    lower: NDArray[np.float64] | None
    upper: NDArray[np.float64] | None

    def __call__(self, part: Part) -> Points:
        values, channel = part.original, part.channel
        below = np.zeros(values.shape, dtype=np.bool_) if self.lower is None else values < self.lower[channel]
        return below if self.upper is None else below | (values > self.upper[channel])

    def within(self, times: slice) -> Tails:
        return self


@dataclass(frozen=True)
class Beyond:
    """Where a value compares with `threshold` as wanted: ">", ">=", "<" or "<="."""

    comparison: str
    threshold: float

    def __call__(self, part: Part) -> Points:
        return COMPARE[self.comparison](part.original, self.threshold)

    def within(self, times: slice) -> Beyond:
        return self


@dataclass(frozen=True)
class Region:
    """Where `mask(times)` is true; it broadcasts to [time, lat, lon]."""

    mask: Callable[[slice], Points]

    def __call__(self, part: Part) -> Points:
        return np.isfinite(part.original) & self.mask(slice(part.start, part.start + len(part.original)))

    def within(self, times: slice) -> Region:
        """With the mask in memory."""
        return Region(_Mask(self.mask(times), times.start))


@dataclass(frozen=True)
class _Mask:
    """A mask [time or 1, ...] whose first time step is `start` of the record."""

    points: Points
    start: int

    def __call__(self, times: slice) -> Points:
        changes = self.points.ndim == 3 and len(self.points) > 1
        return self.points[times.start - self.start : times.stop - self.start] if changes else self.points

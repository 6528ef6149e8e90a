"""What became of a promise: counts that add up, box by box, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Extreme = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Per cell [channel, lat, lon]: time step of the first extreme, and its value, the larger the more extreme; -inf:
missing."""
Place = tuple[int, int, int, int]
"""A block of time and where a box begins: number, channel, row, column."""


@dataclass(frozen=True)
class CutBlock:
    """`seen` time steps of a block of `length`: their extremes in the original and in the decoded values."""

    length: int
    seen: int
    original: Extreme
    decoded: Extreme

    def __add__(self, other: CutBlock) -> CutBlock:
        """Together with other time steps of the same cells and block."""
        original, decoded = _extreme(self.original, other.original), _extreme(self.decoded, other.decoded)
        return CutBlock(self.length, self.seen + other.seen, original, decoded)

    def counts(self) -> tuple[int, int]:
        """Cells with values, and those of them where the extreme has moved."""
        finite = np.isfinite(self.original[1])
        return int(finite.sum()), int(((self.original[0] != self.decoded[0]) & finite).sum())


@dataclass(frozen=True)
class Kept:
    """How many points (or blocks of a cell) a promise concerned and how many break it.

    `tightest`: the largest error as a share of the tolerance promised; 0 for promises without a tolerance. `cut`:
    blocks of which boxes at the same place are still to come; they are not counted yet.
    """

    points: int = 0
    violations: int = 0
    tightest: float = 0.0
    cut: Mapping[Place, CutBlock] = field(default_factory=dict)

    def __add__(self, other: Kept) -> Kept:
        """With what was found in another box."""
        points, violations, cut = self.points + other.points, self.violations + other.violations, dict(self.cut)
        for place, part in other.cut.items():
            block = cut.pop(place) + part if place in cut else part
            if block.seen < block.length:
                cut[place] = block
            else:
                found = block.counts()
                points, violations = points + found[0], violations + found[1]
        return Kept(points, violations, max(self.tightest, other.tightest), cut)


def _extreme(first: Extreme, second: Extreme) -> Extreme:
    """The extreme of both; of equal values the earlier one."""
    later = (second[1] > first[1]) | ((second[1] == first[1]) & (second[0] < first[0]))
    return np.where(later, second[0], first[0]), np.maximum(first[1], second[1])

"""What became of a promise: counts that add up, part by part and segment by segment, in the order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Extreme = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Per cell [lat, lon]: time step of the first extreme, and its value, the larger the more extreme; -inf: missing."""


@dataclass(frozen=True)
class CutBlock:
    """`seen` time steps of a block of `length`: their extremes in the original and in the decoded values."""

    length: int
    seen: int
    original: Extreme
    decoded: Extreme

    def followed_by(self, later: CutBlock) -> CutBlock:
        """Together with the next time steps of the same block."""
        original, decoded = _later(self.original, later.original), _later(self.decoded, later.decoded)
        return CutBlock(self.length, self.seen + later.seen, original, decoded)

    def counts(self) -> tuple[int, int]:
        """Cells with values, and those of them where the extreme has moved."""
        finite = np.isfinite(self.original[1])
        return int(finite.sum()), int(((self.original[0] != self.decoded[0]) & finite).sum())


@dataclass(frozen=True)
class Kept:
    """How many points (or blocks) a promise concerned and how many break it.

    `tightest`: the largest error as a share of the tolerance promised; 0 for promises without a tolerance. `cut`:
    blocks by (channel, number) whose last time steps are still to come; they are not counted yet.
    """

    points: int = 0
    violations: int = 0
    tightest: float = 0.0
    cut: Mapping[tuple[int, int], CutBlock] = field(default_factory=dict)

    def __add__(self, later: Kept) -> Kept:
        """With what was found in later time steps, or in other channels."""
        points, violations, cut = self.points + later.points, self.violations + later.violations, dict(self.cut)
        for key, part in later.cut.items():
            block = cut.pop(key).followed_by(part) if key in cut else part
            if block.seen < block.length:
                cut[key] = block
            else:
                found = block.counts()
                points, violations = points + found[0], violations + found[1]
        return Kept(points, violations, max(self.tightest, later.tightest), cut)


def _later(first: Extreme, second: Extreme) -> Extreme:
    """The extreme of a part and a later one."""
    return np.where(second[1] > first[1], second[0], first[0]), np.maximum(first[1], second[1])

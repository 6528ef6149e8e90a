"""Samples and limits of a tile's values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.tile.header import Shape

SAMPLES = {"fast": 1 << 16, "normal": 1 << 18, "best": 1 << 62}
"""Values of a tile that the choice of its coding is tried on, by effort (under a bound half as many at first, and
more until these take enough bytes to tell: `trials.choose`); a tile of at most twice as many is its own
sample."""

_TALL = 2.0  # times as tall as a square: fields differ more from south to north than from west to east
_SHORTEST = 32  # rows and columns of a sample


def sample(shape: Shape, effort: str = "normal", times_as_many: float = 1.0) -> tuple[slice, ...] | None:
    """A box in the middle of a tile, cut in space and then in time, of `times_as_many` values as SAMPLES says; None:
    the whole tile."""
    channels, times, rows, columns = shape
    count, enough = channels * times * rows * columns, int(SAMPLES[effort] * times_as_many)
    if count <= 2 * max(enough, SAMPLES[effort]):
        return None
    area = enough / (channels * times)
    tall = min(max(round(_TALL * area**0.5), _SHORTEST), rows)
    wide = min(max(round(area / tall), _SHORTEST), columns)
    together = max(enough // (channels * tall * wide), min(times, 8))
    return (
        slice(None),
        *(_middle(size, part) for size, part in zip(shape[1:], (together, tall, wide), strict=True)),
    )


def outer_limits(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Smallest and largest known value [2], rounded outwards to float32, within its range; zeros where nothing is
    known."""
    found = np.array([np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)], dtype=np.float64)
    if np.isnan(found).any():
        return np.zeros(2)
    largest = float(np.finfo(np.float32).max)
    exact = np.clip(found, -largest, largest)
    rounded = exact.astype(np.float32)
    with np.errstate(over="ignore"):  # of the largest number, which is not taken
        outwards = np.nextafter(rounded, np.array([-np.inf, np.inf], dtype=np.float32))
    beyond = np.array([rounded[0] > exact[0], rounded[1] < exact[1]])
    return np.where(beyond, outwards, rounded).astype(np.float64)


def _middle(size: int, part: int) -> slice:
    start = max(size - part, 0) // 2
    return slice(start, start + min(part, size))

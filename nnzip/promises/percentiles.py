"""Percentiles of every cell over the whole record, read piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from nnzip.plan.cutting import Shape

PIECE_VALUES = 1 << 23
"""Values held in memory at a time: of a piece of the record, and of the tails that are kept of it."""

Values = NDArray[np.floating]
Read = Callable[[range, range, range, range], Values]
"""A variable's values [channel, time, lat, lon] of ranges of its axes, NaN where missing."""


def cell_percentile(read: Read, shape: Shape, percentile: float) -> NDArray[np.float64]:
    """The percentile of every cell [channel, lat, lon] over time, linear between ranks, NaN without finite values.

    Equals numpy.nanpercentile(values, percentile, axis=1). Memory: a few times PIECE_VALUES. Reads the record once for
    every PIECE_VALUES values in the tail beyond the percentile.
    """
    upper = percentile >= 50
    share = percentile / 100 if upper else 1 - percentile / 100
    channels, times, rows, columns = shape
    kept = min(times, math.ceil((1 - share) * (times - 1)) + 2)
    found = np.empty((channels, rows, columns))
    for band in _ranges(rows, PIECE_VALUES // max(channels * columns * kept, 1)):
        largest = np.full((channels, kept, len(band), columns), -np.inf)
        finite = np.zeros((channels, len(band), columns), dtype=np.int64)
        for piece in _ranges(times, PIECE_VALUES // max(channels * columns * len(band), 1)):
            values = read(range(channels), piece, band, range(columns)).astype(np.float64)
            missing = np.isnan(values)
            finite += (~missing).sum(axis=1)
            tail = np.where(missing, -np.inf, values if upper else -values)
            merged = np.concatenate([largest, tail], axis=1)
            largest = np.partition(merged, merged.shape[1] - kept, axis=1)[:, -kept:]
        found[:, band.start : band.stop] = _between_ranks(np.sort(largest, axis=1), finite, share)
    return found if upper else -found


def _between_ranks(largest: NDArray[np.float64], finite: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """The quantile `share` of `finite` values of which `largest` [channel, kept, lat, lon] are the last, sorted."""
    rank = share * (finite - 1)
    lower = np.floor(rank)
    fraction = rank - lower
    first = largest.shape[1] - finite + lower.astype(np.int64)  # place of the lower rank among those kept
    last = largest.shape[1] - 1
    low, high = (np.take_along_axis(largest, np.clip(first + step, 0, last)[:, None], axis=1)[:, 0] for step in (0, 1))
    with np.errstate(invalid="ignore"):  # infinite where nothing is finite
        between = np.where(fraction > 0, low + (high - low) * fraction, low)
    return np.where(finite > 0, between, np.nan)


def _ranges(count: int, longest: int) -> Iterator[range]:
    longest = max(longest, 1)
    for start in range(0, count, longest):
        yield range(start, min(start + longest, count))

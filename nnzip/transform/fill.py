"""Values for missing points that cost next to nothing: averages of their surroundings, from near to far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]


def fill_missing(values: Values, missing: NDArray[np.bool_]) -> Values:
    """`values` [..., lat, lon] with the points of `missing` (same shape, bool) replaced.

    Known values are returned unchanged; maps where nothing is known become zero. A masked pyramid: 2 x 2 means of
    the known points, coarser and coarser until none is missing, then back with linear interpolation.
    """
    if not missing.any():
        return values
    maps = np.where(missing, 0, values).reshape(-1, *values.shape[-2:])
    return _filled(maps, (~missing).reshape(maps.shape)).reshape(values.shape)


def _filled(values: Values, known: NDArray[np.bool_]) -> Values:
    """One level of `values` [map, lat, lon]: known values, elsewhere those of the next coarser level."""
    if min(values.shape[1:]) < 2 or known.all():
        count = np.maximum(known.sum(axis=(1, 2), keepdims=True), 1)
        return np.where(known, values, values.sum(axis=(1, 2), keepdims=True) / count).astype(values.dtype)
    count = _paired(_paired(known.astype(values.dtype), 1), 2)
    sums = _paired(_paired(values, 1), 2)
    coarse = _filled((sums / np.maximum(count, 1)).astype(values.dtype), count > 0)
    for axis in (1, 2):
        coarse = _doubled(coarse, values.shape[axis], axis)
    return np.where(known, values, coarse)


def _paired(values: Values, axis: int) -> Values:
    """Sums of two neighbours along an axis; the last one alone where the length is odd."""
    lines = np.moveaxis(values, axis, 0)
    sums = lines[::2].copy()
    sums[: len(lines) // 2] += lines[1::2]
    return np.moveaxis(sums, 0, axis)


def _doubled(values: Values, length: int, axis: int) -> Values:
    """Linear interpolation from the centres of pairs to the points of an axis of this length."""
    lines = np.moveaxis(values, axis, 0)
    before = np.concatenate([lines[:1], lines[:-1]])
    after = np.concatenate([lines[1:], lines[-1:]])
    fine = np.empty((length, *lines.shape[1:]), dtype=values.dtype)
    fine[::2] = (3 * lines + before)[: (length + 1) // 2] / 4
    fine[1::2] = (3 * lines + after)[: length // 2] / 4
    return np.moveaxis(fine, 0, axis)

"""Integer interpolation: a reversible prediction of integers from coarser grids, for data that wavelets blur.

The predict step of interpolating wavelets (Deslauriers & Dubuc 1989; as used by SZ3: Zhao et al., *Optimizing
error-bounded lossy compression for scientific data by dynamic spline interpolation*, ICDE 2021) on values that were
rounded to multiples of twice the bound first: points at odd positions along an axis are predicted from those at
even positions (cubic inside, linear at the ends) and replaced by the difference. Axis by axis, then again on the
coarser grid of even positions. Exact in integers: what is decoded is within the bound at every point, without
corrections.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bands import SHORTEST, splits
from nnzip.coder.native import transforms as native
from nnzip.coder.native.kernel import shipped_kernel

Integers = NDArray[np.int64]


def forward(values: Integers, order: Sequence[int]) -> Integers:
    """Differences of int64 `values` [time, lat, lon] from their predictions, subbands in place (see bands.py).

    Cost: about 15 operations per value; memory three copies.
    """
    transformed = values.copy(order="C")
    kernel, (_, steps) = shipped_kernel(), splits(values.shape, order)
    if kernel is not None:
        native.interpolation(kernel, transformed, steps, inverse=False)
        return transformed
    for axis, box in steps:
        part = np.moveaxis(transformed[tuple(slice(0, size) for size in box)], axis, -1)
        even, odd = part[..., 0::2].copy(), part[..., 1::2].copy()
        part[..., : even.shape[-1]] = even
        part[..., even.shape[-1] :] = odd - _predict(even, odd.shape[-1])
    return transformed


def inverse(transformed: Integers, order: Sequence[int]) -> Integers:
    """Values whose `forward` is `transformed`, exactly."""
    values = transformed.copy(order="C")
    kernel, (_, steps) = shipped_kernel(), splits(values.shape, order)
    if kernel is not None:
        native.interpolation(kernel, values, steps, inverse=True)
        return values
    for axis, box in reversed(steps):
        part = np.moveaxis(values[tuple(slice(0, size) for size in box)], axis, -1)
        count = (box[axis] + 1) // 2
        even, difference = part[..., :count].copy(), part[..., count:].copy()
        part[..., 0::2] = even
        part[..., 1::2] = difference + _predict(even, difference.shape[-1])
    return values


def best_order(values: Integers) -> tuple[int, int, int]:
    """Axes from the smoothest on, judged by second differences: the first one's band is the largest."""
    roughness = []
    for axis in range(3):
        lined = np.moveaxis(values, axis, -1)
        if lined.shape[-1] < SHORTEST:
            roughness.append(np.inf)
            continue
        second = np.abs(2 * lined[..., 1:-1] - lined[..., :-2] - lined[..., 2:])
        roughness.append(float(np.log2(1.0 + second).mean()))
    first, second_axis, third = np.argsort(roughness, kind="stable").tolist()
    return first, second_axis, third


def _predict(even: Integers, count: int) -> Integers:
    """Predictions [..., count] of the odd points; point i lies between even[i] and even[i + 1]."""
    available = even.shape[-1]
    right = even[..., 1:] if available > count else np.concatenate([even[..., 1:], even[..., -1:]], axis=-1)
    left = even[..., :count]
    predicted = (left + right + 1) >> 1
    last = min(count - 1, available - 2)  # cubic for 1 <= i < last
    if last > 1:
        inner = 9 * (even[..., 1:last] + even[..., 2 : last + 1]) - even[..., : last - 1] - even[..., 3 : last + 2]
        predicted[..., 1:last] = (inner + 8) >> 4
    return predicted

"""The native kernel's wavelet and interpolation, in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.native.kernel import Kernel, check
from nnzip.coder.native.volume import require

DIMENSIONS = 4
"""Arrays have up to as many axes."""


def wavelet(
    kernel: Kernel, values: NDArray[np.float32], depths: Sequence[int], closed: Sequence[bool], *, inverse: bool
) -> None:
    """Transform contiguous float32 `values` over their last axes, to a depth along each; `closed`: axes that close on
    themselves."""
    require(values, np.float32, values.shape)
    first, last = DIMENSIONS - len(depths), values.ndim - len(depths)
    sizes = np.array([1] * first + [*values.shape[last:]], dtype=np.int64)
    sizes[0] *= prod(values.shape[:last])
    levels, ends = (np.array([0] * first + [*numbers], dtype=np.int32) for numbers in (depths, closed))
    check(
        kernel.library.nnz_wavelet(
            kernel.model, values.ctypes.data, sizes.ctypes.data, levels.ctypes.data, ends.ctypes.data, inverse
        )
    )


def dequantise(kernel: Kernel, quantised: NDArray[np.int32], shifts: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float32 values of contiguous int32 `quantised`, in the same memory; `shifts` [2] in steps."""
    require(quantised, np.int32, quantised.shape)
    one, more = shifts.tolist()
    kernel.library.nnz_dequantise(kernel.model, quantised.ctypes.data, quantised.size, one, more)
    return quantised.view(np.float32)


def round_off(kernel: Kernel, values: NDArray[np.float32], dead_zone: float, largest: int) -> NDArray[np.int32]:
    """The nearest integers of contiguous float32 `values`; 0 below the dead zone."""
    require(values, np.float32, values.shape)
    found = np.empty(values.shape, dtype=np.int32)
    kernel.library.nnz_round(kernel.model, values.ctypes.data, values.size, dead_zone, largest, found.ctypes.data)
    return found


def interpolation(
    kernel: Kernel, values: NDArray[np.int64], steps: Sequence[tuple[int, tuple[int, ...]]], *, inverse: bool
) -> None:
    """Transform contiguous int64 `values`; `steps`: see `bands.splits`."""
    require(values, np.int64, values.shape)
    first = DIMENSIONS - values.ndim
    sizes = np.array([1] * first + [*values.shape], dtype=np.int64)
    rows = np.array([(axis + first, *(1,) * first, *box) for axis, box in steps], dtype=np.int32)
    check(
        kernel.library.nnz_interpolation(values.ctypes.data, sizes.ctypes.data, rows.ctypes.data, len(steps), inverse)
    )

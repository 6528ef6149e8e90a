"""How the channels of a variable become comparable where a size or an RMSE is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import InputError

LARGEST_SCALE = 8.0
"""Of a channel, in its own standard deviations."""

_LARGEST, _TINY = float(np.finfo(np.float32).max) / 4, float(np.finfo(np.float32).tiny)
_PRECISION = float(np.finfo(np.float32).epsneg)

Numbers = NDArray[np.float64]


def scaling_of(mean: Numbers, variance: Numbers, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and scale per channel [channel], as float32 holds them.

    The channels of a variable share their scale, so that one step gives them the same error in the variable's units,
    but a channel that varies less than 1 / LARGEST_SCALE of it keeps a finer one. Raises InputError for values beyond
    float32's range.
    """
    require_float32(low, high)
    known = low <= high
    largest = np.where(known, np.maximum(-low, high), 0.0)
    shared = variance[known].mean() if known.any() else 0.0
    scale = np.minimum(np.sqrt(shared), LARGEST_SCALE * np.sqrt(variance))
    scale = np.maximum(scale, largest * _PRECISION)
    scale = np.where(scale < _TINY, 1.0, scale)
    return mean.astype(np.float32).astype(np.float64), scale.astype(np.float32).astype(np.float64)


def require_float32(low: Numbers, high: Numbers) -> None:
    """Raise InputError for values whose differences and sums leave float32's range; `low` and `high` [channel],
    infinite where there is none."""
    known = low <= high
    if known.any() and max(-low[known].min(), high[known].max()) > _LARGEST:
        raise InputError(
            f"the data hold values from {low[known].min():g} to {high[known].max():g}, "
            f"too large for float32's arithmetic, which ends at "
            f"{_LARGEST:.2g}: rescale "
            "the variable, or keep it exactly (--lossless)"
        )

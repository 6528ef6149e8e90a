"""What the plots of tails need: quantiles of both sides, and the error as a function of the original's value."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.evaluate.extremes.evaluation import TailCurves
from nnzip.evaluate.extremes.tail import percentiles

Floats = NDArray[np.float64]

_BINS = 60
_ERROR_BINS = 401


def tail_curves(original: xr.DataArray, decoded: xr.DataArray, largest: float) -> TailCurves:
    """Curves of two loaded arrays that are finite in the same places; `largest`: the largest |error|."""
    probability = probabilities(int(np.isfinite(original.values).sum()))
    first, second = (percentiles(array, probability.tolist()).values for array in (original, decoded))
    valid = np.isfinite(original.values)
    values = original.values[valid].astype(np.float64)
    centres, table, edges = _joint_counts(values, decoded.values[valid].astype(np.float64) - values, largest or 1.0)
    middle = (edges[:-1] + edges[1:]) / 2
    total = table.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = table @ middle / np.where(total > 0, total, np.nan)
    bands = [_quantile(table, middle, fraction) for fraction in (0.0, 0.01, 0.99, 1.0)]
    return TailCurves(probability, first, second, centres, mean, *bands)


def probabilities(count: int) -> Floats:
    """Probabilities between 0 and 1 that crowd towards both ends: evenly spaced logits, out to one value of `count`."""
    limit = np.log(max(count, 3) - 1.0)
    inner = 1 / (1 + np.exp(-np.linspace(-limit, limit, 121)))
    return np.concatenate([[0.0], inner, [1.0]])


def _joint_counts(values: Floats, errors: Floats, limit: float) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Counts of [value bin, error bin] with the value bins' centres and the error bins' edges."""
    low, high = float(values.min()), float(values.max())
    spread = (high - low) or 1.0
    rows = np.minimum(((values - low) * (_BINS / spread)).astype(np.intp), _BINS - 1)
    columns = np.clip(((errors + limit) * (_ERROR_BINS / (2 * limit))).astype(np.intp), 0, _ERROR_BINS - 1)
    table = np.bincount(rows * _ERROR_BINS + columns, minlength=_BINS * _ERROR_BINS).reshape(_BINS, _ERROR_BINS)
    centres = low + spread * (np.arange(_BINS) + 0.5) / _BINS
    return centres, table.astype(np.int64), np.linspace(-limit, limit, _ERROR_BINS + 1)


def _quantile(table: NDArray[np.int64], middle: Floats, fraction: float) -> Floats:
    """Quantile of the error in every row of counts: the first bin that reaches it; NaN for empty rows."""
    cumulative = np.cumsum(table, axis=1)
    total = cumulative[:, -1:]
    place = np.argmax(cumulative >= np.maximum(np.ceil(fraction * total), 1), axis=1)
    return np.where(total[:, 0] > 0, middle[place], np.nan)

"""Errors in the tails of a distribution: where the original lies beyond one of its percentiles.

Same signature as in nnzip.evaluate.errors, with the `quantile` that bounds the tail: from 0.5 up the tail is what lies
strictly above that percentile of the original, else what lies strictly below. The percentile is taken over `dims`,
unless a `threshold` is given: `percentile(original, 0.99, dims="time")` is one for every cell. e is decoded minus
original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.evaluate.errors import Dims, Floats, both_finite, error_of, paired, reduced_dims, weighted_mean

QUANTILE = "quantile"

_BINS = 60
_ERROR_BINS = 401


def tail_rmse(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    quantile: float = 0.99,
    threshold: xr.DataArray | None = None,
) -> xr.DataArray:
    """sqrt(mean(w e^2)) over the values of the tail, in the variable's units; NaN where the tail is empty."""
    tail = exceedances(original, decoded, quantile, dims, threshold)[0]
    error = error_of(original, decoded).where(tail)
    return np.sqrt(weighted_mean(error**2, dims, weights))  # type: ignore[return-value]


def exceedances(
    original: xr.DataArray, decoded: xr.DataArray, quantile: float, dims: Dims, threshold: xr.DataArray | None = None
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Where original and decoded are beyond the threshold (None: the original's percentile over `dims`), and where both
    are finite: three boolean arrays.
    """
    original, decoded = paired(original, decoded)
    if threshold is None:
        threshold = percentile(original, quantile, dims=dims)
    first, second = (beyond(array, threshold, quantile) for array in (original, decoded))
    return first, second, both_finite(original, decoded)


def beyond(array: xr.DataArray, threshold: xr.DataArray, quantile: float) -> xr.DataArray:
    """True in the tail: strictly above the float64 threshold for quantiles from 0.5 up, strictly below for those under
    it.
    """
    return array > threshold if quantile >= 0.5 else array < threshold


def percentiles(array: xr.DataArray, quantiles: Sequence[float], *, dims: Dims = None) -> xr.DataArray:
    """Quantiles of the finite values over `dims` (None: all), linearly interpolated (Hyndman and Fan's type 7, as
    numpy.quantile); float64 with a last dimension `quantile`, NaN where nothing is finite.

    Sorts a copy of the data: about 0.1 s per million values. Lazy arrays are loaded along the reduced dimensions.
    """
    reduced = reduced_dims(array, dims)
    if array.chunks is not None:
        array = array.chunk(dict.fromkeys(reduced, -1))
    result: xr.DataArray = xr.apply_ufunc(
        _percentiles,
        array,
        input_core_dims=[reduced],
        output_core_dims=[[QUANTILE]],
        kwargs={"quantiles": np.asarray(quantiles, dtype=np.float64), "axes": len(reduced)},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {QUANTILE: len(quantiles)}},
    )
    return result.assign_coords({QUANTILE: list(quantiles)})


def percentile(array: xr.DataArray, quantile: float, *, dims: Dims = None) -> xr.DataArray:
    """One of `percentiles`, without the extra dimension."""
    return percentiles(array, [quantile], dims=dims).isel({QUANTILE: 0}, drop=True)


@dataclass(frozen=True)
class TailCurves:
    """For drawing: quantiles of both sides [probability], and errors by value: centres of bins of the original's values
    [bin], and in each mean error, lowest, highest, and the 1 % and 99 % quantile of the error; NaN where empty.
    """

    probability: Floats
    original: Floats
    decoded: Floats
    value: Floats
    mean: Floats
    lowest: Floats
    low: Floats
    high: Floats
    highest: Floats


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


def _percentiles(values: NDArray[np.floating[Any]], *, quantiles: Floats, axes: int) -> Floats:
    """values [..., reduced axes] -> [..., quantile]."""
    flat = values.reshape(*values.shape[: values.ndim - axes], -1)
    ordered = np.sort(np.where(np.isfinite(flat), flat, np.nan), axis=-1)  # NaN comes last
    count = np.isfinite(flat).sum(axis=-1)[..., None]
    position = quantiles * np.maximum(count - 1, 0)
    lower = np.floor(position).astype(np.intp)
    upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
    below, above = (np.take_along_axis(ordered, index, axis=-1).astype(np.float64) for index in (lower, upper))
    return np.asarray(below + (position - lower) * (above - below))

"""Errors in the tails of a distribution: where the original lies beyond one of its percentiles.

Same signature as nnzip.evaluate.mean, with the `quantile` that bounds the tail: from 0.5 up the tail is what lies
strictly above that percentile of the original, else what lies strictly below. The percentile is taken over `dims`,
unless a `threshold` is given: `percentile(original, 0.99, dims="time")` is one for every cell. e is decoded minus
original.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.evaluate.mean import Dims, error_of, reduced_dims, weighted_mean

Floats = NDArray[np.float64]

QUANTILE = "quantile"


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
    error = _tail_error(original, decoded, quantile, dims, threshold)
    return np.sqrt(weighted_mean(error**2, dims, weights))  # type: ignore[return-value]


def tail_bias(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    quantile: float = 0.99,
    threshold: xr.DataArray | None = None,
) -> xr.DataArray:
    """mean(w e) over the values of the tail: negative in the upper tail where compression flattens maxima."""
    return weighted_mean(_tail_error(original, decoded, quantile, dims, threshold), dims, weights)


def tail_max_error(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    quantile: float = 0.99,
    threshold: xr.DataArray | None = None,
) -> xr.DataArray:
    """Largest |e| over the values of the tail. Cells of zero weight do not count."""
    error = abs(_tail_error(original, decoded, quantile, dims, threshold))
    return (error if weights is None else error.where(weights > 0)).max(dims)


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


def _tail_error(
    original: xr.DataArray, decoded: xr.DataArray, quantile: float, dims: Dims, threshold: xr.DataArray | None
) -> xr.DataArray:
    """e in the tail, NaN elsewhere."""
    if threshold is None:
        threshold = percentile(original, quantile, dims=dims)
    return error_of(original, decoded).where(beyond(original, threshold, quantile))


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

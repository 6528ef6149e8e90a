"""Whether regions and spells of extremes overlap: intersection over union of boolean sets, and heat waves."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grids import require_grid
from nnzip.evaluate.errors import Dims, both_finite, paired, reduced_dims
from nnzip.evaluate.extremes.tails import percentile

HOT = 0.9  # quantile of the daily maximum of every cell, and the days below: CTX90pct of Perkins and Alexander (2013)
HOT_DAYS = 3


def threshold_overlap(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    threshold: float | xr.DataArray,
    above: bool = True,
) -> xr.DataArray:
    """Intersection over union of the regions above (or below) a threshold in the variable's units; 1 is identical,
    NaN where neither side has one.
    """
    original, decoded = paired(original, decoded)
    sets = [array > threshold if above else array < threshold for array in (original, decoded)]
    return overlap(*sets, dims=dims, weights=weights, valid=both_finite(original, decoded))


def heat_wave_overlap(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Intersection over union of the days that belong to a heat wave; both arrays hold daily maxima.

    A heat wave is at least 3 days in a row above the cell's own 90th percentile in the original record (after
    CTX90pct of Perkins and Alexander 2013, doi:10.1175/JCLI-D-12-00383.1, whose percentile is one of the calendar day
    over 30 years: with shorter records these are the warmest spells of the record).
    """
    original, decoded = paired(original, decoded)
    time = require_time(original)
    threshold = percentile(original, HOT, dims=time)
    sets = [spells(array > threshold, time, HOT_DAYS) for array in (original, decoded)]
    return overlap(*sets, dims=dims, weights=weights, valid=both_finite(original, decoded))


def overlap(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    valid: xr.DataArray | None = None,
) -> xr.DataArray:
    """sum(w (A and B)) / sum(w (A or B)) of two boolean arrays; NaN where both are empty."""
    both, either = original & decoded, original | decoded
    if valid is not None:
        both, either = both & valid, either & valid
    weight = 1.0 if weights is None else weights
    reduced = reduced_dims(original, dims)
    union = (either * weight).sum(reduced)
    return (both * weight).sum(reduced) / union.where(union > 0)


def spells(days: xr.DataArray, time: str, shortest: int) -> xr.DataArray:
    """The True values of `days` that stand in a run of at least `shortest` along time; boolean, same shape."""
    if days.chunks is not None:
        days = days.chunk({time: -1})
    result: xr.DataArray = xr.apply_ufunc(
        _spells,
        days,
        input_core_dims=[[time]],
        output_core_dims=[[time]],
        kwargs={"shortest": shortest},
        dask="parallelized",
        output_dtypes=[np.bool_],
    )
    return result.transpose(*days.dims)


def run_lengths(days: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many True values in a row end at every position along the last axis; int64, same shape."""
    total = np.cumsum(days, axis=-1)
    return np.asarray(total - np.maximum.accumulate(np.where(days, 0, total), axis=-1))


def require_time(array: xr.DataArray) -> str:
    """The time dimension of an array that has one."""
    time = require_grid(array).time
    if time is None:
        raise ValueError(f"{array.name!r} has no time dimension")
    return time


def _spells(days: NDArray[np.bool_], *, shortest: int) -> NDArray[np.bool_]:
    forward = run_lengths(days)
    backward = run_lengths(days[..., ::-1])[..., ::-1]
    return np.asarray(days & (forward + backward - 1 >= shortest))

"""Return levels of annual maxima by the generalised extreme value distribution, fitted by L-moments.

Hosking, Wallis and Wood (1985), doi:10.1080/00401706.1985.10488049; Hosking and Wallis (1997), Regional Frequency
Analysis, doi:10.1017/CBO9780511529443, section 2.7 and appendix A.7. L-moments suit samples of some tens of years
better than maximum likelihood, and are closed formulas for all cells at once. Needs scipy (extra `nnzip[extremes]`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.evaluate.errors import Floats
from nnzip.evaluate.extremes.indices import YEAR
from nnzip.evaluate.extremes.regions import require_time

SHORTEST = {20: 20, 50: 25}
"""Years of record that a return level needs: at least half its period, and 20."""

_COMPLETE = 0.9  # of the longest year's steps: years with fewer are left out
_FLAT = 1e-6  # shapes this close to 0 are taken as Gumbel's


def annual_maxima(array: xr.DataArray) -> xr.DataArray:
    """Largest value of every complete calendar year, over (year, ...); a year with less than 90 % of the longest
    one's time steps is left out.
    """
    years = array[require_time(array)].dt.year.rename(YEAR)
    numbers, counts = np.unique(years.values, return_counts=True)
    complete = numbers[counts >= _COMPLETE * counts.max()]
    return array.groupby(years).max().sel({YEAR: complete})


def return_level(maxima: xr.DataArray, years: float) -> xr.DataArray:
    """The value exceeded once in `years` years on average, from annual maxima over (year, ...); float64, in their
    units. NaN where a maximum is missing or all are equal.

    Raises ValueError for fewer than 3 maxima; whether a record is long enough to trust is the caller's to judge
    (SHORTEST).
    """
    if maxima.sizes[YEAR] < 3:
        raise ValueError(f"{maxima.sizes[YEAR]} annual maxima: a distribution of three parameters needs more")
    if maxima.chunks is not None:
        maxima = maxima.chunk({YEAR: -1})
    level: xr.DataArray = xr.apply_ufunc(
        _return_level,
        maxima,
        input_core_dims=[[YEAR]],
        kwargs={"years": years},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return level


def gev_parameters(sample: NDArray[np.floating[Any]]) -> tuple[Floats, Floats, Floats]:
    """Shape k (scipy's sign: k > 0 is bounded above), location and scale of samples [..., year]; float64 [...]."""
    from scipy.special import gamma

    first, second, third = l_moments(sample)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 2 / (3 + third / second) - math.log(2) / math.log(3)
        shape = 7.8590 * ratio + 2.9554 * ratio**2
        shape = np.where(np.abs(shape) < _FLAT, _FLAT, shape)
        factor = gamma(1 + shape)
        scale = second * shape / ((1 - 2.0**-shape) * factor)
        location = first - scale * (1 - factor) / shape
    return shape, location, scale


def l_moments(sample: NDArray[np.floating[Any]]) -> tuple[Floats, Floats, Floats]:
    """The first three unbiased sample L-moments of samples [..., year] (Hosking 1990, section 3); float64 [...]."""
    ordered = np.sort(np.asarray(sample, dtype=np.float64), axis=-1)
    size = ordered.shape[-1]
    rank = np.arange(size)
    b0 = ordered.mean(axis=-1)
    b1 = (ordered * (rank / (size - 1))).mean(axis=-1)
    b2 = (ordered * (rank * (rank - 1) / ((size - 1) * (size - 2)))).mean(axis=-1)
    return b0, 2 * b1 - b0, 6 * b2 - 6 * b1 + b0


def _return_level(maxima: NDArray[np.floating[Any]], *, years: float) -> Floats:
    shape, location, scale = gev_parameters(maxima)
    with np.errstate(invalid="ignore"):
        level = location + scale / shape * (1 - (-math.log(1 - 1 / years)) ** shape)
    return np.where(np.isfinite(level), level, np.nan)

"""Climate extremes indices of the ETCCDI, one map per calendar year, for comparison by nnzip.evaluate.errors.

Definitions: Zhang et al. (2011), doi:10.1002/wcc.147, and etccdi.pacificclimate.org/list_27_indices.shtml. Days are
UTC calendar days of the time stamps; of a year that is not complete the days there are. An index is a function of one
dataset; its error is `rmse(txx(original), txx(decoded))`, and so on for every metric of one signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grids import find_grid
from nnzip.evaluate.extremes.regions import require_time, run_lengths
from nnzip.evaluate.extremes.tails import percentile

WET = 1.0  # mm a day
VERY_WET = 0.95
FEWEST_WET_DAYS = 20
DAY = 86400.0
YEAR = "year"

_TEMPERATURES = {"t2m", "2t", "tas", "tasmax", "tasmin", "mx2t", "mn2t", "2m_temperature"}
_RAIN = {"tp", "pr", "precip", "rr", "total_precipitation", "mtpr", "avg_tprate"}
_RAIN_NAMES = {
    "precipitation_amount", "lwe_thickness_of_precipitation_amount", "precipitation_flux", "lwe_precipitation_rate",
}  # fmt: skip
_AMOUNTS = {"m": 1000.0, "mm": 1.0, "kg m-2": 1.0, "m of water equivalent": 1000.0}  # to mm
_RATES = {
    "kg m-2 s-1": DAY, "mm s-1": DAY, "m s-1": 1000 * DAY, "mm h-1": 24.0, "mm/h": 24.0, "mm/day": 1.0, "mm d-1": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Index:
    """An ETCCDI index: its name, what it is in words, and its units (empty: the variable's own)."""

    name: str
    description: str
    units: str
    of: Callable[[xr.DataArray, xr.DataArray], xr.DataArray]
    """(daily values, the original's daily values) -> one map per year; the latter set the percentiles."""


TEMPERATURE_INDICES = (
    Index("TXx", "highest daily maximum", "", lambda daily, _: txx(daily)),
    Index("TNn", "lowest daily minimum", "", lambda daily, _: tnn(daily)),
)
RAIN_INDICES = (
    Index("Rx1day", "largest one-day precipitation", "mm", lambda daily, _: rx1day(daily)),
    Index("R95p", "precipitation of very wet days", "mm", lambda daily, first: r95p(daily, wet_percentile(first))),
    Index("CDD", "longest dry spell", "days", lambda daily, _: cdd(daily)),
)


def txx(daily_maximum: xr.DataArray) -> xr.DataArray:
    """Highest daily maximum temperature of every year; over (year, ...), in the variable's units."""
    return _by_year(daily_maximum).max()


def tnn(daily_minimum: xr.DataArray) -> xr.DataArray:
    """Lowest daily minimum temperature of every year."""
    return _by_year(daily_minimum).min()


def rx1day(daily_rain: xr.DataArray) -> xr.DataArray:
    """Largest precipitation of one day of every year, mm."""
    return _by_year(daily_rain).max()


def r95p(daily_rain: xr.DataArray, threshold: xr.DataArray) -> xr.DataArray:
    """Precipitation of all wet days above the threshold of `wet_percentile`, summed over every year, mm; NaN where that
    has no threshold.
    """
    very_wet = daily_rain.where((daily_rain >= WET) & (daily_rain > threshold), 0.0)
    return _by_year(very_wet).sum().where(threshold.notnull())


def wet_percentile(daily_rain: xr.DataArray) -> xr.DataArray:
    """95th percentile of the precipitation of wet days (at least 1 mm) of every cell over the whole record, mm.

    ETCCDI takes 1961 to 1990; a record that need not hold those years is its own reference here. NaN for cells with
    fewer than 20 wet days, whose percentile would be their wettest day.
    """
    time = require_time(daily_rain)
    wet = daily_rain >= WET
    return percentile(daily_rain.where(wet), VERY_WET, dims=time).where(wet.sum(time) >= FEWEST_WET_DAYS)


def cdd(daily_rain: xr.DataArray) -> xr.DataArray:
    """Longest run of days with less than 1 mm of every year, in days; a missing day ends a run."""
    time = require_time(daily_rain)
    dry = daily_rain < WET
    if dry.chunks is not None:
        dry = dry.chunk({time: -1})

    def longest(year: xr.DataArray) -> xr.DataArray:
        found: xr.DataArray = xr.apply_ufunc(
            _longest_run, year, input_core_dims=[[time]], dask="parallelized", output_dtypes=[np.float64]
        )
        return found

    return _by_year(dry).map(longest)


def daily(array: xr.DataArray, how: str) -> xr.DataArray:
    """Daily "max", "min" or "sum" (of amounts, mm; rates are averaged and become mm) of sub-daily values."""
    time = require_time(array)
    if how != "sum":
        return getattr(array.resample({time: "1D"}), how)()  # type: ignore[no-any-return]
    units = _plain_units(array)
    if units in _RATES:
        return array.astype(np.float64).resample({time: "1D"}).mean() * _RATES[units]
    return array.astype(np.float64).resample({time: "1D"}).sum(min_count=1) * _AMOUNTS[units]


def indices_of(array: xr.DataArray) -> tuple[tuple[Index, str], ...]:
    """The indices that a variable allows, each with how its days are made ("max", "min", "sum"): near-surface
    temperature, precipitation in known units, others none.
    """
    grid = find_grid(array)
    if grid is None or grid.time is None:
        return ()
    names = {str(array.name).lower(), str(array.attrs.get("GRIB_shortName", ""))}
    standard = str(array.attrs.get("standard_name", ""))
    if names & _TEMPERATURES:
        return ((TEMPERATURE_INDICES[0], "max"), (TEMPERATURE_INDICES[1], "min"))
    if (names & _RAIN or standard in _RAIN_NAMES) and _plain_units(array) in {**_AMOUNTS, **_RATES}:
        return tuple((index, "sum") for index in RAIN_INDICES)
    return ()


def steps_per_day(array: xr.DataArray) -> float | None:
    """How many time steps a day has (median spacing), None without real times or with a single one."""
    grid = find_grid(array)
    if grid is None or grid.time is None or grid.time not in array.coords or array.sizes[grid.time] < 2:
        return None
    times = array[grid.time].values
    if times.dtype.kind == "M":
        spacing = float(np.median(np.diff(times) / np.timedelta64(1, "s")))
    elif times.dtype.kind == "O" and hasattr(times[0], "calendar"):
        spacing = float(np.median([step.total_seconds() for step in np.diff(times)]))
    else:
        return None
    return DAY / spacing if spacing > 0 else None


def _by_year(array: xr.DataArray) -> xr.core.groupby.DataArrayGroupBy:
    return array.groupby(array[require_time(array)].dt.year.rename(YEAR))


def _longest_run(dry: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(run_lengths(dry).max(axis=-1), dtype=np.float64)


def _plain_units(array: xr.DataArray) -> str:
    """Units without powers' asterisks: kg m**-2 -> kg m-2."""
    return str(array.attrs.get("units", "")).replace("**", "").strip()

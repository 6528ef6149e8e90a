"""Which dimensions of a variable are time, latitude and longitude, and whether those are real degrees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.errors import InputError

_TIME_NAMES = {
    "valid_time", "time", "t", "datetime", "date", "times", "xtime", "time_counter", "step", "lead_time", "leadtime",
    "forecast_period", "forecast_hour", "prediction_timedelta", "year", "month", "dayofyear", "hour",
}  # fmt: skip
_LATITUDE_NAMES = {"latitude", "lat", "nav_lat"}
_LONGITUDE_NAMES = {"longitude", "lon", "nav_lon"}
_Y_NAMES = {"y", "nlat", "rlat", "south_north"}
_X_NAMES = {"x", "nlon", "rlon", "west_east"}
_FULL_CIRCLE = 360.0


@dataclass(frozen=True)
class Grid:
    """The horizontal grid of one variable.

    latitude, longitude: dimension names; time: dimension name, of several time-like ones (analysis time and forecast
    step) the longest, None when there is none; channels: every other dimension, in source order. geographic: True when
    both horizontal coordinates are one-dimensional degrees (areas and distances are then known).
    """

    time: str | None
    latitude: str
    longitude: str
    channels: tuple[str, ...]
    geographic: bool


def find_grid(array: xr.DataArray) -> Grid | None:
    """Recognises the grid by CF attributes, then by the usual names; the last two dimensions are index space when
    neither helps.

    None when the variable has no horizontal grid (fewer than two dimensions besides time, or fewer than two points
    along one of them).
    """
    dims = [str(dim) for dim in array.dims]
    latitude = next(
        (dim for dim in dims if _is_horizontal(array, dim, "latitude", "degrees_north", _LATITUDE_NAMES)), None
    )
    longitude = next(
        (dim for dim in dims if _is_horizontal(array, dim, "longitude", "degrees_east", _LONGITUDE_NAMES)), None
    )
    if latitude is None or longitude is None:
        latitude = next((dim for dim in dims if dim.lower() in _Y_NAMES), None)
        longitude = next((dim for dim in dims if dim.lower() in _X_NAMES), None)
    times = [dim for dim in dims if dim not in (latitude, longitude) and _is_time(array, dim)]
    time = max(times, key=lambda dim: array.sizes[dim], default=None)
    if latitude is None or longitude is None:
        spatial = [dim for dim in dims if dim != time]
        if len(spatial) < 2 or spatial != dims[-len(spatial) :]:
            return None
        latitude, longitude = spatial[-2:]
    if array.sizes[latitude] < 2 or array.sizes[longitude] < 2:
        return None
    channels = tuple(dim for dim in dims if dim not in (time, latitude, longitude))
    geographic = _has_degrees(array, latitude, "latitude") and _has_degrees(array, longitude, "longitude")
    return Grid(time, latitude, longitude, channels, geographic)


def require_grid(array: xr.DataArray) -> Grid:
    """find_grid, or InputError when the variable has no horizontal grid."""
    grid = find_grid(array)
    if grid is None:
        raise InputError(f"variable {array.name!r} has no latitude-longitude grid: its dimensions are {array.dims}")
    return grid


def degrees(array: xr.DataArray, dim: str) -> NDArray[np.float64]:
    """The coordinate along dim as float64 [points]."""
    return np.asarray(array[dim].values, dtype=np.float64)


def with_dates(array: xr.DataArray) -> xr.DataArray:
    """The array with dates as its time coordinate where only another coordinate along time holds them: valid_time(step)
    of forecasts.
    """
    dim = require_grid(array).time
    dated = [name for name, c in array.coords.items() if c.dims == (dim,) and _holds_dates(c)]
    if not dated or dim in dated:
        return array
    name = "valid_time" if "valid_time" in dated else dated[0]
    return array.assign_coords({dim: (dim, array[name].values)})


def coordinate_label(array: xr.DataArray, dim: str, index: int) -> str | float:
    """The coordinate value at one index: a number, or text (times to the minute, durations in hours); the index where
    there is no coordinate.
    """
    if dim not in array.coords or array[dim].ndim != 1:
        return float(index)
    value = array[dim].values[index]
    if isinstance(value, np.datetime64):
        return "unknown" if np.isnat(value) else str(value.astype("datetime64[m]")).replace("T", " ")
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 'h'):g} h"
    if not isinstance(value, np.number):
        return str(value)
    units = str(array[dim].attrs.get("units", ""))
    return float(value) if units in ("", "1") or units.startswith("degree") else f"{value:g} {units}"


def is_periodic(longitude: NDArray[np.float64]) -> bool:
    """True when evenly spaced longitudes [points], in degrees, close the circle: the step after the last is the first
    again.
    """
    steps = np.diff(longitude)
    step = float(np.mean(steps))
    even = bool(np.all(np.abs(steps - step) <= 1e-3 * abs(step)))
    return even and abs(abs(step) * longitude.size - _FULL_CIRCLE) <= 0.01 * abs(step) * longitude.size**0.5


def _is_time(array: xr.DataArray, dim: str) -> bool:
    """The rule of nnzip.data.conventions, which tests compare: attributes, dates, durations or a usual name, of the
    dimension or of a coordinate along it.
    """
    along = [coordinate for coordinate in array.coords.values() if coordinate.dims == (dim,)]
    named = any(name.lower() in _TIME_NAMES for name in (dim, *(str(coordinate.name) for coordinate in along)))
    marked = any(c.attrs.get("standard_name") == "time" or c.attrs.get("axis") == "T" for c in along)
    return named or marked or array[dim].dtype.kind == "m" or any(map(_holds_dates, along))


def _holds_dates(coordinate: xr.DataArray) -> bool:
    if coordinate.dtype.kind == "M":
        return True
    return coordinate.dtype.kind == "O" and coordinate.size > 0 and hasattr(coordinate.values.flat[0], "timetuple")


def _is_horizontal(array: xr.DataArray, dim: str, standard_name: str, units: str, names: set[str]) -> bool:
    attrs = array[dim].attrs if dim in array.coords else {}
    return attrs.get("standard_name") == standard_name or attrs.get("units") == units or dim.lower() in names


def _has_degrees(array: xr.DataArray, dim: str, standard_name: str) -> bool:
    if dim not in array.coords or array[dim].ndim != 1 or array[dim].dtype.kind not in "fiu":
        return False
    attrs = array[dim].attrs
    names = _LATITUDE_NAMES if standard_name == "latitude" else _LONGITUDE_NAMES
    named = (
        attrs.get("standard_name") == standard_name
        or str(attrs.get("units", "")).startswith("degree")
        or dim.lower() in names
    )
    values = degrees(array, dim)
    limit = 90.0 if standard_name == "latitude" else 720.0
    return named and bool(np.all(np.isfinite(values)) and np.all(np.abs(values) <= limit + 1e-6))

"""The horizontal grid of one variable, by the rules of `nnzip.data.conventions`, and labels of its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.conventions import Axis, dimension_roles, horizontal_axis, time_coordinate, variable_dims
from nnzip.errors import InputError

_NAME = "_values"  # of an array as the only variable of a dataset


@dataclass(frozen=True, eq=False)
class Grid:
    """The horizontal grid of one variable.

    latitude, longitude: dimension names. time: dimension name, the longest of several time-like ones; None without
    any. channels: the other dimensions, in source order. geographic: both axes are degrees, so areas and distances are
    known. latitudes, longitudes: degrees, or 0, 1, 2, ... in index space; float64 [points].
    """

    time: str | None
    latitude: str
    longitude: str
    channels: tuple[str, ...]
    geographic: bool
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]


def find_grid(array: xr.DataArray) -> Grid | None:
    """The grid of `array`: its latitude and longitude as `compress` finds them, else its last two dimensions.

    None without a horizontal grid: fewer than two dimensions besides time, or fewer than two points along one of them.
    """
    dataset = array.to_dataset(name=_NAME)
    found = variable_dims(dataset, _NAME, dimension_roles(dataset))
    time, dims = found.get("time"), [str(dim) for dim in array.dims]
    if "latitude" in found and "longitude" in found:
        latitude, longitude = found["latitude"], found["longitude"]
    else:
        spatial = [dim for dim in dims if dim != time]
        if len(spatial) < 2 or spatial != dims[-len(spatial) :]:
            return None
        latitude, longitude = spatial[-2:]
    if array.sizes[latitude] < 2 or array.sizes[longitude] < 2:
        return None
    rows, columns = horizontal_axis(dataset, latitude, "latitude"), horizontal_axis(dataset, longitude, "longitude")
    geographic = rows.geographic and columns.geographic
    if not geographic:
        rows, columns = (
            Axis(dim, np.arange(array.sizes[dim], dtype=np.float64), False) for dim in (latitude, longitude)
        )
    channels = tuple(dim for dim in dims if dim not in (time, latitude, longitude))
    return Grid(time, latitude, longitude, channels, geographic, rows.values, columns.values)


def require_grid(array: xr.DataArray) -> Grid:
    """`find_grid`, or InputError when the variable has no horizontal grid."""
    grid = find_grid(array)
    if grid is None:
        raise InputError(f"variable {array.name!r} has no latitude-longitude grid: its dimensions are {array.dims}")
    return grid


def with_dates(array: xr.DataArray) -> xr.DataArray:
    """The array with dates as its time coordinate, also where another coordinate holds them: valid_time(step)."""
    dim = require_grid(array).time
    dates = None if dim is None else time_coordinate(array.to_dataset(name=_NAME), dim)
    if dates is None or dates.name == dim:
        return array
    return array.assign_coords({dim: (dim, dates.values)})


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

"""Cyclone centres: where the pressure or height of a box is lowest, how deep, how far displaced, how windy.

A centre is the deepest grid point of the box (its outermost rows and columns left out) that none of its eight
neighbours undercuts, so that a trough reaching in from outside is no centre. Positions are those of the grid.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grids import find_grid, require_grid
from nnzip.evaluate.errors import Floats, weighted_mean
from nnzip.evaluate.weights import area_weights

EARTH_RADIUS = 6371.0  # km

_PRESSURE_NAMES = {"msl", "mslp", "psl", "prmsl", "slp", "sp", "ps", "mean_sea_level_pressure", "surface_pressure"}
_HEIGHT_NAMES = {"z", "gh", "zg", "hgt", "z500", "geopotential", "geopotential_height"}
_WINDS = (("u10", "v10"), ("10u", "10v"), ("u", "v"), ("uas", "vas"), ("ua", "va"))
_SPEEDS = ("si10", "ws", "ws10", "sfcwind", "wind_speed")


def track(array: xr.DataArray) -> xr.Dataset:
    """The centre in every horizontal field of a box of pressure or height, over its other dimensions.

    Variables: `latitude`, `longitude` (degrees), `minimum` (the value there) and `depth` (area-weighted mean of the box
    minus the minimum), float64; all NaN where the box holds no closed minimum.
    """
    grid = require_grid(array)
    plane = [grid.latitude, grid.longitude]
    if array.chunks is not None:
        array = array.chunk(dict.fromkeys(plane, -1))
    place: xr.DataArray = xr.apply_ufunc(
        _deepest,
        array,
        input_core_dims=[plane],
        output_core_dims=[["place"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"place": 3}},
    )
    place = place.drop_vars(plane, errors="ignore")
    row, column, minimum = (place.isel(place=i) for i in range(3))
    mean = weighted_mean(array.astype(np.float64), plane, area_weights(array)).drop_vars(plane, errors="ignore")
    return xr.Dataset(
        {
            "latitude": _coordinate(grid.latitudes, row),
            "longitude": _coordinate(grid.longitudes, column),
            "minimum": minimum,
            "depth": mean - minimum,
        }
    )


def displacement(first: xr.Dataset, second: xr.Dataset) -> xr.DataArray:
    """Great-circle distance in km between two tracks, field by field."""
    return great_circle(first.latitude, first.longitude, second.latitude, second.longitude)


def great_circle(
    latitude: xr.DataArray, longitude: xr.DataArray, to_latitude: xr.DataArray, to_longitude: xr.DataArray
) -> xr.DataArray:
    """Distance in km on a sphere of 6371 km between points in degrees (haversine formula, exact for near points)."""
    a, b = np.deg2rad(latitude), np.deg2rad(to_latitude)
    north, east = (b - a) / 2, np.deg2rad(to_longitude - longitude) / 2
    chord = np.sin(north) ** 2 + np.cos(a) * np.cos(b) * np.sin(east) ** 2
    return 2 * EARTH_RADIUS * np.arcsin(np.sqrt(chord))  # type: ignore[no-any-return]


def wind_speed(dataset: xr.Dataset) -> xr.DataArray | None:
    """Wind speed, float64, from the first of its usual variables or component pairs that the dataset has, named after
    them; None where it has none.
    """
    by_name = {str(name).lower(): array for name, array in dataset.data_vars.items() if find_grid(array) is not None}
    for east, north in _WINDS:
        if east in by_name and north in by_name and by_name[east].dims == by_name[north].dims:
            u, v = (by_name[name].astype(np.float64) for name in (east, north))
            speed: xr.DataArray = np.hypot(u, v)  # type: ignore[assignment]
            return speed.rename(f"{east}, {north}").assign_attrs(units=by_name[east].attrs.get("units", ""))
    return next((by_name[name].astype(np.float64) for name in _SPEEDS if name in by_name), None)


def tracked_variable(dataset: xr.Dataset) -> str | None:
    """The variable a cyclone is tracked by: sea level or surface pressure before (geopotential) height; None where the
    dataset has neither on a geographic grid.
    """
    gridded = [array for array in dataset.data_vars.values() if array.dtype.kind == "f" and _is_geographic(array)]
    for kind in (_is_pressure, _is_height):
        for array in gridded:
            if kind(array):
                return str(array.name)
    return None


def _is_geographic(array: xr.DataArray) -> bool:
    grid = find_grid(array)
    return grid is not None and grid.geographic


def _is_pressure(array: xr.DataArray) -> bool:
    standard = str(array.attrs.get("standard_name", ""))
    return str(array.name).lower() in _PRESSURE_NAMES or standard.startswith(
        ("air_pressure_at", "surface_air_pressure", "air_pressure_at_mean_sea_level")
    )


def _is_height(array: xr.DataArray) -> bool:
    text = " ".join(str(array.attrs.get(key, "")) for key in ("standard_name", "long_name")).lower().replace("_", " ")
    return str(array.name).lower() in _HEIGHT_NAMES or "geopotential" in text


def _coordinate(values: Floats, index: xr.DataArray) -> xr.DataArray:
    """values[index], NaN where the index is."""
    found: xr.DataArray = xr.apply_ufunc(
        lambda i: np.where(np.isfinite(i), values[np.nan_to_num(i).astype(np.intp)], np.nan),
        index,
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return found


def _deepest(field: NDArray[np.floating]) -> Floats:
    """(row, column, value) of the deepest closed minimum of a field [row, column], NaN where there is none."""
    none = np.full(3, np.nan)
    if min(field.shape) < 3:
        return none
    values = np.where(np.isfinite(field), field, np.inf)
    inner = values[1:-1, 1:-1]
    rows, columns = inner.shape
    around = [values[i : i + rows, j : j + columns] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    closed = np.where(np.isfinite(inner) & (inner <= np.min(around, axis=0)), inner, np.inf)
    place = int(np.argmin(closed))
    row, column = divmod(place, columns)
    if not np.isfinite(closed[row, column]):
        return none
    return np.array([row + 1.0, column + 1.0, float(closed[row, column])])

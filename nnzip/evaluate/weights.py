"""Exact cell areas as weights, from the sine of the latitude bounds (as WeatherBench 2, metrics.py)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grids import require_grid
from nnzip.errors import InputError

_POLE = 90.0


def latitude_weights(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative cell areas of latitudes [points] in degrees, ascending or descending, with mean 1; float64 [points].

    Cells meet halfway between points; the outermost reach half a step outwards, never past a pole. A grid with points
    on the poles, or with cell centres half a step from them, so covers the sphere exactly. Raises InputError when
    latitudes are not strictly monotonic.
    """
    values = np.asarray(latitude, dtype=np.float64)
    steps = np.diff(values)
    if values.size < 2 or not (np.all(steps > 0) or np.all(steps < 0)):
        raise InputError(
            f"cannot compute cell areas: the {values.size} latitudes are not strictly ascending or descending"
        )
    middle = (values[:-1] + values[1:]) / 2
    bounds = np.concatenate([[values[0] - steps[0] / 2], middle, [values[-1] + steps[-1] / 2]])
    areas = np.abs(np.diff(np.sin(np.deg2rad(np.clip(bounds, -_POLE, _POLE)))))
    return np.asarray(areas / areas.mean(), dtype=np.float64)


def area_weights(array: xr.DataArray) -> xr.DataArray:
    """Cell areas [latitude] of a variable's grid, mean 1; all ones in index space.

    Raises InputError when the variable has no horizontal grid.
    """
    grid = require_grid(array)
    values = latitude_weights(grid.latitudes) if grid.geographic else np.ones(grid.latitudes.size)
    coords = {grid.latitude: array[grid.latitude]} if grid.latitude in array.coords else None
    return xr.DataArray(values, dims=[grid.latitude], coords=coords, name="area_weights")

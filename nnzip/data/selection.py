"""A user's choice of variables, times and area, as positions along the axes.

Longitudes may be given and stored in either convention (-180..180 or 0..360), and an area may cross the seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.area import Area, parse_bbox
from nnzip.data.conventions import (
    Role,
    curvilinear_coordinates,
    degrees_coordinate,
    dimension_roles,
    referenced_variables,
    time_coordinate,
    variable_dims,
)
from nnzip.data.grouping import check_names
from nnzip.data.levels import Levels, select_levels
from nnzip.data.times import time_indices, time_text
from nnzip.errors import UsageError

Times = str | date | np.datetime64 | slice
"""Text as "2016-10-05" or "A/B", a date, or a slice of these with both ends included."""

_SLACK = 1e-4  # degrees: float32 longitudes are no closer to their decimal values


def bbox_indices(
    latitude: NDArray[Any], longitude: NDArray[Any], bbox: str | Sequence[float]
) -> tuple[slice, NDArray[np.intp]]:
    """Rows and columns inside `bbox`: a slice of the first axis and positions along the second.

    `latitude` [lat] and `longitude` [lon] in degrees, or both [y, x] (then the smallest rectangle of rows and columns
    that holds every point inside). An area that crosses the longitudes' seam gives positions from west to east, in the
    grid's own direction. An area between grid points gives the nearest row or column.
    Raises UsageError when it lies outside, naming the available range.
    """
    box = parse_bbox(bbox)
    if np.ndim(latitude) == 2:
        return _curvilinear_indices(np.asarray(latitude, np.float64), np.asarray(longitude, np.float64), box)
    rows = _latitude_positions(np.asarray(latitude, np.float64), box)
    return slice(int(rows[0]), int(rows[-1]) + 1), _longitude_positions(np.asarray(longitude, np.float64), box)


def inside_box(latitude: NDArray[Any], longitude: NDArray[Any], box: Area) -> NDArray[np.bool_]:
    """Grid points inside `box`, bool [lat, lon]; arguments and errors as for `bbox_indices`.

    A box between grid points holds the nearest row or column; of a repeated seam column it holds both.
    """
    rows, columns = bbox_indices(latitude, longitude, box)
    width = 360.0 if box.east - box.west >= 360 else (box.east - box.west) % 360
    eastward = _eastward(np.asarray(longitude, np.float64), box.west) <= width + _SLACK
    if np.ndim(latitude) == 2:
        inside: NDArray[np.bool_] = eastward & (latitude >= box.south - _SLACK) & (latitude <= box.north + _SLACK)
        return inside
    inside = np.zeros((np.size(latitude), np.size(longitude)), dtype=np.bool_)
    inside[rows] = eastward
    inside[rows, columns[:, None]] = True
    return inside


def selected_longitudes(
    longitude: NDArray[Any], columns: NDArray[np.intp], bbox: str | Sequence[float]
) -> NDArray[Any]:
    """Longitudes [columns] of a selection, continued across the seam so that they stay monotonic (same dtype)."""
    values: NDArray[Any] = longitude[columns]
    steps = np.diff(values)
    if ((steps > 0).all() or (steps < 0).all()) and (np.abs(steps) < 180).all():  # a larger step is the seam
        return values
    west = parse_bbox(bbox).west
    turns: NDArray[np.float64] = np.rint((west + _eastward(values.astype(np.float64), west) - values) / 360)
    return np.asarray(values + 360 * turns, dtype=longitude.dtype)


def subset(
    dataset: xr.Dataset,
    variables: Sequence[str] | None = None,
    time: Times | None = None,
    bbox: str | Sequence[float] | None = None,
    level: Levels | None = None,
) -> xr.Dataset:
    """The chosen part of `dataset`, lazily. Variables that the chosen ones point to (bounds, grid mapping) come along.

    Raises UsageError for unknown variables, and for a time, area or level outside the data or on data without such an
    axis; TypeError for other types of them.
    """
    if variables is not None:
        names = check_names(dataset, variables)
        dataset = dataset[[*names, *referenced_variables(dataset, names)]]
    if level is not None:
        dataset = select_levels(dataset, level)
    if time is None and bbox is None:
        return dataset
    roles = dimension_roles(dataset)
    axes: list[dict[Role, str]] = [variable_dims(dataset, str(name), roles) for name in dataset.data_vars]
    if time is not None:
        dataset = _select_time(dataset, [found["time"] for found in axes if "time" in found], time_text(time))
    if bbox is not None:
        grids = [(found["latitude"], found["longitude"]) for found in axes if {"latitude", "longitude"} <= found.keys()]
        dataset = _select_area(dataset, grids, bbox)
    return dataset


def _select_time(dataset: xr.Dataset, dims: list[str], text: str) -> xr.Dataset:
    if not dims:
        raise UsageError(f"the data have no time dimension, so the time {text!r} cannot be selected")
    for dim in dict.fromkeys(dims):
        coordinate = time_coordinate(dataset, dim)
        if coordinate is None:
            raise UsageError(f"the dimension {dim!r} has no dates, so the time {text!r} cannot be selected")
        dataset = dataset.isel({dim: time_indices(coordinate.to_numpy(), text)})
    return dataset


def _select_area(dataset: xr.Dataset, grids: list[tuple[str, str]], bbox: str | Sequence[float]) -> xr.Dataset:
    if not grids:
        raise UsageError("the data have no latitude and longitude dimensions, so no area can be selected")
    for south_north, west_east in dict.fromkeys(grids):
        latitude = degrees_coordinate(dataset, south_north, "latitude")
        longitude = degrees_coordinate(dataset, west_east, "longitude")
        curvilinear = curvilinear_coordinates(dataset, south_north, west_east)
        if latitude is not None and longitude is not None:
            rows, columns = bbox_indices(latitude.to_numpy(), longitude.to_numpy(), bbox)
            values = selected_longitudes(longitude.to_numpy(), columns, bbox)
            dataset = dataset.isel({south_north: rows, west_east: _slice_if_contiguous(columns)})
            renamed = dataset[longitude.name].copy(data=values)
            renamed.encoding = longitude.encoding
            dataset = dataset.assign_coords({longitude.name: renamed.variable})
        elif curvilinear is not None:
            order = (south_north, west_east)
            pair = [dataset[name].transpose(*order).to_numpy() for name in curvilinear]
            rows, columns = bbox_indices(pair[0], pair[1], bbox)
            dataset = dataset.isel({south_north: rows, west_east: _slice_if_contiguous(columns)})
        else:
            raise UsageError(
                f"the dimensions {south_north!r} and {west_east!r} have no degrees, so no area can be selected"
            )
    return dataset


def _slice_if_contiguous(positions: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    if (np.diff(positions) == 1).all():
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _latitude_positions(latitude: NDArray[np.float64], box: Area) -> NDArray[np.intp]:
    inside = np.flatnonzero((latitude >= box.south - _SLACK) & (latitude <= box.north + _SLACK))
    if inside.size:
        return inside
    distance = np.abs(latitude - (box.south + box.north) / 2)
    if distance.min() > _half_cell(np.abs(np.diff(latitude))):
        raise UsageError(
            f"the area's latitudes {box.south:g} to {box.north:g} lie outside the data's, {latitude.min():g} to "
            f"{latitude.max():g}"
        )
    return np.array([distance.argmin()])


def _longitude_positions(longitude: NDArray[np.float64], box: Area) -> NDArray[np.intp]:
    width = box.east - box.west
    if width >= 360:
        return np.arange(longitude.size)
    width %= 360
    offset = _eastward(longitude, box.west)
    inside = np.flatnonzero(offset <= width + _SLACK)
    if not inside.size:
        return _nearest_longitude(longitude, box, width)
    steps = np.diff(offset[inside])
    if (steps >= 0).all() or (steps <= 0).all():
        return inside
    eastward = inside[np.argsort(offset[inside], kind="stable")]
    eastward = eastward[np.diff(offset[eastward], prepend=-1.0) > _SLACK]  # a repeated seam column once
    return eastward if np.median(np.diff(longitude)) > 0 else eastward[::-1]


def _nearest_longitude(longitude: NDArray[np.float64], box: Area, width: float) -> NDArray[np.intp]:
    distance = np.abs((longitude - (box.west + width / 2) + 180) % 360 - 180)
    gaps = np.abs((np.diff(longitude) + 180) % 360 - 180)
    if distance.min() > _half_cell(gaps):
        raise UsageError(
            f"the area's longitudes {box.west:g} to {box.east:g} lie outside the data's, {longitude.min():g} to "
            f"{longitude.max():g}"
        )
    return np.array([distance.argmin()])


def _curvilinear_indices(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], box: Area
) -> tuple[slice, NDArray[np.intp]]:
    inside = (latitude >= box.south - _SLACK) & (latitude <= box.north + _SLACK)
    if box.east - box.west < 360:
        inside &= _eastward(longitude, box.west) <= (box.east - box.west) % 360 + _SLACK
    if not inside.any():
        raise UsageError(
            f"the area {','.join(f'{part:g}' for part in box)} holds no grid point: the data's latitudes run from "
            f"{np.nanmin(latitude):g} to {np.nanmax(latitude):g}, the longitudes from {np.nanmin(longitude):g} to "
            f"{np.nanmax(longitude):g}"
        )
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), np.arange(columns[0], columns[-1] + 1)


def _eastward(longitude: NDArray[np.float64], west: float) -> NDArray[np.float64]:
    """Degrees from `west` eastward, from -_SLACK to 360 - _SLACK."""
    return (longitude - west + _SLACK) % 360 - _SLACK


def _half_cell(spacing: NDArray[np.float64]) -> float:
    return float(spacing.max(initial=0.0)) / 2 + _SLACK

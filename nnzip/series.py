"""Series at places from an archive, as CF discrete sampling geometry (CF conventions 1.11, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.selection import Times, subset
from nnzip.data.stations import Stations
from nnzip.errors import UsageError
from nnzip.read import Archive

STATION = "station"


def series_at(
    archive: Archive,
    stations: Stations,
    variables: Sequence[str] | None = None,
    time: Times | None = None,
    level: str | float | Sequence[float] | None = None,
    progress: Callable[[float], None] | None = None,
) -> xr.Dataset:
    """Values [time, level or member ..., station] of the gridded variables at each place, linear between grid points,
    missing where the nearest one is; an interpolated value is within the bound of the interpolated original.

    `progress`: is told the finished share. Raises UsageError for places outside the grid and variables without one.
    Every tile is decoded once. Memory: the result, and the tiles of some time steps.
    """
    dataset = archive.dataset()
    positions = {f"_{dim}": (dim, np.arange(size)) for dim, size in dataset.sizes.items()}
    chosen = subset(dataset.assign_coords(positions), variables, time, None, level)
    manifest = archive.manifest
    found: dict[str, xr.Variable] = {}
    names = [str(name) for name in chosen.data_vars if name in manifest.variables]
    for number, (name, entry) in enumerate(manifest.variables.items()):
        if name not in names:
            continue
        grid, source = manifest.grids[entry.grid], archive.grids[entry.grid]
        if not (source.latitude.geographic and source.longitude.geographic):
            raise UsageError(f"{name!r} has no regular latitudes and longitudes: it has no series at places")
        rows, columns = _positions(source.latitude.positions, source.longitude.positions, stations)
        dims = manifest.channel_dims(entry)
        along = [chosen[f"_{dim}"].to_numpy() for dim in dims]
        shape = manifest.shape(dims)
        channels = np.ravel_multi_index(np.ix_(*along), shape).ravel() if dims else np.zeros(1, dtype=np.intp)
        times = np.zeros(1, dtype=np.intp) if grid.time is None else chosen[f"_{grid.time}"].to_numpy()
        values = np.empty((rows.size, channels.size, times.size), dtype=entry.dtype)
        ends = np.cumsum(archive.tiles.sizes[number][1])
        for piece in np.split(
            np.arange(times.size), np.flatnonzero(np.diff(np.searchsorted(ends, times, "right"))) + 1
        ):
            for place in range(rows.size):
                one = slice(place, place + 1)
                part = archive.tiles.values(number, channels, times[piece], rows[one], columns[one])
                values[place][:, piece] = part[:, :, 0, 0]
            if progress is not None:
                progress((names.index(name) + (piece[-1] + 1) / times.size) / len(names))
        shaped = values.reshape(rows.size, *(positions.size for positions in along), times.size)
        shaped = np.moveaxis(np.moveaxis(shaped, -1, 0), 1, -1)
        attrs = {key: value for key, value in chosen[name].attrs.items() if key != "nnzip_rmse"}  # of other points
        if grid.time is None:
            found[name] = xr.Variable((*dims, STATION), shaped[0], attrs)
        else:
            found[name] = xr.Variable((grid.time, *dims, STATION), shaped, attrs)
    return _described(chosen, found, stations)


def _positions(latitude: Any, longitude: Any, stations: Stations) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fractional rows and columns of the places."""
    rows, columns = [], []
    for name, north, east in zip(stations.names, stations.latitude, stations.longitude, strict=True):
        try:
            rows.append(latitude(np.array([north]))[0])
            columns.append(longitude(np.array([east]))[0])
        except UsageError as error:
            raise UsageError(f"the place {name!r} ({north:g}, {east:g}) lies outside the data: {error}") from error
    return np.array(rows), np.array(columns)


def _described(chosen: xr.Dataset, found: dict[str, xr.Variable], stations: Stations) -> xr.Dataset:
    """The series with the coordinates that they still have, and those of the stations."""
    dims = {str(dim) for variable in found.values() for dim in variable.dims}
    coordinates = {
        name: coordinate.variable
        for name, coordinate in chosen.coords.items()
        if set(coordinate.dims) <= dims and not (str(name).startswith("_") and coordinate.dims == (str(name)[1:],))
    }
    text = np.array([name.encode() for name in stations.names])
    degrees = {
        "latitude": (stations.latitude, {"standard_name": "latitude", "units": "degrees_north"}),
        "longitude": (stations.longitude, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    coordinates |= {name: xr.Variable(STATION, values, attrs) for name, (values, attrs) in degrees.items()}
    coordinates["station_name"] = xr.Variable(STATION, text, {"cf_role": "timeseries_id", "long_name": "station name"})
    attrs = {**chosen.attrs, "featureType": "timeSeries"}
    return xr.Dataset(found, coordinates, attrs)

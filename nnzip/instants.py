"""A network between the times of its record: decoded at any instants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.container.manifest import Manifest
from nnzip.data.axes import SourceGrid
from nnzip.data.conventions import time_coordinate
from nnzip.data.times import seconds_since_epoch
from nnzip.errors import UsageError
from nnzip.tiles import Tiles

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:?\d\d(:?\d\d)?Z?")


class Archive(Protocol):
    """What is needed of a `read.Archive`."""

    tiles: Tiles

    @property
    def grids(self) -> tuple[SourceGrid, ...]:
        """The axes of its grids."""

    @property
    def manifest(self) -> Manifest:
        """What it says about itself."""

    def select(self, variables: Sequence[str] | None = None) -> xr.Dataset:
        """On the record's grid."""

    def regrid(
        self, latitude: NDArray[np.floating], longitude: NDArray[np.floating], variables: Sequence[str] | None = None
    ) -> xr.Dataset:
        """On another grid."""


def parse_instants(text: str | None) -> NDArray[np.datetime64] | None:
    """Times from "2016-10-05T12:20" or several with commas; None for anything else, as days and ranges are."""
    parts = [part.strip() for part in (text or "").split(",")]
    if not all(_INSTANT.fullmatch(part) for part in parts):
        return None
    try:
        return np.array([part.rstrip("Z").replace(" ", "T") for part in parts], dtype="datetime64[s]")
    except ValueError as error:
        raise UsageError(f"--time {text}: {error}") from error


def at_instants(
    archive: Archive,
    times: NDArray[np.datetime64],
    grid: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    variables: Sequence[str] | None = None,
) -> xr.Dataset:
    """Values at `times` [n], on the record's grid or on these latitudes and longitudes (degrees).

    Raises UsageError for times outside the record, for variables without dates, and for those that are kept in tiles:
    these have values at their own times only.
    """
    source = archive.select(variables) if grid is None else archive.regrid(*grid, variables)
    names = [name for name in archive.manifest.variables if name in source]
    return xr.Dataset({name: _at(archive, name, times, source, grid) for name in names}, attrs=source.attrs)


def _at(
    archive: Archive,
    name: str,
    times: NDArray[np.datetime64],
    dataset: xr.Dataset,
    grid: tuple[NDArray[np.floating], NDArray[np.floating]] | None,
) -> xr.DataArray:
    manifest = archive.manifest
    entry, number = manifest.variables[name], list(manifest.variables).index(name)
    dim = manifest.grids[entry.grid].time
    if not entry.network:
        raise UsageError(f"{name} is kept in tiles, at its own times only: name one of these, or a range A/B")
    coordinate = None if dim is None else time_coordinate(dataset, dim)
    if dim is None or coordinate is None or coordinate.dtype.kind != "M":
        raise UsageError(f"{name} has no dates of the standard calendar, so no instant of it can be named")
    axes = archive.grids[entry.grid]
    seconds = seconds_since_epoch(times)
    low, high = axes.time.values.min(), axes.time.values.max()
    outside = (seconds < low) | (seconds > high)
    if outside.any():
        first, last = (np.datetime64(round(edge), "s") for edge in (low, high))
        raise UsageError(f"{times[outside][0]} lies outside the record, {first} to {last}: ask for a time within it")
    shape = archive.tiles.shape(number)
    rows, columns = (np.arange(size, dtype=np.float64) for size in shape[2:])
    if grid is not None:
        rows, columns = axes.latitude.positions(grid[0]), axes.longitude.positions(grid[1])
    values = archive.tiles.values(number, np.arange(shape[0]), axes.time.positions(seconds), rows, columns)
    channel_dims = manifest.channel_dims(entry)
    dims = (*channel_dims, *manifest.grids[entry.grid].dims)
    shaped = values.reshape(*manifest.shape(channel_dims), *values.shape[1:])
    kept = dataset[name].isel({dim: 0}, drop=True)
    others = {key: value for key, value in kept.coords.items() if key != coordinate.name}
    attrs = {key: value for key, value in kept.attrs.items() if not str(key).startswith("nnzip_")}
    array = xr.DataArray(shaped, dims=dims, coords=others, attrs=attrs, name=name).transpose(*entry.dims)
    array.encoding = dict(kept.encoding)
    stamped = xr.Variable((dim,), times.astype("datetime64[ns]"), coordinate.attrs)
    return array.assign_coords({str(coordinate.name): stamped})

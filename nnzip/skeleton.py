"""What an archive keeps beside its compressed variables: coordinates and lossless variables, and the axes they make."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from nnzip.container.manifest import Grid, Manifest, RawVariable
from nnzip.container.reader import ArchiveReader
from nnzip.data import conventions
from nnzip.data.axes import SourceGrid, source_grid
from nnzip.data.deferred import deferred
from nnzip.data.skeleton import EXACTLY, Decoding, RawArray, dataset_of, decode
from nnzip.errors import CorruptArchiveError

_AXES = ("time", "latitude", "longitude")


def read_skeleton(reader: ArchiveReader, how: Decoding = EXACTLY) -> xr.Dataset:
    """Coordinates and lossless variables of the source; `how`: what is decoded."""
    manifest = reader.manifest
    coordinates = {name: _stored(reader, name, variable, how) for name, variable in manifest.coordinates.items()}
    lossless = {name: _stored(reader, name, variable, how) for name, variable in manifest.lossless.items()}
    return dataset_of(coordinates, lossless, manifest.attrs)


def source_grids(skeleton: xr.Dataset, manifest: Manifest) -> tuple[SourceGrid, ...]:
    """The axes of the manifest's grids as the writer saw them. Raises CorruptArchiveError."""
    return tuple(_source_grid(skeleton, manifest, grid) for grid in manifest.grids)


def _stored(reader: ArchiveReader, name: str, variable: RawVariable, how: Decoding) -> xr.Variable:
    """Its values now for axes, whose size a reader limits, and scalars; else when they are used."""
    dims, attrs, read = variable.dims, dict(variable.attrs), partial(reader.read_array, variable)
    if dims in ((), (name,)):
        return decode(name, RawArray(dims, attrs, read()), how)
    return deferred(name, dims, attrs, np.dtype(variable.data.dtype), reader.manifest.shape(dims), read, how)


def _source_grid(skeleton: xr.Dataset, manifest: Manifest, grid: Grid) -> SourceGrid:
    """The axes of a grid as the writer saw them, from stored coordinates. Raises CorruptArchiveError."""
    axes = []
    for role, dim, known in zip(_AXES, (grid.time, grid.latitude, grid.longitude), grid.geographic, strict=True):
        axis = _stored_axis(skeleton, dim, role) if known and (dim is None or dim in skeleton.dims) else None
        if known and dim is not None and (axis is None or not axis.geographic):
            raise CorruptArchiveError(f"the archive says that {dim!r} is {role}, and has no such coordinate")
        size = 1 if dim is None else manifest.dims[dim]
        axes.append(np.arange(size, dtype=np.float64) if axis is None else axis.values)
    return source_grid(axes[0], axes[1], axes[2], grid.geographic)


def _stored_axis(skeleton: xr.Dataset, dim: str | None, role: str) -> conventions.Axis:
    if dim is None or role == "time":
        return conventions.time_axis(skeleton, dim)
    return conventions.horizontal_axis(skeleton, dim, "latitude" if role == "latitude" else "longitude")

"""An archive as a lazy dataset, and whether it is sound."""

from __future__ import annotations

import time as clock
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

from nnzip import overview
from nnzip.coder.devices import resolve_device
from nnzip.container.manifest import Grid, Manifest, tile_member
from nnzip.container.reader import ArchiveReader
from nnzip.data import conventions
from nnzip.data.axes import SourceGrid
from nnzip.data.bytefile import PathText, place
from nnzip.data.grouping import check_names
from nnzip.data.selection import Times, subset
from nnzip.data.skeleton import EXACTLY, OUTPUT_ENCODING, Decoding, attrs_from_json
from nnzip.errors import UsageError, VerificationError
from nnzip.executor import ALONE, Workers
from nnzip.plan.cutting import tile_count
from nnzip.progress import ProgressCallback, report_to
from nnzip.skeleton import read_skeleton, source_grids
from nnzip.tiles import Positions, Tiles

PREVIEWS = {1: 0, 2: 1, 4: 2, 8: 3}
"""Every n-th row and column -> how often the resolution is halved."""


class Archive:
    """A `.nnz` file opened for reading; a context manager, safe to read from several threads, and picklable.

    `path`: a path, or a URL that fsspec knows ("s3://bucket/era5.nnz") with its `storage_options`. `preview`: 1, or 2,
    4, 8 for every so many rows and columns, smoothed: reads the coarse part of each tile only, and no bound holds.
    `team`: decodes tiles while one is used; it does not pickle.

    Raises InputError, CorruptArchiveError, NewerFormatError, ResourceError or UnavailableError on opening,
    CorruptArchiveError when a damaged part is read, InputError when the file is another one by then.
    """

    def __init__(
        self,
        path: PathText | ArchiveReader,
        device: str = "auto",
        preview: int = 1,
        team: Workers = ALONE,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        if preview not in PREVIEWS:
            raise UsageError(f"there is no preview at 1/{preview} of the resolution: choose 2, 4 or 8")
        self.preview = preview
        self.reader = path if isinstance(path, ArchiveReader) else ArchiveReader(path, storage_options)
        self._arguments = (self.reader, device, preview)
        try:
            self.tiles = Tiles(self.reader, resolve_device(device), PREVIEWS[preview], team)
            self._skeleton = read_skeleton(self.reader)
        except BaseException:
            self.reader.close()
            raise

    def __repr__(self) -> str:
        return overview.text(self.reader)

    def _repr_html_(self) -> str:
        return overview.html(self.reader)

    def __reduce__(self) -> tuple[type[Archive], tuple[Any, ...]]:
        return Archive, self._arguments

    @property
    def manifest(self) -> Manifest:
        """Everything the archive says about itself."""
        return self.reader.manifest

    @cached_property
    def grids(self) -> tuple[SourceGrid, ...]:
        """The axes of the manifest's grids as the writer saw them. Raises CorruptArchiveError."""
        return source_grids(self._skeleton, self.manifest)

    def dataset(self, how: Decoding = EXACTLY) -> xr.Dataset:
        """The whole dataset on the source's grid, lazily; coordinates, attributes and lossless variables are exact.

        `preferred_chunks` in the encoding of compressed variables are their tiles. `how`: what is decoded.
        """
        shapes = [self.tiles.shape(number) for number in range(len(self.manifest.variables))]
        views = {
            name: (np.arange(shape[2], dtype=np.float64), np.arange(shape[3], dtype=np.float64))
            for name, shape in zip(self.manifest.variables, shapes, strict=True)
        }
        skeleton = self._thinned(self._skeleton if how == EXACTLY else read_skeleton(self.reader, how))
        dataset = self._assemble(skeleton, views, with_errors=self.preview == 1)
        for number, name in enumerate(self.manifest.variables):
            variable = dataset.variables[name]
            variable.encoding |= {"dtype": variable.dtype, "preferred_chunks": self._chunks(number)}
            if not how.of("mask_and_scale", name):
                variable.attrs["_FillValue"] = variable.encoding.pop("_FillValue")
        return dataset

    def select(
        self,
        variables: Sequence[str] | None = None,
        time: Times | None = None,
        bbox: str | Sequence[float] | None = None,
        level: str | float | Sequence[float] | None = None,
    ) -> xr.Dataset:
        """A lazy part of `dataset()`.

        `variables`: "t2m", "t2m,msl" or a list; `time`: "2016-10-05", "2016-10-05T06", "A/B", a date or a slice of
        these (both ends included); `bbox`: "south,north,west,east"; `level`: 500, "500,850" or "500hPa". Raises
        UsageError for unknown variables and for times, areas or levels outside the data; TypeError for other types.
        """
        return subset(self.dataset(), variables, time, bbox, level)

    def regrid(
        self, latitude: NDArray[np.floating], longitude: NDArray[np.floating], variables: Sequence[str] | None = None
    ) -> xr.Dataset:
        """Values on any regular grid (degrees), lazily, linear between points; missing where the nearest point is.

        Variables without a horizontal grid are kept. Raises UsageError for points outside the archive and for data in
        index space.
        """
        names = self.manifest.variables if variables is None else check_names(self.dataset(), variables)
        views, coordinates = {}, dict[str, xr.Variable]()
        for name, entry in self.manifest.variables.items():
            if name not in names:
                continue
            grid, source = self.manifest.grids[entry.grid], self.grids[entry.grid]
            if not (source.latitude.geographic and source.longitude.geographic):
                raise UsageError(
                    f"{name!r} has no regular latitudes and longitudes: it can only be decoded on its own grid"
                )
            views[name] = source.latitude.positions(latitude), source.longitude.positions(longitude)
            coordinates |= _new_coordinates(self._skeleton, grid, latitude, longitude)
        replaced = {dim for coordinate in coordinates.values() for dim in coordinate.dims}
        gone = [name for name, variable in self._skeleton.variables.items() if replaced & set(variable.dims)]
        skeleton = self._skeleton.drop_vars(gone).assign_coords(coordinates)
        regridded = self._assemble(skeleton, views, with_errors=False)
        return regridded if variables is None else subset(regridded, variables)

    def close(self) -> None:
        """Close the file; lazy values can no longer be read."""
        self.reader.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chunks(self, number: int) -> dict[str, tuple[int, ...]]:
        """Lengths of the tiles along the dimensions of a variable; of several channel dimensions the inner ones whole,
        as far as they are in one tile.
        """
        entry = list(self.manifest.variables.values())[number]
        channels, *axes = self.tiles.sizes[number]
        chunks = dict(zip(reversed(self.manifest.grids[entry.grid].dims), reversed(axes), strict=False))
        dims = self.manifest.channel_dims(entry)
        if len(dims) == 1:
            return {**chunks, dims[0]: channels}
        together = max(channels)
        for dim in reversed(dims):
            size = self.manifest.dims[dim]
            length = min(size, together)
            chunks[dim] = tuple(min(length, size - start) for start in range(0, size, length))
            together = max(together // size, 1)
        return chunks

    def _thinned(self, skeleton: xr.Dataset) -> xr.Dataset:
        """What remains of it in a preview."""
        if self.preview == 1:
            return skeleton
        dims = {dim for grid in self.manifest.grids for dim in (grid.latitude, grid.longitude)}
        thin = skeleton.isel({dim: slice(None, None, self.preview) for dim in dims if dim in skeleton.dims})
        note = f"every {self.preview}th row and column, smoothed; no error bound holds"
        return thin.assign_attrs(nnzip_preview=note)

    def _assemble(
        self, skeleton: xr.Dataset, views: Mapping[str, tuple[Positions, Positions]], *, with_errors: bool
    ) -> xr.Dataset:
        variables: dict[Hashable, Any] = {}
        for number, (name, entry) in enumerate(self.manifest.variables.items()):
            if name in views:
                channel_dims = self.manifest.channel_dims(entry)
                lazy = _LazyVariable(
                    self.tiles,
                    number,
                    entry.dims,
                    channel_dims,
                    self.manifest.shape(channel_dims),
                    self.manifest.grids[entry.grid],
                    views[name],
                    np.dtype(entry.dtype),
                )
                attrs = attrs_from_json(entry.attrs) | (self._achieved(name) if with_errors else {})
                data = indexing.LazilyIndexedArray(lazy)
                variables[name] = xr.Variable(entry.dims, data, attrs, encoding=dict(OUTPUT_ENCODING))
        variables = {**skeleton.data_vars.variables, **variables}
        ordered = {name: variables[name] for name in self.manifest.order if name in variables}
        dataset = xr.Dataset(ordered, skeleton.coords, skeleton.attrs)
        dataset.encoding = skeleton.encoding
        return dataset

    def _achieved(self, name: str) -> dict[str, float]:
        errors, bound = self.manifest.errors.get(name), self.manifest.variables[name].bound
        achieved = {} if errors is None else {"nnzip_rmse": errors.rmse, "nnzip_max_error": errors.max_error}
        return achieved if bound is None else {**achieved, "nnzip_bound": bound}


def open_archive(
    path: PathText, device: str = "auto", preview: int = 1, storage_options: Mapping[str, Any] | None = None
) -> Archive:
    """Open an archive for lazy reading; see `Archive`."""
    return Archive(path, device, preview, storage_options=storage_options)


@dataclass(frozen=True)
class Verification:
    """What `verify` found in order: members and bytes read; decoded and missing values per variable."""

    path: Path | str
    members: int
    bytes: int
    values: dict[str, int]
    missing: dict[str, int]
    seconds: float


def verify(path: PathText, *, device: str = "auto", progress: ProgressCallback | None = None) -> Verification:
    """Read every member (checksums), decode every tile and look at every value.

    Raises CorruptArchiveError for damage and VerificationError for decoded values that contradict the manifest.
    """
    started, report = clock.monotonic(), report_to(progress)
    with Archive(path, device) as archive:
        sizes, entries = archive.reader.sizes(), archive.manifest.variables
        others, values, missing = set(sizes), dict.fromkeys(entries, 0), dict.fromkeys(entries, 0)
        for number, name in enumerate(entries):
            for tile, found in archive.tiles.each(number):
                if np.isinf(found).any():
                    raise VerificationError(f"{name} decodes to infinite values in tile {tile}: compress it again")
                others.discard(tile_member(number, tile))
                values[name] += found.size
                missing[name] += int(np.isnan(found).sum())
                report("verifying", (number + tile / tile_count(archive.tiles.sizes[number])) / len(entries))
        for member in sorted(others):
            archive.reader.read(member)
    return Verification(place(path), len(sizes), sum(sizes.values()), values, missing, clock.monotonic() - started)


@dataclass(frozen=True, eq=False)
class _LazyVariable(BackendArray):
    """One variable of an archive, the `number`-th; indexing decodes. `view`: positions along latitude and longitude."""

    tiles: Tiles
    number: int
    dims: tuple[str, ...]
    channel_dims: tuple[str, ...]
    channel_shape: tuple[int, ...]
    grid: Grid
    view: tuple[Positions, Positions]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = dict(zip(self.channel_dims, self.channel_shape, strict=True))
        sizes |= {self.grid.latitude: self.view[0].size, self.grid.longitude: self.view[1].size}
        if self.grid.time is not None:
            sizes[self.grid.time] = self.tiles.shape(self.number)[1]
        return tuple(sizes[dim] for dim in self.dims)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Orthogonal indexing: decode the points that are wanted, then drop the dimensions indexed by integers."""
        wanted = {
            dim: np.atleast_1d(np.arange(size)[index])
            for dim, size, index in zip(self.dims, self.shape, key, strict=True)
        }
        times = np.zeros(1) if self.grid.time is None else wanted[self.grid.time].astype(np.float64)
        channels = np.zeros(1, dtype=np.intp)
        for dim, size in zip(self.channel_dims, self.channel_shape, strict=True):
            channels = (channels[:, None] * size + wanted[dim]).ravel()
        rows, columns = self.view[0][wanted[self.grid.latitude]], self.view[1][wanted[self.grid.longitude]]
        values = self.tiles.values(self.number, channels, times, rows, columns)
        dims = (*self.channel_dims, *(dim for dim in self.grid.dims))
        shaped = values.reshape([wanted[dim].size for dim in dims]).transpose([dims.index(dim) for dim in self.dims])
        return shaped[tuple(0 if isinstance(index, int | np.integer) else slice(None) for index in key)]


def _new_coordinates(
    skeleton: xr.Dataset, grid: Grid, latitude: NDArray[np.floating], longitude: NDArray[np.floating]
) -> dict[str, xr.Variable]:
    """Horizontal coordinates with new values; cell bounds of the old ones no longer hold."""
    found = {}
    for dim, role, values in zip(grid.dims[-2:], conventions.HORIZONTAL, (latitude, longitude), strict=True):
        source = conventions.degrees_coordinate(skeleton, dim, role)
        attrs = {} if source is None else {key: value for key, value in source.attrs.items() if key != "bounds"}
        found[str(dim if source is None else source.name)] = xr.Variable(dim, np.asarray(values), attrs)
    return found

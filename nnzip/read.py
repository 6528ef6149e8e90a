"""The read recipe: an archive as a lazy dataset; decompress it, verify it."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

from nnzip.coder.devices import resolve_device
from nnzip.container.manifest import Grid, Manifest, RawVariable
from nnzip.container.reader import ArchiveReader
from nnzip.data import conventions
from nnzip.data.atomic import require_distinct
from nnzip.data.axes import SourceGrid, source_grid
from nnzip.data.deferred import deferred
from nnzip.data.grouping import check_names
from nnzip.data.selection import subset
from nnzip.data.skeleton import OUTPUT_ENCODING, RawArray, attrs_from_json, dataset_of, decode
from nnzip.data.target_grid import grid_of, regular_grid
from nnzip.data.writing import write_dataset
from nnzip.errors import UsageError, VerificationError
from nnzip.instants import at_instants, parse_instants
from nnzip.plan.cutting import tile_count
from nnzip.progress import ProgressCallback, report_to
from nnzip.tiles import Positions, Tiles
from nnzip.version import __version__

PREVIEWS = {1: 0, 2: 1, 4: 2, 8: 3}
"""Every n-th row and column -> how often the resolution is halved."""

_AXES = ("time", "latitude", "longitude")


class Archive:
    """A `.nnz` file opened for reading; a context manager, safe to read from several threads, and picklable.

    `preview`: 1, or 2, 4, 8 for every so many rows and columns, smoothed: reads the coarse part of each tile only, and
    no bound holds. `ahead`: tiles that threads decode while one is used. Raises InputError, CorruptArchiveError or
    NewerFormatError on opening, CorruptArchiveError when a damaged part is read.
    """

    def __init__(self, path: str | PathLike[str], device: str = "auto", preview: int = 1, ahead: int = 0) -> None:
        if preview not in PREVIEWS:
            raise UsageError(f"there is no preview at 1/{preview} of the resolution: choose 2, 4 or 8")
        self.preview = preview
        self.reader = ArchiveReader(path)
        self._arguments = (self.reader.path, device, preview, ahead)
        try:
            whole = self._read_skeleton()
            self.grids = tuple(_source_grid(whole, self.manifest, grid) for grid in self.manifest.grids)
            self.tiles = Tiles(self.reader, resolve_device(device), PREVIEWS[preview], ahead, self.grids)
            self._skeleton = self._thinned(whole)
        except BaseException:
            self.reader.close()
            raise

    def __reduce__(self) -> tuple[type[Archive], tuple[Any, ...]]:
        return Archive, self._arguments

    @property
    def manifest(self) -> Manifest:
        """Everything the archive says about itself."""
        return self.reader.manifest

    def dataset(self) -> xr.Dataset:
        """The whole dataset on the source's grid, lazily; coordinates, attributes and lossless variables are exact."""
        shapes = [self.tiles.shape(number) for number in range(len(self.manifest.variables))]
        views = {
            name: (np.arange(shape[2], dtype=np.float64), np.arange(shape[3], dtype=np.float64))
            for name, shape in zip(self.manifest.variables, shapes, strict=True)
        }
        return self._assemble(self._skeleton, views, with_errors=self.preview == 1)

    def select(
        self,
        variables: Sequence[str] | None = None,
        time: str | None = None,
        bbox: str | Sequence[float] | None = None,
    ) -> xr.Dataset:
        """A lazy part of `dataset()`.

        Raises UsageError for unknown variables and for times or areas outside the data.
        """
        return subset(self.dataset(), variables, time, bbox)

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

    def _read_skeleton(self) -> xr.Dataset:
        """Coordinates and lossless variables of the source."""
        coordinates = {name: self._stored(name, variable) for name, variable in self.manifest.coordinates.items()}
        lossless = {name: self._stored(name, variable) for name, variable in self.manifest.lossless.items()}
        return dataset_of(coordinates, lossless, self.manifest.attrs)

    def _stored(self, name: str, variable: RawVariable) -> xr.Variable:
        """Its values now for axes, whose size a reader limits, and scalars; else when they are used."""
        dims, attrs, read = variable.dims, dict(variable.attrs), partial(self.reader.read_array, variable)
        if dims in ((), (name,)):
            return decode(name, RawArray(dims, attrs, read()))
        return deferred(name, dims, attrs, np.dtype(variable.data.dtype), self.manifest.shape(dims), read)

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
        variables: dict[str, Any] = {}
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
        dataset = skeleton.assign(variables)
        return conventions.arranged(dataset, [name for name in self.manifest.order if name in dataset.data_vars])

    def _achieved(self, name: str) -> dict[str, float]:
        errors, bound = self.manifest.errors.get(name), self.manifest.variables[name].bound
        achieved = {} if errors is None else {"nnzip_rmse": errors.rmse, "nnzip_max_error": errors.max_error}
        return achieved if bound is None else {**achieved, "nnzip_bound": bound}


def open_archive(path: str | PathLike[str], device: str = "auto", preview: int = 1) -> Archive:
    """Open an archive for lazy reading; see `Archive`."""
    return Archive(path, device, preview)


def decompress(
    path: str | PathLike[str],
    output: str | PathLike[str],
    *,
    variables: Sequence[str] | None = None,
    time: str | None = None,
    bbox: str | Sequence[float] | None = None,
    grid: float | None = None,
    like: str | PathLike[str] | None = None,
    preview: int = 1,
    overwrite: bool = False,
    device: str = "auto",
    jobs: int = 1,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write an archive, or a part of it, as NetCDF or Zarr (by the suffix of `output`), on its own grid or another.

    `time`: "2016-10-05", "2016-10-05T06" or "A/B", of a network also any instants, "2016-10-05T12:20,..."; `bbox`:
    "south,north,west,east"; `grid`: degrees; `like`: a file whose latitudes and longitudes to use; `preview`: see
    `Archive`; `jobs`: threads that decode tiles ahead of the writing. Raises UsageError for a selection outside the
    data or an existing output, CorruptArchiveError, ResourceError. Memory: some tiles for each of the jobs.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs: there is at least one")
    require_distinct([path] if like is None else [path, like], output)
    report = report_to(progress)
    report("decoding", 0.0)
    with Archive(path, device, preview, jobs if jobs > 1 else 0) as archive:
        target = None
        if grid is not None or like is not None:
            target = grid_of(like) if grid is None and like is not None else _regular_grid(archive, grid)
        instants = parse_instants(time) if any(entry.network for entry in archive.manifest.variables.values()) else None
        if instants is not None:
            dataset = subset(at_instants(archive, instants, target, variables), None, None, bbox)
            kind = "a network, between the points of its record: no error bound holds"
        elif target is None:
            dataset, kind = archive.select(variables, time, bbox), "lossy: see nnzip_rmse of each variable"
        else:
            dataset = subset(archive.regrid(*target, variables), None, time, bbox)
            kind = "lossy, and interpolated to another grid: no error bound holds"
        kind = kind if preview == 1 else f"a preview, every {preview}th row and column: no error bound holds"
        dataset = dataset.assign_attrs(history=_history(dataset, Path(path), kind))
        report("decoding", 0.1)
        written = write_dataset(dataset, output, overwrite)
    report("decoding", 1.0)
    return written


@dataclass(frozen=True)
class Verification:
    """What `verify` found in order: members and bytes read; decoded and missing values per variable."""

    path: Path
    members: int
    bytes: int
    values: dict[str, int]
    missing: dict[str, int]
    seconds: float


def verify(
    path: str | PathLike[str], *, device: str = "auto", progress: ProgressCallback | None = None
) -> Verification:
    """Read every member (checksums), decode every tile and look at every value.

    Raises CorruptArchiveError for damage and VerificationError for decoded values that contradict the manifest.
    """
    started, report = clock.monotonic(), report_to(progress)
    with Archive(path, device) as archive:
        sizes, entries = archive.reader.sizes(), archive.manifest.variables
        for number, member in enumerate(sizes):
            archive.reader.read(member)
            report("verifying", 0.2 * number / len(sizes))
        values, missing = dict.fromkeys(entries, 0), dict.fromkeys(entries, 0)
        for number, name in enumerate(entries):
            count = tile_count(archive.tiles.sizes[number])
            for tile in range(count):
                found = archive.tiles.masked(number, tile)
                if np.isinf(found).any():
                    raise VerificationError(f"{name} decodes to infinite values in tile {tile}: compress it again")
                values[name] += found.size
                missing[name] += int(np.isnan(found).sum())
                report("verifying", 0.2 + 0.8 * (number + tile / count) / len(entries))
    return Verification(Path(path), len(sizes), sum(sizes.values()), values, missing, clock.monotonic() - started)


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


def _source_grid(skeleton: xr.Dataset, manifest: Manifest, grid: Grid) -> SourceGrid:
    """The axes of a grid as the writer saw them, from stored coordinates."""
    axes = []
    for role, dim, known in zip(_AXES, (grid.time, grid.latitude, grid.longitude), grid.geographic, strict=True):
        size = 1 if dim is None else manifest.dims[dim]
        if not known:
            axes.append(np.arange(size, dtype=np.float64))
        elif dim is None or role == "time":
            axes.append(conventions.time_axis(skeleton, dim).values)
        else:
            axes.append(
                conventions.horizontal_axis(skeleton, dim, "latitude" if role == "latitude" else "longitude").values
            )
    return source_grid(axes[0], axes[1], axes[2], grid.geographic)


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


def _regular_grid(archive: Archive, spacing: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if spacing is None or not spacing > 0:
        raise UsageError(f"a grid of {spacing} degrees: the spacing is a positive number")
    for grid in archive.grids:
        if grid.latitude.geographic and grid.longitude.geographic:
            return regular_grid(grid.latitude.values, grid.longitude.values, spacing, grid.longitude.periodic)
    raise UsageError("the archive has no variable on regular latitudes and longitudes: leave out --grid")


def _history(dataset: xr.Dataset, path: Path, kind: str) -> str:
    """The dataset's history with a line of ours on top, as CF recommends."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    line = f"{now} nnzip {__version__} decompressed {path.name} ({kind})"
    before = dataset.attrs.get("history")
    return line if before is None else f"{line}\n{before}"

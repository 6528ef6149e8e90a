"""An open archive as a lazy dataset: indexing decodes only the segments, times, rows and columns asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

from nnzip.container.manifest import GroupEntry, Manifest, RawVariable
from nnzip.container.zip import ArchiveReader
from nnzip.data import conventions
from nnzip.data.axes import SourceGrid, source_grid
from nnzip.data.grouping import Group, VariableLayout, check_names, unstack
from nnzip.data.selection import subset
from nnzip.data.skeleton import OUTPUT_ENCODING, RawArray, attrs_from_json, from_raw
from nnzip.errors import UsageError
from nnzip.layers import LAYERS, LayerDecoder, Positions


class Archive:
    """A `.nnz` file opened for reading; a context manager, safe to read from several threads.

    Raises InputError, CorruptArchiveError or NewerFormatError on opening, CorruptArchiveError when a damaged part is
    read.
    """

    def __init__(self, path: str | PathLike[str], device: str = "auto", layer: str = "all") -> None:
        if layer not in LAYERS:
            raise UsageError(f"there is no layer {layer!r} to decode: choose {' or '.join(LAYERS)}")
        self._reader = ArchiveReader(path)
        try:
            self._skeleton = self._read_skeleton()
            self.groups = tuple(_group(self._skeleton, self.manifest, entry) for entry in self.manifest.groups)
        except BaseException:
            self._reader.close()
            raise
        self.grids = tuple(group_grid(group) for group in self.groups)
        self.layers = LayerDecoder(self._reader, self.groups, self.grids, device, layer)

    @property
    def manifest(self) -> Manifest:
        """Everything the archive says about itself."""
        return self._reader.manifest

    @property
    def reader(self) -> ArchiveReader:
        """The container."""
        return self._reader

    def dataset(self) -> xr.Dataset:
        """The whole dataset on the source's grid, lazily; coordinates, attributes and lossless variables are exact."""
        views = [tuple(np.arange(n, dtype=np.float64) for n in grid.shape) for grid in self.grids]
        return self._assemble(self._skeleton, [(v[0], v[1], v[2]) for v in views])

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
        """The field on any regular grid (degrees), lazily; missing where the nearest source point is.

        Variables without a horizontal grid are kept. Raises UsageError for points outside the archive and for data in
        index space.
        """
        names = set(self.manifest.variables if variables is None else check_names(self.dataset(), variables))
        views: list[Positions | None] = [None] * len(self.groups)
        coordinates: dict[str, xr.Variable] = {}
        for index, (group, grid) in enumerate(zip(self.groups, self.grids, strict=True)):
            if not names & {layout.name for layout in group.variables}:
                continue
            if not (grid.latitude.geographic and grid.longitude.geographic):
                raise UsageError(
                    f"{group.variables[0].name!r} has no regular latitudes and longitudes: it can only be decoded on "
                    "its own grid"
                )
            times = np.arange(grid.shape[0], dtype=np.float64)
            views[index] = (times, grid.latitude.positions(latitude), grid.longitude.positions(longitude))
            coordinates |= _new_coordinates(self._skeleton, group, latitude, longitude)
        replaced = {dim for coordinate in coordinates.values() for dim in coordinate.dims}
        gone = [name for name, variable in self._skeleton.variables.items() if replaced & set(variable.dims)]
        regridded = self._assemble(self._skeleton.drop_vars(gone).assign_coords(coordinates), views)
        return regridded if variables is None else subset(regridded, variables)

    def close(self) -> None:
        """Close the file; lazy values can no longer be read."""
        self._reader.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_skeleton(self) -> xr.Dataset:
        """Coordinates and lossless variables of the source."""
        manifest = self.manifest
        raw = {name: self._raw(variable) for name, variable in manifest.coordinates.items()}
        lossless = {name: self._raw(variable) for name, variable in manifest.lossless.items()}
        return from_raw(raw, lossless, manifest.attrs)

    def _raw(self, variable: RawVariable) -> RawArray:
        return RawArray(variable.dims, dict(variable.attrs), self._reader.read_array(variable.data))

    def _assemble(self, skeleton: xr.Dataset, views: Sequence[Positions | None]) -> xr.Dataset:
        variables: dict[str, Any] = {}
        for index, (group, positions) in enumerate(zip(self.groups, views, strict=True)):
            for number, layout in enumerate(group.variables):
                if positions is not None:
                    lazy = _LazyVariable(self.layers, group, (index, number), positions)
                    attrs = attrs_from_json(self.manifest.variables[layout.name].attrs) | self._achieved(layout.name)
                    data = indexing.LazilyIndexedArray(lazy)
                    variables[layout.name] = xr.Variable(layout.dims, data, attrs, encoding=dict(OUTPUT_ENCODING))
        dataset = skeleton.assign(variables)
        return dataset[[name for name in self.manifest.order if name in dataset.data_vars]]

    def _achieved(self, name: str) -> dict[str, float]:
        errors, bound = self.manifest.errors.get(name), self.manifest.variables[name].bound
        achieved = {} if errors is None else {"nnzip_rmse": errors.rmse, "nnzip_max_error": errors.max_error}
        return achieved if bound is None else {**achieved, "nnzip_bound": bound}


@dataclass(frozen=True, eq=False)
class _LazyVariable(BackendArray):
    """One variable of an archive, `number` = (group, variable in it); indexing decodes."""

    layers: LayerDecoder
    group: Group
    number: tuple[int, int]
    positions: Positions

    @property
    def layout(self) -> VariableLayout:
        return self.group.variables[self.number[1]]

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = dict(zip(self.layout.channel_dims, self.layout.channel_shape, strict=True))
        for dim, positions in zip(self.group.dims, self.positions, strict=True):
            if dim is not None:
                sizes[dim] = positions.size
        return tuple(sizes[dim] for dim in self.layout.dims)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.layout.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        wanted = dict(zip(self.layout.dims, key, strict=True))
        chosen = []
        for dim, positions in zip(self.group.dims, self.positions, strict=True):
            chosen.append(np.atleast_1d(positions[wanted[dim]]) if dim is not None else positions)
        decoded = self.layers.values(*self.number, (chosen[0], chosen[1], chosen[2]))
        full = unstack(decoded, self.layout, self.group.dims)
        rest = [wanted[dim] if dim in self.layout.channel_dims else _whole(wanted[dim]) for dim in self.layout.dims]
        return np.asarray(_outer(full, rest))


def _whole(index: Any) -> Any:
    """What remains of an index that has been applied: an integer drops its dimension, which has length one now."""
    return 0 if isinstance(index, int | np.integer) else slice(None)


def _outer(values: NDArray[Any], indices: Sequence[Any]) -> NDArray[Any]:
    """Orthogonal indexing, one axis after another; integers drop their axis."""
    for axis in reversed(range(values.ndim)):
        values = values[(slice(None),) * axis + (indices[axis],)]
    return values


def _new_coordinates(
    skeleton: xr.Dataset, group: Group, latitude: NDArray[np.floating], longitude: NDArray[np.floating]
) -> dict[str, xr.Variable]:
    """A group's horizontal coordinates with new values; cell bounds of the old ones no longer hold."""
    found = {}
    for dim, role, values in zip(group.dims[1:], conventions.HORIZONTAL, (latitude, longitude), strict=True):
        source = conventions.degrees_coordinate(skeleton, str(dim), role)
        attrs = {} if source is None else {key: value for key, value in source.attrs.items() if key != "bounds"}
        found[str(dim if source is None else source.name)] = xr.Variable(str(dim), np.asarray(values), attrs)
    return found


def group_grid(group: Group) -> SourceGrid:
    """The axes of a group as the field sees them."""
    known = (group.time.geographic, group.latitude.geographic, group.longitude.geographic)
    return source_grid(group.time.values, group.latitude.values, group.longitude.values, known)


def _group(skeleton: xr.Dataset, manifest: Manifest, entry: GroupEntry) -> Group:
    """The group as `plan_groups` saw it, from stored coordinates."""
    layouts = []
    for name in entry.variables:
        variable = manifest.variables[name]
        channel_dims = tuple(dim for dim in variable.dims if dim not in entry.dims)
        layouts.append(VariableLayout(name, variable.dims, channel_dims, manifest.shape(channel_dims), variable.dtype))
    axes = {}
    for role, dim, known in zip(
        ("time", "latitude", "longitude"), (entry.time, entry.latitude, entry.longitude), entry.geographic, strict=True
    ):
        axes[role] = _axis(skeleton, role, dim, known, 1 if dim is None else manifest.dims[dim])
    return Group(axes["time"], axes["latitude"], axes["longitude"], tuple(layouts))


def _axis(skeleton: xr.Dataset, role: str, dim: str | None, geographic: bool, size: int) -> conventions.Axis:
    if not geographic:
        return conventions.Axis(dim, np.arange(size, dtype=np.float64), False)
    if dim is None or role == "time":
        return conventions.time_axis(skeleton, dim)
    return conventions.horizontal_axis(skeleton, dim, "latitude" if role == "latitude" else "longitude")

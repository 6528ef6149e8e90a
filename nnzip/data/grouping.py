"""Which variables are compressed, which of them belong together, and how their values are read.

A variable is compressible when it is floating (in memory: packed integers that xarray decoded count) and has a
latitude-like and a longitude-like dimension of at least two points. Compressible variables over the same
(time, latitude, longitude) dimensions form a group; their other dimensions (level, member) become channels.
Everything else is kept losslessly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.conventions import (
    HORIZONTAL,
    Axis,
    Role,
    blocks,
    check_coordinates,
    dimension_roles,
    horizontal_axis,
    marked_variables,
    read_values,
    referenced_variables,
    sliced,
    time_axis,
    variable_dims,
)
from nnzip.data.packing import is_packed
from nnzip.errors import InputError, UsageError, suggestion

_BOUNDS_KEYS = ("bounds", "climatology")
GroupDims = tuple[str | None, str, str]


@dataclass(frozen=True)
class VariableLayout:
    """How one compressible variable lies in its source and in the group's array; `dtype` is the archive's output."""

    name: str
    dims: tuple[str, ...]
    channel_dims: tuple[str, ...]
    channel_shape: tuple[int, ...]
    dtype: str

    @property
    def channels(self) -> int:
        """Number of channels: the product of `channel_shape`."""
        return prod(self.channel_shape)


@dataclass(frozen=True)
class Group:
    """Variables that share time, latitude and longitude."""

    time: Axis
    latitude: Axis
    longitude: Axis
    variables: tuple[VariableLayout, ...]

    @property
    def channels(self) -> int:
        """Number of channels of all variables together."""
        return sum(layout.channels for layout in self.variables)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(channels, times, latitudes, longitudes)."""
        return self.channels, self.time.values.size, self.latitude.values.size, self.longitude.values.size

    def parts(self) -> list[tuple[VariableLayout, slice]]:
        """Every variable with its channels in the group's array."""
        stops = np.cumsum([layout.channels for layout in self.variables]).tolist()
        return [
            (layout, slice(stop - layout.channels, stop)) for layout, stop in zip(self.variables, stops, strict=True)
        ]

    @property
    def dims(self) -> GroupDims:
        """Source dimensions of (time, latitude, longitude); time is None when there is no such dimension."""
        if self.latitude.dim is None or self.longitude.dim is None:
            raise ValueError("a group's latitude and longitude axes have a dimension")
        return self.time.dim, self.latitude.dim, self.longitude.dim


def plan_groups(dataset: xr.Dataset, variables: Sequence[str] | None = None) -> tuple[list[Group], list[str]]:
    """Groups of compressible variables, and the names of the data variables to keep losslessly.

    With `variables` only these take part, with what they point to (bounds, grid mapping). Raises UsageError for an
    unknown name, InputError for names that are no text, for repeated coordinate values or when nothing is compressible
    (with each reason).
    All-NaN variables are found by reading blocks until the first finite value, so only they are read as a whole.
    """
    for name in [*dataset.variables, *dataset.dims]:
        if not isinstance(name, str) or not name:
            raise InputError(f"the name {name!r} of a variable or a dimension is no text: rename it")
    names = [str(name) for name in dataset.data_vars] if variables is None else check_names(dataset, variables)
    roles = dimension_roles(dataset)
    members: dict[GroupDims, list[VariableLayout]] = {}
    reasons: dict[str, str] = {}
    for name in names:
        reason = lossless_reason(dataset, name, roles)
        if reason is None:
            dims, layout = _layout(dataset, name, roles)
            members.setdefault(dims, []).append(layout)
        else:
            reasons[name] = reason
    if not members:
        raise InputError(_nothing_to_compress(reasons))
    check_coordinates(dataset, {dim for dims in members for dim in dims if dim is not None})
    groups = [_group(dataset, dims, layouts) for dims, layouts in members.items()]
    extra = [] if variables is None else [n for n in referenced_variables(dataset, names) if n not in reasons]
    return groups, [*reasons, *extra]


def check_names(dataset: xr.Dataset, variables: Sequence[str]) -> list[str]:
    """`variables` (a list, or text such as "t2m,msl") without repetitions. Raises UsageError for names the dataset
    lacks, with the nearest ones it has.
    """
    available = [str(name) for name in dataset.data_vars]
    if isinstance(variables, str):
        variables = [name.strip() for name in variables.split(",")]
    for name in variables:
        if name in available:
            continue
        if name in dataset.coords:
            raise UsageError(f"{name!r} is a coordinate and always kept; name variables: {', '.join(available)}")
        raise UsageError(f"the dataset has no variable {name!r}: {suggestion(name, available)}")
    return list(dict.fromkeys(variables))


def why_lossless(dataset: xr.Dataset, name: str) -> str:
    """The reason for which a variable that was not compressed is kept losslessly."""
    return lossless_reason(dataset, name) or "other variables refer to it"


def lossless_reason(dataset: xr.Dataset, name: str, roles: Mapping[str, Role] | None = None) -> str | None:
    """Why the data variable `name` is kept losslessly instead of being compressed, or None when it is compressible."""
    variable = dataset[name].variable
    stored = np.dtype(variable.encoding.get("dtype", variable.dtype))
    if variable.dtype.kind != "f":
        return f"its type is {variable.dtype}, not floating"
    if variable.dtype.itemsize > 8:
        return f"its type is {variable.dtype}, wider than float64"
    if stored.kind in "iu" and not is_packed(variable):
        return f"its source holds unscaled integers ({stored})"
    dims = variable_dims(dataset, name, dimension_roles(dataset) if roles is None else roles)
    for role in HORIZONTAL:
        if role not in dims:
            return f"it has no {role} dimension (its dimensions: {', '.join(map(str, variable.dims)) or 'none'})"
    if variable.size == 0:
        return "it is empty"
    for role in HORIZONTAL:
        if variable.sizes[dims[role]] < 2:
            return f"its {role} dimension {dims[role]!r} has a single point"
    if _is_coordinate_like(dataset, name):
        return "it holds coordinates"
    if not _has_finite_value(dataset[name]):
        return "it has no finite value"
    return None


@dataclass(frozen=True)
class Picked:
    """A box of a variable that is not read yet: pickles as a path and slices, or with its values where these are in
    memory. `order`: of the dimensions of `array`; `channels`: of those it holds.
    """

    array: xr.Variable
    name: str
    order: tuple[int, ...]
    channels: slice
    shape: tuple[int, int, int]

    def read(self) -> NDArray[np.floating]:
        """Values [channel, time, latitude, longitude]: float64 where xarray gives float64 (packed sources too), else
        float32; NaN where values are missing, infinities stay. Raises InputError.
        """
        values = read_values(self.array, self.name)  # then transposed: xarray would index lazy arrays point by point
        found = values.transpose(self.order).reshape(-1, *self.shape)[self.channels]
        return found if found.dtype == np.float64 else found.astype(np.float32, copy=False)


def read_box(
    dataset: xr.Dataset,
    group: Group,
    layout: VariableLayout,
    channels: range,
    times: range,
    rows: range,
    columns: range,
) -> NDArray[np.floating]:
    """`Picked.read` of ranges of one variable's axes; loads only these."""
    return pick(dataset, group, layout, channels, times, rows, columns).read()


def pick(
    dataset: xr.Dataset,
    group: Group,
    layout: VariableLayout,
    channels: range,
    times: range,
    rows: range,
    columns: range,
) -> Picked:
    """Ranges of one variable's axes."""
    ranges = zip(group.dims, (times, rows, columns), strict=True)
    picked = {dim: slice(axis.start, axis.stop) for dim, axis in ranges if dim is not None}
    first = 0
    if layout.channel_dims:  # the outermost channel dimension as far as it is needed
        inner = prod(layout.channel_shape[1:])
        outer = slice(channels.start // inner, -(-channels.stop // inner))
        picked[layout.channel_dims[0]], first = outer, outer.start * inner
    order = [*layout.channel_dims, *(dim for dim in group.dims if dim is not None)]
    part = sliced(dataset.variables[layout.name], picked)
    here = slice(channels.start - first, channels.stop - first)
    shape = len(times), len(rows), len(columns)
    return Picked(part, layout.name, tuple(part.dims.index(dim) for dim in order), here, shape)


def _layout(dataset: xr.Dataset, name: str, roles: Mapping[str, Role]) -> tuple[GroupDims, VariableLayout]:
    variable = dataset[name].variable
    found = variable_dims(dataset, name, roles)
    dims = tuple(str(dim) for dim in variable.dims)
    channel_dims = tuple(dim for dim in dims if dim not in found.values())
    stored = np.dtype(variable.encoding.get("dtype", variable.dtype))
    narrow = variable.dtype.itemsize <= 4 or (is_packed(variable) and stored.itemsize <= 2)
    layout = VariableLayout(
        name=name,
        dims=dims,
        channel_dims=channel_dims,
        channel_shape=tuple(int(variable.sizes[dim]) for dim in channel_dims),
        dtype="float32" if narrow else "float64",
    )
    return (found.get("time"), found["latitude"], found["longitude"]), layout


def _group(dataset: xr.Dataset, dims: GroupDims, layouts: list[VariableLayout]) -> Group:
    time, latitude, longitude = dims
    return Group(
        time=time_axis(dataset, time),
        latitude=horizontal_axis(dataset, latitude, "latitude"),
        longitude=horizontal_axis(dataset, longitude, "longitude"),
        variables=tuple(layouts),
    )


def _is_coordinate_like(dataset: xr.Dataset, name: str) -> bool:
    """Latitudes, longitudes and cell bounds stored as data variables must stay exact."""
    if any(name in marked_variables(dataset, role) for role in HORIZONTAL):
        return True
    pointers = (v.attrs.get(key, v.encoding.get(key)) for v in dataset.variables.values() for key in _BOUNDS_KEYS)
    return name in {str(pointer) for pointer in pointers}


def _has_finite_value(array: xr.DataArray) -> bool:
    return any(bool(np.isfinite(read_values(block, str(array.name))).any()) for block in blocks(array))


def _nothing_to_compress(reasons: Mapping[str, str]) -> str:
    if not reasons:
        return "the dataset has no data variables, so there is nothing to compress"
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return f"no variable can be compressed (floating values over latitude and longitude are needed): {listed}"

"""Several datasets to one, on their coordinates.

Files of a set differ in a dimension (one file per day), in scalar coordinates (one file per level and forecast step,
the usual form of GRIB), or in their variables. Nothing is interpolated and no gap is filled: files that do not make a
complete grid are refused with the reason.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Hashable, Sequence
from typing import Any, cast

import numpy as np
import xarray as xr

from nnzip.data.conventions import format_value
from nnzip.errors import InputError, NnzipWarning

_TIME_PARTS = ("time", "forecast_reference_time", "step", "forecast_period", "leadtime")
_DERIVED = "valid_time"  # = time + step: a coordinate along them, not a dimension beside them
_STRICT: dict[str, Any] = {  # equal grids and static variables only; coordinates that differ get the dimension
    "coords": "different",
    "compat": "equals",
    "join": "exact",
    "combine_attrs": "drop_conflicts",
}
_PRESSURES = ("isobaricInhPa", "isobaricInPa", "pressure_level", "plev")


def join_files(datasets: Sequence[xr.Dataset], labels: Sequence[str]) -> xr.Dataset:
    """One dataset of all `datasets`, which `labels` name in messages.

    Raises InputError when they do not fit together.
    """
    holders: dict[str, list[int]] = {}
    for number, dataset in enumerate(datasets):
        for name in dataset.data_vars:
            holders.setdefault(str(name), []).append(number)
    if not holders:
        raise InputError(f"none of the {len(labels)} files holds a data variable (first: {labels[0]})")
    together: dict[tuple[int, ...], list[str]] = {}
    for name, numbers in holders.items():
        together.setdefault(tuple(numbers), []).append(name)
    try:
        parts = [
            _join_same([datasets[i][names] for i in numbers], [labels[i] for i in numbers])
            for numbers, names in together.items()
        ]
        joined = _merge_parts(parts)
    except (ValueError, xr.MergeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise InputError(f"the {len(labels)} files do not fit together: {first_line}") from error
    joined = joined[list(holders)].assign_coords(_unused_coordinates(datasets, labels))  # in order of first appearance
    joined.attrs = _common_attributes(datasets)
    return joined


def merge_cubes(cubes: Sequence[xr.Dataset], label: str) -> xr.Dataset:
    """One dataset of the hypercubes that cfgrib makes of one GRIB file.

    A name that occurs on a second type of level gets that level's name as suffix; a coordinate that differs becomes an
    attribute of its variables when it is scalar, and gets a number (step_1) when it is a dimension's.
    """
    merged = cubes[0]
    for cube in cubes[1:]:
        cube = cube.rename({name: _level_name(cube, name, merged) for name in cube.data_vars if name in merged})
        clashing = [name for name in cube.coords if name in merged.coords and not _agree(cube[name], merged[name])]
        for name in clashing:
            if cube[name].ndim == 0:
                cube = _scalar_to_attribute(cube, name)
            elif merged[name].ndim == 0:
                merged = _scalar_to_attribute(merged, name)
            else:
                cube = cube.rename({name: _free_name(str(name), merged)})
        try:
            merged = xr.merge([merged, cube], join="exact", compat="equals", combine_attrs="drop_conflicts")
        except (ValueError, xr.MergeError) as error:
            raise InputError(f"the GRIB messages of {label} do not fit together: {error}") from error
    return merged


def _unused_coordinates(datasets: Sequence[xr.Dataset], labels: Sequence[str]) -> dict[str, xr.DataArray]:
    """Coordinates along dimensions without a data variable. Warns of coordinates that differ between files."""
    found: dict[str, xr.DataArray] = {}
    differing: dict[str, str] = {}
    for dataset, label in zip(datasets, labels, strict=True):
        used = {dim for variable in dataset.data_vars.values() for dim in variable.dims}
        for name, coordinate in dataset.coords.items():
            if set(coordinate.dims) - used and not _agree(found.setdefault(str(name), coordinate), coordinate):
                differing.setdefault(str(name), label)
    for name, label in differing.items():
        warnings.warn(f"{name} is left out: no variable uses it, and {label} has another", NnzipWarning, stacklevel=2)
    return {name: coordinate for name, coordinate in found.items() if name not in differing}


def _join_same(pieces: list[xr.Dataset], labels: list[str]) -> xr.Dataset:
    """Join pieces that hold the same variables."""
    if len(pieces) == 1:
        return pieces[0]
    _check_same_indexes(pieces, labels)
    dims = [dim for dim in pieces[0].indexes if dim in pieces[0].dims and not _same_everywhere(pieces, dim)]
    scalars = [name for name in map(str, pieces[0].coords) if _is_varying_scalar(pieces, name)]
    extents = [tuple(_extent(piece, dim) for dim in dims) for piece in pieces]
    if dims and len(set(extents)) == len(pieces):
        return _join_along(dims, pieces, labels)
    promoted = _dimensions_to_be(scalars)
    keys = [tuple(_plain(piece[name]) for name in promoted) for piece in pieces]
    cells: dict[tuple[Any, ...], list[int]] = {}
    for number, key in enumerate(keys):
        cells.setdefault(key, []).append(number)
    joined = {}
    for key, numbers in cells.items():
        some, names = [pieces[i] for i in numbers], [labels[i] for i in numbers]
        if len(some) > 1 and not dims:
            raise InputError(f"{names[0]} and {names[1]} {_same_place(some[0], promoted, key)}: leave one of them out")
        joined[key] = _join_along(dims, some, names) if len(some) > 1 else some[0]
    return _join_grid(promoted, joined)


def _join_grid(promoted: list[str], cells: dict[tuple[Any, ...], xr.Dataset]) -> xr.Dataset:
    """Turn the scalar coordinates `promoted` into dimensions; `cells` must hold every combination of their values."""
    if not promoted:
        return next(iter(cells.values()))
    values = [sorted({key[axis] for key in cells}, reverse=name in _PRESSURES) for axis, name in enumerate(promoted)]
    for key in itertools.product(*values):
        if key not in cells:
            where = ", ".join(f"{name}={value}" for name, value in zip(promoted, key, strict=True))
            variables = ", ".join(map(str, next(iter(cells.values())).data_vars))
            raise InputError(f"the files do not fit together: there is none with {variables} at {where}")
    *outer, last = promoted
    rows = {
        key: xr.concat([cells[(*key, value)] for value in values[-1]], dim=last, data_vars="all", **_STRICT)
        for key in itertools.product(*values[:-1])
    }
    return _join_grid(outer, rows)


def _join_along(dims: Sequence[Hashable], pieces: list[xr.Dataset], labels: list[str]) -> xr.Dataset:
    """Concatenate along one existing dimension, or tile several; static variables must agree."""
    if len(dims) > 1:
        tiled: Any = xr.combine_by_coords(pieces, data_vars="minimal", **_STRICT)
        return cast("xr.Dataset", tiled)
    dim = dims[0]
    falling = any(piece.sizes[dim] > 1 and piece.indexes[dim].is_monotonic_decreasing for piece in pieces)
    order = sorted(range(len(pieces)), key=lambda i: pieces[i].indexes[dim][0], reverse=falling)
    joined = xr.concat([pieces[i] for i in order], dim=dim, data_vars="minimal", **_STRICT)
    index = joined.indexes[dim]
    if not index.is_unique:
        value = index[index.duplicated()][0]
        both = [label for piece, label in zip(pieces, labels, strict=True) if value in piece.indexes[dim]]
        shown = format_value(joined[dim].to_numpy()[np.flatnonzero(index == value)[0]])
        raise InputError(f"the {dim} {shown} is in {' and in '.join(both[:2])}: leave one of them out")
    if not (index.is_monotonic_increasing or index.is_monotonic_decreasing):
        joined = joined.sortby(dim, ascending=not falling)
    return joined


def _merge_parts(parts: list[xr.Dataset]) -> xr.Dataset:
    """Merge parts with different variables; scalar coordinates that disagree become attributes of the variables."""
    if len(parts) == 1:
        return parts[0]
    for name in {name for part in parts for name in part.coords if part[name].ndim == 0}:
        held = [part[name] for part in parts if name in part.coords]
        if any(not _agree(held[0], other) for other in held[1:]):
            parts = [_scalar_to_attribute(part, name) if _has_scalar(part, name) else part for part in parts]
    return xr.merge(parts, join="exact", compat="equals", combine_attrs="drop_conflicts")


def _dimensions_to_be(scalars: list[str]) -> list[str]:
    """Scalar coordinates to become dimensions, times first; derived ones (valid_time) are left out."""
    times = [name for name in _TIME_PARTS if name in scalars]
    if _DERIVED in scalars and not times:
        times = [_DERIVED]
    others = [name for name in scalars if name not in (*_TIME_PARTS, _DERIVED)]
    return [*times, *others]


def _is_varying_scalar(pieces: Sequence[xr.Dataset], name: str) -> bool:
    if not all(_has_scalar(piece, name) for piece in pieces):
        return False
    return len({_plain(piece[name]) for piece in pieces}) > 1


def _has_scalar(dataset: xr.Dataset, name: Hashable) -> bool:
    return name in dataset.coords and dataset[name].ndim == 0


def _same_everywhere(pieces: Sequence[xr.Dataset], dim: Hashable) -> bool:
    return all(dim in piece.indexes and piece.indexes[dim].equals(pieces[0].indexes[dim]) for piece in pieces[1:])


def _check_same_indexes(pieces: Sequence[xr.Dataset], labels: Sequence[str]) -> None:
    for piece, label in zip(pieces, labels, strict=True):
        for name in piece.sizes:
            if (name in piece.indexes) != (name in pieces[0].indexes):
                both = f"{labels[0]} and {label}"
                raise InputError(f"the files do not fit together: only one of {both} has a coordinate along {name!r}")
            if piece.sizes[name] == 0:
                raise InputError(f"{label} is empty along {name!r}: leave it out")


def _extent(piece: xr.Dataset, dim: Hashable) -> tuple[Any, Any, int]:
    """First and last coordinate value and length: tells pieces apart."""
    index = piece.indexes[dim]
    return index[0], index[-1], index.size


def _plain(array: xr.DataArray) -> Any:
    """The value of a scalar coordinate, sortable and readable: times as ISO text, durations in hours."""
    value = array.to_numpy()[()]
    if array.dtype.kind == "m":
        return float(value / np.timedelta64(1, "h"))
    return format_value(value) if array.dtype.kind in "OM" else value.item()


def _same_place(piece: xr.Dataset, names: list[str], key: tuple[Any, ...]) -> str:
    variables = ", ".join(map(str, piece.data_vars))
    where = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
    return f"both hold {variables} at {where or 'the same coordinates'}"


def _agree(a: xr.DataArray, b: xr.DataArray) -> bool:
    return a.variable.dims == b.variable.dims and np.array_equal(a.to_numpy(), b.to_numpy())


def _scalar_to_attribute(dataset: xr.Dataset, name: Hashable) -> xr.Dataset:
    value = dataset[name].to_numpy()[()]
    kept = dataset.drop_vars([name])
    for variable in kept.data_vars.values():
        variable.attrs[str(name)] = value if value.dtype.kind in "fiu" else str(_plain(dataset[name]))
    return kept


def _level_name(cube: xr.Dataset, name: Hashable, merged: xr.Dataset) -> str:
    return _free_name(f"{name}_{cube[name].attrs.get('GRIB_typeOfLevel', 'other')}", merged)


def _free_name(name: str, dataset: xr.Dataset) -> str:
    taken = {str(known) for known in (*dataset.variables, *dataset.dims)}
    candidates = (f"{name}_{number}" if number else name for number in itertools.count())
    return next(candidate for candidate in candidates if candidate not in taken)


def _common_attributes(datasets: Sequence[xr.Dataset]) -> dict[Any, Any]:
    """Attributes on which all files agree."""
    first, *others = (dataset.attrs for dataset in datasets)
    return {
        key: value
        for key, value in first.items()
        if all(key in other and np.array_equal(other[key], value) for other in others)
    }

"""Do the parts of a manifest agree with each other, with the archive's members, and with the limits?

Readers may allocate what a checked manifest declares. Every error says what is wrong, and where.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import NoReturn

import numpy as np

from nnzip.container import limits
from nnzip.container.manifest import (
    Attributes,
    CompressedVariable,
    Manifest,
    RawVariable,
    base_member,
    network_member,
    tile_member,
)
from nnzip.errors import CorruptArchiveError

_POINT_BYTES = 8
_OBJECT_BYTES = 96  # at this weight a sum within the limit takes no more memory than plain numbers do
_AXES = ("channel", "time", "latitude", "longitude")


def check_manifest(manifest: Manifest, array_bytes: int, members: Collection[str], file_bytes: int) -> None:
    """Raise CorruptArchiveError when anything in `manifest` contradicts the rest, the members or the limits.

    `array_bytes`: length of the archive's arrays; `file_bytes`: that of the whole file.
    """
    _check_counts(manifest, file_bytes)
    _check_attributes(manifest.attrs, "attrs")
    _check_attributes(manifest.configuration, "configuration")
    for kind, raw in (("coordinates", manifest.coordinates), ("lossless", manifest.lossless)):
        for name, variable in raw.items():
            _check_raw(manifest, name, variable, f"{kind}.{name}")
    for position, grid in enumerate(manifest.grids):
        if 0 in _check_dims(manifest, grid.dims, f"grids[{position}]"):
            _fail(f"grids[{position}]", f"has an empty dimension among {list(grid.dims)}")
    _check_held(manifest, file_bytes)
    for number, (name, compressed) in enumerate(manifest.variables.items()):
        _check_compressed(manifest, number, compressed, f"variables.{name}", members)
    _check_order(manifest)
    _check_ranges(manifest, array_bytes)
    for name in manifest.errors:
        if name not in manifest.variables:
            _fail("errors", f'names "{name}", which is no compressed variable')


def _check_counts(manifest: Manifest, file_bytes: int) -> None:
    variables = len(manifest.coordinates) + len(manifest.lossless) + len(manifest.variables)
    for where, count, limit in (
        ("dims", len(manifest.dims), limits.MAX_ALL_DIMS),
        ("variables", variables, limits.max_variables(file_bytes)),
        ("grids", len(manifest.grids), len(manifest.variables)),
    ):
        if count > limit:
            _fail(where, f"has {count} entries, with coordinates; the limit for this file is {limit}")


def _fail(where: str, what: str) -> NoReturn:
    raise CorruptArchiveError(f"manifest: {where}: {what}")


def _check_dims(manifest: Manifest, dims: tuple[str, ...], where: str) -> tuple[int, ...]:
    for dim in dims:
        if dim not in manifest.dims:
            _fail(where, f'dimension "{dim}" is not declared')
    if len(set(dims)) != len(dims):
        _fail(where, f"a dimension is repeated in {list(dims)}")
    shape = manifest.shape(dims)
    if math.prod(shape) > limits.MAX_VALUES:
        _fail(where, f"declares {math.prod(shape)} values; the limit is {limits.MAX_VALUES}")
    return shape


def _check_raw(manifest: Manifest, name: str, variable: RawVariable, where: str) -> None:
    _check_dims(manifest, variable.dims, where)
    if name in manifest.dims and variable.dims != (name,):
        _fail(where, f'has the dimensions {list(variable.dims)} and the name of the dimension "{name}"')
    _check_attributes(variable.attrs, where)


def _check_attributes(attrs: Attributes, where: str) -> None:
    for name, value in attrs.items():
        if isinstance(value, dict) and where != "configuration" and not _is_typed(value):
            _fail(where, f'attribute "{name}" has keys {sorted(value)}; a typed attribute has "dtype" and "value"')


def _is_typed(value: Mapping[str, object]) -> bool:
    return {"dtype", "value"} <= set(value) <= {"dtype", "value", "shape"} and isinstance(value["dtype"], str)


def _check_held(manifest: Manifest, file_bytes: int) -> None:
    """The sum of all that a reader holds in memory as long as an archive is open: axes, scalars, typed attributes."""
    width = {dim: _POINT_BYTES for grid in manifest.grids for dim in grid.dims}
    scalars, attributes = 0, [manifest.attrs, *(variable.attrs for variable in manifest.variables.values())]
    for name, variable in (*manifest.coordinates.items(), *manifest.lossless.items()):
        attributes.append(variable.attrs)
        if variable.dims == (name,):
            width[name] = max(_POINT_BYTES, _value_bytes(variable))
        elif not variable.dims:
            scalars += _value_bytes(variable)
    axes = sum(manifest.dims[dim] * size for dim, size in width.items())
    total, limit = axes + scalars + sum(map(_typed_bytes, attributes)), limits.max_held_bytes(file_bytes)
    if total > limit:
        _fail(
            "dims",
            f"the axes {sorted(width)[:9]}, scalars and attributes need {total} bytes; the limit for a file of"
            f" {file_bytes} is {limit}",
        )


def _value_bytes(variable: RawVariable) -> int:
    """What a value counts in memory: text and dates of other calendars become Python objects."""
    dtype, becomes = np.dtype(variable.data.dtype), str(variable.attrs.get("_nnzip_dtype", ""))
    octets = int(becomes[1:]) if re.fullmatch(r"S[0-9]{1,7}", becomes) else 0
    return dtype.itemsize + octets + (_OBJECT_BYTES if dtype.kind == "U" or becomes in ("cftime", "StringDType") else 0)


def _typed_bytes(attrs: Attributes) -> int:
    """Bytes of fixed-width text among attributes: short text may be declared to be wide."""
    total = 0
    for value in attrs.values():
        found = re.search(r"[US]([0-9]{1,9})$", str(value.get("dtype"))) if isinstance(value, dict) else None
        if found and isinstance(value, dict):
            content = value["value"]
            total += 4 * int(found[1]) * (len(content) if isinstance(content, list) else 1)
    return total


def _check_compressed(
    manifest: Manifest, number: int, variable: CompressedVariable, where: str, members: Collection[str]
) -> None:
    shape = _check_dims(manifest, variable.dims, where)
    _check_attributes(variable.attrs, where)
    if variable.grid >= len(manifest.grids):
        _fail(where, f"is on grid {variable.grid}; there are {len(manifest.grids)}")
    missing = set(manifest.grids[variable.grid].dims) - set(variable.dims)
    if missing:
        _fail(where, f'lacks the dimension "{min(missing)}" of its grid')
    if 0 in shape:
        _fail(where, f"has an empty dimension among {list(variable.dims)}")
    pieces = manifest.pieces(variable)
    for axis, size, lengths in zip(_AXES, manifest.axes(variable), pieces, strict=True):
        if sum(lengths) != size:
            _fail(where, f"its pieces along {axis} have {sum(lengths)} points, the axis has {size}")
    largest, tiles = math.prod(map(max, pieces)), math.prod(map(len, pieces))
    if largest > limits.MAX_TILE_VALUES:
        _fail(where, f"has tiles of {largest} values; the limit is {limits.MAX_TILE_VALUES}")
    if variable.network and network_member(variable.grid) not in members:
        _fail(where, f'its network "{network_member(variable.grid)}" is not in the archive')
    if tiles > (limits.MAX_MEMBERS if variable.network else len(members)):
        _fail(where, f"has {tiles} tiles; the archive has {len(members)} members")
    for tile in range(0 if variable.network else tiles):
        if tile_member(number, tile) not in members:
            _fail(where, f'its tile "{tile_member(number, tile)}" is not in the archive')
    for place in range(tiles // len(pieces[1]) if variable.base else 0):
        if base_member(number, place) not in members:
            _fail(where, f'the base "{base_member(number, place)}" of its tiles is not in the archive')
    if variable.base and variable.network:
        _fail(where, "has a network and a base")
    if len(variable.masks) not in (0, 1, tiles):
        _fail(where, f"has {len(variable.masks)} masks for {tiles} tiles")
    if max(variable.masks, default=0) > len(manifest.masks):
        _fail(where, f"has mask {max(variable.masks)}; there are {len(manifest.masks)}")


def _check_order(manifest: Manifest) -> None:
    every = [*manifest.variables, *manifest.lossless]
    overlap = set(manifest.variables) & set(manifest.lossless) | set(manifest.coordinates) & set(every)
    if overlap:
        _fail("variables", f'"{min(overlap)}" is declared twice')
    if manifest.order and sorted(manifest.order) != sorted(every):
        _fail("order", f"lists {sorted(manifest.order)}; the data variables are {sorted(every)}")


def _check_ranges(manifest: Manifest, array_bytes: int) -> None:
    """Every range of the arrays lies inside them, and no two overlap: reading all costs no more than they hold."""
    ranges = sorted(_ranges(manifest))
    for start, stop, where in ranges:
        if stop > array_bytes:
            _fail(where, f"is bytes {start} to {stop} of the arrays, which have {array_bytes}")
    used = max((stop for _, stop, _ in ranges), default=0)
    if used < array_bytes:
        _fail("arrays", f"have {array_bytes} bytes, of which the last {array_bytes - used} belong to nothing")
    for (_, stop, where), (start, _, after) in pairwise(ranges):
        if start < stop:
            _fail(after, f"begins at byte {start} of the arrays, where {where} has not ended")


def _ranges(manifest: Manifest) -> Iterable[tuple[int, int, str]]:
    """(first byte, last byte + 1, user) of every range that is not empty."""
    for kind, raw in (("coordinates", manifest.coordinates), ("lossless", manifest.lossless)):
        for name, variable in raw.items():
            if variable.data.length:
                yield variable.data.offset, variable.data.offset + variable.data.length, f"{kind}.{name}"
    for position, mask in enumerate(manifest.masks):
        if mask.length:
            yield mask.offset, mask.offset + mask.length, f"masks[{position}]"

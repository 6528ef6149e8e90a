"""Do the parts of a manifest agree with each other and with the archive's members? Every error says what and where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

from nnzip.container.limits import ARRAYS_MEMBER, MANIFEST_MEMBER, MAX_VALUES
from nnzip.errors import CorruptArchiveError

if TYPE_CHECKING:
    from nnzip.container.manifest import GroupEntry, Manifest, RawVariable, SegmentEntry, StoredArray


def check_manifest(manifest: Manifest, sizes: Mapping[str, int] | None) -> None:
    """Raise CorruptArchiveError when anything in `manifest` contradicts the rest or `sizes` (bytes of each member)."""
    _check_attributes(manifest.attrs, "attrs")
    for kind, raw in (("coordinates", manifest.coordinates), ("lossless", manifest.lossless)):
        for name, variable in raw.items():
            _check_raw(manifest, variable, f"{kind}.{name}", sizes)
            if name in manifest.dims and variable.dims != (name,):
                _fail(
                    f"{kind}.{name}", f'has the dimensions {list(variable.dims)} and the name of the dimension "{name}"'
                )
    for name, compressed in manifest.variables.items():
        where = f"variables.{name}"
        _check_dims(manifest, compressed.dims, where)
        _check_attributes(compressed.attrs, where)
    _check_order(manifest)
    _check_grouping(manifest)
    for index, group in enumerate(manifest.groups):
        _check_group(manifest, group, f"groups[{index}]", sizes)
    for name in manifest.errors:
        if name not in manifest.variables:
            _fail("errors", f'names "{name}", which is no compressed variable')
    if sizes is not None:
        for member in sorted(manifest.members() - set(sizes)):
            _fail("members", f'"{member}" is referred to but not in the archive')


def _fail(where: str, what: str) -> NoReturn:
    raise CorruptArchiveError(f"{MANIFEST_MEMBER}: {where}: {what}")


def _check_dims(manifest: Manifest, dims: tuple[str, ...], where: str) -> tuple[int, ...]:
    for dim in dims:
        if dim not in manifest.dims:
            _fail(where, f'dimension "{dim}" is not declared')
    if len(set(dims)) != len(dims):
        _fail(where, f"a dimension is repeated in {list(dims)}")
    shape = manifest.shape(dims)
    if math.prod(shape) > MAX_VALUES:
        _fail(where, f"declares {math.prod(shape)} values; the limit is {MAX_VALUES}")
    return shape


def _check_raw(manifest: Manifest, variable: RawVariable, where: str, sizes: Mapping[str, int] | None) -> None:
    shape = _check_dims(manifest, variable.dims, where)
    if variable.data.shape != shape:
        _fail(where, f"has shape {variable.data.shape}, its dimensions have {shape}")
    _check_stored(variable.data, where, sizes)
    _check_attributes(variable.attrs, where)


def _check_stored(array: StoredArray, where: str, sizes: Mapping[str, int] | None) -> None:
    if math.prod(array.shape) > MAX_VALUES:
        _fail(where, f"declares {math.prod(array.shape)} values; the limit is {MAX_VALUES}")
    _check_range(ARRAYS_MEMBER, array.offset, array.length, where, sizes)


def _check_range(member: str, offset: int, length: int, where: str, sizes: Mapping[str, int] | None) -> None:
    if sizes is not None and length and offset + length > sizes.get(member, 0):
        _fail(where, f'bytes {offset} to {offset + length} of "{member}", which has {sizes.get(member, 0)}')


def _check_attributes(attrs: Mapping[str, Any], where: str) -> None:
    for name, value in attrs.items():
        if isinstance(value, dict):
            if set(value) != {"dtype", "value"} or not isinstance(value["dtype"], str):
                _fail(where, f'attribute "{name}" has keys {sorted(value)}; a typed attribute has "dtype" and "value"')
            value = value["value"]
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, str | int | float | bool):
                kind = type(item).__name__
                _fail(where, f'attribute "{name}" holds a {kind}; text, numbers and lists of them are allowed')


def _check_order(manifest: Manifest) -> None:
    every = [*manifest.variables, *manifest.lossless]
    overlap = set(manifest.variables) & set(manifest.lossless) | set(manifest.coordinates) & set(every)
    if overlap:
        _fail("variables", f'"{min(overlap)}" is declared twice')
    if manifest.order and sorted(manifest.order) != sorted(every):
        _fail("order", f"lists {sorted(manifest.order)}; the data variables are {sorted(every)}")


def _check_grouping(manifest: Manifest) -> None:
    grouped = [name for group in manifest.groups for name in group.variables]
    if sorted(grouped) != sorted(manifest.variables):
        _fail("groups", f"hold {sorted(grouped)}; the compressed variables are {sorted(manifest.variables)}")


def _check_group(manifest: Manifest, group: GroupEntry, where: str, sizes: Mapping[str, int] | None) -> None:
    if 0 in _check_dims(manifest, group.dims, where):
        _fail(where, f"has an empty dimension among {list(group.dims)}")
    if not group.variables:
        _fail(where, "has no variables")
    for name in group.variables:
        missing = set(group.dims) - set(manifest.variables[name].dims)
        if missing:
            _fail(where, f'variable "{name}" lacks the dimension "{min(missing)}"')
    _check_segments(group, 1 if group.time is None else manifest.dims[group.time], where)
    if group.mask is not None:
        _check_range(group.mask.member, group.mask.offset, group.mask.length, f"{where}.mask", sizes)
    if group.statistics is not None:
        _check_stored(group.statistics, f"{where}.statistics", sizes)


def _check_tiles(group: GroupEntry, segment: SegmentEntry, where: str) -> None:
    members = len(segment.tiles) * len(group.variables)
    if len(segment.detail) != members or len(segment.corrections) != members:
        _fail(
            where, f"lists {len(segment.detail)} details and {len(segment.corrections)} corrections for {members} tiles"
        )
    stops = (0, *segment.tiles)
    if segment.tiles and (stops[-1] != segment.stop - segment.start or any(a >= b for a, b in pairwise(stops))):
        _fail(
            where, f"has tiles that stop at {list(segment.tiles)}; the segment has {segment.stop - segment.start} steps"
        )
    if segment.field is None and not segment.tiles:
        _fail(where, "has no layer")


def _check_segments(group: GroupEntry, steps: int, where: str) -> None:
    position = 0
    for index, segment in enumerate(group.segments):
        if segment.start != position or segment.stop <= segment.start:
            span = f"steps {segment.start} to {segment.stop}"
            _fail(f"{where}.segments[{index}]", f"covers {span}; step {position} comes next")
        _check_tiles(group, segment, f"{where}.segments[{index}]")
        position = segment.stop
    if position != steps:
        _fail(where, f"its segments end at step {position} of {steps}")

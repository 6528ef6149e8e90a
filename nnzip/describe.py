"""What an archive says about a dataset: the manifest, lossless arrays and masks, everything but the layers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nnzip
from nnzip.coder.mask import MaskEncoder
from nnzip.container.arrays import ArrayStore
from nnzip.container.limits import FORMAT_VERSION
from nnzip.container.manifest import (
    GEOGRAPHIC,
    CompressedVariable,
    GroupEntry,
    Manifest,
    MaskEntry,
    RawVariable,
    SegmentEntry,
    Source,
)
from nnzip.data.conventions import OWN_ATTRIBUTES
from nnzip.data.grouping import Group, VariableLayout, stack
from nnzip.data.skeleton import RawArray, attrs_to_json, compressed_attributes, to_raw
from nnzip.errors import InputError
from nnzip.plan.budget import segments
from nnzip.reader import group_grid
from nnzip.segment import field_name
from nnzip.tile.corrector import Bounds

_FLOAT32_BYTES = 4
_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Survey:
    """What a first reading of a group finds. `mask`: the missing positions, coded; empty where nothing is missing."""

    mask: bytes
    segments: tuple[tuple[int, int], ...]
    finite_by_segment: tuple[int, ...]
    low: NDArray[np.float64]  # [channel] smallest value, infinite where there is none
    high: NDArray[np.float64]
    digest: bytes

    @property
    def finite(self) -> int:
        """Number of values that are not missing."""
        return sum(self.finite_by_segment)


def survey(dataset: xr.Dataset, group: Group) -> Survey:
    """Read a group once, segment by segment.

    Raises InputError for infinities. Memory: a segment, and the distinct maps of missing points.
    """
    channels, times, rows, columns = group.shape
    masks, finite = MaskEncoder(), []
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    ranges = tuple(segments(channels, times, rows * columns))
    for start, stop in ranges:
        values = stack(dataset, group, slice(start, stop))
        missing = np.isnan(values)
        if np.isinf(values).any():
            raise InputError(_infinities(group, values, start))
        low = np.minimum(low, np.where(missing, np.inf, values).min(axis=(1, 2, 3)))
        high = np.maximum(high, np.where(missing, -np.inf, values).max(axis=(1, 2, 3)))
        digest.update(np.ascontiguousarray(values).data)
        finite.append(int(missing.size - missing.sum()))
        masks.add(missing)
    mask = b""
    if sum(finite) < prod(group.shape):
        mask = masks.encode(group_grid(group).longitude.periodic)
    return Survey(mask, ranges, tuple(finite), low, high, digest.digest())


def describe(
    dataset: xr.Dataset,
    groups: Sequence[Group],
    surveys: Sequence[Survey],
    lossless: Sequence[str],
    bounds: Mapping[str, Bounds],
    configuration: dict[str, Any],
) -> tuple[Manifest, bytes]:
    """The manifest (without achieved errors) and the member that holds all lossless arrays."""
    store = ArrayStore()
    compressed = [layout for group in groups for layout in group.variables]
    names = {layout.name for layout in compressed}
    used = set(names) | set(lossless)
    coordinates = to_raw(dataset, [str(name) for name in dataset.coords])
    kept = to_raw(dataset, lossless)
    digest = hashlib.blake2b(b"".join(found.digest for found in surveys), digest_size=_DIGEST_BYTES)
    values = sum(prod(group.shape) for group in groups)
    manifest = Manifest(
        format=FORMAT_VERSION,
        nnzip=nnzip.__version__,
        dims={str(dim): int(size) for dim, size in dataset.sizes.items()},
        source=Source(values * _FLOAT32_BYTES, digest.hexdigest()),
        attrs=attrs_to_json(dataset.attrs),
        coordinates={name: _raw_variable(raw, store) for name, raw in coordinates.items()},
        lossless={name: _raw_variable(raw, store) for name, raw in kept.items()},
        variables={layout.name: _compressed(dataset, layout, bounds.get(layout.name)) for layout in compressed},
        order=tuple(str(name) for name in dataset.data_vars if name in used),
        groups=tuple(
            _entry(index, group, found) for index, (group, found) in enumerate(zip(groups, surveys, strict=True))
        ),
        configuration=configuration,
    )
    return manifest, store.getvalue()


def _compressed(dataset: xr.Dataset, layout: VariableLayout, promise: Bounds | None) -> CompressedVariable:
    attrs = compressed_attributes(dataset[layout.name].variable)
    attrs = {name: value for name, value in attrs.items() if name not in OWN_ATTRIBUTES}
    if promise is None:
        return CompressedVariable(layout.dims, layout.dtype, attrs)
    return CompressedVariable(layout.dims, layout.dtype, attrs, promise.bound, promise.guard)


def _entry(index: int, group: Group, found: Survey) -> GroupEntry:
    mask = None
    if found.mask:
        mask = MaskEntry(length=len(found.mask), member=field_name(index, 0))
    known = (group.time.geographic, group.latitude.geographic, group.longitude.geographic)
    return GroupEntry(
        dims=tuple(dim for dim in group.dims if dim is not None),
        variables=tuple(layout.name for layout in group.variables),
        segments=tuple(
            SegmentEntry(stop=stop, start=start, field=field_name(index, number))
            for number, (start, stop) in enumerate(found.segments)
        ),
        geographic=GEOGRAPHIC if all(known) else known,
        mask=mask,
    )


def _raw_variable(raw: RawArray, store: ArrayStore) -> RawVariable:
    return RawVariable(data=store.add(raw.values), dims=raw.dims, attrs=raw.attrs)


def _infinities(group: Group, values: NDArray[np.floating], start: int) -> str:
    for layout, part in group.parts():
        infinite = np.isinf(values[part])
        if infinite.any():
            _, time, row, column = np.argwhere(infinite)[0]
            return (
                f"{layout.name} holds {int(infinite.sum())} infinite values, the first at time step {start + time}, "
                f"row {row}, column {column}: mark them as missing (dataset.where(numpy.isfinite(dataset)))"
            )
    raise ValueError("the values hold no infinity")

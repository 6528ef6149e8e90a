"""The manifest of an archive that has got later time steps: the old one and that of the new part as one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import fsum, prod, sqrt

import numpy as np
import xarray as xr
from msgspec.structs import replace

from nnzip.container.arrays import ArrayStore
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    KeptPromise,
    Manifest,
    MaskRange,
    Pieces,
    RawVariable,
    Source,
)
from nnzip.data.skeleton import to_raw
from nnzip.describe import brief_masks
from nnzip.evaluate.weights import latitude_weights
from nnzip.plan.cutting import brief, tile_box, tile_count
from nnzip.read import Archive
from nnzip.version import __version__

_DIGEST_BYTES = 8


def joined(
    archive: Archive, more: xr.Dataset, part: Manifest, arrays: bytes, weights: Mapping[str, float] | None = None
) -> tuple[Manifest, bytes]:
    """The manifest and the arrays of `archive` with the tiles of `part`, whose arrays are `arrays`.

    `more`: the new data of everything that depends on time. `weights`: of the new values of each variable, in the means
    of its errors; without them the manifest only has the right size.
    """
    old, store = archive.manifest, ArrayStore()
    masks = _Masks(store)
    variables, errors = {}, dict(old.errors)
    for number, (name, entry) in enumerate(old.variables.items()):
        new = part.variables.get(name)
        found = _mask_payloads(old, archive.reader.arrays(0, 1 << 62), entry)
        if new is None:
            variables[name] = replace(entry, masks=masks.numbers(found))
            continue
        found += _mask_payloads(part, arrays, new)
        variables[name] = replace(
            entry,
            sizes=brief(_longer(old.pieces(entry), part.pieces(new))),
            masks=masks.numbers(found),
            guard=max(entry.guard, new.guard),
            promises=_promises(entry.promises, new.promises),
            promise_bytes=entry.promise_bytes + new.promise_bytes,
        )
        if name in old.errors:
            shares = (1.0, 1.0) if weights is None else (_weight(archive, number), weights[name])
            errors[name] = _errors(old.errors[name], part.errors[name], shares)
    times = {dim: old.dims[dim] + more.sizes[dim] for dim in more.dims if dim in _times(old)}
    digest = hashlib.blake2b(old.source.digest + part.source.digest, digest_size=_DIGEST_BYTES).digest()
    manifest = replace(
        old,
        nnzip=__version__,
        dims=old.dims | times,
        source=Source(old.source.bytes + part.source.bytes, digest),
        coordinates=_raw(archive, more, old.coordinates, store),
        lossless=_raw(archive, more, old.lossless, store),
        variables=variables,
        masks=tuple(masks.ranges.values()),
        errors=errors,
    )
    return manifest, store.getvalue()


class _Masks:
    """Masks of all tiles, equal ones once."""

    def __init__(self, store: ArrayStore) -> None:
        self._store, self.ranges = store, dict[bytes, MaskRange]()

    def numbers(self, payloads: Sequence[bytes]) -> tuple[int, ...]:
        for payload in payloads:
            if payload and payload not in self.ranges:
                self.ranges[payload] = MaskRange(length=len(payload), offset=self._store.add_bytes(payload))
        places = {payload: place for place, payload in enumerate(self.ranges, start=1)}
        return brief_masks([places[payload] if payload else 0 for payload in payloads])


def _mask_payloads(manifest: Manifest, arrays: bytes, entry: CompressedVariable) -> list[bytes]:
    """The coded mask of every tile, empty where nothing is missing."""
    numbers = (manifest.mask_number(entry, tile) for tile in range(tile_count(manifest.pieces(entry))))
    ranges = [manifest.masks[number - 1] if number else MaskRange(0) for number in numbers]
    return [arrays[place.offset : place.offset + place.length] for place in ranges]


def _longer(old: Pieces, new: Pieces) -> Pieces:
    channels, times, rows, columns = old
    return channels, times + new[1], rows, columns


def _times(manifest: Manifest) -> set[str]:
    return {grid.time for grid in manifest.grids if grid.time is not None}


def _raw(
    archive: Archive, more: xr.Dataset, stored: Mapping[str, RawVariable], store: ArrayStore
) -> dict[str, RawVariable]:
    """Coordinates or lossless variables, with the new values of those that depend on time."""
    times, dataset, found = _times(archive.manifest), archive.dataset(), {}
    for name, raw in stored.items():
        growing = [dim for dim in raw.dims if dim in times]
        if not growing:
            found[name] = replace(raw, data=store.add(archive.reader.read_array(raw)))
            continue
        before = dataset[name].variable.to_base_variable()
        both = xr.concat([xr.DataArray(before), xr.DataArray(more[name].variable.to_base_variable())], growing[0])
        longer = xr.Dataset({name: xr.Variable(both.dims, both.values, before.attrs)})
        longer[name].encoding = before.encoding
        coded = to_raw(longer, [name])[name]
        found[name] = RawVariable(store.add(coded.values), coded.dims, coded.attrs)
    return found


def _promises(old: Sequence[KeptPromise], new: Sequence[KeptPromise]) -> tuple[KeptPromise, ...]:
    """Of the same text as one."""
    found = {kept.promise: kept for kept in old}
    for kept in new:
        before = found.get(kept.promise, KeptPromise(kept.promise))
        found[kept.promise] = KeptPromise(
            kept.promise,
            before.points + kept.points,
            before.violations + kept.violations,
            max(before.tightest, kept.tightest),
        )
    return tuple(found.values())


def _errors(old: AchievedErrors, new: AchievedErrors, weights: tuple[float, float]) -> AchievedErrors:
    """Of both parts together."""

    def mean(first: float, second: float) -> float:
        return fsum(weight * value for weight, value in zip(weights, (first, second), strict=True)) / fsum(weights)

    return AchievedErrors(
        sqrt(mean(old.rmse**2, new.rmse**2)), max(old.max_error, new.max_error), mean(old.bias, new.bias)
    )


def _weight(archive: Archive, number: int) -> float:
    """Sum of the area weights of a variable's values that are not missing."""
    manifest = archive.manifest
    entry = list(manifest.variables.values())[number]
    latitude = archive.grids[entry.grid].latitude
    weights = latitude_weights(latitude.values) if latitude.geographic else np.ones(latitude.values.size)
    total = 0.0
    for tile in range(tile_count(manifest.pieces(entry))):
        box, mask = tile_box(manifest.pieces(entry), tile), archive.tiles.mask(number, tile)
        rows = weights[box.slices[2]]
        counts = np.full(rows.size, prod(box.shape) / rows.size) if mask is None else (~mask).sum(axis=(0, 1, 3))
        total += float((counts * rows).sum())
    return total

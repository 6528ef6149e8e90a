"""What an archive says about a dataset: the manifest and the lossless arrays, everything but the tiles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import xarray as xr

from nnzip.base import VariableBase
from nnzip.container.arrays import ArrayStore
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    Grid,
    KeptPromise,
    Manifest,
    MaskRange,
    RawVariable,
    Source,
)
from nnzip.data.conventions import OWN_ATTRIBUTES
from nnzip.data.skeleton import RawArray, compressed_attributes, dataset_attributes, to_raw
from nnzip.findings import Findings
from nnzip.parts import Part, source_bytes
from nnzip.plan.cutting import brief
from nnzip.promises.goals import Goals, Promised
from nnzip.request.options import NETWORK, Options
from nnzip.survey import Survey
from nnzip.version import __version__

_DIGEST_BYTES = 8


class Description:
    """Everything about an archive that is known before its tiles are coded."""

    def __init__(
        self,
        dataset: xr.Dataset,
        parts: Sequence[Part],
        surveys: Sequence[Survey],
        lossless: Sequence[str],
        goals: Goals,
        options: Options,
        stored_bytes: int = 0,
        bases: Sequence[VariableBase | None] = (),
    ) -> None:
        store = ArrayStore()
        self._masks: dict[bytes, MaskRange] = {}
        grids = {part.group.dims: _grid(part) for part in parts}
        places = {dims: place for place, dims in enumerate(grids)}
        variables = {}
        for part, found, base in zip(parts, surveys, bases or [None] * len(parts), strict=True):
            masks = self._mask_numbers(found, store)
            promised = goals.promised.get(part.layout.name)
            entry = _compressed(part, places[part.group.dims], masks, promised, network=options.mode == NETWORK)
            variables[part.layout.name] = msgspec.structs.replace(entry, base=None if base is None else base.entry)
        names = set(variables) | set(lossless)
        digest = hashlib.blake2b(b"".join(found.digest for found in surveys), digest_size=_DIGEST_BYTES)
        coordinates = to_raw(dataset, [str(name) for name in dataset.coords])
        self._manifest = Manifest(
            nnzip=__version__,
            dims={str(dim): int(size) for dim, size in dataset.sizes.items()},
            source=Source(source_bytes(parts), digest.digest(), stored_bytes),
            attrs=dataset_attributes(dataset),
            coordinates={name: _raw_variable(raw, store) for name, raw in coordinates.items()},
            lossless={name: _raw_variable(raw, store) for name, raw in to_raw(dataset, lossless).items()},
            variables=variables,
            order=tuple(str(name) for name in dataset.data_vars if name in names),
            grids=tuple(grids.values()),
            masks=tuple(self._masks.values()),
            configuration=options.to_dict(),
        )
        self.arrays = store.getvalue()

    def manifest(self, findings: Mapping[str, Findings] | None = None) -> Manifest:
        """With findings; without, with errors of the usual number of digits, to know the size."""
        if findings is None:
            likely = AchievedErrors(1.23456e-3, 12.3456, -1.23456e-4)
            return msgspec.structs.replace(self._manifest, errors=dict.fromkeys(self._manifest.variables, likely))
        errors, variables = {}, {}
        for name, entry in self._manifest.variables.items():
            found = findings[name]
            errors[name] = AchievedErrors(found.errors.rmse(), found.errors.max_error, found.errors.bias())
            kept = tuple(
                KeptPromise(text, each.points, each.violations, float(f"{each.tightest:.6g}"))
                for text, each in found.promises()
            )
            variables[name] = msgspec.structs.replace(entry, promises=kept, promise_bytes=found.promise_bytes)
        return msgspec.structs.replace(self._manifest, errors=errors, variables=variables)

    def _mask_numbers(self, found: Survey, store: ArrayStore) -> tuple[int, ...]:
        """The mask of every tile; one number where all have the same, none where nothing is missing."""
        numbers = []
        for tile in found.tiles:
            if tile.mask and tile.mask not in self._masks:
                self._masks[tile.mask] = MaskRange(length=len(tile.mask), offset=store.add_bytes(tile.mask))
            numbers.append(list(self._masks).index(tile.mask) + 1 if tile.mask else 0)
        return brief_masks(numbers)


def brief_masks(numbers: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the tiles' masks as the manifest holds them."""
    if len(set(numbers)) == 1:
        return (numbers[0],) if numbers[0] else ()
    return tuple(numbers)


def _grid(part: Part) -> Grid:
    group = part.group
    return Grid(
        dims=tuple(dim for dim in group.dims if dim is not None),
        geographic=(group.time.geographic, group.latitude.geographic, group.longitude.geographic),
    )


def _compressed(
    part: Part, grid: int, masks: tuple[int, ...], promised: Promised | None, *, network: bool
) -> CompressedVariable:
    layout = part.layout
    attrs = compressed_attributes(part.dataset[layout.name].variable)
    return CompressedVariable(
        dims=layout.dims,
        grid=grid,
        dtype=layout.dtype,
        attrs={name: value for name, value in attrs.items() if name not in OWN_ATTRIBUTES},
        sizes=brief(part.sizes),
        masks=masks,
        bound=None if promised is None else promised.bound,
        guard=promised.guard if promised is not None else 0.0,
        network=network,
    )


def _raw_variable(raw: RawArray, store: ArrayStore) -> RawVariable:
    return RawVariable(data=store.add(raw.values), dims=raw.dims, attrs=raw.attrs)

"""Decode the layers of an open archive: field, detail, corrections, missing values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.mask import decode_mask
from nnzip.container.manifest import Manifest, SegmentEntry
from nnzip.data.axes import SourceGrid
from nnzip.data.grouping import Group
from nnzip.errors import UsageError

if TYPE_CHECKING:
    import torch

    from nnzip.field.model import Field

Values = NDArray[np.float64]
Positions = tuple[Values, Values, Values]
"""Vertex positions along (time, latitude, longitude); whole numbers are source points."""

LAYERS = ("all", "field")


class Tile(NamedTuple):
    """A piece of one variable's detail, by its number in the segment."""

    group: int
    segment: int
    variable: int
    number: int


TileDecoder = Callable[[Tile], NDArray[Any]]
"""Gives a tile [channel, time, lat, lon]."""


class Members(Protocol):
    """Where layers are read from: an archive, or what is about to be written into one."""

    @property
    def manifest(self) -> Manifest:
        """Which members there are, and what they hold."""

    def read(self, name: str) -> bytes:
        """A whole member."""


class LayerDecoder:
    """Values of an archive's groups at vertex positions. Thread-safe; keeps the last few decoded parts."""

    def __init__(
        self, reader: Members, groups: Sequence[Group], grids: Sequence[SourceGrid], device: str, layer: str
    ) -> None:
        self._reader, self._groups, self._grids = reader, groups, grids
        self._device, self._layer = device, layer
        self._chosen: torch.device | None = None
        self._lock = threading.RLock()
        self._fields = _Cache(2)
        self._bases = _Cache(2)
        self._tiles = _Cache(8)
        self._masks = _Cache(8)
        self._tile_decoder: TileDecoder = self.decode_tile

    def device(self) -> torch.device:
        """Where fields and details are decoded: as asked for, until that device is found to drift too far."""
        from nnzip.field.device import resolve_device

        if self._chosen is None:
            self._chosen = resolve_device(self._device)
        return self._chosen

    def field(self, group: int, segment: int) -> Field:
        """The decoded field of a segment."""
        from nnzip.field.probes import read_checked_field

        def read() -> Field:
            entry, variables = self._entry(group, segment), self._reader.manifest.variables
            grid = self._grids[group].times(entry.start, entry.stop)
            payload = self._layer_bytes(group, entry.field or "")
            layouts = self._groups[group].variables
            guards = np.repeat([variables[each.name].guard for each in layouts], [each.channels for each in layouts])
            field, self._chosen = read_checked_field(payload, grid, guards, self.device())
            return field

        with self._lock:
            found: Field = self._fields.get((group, segment), read)
            return found

    def values(self, group: int, variable: int, positions: Positions) -> NDArray[Any]:
        """Values [channel, time, lat, lon] of a group's variable at vertex positions in its output type, NaN where
        missing."""
        times, latitudes, longitudes = positions
        layout, channels = self._groups[group].parts()[variable]
        shape = (layout.channels, times.size, latitudes.size, longitudes.size)
        decoded = np.empty(shape, dtype=layout.dtype)
        with self._lock:
            for segment, entry in enumerate(self._reader.manifest.groups[group].segments):
                inside = np.flatnonzero((times >= entry.start) & (times < entry.stop))
                if inside.size:
                    part = (times[inside] - entry.start, latitudes, longitudes)
                    self._decode(group, segment, variable, part, decoded, inside)
            missing = self.missing(group)
        if missing is not None:
            nearest = [np.rint(p).astype(np.intp) % n for p, n in zip(positions, missing.shape[1:], strict=True)]
            decoded[missing[channels][:, nearest[0]][:, :, nearest[1]][:, :, :, nearest[2]]] = np.nan
        return decoded

    def missing(self, group: int) -> NDArray[np.bool_] | None:
        """Where a group's values are missing, [channel, time, lat, lon]; None: nowhere."""
        entry = self._reader.manifest.groups[group].mask
        if entry is None:
            return None

        def read() -> NDArray[np.bool_]:
            data = self._reader.read(entry.member)[entry.offset : entry.offset + entry.length]  # whole: for its CRC
            return decode_mask(data, self._groups[group].shape)

        found: NDArray[np.bool_] = self._masks.get(group, read)
        return found

    def _layer_bytes(self, group: int, member: str) -> bytes:
        """A member without the mask that may follow its layer."""
        mask = self._reader.manifest.groups[group].mask
        data = self._reader.read(member)
        return data[: mask.offset] if mask is not None and mask.member == member else data

    def _entry(self, group: int, segment: int) -> SegmentEntry:
        return self._reader.manifest.groups[group].segments[segment]

    def _decode(
        self,
        group: int,
        segment: int,
        variable: int,
        positions: Positions,
        decoded: NDArray[Any],
        places: NDArray[np.intp],
    ) -> None:
        """Values at positions that count times from the segment's start, into the times `places` of `decoded`."""
        entry = self._entry(group, segment)
        if self._layer == "field" and entry.field is None:
            raise UsageError("the archive was made without a field (--no-field): decode all its layers")
        if self._layer == "field" or not entry.tiles:
            _, channels = self._groups[group].parts()[variable]
            for target, channel in zip(decoded, range(channels.start, channels.stop), strict=True):
                target[places] = self._base(group, segment, channel, positions)
            return
        latitudes, longitudes = positions[1:]
        for number, (start, stop) in enumerate(pairwise((0, *entry.tiles))):
            inside = np.flatnonzero((positions[0] >= start) & (positions[0] < stop))
            if inside.size:
                place = Tile(group, segment, variable, number)
                tile = self._tiles.get(place, partial(self._tile_decoder, place))
                rows = positions[0][inside].astype(np.intp) - start
                decoded[:, places[inside]] = _interpolated(tile[:, rows], latitudes, longitudes, self._grids[group])

    def tiles(self, group: int, variable: int, times: NDArray[Any]) -> list[Tile]:
        """Those that a variable's values at these time steps of the record are decoded from, in the order of time."""
        found = []
        for segment, entry in enumerate(self._reader.manifest.groups[group].segments):
            for number, (start, stop) in enumerate(pairwise((0, *entry.tiles))):
                inside = (times >= entry.start + start) & (times < entry.start + stop)
                if self._layer == "all" and inside.any():
                    found.append(Tile(group, segment, variable, number))
        return found

    def decode_elsewhere(self, decoder: TileDecoder) -> None:
        """Let `decoder` do what `decode_tile` does."""
        self._tile_decoder = decoder

    def decode_tile(self, tile: Tile) -> NDArray[Any]:
        """A whole tile [channel, time, lat, lon] of a variable, in its output type."""
        from nnzip.field.device import memory_errors
        from nnzip.tile.payload import read_detail
        from nnzip.tile.tile import decode_tile

        group, segment, variable, number = tile
        entry, grid = self._entry(group, segment), self._grids[group]
        layout, channels = self._groups[group].parts()[variable]
        member = number * len(self._groups[group].variables) + variable
        start, stop = (0, *entry.tiles)[number : number + 2]
        whole = [np.arange(n, dtype=np.float64) for n in grid.shape[1:]]
        positions = (np.arange(start, stop, dtype=np.float64), whole[0], whole[1])

        def base(channel: int) -> Values:
            return self._base(group, segment, channels.start + channel, positions)

        shape = (layout.channels, stop - start, *grid.shape[1:])
        detail = read_detail(self._layer_bytes(group, entry.detail[member]), shape, grid.periodic)
        corrections = self._reader.read(entry.corrections[member]) if entry.corrections[member] else b""
        needs_field = entry.field is not None and not detail.absolute
        if needs_field:
            self.field(group, segment)  # first, as it may find that the device drifts
        with memory_errors():
            return decode_tile(detail, corrections, base if needs_field else None, layout.dtype, self.device())

    def _base(self, group: int, segment: int, channel: int, positions: Positions) -> Values:
        """A channel of the field; all are kept standardised, as they are asked for one after another."""
        field = self.field(group, segment)
        key = (group, segment, *(p.tobytes() for p in positions))
        standardised = self._bases.get(key, lambda: field.standardised(*positions))
        return field.in_units(channel, standardised[channel], positions[1])


class _Cache:
    """The last `size` things that were made, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under `key`, made now if it is not."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _interpolated(values: NDArray[Any], latitudes: Values, longitudes: Values, grid: SourceGrid) -> NDArray[Any]:
    """`values` [channel, time, lat, lon] on the source's grid at vertex positions: linear, exact at the vertices."""
    for axis, positions in ((2, latitudes), (3, longitudes)):
        count = values.shape[axis]
        lower = np.floor(positions).astype(np.intp)
        fraction = positions - lower
        low = np.take(values, lower, axis=axis)
        if fraction.any():
            upper = (lower + 1) % count if grid.axes[axis - 1].periodic else np.minimum(lower + 1, count - 1)
            weight = fraction.reshape(-1, 1) if axis == 2 else fraction
            low = low * (1 - weight) + np.take(values, upper, axis=axis) * weight
        values = low
    return values

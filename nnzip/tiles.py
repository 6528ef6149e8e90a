"""The tiles of an open archive: decoded on demand, kept for a while, joined to arrays."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.mask import decode_mask
from nnzip.container.manifest import CompressedVariable, base_member, network_member, tile_member
from nnzip.container.reader import GLANCE_BYTES, ArchiveReader
from nnzip.data.axes import SourceGrid
from nnzip.errors import UsageError
from nnzip.executor import ALONE, Workers
from nnzip.network.coding import decode_network
from nnzip.network.network import Network
from nnzip.plan.cutting import Shape, Sizes, tile_box, tiles_touched
from nnzip.skeleton import read_skeleton, source_grids
from nnzip.tile.decode import Maps, decode_maps, decode_preview, decode_tile, preview_size
from nnzip.tile.header import TileHeader, unpack

_KEPT_VALUES = 1 << 26
"""Values of decoded tiles and maps of bases that are kept: all that one map may touch (plan/cutting.py); at least the
last tile is."""
_COARSE = 0.0, 0.7, 0.5, 0.3  # share of a tile's bytes that a preview mostly needs, by halvings
_COARSE_BYTES = 1 << 15  # that are read at least: asking again takes longer

Values = NDArray[np.floating]
Positions = NDArray[np.float64]
Times = NDArray[np.float64] | NDArray[np.intp]
_Index = tuple[slice | NDArray[np.intp], ...]


class Tiles:
    """Decodes tiles of the archive `reader`, each with `halvings` of its rows and columns (0: everything).

    Safe to use from several threads, which decode at once, and after a fork; pickles by the archive's path, without the
    `team`, which decodes some further tiles while one is used.
    """

    def __init__(self, reader: ArchiveReader, device: Device = None, halvings: int = 0, team: Workers = ALONE) -> None:
        self._reader, self._device, self.halvings = reader, device, halvings
        self._executor, self._ahead = team.executor, team.count if team.executor else 0
        self.watch: Callable[[int], None] | None = None
        """Is told how many values have been read each time."""
        self._networks: dict[int, tuple[Network, SourceGrid]] = {}
        self._begin()
        self._variables = list(reader.manifest.variables.values())
        self.sizes = [self._pieces(variable) for variable in self._variables]

    def _begin(self) -> None:
        """Nothing decoded yet, by this process."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], Future[Values]] = OrderedDict()
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type[Tiles], tuple[ArchiveReader, Device, int]]:
        return Tiles, (self._reader, self._device, self.halvings)

    def shape(self, variable: int) -> tuple[int, ...]:
        """(channels, times, latitudes, longitudes) as decoded."""
        return tuple(sum(lengths) for lengths in self.sizes[variable])

    def values(
        self, variable: int, channels: NDArray[np.intp], times: Times, rows: Positions, columns: Positions
    ) -> Values:
        """Values [channel, time, row, column] in the variable's output type, NaN where missing.

        Rows and columns are fractional positions: between points the values are interpolated linearly, in the last
        interval before a `columns` position beyond the last column the first one follows. Missing is what is missing at
        the nearest point. Reads the tiles that hold these points. A network is evaluated at the points themselves, also
        between times.
        """
        size = self.shape(variable)
        if self._variables[variable].network:
            found = self._evaluated(variable, channels, times, rows, columns)
            nearest = [np.floor(axis + 0.5).astype(np.intp) for axis in (times, rows, columns)]
            if self._variables[variable].masks:
                found[self._missing(variable, [channels, nearest[0], nearest[1], nearest[2] % size[3]])] = np.nan
            return self._watched(found)
        row_pair, column_pair = _Pair.of(rows, size[2]), _Pair.of(columns, size[3])
        points = [channels, times.astype(np.intp), row_pair.points, column_pair.points]
        found = np.empty([axis.size for axis in points], dtype=self._variables[variable].dtype)
        touched, ready = tiles_touched(self.sizes[variable], [axis.tolist() for axis in points]), 0
        for place, tile in enumerate(touched):
            if place == ready:
                ready += self._read_ahead(variable, touched[place:])
            here, inside = self._places(variable, tile, points)
            found[here] = self.tile(variable, tile)[inside]
        found = column_pair.between(row_pair.between(found, 2), 3)
        if self._variables[variable].masks:
            missing = self._missing(variable, points)
            found[np.take(np.take(missing, row_pair.nearest, axis=2), column_pair.nearest, axis=3)] = np.nan
        return self._watched(found)

    def _watched(self, found: Values) -> Values:
        if self.watch is not None:
            self.watch(found.size)
        return found

    def _places(self, variable: int, tile: int, points: Sequence[NDArray[np.intp]]) -> tuple[_Index, _Index]:
        """Which of a product of points a tile holds, and where in the tile they are."""
        box = tile_box(self.sizes[variable], tile)
        here = [
            np.flatnonzero((axis >= part.start) & (axis < part.stop)) for axis, part in zip(points, box, strict=True)
        ]
        inside = [axis[where] - part.start for axis, where, part in zip(points, here, box, strict=True)]
        return _index(here), _index(inside)

    def _missing(self, variable: int, points: Sequence[NDArray[np.intp]]) -> NDArray[np.bool_]:
        """Which of a product of points [channel, time, row, column] are missing."""
        missing = np.zeros([axis.size for axis in points], dtype=np.bool_)
        for tile in tiles_touched(self.sizes[variable], [axis.tolist() for axis in points]):
            mask = self.mask(variable, tile)
            if mask is not None:
                here, inside = self._places(variable, tile, points)
                missing[here] = mask[inside]
        return missing

    def _evaluated(
        self, variable: int, channels: NDArray[np.intp], times: Times, rows: Positions, columns: Positions
    ) -> Values:
        """The network of a variable at positions, [channel, time, row, column]."""
        manifest, entry, every = self._reader.manifest, self._variables[variable], 1 << self.halvings
        network, grid = self._network(entry.grid)
        places = times.astype(np.float64), every * rows, every * columns
        axes = [grid.coordinates(axis, wanted) for axis, wanted in enumerate(places)]
        found = network.values(axes[0], axes[1], axes[2], manifest.outputs(variable))
        return found[channels].astype(entry.dtype)

    def _network(self, grid: int) -> tuple[Network, SourceGrid]:
        """The network of a grid, and the grid's axes."""
        if grid not in self._networks:
            manifest = self._reader.manifest
            network = decode_network(self._reader.read(network_member(grid)), manifest.network_outputs(grid)).network()
            self._networks[grid] = network, source_grids(read_skeleton(self._reader), manifest)[grid]
        return self._networks[grid]

    def headers(self, variable: int) -> Iterator[TileHeader]:
        """What each tile of a variable says about itself, without decoding it."""
        members, ready = [tile_member(variable, tile) for tile in range(self._count(variable))], 0
        for tile, member in enumerate(members):
            if tile == ready:
                ready += self._reader.prefetch_starts(members[tile:], 0, GLANCE_BYTES)
            yield unpack(self._reader.read_start(member, GLANCE_BYTES), whole=False).header

    def each(self, variable: int) -> Iterator[tuple[int, Values]]:
        """Every tile of a variable by number, as `masked`."""
        numbers, ready = range(self._count(variable)), 0
        for tile in numbers:
            if tile == ready:
                ready += self._read_ahead(variable, numbers[tile:])
            yield tile, self.masked(variable, tile)

    def masked(self, variable: int, tile: int) -> Values:
        """A whole tile [channel, time, lat, lon], NaN where missing."""
        mask = self.mask(variable, tile)
        return self.tile(variable, tile) if mask is None else np.where(mask, np.nan, self.tile(variable, tile))

    def tile(self, variable: int, tile: int) -> Values:
        """A whole tile [channel, time, lat, lon]; missing points hold any number."""
        found = self._once((variable, tile), lambda: self._decode(variable, tile))
        if self._executor is not None:
            for further in range(tile + 1, min(tile + 1 + self._ahead, self._count(variable))):
                self._prefetch(self._executor, variable, further)
        return found

    def _once(self, key: tuple[int, int], decode: Callable[[], Values]) -> Values:
        """What is kept under a key: (variable, tile), or (variable, -1 - place) for maps of a base; one of all that ask
        for it decodes it."""
        future, ours = self._future(key)
        if ours:
            try:
                future.set_result(decode())
            except BaseException as error:
                with self._lock:
                    self._kept.pop(key, None)
                future.set_exception(error)
        return future.result()

    def _future(self, wanted: tuple[int, int]) -> tuple[Future[Values], bool]:
        """The future of a key, and whether the caller is to fill it."""
        if self._process != os.getpid():  # a fork has no threads, and what they hold is never let go
            self._executor = None
            self._begin()
        with self._lock:
            known = self._kept.get(wanted)
            future = known or Future()
            self._kept[wanted] = future
            self._kept.move_to_end(wanted)
            done = [key for key, other in self._kept.items() if other.done() and not other.exception()]
            size = sum(self._kept[key].result().size for key in done)
            while size > _KEPT_VALUES and len(done) > 1 + self._ahead and done[0] != wanted:
                size -= self._kept.pop(done.pop(0)).result().size
            return future, known is None

    def _prefetch(self, executor: Executor, variable: int, tile: int) -> None:
        with self._lock:
            if (variable, tile) not in self._kept:
                self._kept[variable, tile] = executor.submit(self._decode, variable, tile)

    def _read_ahead(self, variable: int, tiles: Sequence[int]) -> int:
        """Read the first of these tiles together where they come from a URL; how many, at least one."""
        if self._variables[variable].network:
            return len(tiles)
        members = [tile_member(variable, tile) for tile in tiles if (variable, tile) not in self._kept]
        if self.halvings:
            return self._reader.prefetch_starts(members, _COARSE[self.halvings], _COARSE_BYTES)
        return self._reader.prefetch(members)

    def _decode(self, variable: int, tile: int) -> Values:
        member = tile_member(variable, tile)
        box = tile_box(self._pieces(self._variables[variable], whole=True), tile)
        channels, times, rows, columns = box.shape
        shape = channels, times, rows, columns
        if self._variables[variable].network:
            here, *axes = (np.arange(part.start, part.stop) for part in tile_box(self.sizes[variable], tile))
            return self._evaluated(variable, here, *(axis.astype(np.float64) for axis in axes))
        maps = self._maps(variable, tile, shape)
        if not self.halvings:
            return decode_tile(self._reader.read(member), shape, self._device, maps)
        needed = preview_size(self._reader.read_start(member, GLANCE_BYTES), self.halvings)
        return decode_preview(self._reader.read_start(member, needed), shape, self.halvings, self._device, maps)

    def _maps(self, variable: int, tile: int, shape: Shape) -> Maps | None:
        """Those of the base below a tile, if there is one."""
        entry = self._variables[variable].base
        if entry is None:
            return None
        channels, _, rows, columns = self.sizes[variable]
        place, count = tile % (len(channels) * len(rows) * len(columns)), entry.count

        def decode() -> Maps:
            data = self._reader.read(base_member(variable, place))
            return decode_maps(data, count, shape, self._device, self.halvings)

        return self._once((variable, -1 - place), decode)

    def mask(self, variable: int, tile: int) -> NDArray[np.bool_] | None:
        """Missing points of a tile; None where there are none."""
        manifest = self._reader.manifest
        number = manifest.mask_number(self._variables[variable], tile)
        if not number:
            return None
        place = manifest.masks[number - 1]
        channels, times, rows, columns = tile_box(self._pieces(self._variables[variable], whole=True), tile).shape
        mask = decode_mask(self._reader.arrays(place.offset, place.length), (channels, times, rows, columns))
        return mask[:, :, :: 1 << self.halvings, :: 1 << self.halvings]

    def _count(self, variable: int) -> int:
        count = 1
        for lengths in self.sizes[variable]:
            count *= len(lengths)
        return count

    def _pieces(self, variable: CompressedVariable, *, whole: bool = False) -> Sizes:
        """Lengths of the pieces as decoded, or in the source.

        Raises UsageError where pieces cannot be halved so often.
        """
        manifest = self._reader.manifest
        channels, times, rows, columns = manifest.pieces(variable)
        if whole or not self.halvings:
            return channels, times, rows, columns
        every = 1 << self.halvings
        for lengths in (rows, columns):
            if any(length % every for length in lengths[:-1]):
                raise UsageError(
                    f"there is no preview at 1/{every} of the resolution: tiles are cut every {lengths[0]} points, "
                    f"which {every} does not divide; choose a smaller one, or decompress everything"
                )
        return channels, times, _halved(rows, every), _halved(columns, every)


class _Pair:
    """Positions between points of an axis: the points needed, and the two that each position lies between."""

    def __init__(
        self, points: NDArray[np.intp], lower: NDArray[np.intp], upper: NDArray[np.intp], share: Positions
    ) -> None:
        self.points, self._lower, self._upper, self._share = points, lower, upper, share
        self.nearest = np.where(share < 0.5, lower, upper)

    @classmethod
    def of(cls, positions: Positions, size: int) -> _Pair:
        lower = np.floor(positions).astype(np.intp)
        share = positions - lower
        upper = np.where(share > 0, lower + 1, lower) % size
        points, inverse = np.unique(np.concatenate([lower, upper]), return_inverse=True)
        return cls(points, inverse[: lower.size], inverse[lower.size :], share)

    def between(self, values: Values, axis: int) -> Values:
        """`values` at the points, interpolated along an axis."""
        if np.array_equal(self._lower, np.arange(values.shape[axis])) and not self._share.any():
            return values
        low = np.take(values, self._lower, axis=axis)
        if not self._share.any():
            return low
        share = self._share.reshape([-1 if k == axis else 1 for k in range(values.ndim)])
        return (low * (1 - share) + np.take(values, self._upper, axis=axis) * share).astype(values.dtype)


def _index(places: Sequence[NDArray[np.intp]]) -> _Index:
    """Places along every axis as an index of a box: slices where they follow each other, which numpy copies faster."""
    if all(axis.size and np.array_equal(axis, np.arange(axis[0], axis[0] + axis.size)) for axis in places):
        return tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in places)
    return np.ix_(*places)


def _halved(lengths: Sequence[int], every: int) -> tuple[int, ...]:
    return tuple(-(-length // every) for length in lengths)

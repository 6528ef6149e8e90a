"""The tiles of an open archive: decoded on demand, kept for a while, joined to arrays."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.mask import decode_mask
from nnzip.container.manifest import CompressedVariable, tile_member
from nnzip.container.reader import ArchiveReader
from nnzip.errors import UsageError
from nnzip.plan.cutting import Sizes, full, tile_box, tiles_touched
from nnzip.tile.decode import decode_preview, decode_tile, preview_size

_KEPT_VALUES = 1 << 25
"""Values of decoded tiles that are kept; at least the last tile is."""
_GLANCE = 4096  # bytes of a tile that are read first for a preview

Values = NDArray[np.floating]
Positions = NDArray[np.float64]


class Tiles:
    """Decodes tiles of the archive `reader`, each with `halvings` of its rows and columns (0: everything).

    Safe to use from several threads, which decode at once, and after a fork; pickles by the archive's path. `ahead`: so
    many further tiles are decoded by threads while one is used.
    """

    def __init__(self, reader: ArchiveReader, device: Device = None, halvings: int = 0, ahead: int = 0) -> None:
        self._reader, self._device, self.halvings, self._ahead = reader, device, halvings, ahead
        self._begin()
        self._variables = list(reader.manifest.variables.values())
        self.sizes = [self._pieces(variable) for variable in self._variables]

    def _begin(self) -> None:
        """Nothing decoded yet, by this process."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], Future[Values]] = OrderedDict()
        self._pool = ThreadPoolExecutor(self._ahead) if self._ahead else None
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type[Tiles], tuple[ArchiveReader, Device, int]]:
        return Tiles, (self._reader, self._device, self.halvings)

    def shape(self, variable: int) -> tuple[int, ...]:
        """(channels, times, latitudes, longitudes) as decoded."""
        return tuple(sum(lengths) for lengths in self.sizes[variable])

    def values(
        self, variable: int, channels: NDArray[np.intp], times: NDArray[np.intp], rows: Positions, columns: Positions
    ) -> Values:
        """Values [channel, time, row, column] in the variable's output type, NaN where missing.

        Rows and columns are fractional positions: between points the values are interpolated linearly, in the last
        interval before a `columns` position beyond the last column the first one follows. Missing is what is missing at
        the nearest point. Reads the tiles that hold these points.
        """
        size = self.shape(variable)
        row_pair, column_pair = _Pair.of(rows, size[2]), _Pair.of(columns, size[3])
        points = [channels, times, row_pair.points, column_pair.points]
        found = np.empty([axis.size for axis in points], dtype=self._variables[variable].dtype)
        missing: NDArray[np.bool_] | None = None
        for tile in tiles_touched(self.sizes[variable], [axis.tolist() for axis in points]):
            box = tile_box(self.sizes[variable], tile)
            here = [
                np.flatnonzero((axis >= part.start) & (axis < part.stop))
                for axis, part in zip(points, box, strict=True)
            ]
            inside = [axis[where] - part.start for axis, where, part in zip(points, here, box, strict=True)]
            found[_index(here)] = self.tile(variable, tile)[_index(inside)]
            mask = self._mask(variable, tile)
            if mask is not None:
                missing = np.zeros(found.shape, dtype=np.bool_) if missing is None else missing
                missing[_index(here)] = mask[_index(inside)]
        found = column_pair.between(row_pair.between(found, 2), 3)
        if missing is not None:
            found[np.take(np.take(missing, row_pair.nearest, axis=2), column_pair.nearest, axis=3)] = np.nan
        return found

    def masked(self, variable: int, tile: int) -> Values:
        """A whole tile [channel, time, lat, lon], NaN where missing."""
        mask = self._mask(variable, tile)
        return self.tile(variable, tile) if mask is None else np.where(mask, np.nan, self.tile(variable, tile))

    def tile(self, variable: int, tile: int) -> Values:
        """A whole tile [channel, time, lat, lon]; missing points hold any number."""
        future, ours = self._future(variable, tile)
        if ours:
            try:
                future.set_result(self._decode(variable, tile))
            except BaseException as error:
                with self._lock:
                    self._kept.pop((variable, tile), None)
                future.set_exception(error)
        if self._pool is not None:
            for further in range(tile + 1, min(tile + 1 + self._ahead, self._count(variable))):
                self._prefetch(variable, further)
        return future.result()

    def _future(self, variable: int, tile: int) -> tuple[Future[Values], bool]:
        """The tile's future, and whether the caller is to fill it."""
        if self._process != os.getpid():  # a fork has no threads, and what they hold is never let go
            self._begin()
        with self._lock:
            known = self._kept.get((variable, tile))
            future = known or Future()
            self._kept[variable, tile] = future
            self._kept.move_to_end((variable, tile))
            done = [key for key, other in self._kept.items() if other.done() and not other.exception()]
            size = sum(self._kept[key].result().size for key in done)
            while size > _KEPT_VALUES and len(done) > 1 and done[0] != (variable, tile):
                size -= self._kept.pop(done.pop(0)).result().size
            return future, known is None

    def _prefetch(self, variable: int, tile: int) -> None:
        with self._lock:
            if self._pool is not None and (variable, tile) not in self._kept:
                self._kept[variable, tile] = self._pool.submit(self._decode, variable, tile)

    def _decode(self, variable: int, tile: int) -> Values:
        member = tile_member(variable, tile)
        box = tile_box(self._pieces(self._variables[variable], whole=True), tile)
        channels, times, rows, columns = box.shape
        shape = channels, times, rows, columns
        if not self.halvings:
            return decode_tile(self._reader.read(member), shape, self._device)
        needed = preview_size(self._reader.read_start(member, _GLANCE), self.halvings)
        return decode_preview(self._reader.read_start(member, needed), shape, self.halvings, self._device)

    def _mask(self, variable: int, tile: int) -> NDArray[np.bool_] | None:
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
        channels, times, rows, columns = full(variable.sizes, manifest.axes(variable))
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


def _index(places: Sequence[NDArray[np.intp]]) -> tuple[slice | NDArray[np.intp], ...]:
    """Places along every axis as an index of a box: slices where they follow each other, which numpy copies faster."""
    if all(axis.size and np.array_equal(axis, np.arange(axis[0], axis[0] + axis.size)) for axis in places):
        return tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in places)
    return np.ix_(*places)


def _halved(lengths: Sequence[int], every: int) -> tuple[int, ...]:
    return tuple(-(-length // every) for length in lengths)

"""One chunk of an array as bytes that stand alone: a tile (docs/format.md), and beside it what a tile cannot hold.

The layout of the bytes is in docs/zarr.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.mask import decode_mask
from nnzip.coder.varint import read_varint, varint
from nnzip.container.deflate import deflate, inflate_first
from nnzip.errors import CorruptArchiveError
from nnzip.tile.decode import decode_tile
from nnzip.tile.header import LARGEST_TILE, Shape

TYPES = ("float16", "float32", "float64")

_VERSION = 1
_BIG_ENDIAN, _FORTRAN, _LOGARITHMS = 4, 8, 16  # flags above the number of the type
_PARTS = ("missing", "filled", "negative", "zero", "patches")
_MOST_DIMENSIONS = 32

Values = NDArray[np.floating]
Points = NDArray[np.bool_]


@dataclass(frozen=True)
class Chunk:
    """Parts of a chunk. `logarithms`: the tile holds those of magnitudes; coded masks, empty where no point is in them:
    `missing` (NaN), `filled` (behind 8 bytes of the fill value), `negative` and `zero` (of logarithms); `patches`:
    points that are stored as they are; `tile`: empty where nothing is left for it."""

    dtype: np.dtype[np.floating]
    shape: tuple[int, ...]
    fortran: bool = False
    logarithms: bool = False
    missing: bytes = b""
    filled: bytes = b""
    negative: bytes = b""
    zero: bytes = b""
    patches: bytes = b""
    tile: bytes = b""

    def pack(self) -> bytes:
        """As bytes."""
        flags = TYPES.index(self.dtype.name) + _FORTRAN * self.fortran + _LOGARITHMS * self.logarithms
        flags += _BIG_ENDIAN * (self.dtype.newbyteorder("<") != self.dtype)
        parts = [getattr(self, name) for name in _PARTS]
        numbers = map(varint, (len(self.shape), *self.shape, *map(len, parts)))
        return bytes([_VERSION, flags]) + b"".join(chain(numbers, parts)) + self.tile

    @classmethod
    def unpack(cls, data: bytes) -> Chunk:
        """Raises CorruptArchiveError."""
        if len(data) < 2 or data[0] != _VERSION or data[1] % 4 == len(TYPES) or data[1] >= 2 * _LOGARITHMS:
            raise CorruptArchiveError("these bytes are no chunk of nnzip, or one of a newer nnzip")
        (dimensions,), position = _numbers(data, 2, 1)
        shape, position = _numbers(data, position, min(dimensions, _MOST_DIMENSIONS + 1))
        if dimensions > _MOST_DIMENSIONS or prod(shape) > LARGEST_TILE:
            raise CorruptArchiveError(f"a chunk is damaged: its shape is {shape}")
        lengths, position = _numbers(data, position, len(_PARTS))
        parts = {}
        for name, length in zip(_PARTS, lengths, strict=True):
            parts[name] = data[position : position + length]
            position += length
        if position > len(data) or 0 < lengths[1] < 8:
            raise CorruptArchiveError(f"a chunk is damaged: it is cut off after {len(data)} B")
        dtype = np.dtype(TYPES[data[1] % 4]).newbyteorder(">" if data[1] & _BIG_ENDIAN else "<")
        fortran, logarithms = bool(data[1] & _FORTRAN), bool(data[1] & _LOGARITHMS)
        return cls(dtype, shape, fortran, logarithms, **parts, tile=data[position:])

    @property
    def native(self) -> np.dtype[np.floating]:
        """The type in this machine's byte order."""
        return self.dtype.newbyteorder("=")

    @property
    def tile_shape(self) -> Shape:
        """(channels, times, rows, columns) of the tile."""
        swapped, (first, second, rows, columns) = _arrangement(self._memory_shape)
        return (second, first, rows, columns) if swapped else (first, second, rows, columns)

    def as_tile(self, array: Values) -> Values:
        """The array in this machine's byte order with a tile's axes [channel, time, lat, lon], contiguous."""
        swapped, shape = _arrangement(self._memory_shape)
        values = (array.T if self.fortran else array).reshape(shape)
        return np.ascontiguousarray(values.swapaxes(0, 1) if swapped else values, dtype=self.native)

    def array(self) -> Values:
        """What a reader gets: the array in its own type, shape and order. Raises CorruptArchiveError."""
        values = self.values().astype(self.dtype, copy=False)
        swapped, _ = _arrangement(self._memory_shape)
        found = np.ascontiguousarray(values.swapaxes(0, 1) if swapped else values).reshape(self._memory_shape)
        return found.T if self.fortran else found

    def values(self) -> Values:
        """The same with a tile's axes [channel, time, lat, lon], in this machine's byte order."""
        shape = self.tile_shape
        values: Values = decode_tile(self.tile, shape) if self.tile else np.full(shape, np.nan)
        with np.errstate(over="ignore"):  # a patch replaces what is too large
            if self.logarithms:
                values = np.exp(values.astype(np.float64))
                if self.negative:
                    np.negative(values, out=values, where=decode_mask(self.negative, shape))
            values = values.astype(self.native, copy=False)
        fill_value = np.frombuffer(self.filled[:8] or bytes(8), dtype="<f8")[0]
        if np.isfinite(fill_value) and abs(fill_value) > np.finfo(self.native).max:
            raise CorruptArchiveError(f"a chunk is damaged: its fill value {fill_value} is no {self.native}")
        for mask, value in ((self.zero, 0.0), (self.missing, np.nan), (self.filled[8:], fill_value)):
            if mask:
                values[decode_mask(mask, shape)] = value
        if self.patches:
            self._patch(values.reshape(-1))
        return values

    def with_patches(self, values: Values, wrong: Points) -> Chunk:
        """With the points `wrong` of a tile's `values` stored as they are."""
        places = np.flatnonzero(wrong)
        gaps = np.diff(places, prepend=0).astype("<u4")
        stored = values.reshape(-1)[places].astype(self.native.newbyteorder("<"))
        return replace(self, patches=deflate(gaps.tobytes() + stored.tobytes()))

    @property
    def _memory_shape(self) -> tuple[int, ...]:
        return self.shape[::-1] if self.fortran else self.shape

    def _patch(self, flat: Values) -> None:
        size = 4 + self.native.itemsize
        content, rest = inflate_first(self.patches, size * flat.size)
        count = len(content) // size
        places = np.cumsum(np.frombuffer(content[: 4 * count], dtype="<u4"), dtype=np.int64)
        if rest or len(content) % size or (count and places[-1] >= flat.size):
            raise CorruptArchiveError("a chunk is damaged: its patches do not fit")
        flat[places] = np.frombuffer(content[4 * count :], dtype=self.native.newbyteorder("<"))


def decode_chunk(data: bytes) -> Values:
    """The array of a chunk. Raises ValueError for damaged bytes."""
    try:
        return Chunk.unpack(data).array()
    except CorruptArchiveError as error:
        raise ValueError(str(error)) from error


def _arrangement(shape: tuple[int, ...]) -> tuple[bool, Shape]:
    """The axes of an array without those of length one as four, and whether the first two then change places.

    The first is the product of all but the last three. A tile wants the shorter one of the first two first, the
    channels: each costs a mean.
    """
    if 0 in shape:
        return False, (0, 0, 0, 0)
    axes = [1, 1, 1, *(size for size in shape if size != 1)]
    first, second, rows, columns = prod(axes[:-3]), axes[-3], axes[-2], axes[-1]
    return first > second, (first, second, rows, columns)


def _numbers(data: bytes, position: int, count: int) -> tuple[tuple[int, ...], int]:
    numbers = []
    for _ in range(count):
        number, position = read_varint(data, position)
        numbers.append(number)
    return tuple(numbers), position

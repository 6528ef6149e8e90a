"""Coded streams and masks of `.nnz` archives for read_nnz.py: docs/format.md, "Coded streams" and "Masks"."""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from functools import cache
from itertools import accumulate, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sizes = tuple[int, ...]


class DamagedError(ValueError):
    """An archive that contradicts the format."""


def require(true: object, what: str) -> None:
    """Reject the archive unless `true`."""
    if not true:
        raise DamagedError(what)


ODDS = (1073741824, 1276901417, 1518500250, 1805811301)
TOTAL = 1 << 24


class Stream:
    """Numbers of a coded stream."""

    def __init__(self, data: bytes) -> None:
        require(data and data[-1], "a stream is empty or ends in a zero byte")
        self.words = list(struct.unpack(f"<{-(-len(data) // 4)}L", data + bytes(-len(data) % 4)))
        self.state: int = self.words.pop()
        self.advance(0, TOTAL)

    def advance(self, left: int, right: int) -> None:
        """Take the symbol with these cumulative frequencies off the state."""
        self.state = (self.state >> 24) * (right - left) + self.state % TOTAL - left
        if self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def take(self, starts: list[int]) -> int:
        """A symbol; `starts`: cumulative frequencies, from 0 to 2^24."""
        symbol: int = bisect_right(starts, self.state % TOTAL) - 1
        self.advance(starts[symbol], starts[symbol + 1])
        return symbol

    def uniform(self, size: int) -> int:
        """A number below `size`."""
        share = TOTAL // size
        symbol = min(self.state % TOTAL // share, size - 1)
        self.advance(share * symbol, share * (symbol + 1) if symbol < size - 1 else TOTAL)
        return symbol

    def numbers(self, tables: Any, signed: bool = True) -> Array:
        """A chunk of symbols, or of magnitudes: int64 for each of the tables."""
        tables = np.asarray(tables)
        found, escaped = np.zeros(tables.size, np.int64), []
        for position in np.argsort(tables, kind="stable").tolist():
            largest, starts = cumulative(int(tables[position]), signed)
            symbol = self.take(starts) - (largest if signed else 0)
            found[position] = symbol
            if symbol > largest:
                escaped.append(position)
        classes = [self.uniform(66 if signed else 33) for _ in escaped]
        lengths = [c >> 1 if signed else c for c in classes]
        excess = [1 << b - 1 if b else 0 for b in lengths]
        for shift, (place, length) in product((0, 16), enumerate(lengths)):
            bits = min(max(length - 1 - shift, 0), 16)
            excess[place] += self.uniform(1 << bits) << shift if bits else 0
        for position, e, c in zip(escaped, excess, classes, strict=True):
            found[position] = (found[position] + e) * (-1 if signed and c % 2 else 1)
        return found

    def signs(self, classes: Array) -> Array:
        """A chunk of signs, 1 or -1."""
        return np.array([2 * self.take(sign_starts(c)) - 1 for c in classes.tolist()], np.int64)

    def finish(self, state: int = 1) -> None:
        """Reject the archive unless the stream ends here."""
        require((self.state, self.words) == (state, []), "a stream does not end where it should")


@cache
def cumulative(t: int, signed: bool) -> tuple[int, list[int]]:
    """K of a table, and the cumulative frequencies of -K .. K or 0 .. K and the escape."""
    require(0 <= t < 72, f"table {t} is asked for")
    odds = ODDS[t % 4] << t // 4
    root = (odds << 62) // (2**40 + odds)
    ratio = root * root >> 62
    first = root * (2**62 - ratio) >> 63
    k, beyond = 15, root
    for _ in range(15):
        beyond = beyond * ratio >> 62
    while k < 1023 and beyond >> 49:
        for _ in range(k + 1):
            beyond = beyond * ratio >> 62
        k = 2 * k + 1
    escape = 256 + (beyond * TOTAL >> 62)
    share, sides = TOTAL - escape - (2 * k + 1), []
    for _ in range(k):
        sides.append(1 + (first * share >> 62))
        first = first * ratio >> 62
    zero = TOTAL - escape - 2 * sum(sides)
    inside = [*reversed(sides), zero, *sides] if signed else [zero, *(2 * side for side in sides)]
    return k, list(accumulate([0, *inside, escape]))


@cache
def sign_starts(c: int) -> list[int]:
    """Cumulative frequencies of negative and positive."""
    q = 2 * (c - 12) + 40
    odds = ODDS[q % 4] << q // 4
    return [0, TOTAL - (odds << 24) // (2**40 + odds) // 256 * 256, TOTAL]


OFFSETS = (
    ((-1, -1), (-1, 1), (1, -1), (1, 1), (-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (1, -3), (-1, 3), (1, 3)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-2, -1), (-2, 1), (2, -1), (2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1), (-1, -2), (-1, 2), (1, -2), (1, 2)),
)


def read_mask(data: bytes, shape: Sizes) -> Array:
    """Missing points [channel, time, latitude, longitude]."""
    require(data and data[0] < 8, "a mask is empty or has unknown flags")
    sharing, position, numbers = data[0] >> 1, 1, np.zeros((1, 1), np.int64)
    if sharing:
        length = shift = 0
        while shift == 0 or data[position - 1] > 127:
            length, shift, position = length | (data[position] & 127) << shift, shift + 7, position + 1
        steps = np.frombuffer(zlib.decompress(data[position : position + length], -15), "<i4")
        numbers = np.cumsum(steps, dtype=np.int64).reshape(shape[0] if sharing & 1 else 1, -1)
        require(numbers.shape[1] == (shape[1] if sharing & 2 else 1), "a mask lists another number of planes")
        position += length
    found, first = np.unique(numbers, return_index=True)
    require(np.array_equal(found, np.arange(found.size)) and (np.diff(first) > 0).all(), "planes out of order")
    reader, planes = Planes(data[position:], shape[2:], bool(data[0] & 1)), list[Array]()
    for channel, time in (divmod(place, numbers.shape[1]) for place in first.tolist()):
        before = numbers[channel, time - 1] if time else numbers[channel - 1, 0] if channel else None
        planes.append(reader.plane(None if before is None else planes[before]))
    reader.stream.finish(1 + reader.crc % 255)
    return np.broadcast_to(np.array(planes)[numbers], shape)


class Planes:
    """Planes in the order of their numbers; the counts last from plane to plane."""

    def __init__(self, data: bytes, shape: Sizes, periodic: bool) -> None:
        self.stream, self.shape, self.periodic, self.crc = Stream(data), shape, periodic, 0
        self.counts: dict[tuple[int, ...], list[int]] = {}

    def plane(self, previous: Array | None) -> Array:
        """The next plane; `previous`: the one that foretells it."""
        plane, states, (rows, columns) = np.zeros(self.shape, np.int64), np.zeros(self.shape, np.int64), self.shape
        if previous is not None:
            padded = np.pad(previous.astype(np.int64), 1, mode="edge")
            around = sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3))
            states = np.where(around == 0, 1, np.where(around == 9, 4, 2 + previous))
        self.lattice(plane, states, 3, np.arange(0, rows, 128), np.arange(0, columns, 128), 128)
        for h, (phase, (row, column)) in product((64, 32, 16, 8, 4, 2, 1), enumerate(((1, 1), (0, 1), (1, 0)))):
            where = np.arange(row * h, rows, 2 * h), np.arange(column * h, columns, 2 * h)
            if where[0].size and where[1].size:
                self.lattice(plane, states, phase, *where, h)
        return plane.astype(bool)

    def lattice(self, plane: Array, states: Array, phase: int, rows: Array, columns: Array, h: int) -> None:
        """Read the points of a phase into the plane."""
        images = np.zeros((8, rows.size, columns.size), np.int64)
        if phase < 3:
            for image, (south, east) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
                for down, right in OFFSETS[phase]:
                    images[image] *= 2
                    images[image] += self.neighbour(plane, rows + south * down * h, columns + east * right * h, h)
            images[4:] = 4095 - images[:4]
        far = images.min(axis=0)
        flip = (images[:4] > far).all(axis=0)
        state = states[np.ix_(rows, columns)]
        state = np.where(flip & (state > 0), 5 - state, state)
        for part in np.array_split(np.arange(rows.size), min(32, rows.size)):
            learnt = []
            for r, c in product(part.tolist(), range(columns.size)):
                near = phase, 0, int(far[r, c]) >> 8, int(state[r, c])
                keys = near, (phase, 1, int(far[r, c]), near[3])
                bit = self.bit(*keys, bool(flip[r, c]))
                plane[rows[r], columns[c]] = bit ^ flip[r, c]
                learnt += [(key, bit) for key in keys]
            for key, bit in learnt:
                ones, seen = self.counts.get(key, (0, 0))
                self.counts[key] = [ones + bit, seen + 1]

    def neighbour(self, plane: Array, rows: Array, columns: Array, h: int) -> Array:
        """Values [row, column] of the plane, 0 where there are none."""
        wraps, where = self.periodic and self.shape[1] % (2 * h) == 0, []
        for axis, (index, size) in enumerate(zip((rows, columns), self.shape, strict=True)):
            folded = np.where(index < 0, index % (2 * h), index)
            folded = folded - -(-np.maximum(folded - size + 1, 0) // (2 * h)) * 2 * h
            where.append(index % size if axis and wraps else folded)
        inside = (where[0] >= 0)[:, None] & (where[1] >= 0)
        return np.where(inside, plane[np.ix_(np.maximum(where[0], 0), np.maximum(where[1], 0))], 0)

    def bit(self, near: tuple[int, ...], far: tuple[int, ...], flip: bool) -> int:
        """Is the point, or where it is flipped its opposite, one?"""
        start = (1, 45, 128, 211, 255)[near[2].bit_count()] if near[0] < 3 else 128
        ones, seen = self.counts.get(near, (0, 0))
        p = (65536 * ones + 6 * 256 * (start, 1, 60, 196, 255)[near[3]]) // (seen + 6)
        ones, seen = self.counts.get(far, (0, 0))
        p = min(max((65536 * ones + 24 * p) // (seen + 24), 1), 65535)
        bit = self.stream.take([0, TOTAL - 256 * (65536 - p if flip else p), TOTAL])
        self.crc = zlib.crc32(bytes([bit]), self.crc)
        return bit ^ int(flip)

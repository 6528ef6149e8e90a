"""A second decoder, written from docs/format.md alone in plain Python, as the oracle of the first."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import pytest

from nnzip.coder.entropy import TABLES, Magnitudes, Signs, encode, encode_chunks
from tests.support.archive_examples import encode_mask


class Stream:
    def __init__(self, data: bytes) -> None:
        data += bytes(-len(data) % 4)
        self.words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self.state = self.words.pop()
        self.refill()

    def refill(self) -> None:
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def take(self, frequencies: list[int]) -> int:
        assert sum(frequencies) == 2**24
        rest, left = self.state % 2**24, 0
        for symbol, frequency in enumerate(frequencies):
            if rest < left + frequency:
                self.state = (self.state >> 24) * frequency + rest - left
                self.refill()
                return symbol
            left += frequency
        raise AssertionError

    def uniform(self, size: int) -> int:
        share = 2**24 // size
        return self.take([share] * (size - 1) + [2**24 - share * (size - 1)])


@cache
def table(t: int) -> tuple[int, ...]:
    """Frequencies of 0..K and of the escape."""
    odds = [1073741824, 1276901417, 1518500250, 1805811301][t % 4] << (t // 4)
    root = (odds << 62) // (2**40 + odds)
    ratio = (root * root) >> 62
    one = (root * (2**62 - ratio)) >> 63
    k, beyond = 15, root
    for _ in range(15):
        beyond = (beyond * ratio) >> 62
    while k < 1023 and beyond >> 49:
        for _ in range(k + 1):
            beyond = (beyond * ratio) >> 62
        k = 2 * k + 1
    escape = 256 + ((beyond * 2**24) >> 62)
    share = 2**24 - escape - (2 * k + 1)
    sides = []
    for _ in range(k):
        sides.append(1 + ((one * share) >> 62))
        one = (one * ratio) >> 62
    return (2**24 - escape - 2 * sum(sides), *sides, escape)


def read_symbols(stream: Stream, tables: list[int]) -> list[int]:
    symbols = [0] * len(tables)
    escaped = []
    for position in sorted(range(len(tables)), key=lambda i: tables[i]):
        *inside, escape = table(tables[position])
        k = len(inside) - 1
        symbols[position] = stream.take([*inside[:0:-1], *inside, escape]) - k
        if symbols[position] == k + 1:
            escaped.append(position)
    classes = [stream.uniform(66) for _ in escaped]
    excess = [1 << (c // 2 - 1) if c > 1 else 0 for c in classes]
    for shift in (0, 16):
        for i, c in enumerate(classes):
            bits = min(max(c // 2 - 1 - shift, 0), 16)
            if bits:
                excess[i] += stream.uniform(1 << bits) << shift
    for position, e, c in zip(escaped, excess, classes, strict=True):
        magnitude = len(table(tables[position])) - 1 + e
        symbols[position] = -magnitude if c % 2 else magnitude
    return symbols


def read_magnitudes(stream: Stream, tables: list[int]) -> list[int]:
    magnitudes = [0] * len(tables)
    escaped = []
    for position in sorted(range(len(tables)), key=lambda i: tables[i]):
        zero, *others, escape = table(tables[position])
        magnitudes[position] = stream.take([zero, *(2 * f for f in others), escape])
        if magnitudes[position] == len(others) + 1:
            escaped.append(position)
    lengths = [stream.uniform(33) for _ in escaped]
    excess = [1 << (b - 1) if b else 0 for b in lengths]
    for shift in (0, 16):
        for i, b in enumerate(lengths):
            bits = min(max(b - 1 - shift, 0), 16)
            if bits:
                excess[i] += stream.uniform(1 << bits) << shift
    for position, e in zip(escaped, excess, strict=True):
        magnitudes[position] += e
    return magnitudes


def read_signs(stream: Stream, classes: list[int]) -> list[int]:
    signs = []
    for c in classes:
        q = 2 * (c - 12) + 40
        odds = (1073741824, 1276901417, 1518500250, 1805811301)[q % 4] << (q // 4)
        positive = ((odds << 24) // (2**40 + odds)) // 256 * 256
        signs.append(2 * stream.take([2**24 - positive, positive]) - 1)
    return signs


def test_magnitudes_and_signs() -> None:
    rng = np.random.default_rng(1)
    values = np.abs(np.rint(rng.laplace(0, 1000, 200))).astype(np.int64)
    values[:3] = 2**32 - 1, 0, 2**31
    tables, classes = rng.integers(0, TABLES, 200).astype(np.uint8), rng.integers(0, 25, 200).astype(np.uint8)
    positive = rng.random(200) < 0.5
    stream = Stream(encode_chunks([Magnitudes(values, tables), Signs(positive, classes)]))
    assert read_magnitudes(stream, tables.tolist()) == values.tolist()
    assert read_signs(stream, classes.tolist()) == np.where(positive, 1, -1).tolist()
    assert (stream.state, stream.words) == (1, [])


@pytest.mark.parametrize("scale", [0.05, 1, 30, 1e5])
def test_symbols(scale: float) -> None:
    rng = np.random.default_rng(0)
    symbols = np.clip(np.rint(rng.laplace(0, scale, 150)), -(2**31), 2**31 - 1).astype(np.int32)
    symbols[:2] = -(2**31), 2**31 - 1
    tables = rng.integers(0, TABLES, 150).astype(np.uint8)
    stream = Stream(encode(symbols, tables))
    assert read_symbols(stream, tables.tolist()) == symbols.tolist()
    assert (stream.state, stream.words) == (1, [])
    stream = Stream(encode_chunks([(symbols[:50], tables[:50]), (symbols[50:], tables[50:])]))
    assert read_symbols(stream, tables[:50].tolist()) == symbols[:50].tolist()
    assert read_symbols(stream, tables[50:].tolist()) == symbols[50:].tolist()


OFFSETS = (
    ((-1, -1), (-1, 1), (1, -1), (1, 1), (-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (1, -3), (-1, 3), (1, 3)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-2, -1), (-2, 1), (2, -1), (2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1), (-1, -2), (-1, 2), (1, -2), (1, 2)),
)
START = (1, 45, 128, 211, 255)


class Planes:
    """Reads the planes of a mask; `counts` lasts from plane to plane."""

    def __init__(self, stream: Stream, rows: int, columns: int, periodic: bool) -> None:
        self.stream, self.rows, self.columns, self.periodic = stream, rows, columns, periodic
        self.counts: dict[tuple[int, ...], list[int]] = {}
        self.crc = 0

    def fold(self, index: int, size: int, period: int) -> int:
        if index < 0:
            index %= period
        while index >= size:
            index -= period
        return index

    def neighbour(self, plane: list[list[int]], row: int, column: int, h: int) -> int:
        row = self.fold(row, self.rows, 2 * h)
        wraps = self.periodic and self.columns % (2 * h) == 0
        column = column % self.columns if wraps else self.fold(column, self.columns, 2 * h)
        return plane[row][column] if row >= 0 and column >= 0 else 0

    def read(self, states: list[list[int]]) -> list[list[int]]:
        plane = [[0] * self.columns for _ in range(self.rows)]
        self.phase(plane, states, 3, 0, 0, 128, 128)
        h = 64
        while h:
            for phase, (row, column) in enumerate(((h, h), (0, h), (h, 0))):
                self.phase(plane, states, phase, row, column, 2 * h, h)
            h //= 2
        return plane

    def phase(
        self, plane: list[list[int]], states: list[list[int]], phase: int, row: int, column: int, step: int, h: int
    ) -> None:
        rows, columns = list(range(row, self.rows, step)), list(range(column, self.columns, step))
        if not rows or not columns:
            return
        size, more = divmod(len(rows), min(32, len(rows)))
        while rows:
            part, rows = rows[: size + (more > 0)], rows[size + (more > 0) :]
            more -= 1
            learned = []
            for r in part:
                for c in columns:
                    far, state, flip = self.context(plane, states[r][c], phase, r, c, h)
                    bit = self.bit(phase, far, state, flip)
                    plane[r][c] = bit ^ flip
                    learned.append(((phase, 0, far >> 8, state), (phase, 1, far, state), bit))
            for near_key, far_key, bit in learned:
                for key in (near_key, far_key):
                    ones, seen = self.counts.get(key, [0, 0])
                    self.counts[key] = [ones + bit, seen + 1]

    def context(
        self, plane: list[list[int]], state: int, phase: int, row: int, column: int, h: int
    ) -> tuple[int, int, int]:
        if phase == 3:
            return 0, state, 0
        images = []
        for south, east in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            far = 0
            for down, right in OFFSETS[phase]:
                far = 2 * far + self.neighbour(plane, row + south * down * h, column + east * right * h, h)
            images += [(far, 0), (4095 - far, 1)]
        far, flip = min(images)
        return far, 5 - state if flip and state else state, flip

    def bit(self, phase: int, far: int, state: int, flip: int) -> int:
        start = (1, 60, 196, 255)[state - 1] if state else 128 if phase == 3 else START[(far >> 8).bit_count()]
        ones, seen = self.counts.get((phase, 0, far >> 8, state), [0, 0])
        p = (2**16 * ones + 6 * 256 * start) // (seen + 6)
        ones, seen = self.counts.get((phase, 1, far, state), [0, 0])
        p = min(max((2**16 * ones + 24 * p) // (seen + 24), 1), 2**16 - 1)
        stored = 2**16 - p if flip else p
        bit = self.stream.take([2**24 - 256 * stored, 256 * stored])
        self.crc = zlib.crc32(bytes([bit]), self.crc)
        return bit ^ flip


def previous_states(plane: list[list[int]]) -> list[list[int]]:
    rows, columns = len(plane), len(plane[0])
    states = [[0] * columns for _ in range(rows)]
    for r in range(rows):
        for c in range(columns):
            around = {
                plane[min(max(r + i, 0), rows - 1)][min(max(c + j, 0), columns - 1)]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            }
            states[r][c] = 2 + plane[r][c] if len(around) == 2 else 1 + 3 * plane[r][c]
    return states


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[position] & 127) << shift
        shift, position = shift + 7, position + 1
        if data[position - 1] < 128:
            return value, position


@pytest.mark.parametrize(("periodic", "columns"), [(False, 50), (True, 50), (True, 64)])
def test_mask(periodic: bool, columns: int) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((1, 1, 40, columns)) < 0.02
    mask[..., np.hypot(np.arange(40)[:, None] - 21, np.arange(columns) - 4) < 15] ^= True
    data = encode_mask(mask, periodic)
    assert data[0] == periodic
    planes = Planes(Stream(data[1:]), 40, columns, periodic)
    np.testing.assert_array_equal(np.array(planes.read([[0] * columns] * 40), bool), mask[0, 0])
    assert (planes.stream.state, planes.stream.words) == (1 + planes.crc % 255, [])


def test_mask_that_changes_in_time() -> None:
    rows, columns = np.mgrid[:21, :37]
    mask = np.stack([np.hypot(rows - 9, columns - 12 - 2 * step) < 8 for step in range(3)])[None, [0, 1, 1, 2]]
    data = encode_mask(mask)
    assert data[0] == 2 * 2
    length, position = read_varint(data, 1)
    steps = np.frombuffer(zlib.decompress(data[position : position + length], -15), "<i4")
    assert np.cumsum(steps).tolist() == [0, 1, 1, 2]
    planes = Planes(Stream(data[position + length :]), 21, 37, periodic=False)
    first = planes.read([[0] * 37] * 21)
    second = planes.read(previous_states(first))
    third = planes.read(previous_states(second))
    np.testing.assert_array_equal(np.array([first, second, second, third], bool), mask[0])
    assert (planes.stream.state, planes.stream.words) == (1 + planes.crc % 255, [])

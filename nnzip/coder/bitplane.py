"""One bit plane, coded coarse to fine with contexts of known neighbours.

Of a lattice of spacing 2h all points are known; three phases add the centres of its squares, then the middles of its
east-west and of its north-south edges; then h halves. The context of a point is its nearest known neighbours and its
state: what the previous plane says there. Contexts that are mirror images of each other count as one, and so do those
with zero and one exchanged. A probability is an integer count of what the same context held before: a first count by
four neighbours, refined by a second one by twelve. Everything that decides how bits are read is an integer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bits import BitDecoder, encode_bits

_COARSEST = 128
_CHUNKS = 32  # counts are updated this often in a phase
NO_STATE = 0
"""State of every point of a plane without a previous one; `previous_states` are 1 to 4."""
_STATES = 5
_NEAR, _FAR = 4, 12  # neighbours in the first and in the refined context
_START_WEIGHT, _NEAR_WEIGHT = 6, 24  # how many observations the starting value, and the first context, are worth
_NEIGHBOURS = (  # (rows, columns) in units of h, nearest first; all are known when their phase is coded
    ((-1, -1), (-1, 1), (1, -1), (1, 1), (-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (1, -3), (-1, 3), (1, 3)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-2, -1), (-2, 1), (2, -1), (2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1), (-1, -2), (-1, 2), (1, -2), (1, 2)),
)
_NEIGHBOUR_START = (1, 45, 128, 211, 255)  # of 256: share of ones by how many of the near neighbours are one
_PREVIOUS_START = (1, 60, 196, 255)  # of 256: previous plane 0 or 1 among equals, 0 or 1 among different neighbours


class Coder(Protocol):
    def step(self, known: NDArray[np.bool_], probabilities: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Code the next bits; the encoder is told them, the decoder returns them."""


class PlaneModel:
    """Adaptive probabilities: counts of ones and of all, per near and per far context."""

    def __init__(self) -> None:
        self._start = np.empty((4, 1 << _NEAR, _STATES), np.int64)
        self._start[:3, :, NO_STATE] = [_NEIGHBOUR_START[near.bit_count()] for near in range(1 << _NEAR)]
        self._start[3, :, NO_STATE] = 128
        self._start[:, :, 1:] = _PREVIOUS_START
        self._start <<= 8
        self._near = np.zeros((2, 4, 1 << _NEAR, _STATES), np.int64)
        self._far = np.zeros((2, 4, 1 << _FAR, _STATES), np.int64)

    def code(self, plane: NDArray[np.bool_], states: NDArray[np.uint8], periodic: bool, coder: Coder) -> None:
        """Code a plane in place: an encoder reads it, a decoder fills it. `states` [same shape] are below 5."""
        for phase, rows, columns, h in _phases(plane.shape):
            far, state, flip = _contexts(plane, states, phase, rows, columns, h, periodic)
            for part in np.array_split(np.arange(rows.size), min(_CHUNKS, rows.size)):
                cells = np.ix_(rows[part], columns)
                context = (phase, far[part].ravel(), state[part].ravel())
                flipped = flip[part].ravel()
                bits = coder.step(plane[cells].ravel(), self._probabilities(*context, flipped))
                plane[cells] = bits.reshape(part.size, columns.size)
                self._learn(*context, bits ^ flipped)

    def _probabilities(
        self, phase: int, far: NDArray[np.int64], state: NDArray[np.int64], flipped: NDArray[np.bool_]
    ) -> NDArray[np.uint16]:
        near = far >> (_FAR - _NEAR)
        ones, seen = self._near[:, phase, near, state]
        first = ((ones << 16) + _START_WEIGHT * self._start[phase, near, state]) // (seen + _START_WEIGHT)
        ones, seen = self._far[:, phase, far, state]
        refined = np.clip(((ones << 16) + _NEAR_WEIGHT * first) // (seen + _NEAR_WEIGHT), 1, (1 << 16) - 1)
        probabilities: NDArray[np.uint16] = np.where(flipped, (1 << 16) - refined, refined).astype(np.uint16)
        return probabilities

    def _learn(self, phase: int, far: NDArray[np.int64], state: NDArray[np.int64], bits: NDArray[np.bool_]) -> None:
        for counts, neighbours in ((self._near, far >> (_FAR - _NEAR)), (self._far, far)):
            cell = neighbours * _STATES + state
            for kind, chosen in ((0, cell[bits]), (1, cell)):
                np.add.at(counts[kind, phase].reshape(-1), chosen, 1)


def _contexts(
    plane: NDArray[np.bool_],
    states: NDArray[np.uint8],
    phase: int,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    h: int,
    periodic: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Far context, state, and whether zero and one are exchanged, each [rows, columns]."""
    state = states[np.ix_(rows, columns)].astype(np.int64)
    far = np.zeros(state.shape, np.int64)
    if phase == 3:
        return far, state, far > 0
    for down, right in _NEIGHBOURS[phase]:
        far = 2 * far + _neighbour(plane, rows + down * h, columns + right * h, h, periodic)
    smallest, flipped = _images(phase)
    flip = flipped[far]
    return smallest[far], np.where(flip & (state != NO_STATE), _STATES - state, state), flip


@lru_cache(maxsize=3)
def _images(phase: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The smallest image of each far context, mirrored and inverted, and whether that one is inverted."""
    offsets = _NEIGHBOURS[phase]
    codes = np.arange(1 << _FAR)
    bits = codes[:, None] >> np.arange(_FAR)[::-1] & 1
    mirrored = []
    for south, east in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        order = [offsets.index((south * down, east * right)) for down, right in offsets]
        mirrored.append(bits[:, order] @ (1 << np.arange(_FAR)[::-1]))
    plain = np.min(mirrored, axis=0)
    inverse = codes[-1] - np.max(mirrored, axis=0)
    return np.minimum(plain, inverse), inverse < plain


def _phases(shape: tuple[int, ...]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], int]]:
    """(phase, rows, columns, h) in coding order: the coarsest lattice is phase 3, then 0, 1, 2 at each spacing 2h."""
    rows, columns = shape
    yield 3, np.arange(0, rows, _COARSEST), np.arange(0, columns, _COARSEST), _COARSEST
    h = _COARSEST // 2
    while h:
        for phase, (first_row, first_column) in enumerate(((h, h), (0, h), (h, 0))):
            lattice = np.arange(first_row, rows, 2 * h), np.arange(first_column, columns, 2 * h)
            if lattice[0].size and lattice[1].size:
                yield phase, *lattice, h
        h //= 2


def _neighbour(
    plane: NDArray[np.bool_], rows: NDArray[np.int64], columns: NDArray[np.int64], h: int, periodic: bool
) -> NDArray[np.bool_]:
    """Values at rows x columns, folded into the plane by steps of 2h, which keeps to the points known; else False."""
    height, width = plane.shape
    rows = _fold(rows, height, 2 * h)
    columns = columns % width if periodic and width % (2 * h) == 0 else _fold(columns, width, 2 * h)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    values = plane[np.ix_(np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))]
    folded: NDArray[np.bool_] = values & inside
    return folded


def _fold(index: NDArray[np.int64], size: int, period: int) -> NDArray[np.int64]:
    index = np.where(index < 0, index % period, index)
    folded: NDArray[np.int64] = index - period * -(-np.maximum(index - (size - 1), 0) // period)
    return folded


def previous_states(previous: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """State of each point from the previous plane: its value, and whether its eight neighbours have the same."""
    padded = np.pad(previous, 1, mode="edge")
    rows, columns = previous.shape
    around = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    every, some = np.logical_and.reduce(around), np.logical_or.reduce(around)
    states = 1 + np.where(every == some, 3 * every, 1 + previous)
    return states.astype(np.uint8)


# --- coding and decoding share the walk above --------------------------------------------------------------


class Recorder:
    """Collects bits and probabilities; constriction codes them last to first."""

    def __init__(self) -> None:
        self._bits: list[NDArray[np.bool_]] = []
        self._probabilities: list[NDArray[np.uint16]] = []

    def step(self, known: NDArray[np.bool_], probabilities: NDArray[np.uint16]) -> NDArray[np.bool_]:
        self._bits.append(known)
        self._probabilities.append(probabilities)
        return known

    def to_bytes(self) -> bytes:
        empty = np.zeros(0, np.uint16)
        return encode_bits(np.concatenate([empty > 0, *self._bits]), np.concatenate([empty, *self._probabilities]))


class Reader:
    """Decodes bits from a stream."""

    def __init__(self, data: bytes) -> None:
        self._decoder = BitDecoder(data)

    def step(self, known: NDArray[np.bool_], probabilities: NDArray[np.uint16]) -> NDArray[np.bool_]:
        return self._decoder.decode(probabilities)

    def finish(self) -> None:
        self._decoder.finish()

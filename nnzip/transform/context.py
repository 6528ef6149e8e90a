"""What is known around a wavelet coefficient before it is coded, in exact integers: the inputs of the context network.

Around it: its neighbours in earlier phases, its parents (same place in the next coarser subband along each axis) with
their neighbours, and the same place in another channel already coded. Where all of that is zero the coefficient is
*silent* and the network is not asked. Everything is a whole number, carried in float32 below 2^24 or in float64 below
2^53: encoder and decoder on any machine agree to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.transform.bands import Subband, parent_positions
from nnzip.transform.linear_weights import WEIGHTS
from nnzip.transform.phases import LARGEST, OFFSETS, PHASES, Offset, distance, known_neighbours, phase_slices
from nnzip.transform.prediction import FRACTION_BITS, INPUTS, REFERENCE

Integers = NDArray[np.int32]
Whole = NDArray[np.float32]
"""Whole numbers, carried in floating point."""

BATCH = 1 << 14
"""Coefficients that are looked at together: what stays in the processor's cache."""

PAIRS = tuple(offset for offset in sorted(OFFSETS, key=lambda o: (distance(o), o)) if offset > (0, 0, 0))
"""One of every two opposite neighbours."""

CONSTANTS = 9
"""Inputs that a whole phase shares: how fine the subband is and whether it is the low one along each axis, its
parents, whether there is a reference, and how much of the energy predictions leave in its parents."""

ROWS = len(PAIRS) + 14
"""Inputs that differ from place to place: logarithms of magnitudes, and the fraction of the prediction."""

_EXPECTED, _PARENTS, _AROUND_PARENTS, _REFERENCE, _REFERENCE_BOX, _PREDICTED, _FRACTION = (
    len(PAIRS) + k for k in (0, 1, 4, 7, 11, 12, 13)
)
_EXPECTED_BITS = 6  # of the weights' 12 fraction bits, those that are kept
_ROUND_UP = 45  # a prediction is taken off from 0.65 on, in units of 2^-7
_ONE = 1 << FRACTION_BITS
_AXES: tuple[Offset, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@dataclass(frozen=True)
class Batch:
    """Coefficients that are not silent.

    places [n]: among those of the phase. rows [m, n]: those inputs numbered `numbers` [m]; the others are zero. sums
    [INPUTS, n]: signed sums, for `prediction`. offsets [n]: what is taken off the coefficient. directions [n]: the sign
    of the prediction, 1 or -1.
    """

    places: NDArray[np.intp]
    numbers: NDArray[np.intp]
    rows: Whole
    sums: Whole
    offsets: Integers
    directions: Integers


class Surroundings:
    """What surrounds the coefficients of one subband."""

    def __init__(
        self, values: Integers, reference: Integers | None, band: Subband, halvings: tuple[int, int, int]
    ) -> None:
        """`values` and `reference`: all of a channel's coefficients, and of another one's; see `halvings`."""
        shape = band.shape
        self.shape = shape
        self._padded = np.zeros(tuple(n + 2 for n in shape), dtype=np.float32)
        self._occupied = np.zeros(self._padded.shape, dtype=np.bool_)
        self._marked = np.zeros(shape, dtype=np.bool_)  # where a parent or the reference says something
        self._parents = []
        for where, axis in zip(band.parents, band.parent_axes, strict=True):
            parent = _Parent(capped(values[where]), axis, shape)
            if parent.any:
                self._marked |= parent.occupied()
                self._parents.append(parent)
        self._reference: Whole | None = None
        if reference is not None and reference[band.where].any():
            self._reference = np.pad(capped(reference[band.where]), 1).astype(np.float32)
            self._box = _box(np.abs(self._reference))
            self._marked |= self._box > 0
        self._linear = [
            tuple(weight >> _EXPECTED_BITS for weight in weights)
            for weights in WEIGHTS[reference is not None][bool(band.parents)]
        ]
        self._parent_count = len(band.parents)
        self.constants = (
            *(16 * min(count, 7) for count in halvings),
            *(64 * int(place.start == 0) for place in band.where),
            32 * len(band.parents),
            64 * int(reference is not None),
        )

    def batches(self, phase: int, weights: NDArray[np.int64]) -> Iterator[Batch]:
        """All places of the phase that are not silent; `weights` [INPUTS] of the prediction."""
        marked = self._marked[phase_slices(self.shape, phase)]
        heard = np.flatnonzero(marked | self._near(phase) if known_neighbours(phase) else marked)
        for start in range(0, heard.size, BATCH):
            yield self._batch(heard[start : start + BATCH], marked.shape, phase, weights)

    def put(self, phase: int, values: Integers) -> None:
        """The coefficients of a phase, which later ones see."""
        inner = (slice(1, -1),) * 3
        here = phase_slices(self.shape, phase)
        self._padded[inner][here] = capped(values)
        self._occupied[inner][here] = values != 0

    def _near(self, phase: int) -> NDArray[np.bool_]:
        """Where any of the 26 neighbours is known and not zero."""
        found = self._occupied
        for axis, (parity, size) in enumerate(zip(PHASES[phase], self.shape, strict=True)):
            count = (size - parity + 1) // 2
            ranges = [slice(parity + k, parity + k + 2 * count - 1, 2) for k in range(3)]
            before = (slice(None),) * axis
            found = found[(*before, ranges[0])] | found[(*before, ranges[1])] | found[(*before, ranges[2])]
        return found

    def _batch(
        self, places: NDArray[np.intp], lattice: tuple[int, ...], phase: int, weights: NDArray[np.int64]
    ) -> Batch:
        position = [2 * p + parity for p, parity in zip(np.unravel_index(places, lattice), PHASES[phase], strict=True)]
        numbers, linear = self._numbers(phase), self._linear[phase]
        rows = np.empty((numbers.size, places.size), dtype=np.float32)
        sums = np.zeros((INPUTS, places.size), dtype=np.float32)
        base = _flat(position, self._padded.shape) + _flat((1, 1, 1), self._padded.shape)
        count = len(_pair_numbers(phase))
        if count:
            signed = self._padded.take(base + _neighbour_steps(phase, self._padded.shape))
            np.matmul(_signed_classes(phase), signed, out=sums[:REFERENCE])
            np.matmul(_pairs(phase, linear), np.abs(signed, out=signed), out=rows[: count + 1])
            expected = rows[count]
        else:
            expected = rows[0]
            expected[...] = 0
        row = count + 1
        for parent in self._parents:
            own, rows[row + 1] = parent.at(position)
            rows[row] = own
            expected += own * np.float32(linear[5] // self._parent_count)
            row += 2
        if self._reference is not None:
            signed = self._reference.take(base + _star_steps(self._padded.shape))
            np.matmul(_STAR_SUMS, signed, out=sums[REFERENCE:])
            star = rows[row : row + 4]
            np.matmul(_STAR_SUMS, np.abs(signed, out=signed), out=star)
            expected += np.array([linear[6], linear[7], linear[7], linear[7]], dtype=np.float32) @ star
            rows[row + 4] = self._box.take(_flat(position, self.shape))
        predicted = weights.astype(np.float32) @ sums
        size = np.abs(predicted)
        offsets = np.minimum(np.floor((size + _ROUND_UP) * np.float32(1 / _ONE)), LARGEST)
        rows[-2] = size
        logarithms(rows[:-1])
        np.minimum(size - offsets * _ONE + _ROUND_UP, _ONE - 1, out=rows[-1])
        directions = np.where(predicted < 0, np.int32(-1), np.int32(1))
        return Batch(places, numbers, rows, sums, directions * offsets.astype(np.int32), directions)

    def _numbers(self, phase: int) -> NDArray[np.intp]:
        """Which inputs the rows of a batch are."""
        found = [*_pair_numbers(phase), _EXPECTED]
        for parent in self._parents:
            found += [_PARENTS + parent.axis, _AROUND_PARENTS + parent.axis]
        if self._reference is not None:
            found += range(_REFERENCE, _REFERENCE_BOX + 1)
        return np.array([*found, _PREDICTED, _FRACTION])


class _Parent:
    """A parent's magnitudes, and their sums over 3 x 3 x 3 places."""

    def __init__(self, values: Integers, axis: int, shape: tuple[int, ...]) -> None:
        self.axis = axis
        self.any = bool(values.any())
        self._magnitudes = np.abs(values).astype(np.float32)
        self._around = _box(np.pad(self._magnitudes, 1)) if self.any else self._magnitudes
        self._maps = [np.array(parent_positions(*sizes)) for sizes in zip(shape, values.shape, strict=True)]

    def occupied(self) -> NDArray[np.bool_]:
        """Where the parent is not zero [subband]."""
        found: NDArray[np.bool_] = (self._magnitudes > 0)[np.ix_(*self._maps)]
        return found

    def at(self, position: Sequence[NDArray[np.intp]]) -> tuple[Whole, Whole]:
        """Own magnitude and the sum around it, for positions in the subband."""
        flat = _flat([m.take(p) for m, p in zip(self._maps, position, strict=True)], self._magnitudes.shape)
        return self._magnitudes.take(flat), self._around.take(flat)


def halvings(shape: tuple[int, ...], band: Subband) -> tuple[int, int, int]:
    """How often each axis of the array was halved to that of the subband."""
    counts = []
    for size, whole in zip(band.shape, shape, strict=True):
        count = 0
        while (size << count) * 3 < whole * 2:
            count += 1
        counts.append(count)
    return counts[0], counts[1], counts[2]


def capped(values: Integers) -> Integers:
    """Within -LARGEST and LARGEST."""
    return np.minimum(np.maximum(values, -LARGEST), LARGEST)


def logarithms(values: Whole) -> None:
    """x becomes 8 log2(1 + x), linear between powers of two and rounded down, for whole numbers below 2^24 - 1.

    The bits of a float32 are that logarithm, times 2^20.
    """
    values += np.float32(1)
    bits = values.view(np.int32)
    bits >>= 20
    np.subtract(bits, 127 << 3, out=values, casting="unsafe")


def _flat(position: Sequence[Any], shape: tuple[int, ...]) -> Any:
    return (position[0] * shape[1] + position[1]) * shape[2] + position[2]


@lru_cache(maxsize=1 << 12)
def _neighbour_steps(phase: int, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """From a place to its known neighbours, in a flat array [neighbour, 1]."""
    return np.array([[_flat(offset, shape)] for offset in known_neighbours(phase)], dtype=np.intp)


@lru_cache(maxsize=1 << 10)
def _star_steps(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """From a place to itself and its six nearest neighbours, in a flat array [7, 1]."""
    return np.array([[_flat(offset, shape)] for offset in _STAR], dtype=np.intp)


def _box(padded: Whole) -> Whole:
    """Sums over 3 x 3 x 3 places [without the padding]."""
    rows = padded[:-2] + padded[1:-1]
    rows += padded[2:]
    columns = rows[:, :-2] + rows[:, 1:-1]
    columns += rows[:, 2:]
    box = columns[:, :, :-2] + columns[:, :, 1:-1]
    box += columns[:, :, 2:]
    return np.asarray(box)


def _class(offset: Offset) -> int:
    """Which signed sum of `prediction` a neighbour counts in."""
    axes = [axis for axis, d in enumerate(offset) if d]
    return axes[0] if len(axes) == 1 else 6 if len(axes) == 3 else 2 + sum(axes)


@lru_cache(maxsize=len(PHASES))
def _signed_classes(phase: int) -> Whole:
    """[REFERENCE, known neighbours]: which neighbours a signed sum adds."""
    known = known_neighbours(phase)
    matrix = np.zeros((REFERENCE, len(known)), dtype=np.float32)
    matrix[[_class(offset) for offset in known], np.arange(len(known))] = 1
    return matrix


@lru_cache(maxsize=len(PHASES))
def _pair_numbers(phase: int) -> list[int]:
    return sorted({_pair(offset) for offset in known_neighbours(phase)})


@lru_cache(maxsize=4 * len(PHASES))
def _pairs(phase: int, linear: tuple[int, ...]) -> Whole:
    """[pairs and, last, the expected magnitude; known neighbours]: what their magnitudes add to."""
    known, numbers = known_neighbours(phase), _pair_numbers(phase)
    matrix = np.zeros((len(numbers) + 1, len(known)), dtype=np.float32)
    for column, offset in enumerate(known):
        away = distance(offset)
        feature = next(axis for axis, d in enumerate(offset) if d) if away == 1 else away + 1
        matrix[numbers.index(_pair(offset)), column] = 1
        matrix[-1, column] = linear[feature]
    return matrix


def _pair(offset: Offset) -> int:
    return PAIRS.index(max(offset, tuple(-d for d in offset)))


_STAR: tuple[Offset, ...] = ((0, 0, 0), *(o for axis in _AXES for o in (axis, tuple(-d for d in axis))))
_STAR_SUMS = np.array(
    [[1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]], dtype=np.float32
)

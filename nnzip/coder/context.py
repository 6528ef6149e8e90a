"""What is known around a wavelet coefficient before it is coded, in exact integers: the inputs of the context network.

Around it: its neighbours in earlier phases, its parents (same place in the next coarser subband along each axis) with
their neighbours, and the same place in another channel already coded. Where all of that is zero the coefficient is
*silent* and the network is not asked. Everything is a whole number, carried in float32 below 2^24 or in float64 below
2^53: encoder and decoder on any machine and device agree to the bit, as long as matrix products are of true float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Array, Device, device_of, flat_nonzero, move_beside, namespace, place, zeros_beside
from nnzip.coder.bands import Subband, parent_positions
from nnzip.coder.expected_weights import WEIGHTS
from nnzip.coder.phases import LARGEST, OFFSETS, PHASES, Offset, distance, known_neighbours, phase_slices
from nnzip.coder.prediction import FRACTION_BITS, INPUTS, REFERENCE

BATCH = 1 << 14
"""Coefficients that are looked at together: what stays in the processor's cache."""

GPU_BATCH = 1 << 19
"""The same on a GPU, which small pieces would keep waiting; takes 0.4 GB."""

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

    places int64 [n]: among those of the phase. rows [m, n]: those inputs numbered `numbers` int64 [m]; the others are
    zero. sums [INPUTS, n]: signed sums, for `prediction`. offsets [n]: what is taken off the coefficient. directions
    [n]: the sign of the prediction, 1 or -1. All but the first two are whole numbers in float32.
    """

    places: Array
    numbers: Array
    rows: Array
    sums: Array
    offsets: Array
    directions: Array


class Surroundings:
    """What surrounds the coefficients of one subband."""

    def __init__(self, values: Array, reference: Array | None, band: Subband, halvings: tuple[int, int, int]) -> None:
        """`values` and `reference`: all of a channel's int32 coefficients, and of another one's; see `halvings`."""
        shape = band.shape
        self.shape, self.device = shape, device_of(values)
        self._padded = zeros_beside(values, tuple(n + 2 for n in shape), "float32")
        self._occupied = zeros_beside(values, tuple(n + 2 for n in shape), "bool")
        self._marked = zeros_beside(values, shape, "bool")  # where a parent or the reference says something
        self._parents = []
        for where, axis in zip(band.parents, band.parent_axes, strict=True):
            parent = _Parent(values[where], axis, shape)
            if parent.any:
                self._marked |= parent.occupied()
                self._parents.append(parent)
        self._reference: Array | None = None
        if reference is not None and bool(reference[band.where].any()):
            self._reference = _pad(capped(reference[band.where]))
            self._box = _box(abs(self._reference))
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

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Zeros on the device of the coefficients."""
        return zeros_beside(self._padded, shape, dtype)

    def batches(self, phase: int, weights: NDArray[np.int64]) -> Iterator[Batch]:
        """All places of the phase that are not silent; `weights` [INPUTS] of the prediction."""
        marked = self._marked[phase_slices(self.shape, phase)]
        heard = flat_nonzero(marked | self._near(phase) if known_neighbours(phase) else marked)
        together = BATCH if self.device is None else GPU_BATCH
        numbers = move_beside(heard, self._numbers(phase))
        shares = move_beside(heard, weights.astype(np.float32))
        for start in range(0, len(heard), together):
            yield self._batch(heard[start : start + together], marked.shape, phase, numbers, shares)

    def put(self, phase: int, values: Array) -> None:
        """The coefficients of a phase, which later ones see."""
        inner = (slice(1, -1),) * 3
        here = phase_slices(self.shape, phase)
        self._padded[inner][here] = capped(values)
        self._occupied[inner][here] = values != 0

    def _near(self, phase: int) -> Array:
        """Where any of the 26 neighbours is known and not zero."""
        found = self._occupied
        for axis, (parity, size) in enumerate(zip(PHASES[phase], self.shape, strict=True)):
            count = (size - parity + 1) // 2
            ranges = [slice(parity + k, parity + k + 2 * count - 1, 2) for k in range(3)]
            before = (slice(None),) * axis
            found = found[(*before, ranges[0])] | found[(*before, ranges[1])] | found[(*before, ranges[2])]
        return found

    def _batch(self, places: Array, lattice: tuple[int, ...], phase: int, numbers: Array, weights: Array) -> Batch:
        xp = namespace(places)
        position = [2 * p + parity for p, parity in zip(xp.unravel_index(places, lattice), PHASES[phase], strict=True)]
        linear, count = self._linear[phase], len(_pair_numbers(phase))
        rows = zeros_beside(places, (len(numbers), len(places)), "float32")
        sums = zeros_beside(places, (INPUTS, len(places)), "float32")
        base = _flat(position, self._padded.shape) + _flat((1, 1, 1), self._padded.shape)
        if count:
            signed = self._padded.take(base + _steps(known_neighbours(phase), self._padded.shape, self.device))
            xp.matmul(_signed_classes(phase, self.device), signed, out=sums[:REFERENCE])
            xp.matmul(_pairs(phase, linear, self.device), xp.abs(signed, out=signed), out=rows[: count + 1])
        expected, row = rows[count], count + 1
        for parent in self._parents:
            own, rows[row + 1] = parent.at(position)
            rows[row] = own
            expected += own * float(linear[5] // self._parent_count)
            row += 2
        if self._reference is not None:
            signed = self._reference.take(base + _steps(_STAR, self._padded.shape, self.device))
            xp.matmul(_star_sums(self.device), signed, out=sums[REFERENCE:])
            star = rows[row : row + 4]
            xp.matmul(_star_sums(self.device), xp.abs(signed, out=signed), out=star)
            expected += star[0] * float(linear[6]) + star[1:].sum(axis=0) * float(linear[7])
            rows[row + 4] = self._box.take(_flat(position, self.shape))
        predicted = weights @ sums
        size = abs(predicted)
        offsets = xp.floor((size + _ROUND_UP) * (1 / _ONE)).clip(max=LARGEST)
        rows[-2] = size
        logarithms(rows[:-1])
        rows[-1] = (size - offsets * _ONE + _ROUND_UP).clip(max=_ONE - 1)
        directions = 1 - 2 * xp.asarray(predicted < 0, dtype=xp.float32)
        return Batch(places, numbers, rows, sums, directions * offsets, directions)

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

    def __init__(self, values: Array, axis: int, shape: tuple[int, ...]) -> None:
        self.axis = axis
        self.any = bool(values.any())
        if self.any:
            padded = _pad(abs(capped(values)))
            self._magnitudes, self._around = padded[1:-1, 1:-1, 1:-1].ravel(), _box(padded)
            self._shape = tuple(values.shape)
            self._maps = [
                move_beside(values, np.array(parent_positions(*sizes)))
                for sizes in zip(shape, self._shape, strict=True)
            ]

    def occupied(self) -> Array:
        """Where the parent is not zero [subband]."""
        times, rows, columns = self._maps
        return (self._magnitudes > 0).reshape(self._shape)[times[:, None, None], rows[:, None], columns]

    def at(self, position: Sequence[Array]) -> tuple[Array, Array]:
        """Own magnitude and the sum around it, for positions in the subband."""
        flat = _flat([m.take(p) for m, p in zip(self._maps, position, strict=True)], self._shape)
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


def capped(values: Array) -> Array:
    """Within -LARGEST and LARGEST; a copy."""
    return values.clip(-LARGEST, LARGEST)


def logarithms(values: Array) -> None:
    """x becomes 8 log2(1 + x), linear between powers of two and rounded down, for whole numbers below 2^24 - 1 in
    float32.

    The bits of a float32 are that logarithm, times 2^20.
    """
    bits = (values + 1).view(namespace(values).int32)
    bits >>= 20
    bits -= 127 << 3
    values[...] = bits


def _flat(position: Sequence[Any], shape: Sequence[int]) -> Any:
    return (position[0] * shape[1] + position[1]) * shape[2] + position[2]


def _pad(values: Array) -> Array:
    """With a zero on every side, in float32."""
    padded = zeros_beside(values, tuple(n + 2 for n in values.shape), "float32")
    padded[1:-1, 1:-1, 1:-1] = values
    return padded


def _box(padded: Array) -> Array:
    """Sums over 3 x 3 x 3 places [without the padding]."""
    rows = padded[:-2] + padded[1:-1]
    rows += padded[2:]
    columns = rows[:, :-2] + rows[:, 1:-1]
    columns += rows[:, 2:]
    box = columns[:, :, :-2] + columns[:, :, 1:-1]
    box += columns[:, :, 2:]
    return box


@lru_cache(maxsize=1 << 12)
def _steps(offsets: tuple[Offset, ...], shape: tuple[int, ...], device: Device) -> Array:
    """From a place to those at `offsets`, in a flat array: int64 [offset, 1]."""
    return place(np.array([[_flat(offset, shape)] for offset in offsets]), device)


def _class(offset: Offset) -> int:
    """Which signed sum of `prediction` a neighbour counts in."""
    axes = [axis for axis, d in enumerate(offset) if d]
    return axes[0] if len(axes) == 1 else 6 if len(axes) == 3 else 2 + sum(axes)


@lru_cache(maxsize=4 * len(PHASES))
def _signed_classes(phase: int, device: Device) -> Array:
    """[REFERENCE, known neighbours]: which neighbours a signed sum adds."""
    known = known_neighbours(phase)
    matrix = np.zeros((REFERENCE, len(known)), dtype=np.float32)
    for column, offset in enumerate(known):
        matrix[_class(offset), column] = 1
    return place(matrix, device)


@lru_cache(maxsize=len(PHASES))
def _pair_numbers(phase: int) -> list[int]:
    return sorted({_pair(offset) for offset in known_neighbours(phase)})


@lru_cache(maxsize=16 * len(PHASES))
def _pairs(phase: int, linear: tuple[int, ...], device: Device) -> Array:
    """[pairs and, last, the expected magnitude; known neighbours]: what their magnitudes add to."""
    known, numbers = known_neighbours(phase), _pair_numbers(phase)
    matrix = np.zeros((len(numbers) + 1, len(known)), dtype=np.float32)
    for column, offset in enumerate(known):
        away = distance(offset)
        feature = next(axis for axis, d in enumerate(offset) if d) if away == 1 else away + 1
        matrix[numbers.index(_pair(offset)), column] = 1
        matrix[-1, column] = linear[feature]
    return place(matrix, device)


def _pair(offset: Offset) -> int:
    return PAIRS.index(max(offset, tuple(-d for d in offset)))


_STAR: tuple[Offset, ...] = ((0, 0, 0), *(o for axis in _AXES for o in (axis, tuple(-d for d in axis))))


@lru_cache(maxsize=4)
def _star_sums(device: Device) -> Array:
    """[itself and the neighbours along each axis; place of `_STAR`]."""
    sums = [[1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]]
    return place(np.array(sums, dtype=np.float32), device)

"""A second reader of coefficient streams, written from docs/format.md alone in plain Python integers."""

from __future__ import annotations

import io
import zipfile
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

import nnzip
from tests.container.test_format import Stream, read_magnitudes, read_signs, read_symbols

Box = tuple[tuple[int, int], ...]
Place = tuple[int, ...]

PHASES = ("000", "111", "011", "100", "101", "010", "110", "001")
FAR = sorted(product((-1, 0, 1), repeat=3))
PAIRS = sorted((o for o in FAR if o > (0, 0, 0)), key=lambda o: (sum(map(abs, o)), o))
INPUTS = 11


def arrays_of_the_network() -> dict[str, Any]:
    """The arrays of context_network.npz as nested lists."""
    path = Path(nnzip.__file__).parent / "coder" / "context_network.npz"
    with zipfile.ZipFile(path) as stored:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(stored.read(name))).tolist()
            for name in stored.namelist()
            if name[:-5] in ("weights", "biases")
        }


NETWORK = arrays_of_the_network()


def bands_of(n: int, depth: int) -> list[tuple[int, int]]:
    sizes = [n]
    for _ in range(depth):
        sizes.append(ceil(sizes[-1] / 2))
    return [(0, sizes[-1]), *((sizes[i + 1], sizes[i]) for i in reversed(range(depth)))]


def subbands(shape: Place, depths: Place) -> list[tuple[Box, list[tuple[int, Box]]]]:
    """Boxes, each with (axis, box) of its parents."""
    axes = [bands_of(n, d) for n, d in zip(shape, depths, strict=True)]
    found = []
    for numbers in sorted(product(*(range(len(axis)) for axis in axes)), key=lambda k: (sum(k), k)):
        box = tuple(axis[k] for axis, k in zip(axes, numbers, strict=True))
        parents = []
        for a, k in enumerate(numbers):
            if k >= 2:
                parents.append((a, tuple(axes[a][k - 1] if i == a else box[i] for i in range(3))))
        if all(stop > start for start, stop in box):
            found.append((box, parents))
    return found


def cap(value: int) -> int:
    return max(-1023, min(1023, int(value)))


def logarithm(value: int) -> int:
    power = (value + 1).bit_length() - 1
    return 8 * power + ((8 * (value + 1)) >> power) - 8


def moved(offset: Place) -> list[int]:
    return [axis for axis, d in enumerate(offset) if d]


def signed_class(offset: Place) -> int:
    return {(0,): 0, (1,): 1, (2,): 2, (0, 1): 3, (0, 2): 4, (1, 2): 5, (0, 1, 2): 6}[tuple(moved(offset))]


def solve(prior: list[list[int]]) -> tuple[list[int], int]:
    """Weights and what they leave of the energy."""
    weights = [0] * INPUTS
    used = [i for i in range(INPUTS) if prior[i][i]]
    if not used or not prior[INPUTS][INPUTS]:
        return weights, 64
    rows = [*used, INPUTS]
    m = [[prior[i][j] + (2048 if i == j != INPUTS else 0) for j in rows] for i in rows]
    spare = 30 - max(max(row) for row in m).bit_length()
    m = [[value << spare if spare >= 0 else value >> -spare for value in row] for row in m]
    energy = max(m[-1][-1], 1)
    for column in range(len(used)):
        pivot = max(m[column][column], 1)
        factors = [(row[column] << 20) // pivot for row in m]
        line = list(m[column])
        for i, factor in enumerate(factors):
            if i != column:
                m[i] = [a - ((factor * b) >> 20) for a, b in zip(m[i], line, strict=True)]
    for i, number in enumerate(used):
        weights[number] = max(-496, min(496, (m[i][-1] << 7) // max(m[i][i], 1)))
    return weights, max(0, min(127, 64 * m[-1][-1] // energy))


def nothing() -> list[list[int]]:
    return [[0] * (INPUTS + 1) for _ in range(INPUTS + 1)]


class NetworkCoefficients:
    """Reads one stream of context model 2; `linear` are the weights of the eight sums of model 1."""

    def __init__(self, data: bytes, shape: Place, depths: Place, reference: Any, linear: dict[Any, list[int]]) -> None:
        self.values = np.zeros(shape, dtype=object)
        self.shape, self.reference, self.linear = shape, reference, linear
        self.stream = Stream(data)
        self.learnt: dict[Box, list[list[list[int]]]] = {}
        self.corrections = list(range(72))
        if read_symbols(self.stream, [46])[0]:
            self.corrections = [t + d for t, d in enumerate(read_symbols(self.stream, [32] * 72))]
        silent = [24, 24]
        for box, parents in subbands(shape, depths):
            empty = bool(parents) and not any(self.values[slices(parent)].any() for _, parent in parents)
            if read_symbols(self.stream, [28 if empty else 46])[0]:
                silent = [before + d for before, d in zip(silent, read_symbols(self.stream, [34, 34]), strict=True)]
                self.read_subband(box, parents, silent)
        assert (self.stream.state, self.stream.words) == (1, [])

    def read_subband(self, box: Box, parents: list[tuple[int, Box]], silent: list[int]) -> None:
        within = nothing()
        handed_on = []
        for phase in range(8):
            prior = nothing()
            for _, parent in parents:
                if parent in self.learnt:
                    prior = added(prior, self.learnt[parent][phase])
            weights, left = solve(prior if prior[INPUTS][INPUTS] else within)
            own = self.read_phase(box, parents, phase, silent, weights, left)
            handed_on.append(added([[value >> 2 for value in row] for row in prior], own))
            for i in range(7, INPUTS + 1):
                for j in range(7, INPUTS + 1):
                    within[i][j] += own[i][j]
        self.learnt[box] = handed_on

    def read_phase(
        self, box: Box, parents: list[tuple[int, Box]], phase: int, silent: list[int], weights: list[int], left: int
    ) -> list[list[int]]:
        starts = [start + int(parity) for (start, _), parity in zip(box, PHASES[phase], strict=True)]
        places = list(product(*(range(start, stop, 2) for start, (_, stop) in zip(starts, box, strict=True))))
        tables, classes, offsets, heard = [], [], [], []
        for place in places:
            inputs, sums = self.look(place, box, parents, phase)
            if inputs is None:
                tables.append(silent[min(phase, 1)])
                classes.append(12)
                offsets.append(0)
                continue
            heard.append((place, sums))
            predicted = sum(w * s for w, s in zip(weights, sums, strict=True))
            offset = min((abs(predicted) + 45) // 128, 1023)
            direction = -1 if predicted < 0 else 1
            inputs[25] = logarithm(abs(predicted))
            inputs[26] = min(abs(predicted) - 128 * offset + 45, 127)
            inputs[35] = left
            table, sign = self.ask(inputs, phase)
            tables.append(self.corrections[table])
            classes.append(12 + direction * sign)
            offsets.append(direction * offset)
        magnitudes = read_magnitudes(self.stream, tables)
        signs = iter(read_signs(self.stream, [c for c, m in zip(classes, magnitudes, strict=True) if m]))
        for place, magnitude, offset in zip(places, magnitudes, offsets, strict=True):
            self.values[place] = offset + (magnitude * next(signs) if magnitude else 0)
        every = 1 + len(heard) // 4096
        own = nothing()
        for place, sums in heard[::every]:
            shift = max((1 + sum(map(abs, sums))).bit_length() - 1 - 3, 0)
            row = [(16 * value) >> shift for value in (*sums, cap(self.values[place]))]
            row[-1] = max(-1024, min(1024, row[-1]))
            for i, a in enumerate(row):
                for j, b in enumerate(row):
                    own[i][j] += a * b
        return own

    def look(
        self, place: Place, box: Box, parents: list[tuple[int, Box]], phase: int
    ) -> tuple[list[int] | None, list[int]]:
        """Inputs without those of the prediction (None: silent), and the signed sums."""
        inputs, sums, says, linear_sums = [0] * 36, [0] * INPUTS, False, [0] * 8
        pairs = [0] * 13
        around_reference = 0
        for offset in FAR:
            there = tuple(p + d for p, d in zip(place, offset, strict=True))
            if not inside(there, box):
                continue
            away = moved(offset)
            parity = "".join(str((p - start) % 2) for p, (start, _) in zip(there, box, strict=True))
            if away and PHASES.index(parity) < phase:
                value = cap(self.values[there])
                says |= value != 0
                sums[signed_class(offset)] += value
                pairs[PAIRS.index(max(offset, tuple(-d for d in offset)))] += abs(value)
                linear_sums[away[0] if len(away) == 1 else len(away) + 1] += abs(value)
            if self.reference is not None:
                value = cap(self.reference[there])
                says |= value != 0
                around_reference += abs(value)
                if len(away) <= 1:
                    number = 7 if not away else 8 + away[0]
                    sums[number] += value
                    inputs[20 + number - 7] += abs(value)
                    linear_sums[6 + len(away)] += abs(value)
        for axis, parent in parents:
            sizes = [(high - low, stop - start) for (low, high), (start, stop) in zip(parent, box, strict=True)]
            there = tuple(
                low + (min((p - start) // 2, n - 1) if n < size else p - start)
                for p, (start, _), (low, _), (n, size) in zip(place, box, parent, sizes, strict=True)
            )
            own = abs(cap(self.values[there]))
            says |= own != 0
            linear_sums[5] += own
            inputs[14 + axis] = own
            near = (tuple(p + d for p, d in zip(there, offset, strict=True)) for offset in FAR)
            inputs[17 + axis] = sum(abs(cap(self.values[at])) for at in near if inside(at, parent))
        if not says:
            return None, sums
        linear = [w >> 6 for w in self.linear[self.reference is not None, bool(parents), PHASES[phase]]]
        if parents:
            linear[5] //= len(parents)
        inputs[:13] = pairs
        inputs[13] = sum(w * s for w, s in zip(linear, linear_sums, strict=True))
        inputs[24] = around_reference
        inputs[:25] = [logarithm(value) for value in inputs[:25]]
        for axis, ((start, stop), n) in enumerate(zip(box, self.shape, strict=True)):
            halvings = 0
            while ((stop - start) << halvings) * 3 < 2 * n:
                halvings += 1
            inputs[27 + axis] = 16 * min(halvings, 7)
            inputs[30 + axis] = 64 if start == 0 else 0
        inputs[33], inputs[34] = 32 * len(parents), 64 if self.reference is not None else 0
        return inputs, sums

    def ask(self, inputs: list[int], phase: int) -> tuple[int, int]:
        """Table, and class of the sign less 12 in the direction of the prediction."""
        layers = ((NETWORK["weights0"][phase], NETWORK["biases0"][phase]), (NETWORK["weights1"], NETWORK["biases1"]))
        for (weights, biases), shift in zip(layers, (4, 6), strict=True):
            sums = [
                b + sum(w * x for w, x in zip(row, inputs, strict=True)) for row, b in zip(weights, biases, strict=True)
            ]
            inputs = [max(0, min(255, value >> shift)) for value in sums]
        table, sign = (
            b + sum(w * x for w, x in zip(row, inputs, strict=True))
            for row, b in zip(NETWORK["weights2"], NETWORK["biases2"], strict=True)
        )
        return max(1, min(71, table >> 9)), max(-12, min(12, sign >> 10))


def product_of(weights: list[list[int]], inputs: list[int], biases: list[int]) -> list[int]:
    return [b + sum(w * x for w, x in zip(row, inputs, strict=True)) for row, b in zip(weights, biases, strict=True)]


def inside(place: Place, box: Box) -> bool:
    return all(start <= p < stop for p, (start, stop) in zip(place, box, strict=True))


def slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)


def added(first: list[list[int]], second: list[list[int]]) -> list[list[int]]:
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]

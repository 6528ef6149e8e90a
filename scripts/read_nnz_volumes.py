"""Volumes of coefficients of `.nnz` archives for read_nnz.py: docs/format.md, "Volumes"."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from read_nnz_streams import Array, Sizes, Stream, require

Box = tuple[tuple[int, int], ...]
Offset = tuple[int, int, int]
Network = dict[str, Array]

PHASES = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1))
CUBE: list[Offset] = list(product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)))
PAIRS = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, -1), (0, 1, 1), (1, -1, 0), (1, 0, -1)]
PAIRS += [(1, 0, 1), (1, 1, 0), (1, -1, -1), (1, -1, 1), (1, 1, -1), (1, 1, 1)]
SIGNED = {(1, 0, 0): 0, (0, 1, 0): 1, (0, 0, 1): 2, (1, 1, 0): 3, (1, 0, 1): 4, (0, 1, 1): 5, (1, 1, 1): 6}
EXPECTED = """
0 0 0 0 0 0 0 0|0 0 0 0 0 1828 0 0|0 0 0 0 0 0 2870 379|0 0 0 0 0 591 922 95
0 0 0 0 1236 0 0 0|0 0 0 0 316 768 0 0|0 0 0 0 41 0 2810 197|0 0 0 0 146 370 1094 25
1767 0 0 799 0 0 0 0|1081 0 0 362 0 499 0 0|959 0 0 39 0 0 2224 50|954 0 0 193 0 256 535 23
1828 0 0 313 100 0 0 0|967 0 0 240 57 390 0 0|1047 0 0 21 14 0 2034 37|709 0 0 154 23 212 815 11
0 774 1219 194 0 0 0 0|0 543 633 142 0 308 0 0|0 42 460 38 0 0 2822 47|0 388 465 80 0 126 799 9
0 932 1361 216 101 0 0 0|0 609 649 117 44 352 0 0|0 150 256 59 18 0 2928 38|0 405 431 111 26 164 572 12
1496 330 423 59 0 0 0 0|735 433 442 40 0 194 0 0|718 36 24 44 0 0 2311 15|551 343 344 20 0 99 633 8
1375 434 740 26 11 0 0 0|756 457 539 48 15 244 0 0|774 5 208 7 5 0 2265 4|734 303 378 28 16 134 430 11
"""
WEIGHTS = np.array([[part.split() for part in line.split("|")] for line in EXPECTED.split("\n") if line], np.int64)


@dataclass(frozen=True)
class Subband:
    """A box of a volume; `parents`: (axis, box) of coarser ones."""

    box: Box
    parents: tuple[tuple[int, Box], ...] = ()
    part: int = 0


def load_network(path: Path) -> Network:
    """The arrays of the context network as int64."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.int64) for name in stored.files if name[:-1] in ("weights", "biases")}


def ask(network: Network, x: Array, phase: int) -> tuple[Array, Array]:
    """Tables and s for inputs [36, n]."""
    h = network["weights0"][phase] @ x + network["biases0"][phase][:, None]
    h = network["weights1"] @ np.clip(h >> 4, 0, 255) + network["biases1"][:, None]
    a, b = network["weights2"] @ np.clip(h >> 6, 0, 255) + network["biases2"][:, None]
    return np.clip(a >> 9, 1, 71), np.clip(b >> 10, -12, 12)


def read_volumes(
    streams: list[bytes], shape: Sizes, bands: list[Subband], references: list[int | None], network: Network
) -> Array:
    """Coefficients [volume, leading axis, latitude, longitude], int64; zero where there is no stream."""
    volumes: list[Volume] = []
    for reference in references:
        volumes.append(Volume(shape, None if reference is None else volumes[reference], network))
    corrections = np.arange(72)
    for part, data in enumerate(streams):
        stream = Stream(data)
        if part == 0 and stream.numbers([46])[0]:
            corrections = corrections + stream.numbers([32] * 72)
        for volume, band in product(volumes, bands):
            if band.part == part:
                volume.read(stream, band, corrections)
        stream.finish()
    return np.stack([volume.values for volume in volumes])


class Volume:
    """A volume that grows subband by subband. `silent`: tables by box; `learnt`: equations by box, [phase, 12, 12]."""

    def __init__(self, shape: Sizes, reference: Volume | None, network: Network) -> None:
        self.shape, self.reference, self.network = shape, reference, network
        self.values, self.last = np.zeros(shape, np.int64), np.array([24, 24])
        self.silent, self.learnt = dict[Box, Array](), dict[Box, Array]()

    def read(self, stream: Stream, band: Subband, corrections: Array) -> None:
        """The next subband."""
        filled = [box in self.silent for _, box in band.parents]
        if not stream.numbers([28 if filled and not any(filled) else 46])[0]:
            return
        expected = self.last if self.reference is None else self.reference.silent.get(band.box, self.last)
        self.last = self.silent[band.box] = expected + stream.numbers([34, 34])
        prior, within = np.zeros((8, 12, 12), np.int64), np.zeros((12, 12), np.int64)
        for _, box in band.parents:
            prior += self.learnt.get(box, 0)
        learnt = self.learnt[band.box] = prior >> 2
        own, around = self.values[where_of(band.box)], Surroundings(self, band)
        for phase, parities in enumerate(PHASES):
            weights, left = solve(prior[phase] if prior[phase, -1, -1] else within)
            heard, sums, x = around.look(own, phase, weights, left)
            p, (t, s) = weights @ sums, ask(self.network, x, phase)
            direction = np.where(p < 0, -1, 1)
            tables, classes = np.full(heard.size, self.last[min(phase, 1)]), np.full(heard.size, 12)
            tables[heard], classes[heard] = corrections[t], 12 + direction * s
            found = stream.numbers(tables, signed=False)
            found[found != 0] *= stream.signs(classes[found != 0])
            found[heard] += direction * np.minimum((np.abs(p) + 45) // 128, 1023)
            require(((found >= -(2**31)) & (found < 2**31)).all(), "a coefficient has more than 32 bits")
            part = own[tuple(slice(parity, None, 2) for parity in parities)]
            part[...] = found.reshape(part.shape)
            equations = equations_of(sums, found[heard])
            learnt[phase] += equations
            within[7:, 7:] += equations[7:, 7:]


class Surroundings:
    """What is known around the coefficients of a subband."""

    def __init__(self, volume: Volume, band: Subband) -> None:
        self.parents = [(a, np.abs(capped(volume.values[where_of(box)]))) for a, box in band.parents]
        size, beside = [stop - start for start, stop in band.box], volume.reference
        self.reference = np.pad(np.zeros(size, int) if beside is None else capped(beside.values[where_of(band.box)]), 1)
        self.weights = WEIGHTS[:, 2 * (beside is not None) + bool(band.parents)] >> 6
        self.weights[:, 5] //= max(len(band.parents), 1)
        halvings = [
            next(h for h in range(99) if 3 * 2**h * n >= 2 * m) for n, m in zip(size, volume.shape, strict=True)
        ]
        self.constants = [16 * min(h, 7) for h in halvings] + [64 * (start == 0) for start, _ in band.box]
        self.constants += [32 * len(band.parents), 64 * (beside is not None)]

    def look(self, own: Array, phase: int, weights: Array, left: int) -> tuple[Array, Array, Array]:
        """Which coefficients of a phase are not silent [all], and of these the signed sums [11, n], inputs [36, n]."""
        lattice = np.meshgrid(
            *(np.arange(p, n, 2) for p, n in zip(PHASES[phase], own.shape, strict=True)), indexing="ij"
        )
        places, padded = [axis.ravel() for axis in lattice], np.pad(capped(own), 1)
        x, sums, eight = (np.zeros((n, places[0].size), np.int64) for n in (36, 11, 8))
        for offset in CUBE:
            i, j, k = offset
            axes, parity = (abs(i), abs(j), abs(k)), PHASES[phase]
            value = at(self.reference, places, offset)
            x[24] += np.abs(value)
            if sum(axes) <= 1:
                place = 1 + axes.index(1) if sum(axes) else 0
                sums[7 + place] += value
                x[20 + place] += np.abs(value)
                eight[7 if place else 6] += np.abs(value)
            if PHASES.index(((parity[0] + i) % 2, (parity[1] + j) % 2, (parity[2] + k) % 2)) < phase:
                value = at(padded, places, offset)
                sums[SIGNED[axes]] += value
                x[PAIRS.index(max(offset, (-i, -j, -k)))] += np.abs(value)
                eight[axes.index(1) if sum(axes) == 1 else 1 + sum(axes)] += np.abs(value)
        for axis, parent in self.parents:
            sizes = zip(places, own.shape, parent.shape, strict=True)
            where = [np.minimum(place // 2, short - 1) if short < n else place for place, n, short in sizes]
            x[14 + axis] = parent[tuple(where)]
            x[17 + axis] = sum(at(np.pad(parent, 1), where, offset) for offset in CUBE)
            eight[5] += x[14 + axis]
        heard = x[:13].any(axis=0) | x[14:17].any(axis=0) | (x[24] > 0)
        x, sums, eight = x[:, heard], sums[:, heard], eight[:, heard]
        x[13], x[25] = self.weights[phase] @ eight, np.abs(weights @ sums)
        x[26] = np.minimum(x[25] - 128 * np.minimum((x[25] + 45) // 128, 1023) + 45, 127)
        m = np.frexp(x[:26] + 1.0)[1] - 1
        x[:26] = 8 * m + (8 * (x[:26] + 1) >> m) - 8
        x[27:] = np.array([*self.constants, left])[:, None]
        return heard, sums, x


def where_of(box: Box) -> tuple[slice, ...]:
    return tuple(slice(*edges) for edges in box)


def capped(values: Array) -> Array:
    return np.asarray(np.clip(values, -1023, 1023))


def at(padded: Array, places: list[Array], offset: Sizes) -> Array:
    """Values of a padded array beside the places."""
    return np.asarray(padded[tuple(place + 1 + d for place, d in zip(places, offset, strict=True))])


def equations_of(sums: Array, values: Array) -> Array:
    """[12, 12] of coefficients that are not silent."""
    k = 1 + values.size // 4096
    sums, values = sums[:, ::k], capped(values[::k])
    n = np.maximum(np.frexp(1.0 + np.abs(sums).sum(axis=0))[1] - 4, 0)
    rows = np.concatenate([16 * sums >> n, np.clip(16 * values >> n, -1024, 1024)[None]])
    return np.asarray(rows @ rows.T)


def solve(prior: Array) -> tuple[Array, int]:
    """Weights [11] of the prediction, and u."""
    weights, used = np.zeros(11, np.int64), np.flatnonzero(prior.diagonal())
    if used.size < 2 or used[-1] != 11:
        return weights, 64
    system, inner = prior[np.ix_(used, used)], np.arange(used.size - 1)
    system[inner, inner] += 2048
    z = 30 - int(system.max()).bit_length()
    system = system << z if z >= 0 else system >> -z
    energy = max(int(system[-1, -1]), 1)
    for j in inner:
        f = (system[:, j] << 20) // max(int(system[j, j]), 1)
        f[j] = 0
        system -= (f[:, None] * system[j]) >> 20
    weights[used[:-1]] = np.clip((system[:-1, -1] << 7) // np.maximum(system.diagonal()[:-1], 1), -496, 496)
    return weights, min(max(64 * int(system[-1, -1]) // energy, 0), 127)

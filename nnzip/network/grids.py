"""Multiresolution hash grids as tiny-cuda-nn computes them (Müller et al. 2022, arXiv 2201.05989, section 3).

Level l has scale_l = base * growth^l - 1 and ceil(scale_l) + 1 vertices along every axis. A coordinate x lies at x *
scale_l + 0.5 between vertices; features are interpolated linearly along each axis. A level whose vertices fit the table
(their number rounded up to 8) stores them in order, the first axis running fastest; others share entries by hashing.

Here the record lies behind the first vertex of each level, at positions from 1 on, so that a level as fine as the data
has one vertex for each of their points. A level that is not hashed holds only the vertices that the record touches, as
an array [feature, .., axis 1, axis 0]; a hashed one holds its table [feature, entry].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

_PRIMES = (1, 2654435761, 805459861)
_MULTIPLE = 8
_WORD = np.uint64(0xFFFFFFFF)

Coordinates = NDArray[np.float64]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """One resolution: `size` entries of tiny-cuda-nn's table, `hashed` where vertices share them."""

    scale: float
    resolution: int
    size: int
    hashed: bool

    def index(self, vertices: Sequence[Indices]) -> Indices:
        """Table entries of a product of vertices: axis 0, axis 1, .. -> [.., axis 1, axis 0]."""
        axes = [v.reshape(-1, *(1,) * place).astype(np.uint64) for place, v in enumerate(vertices)]
        found = np.zeros((1,) * len(axes), dtype=np.uint64)
        for place, axis in enumerate(axes):
            if self.hashed:
                found = found ^ ((axis * np.uint64(_PRIMES[place])) & _WORD)
            else:
                found = found + axis * np.uint64(self.resolution**place)
        return (found % np.uint64(self.size)).astype(np.int64)

    def gather(self, features: Floats, vertices: Sequence[Indices]) -> Floats:
        """Features at a product of vertices, [feature, .., axis 1, axis 0]: each is read once."""
        if self.hashed:
            return features[:, self.index(vertices)]
        return features[np.ix_(np.arange(len(features)), *(axis - 1 for axis in reversed(list(vertices))))]


@dataclass(frozen=True)
class HashGrid:
    """`axes` 2 or 3; `levels` of `features` each, in tables of at most 2^`log2_size` entries."""

    axes: int
    levels: int
    features: int
    log2_size: int
    base: int
    growth: float = 2.0

    @cached_property
    def table(self) -> tuple[Level, ...]:
        """All levels, coarse to fine."""
        found = []
        for level in range(self.levels):
            scale = float(np.float32(2 ** (level * log2(self.growth)) * self.base - 1))
            resolution = ceil(scale) + 1
            vertices = resolution**self.axes
            size = min(-(-vertices // _MULTIPLE) * _MULTIPLE, 1 << self.log2_size)
            found.append(Level(scale, resolution, size, vertices > size))
        return tuple(found)


def longest_extent(base: int) -> float:
    """Part of the unit cube in which every level has the vertices that are touched; tables wrap around beyond it."""
    return 1 - 2 / (base - 1)


def touched(cells: float) -> int:
    """Vertices that positions from 1 to 1 + `cells` touch, the last one not included."""
    return ceil(cells) + 1 if cells > 1 else 2


@dataclass(frozen=True)
class Hats:
    """Linear interpolation along one axis: the `vertices` that points touch, ascending, and their weights `matrix`
    [point, vertex]."""

    vertices: Indices
    matrix: Floats

    @classmethod
    def at(cls, positions: Coordinates) -> Hats:
        """`positions` between vertices: tiny-cuda-nn's coordinate * scale + 0.5."""
        lower = np.floor(positions).astype(np.int64)
        share = positions - lower
        vertices, places = np.unique(np.concatenate([lower, lower + 1]), return_inverse=True)
        matrix = np.zeros((positions.size, vertices.size), dtype=np.float32)
        points = np.arange(positions.size)
        matrix[points, places[: points.size]] = 1 - share
        matrix[points, places[points.size :]] = share
        return cls(vertices, matrix)

"""Grid encoding: feature tables and their interpolation, in tiny-cuda-nn's arithmetic.

One level of tiny-cuda-nn's GridEncoding (Mueller et al., *Instant neural graphics primitives*, 2022, section 3) maps
an input x of the unit cube to the vertex position `x * scale + 0.5` with `scale = resolution - 1` and interpolates
linearly between the vertices around it. A vertex has a table entry: its dense index while resolution^D fits the table,
else an XOR hash. Here a vertex position p of a source axis is the input `x = (p + 0.5) / scale`, which tiny-cuda-nn
sees at `p + 1`: `level_for` and `flat_table` give the level and the table that compute the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HASH_PRIMES = (1, 2654435761, 805459861, 3674653429)
_TABLE_ROUNDING = 8


@dataclass(frozen=True)
class GridLevel:
    """One level of tiny-cuda-nn's grid: `resolution` vertices per axis, at most 2^log2_table_size table entries."""

    resolution: int
    log2_table_size: int
    dimensions: int

    @property
    def scale(self) -> float:
        """Grid cells per unit of input."""
        return float(self.resolution - 1)

    @property
    def entries(self) -> int:
        """Table entries: all vertices if they fit, rounded up to a multiple of eight."""
        rounded_up = -(-self._vertices // _TABLE_ROUNDING) * _TABLE_ROUNDING
        return min(rounded_up, 1 << self.log2_table_size)

    @property
    def hashed(self) -> bool:
        """Whether vertices share entries."""
        return self._vertices > self.entries

    @property
    def _vertices(self) -> int:
        return int(self.resolution**self.dimensions)

    def index(self, vertices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Table entry of integer vertices [..., dimension] (first dimension fastest)."""
        if not self.hashed:
            strides = np.int64(self.resolution) ** np.arange(self.dimensions, dtype=np.int64)
            return np.asarray((vertices * strides).sum(axis=-1) % self.entries)
        mixed = np.zeros(vertices.shape[:-1], dtype=np.uint32)
        for dimension in range(self.dimensions):
            mixed ^= vertices[..., dimension].astype(np.uint32) * np.uint32(HASH_PRIMES[dimension])
        return mixed.astype(np.int64) % self.entries


def level_for(shape: tuple[int, ...], log2_table_size: int) -> GridLevel:
    """The level whose vertices hold a feature grid of this shape, with a margin of one vertex on both sides."""
    return GridLevel(max(shape) + 2, log2_table_size, len(shape))


def inputs_for(positions: NDArray[np.float64], level: GridLevel) -> NDArray[np.float64]:
    """Inputs in the unit cube for vertex positions of the source axes."""
    return (positions + 0.5) / level.scale


def flat_table(features: Tensor, level: GridLevel) -> Tensor:
    """Tiny-cuda-nn's table [entry, feature] for a feature grid [feature, (time,) lat, lon].

    Its inputs are in the order (lon, lat, time). Entries that several vertices share (a hashed level) get the mean of
    their features. tiny-cuda-nn knows no periodic axes: for a global grid, append the first column to `features`.
    """
    shape = tuple(features.shape[1:])
    vertices = np.stack(np.meshgrid(*(np.arange(1, n + 1) for n in shape), indexing="ij"), axis=-1)
    entries = torch.from_numpy(level.index(vertices[..., ::-1]).ravel()).to(features.device)
    table = features.new_zeros(level.entries, features.shape[0])
    counts = features.new_zeros(level.entries, 1)
    table.index_add_(0, entries, features.flatten(1).T.contiguous())
    counts.index_add_(0, entries, features.new_ones(entries.numel(), 1))
    return table / counts.clamp_min(1.0)


def interpolate(
    features: Tensor,
    times: NDArray[np.float64] | None,
    latitudes: NDArray[np.float64],
    longitudes: NDArray[np.float64],
    periodic: tuple[bool, bool, bool],
) -> Tensor:
    """Features [..., (time,) lat, lon] at the product grid of vertex positions; without `times` on a map.

    Separable: the same function as gathering all corners of every point, with one lookup per vertex and axis.
    Positions that are vertices are copied.
    """
    axes = [(features.ndim - 2, latitudes, periodic[1]), (features.ndim - 1, longitudes, periodic[2])]
    if times is not None:
        axes.insert(0, (features.ndim - 3, times, periodic[0]))
    for axis, positions, closed in axes:
        features = _interpolate_axis(features, axis, positions, closed)
    return features


def _interpolate_axis(features: Tensor, axis: int, positions: NDArray[np.float64], closed: bool) -> Tensor:
    count = features.shape[axis]
    lower = np.floor(positions).astype(np.int64)
    fraction = (positions - lower).astype(np.float32)
    if not fraction.any():
        if lower.size and np.array_equal(lower, np.arange(lower[0], lower[0] + lower.size)):
            return features.narrow(axis, int(lower[0]), lower.size)
        return features.index_select(axis, torch.from_numpy(lower).to(features.device))
    upper = (lower + 1) % count if closed else np.minimum(lower + 1, count - 1)
    shape = [1] * features.ndim
    shape[axis] = positions.size
    weight = torch.from_numpy(fraction).to(features.device).view(shape)
    low = features.index_select(axis, torch.from_numpy(lower).to(features.device))
    high = features.index_select(axis, torch.from_numpy(upper).to(features.device))
    return torch.lerp(low, high, weight)

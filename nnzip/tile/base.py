"""The base of a tile: what the times of a record share, kept once for all tiles of a place.

    base(t, lat, lon) = sum over b of function_b(t, lon) * sum over s of weight_s * map_{s, b}(lat, lon)

The functions are those of a cycle (transform/cycles.py), the weights numbers of the tile: 1, and in long records cosine
and sine of the season. The maps are coded as a tile [function, channel, lat, lon], b running faster than s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError
from nnzip.tile.header import Shape
from nnzip.transform.cycles import CYCLE_BYTES, Cycle, add_cycle, read_cycle


@dataclass(frozen=True)
class Base:
    """`weights`: float32 numbers, one for every `cycle.count` of the `maps` [function, channel, lat, lon] float32."""

    cycle: Cycle
    weights: tuple[float, ...]
    maps: NDArray[np.float32]

    def pack(self) -> bytes:
        """For the tile's header: the cycle, then little-endian float32 weights."""
        return self.cycle.pack() + np.array(self.weights, dtype="<f4").tobytes()

    @cached_property
    def _weighted(self) -> NDArray[np.float32]:
        """Maps [channel, function, lat, lon] of the tile's times."""
        shares = self.maps.reshape(len(self.weights), self.cycle.count, *self.maps.shape[1:])
        maps = np.zeros(shares.shape[1:], dtype=np.float32)
        for weight, share in zip(self.weights, shares, strict=True):
            maps += np.float32(weight) * share
        return maps.swapaxes(0, 1)

    def functions(self, shape: Shape, stride: int = 1) -> NDArray[np.float32]:
        """Of a tile of this shape [function, time, lon], at every stride-th column."""
        return np.ascontiguousarray(self.cycle.functions(shape[1], shape[3])[:, :, ::stride])

    def add(
        self,
        values: NDArray[np.floating],
        functions: NDArray[np.float32],
        channels: slice = slice(None),
        sign: int = 1,
    ) -> None:
        """Add to `values` [channel, time, lat, lon] of some channels, or subtract (`sign` -1), in place; `functions` of
        their times. In one order: encoder and decoder round alike."""
        add_cycle(values, self._weighted[channels], functions, sign)

    def within(self, where: tuple[slice, ...]) -> Base:
        """The base of a part [channel, time, lat, lon] of the tile."""
        cycle = self.cycle.shifted(where[1].start, where[3].start)
        return replace(self, cycle=cycle, maps=self.maps[:, where[0], where[2], where[3]])


def read_base(data: bytes, maps: NDArray[np.float32] | None) -> Base:
    """From a tile's header and the maps of its place. Raises CorruptArchiveError."""
    if maps is None:
        raise CorruptArchiveError("a tile is damaged: it is above a base, and its variable has none")
    cycle = read_cycle(data[:CYCLE_BYTES], fewest=0)
    weights = np.frombuffer(data[CYCLE_BYTES:], dtype="<f4") if len(data) % 4 == CYCLE_BYTES % 4 else np.zeros(0)
    if cycle is None or not weights.size or not np.isfinite(weights).all() or weights.size * cycle.count != len(maps):
        raise CorruptArchiveError(f"a tile is damaged: its weights do not fit the {len(maps)} maps of its base")
    return Base(cycle, tuple(weights.tolist()), maps)

"""The wavelet coding of a tile: cycles, where it has some, and the rest that they leave."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.volumes import decode_volumes, encode_volumes
from nnzip.tile.header import Shape, TileHeader
from nnzip.tile.volumes import TIME, Arrangement, Quantised, coarse_inverse, inverse, quantise_tile
from nnzip.transform.cycles import Cycle, add_cycle, fit_maps, read_cycle
from nnzip.transform.quantise import Values

Streams = tuple[bytes, ...]


@dataclass(frozen=True)
class Cycled:
    """A quantised tile: its maps, if it has a cycle, and the rest."""

    cycle: Cycle | None
    maps: Quantised | None
    rest: Quantised

    @property
    def bytes(self) -> float:
        """Expected size of the streams."""
        return self.rest.bytes + (0.0 if self.maps is None else self.maps.bytes)

    def bytes_in(self, share: float) -> float:
        """Expected bytes that a sample adds to those of a tile, of whose times it has this share: maps cost the same
        for any number of times."""
        return self.rest.bytes + (0.0 if self.maps is None else share * self.maps.bytes)

    @property
    def silent(self) -> bool:
        """Whether all integers are zero."""
        found = [self.rest] if self.maps is None else [self.rest, self.maps]
        return not any(volume.any() for quantised in found for volume in quantised.integers)

    def header(self) -> dict[str, Any]:
        """Fields of the tile's header."""
        arrangement = self.rest.arrangement
        shifts = self.rest.shifts if self.maps is None else (*self.rest.shifts, *self.maps.shifts)
        cycle = b"" if self.cycle is None else self.cycle.pack()
        return {"axes": arrangement.depths, "leading": arrangement.leading, "shifts": shifts, "cycle": cycle}

    def streams(self) -> Streams:
        """One stream for each part; with a cycle the maps' before it."""
        rest = encode_volumes(self.rest.plans, self.rest.arrangement.layout)
        if self.maps is None:
            return tuple(rest)
        maps = encode_volumes(self.maps.plans, self.maps.arrangement.layout)
        return tuple(chain.from_iterable(zip(maps, rest, strict=True)))

    def inverse(self) -> Values:
        """The values that a decoder gets, [channel, time, lat, lon] float32, in quantisation steps."""
        values = self.rest.inverse()
        if self.cycle is not None and self.maps is not None:
            _add(values, self.maps.inverse(), self.cycle, self.rest.arrangement.shape, 1)
        return values


class Transformed:
    """A tile ready for quantisation with any step: `values` [channel, time, lat, lon] float32, and the cycle to take
    off."""

    def __init__(self, values: Values, arrangement: Arrangement, cycle: Cycle | None, device: Device = None) -> None:
        self._arrangement, self._cycle, self._device = arrangement, cycle, device
        self._values = values
        self._maps = self._maps_arrangement = None
        if cycle is None:
            self.coefficients = arrangement.forward(values)
        else:
            maps = fit_maps(values, cycle.functions(values.shape[1], values.shape[3]))
            self._maps_arrangement = _maps_arrangement(arrangement, cycle)
            self._maps = self._maps_arrangement.forward(maps * _scales(cycle, values.shape[1]))
            rest = values.copy()
            _add(rest, maps * _scales(cycle, values.shape[1]), cycle, arrangement.shape, -1)
            self.coefficients = arrangement.forward(rest)

    def quantised(self, step: float) -> Cycled:
        """The tile at a quantisation step. The rest makes up for the errors of the maps."""
        scale, arrangement = np.float32(1 / step), self._arrangement
        if self._cycle is None or self._maps is None or self._maps_arrangement is None:
            return Cycled(None, None, quantise_tile(self.coefficients * scale, arrangement, self._device))
        maps = quantise_tile(self._maps * scale, self._maps_arrangement, self._device)
        rest = self._values * scale
        _add(rest, maps.inverse(), self._cycle, arrangement.shape, -1)
        return Cycled(self._cycle, maps, quantise_tile(arrangement.forward(rest), arrangement, self._device))


def decode(head: TileHeader, streams: Streams, arrangement: Arrangement, device: Device) -> Values:
    """Values [channel, time, lat, lon] float32 in quantisation steps; subbands of missing streams count as zero."""
    cycle = read_cycle(head.cycle)
    if cycle is None:
        return inverse(decode_volumes(streams, arrangement.layout, device), arrangement, _shifts(head, 0))
    maps_arrangement = _maps_arrangement(arrangement, cycle)
    maps = decode_volumes(streams[::2], maps_arrangement.layout, device)
    values = inverse(decode_volumes(streams[1::2], arrangement.layout, device), arrangement, _shifts(head, 0))
    _add(values, inverse(maps, maps_arrangement, _shifts(head, 2)), cycle, arrangement.shape, 1)
    return values


def decode_coarse(
    head: TileHeader, streams: Streams, arrangement: Arrangement, halvings: int, device: Device
) -> Values:
    """Every 2^halvings-th row and column, smoothed, from the streams of the coarse parts alone."""
    cycle = read_cycle(head.cycle)
    if cycle is None:
        return coarse_inverse(streams, arrangement, _shifts(head, 0), halvings, device)
    values = coarse_inverse(streams[1::2], arrangement, _shifts(head, 0), halvings, device).copy()
    maps_arrangement = _maps_arrangement(arrangement, cycle)
    maps = coarse_inverse(streams[::2], maps_arrangement, _shifts(head, 2), halvings, device)
    _add(values, maps, cycle, arrangement.shape, 1, 1 << halvings)
    return values


def _shifts(head: TileHeader, first: int) -> tuple[int, int]:
    """Centroids of the rest, or from the third number on of the maps."""
    return head.shifts[first], head.shifts[first + 1]


def _maps_arrangement(arrangement: Arrangement, cycle: Cycle) -> Arrangement:
    """The maps of a channel are one volume, functions in the place of times."""
    channels, _, rows, columns = arrangement.shape
    depths = (0, 0, arrangement.depths[2], arrangement.depths[3])
    shape = channels, cycle.count, rows, columns
    return Arrangement(shape, depths, TIME, arrangement.periodic, arrangement.edges)


def _scales(cycle: Cycle, times: int) -> NDArray[np.float32]:
    """An error of one unit in a scaled map is one unit of all values together, [function, 1, 1]."""
    energies = np.array([times, *[times / 2] * (cycle.count - 1)])
    scales: NDArray[np.float32] = np.sqrt(energies).astype(np.float32)
    return scales[:, None, None]


def _add(values: Values, maps: Values, cycle: Cycle, shape: Shape, sign: int, stride: int = 1) -> None:
    """`maps` are scaled; `values` hold every stride-th row and column of the tile."""
    functions = np.ascontiguousarray(cycle.functions(shape[1], shape[3])[:, :, ::stride])
    add_cycle(values, maps / _scales(cycle, shape[1]), functions, sign)

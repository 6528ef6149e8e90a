"""Tiles [channel, time, lat, lon] as volumes of three axes, through the wavelet or the integer interpolation.

One of the first two axes *leads* the volumes, the other numbers them. The wavelet transforms all four axes, each to a
depth of its own; a volume's reference is the one before it in the same band of the numbering axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.bands import band_edges, interpolation_bands, wavelet_bands
from nnzip.coder.volumes import Layout, Plan, decode_volumes, expected_bytes, plan_volume
from nnzip.transform import interpolation, wavelet
from nnzip.transform.quantise import Values, centroids, dequantise, quantise

Shape = tuple[int, int, int, int]
Depths = tuple[int, int, int, int]
Closed = tuple[bool, bool, bool, bool]

EDGE_GAIN = 2.0
"""Coefficients at edges are quantised so many times finer: twice brings errors at borders down to a quarter above those
elsewhere, and costs 2 to 5 % of RMSE at a ratio of 300 (measured)."""
_SHORTEST_EDGE = 8  # coefficients of a band: shorter ones are edges for the most part

CHANNEL, TIME = 0, 1
"""Axes that may lead."""


@dataclass(frozen=True)
class Arrangement:
    """How a tile of this shape becomes volumes: `depths` of the wavelet along its four axes, and the leading axis.

    `edges`: 1 where other tiles follow along latitude, 2 along longitude, 3 both: the first and last coefficients of
    each band there are quantised `EDGE_GAIN` times finer, as errors would be largest at the tile's borders.
    """

    shape: Shape
    depths: Depths
    leading: int
    periodic: bool  # along longitude
    edges: int = 0

    @property
    def numbering(self) -> int:
        """The axis that numbers the volumes."""
        return CHANNEL + TIME - self.leading

    @property
    def closed(self) -> Closed:
        """Which axes close on themselves."""
        return False, False, False, self.periodic

    @property
    def layout(self) -> Layout:
        """Subbands and references of the volumes."""
        shape = (self.shape[self.leading], *self.shape[2:])
        depths = (self.depths[self.leading], *self.depths[2:])
        edges = band_edges(self.shape[self.numbering], self.depths[self.numbering])
        starts = {start for start, _ in edges}
        references = [None if place in starts else place - 1 for place in range(self.shape[self.numbering])]
        return Layout(shape, wavelet_bands(shape, depths), tuple(references))

    def volumes(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """[number, leading axis, lat, lon] of [channel, time, lat, lon], a view; its own inverse."""
        return values if self.leading == TIME else values.swapaxes(CHANNEL, TIME)

    def forward(self, values: Values) -> Values:
        """Wavelet coefficients of [channel, time, lat, lon]."""
        coefficients = wavelet.forward(values, self.depths, self.closed)
        self.scale_edges(coefficients, EDGE_GAIN)
        return coefficients

    def scale_edges(self, coefficients: Values, gain: float) -> None:
        """Multiply the coefficients at the edges, in place."""
        for axis in (2, 3):
            if self.edges & (axis - 1):
                lines = np.moveaxis(coefficients, axis, 0)
                for start, stop in band_edges(self.shape[axis], self.depths[axis]):
                    if start < min(stop, len(lines)) and stop - start >= _SHORTEST_EDGE:
                        lines[start] *= np.float32(gain)
                        lines[stop - 1] *= np.float32(gain) if stop - 1 > start else np.float32(1)


@dataclass(frozen=True)
class Quantised:
    """A tile's wavelet coefficients as integers, one plan per volume, and the centroids of their cells."""

    arrangement: Arrangement
    plans: tuple[Plan, ...]
    shifts: tuple[int, int]

    @property
    def bytes(self) -> float:
        """Expected size of the streams."""
        return expected_bytes(self.plans)

    @property
    def integers(self) -> list[NDArray[np.int32]]:
        """The volumes."""
        return [plan.values for plan in self.plans]

    def inverse(self) -> Values:
        """The values that a decoder gets, [channel, time, lat, lon] float32, in quantisation steps."""
        return inverse(np.stack(self.integers), self.arrangement, self.shifts)


def quantise_tile(coefficients: Values, arrangement: Arrangement, device: Device = None) -> Quantised:
    """Quantise wavelet coefficients [channel, time, lat, lon], in units of the step, volume after volume."""
    layout, plans = arrangement.layout, list[Plan]()
    volumes = arrangement.volumes(coefficients)
    for values, reference in zip(volumes, layout.references, strict=True):
        beside = None if reference is None else plans[reference].values
        plans.append(quantise(values, layout.bands, beside, device))
    shifts = centroids(sum((plan.away for plan in plans), np.zeros((2, 2), dtype=np.int64)))
    return Quantised(arrangement, tuple(plans), shifts)


def inverse(integers: NDArray[np.int32], arrangement: Arrangement, shifts: tuple[int, int]) -> Values:
    """From integers [volume, axis, lat, lon], which are overwritten, to values [channel, time, lat, lon] float32 in
    quantisation steps; encoder and decoder both come through here, so that they round alike."""
    values = np.ascontiguousarray(arrangement.volumes(dequantise(integers, shifts)))
    arrangement.scale_edges(values, 1 / EDGE_GAIN)
    return wavelet.inverse(values, arrangement.depths, arrangement.closed)


def coarse_inverse(
    streams: tuple[bytes, ...], arrangement: Arrangement, shifts: tuple[int, int], halvings: int, device: Device
) -> Values:
    """Every 2^halvings-th row and column, smoothed, from the streams of the coarse parts alone."""
    integers = decode_volumes(streams, arrangement.layout, device)
    values = np.ascontiguousarray(arrangement.volumes(dequantise(integers, shifts)))
    arrangement.scale_edges(values, 1 / EDGE_GAIN)
    halved = [min(halvings, depth) for depth in arrangement.depths[2:]]
    rows, columns = (-(-size // (1 << k)) for size, k in zip(arrangement.shape[2:], halved, strict=True))
    depths = (*arrangement.depths[:2], *(d - k for d, k in zip(arrangement.depths[2:], halved, strict=True)))
    coarse = wavelet.inverse(np.ascontiguousarray(values[:, :, :rows, :columns]), depths, arrangement.closed)
    coarse *= np.float32(
        2.0 ** (-sum(halved) / 2)
    )  # a low band's mean is the square root of two times the values' mean
    steps = [1 << (halvings - k) for k in halved]
    return coarse[:, :, :: steps[0], :: steps[1]]


def interpolation_layout(shape: Shape, order: tuple[int, int, int], leading: int) -> Layout:
    """Subbands and references of a tile by integer interpolation."""
    volume = (shape[leading], *shape[2:])
    references = (None, *range(shape[CHANNEL + TIME - leading] - 1))
    return Layout(volume, interpolation_bands(volume, order), references)


def plan_interpolation(
    integers: NDArray[np.int64], order: tuple[int, int, int], leading: int, device: Device = None
) -> tuple[Plan, ...]:
    """Plans of the interpolation's differences for integers [channel, time, lat, lon]."""
    shape = integers.shape
    layout = interpolation_layout((shape[0], shape[1], shape[2], shape[3]), order, leading)
    volumes = integers if leading == TIME else integers.swapaxes(CHANNEL, TIME)
    plans: list[Plan] = []
    for volume in volumes:
        differences = interpolation.forward(volume, order).astype(np.int32)
        plans.append(plan_volume(differences, layout.bands, plans[-1].values if plans else None, device))
    return tuple(plans)


def interpolated(volumes: NDArray[np.int32], order: tuple[int, int, int], leading: int) -> NDArray[np.int64]:
    """Inverse of the transform in `plan_interpolation`: integers [channel, time, lat, lon]."""
    integers = np.stack([interpolation.inverse(volume.astype(np.int64), order) for volume in volumes])
    return integers if leading == TIME else integers.swapaxes(CHANNEL, TIME)

"""The field: a function of time, latitude and longitude, decoded from the weights an archive holds.

    features(p) = linear interpolation of the feature grids at p          multiresolution, from wavelet coefficients
    base(p)     = finest features + cycles(p)
    field(p)    = mean + scale * shrink(base(p) + network(features(p), analytic inputs(p)))    shrink: see `tails`

The feature grids are dense grids in the sense of tiny-cuda-nn's GridEncoding (see `encoding`). They come from one set
of wavelet coefficients: level 0 is the whole reconstruction, level l what the l-th finest band adds. Evaluating a
block gathers vertices axis by axis, not eight per point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder.bands import band_edges
from nnzip.coder.precision import exact_float32
from nnzip.data.axes import SourceGrid
from nnzip.field import cycles, network
from nnzip.field.device import in_blocks
from nnzip.field.encoding import interpolate
from nnzip.transform.stretch import Stretch
from nnzip.transform import wavelet

LEVELS = 3
"""Feature levels the network sees: the finest features and what the two finest bands add."""

_BLOCK_POINTS = 1 << 18  # points that are evaluated at once, for all channels
_BLOCK_VALUES_CUDA = 1 << 23  # on a GPU: values that are evaluated at once; takes up to 2 GB of its memory


@dataclass(frozen=True)
class Scaling:
    """Per channel, float64 [channel]: features are (value - mean) / scale.

    Decoded values stay within minimum and maximum.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """A decoded field on one device.

    features: [channel, level, time, lat, lon]; one level without a network, else `LEVELS`. maps: [channel, b, lat, lon]
    of the basis functions `cycles`. weights: of the network's layers, none without a network. stretches: of the tails,
    in order. Tensors are all float32, or all float64 for a reference that others are judged by. probes: what the
    encoder found (see `probes`), if stored.
    """

    grid: SourceGrid
    scaling: Scaling
    features: Tensor
    cycles: tuple[int, ...]
    maps: Tensor
    weights: tuple[Tensor, ...]
    stretches: tuple[Stretch, ...] = ()
    probes: bytes = b""

    def evaluate(
        self, times: NDArray[np.float64], latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Values [channel, time, lat, lon] in the data's units on the product grid of vertex positions.

        Positions: see SourceAxis.positions. Cost: as `standardised`, and float64 for the result.
        """
        values = self.standardised(times, latitudes, longitudes)
        return np.stack([self.in_units(channel, plane, latitudes) for channel, plane in enumerate(values)])

    def standardised(
        self, times: NDArray[np.float64], latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        """Like `evaluate`, before mean and scale, in the precision of `features`.

        Cost: two lookups per value and axis off the source grid, none on it, and the network's multiplications; memory
        the result and a block of points, on a GPU fewer where its memory is short. Raises ResourceError where that
        does not hold a single row.
        """
        precision = np.float64 if self.features.dtype == torch.float64 else np.float32
        decoded = np.empty((len(self.scaling.mean), times.size, latitudes.size, longitudes.size), dtype=precision)
        if not decoded.size:
            return decoded

        def decode(time: slice, row: slice) -> None:
            base, inputs = self.network_view(times[time], latitudes[row], longitudes)
            if self.weights:
                base = base + network.forward_in_blocks(self.weights, inputs).reshape(base.shape)
            torch.from_numpy(decoded[:, time, row]).copy_(base)

        device = self.features.device
        points = _BLOCK_POINTS if device.type == "cpu" else max(_BLOCK_POINTS, _BLOCK_VALUES_CUDA // len(decoded))
        with exact_float32(device):
            in_blocks(times.size, latitudes.size, points // longitudes.size, decode)
        return decoded

    def in_units(
        self, channel: int, standardised: NDArray[np.floating], latitudes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Standardised values [time, lat, lon] of a channel in the data's units, float64.

        `latitudes`: vertex positions of the rows. The stored range holds even for NaN.
        """
        values = standardised.astype(np.float64)
        for stretch in reversed(self.stretches):
            stretch.undo(values, channel, latitudes, self.grid.shape[1] - 1)
        values *= self.scaling.scale[channel]
        values += self.scaling.mean[channel]
        np.fmax(values, self.scaling.minimum[channel], out=values)
        return np.asarray(np.fmin(values, self.scaling.maximum[channel], out=values))

    def network_view(
        self, times: NDArray[np.float64], latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
    ) -> tuple[Tensor, Tensor]:
        """What the network adds to, [channel, time, lat, lon], and what it sees, [input, point]; float32.

        Inputs: base, features of the levels above 0, analytic inputs; none where the field has a single level.
        """
        features = interpolate(self.features, times, latitudes, longitudes, self.grid.periodic)
        maps = interpolate(self.maps, None, latitudes, longitudes, self.grid.periodic)
        return network_view(self.grid, self.cycles, features, maps, (times, latitudes, longitudes))


def network_view(
    grid: SourceGrid,
    chosen_cycles: Sequence[int],
    features: Tensor,
    maps: Tensor,
    positions: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
) -> tuple[Tensor, Tensor]:
    """`Field.network_view` from features [channel, level, time, lat, lon] and maps [channel, b, lat, lon] there."""
    functions = _functions(grid, chosen_cycles, positions[0], positions[2]).to(features)
    base = features[:, 0] + cycles.evaluate(maps, functions)
    points = base[0].numel()
    if features.shape[1] == 1:
        return base, base.new_zeros(0, points)
    analytic = _analytic_inputs(grid, functions[_solar_hour(chosen_cycles)], positions[1])
    return base, torch.cat([part.reshape(-1, points) for part in (base, features[:, 1:], analytic)])


def network_inputs(channels: int, chosen_cycles: Sequence[int], grid: SourceGrid) -> int:
    """How many inputs `Field.network_view` gives the network of such a field."""
    analytic = 1 + int(grid.latitude.geographic) + len(_solar_hour(chosen_cycles))
    return channels * LEVELS + analytic


def feature_levels(
    coefficients: Tensor, depths: Sequence[int], periodic: Sequence[bool], row_weights: Tensor, levels: int
) -> Iterator[Tensor]:
    """Feature grids [time, lat, lon] of one channel's coefficients [time, lat, lon], which it overwrites, by level."""
    fine = wavelet.inverse(coefficients, depths, periodic)
    yield fine / row_weights[:, None]
    for level in range(1, levels):
        for axis, depth in enumerate(depths):
            if depth:
                start = band_edges(coefficients.shape[axis], depth)[-min(level, depth)][0]
                coefficients.narrow(axis, start, coefficients.shape[axis] - start).zero_()
        coarse = wavelet.inverse(coefficients, depths, periodic)
        yield (fine - coarse) / row_weights[:, None]
        fine = coarse


def _solar_hour(chosen_cycles: Sequence[int]) -> list[int]:
    """Where the basis functions hold cosine and sine of the solar day."""
    return [place for place, index in enumerate(chosen_cycles) if index in cycles.DAY]


def _analytic_inputs(grid: SourceGrid, solar_hour: Tensor, latitudes: NDArray[np.float64]) -> Tensor:
    """Inputs that cost no bits [input, time, lat, lon]: one, sine of latitude, `solar_hour` [function, time, lon]."""
    shape = (solar_hour.shape[1], latitudes.size, solar_hour.shape[2])
    rows = [solar_hour.new_ones(shape)]
    if grid.latitude.geographic:
        sine = np.sin(np.deg2rad(grid.coordinates(1, latitudes))).astype(np.float32)
        rows.append(torch.from_numpy(sine).to(solar_hour)[None, :, None].expand(shape))
    rows += [function[:, None, :].expand(shape) for function in solar_hour]
    return torch.stack(rows)


def _functions(
    grid: SourceGrid, chosen_cycles: Sequence[int], times: NDArray[np.float64], longitudes: NDArray[np.float64]
) -> Tensor:
    return cycles.basis(chosen_cycles, grid.coordinates(0, times), grid.coordinates(2, longitudes))

"""The field: a function of time, latitude and longitude, decoded from the weights an archive holds.

    features(p) = linear interpolation of the feature grids at p          multiresolution, from wavelet coefficients
    base(p)     = finest features + cycles(p)
    field(p)    = mean + scale * shrink(base(p) + network(features(p), analytic inputs(p)))    shrink: see `tails`

The feature grids are dense grids in the sense of tiny-cuda-nn's GridEncoding (see `encoding`). They come from one set
of wavelet coefficients: level 0 is the whole reconstruction, level l what the l-th finest band adds. Evaluating a
block gathers vertices axis by axis, not eight per point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.field import cycles, network
from nnzip.field.axes import SourceGrid
from nnzip.field.encoding import interpolate
from nnzip.field.tails import Stretch
from nnzip.transform import wavelet

LEVELS = 3
"""Feature levels the network sees: the finest features and what the two finest bands add."""

_BLOCK_POINTS = 1 << 18  # points that are evaluated at once, for all channels


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
    of the basis functions `cycles`. weights: of the network's layers, none without a network. stretches: of
    the tails, in order.
    """

    grid: SourceGrid
    scaling: Scaling
    features: Tensor
    cycles: tuple[int, ...]
    maps: Tensor
    weights: tuple[Tensor, ...]
    stretches: tuple[Stretch, ...] = ()

    def evaluate(
        self, times: NDArray[np.float64], latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Values [channel, time, lat, lon] in the data's units on the product grid of vertex positions.

        Positions: see SourceAxis.positions. Cost: two lookups per value and axis off the source grid, none on it, and
        the network's multiplications; memory the result and `_BLOCK_POINTS` points.
        """
        decoded = np.empty((len(self.scaling.mean), times.size, latitudes.size, longitudes.size))
        if not decoded.size:
            return decoded
        together = max(_BLOCK_POINTS // (latitudes.size * longitudes.size), 1)
        for start in range(0, times.size, together):
            part = slice(start, start + together)
            base, inputs = self.network_view(times[part], latitudes, longitudes)
            if self.weights:
                base = base + network.forward_in_blocks(self.weights, inputs).reshape(base.shape)
            decoded[:, part] = base.cpu().numpy()
        return self._in_units(decoded, latitudes)

    def network_view(
        self, times: NDArray[np.float64], latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
    ) -> tuple[Tensor, Tensor]:
        """What the network adds to, [channel, time, lat, lon], and what it sees, [input, point]; float32.

        Inputs: base, features of the levels above 0, analytic inputs; none where the field has a single level.
        """
        features = interpolate(self.features, times, latitudes, longitudes, self.grid.periodic)
        maps = interpolate(self.maps, None, latitudes, longitudes, self.grid.periodic)
        base = features[:, 0] + cycles.evaluate(maps, self._functions(times, longitudes))
        points = base[0].numel()
        if features.shape[1] == 1:
            return base, base.new_zeros(0, points)
        parts = (base, features[:, 1:], self._analytic_inputs(times, latitudes, longitudes))
        return base, torch.cat([part.reshape(-1, points) for part in parts])

    def _analytic_inputs(
        self, times: NDArray[np.float64], latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
    ) -> Tensor:
        """Inputs that cost no bits [input, time, lat, lon]: one, sine of latitude, local solar hour."""
        shape = (times.size, latitudes.size, longitudes.size)
        rows = [torch.ones(shape)]
        if self.grid.latitude.geographic:
            sine = np.sin(np.deg2rad(self.grid.coordinates(1, latitudes))).astype(np.float32)
            rows.append(torch.from_numpy(sine)[None, :, None].expand(shape))
        functions = self._functions(times, longitudes).cpu()
        rows += [function[:, None, :].expand(shape) for function in functions[_solar_hour(self.cycles)]]
        return torch.stack(rows).to(self.features.device)

    def _functions(self, times: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Tensor:
        seconds, degrees = self.grid.coordinates(0, times), self.grid.coordinates(2, longitudes)
        return cycles.basis(self.cycles, seconds, degrees).to(self.features.device)

    def _in_units(self, decoded: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """In place from stretched values to the data's units; the stored range holds even for NaN."""
        for channel, values in enumerate(decoded):
            for stretch in reversed(self.stretches):
                stretch.undo(values, channel, rows, self.grid.shape[1] - 1)
            values *= self.scaling.scale[channel]
            values += self.scaling.mean[channel]
            np.fmax(values, self.scaling.minimum[channel], out=values)
            np.fmin(values, self.scaling.maximum[channel], out=values)
        return decoded


def network_inputs(channels: int, chosen_cycles: Sequence[int], grid: SourceGrid) -> int:
    """How many inputs `Field.network_view` gives the network of such a field."""
    analytic = 1 + int(grid.latitude.geographic) + len(_solar_hour(chosen_cycles))
    return channels * LEVELS + analytic


def feature_levels(
    coefficients: Tensor, depths: Sequence[int], periodic: Sequence[bool], row_weights: Tensor, levels: int
) -> Tensor:
    """Feature grids [level, time, lat, lon] of one channel's coefficients [time, lat, lon]."""
    grids = [wavelet.inverse(coefficients, depths, periodic)]
    for level in range(1, levels):
        smooth = coefficients.clone()
        for axis, depth in enumerate(depths):
            if depth:
                start = wavelet.band_edges(coefficients.shape[axis], depth)[-min(level, depth)][0]
                smooth.narrow(axis, start, smooth.shape[axis] - start).zero_()
        grids.append(wavelet.inverse(smooth, depths, periodic))
    stacked = torch.stack([grids[0], *(fine - coarse for fine, coarse in pairwise(grids))])
    return stacked / row_weights[:, None]


def _solar_hour(chosen_cycles: Sequence[int]) -> list[int]:
    """Where the basis functions hold cosine and sine of the solar day."""
    return [place for place, index in enumerate(chosen_cycles) if index in cycles.DAY]

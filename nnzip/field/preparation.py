"""What is done to a segment before it is quantised: standardise, fill, fit the cycles and transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder.bands import Bands, wavelet_bands
from nnzip.data.axes import SourceGrid
from nnzip.errors import InputError
from nnzip.field import cycles
from nnzip.field.device import CPU
from nnzip.field.fill import fill_missing
from nnzip.field.model import Scaling
from nnzip.field.payload import map_scales
from nnzip.transform.rates import RateModel
from nnzip.transform.stretch import Stretch, TailOptions, choose_stretch, slopes_of
from nnzip.transform import wavelet

LARGEST_SCALE = 8.0
"""A channel is scaled by the standard deviation of its whole variable, but by at most this multiple of its own."""

_FLOAT32_MAX, _FLOAT32_TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
_FLOAT32_PRECISION = float(np.finfo(np.float32).epsneg)


@dataclass(frozen=True)
class Prepared:
    """A standardised segment; float32 [channel, time, lat, lon], missing points filled, stretched by `stretches` in
    their order; in the processor's memory, transformed and quantised channel by channel on `device`.
    """

    grid: SourceGrid
    runs: tuple[int, ...]
    scaling: Scaling
    values: Tensor
    stretches: tuple[Stretch, ...] = ()
    device: torch.device = CPU

    def limits(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest of `values` that the stored range allows, float32 [channel]."""
        scaling, rows = self.scaling, np.arange(self.grid.shape[1], dtype=np.float64)
        found = []
        for limit, widest in ((scaling.minimum, np.min), (scaling.maximum, np.max)):
            filled = np.broadcast_to(
                ((limit - scaling.mean) / scaling.scale)[:, None, None, None], (limit.size, 1, rows.size, 1)
            ).copy()
            for stretch in self.stretches:
                for channel, values in enumerate(filled):
                    stretch.apply(values, channel, rows, rows.size - 1)
            found.append(torch.from_numpy(widest(filled, axis=(1, 2, 3)).astype(np.float32)))
        return found[0], found[1]

    def slopes(self, values: Tensor, rows: NDArray[np.float64]) -> Tensor:
        """How steeply `values` [channel, time, lat, lon] at these rows [lat] were stretched: 1 outside the tails."""
        slopes = torch.ones_like(values)
        if self.stretches:
            for channel, part in enumerate(values.numpy().astype(np.float64)):
                steps = slopes_of(self.stretches, part, channel, rows, self.grid.shape[1] - 1)
                slopes[channel] = torch.from_numpy(steps)
        return slopes


@dataclass(frozen=True)
class Transformed:
    """A segment ready for quantisation: wavelet coefficients, float32.

    maps: [channel, b, lat, lon] of the cycles, scaled by `map_scales`. coefficients: [channel, time, lat, lon].
    """

    source: Prepared
    depths: tuple[int, int, int]
    cycles: tuple[int, ...]
    maps: Tensor
    coefficients: Tensor
    rates: RateModel

    @property
    def bands(self) -> Bands:
        """Subbands of a channel's coefficients."""
        return wavelet_bands(tuple(self.coefficients.shape[1:]), self.depths)

    @property
    def map_bands(self) -> Bands:
        """Subbands of a channel's maps."""
        return wavelet_bands(tuple(self.maps.shape[1:]), (0, *self.depths[1:]))


def prepare(
    values: NDArray[np.floating],
    grid: SourceGrid,
    runs: Sequence[int],
    tails: Sequence[TailOptions] = (),
    scales: NDArray[np.float64] | None = None,
    device: torch.device = CPU,
) -> Prepared:
    """Standardise `values` [channel, time, lat, lon] (not finite: missing), stretch their tails and fill the missing
    points.

    `runs`: channels per variable; `scales` [channel]: instead of the data's own.
    Raises InputError for values beyond float32's range.
    """
    scaling = _scaling(values, runs, scales)
    missing = torch.from_numpy(~np.isfinite(values))
    standardised = torch.empty(values.shape, dtype=torch.float32)
    for channel, target in enumerate(standardised):
        target.copy_(torch.from_numpy((values[channel] - scaling.mean[channel]) / scaling.scale[channel]))
    standardised.masked_fill_(missing, 0.0)
    stretches = tuple(_stretched(standardised.numpy(), ~missing.numpy(), options) for options in tails)
    return Prepared(grid, tuple(runs), scaling, fill_missing(standardised, missing), stretches, device)


def transform(source: Prepared, *, with_cycles: bool, time_depth: int | None = None) -> Transformed:
    """Cycles and wavelet coefficients of the row-weighted values; `time_depth` None: as deep as the times allow."""
    grid = source.grid
    times, rows, columns = grid.shape
    depth = wavelet.max_depth(times) if time_depth is None else time_depth
    depths = (depth, wavelet.max_depth(rows), wavelet.max_depth(columns))
    weighted = source.values * torch.from_numpy(grid.row_weights().astype(np.float32))[:, None]
    chosen = cycles.choose_cycles(grid) if with_cycles else ()
    maps = weighted.new_zeros(len(weighted), 0, rows, columns)
    if chosen:
        functions = cycles.basis(chosen, grid.time.values, grid.longitude.values)
        maps = cycles.fit_maps(weighted, functions)
        weighted = weighted - cycles.evaluate(maps, functions)
        scales = torch.from_numpy(map_scales(chosen, times))[:, None, None]
        maps = wavelet.forward(maps * scales, (0, *depths[1:]), grid.periodic)
    coefficients = torch.empty_like(weighted)
    for channel, target in zip(weighted, coefficients, strict=True):
        target.copy_(wavelet.forward(channel.to(source.device), depths, grid.periodic))
    return Transformed(source, depths, chosen, maps, coefficients, RateModel(coefficients.numpy()))


def smallest_scale(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """What float32 resolves of values from `low` to `high`: finer scales mean nothing."""
    return np.maximum(-low, high) * _FLOAT32_PRECISION


def _scaling(values: NDArray[np.floating], runs: Sequence[int], scales: NDArray[np.float64] | None) -> Scaling:
    """Rounded to float32 as the archive stores it, the range outwards.

    The channels of a variable share their scale, so that one step gives them the same error in the variable's units,
    but a channel that varies less than 1 / `LARGEST_SCALE` of it keeps a finer one.
    """
    mean, variance, low, high = np.array([_statistics(channel) for channel in values]).T
    parts = np.split(variance, np.cumsum(runs)[:-1])
    shared = np.concatenate([np.full(run, part.mean()) for run, part in zip(runs, parts, strict=True)])
    scale = np.minimum(np.sqrt(shared), LARGEST_SCALE * np.sqrt(variance))
    scale = np.maximum(scale if scales is None else scales, smallest_scale(low, high))
    scale = np.where(scale < _FLOAT32_TINY, 1.0, scale)
    stored = np.stack([mean, scale, low, high]).astype(np.float32)
    stored[2] = np.where(stored[2] > low, np.nextafter(stored[2], np.float32(-np.inf)), stored[2])
    stored[3] = np.where(stored[3] < high, np.nextafter(stored[3], np.float32(np.inf)), stored[3])
    return Scaling(*stored.astype(np.float64))


def _stretched(values: NDArray[np.float32], known: NDArray[np.bool_], options: TailOptions) -> Stretch:
    """The stretch that `options` ask for, applied to standardised `values` in place."""
    stretch = choose_stretch(values, known, options)
    rows = np.arange(values.shape[2], dtype=np.float64)
    for channel, here in enumerate(values):
        stretch.apply(here, channel, rows, rows.size - 1)
    return stretch


def _statistics(channel: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Mean, variance, minimum and maximum of what is finite; zeros where nothing is."""
    known = channel[np.isfinite(channel)].astype(np.float64)
    if not known.size:
        return 0.0, 0.0, 0.0, 0.0
    low, high = float(known.min()), float(known.max())
    if max(-low, high) > _FLOAT32_MAX:
        raise InputError(f"the data hold values from {low:g} to {high:g}, beyond float32's range: rescale the variable")
    return float(known.mean()), float(known.var()), low, high

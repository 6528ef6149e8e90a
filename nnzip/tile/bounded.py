"""One segment under an error bound: a small field, the detail it misses, and corrections that make the bound hold.

1. fit a field of about FIELD_SHARE of the expected size;
2. per variable and tile of time, code what the field misses with the step that makes detail plus corrections smallest;
3. correct every point outside the interval that the bound and the promises allow, narrowed by the guard.

The guard covers differences between the floating point arithmetic of encoder and decoder (other machine, device or
library).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.data.axes import SourceGrid
from nnzip.data.grouping import Group
from nnzip.field.fill import fill_missing
from nnzip.field.fit import FitOptions, Report, fit_field
from nnzip.field.model import Field
from nnzip.field.payload import read_field
from nnzip.field.probes import record_probes
from nnzip.field.search import RateModel
from nnzip.plan.budget import tiles
from nnzip.tile.corrector import Bounds, Corrected, Corrector
from nnzip.tile.payload import encode_interpolation, encode_wavelet
from nnzip.transform import wavelet

FIELD_SHARE = 0.015
"""What the field may take of the expected size; it also is the layer that previews are made from."""

_SAMPLE_VALUES, _SAMPLE_TIMES = 1 << 20, 8
"""Values of a channel, and times, from which on a part of a tile stands for all of it where coding it is tried."""
_MANY_CHANNELS = 4  # of these the first two stand for all: the second is coded as the others are

_MULTIPLES = (1.6, 2.0, 2.5, 3.2)
"""Quantisation steps of the wavelet that are tried, in bounds."""
_FINER = (1.2, 0.85, 0.6, 0.4)
"""Tried too where promises ask for less than the bound at many points."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Layers:
    """Coded layers of a segment (`field` empty: none); details and corrections by tile, then variable.

    `promised`: bytes of the corrections that promises beyond the bound take, per variable.
    """

    field: bytes
    details: list[bytes]
    corrections: list[bytes]
    promised: list[int]


def compress_bounded(
    values: NDArray[np.floating],
    grid: SourceGrid,
    group: Group,
    bounds: Sequence[Bounds],
    first: int,
    options: FitOptions,
    report: Report,
    *,
    with_field: bool = True,
) -> Layers:
    """Layers of `values` [channel, time, lat, lon] (NaN: missing) that hold `bounds` (one per variable) at every
    point; `first` is the time step of the record that they begin at.

    Cost on one core: about 3 s per million values; memory about 4 times the values as float32 and 12 times a channel.
    """
    payload, field = b"", None
    if with_field:
        runs = [layout.channels for layout in group.variables]
        budget = FIELD_SHARE * _expected_bytes(values, np.repeat([b.bound for b in bounds], runs), grid)
        payload = fit_field(values, grid, runs, budget, options, _scaled(report, 0.4))
        field = read_field(payload, grid, group.channels, options.device)
        payload += record_probes(field, np.repeat([b.guard for b in bounds], runs), len(payload))
    details, corrections, promised = [], [], [0] * len(bounds)
    coders = [_VariableCoder(grid, promise, options.device) for promise in bounds]
    rows, columns = (np.arange(n, dtype=np.float64) for n in grid.shape[1:])
    ranges = tiles(values.shape[1], grid.shape[1] * grid.shape[2])
    for number, (start, stop) in enumerate(ranges):
        base = None if field is None else field.standardised(np.arange(start, stop, dtype=np.float64), rows, columns)
        for variable, ((_, part), coder) in enumerate(zip(group.parts(), coders, strict=True)):
            under = None if field is None or base is None else _Base(field, base[part], part.start)
            coded = coder.encode(_Tile(values[part, start:stop], first + start, under))
            details.append(coded.detail)
            corrections.append(coded.corrections.data)
            promised[variable] += coded.corrections.promised
        report("coding", 0.4 + 0.6 * (number + 1) / len(ranges), None, None)
    return Layers(payload, details, corrections, promised)


@dataclass(frozen=True)
class _Base:
    """The field under a variable's tile: standardised values [channel, time, lat, lon]."""

    field: Field
    standardised: NDArray[np.float32]
    first_channel: int

    def channel(self, number: int) -> Values:
        """Values [time, lat, lon] of one of the variable's channels in the data's units."""
        values = self.standardised[number]
        return self.field.in_units(self.first_channel + number, values, np.arange(values.shape[1], dtype=np.float64))


@dataclass(frozen=True)
class _Tile:
    """A variable's values [channel, time, lat, lon] from time step `start` of the record on, and the field, if there
    is one."""

    original: NDArray[np.floating]
    start: int
    base: _Base | None

    def part(self, channels: int, times: int) -> _Tile:
        """Its first channels and times."""
        base = self.base
        under = None if base is None else replace(base, standardised=base.standardised[:channels, :times])
        return _Tile(self.original[:channels, :times], self.start, under)

    def foundation(self) -> tuple[Callable[[int], Values | float], NDArray[np.float32] | None]:
        """What lies under a channel, in the data's units: the field, or else its mean; and the means."""
        if self.base is not None:
            return self.base.channel, None
        means = _finite_means(self.original)
        return lambda channel: float(means[channel]), means

    def residual(self, device: torch.device) -> Tensor:
        """What the field misses, float32 on `device`, missing points filled."""
        residual, (under, _) = torch.empty(self.original.shape, dtype=torch.float32), self.foundation()
        for channel, target in enumerate(residual):
            target.copy_(torch.from_numpy(self.original[channel] - under(channel)))
        missing = torch.from_numpy(np.isnan(self.original)).to(device)
        return fill_missing(residual.to(device).nan_to_num_(nan=0.0), missing)


@dataclass(frozen=True)
class _Coded:
    detail: bytes
    corrections: Corrected

    @property
    def bytes(self) -> int:
        return len(self.detail) + len(self.corrections.data)


class _VariableCoder:
    """Codes the tiles of one variable; a part of the first tile decides the coding, the depth in time and the step for
    all."""

    def __init__(self, grid: SourceGrid, bounds: Bounds, device: torch.device) -> None:
        self._grid, self._bounds, self._device = grid, bounds, device
        self._multiple: float | None = None  # step of the wavelet in bounds
        self._interpolates = False
        self._time_depth = 0

    def encode(self, tile: _Tile) -> _Coded:
        """Detail and corrections of a tile."""
        if self._multiple is None:
            self._time_depth = self._best_time_depth(tile.part(1, tile.original.shape[1]))
            part = tile.part(*_sample(tile.original.shape))
            self._multiple, wavelets = self._best_multiple(part)
            interpolated = self._interpolation(part)
            self._interpolates = interpolated is not None and interpolated.bytes < wavelets.bytes
            if part.original.shape == tile.original.shape:
                return interpolated if interpolated is not None and self._interpolates else wavelets
        found = self._interpolation(tile) if self._interpolates else None
        return found if found is not None else self._wavelets(tile)(self._multiple)

    def _interpolation(self, tile: _Tile) -> _Coded | None:
        """None where no step keeps the bound (values too large for their integers)."""
        limits, bounds = _limits(tile.original), self._bounds
        corrector = Corrector(tile.original, tile.start, None, limits, bounds, self._device)
        largest = np.abs(limits).max() + bounds.bound
        step = 2 * (bounds.bound - bounds.guard - np.spacing(largest.astype(bounds.dtype)) / 2)
        try:
            detail = encode_interpolation(_filled(tile.original), float(step), limits, self._device, corrector.visit)
        except OverflowError:
            return None
        return _Coded(detail, corrector.corrected())

    def _wavelets(self, tile: _Tile) -> Callable[[float], _Coded]:
        """Codes the tile with a multiple of the bound as step."""
        residual, limits, (under, means) = tile.residual(self._device), _limits(tile.original), tile.foundation()
        _, times, rows, columns = residual.shape
        depths = (min(self._time_depth, wavelet.max_depth(times)), wavelet.max_depth(rows), wavelet.max_depth(columns))

        def coded(multiple: float) -> _Coded:
            corrector = Corrector(tile.original, tile.start, under, limits, self._bounds, self._device)
            step, periodic = multiple * self._bounds.bound, self._grid.periodic
            detail = encode_wavelet(residual, step, depths, periodic, limits, means, corrector.visit)
            return _Coded(detail, corrector.corrected())

        return coded

    def _best_multiple(self, tile: _Tile) -> tuple[float, _Coded]:
        """The step that makes detail plus corrections smallest: from the first multiple on, while it gets better."""
        coded = self._wavelets(tile)
        best = min(((multiple, coded(multiple)) for multiple in _MULTIPLES[1:3]), key=lambda trial: trial[1].bytes)
        others: tuple[float, ...] = _MULTIPLES[3:]
        if best[0] == _MULTIPLES[1]:
            others = _MULTIPLES[:1] + (_FINER if self._bounds.promises else ())
        for multiple in others:
            trial = coded(multiple)
            if trial.bytes >= best[1].bytes:
                break
            best = multiple, trial
        return best

    def _best_time_depth(self, tile: _Tile) -> int:
        residual = tile.residual(self._device)
        spatial = (wavelet.max_depth(residual.shape[2]), wavelet.max_depth(residual.shape[3]))
        deepest = wavelet.max_depth(residual.shape[1])
        sizes = {}
        for depth in sorted({0, deepest // 2, deepest}):
            coefficients = wavelet.forward(residual, (depth, *spatial), self._grid.periodic)
            sizes[depth] = RateModel(coefficients.cpu().numpy()).bytes(_MULTIPLES[1] * self._bounds.bound)
        return min(sizes, key=lambda depth: sizes[depth])


def _sample(shape: Sequence[int]) -> tuple[int, int]:
    """How many channels and times of a tile are enough to choose its coding."""
    channels, times, rows, columns = shape
    enough = max(-(-_SAMPLE_VALUES // (rows * columns)), _SAMPLE_TIMES)
    return 2 if channels >= _MANY_CHANNELS else channels, enough if 2 * enough <= times else times


def _finite_means(original: NDArray[np.floating]) -> NDArray[np.float32]:
    """Mean of the finite values per channel [channel], zero where there are none."""
    known = [channel[np.isfinite(channel)] for channel in original]
    return np.array([k.mean(dtype=np.float64) if k.size else 0.0 for k in known], dtype=np.float32)


def _filled(original: NDArray[np.floating]) -> NDArray[np.floating]:
    """Missing points replaced by averages of what surrounds them."""
    missing = np.isnan(original)
    if not missing.any():
        return original
    tensor = torch.from_numpy(np.where(missing, 0, original).astype(np.float32))
    return np.where(missing, fill_missing(tensor, torch.from_numpy(missing)).numpy(), original)


def _expected_bytes(original: NDArray[np.floating], bounds: Values, grid: SourceGrid) -> float:
    """Rough size of the detail without a field."""
    total = 0.0
    for values, mean, bound in zip(original, _finite_means(original), bounds, strict=True):
        scaled = torch.from_numpy(np.nan_to_num((values - mean) / bound, nan=0.0).astype(np.float32))
        depths = tuple(wavelet.max_depth(n) for n in scaled.shape)
        total += RateModel(wavelet.forward(scaled, depths, grid.periodic).numpy()).bytes(_MULTIPLES[1])
    return total


def _limits(original: NDArray[np.floating]) -> NDArray[np.float32]:
    """Smallest and largest value per channel [2, channel], rounded outwards to float32."""
    finite = np.isfinite(original)
    low = np.min(original, axis=(1, 2, 3), where=finite, initial=np.inf)
    high = np.max(original, axis=(1, 2, 3), where=finite, initial=-np.inf)
    some = low <= high
    exact = np.stack([np.where(some, low, 0.0), np.where(some, high, 0.0)])
    rounded = exact.astype(np.float32)
    rounded[0] = np.where(rounded[0] > exact[0], np.nextafter(rounded[0], np.float32(-np.inf)), rounded[0])
    rounded[1] = np.where(rounded[1] < exact[1], np.nextafter(rounded[1], np.float32(np.inf)), rounded[1])
    return np.asarray(rounded)


def _scaled(report: Report, share: float) -> Report:
    return lambda stage, fraction, loss, rmse: report(stage, share * fraction, loss, rmse)

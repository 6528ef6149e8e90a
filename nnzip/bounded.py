"""One segment under an error bound: a small field, the detail it misses, and corrections that make the bound hold.

1. fit a field of about FIELD_SHARE of the expected size;
2. per variable and tile of time, code what the field misses with the step that makes detail plus corrections smallest;
3. correct every point whose error exceeds its allowance: bound - guard - rounding of the output type.

The guard covers differences between the floating point arithmetic of encoder and decoder (other machine, device or
library).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.budget import tiles
from nnzip.data.grouping import Group
from nnzip.detail.corrections import CorrectionsEncoder
from nnzip.detail.payload import encode_interpolation, encode_wavelet
from nnzip.detail.tile import compose
from nnzip.field.axes import SourceGrid
from nnzip.field.fill import fill_missing
from nnzip.field.fit import FitOptions, Report, fit_field
from nnzip.field.model import Field
from nnzip.field.payload import read_field
from nnzip.field.probes import record_probes
from nnzip.field.search import RateModel
from nnzip.transform import wavelet

FIELD_SHARE = 0.015
"""What the field may take of the expected size; it also is the layer that previews are made from."""

_BLOCK_VALUES = 1 << 20  # looked at in one go, in float64

_MULTIPLES = (1.6, 2.0, 2.5, 3.2)
"""Quantisation steps of the wavelet that are tried, in bounds."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What a variable promises: `bound` in its units, and the `guard` that every decoder's arithmetic stays
    within."""

    bound: float
    guard: float
    dtype: str

    def allowance(self, values: Values) -> Values:
        """Largest error that corrections may leave at every value: bound - guard - half a unit in the last place."""
        spacing = np.spacing((np.abs(values) + self.bound).astype(self.dtype)).astype(np.float64)
        return np.asarray(self.bound - self.guard - spacing / 2)


@dataclass(frozen=True)
class Layers:
    """Coded layers of a segment (`field` empty: none); details and corrections by tile, then variable."""

    field: bytes
    details: list[bytes]
    corrections: list[bytes]


def compress_bounded(
    values: NDArray[np.floating],
    grid: SourceGrid,
    group: Group,
    bounds: Sequence[Bounds],
    options: FitOptions,
    report: Report,
    *,
    with_field: bool = True,
) -> Layers:
    """Layers of `values` [channel, time, lat, lon] (NaN: missing) that hold `bounds` (one per variable) at every
    point.

    Cost on one core: about 3 s per million values; memory about 4 times the values as float32 and 12 times a channel.
    """
    payload, field = b"", None
    if with_field:
        runs = [layout.channels for layout in group.variables]
        budget = FIELD_SHARE * _expected_bytes(values, np.repeat([b.bound for b in bounds], runs), grid)
        payload = fit_field(values, grid, runs, budget, options, _scaled(report, 0.4))
        field = read_field(payload, grid, group.channels, options.device)
        payload += record_probes(field, np.repeat([b.guard for b in bounds], runs), len(payload))
    details, corrections = [], []
    coders = [_VariableCoder(grid, promise) for promise in bounds]
    rows, columns = (np.arange(n, dtype=np.float64) for n in grid.shape[1:])
    ranges = tiles(values.shape[1], grid.shape[1] * grid.shape[2])
    for number, (start, stop) in enumerate(ranges):
        base = None if field is None else field.standardised(np.arange(start, stop, dtype=np.float64), rows, columns)
        for (_, part), coder in zip(group.parts(), coders, strict=True):
            under = None if field is None or base is None else _Base(field, base[part], part.start)
            coded = coder.encode(values[part, start:stop], under)
            details.append(coded.detail)
            corrections.append(coded.corrections)
        report("coding", 0.4 + 0.6 * (number + 1) / len(ranges), None, None)
    return Layers(payload, details, corrections)


@dataclass(frozen=True)
class _Base:
    """The field under a variable's tile: standardised values [channel, time, lat, lon]."""

    field: Field
    standardised: NDArray[np.float32]
    first_channel: int

    def channel(self, number: int) -> Values:
        """Values [time, lat, lon] of one of the variable's channels in the data's units."""
        return self.field.in_units(self.first_channel + number, self.standardised[number])


@dataclass(frozen=True)
class _Coded:
    detail: bytes
    corrections: bytes

    @property
    def bytes(self) -> int:
        return len(self.detail) + len(self.corrections)


class _VariableCoder:
    """Codes the tiles of one variable; the first tile decides the coding, the depth in time and the step for
    all."""

    def __init__(self, grid: SourceGrid, promise: Bounds) -> None:
        self._grid, self._promise = grid, promise
        self._multiple: float | None = None  # step of the wavelet in bounds
        self._interpolates: bool | None = None
        self._time_depth: int | None = None

    def encode(self, original: NDArray[np.floating], base: _Base | None) -> _Coded:
        """Detail and corrections of a tile [channel, time, lat, lon]."""
        if self._interpolates:
            return self._interpolation(original) or self._best_wavelet(original, base)
        wavelets = self._best_wavelet(original, base)
        if self._interpolates is None:
            interpolated = self._interpolation(original)
            self._interpolates = interpolated is not None and interpolated.bytes < wavelets.bytes
            if interpolated is not None and self._interpolates:
                return interpolated
        return wavelets

    def _interpolation(self, original: NDArray[np.floating]) -> _Coded | None:
        """None where no step keeps the bound (values too large for their integers)."""
        corrections, limits = self._corrections(original, lambda _: 0.0), _limits(original)
        step = 2 * float(self._promise.allowance(np.abs(limits).max().astype(np.float64)))
        try:
            detail = encode_interpolation(_filled(original), step, limits, corrections.visit)
        except OverflowError:
            return None
        return _Coded(detail, corrections.encode())

    def _best_wavelet(self, original: NDArray[np.floating], base: _Base | None) -> _Coded:
        """The step that makes detail plus corrections smallest: from the first multiple on, while it gets
        better."""
        means = None if base is not None else _finite_means(original)

        def under(channel: int) -> Values | float:
            return base.channel(channel) if base is not None else float(0 if means is None else means[channel])

        residual = torch.empty(original.shape, dtype=torch.float32)
        for channel, target in enumerate(residual):
            target.copy_(torch.from_numpy(original[channel] - under(channel)))
        residual = fill_missing(residual.nan_to_num_(nan=0.0), torch.from_numpy(np.isnan(original)))
        depths = self._depths(residual)

        def coded(multiple: float) -> _Coded:
            corrections = self._corrections(original, under)
            step = multiple * self._promise.bound
            periodic = self._grid.periodic
            detail = encode_wavelet(residual, step, depths, periodic, _limits(original), means, corrections.visit)
            return _Coded(detail, corrections.encode())

        if self._multiple is not None:
            return coded(self._multiple)
        first, second = coded(_MULTIPLES[1]), coded(_MULTIPLES[2])
        best, self._multiple, others = first, _MULTIPLES[1], _MULTIPLES[:1]
        if second.bytes < first.bytes:
            best, self._multiple, others = second, _MULTIPLES[2], _MULTIPLES[3:]
        for multiple in others:
            trial = coded(multiple)
            if trial.bytes < best.bytes:
                best, self._multiple = trial, multiple
        return best

    def _corrections(self, original: NDArray[np.floating], base: Callable[[int], Values | float]) -> _Corrector:
        return _Corrector(original, base, _limits(original).astype(np.float64), self._promise)

    def _depths(self, residual: torch.Tensor) -> tuple[int, int, int]:
        _, times, rows, columns = residual.shape
        spatial = (wavelet.max_depth(rows), wavelet.max_depth(columns))
        deepest = wavelet.max_depth(times)
        if self._time_depth is None:
            sizes = {}
            for depth in sorted({0, deepest // 2, deepest}):
                coefficients = wavelet.forward(residual[:1], (depth, *spatial), self._grid.periodic)
                sizes[depth] = RateModel(coefficients.numpy()).bytes(_MULTIPLES[1] * self._promise.bound)
            self._time_depth = min(sizes, key=lambda depth: sizes[depth])
        return (min(self._time_depth, deepest), *spatial)


class _Corrector:
    """Finds the corrections of a tile while its detail is coded, channel by channel."""

    def __init__(
        self,
        original: NDArray[np.floating],
        base: Callable[[int], Values | float],
        limits: Values,
        promise: Bounds,
    ) -> None:
        self._original, self._base, self._limits, self._promise = original, base, limits, promise
        bounds = np.full(len(original), promise.bound)
        self._encoder = CorrectionsEncoder(bounds, original[0].size)

    def visit(self, channel: int, detail: NDArray[np.floating]) -> None:
        """What a channel's stream decodes to."""
        base, limits = self._base(channel), self._limits[:, channel]
        for start, stop in _time_blocks(detail.shape):
            under = base if isinstance(base, float) else base[start:stop]
            original = self._original[channel, start:stop].astype(np.float64)
            decoded = compose(detail[start:stop], under, limits)
            allowance = self._promise.allowance(original)
            self._encoder.add(channel, start * detail[0].size, original, decoded, allowance)

    def encode(self) -> bytes:
        """The payload."""
        return self._encoder.encode()


def _time_blocks(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Time ranges of [time, lat, lon] with about `_BLOCK_VALUES` values."""
    together = max(_BLOCK_VALUES // max(prod(shape[1:]), 1), 1)
    return [(start, min(start + together, shape[0])) for start in range(0, shape[0], together)]


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

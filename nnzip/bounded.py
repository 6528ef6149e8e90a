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
from nnzip.promises.constraints import Held, Part
from nnzip.promises.intervals import Intervals
from nnzip.promises.peaks import BlockPeaks
from nnzip.promises.resolve import Promise
from nnzip.transform import wavelet

FIELD_SHARE = 0.015
"""What the field may take of the expected size; it also is the layer that previews are made from."""

_BLOCK_VALUES = 1 << 20  # looked at in one go, in float64

_MULTIPLES = (1.6, 2.0, 2.5, 3.2)
"""Quantisation steps of the wavelet that are tried, in bounds."""
_FINER = (1.2, 0.85, 0.6, 0.4)
"""Tried too where promises ask for less than the bound at many points."""

_UNLIMITED = np.array([-np.inf, np.inf])

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What a variable promises: `bound` in its units, what else is to be kept, and the `guard` that every decoder's
    arithmetic stays within."""

    bound: float
    guard: float
    dtype: str
    promises: tuple[Promise, ...] = ()

    @property
    def breaks(self) -> NDArray[np.int64]:
        """Time steps of the record that blocks of maxima begin at: parts that are cut there cost least."""
        found = [promise.constraint.breaks for promise in self.promises if isinstance(promise.constraint, BlockPeaks)]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))

    def within(self, held: Held) -> Bounds:
        """What is promised about these time steps, with all it needs in memory."""
        return replace(self, promises=tuple(replace(p, constraint=p.constraint.within(held)) for p in self.promises))


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
            coded = coder.encode(values[part, start:stop], first + start, under)
            details.append(coded.detail)
            corrections.append(coded.corrections)
            promised[variable] += coded.promised
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
class _Coded:
    """`plain`: bytes of the corrections without promises beyond the bound; None where there are none."""

    detail: bytes
    corrections: bytes
    plain: Callable[[], int] | None

    @property
    def bytes(self) -> int:
        return len(self.detail) + len(self.corrections)

    @property
    def promised(self) -> int:
        """Bytes of the corrections that promises beyond the bound take."""
        return 0 if self.plain is None else len(self.corrections) - self.plain()


class _VariableCoder:
    """Codes the tiles of one variable; the first tile decides the coding, the depth in time and the step for
    all."""

    def __init__(self, grid: SourceGrid, promise: Bounds, device: torch.device) -> None:
        self._grid, self._promise, self._device = grid, promise, device
        self._multiple: float | None = None  # step of the wavelet in bounds
        self._interpolates: bool | None = None
        self._time_depth: int | None = None

    def encode(self, original: NDArray[np.floating], start: int, base: _Base | None) -> _Coded:
        """Detail and corrections of a tile [channel, time, lat, lon] that begins at time step `start`."""
        if self._interpolates:
            return self._interpolation(original, start) or self._best_wavelet(original, start, base)
        wavelets = self._best_wavelet(original, start, base)
        if self._interpolates is None:
            interpolated = self._interpolation(original, start)
            self._interpolates = interpolated is not None and interpolated.bytes < wavelets.bytes
            if interpolated is not None and self._interpolates:
                return interpolated
        return wavelets

    def _interpolation(self, original: NDArray[np.floating], start: int) -> _Coded | None:
        """None where no step keeps the bound (values too large for their integers)."""
        limits = _limits(original)
        corrections = _Corrector(original, start, None, limits, self._promise)
        largest = np.abs(limits).max() + self._promise.bound
        step = 2 * (self._promise.bound - self._promise.guard - np.spacing(largest.astype(self._promise.dtype)) / 2)
        try:
            detail = encode_interpolation(_filled(original), float(step), limits, corrections.visit)
        except OverflowError:
            return None
        return corrections.coded(detail)

    def _best_wavelet(self, original: NDArray[np.floating], start: int, base: _Base | None) -> _Coded:
        """The step that makes detail plus corrections smallest: from the first multiple on, while it gets
        better."""
        means = None if base is not None else _finite_means(original)

        def under(channel: int) -> Values | float:
            return base.channel(channel) if base is not None else float(0 if means is None else means[channel])

        residual = torch.empty(original.shape, dtype=torch.float32)
        for channel, target in enumerate(residual):
            target.copy_(torch.from_numpy(original[channel] - under(channel)))
        missing = torch.from_numpy(np.isnan(original)).to(self._device)
        residual = fill_missing(residual.to(self._device).nan_to_num_(nan=0.0), missing)
        depths, limits = self._depths(residual), _limits(original)

        def coded(multiple: float) -> _Coded:
            corrections = _Corrector(original, start, under, limits, self._promise)
            step, periodic = multiple * self._promise.bound, self._grid.periodic
            return corrections.coded(encode_wavelet(residual, step, depths, periodic, limits, means, corrections.visit))

        if self._multiple is not None:
            return coded(self._multiple)
        first, second = coded(_MULTIPLES[1]), coded(_MULTIPLES[2])
        others: tuple[float, ...] = _MULTIPLES[:1]
        best, self._multiple = first, _MULTIPLES[1]
        if second.bytes < first.bytes:
            best, self._multiple, others = second, _MULTIPLES[2], _MULTIPLES[3:]
        if others == _MULTIPLES[:1] and self._promise.promises:
            others += _FINER
        for multiple in others:
            trial = coded(multiple)
            if trial.bytes >= best.bytes:
                break
            best, self._multiple = trial, multiple
        return best

    def _depths(self, residual: torch.Tensor) -> tuple[int, int, int]:
        _, times, rows, columns = residual.shape
        spatial = (wavelet.max_depth(rows), wavelet.max_depth(columns))
        deepest = wavelet.max_depth(times)
        if self._time_depth is None:
            sizes = {}
            for depth in sorted({0, deepest // 2, deepest}):
                coefficients = wavelet.forward(residual[:1], (depth, *spatial), self._grid.periodic)
                sizes[depth] = RateModel(coefficients.cpu().numpy()).bytes(_MULTIPLES[1] * self._promise.bound)
            self._time_depth = min(sizes, key=lambda depth: sizes[depth])
        return (min(self._time_depth, deepest), *spatial)


class _Corrector:
    """Finds the corrections of a tile while its detail is coded, channel by channel.

    `base`: None where the detail are the values themselves, which every decoder computes exactly alike.
    """

    def __init__(
        self,
        original: NDArray[np.floating],
        start: int,
        base: Callable[[int], Values | float] | None,
        limits: NDArray[np.float32],
        promise: Bounds,
    ) -> None:
        self._original, self._start, self._base = original, start, base
        self._limits, self._promise = limits.astype(np.float64), promise
        bounds = np.full(len(original), promise.bound)
        _, times, rows, columns = original.shape
        self._encoder, self._plain = (CorrectionsEncoder(bounds, (times, rows, columns)) for _ in range(2))

    def visit(self, channel: int, detail: NDArray[np.floating]) -> None:
        """What a channel's stream decodes to."""
        base, limits = 0.0 if self._base is None else self._base(channel), self._limits[:, channel]
        for start, stop in _time_parts(detail.shape, self._promise.breaks - self._start):
            under = base if isinstance(base, float) else base[start:stop]
            part = Part(channel, self._start + start, self._original[channel, start:stop].astype(np.float64))
            self._correct(part, compose(detail[start:stop], under, _UNLIMITED), limits, start * detail[0].size)

    def _correct(self, part: Part, unclamped: Values, limits: Values, position: int) -> None:
        promise = self._promise
        guard = 0.0 if self._base is None else promise.guard
        decoded = np.clip(unclamped, limits[0], limits[1])
        allowed = Intervals(part.original, promise.bound, promise.dtype)
        place = (part.channel, position, part.original, decoded)
        if not promise.promises:
            self._encoder.add(*place, allowed.low, allowed.high, guard)
            return
        self._plain.add(*place, allowed.low, allowed.high, guard)
        for kept in promise.promises:
            kept.constraint.narrow(allowed, part, decoded, guard)
        allowed.require_values()
        clamped = (unclamped <= limits[0] - guard) | (unclamped >= limits[1] + guard)
        self._encoder.add(*place, *allowed.beyond(limits), np.where(clamped, 0.0, guard))

    def coded(self, detail: bytes) -> _Coded:
        """The detail that was visited, with its corrections."""
        plain = (lambda: len(self._plain.encode())) if self._promise.promises else None
        return _Coded(detail, self._encoder.encode(), plain)


def _time_parts(shape: Sequence[int], breaks: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Time ranges of [time, lat, lon] with about `_BLOCK_VALUES` values, at most twice as many, that end at `breaks`
    where they can."""
    together = max(_BLOCK_VALUES // max(prod(shape[1:]), 1), 1)
    parts, start = [], 0
    while start < shape[0]:
        stop = min(start + together, shape[0])
        before, after = breaks[(breaks > start) & (breaks <= stop)], breaks[breaks > stop]
        if before.size and stop < shape[0]:
            stop = int(before[-1])
        elif after.size and stop < shape[0]:
            stop = int(after[0]) if after[0] <= start + 2 * together else stop
        parts.append((start, min(stop, shape[0])))
        start = parts[-1][1]
    return parts


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

"""One segment under an error bound: a small field, the detail it misses, and corrections that make the bound hold.

1. fit a field of about FIELD_SHARE of the expected size;
2. per variable and tile of time, code what the field misses with the step that makes detail plus corrections smallest;
3. correct every point whose error exceeds its allowance: bound - guard - rounding of the output type.

The guard covers differences between the floating point arithmetic of encoder and decoder (other machine, device or
library).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.budget import tiles
from nnzip.data.grouping import Group
from nnzip.detail.corrections import encode_corrections
from nnzip.detail.payload import Detail, encode_interpolation, encode_wavelet
from nnzip.field.axes import SourceGrid
from nnzip.field.fill import fill_missing
from nnzip.field.fit import FitOptions, Report, fit_field
from nnzip.field.payload import read_field
from nnzip.field.search import RateModel
from nnzip.transform import wavelet

FIELD_SHARE = 0.015
"""What the field may take of the expected size; it also is the layer that previews are made from."""

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
    """Coded layers of a segment (`field` empty: none); details and corrections by tile, then variable; `decoded` is
    what they give."""

    field: bytes
    details: list[bytes]
    corrections: list[bytes]
    decoded: Values


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

    Cost on one core: about 3 s per million values; memory about 8 times the values as float32.
    """
    original = values.astype(np.float64)
    per_channel = np.concatenate(
        [np.full(layout.channels, b.bound) for layout, b in zip(group.variables, bounds, strict=True)]
    )
    payload, base = b"", None
    if with_field:
        budget = FIELD_SHARE * _expected_bytes(original, per_channel, grid)
        runs = [layout.channels for layout in group.variables]
        payload = fit_field(values, grid, runs, budget, options, _scaled(report, 0.4))
        base = read_field(payload, grid, group.channels, options.device).evaluate(
            *(np.arange(n, dtype=np.float64) for n in grid.shape)
        )
    decoded = np.empty_like(original)
    details, corrections = [], []
    coders = [_VariableCoder(grid, promise) for promise in bounds]
    ranges = tiles(original.shape[1], grid.shape[1] * grid.shape[2])
    for number, (start, stop) in enumerate(ranges):
        for (_, part), coder in zip(group.parts(), coders, strict=True):
            tile = (part, slice(start, stop))
            coded = coder.encode(original[tile], None if base is None else base[tile])
            details.append(coded.detail)
            corrections.append(coded.corrections)
            decoded[tile] = coded.decoded
        report("coding", 0.4 + 0.6 * (number + 1) / len(ranges), None, None)
    return Layers(payload, details, corrections, decoded)


@dataclass(frozen=True)
class _Coded:
    detail: bytes
    corrections: bytes
    decoded: Values

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

    def encode(self, original: Values, base: Values | None) -> _Coded:
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

    def _interpolation(self, original: Values) -> _Coded | None:
        """None where no step keeps the bound (values too large for their integers)."""
        missing = np.isnan(original)
        filled = original
        if missing.any():
            tensor = torch.from_numpy(np.where(missing, 0, original).astype(np.float32))
            filled = np.where(missing, fill_missing(tensor, torch.from_numpy(missing)).numpy(), original)
        step = 2 * float(np.nanmin(self._promise.allowance(original), initial=self._promise.bound))
        try:
            detail, decoded = encode_interpolation(filled, step, _limits(original))
        except OverflowError:
            return None
        return self._corrected(original, detail, decoded, None)

    def _best_wavelet(self, original: Values, base: Values | None) -> _Coded:
        """The step that makes detail plus corrections smallest: from the first multiple on, while it gets
        better."""
        means = None
        reference = base
        if reference is None:
            means = _finite_means(original)
            reference = np.broadcast_to(means[:, None, None, None].astype(np.float64), original.shape)
        missing = np.isnan(original)
        residual = torch.from_numpy(np.where(missing, 0, original - reference).astype(np.float32))
        residual = fill_missing(residual, torch.from_numpy(missing))
        depths = self._depths(residual)

        def coded(multiple: float) -> _Coded:
            step = multiple * self._promise.bound
            detail, decoded = encode_wavelet(residual, step, depths, self._grid.periodic, _limits(original), means)
            return self._corrected(original, detail, decoded, base)

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

    def _corrected(self, original: Values, data: bytes, detail: Detail, base: Values | None) -> _Coded:
        uncorrected = detail.added_to(base)
        bounds = np.full(len(original), self._promise.bound)
        corrections, corrected = encode_corrections(original, uncorrected, self._promise.allowance(original), bounds)
        return _Coded(data, corrections, detail.clamped(corrected))

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


def _finite_means(original: Values) -> NDArray[np.float32]:
    """Mean of the finite values per channel [channel], zero where there are none."""
    finite = np.isfinite(original)
    total = np.where(finite, original, 0).sum(axis=(1, 2, 3))
    return np.asarray(total / np.maximum(finite.sum(axis=(1, 2, 3)), 1), dtype=np.float32)


def _expected_bytes(original: Values, bounds: Values, grid: SourceGrid) -> float:
    """Rough size of the detail without a field."""
    total = 0.0
    means = _finite_means(original)
    for values, mean, bound in zip(original, means, bounds, strict=True):
        scaled = torch.from_numpy(np.nan_to_num((values - mean) / bound, nan=0.0).astype(np.float32))
        depths = tuple(wavelet.max_depth(n) for n in scaled.shape)
        total += RateModel(wavelet.forward(scaled, depths, grid.periodic).numpy()).bytes(_MULTIPLES[1])
    return total


def _limits(original: Values) -> NDArray[np.float32]:
    """Smallest and largest value per channel [2, channel], rounded outwards to float32."""
    finite = np.isfinite(original)
    low = np.where(finite, original, np.inf).min(axis=(1, 2, 3))
    high = np.where(finite, original, -np.inf).max(axis=(1, 2, 3))
    some = low <= high
    exact = np.stack([np.where(some, low, 0.0), np.where(some, high, 0.0)])
    rounded = exact.astype(np.float32)
    rounded[0] = np.where(rounded[0] > exact[0], np.nextafter(rounded[0], np.float32(-np.inf)), rounded[0])
    rounded[1] = np.where(rounded[1] < exact[1], np.nextafter(rounded[1], np.float32(np.inf)), rounded[1])
    return np.asarray(rounded)


def _scaled(report: Report, share: float) -> Report:
    return lambda stage, fraction, loss, rmse: report(stage, share * fraction, loss, rmse)

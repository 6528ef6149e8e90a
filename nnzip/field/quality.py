"""Fit a field to one segment of data so that every variable has a given RMSE, in as few bytes as that takes.

As `fit`, but the scale of a variable's channels is its quantisation step in the data's units, and is searched for:
errors are measured by decoding the payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid
from nnzip.field.encoder import Encoded, choose_transform, encode_at, quantise_segment
from nnzip.field.enhancement import train_enhancement
from nnzip.field.fit import FitOptions, Report, worth_its_bytes
from nnzip.field.payload import Network, read_field
from nnzip.field.preparation import Transformed, prepare, smallest_scale, transform
from nnzip.field.training import Training

_FIRST_SCALE = 4.0  # in RMSE: a uniform quantiser of step s without a dead zone has the RMSE s / sqrt(12)
_CLOSE = 0.985  # an RMSE from here to 1 of the target is good enough
_ATTEMPTS, _ATTEMPTS_WITH_NETWORK = 9, 3
_EXPONENT = 0.8  # RMSE goes about with this power of the step
_LARGEST_CHANGE = 8.0
_BLOCK_VALUES = 1 << 20  # of one channel measured in one go: the copies are float64


def fit_field_to_rmse(
    values: NDArray[np.floating],
    grid: SourceGrid,
    runs: Sequence[int],
    targets: Sequence[float],
    row_weights: NDArray[np.float64],
    options: FitOptions,
    report: Report,
) -> bytes:
    """The payload of a field fitted to `values` [channel, time, lat, lon] (not finite: missing).

    `targets`: the largest RMSE of every variable in its units, weighted by `row_weights` [lat]; `runs`: channels per
    variable. Where rounding to float32 exceeds a target, the payload comes as near as it can. Raises InputError for
    values beyond float32's range. Cost on one core: about 10 microseconds per value.
    """
    report("fitting", 0.0, None, None)
    measure = _Measure(values, grid, runs, row_weights, options.device)
    steps = _FIRST_SCALE * np.asarray(targets, dtype=np.float64)
    prepared = prepare(values, grid, runs, scales=np.repeat(steps, runs), device=options.device)
    base = transform(prepared, with_cycles=False)
    fitted = _search(choose_transform(base, 1.0), Network(), steps, targets, measure, _ATTEMPTS, report)
    if options.training_steps:
        fitted = _with_network(fitted, targets, measure, options, report)
    report("fitting", 1.0, None, None)
    return fitted.encoded.data


@dataclass(frozen=True)
class _Fitted:
    """A payload, the segment scaled by `steps` [variable] that it codes, and its RMSE [variable]."""

    encoded: Encoded
    transformed: Transformed
    steps: NDArray[np.float64]
    rmse: NDArray[np.float64]


@dataclass(frozen=True)
class _Measure:
    """RMSE of payloads by decoding them."""

    values: NDArray[np.floating]
    grid: SourceGrid
    runs: Sequence[int]
    row_weights: NDArray[np.float64]
    device: torch.device

    def __call__(self, payload: bytes) -> NDArray[np.float64]:
        """RMSE per variable in the data's units; 0 where everything is missing."""
        field = read_field(payload, self.grid, len(self.values), self.device)
        times, rows, columns = (np.arange(n, dtype=np.float64) for n in self.grid.shape)
        squares, weights = np.zeros(len(self.values)), np.zeros(len(self.values))
        together = max(_BLOCK_VALUES // (rows.size * columns.size), 1)
        for start in range(0, times.size, together):
            block = slice(start, start + together)
            decoded = field.standardised(times[block], rows, columns)
            for channel, original in enumerate(self.values[:, block]):
                error = field.in_units(channel, decoded[channel], rows) - original
                known = np.isfinite(error)
                squares[channel] += (np.where(known, error, 0.0) ** 2).sum(axis=(0, 2)) @ self.row_weights
                weights[channel] += known.sum(axis=(0, 2)) @ self.row_weights
        starts = np.cumsum([0, *self.runs[:-1]])
        totals = np.add.reduceat(weights, starts)
        return np.asarray(np.sqrt(np.add.reduceat(squares, starts) / np.maximum(totals, 1e-300)))


def _search(
    transformed: Transformed,
    layers: Network,
    steps: NDArray[np.float64],
    targets: Sequence[float],
    measure: _Measure,
    attempts: int,
    report: Report,
) -> _Fitted:
    """The steps, one per variable, whose RMSE are within `_CLOSE` to 1 of the targets; below them in any case."""
    brackets = [_Bracket(target) for target in targets]
    for attempt in range(attempts + 1):
        transformed = _rescaled(transformed, steps)
        quantised = quantise_segment(transformed, 1.0)
        encoded = encode_at(transformed, 1.0, quantised, layers)
        rmse = measure(encoded.data)
        report("quantising", 0.4 * (attempt + 1) / (attempts + 1), None, np.repeat(rmse, measure.runs))
        silent = np.logical_and.reduceat(
            [not channel.coefficients.any() and not channel.maps.any() for channel in quantised.channels],
            np.cumsum([0, *measure.runs[:-1]]),
        )
        following = np.array(
            [b.next(s, e, bool(quiet)) for b, s, e, quiet in zip(brackets, steps, rmse, silent, strict=True)]
        )
        if (following == steps).all():
            break
        last = attempt == attempts - 1
        steps = np.array([b.feasible for b in brackets]) if last and all(b.feasible for b in brackets) else following
    return _Fitted(encoded, transformed, steps, rmse)


class _Bracket:
    """Steps of one variable tried so far: the largest that met the target, the smallest that did not."""

    def __init__(self, target: float) -> None:
        self._target = target
        self.feasible = 0.0
        self._beyond = float("inf")
        self._tried: list[tuple[float, float]] = []

    def next(self, step: float, rmse: float, silent: bool) -> float:
        """The step to try after this one gave that RMSE; the same where it is good enough."""
        if rmse <= self._target:
            self.feasible = max(self.feasible, step)
            if rmse >= _CLOSE * self._target or silent:
                return step
        else:
            self._beyond = min(self._beyond, step)
        self._tried.append((log(step), log(max(rmse, 1e-300))))
        wanted = log(self._target * (1 + _CLOSE) / 2) - self._tried[-1][1]
        change = min(max(exp(wanted / self._exponent()), 1 / _LARGEST_CHANGE), _LARGEST_CHANGE)
        following = step * change
        if self.feasible < following < self._beyond:
            return following
        return (self.feasible * self._beyond) ** 0.5 if self.feasible else step / 2

    def _exponent(self) -> float:
        """Slope of the logarithm of the RMSE between the last two steps."""
        if len(self._tried) < 2 or self._tried[-1][0] == self._tried[-2][0]:
            return _EXPONENT
        (x0, y0), (x1, y1) = self._tried[-2:]
        return min(max((y1 - y0) / (x1 - x0), 0.2), 1.5)


def _with_network(
    fitted: _Fitted, targets: Sequence[float], measure: _Measure, options: FitOptions, report: Report
) -> _Fitted:
    """The same RMSE in fewer bytes with a network, or `fitted` where there are none to save."""
    source = fitted.transformed.source

    def trained(fraction: float, loss: float, rmse: NDArray[np.float64]) -> None:
        report("fitting", 0.4 + 0.4 * fraction, loss, rmse)

    training = Training(options.training_steps, seconds=options.seconds)
    found = train_enhancement(
        source, fitted.encoded, options.hidden_layers, training, options.seed, options.device, trained
    )
    if not worth_its_bytes(found, len(fitted.encoded.data)):
        return fitted
    enhanced = _search(fitted.transformed, found.layers, fitted.steps, targets, measure, _ATTEMPTS_WITH_NETWORK, report)
    smaller = len(enhanced.encoded.data) < len(fitted.encoded.data)
    return enhanced if smaller and (enhanced.rmse <= targets).all() else fitted


def _rescaled(transformed: Transformed, steps: NDArray[np.float64]) -> Transformed:
    """The segment with other steps; changes its tensors in place."""
    source = transformed.source
    scaling = source.scaling
    scale = np.maximum(np.repeat(steps, source.runs), smallest_scale(scaling.minimum, scaling.maximum))
    scale = scale.astype(np.float32).astype(np.float64)
    factors = torch.from_numpy((scaling.scale / scale).astype(np.float32))[:, None, None, None]
    for tensor in (source.values, transformed.coefficients, transformed.maps):
        tensor.mul_(factors)
    rescaled = replace(source, scaling=replace(scaling, scale=scale))
    return replace(transformed, source=rescaled)

"""Find the quantisation step whose size meets a budget, with as few full evaluations as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

SMALLEST_STEP, LARGEST_STEP = 1e-5, 1e6
"""Steps in units of a channel's scale: finer ones would code float32's rounding, coarser ones nothing."""

_PIECE = 1 << 20  # coefficients looked at in one go
_MOST_TRIALS = 10
_BINS_PER_OCTAVE = 8
_OCTAVES = 40


class RateModel:
    """Rough bits of coefficients at any step, from a histogram of their magnitudes and the bits a magnitude costs.

    Only the shape matters, as `search_step` rescales it at every full evaluation.
    """

    def __init__(self, coefficients: NDArray[np.float32]) -> None:
        self._counts = np.zeros(_OCTAVES * _BINS_PER_OCTAVE, dtype=np.int64)
        flat = coefficients.reshape(-1)
        for start in range(0, flat.size, _PIECE):
            piece = flat[start : start + _PIECE]
            bins = (np.log2(np.abs(piece[piece != 0])) + _OCTAVES / 2) * _BINS_PER_OCTAVE
            bins = np.clip(bins, 0, self._counts.size - 1).astype(np.int32)
            self._counts += np.bincount(bins, minlength=self._counts.size)
        self._magnitudes = np.exp2((np.arange(self._counts.size) + 0.5) / _BINS_PER_OCTAVE - _OCTAVES / 2)

    def bytes(self, step: float) -> float:
        """Size at `step`, up to a factor."""
        steps = self._magnitudes / step
        coded = 1 / (1 + (0.6 / steps) ** 6)  # share of magnitudes near this one that become non-zero
        bits = coded * (4.5 + 1.5 * np.log2(np.maximum(steps, 0.25))) + (1 - coded) * 0.25 * np.minimum(steps, 1)
        return float((self._counts * bits).sum()) / 8

    def step_for(self, size: float) -> float:
        """The step at which `bytes` is `size`, in [SMALLEST_STEP, LARGEST_STEP]."""
        low, high = log(SMALLEST_STEP), log(LARGEST_STEP)
        if self.bytes(SMALLEST_STEP) <= size:
            return SMALLEST_STEP
        if self.bytes(LARGEST_STEP) > size:
            return LARGEST_STEP
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.bytes(exp(middle)) > size else (low, middle)
        return exp(high)


def search_step(
    size: Callable[[float], float], model: RateModel, budget: float, *, tolerance: float, start: float | None = None
) -> float:
    """The smallest step found with `size(step) <= budget`, within `tolerance` of the budget.

    LARGEST_STEP when there is none. `start`: the first one to try, else where `model` puts the budget. At most 10
    evaluations of `size`: secant steps along `model`, rescaled to the last size; where these leave the bracket or do
    not end, interpolation inside it.
    """
    target = budget * (1 - tolerance / 2)
    fine = _Trial(SMALLEST_STEP, None)
    coarse = _Trial(LARGEST_STEP, None)
    step = start or model.step_for(max(target, 1e-3))
    for number in range(_MOST_TRIALS):
        needed = size(step)
        if needed <= budget:
            coarse = _Trial(step, needed)
            if needed >= budget * (1 - tolerance) or step <= SMALLEST_STEP:
                break
        else:
            fine = _Trial(step, needed)
        if fine.step >= LARGEST_STEP or coarse.step / fine.step < 1.0005:
            break
        step = model.step_for(max(target * model.bytes(step) / max(needed, 1e-9), 1e-9))
        if not fine.step < step < coarse.step or number > _MOST_TRIALS // 2:
            step = _between(fine, coarse, target)
    return coarse.step


@dataclass(frozen=True)
class _Trial:
    """A step and the size there; None: not tried yet."""

    step: float
    size: float | None


def _between(fine: _Trial, coarse: _Trial, target: float) -> float:
    """Where a power law through both ends of the bracket meets the target, kept off the ends; an end not yet tried."""
    if coarse.size is None:
        return coarse.step
    if fine.size is None:
        return fine.step
    octaves = log(fine.size / max(coarse.size, 1e-9))
    share = log(fine.size / max(target, 1e-9)) / octaves if octaves > 0 else 0.5
    share = min(max(share, 0.1), 0.9)
    return exp((1 - share) * log(fine.step) + share * log(coarse.step))

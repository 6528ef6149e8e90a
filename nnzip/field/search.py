"""Find the quantisation step whose size meets a budget, with as few full evaluations as possible."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import numpy as np
from numpy.typing import NDArray

SMALLEST_STEP, LARGEST_STEP = 1e-5, 1e6
"""Steps in units of a channel's scale: finer ones would code float32's rounding, coarser ones nothing."""

_MOST_TRIALS = 10
_BINS_PER_OCTAVE = 8
_OCTAVES = 40


class RateModel:
    """Rough bits of coefficients at any step, from a histogram of their magnitudes and the bits a magnitude costs.

    Only the shape matters, as `search_step` rescales it at every full evaluation.
    """

    def __init__(self, coefficients: NDArray[np.float32]) -> None:
        magnitudes = np.abs(coefficients[coefficients != 0])
        bins = (np.log2(magnitudes) + _OCTAVES / 2) * _BINS_PER_OCTAVE
        bins = np.clip(bins, 0, _OCTAVES * _BINS_PER_OCTAVE - 1).astype(np.int32)
        self._counts = np.bincount(bins, minlength=_OCTAVES * _BINS_PER_OCTAVE)
        self._magnitudes = np.exp2((np.arange(self._counts.size) + 0.5) / _BINS_PER_OCTAVE - _OCTAVES / 2)

    def bytes(self, step: float) -> float:
        """Size at `step`, up to a factor."""
        steps = self._magnitudes / step
        bits = np.where(steps > 0.6, 4.5 + 1.5 * np.log2(np.maximum(steps, 0.6)), 0.25 * steps)
        return float((self._counts * bits).sum()) / 8

    def step_for(self, size: float) -> float:
        """The step at which `bytes` is `size`, in [SMALLEST_STEP, LARGEST_STEP]."""
        low, high = log(SMALLEST_STEP), log(LARGEST_STEP)
        if self.bytes(LARGEST_STEP) > size:
            return LARGEST_STEP
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.bytes(exp(middle)) > size else (low, middle)
        return max(exp(high), SMALLEST_STEP)


def search_step(
    size: Callable[[float], float], model: RateModel, budget: float, *, tolerance: float, start: float | None = None
) -> float:
    """The smallest step found with `size(step) <= budget`, within `tolerance` of the budget.

    LARGEST_STEP when there is none. `start`: the first one to try, else where `model` puts the budget. At most 10
    evaluations of `size`: secant steps along `model`, rescaled to the last size, inside a bracket; bisection where
    these leave it or do not end.
    """
    target = budget * (1 - tolerance / 2)
    fits: float | None = None
    too_fine, coarse = SMALLEST_STEP, LARGEST_STEP
    step = start or model.step_for(max(target, 1e-3))
    for trial in range(_MOST_TRIALS):
        needed = size(step)
        if needed <= budget:
            fits = coarse = min(step, coarse)
            if needed >= budget * (1 - tolerance) or step <= SMALLEST_STEP * 1.01:
                break
        else:
            too_fine = max(step, too_fine)
        if step >= LARGEST_STEP or coarse / too_fine < 1.0005:
            break
        factor = needed / max(model.bytes(step), 1e-9)
        step = model.step_for(max(target / factor, 1e-9))
        if not too_fine < step < coarse or trial > _MOST_TRIALS // 2:
            step = LARGEST_STEP if fits is None and step >= coarse else (too_fine * coarse) ** 0.5
    return fits if fits is not None else LARGEST_STEP

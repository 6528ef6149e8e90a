"""What an evaluation of extremes found: plain frozen records, ready for JSON, tables and reports."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nnzip.evaluate.evaluation import to_plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TailScores:
    """One tail of a variable: the values beyond the original's `quantile`, every value counted the same.

    scope: "all" (one percentile of all values of a level) or "cell" (each cell's own, over time). threshold: that
    percentile, None where there is more than one. values: how many of the original are beyond. rmse, bias, max_error:
    errors there, decoded minus original. pod to fss: whether the decoded data exceed the same threshold
    (nnzip.evaluate.extremes.detection); None where undefined.
    """

    quantile: float
    scope: str
    threshold: float | None
    values: int
    rmse: float | None
    bias: float | None
    max_error: float | None
    pod: float | None
    far: float | None
    csi: float | None
    sedi: float | None
    frequency_bias: float | None
    fss: float | None


@dataclass(frozen=True)
class MapScores:
    """A map of extremes (an index of one year, a return level) compared: area-weighted mean of the original, and bias,
    RMSE and largest |error| of decoded minus original, in `units`. maps: how many (years).
    """

    name: str
    description: str
    units: str
    maps: int
    original: float | None
    bias: float | None
    rmse: float | None
    max_error: float | None


@dataclass(frozen=True)
class TailCurves:
    """For drawing: quantiles of both sides [probability], and errors by value: centres of bins of the original's values
    [bin], and in each mean error, lowest, highest, and the 1 % and 99 % quantile of the error; NaN where empty.
    """

    probability: Floats
    original: Floats
    decoded: Floats
    value: Floats
    mean: Floats
    lowest: Floats
    low: Floats
    high: Floats
    highest: Floats


@dataclass(frozen=True)
class ExtremeScores:
    """Extremes of one variable. thinned: every how many rows and columns were taken (1: all). heat_wave_overlap:
    intersection over union of the days in heat waves, heat_wave_days: those of the original per cell. notes: what could
    not be answered, and why.
    """

    name: str
    units: str
    thinned: int
    tails: tuple[TailScores, ...]
    indices: tuple[MapScores, ...]
    return_levels: tuple[MapScores, ...]
    heat_wave_overlap: float | None
    heat_wave_days: float | None
    notes: tuple[str, ...]
    curves: TailCurves = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, object]:
        """Types of JSON only, without the curves."""
        found: dict[str, object] = to_plain(self)
        return found

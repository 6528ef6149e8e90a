"""Every extreme score of one variable: tails, detection, climate indices, return levels, heat waves, in one record."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from nnzip.data.grids import Grid, require_grid, with_dates
from nnzip.evaluate.errors import bias, both_finite, max_error, number, rmse
from nnzip.evaluate.extremes.detection import contingency, neighbourhood_score
from nnzip.evaluate.extremes.maps import MapScores, heat_waves, index_scores, return_level_scores
from nnzip.evaluate.extremes.tails import QUANTILE, TailCurves, exceedances, percentiles, tail_curves
from nnzip.evaluate.scores import VariableScores, to_plain

TAIL_QUANTILES = (0.95, 0.99, 0.999, 0.05, 0.01, 0.001)
MAX_VALUES = 1 << 26  # of one variable in memory, on either side; of larger ones every n-th row and column is taken
FSS_FIELDS = 64  # at most, evenly spaced, and at most so many values
FSS_VALUES = 1 << 23
BEYOND_PER_CELL = 5  # values that a cell's own percentile has to leave beyond it


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


def extreme_scores(
    original: xr.DataArray,
    decoded: xr.DataArray,
    scores: VariableScores,
    *,
    progress: Callable[[float], None] | None = None,
) -> ExtremeScores:
    """Extremes of a decoded variable; both arrays have the same dimensions and coordinates and may be lazy.

    `scores`: what `evaluate` found for it. Loads both sides, at most 2^26 values each: of larger grids every n-th row
    and column, which the record says. Costs about 1 s per million values, and 40 bytes of memory per value. Raises
    UnavailableError without the extra `nnzip[extremes]`.
    """
    grid = require_grid(original)
    first, second, thinned = _load(with_dates(original), with_dates(decoded), grid)
    thresholds = dict(_thresholds(first, grid))
    tails = []
    for (quantile, scope), threshold in thresholds.items():
        tails.append(_tail(first, second, grid, quantile, scope, threshold))
        if progress is not None:
            progress(0.9 * len(tails) / len(thresholds))
    indices, notes = index_scores(first, second, grid)
    levels, more = return_level_scores(first, second, grid)
    overlap, days, last = heat_waves(first, second, grid)
    if progress is not None:
        progress(1.0)
    return ExtremeScores(
        name=str(original.name),
        units=scores.units,
        thinned=thinned,
        tails=tuple(tails),
        indices=indices,
        return_levels=levels,
        heat_wave_overlap=overlap,
        heat_wave_days=days,
        notes=(*_cell_notes(first, grid), *notes, *more, *last),
        curves=tail_curves(first, second, scores.max_error),
    )


def _load(original: xr.DataArray, decoded: xr.DataArray, grid: Grid) -> tuple[xr.DataArray, xr.DataArray, int]:
    """Both sides in memory, NaN wherever one of them is not finite, and every how many rows and columns were taken."""
    step = max(1, math.ceil(math.sqrt(original.size / MAX_VALUES)))
    thin = {dim: slice(None, None, step) for dim in (grid.latitude, grid.longitude)}
    first, second = original.isel(thin).load(), decoded.isel(thin).load()
    valid = both_finite(first, second)
    return (first, second, step) if bool(valid.all()) else (first.where(valid), second.where(valid), step)


def _thresholds(original: xr.DataArray, grid: Grid) -> Iterator[tuple[tuple[float, str], xr.DataArray]]:
    """{(quantile, scope): percentile}: of each level's values, then of each cell's where the record is long enough."""
    level = [dim for dim in (grid.time, grid.latitude, grid.longitude) if dim is not None]
    pooled = percentiles(original, TAIL_QUANTILES, dims=level)
    for quantile in TAIL_QUANTILES:
        yield (quantile, "all"), pooled.sel({QUANTILE: quantile}, drop=True)
    local = _cell_quantiles(original, grid)
    if local:
        own = percentiles(original, local, dims=grid.time)
        for quantile in local:
            yield (quantile, "cell"), own.sel({QUANTILE: quantile}, drop=True)


def _cell_quantiles(original: xr.DataArray, grid: Grid) -> list[float]:
    """Those quantiles that leave at least 5 values of every cell beyond them."""
    steps = original.sizes[grid.time] if grid.time is not None else 0
    return [quantile for quantile in TAIL_QUANTILES if steps * min(quantile, 1 - quantile) >= BEYOND_PER_CELL]


def _cell_notes(original: xr.DataArray, grid: Grid) -> list[str]:
    found = _cell_quantiles(original, grid)
    if len(found) == len(TAIL_QUANTILES):
        return []
    steps = original.sizes[grid.time] if grid.time is not None else 1
    missing = sorted({max(quantile, 1 - quantile) for quantile in TAIL_QUANTILES if quantile not in found})
    names = ", ".join(f"{100 * quantile:g} %" for quantile in missing)
    needed = math.ceil(BEYOND_PER_CELL / (1 - missing[0]))
    return [f"{steps} time steps are too few for percentiles of single cells beyond {names} (the first needs {needed})"]


def _tail(
    original: xr.DataArray, decoded: xr.DataArray, grid: Grid, quantile: float, scope: str, threshold: xr.DataArray
) -> TailScores:
    first, second, valid = exceedances(original, decoded, quantile, None, threshold)
    found = contingency(first, second, valid)
    sample = _fss_sample(original, grid)
    fss = neighbourhood_score(
        (first & valid).isel(sample), (second & valid).isel(sample), (grid.latitude, grid.longitude)
    )
    there = (first & valid).values
    tail, changed = (xr.DataArray(array.values[there], dims="value") for array in (original, decoded))
    return TailScores(
        quantile=quantile,
        scope=scope,
        threshold=float(threshold) if threshold.size == 1 else None,
        values=tail.size,
        rmse=number(rmse(tail, changed)) if tail.size else None,
        bias=number(bias(tail, changed)) if tail.size else None,
        max_error=number(max_error(tail, changed)) if tail.size else None,
        fss=number(fss),
        **{name: number(found[name]) for name in ("pod", "far", "csi", "sedi", "frequency_bias")},
    )


def _fss_sample(array: xr.DataArray, grid: Grid) -> dict[str, list[int]]:
    """Evenly spaced positions along levels and time, so that at most 64 fields and 2^23 values are scored."""
    left = min(FSS_FIELDS, FSS_VALUES // (array.sizes[grid.latitude] * array.sizes[grid.longitude]))
    indexers = {}
    for dim in (*grid.channels, grid.time):
        if dim is not None:
            count = min(array.sizes[dim], max(1, left))
            indexers[dim] = np.unique(np.linspace(0, array.sizes[dim] - 1, count).round().astype(int)).tolist()
            left //= count
    return indexers

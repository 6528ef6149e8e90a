"""Errors of climate indices, return levels and heat waves, or notes on why the record does not allow them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from nnzip.data.grids import Grid
from nnzip.evaluate.errors import bias, max_error, number, rmse, weighted_mean
from nnzip.evaluate.extremes.indices import YEAR, daily, indices_of, steps_per_day
from nnzip.evaluate.extremes.regions import HOT, HOT_DAYS, heat_wave_overlap, spells
from nnzip.evaluate.extremes.returns import SHORTEST, annual_maxima, return_level
from nnzip.evaluate.extremes.tails import percentile
from nnzip.evaluate.weights import area_weights

HEAT_WAVE_RECORD = 30  # days


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


def index_scores(original: xr.DataArray, decoded: xr.DataArray, grid: Grid) -> tuple[tuple[MapScores, ...], list[str]]:
    """Errors of the ETCCDI indices that the variable allows, over all cells and calendar years."""
    wanted = indices_of(original)
    if not wanted:
        return (), []
    steps = steps_per_day(original)
    if steps is None or round(steps, 3) < 1:
        return (), [f"no daily values, so no {', '.join(index.name for index, _ in wanted)}"]
    scores, days = [], {}
    for index, how in wanted:
        if how not in days:
            days[how] = tuple(daily(array, how) for array in (original, decoded))
        first, second = (index.of(array, days[how][0]) for array in days[how])
        units = index.units or str(original.attrs.get("units", "")) or "1"
        scores.append(_map_scores(first, second, grid, index.name, index.description, units, first.sizes[YEAR]))
    return tuple(scores), []


def return_level_scores(
    original: xr.DataArray, decoded: xr.DataArray, grid: Grid
) -> tuple[tuple[MapScores, ...], list[str]]:
    """Errors of the 20- and 50-year return levels of annual maxima, where the record is long enough."""
    if grid.time is None or steps_per_day(original) is None:
        return (), ["no series of dates, so no return levels"]
    span = original[grid.time].dt.year
    if int(span.max()) - int(span.min()) + 1 < min(SHORTEST.values()):
        return (), [_too_short(int(np.unique(span).size))]
    maxima = [annual_maxima(array) for array in (original, decoded)]
    years = maxima[0].sizes[YEAR]
    allowed = [period for period, shortest in SHORTEST.items() if years >= shortest]
    notes = [] if len(allowed) == len(SHORTEST) else [_too_short(years)]
    units = str(original.attrs.get("units", "")) or "1"
    scores = []
    for period in allowed:
        first, second = (return_level(array, period) for array in maxima)
        text = f"{period}-year return level of annual maxima"
        scores.append(_map_scores(first, second, grid, f"{period}-year level", text, units, years))
    return tuple(scores), notes


def heat_waves(
    original: xr.DataArray, decoded: xr.DataArray, grid: Grid
) -> tuple[float | None, float | None, list[str]]:
    """Overlap of the days in heat waves, and how many days of the original are in one per cell; near-surface
    temperature only.
    """
    wanted = [how for index, how in indices_of(original) if index.name == "TXx"]
    steps = steps_per_day(original)
    if not wanted or steps is None or round(steps, 3) < 1:
        return None, None, []
    first, second = (daily(array, "max") for array in (original, decoded))
    days = first.sizes[str(grid.time)]
    if days < HEAT_WAVE_RECORD:
        return None, None, [f"{days} days are too few for heat waves (they need {HEAT_WAVE_RECORD})"]
    weights = area_weights(first)
    hot = spells(first > percentile(first, HOT, dims=grid.time), str(grid.time), HOT_DAYS)
    mean = weighted_mean(hot.sum(grid.time), None, weights)
    return number(heat_wave_overlap(first, second, weights=weights)), number(mean), []


def _map_scores(
    first: xr.DataArray, second: xr.DataArray, grid: Grid, name: str, description: str, units: str, maps: int
) -> MapScores:
    weights = area_weights(first.transpose(..., grid.latitude, grid.longitude))
    return MapScores(
        name=name,
        description=description,
        units=units,
        maps=maps,
        original=number(weighted_mean(first.astype(np.float64), None, weights)),
        bias=number(bias(first, second, weights=weights)),
        rmse=number(rmse(first, second, weights=weights)),
        max_error=number(max_error(first, second)),
    )


def _too_short(years: int) -> str:
    needed = " and ".join(f"{shortest} for the {period}-year one" for period, shortest in SHORTEST.items())
    record = f"{years} year" if years == 1 else f"{years} years"
    return f"a record of {record} is too short for return levels (it takes {needed})"

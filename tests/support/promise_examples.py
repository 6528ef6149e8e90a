"""Fields that promises are tried on, and a codec that is nothing but noise and corrections."""

from __future__ import annotations

import pickle

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grouping import plan_groups, read_box
from nnzip.plan.cutting import Limits, Shape, cut, tile_box, tile_count
from nnzip.plan.goals import Survey
from nnzip.promises.goals import Goals
from nnzip.promises.kept import Kept
from nnzip.promises.resolve import resolve
from nnzip.request.options import Options
from tests.support.grouping_examples import unstack

KINDS = ("noise", "ties", "rain", "smooth", "missing")


def field(kind: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Values around 280 [time, lat, lon], or rain."""
    generator = np.random.default_rng(seed)
    values = 280 + 3 * generator.normal(size=shape)
    if kind == "ties":
        values = np.round(values)
    elif kind == "rain":
        values = np.maximum(generator.normal(size=shape) - 0.5, 0)
    elif kind == "smooth":
        values = 280 + 5 * np.sin(sum(np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")))
    elif kind == "missing":
        values[generator.random(shape) < 0.3] = np.nan
        values[:, 0, 0] = np.nan
    return values.astype(np.float32)


def dataset(values: NDArray[np.floating], west: float = 0.0) -> xr.Dataset:
    """x [time, lat, lon] in K, 6-hourly over a whole circle of longitudes."""
    times = np.datetime64("2016-10-01T06", "ns") + np.arange(values.shape[0]) * np.timedelta64(6, "h")
    longitude = west + np.arange(values.shape[2]) * 360 / values.shape[2]
    made = xr.Dataset(
        {"x": (("time", "lat", "lon"), values, {"units": "K"})},
        {"time": times, "lat": np.linspace(60, -60, values.shape[1]), "lon": longitude},
    )
    made["lat"].attrs["units"], made["lon"].attrs["units"] = "degrees_north", "degrees_east"
    return made


def goals_of(original: xr.Dataset, options: Options) -> Goals:
    """What `options` mean for a dataset."""
    groups, _ = plan_groups(original, options.variables)
    surveys = {}
    for group in groups:
        for layout in group.variables:
            values = read_box(original, group, layout, *map(range, (layout.channels, *group.shape[1:])))
            low, high = (
                tuple(side(channel).item() for channel in np.where(np.isfinite(values), values, outside))
                for side, outside in ((np.min, np.inf), (np.max, -np.inf))
            )
            surveys[layout.name] = Survey(low, high, layout.dtype)
    return resolve(original, groups, surveys, options)


def coded(
    original: xr.Dataset, goals: Goals, limits: Limits, seed: int = 0
) -> tuple[xr.Dataset, dict[str, list[Kept]]]:
    """The dataset with noise of twice the bound, corrected tile by tile in any order; and what became of promises."""
    generator = np.random.default_rng(seed)
    decoded, found = original.copy(), {}
    for group in plan_groups(original, list(goals.promised))[0]:
        for layout in group.variables:
            promised, shape = goals.promised[layout.name], (layout.channels, *group.shape[1:])
            sizes, result = cut(_four(shape), limits), np.empty(shape, dtype=layout.dtype)
            kept = [Kept() for _ in promised.constraints]
            for number in generator.permutation(tile_count(sizes)):
                box = tile_box(sizes, int(number))
                here = pickle.loads(pickle.dumps(promised.within(box)))
                values = read_box(original, group, layout, *box).astype(np.float64)
                before = values + promised.bound * generator.normal(scale=2, size=values.shape)
                guard = np.array(here.guards)
                allowed = here.allowed(values, before, guard)
                low, high = (end.astype(np.float64) for end in (allowed.low, allowed.high))
                edge = guard[:, None, None, None]
                fixed = np.where((before < low + edge) | (before > high - edge), _between(low, high, generator), before)
                result[box.slices] = fixed
                kept = [a + b for a, b in zip(kept, here.check(values, result[box.slices].astype("f8")), strict=True)]
            decoded[layout.name] = (layout.dims, unstack(result, layout, group.dims), original[layout.name].attrs)
            found[layout.name] = kept
    return decoded, found


def _between(
    low: NDArray[np.float64], high: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    return np.clip(low + generator.random(low.shape) * (high - low), low, high)


def _four(shape: tuple[int, ...]) -> Shape:
    channels, times, rows, columns = shape
    return channels, times, rows, columns

"""The collections of the Climate Data Store that `--dataset` names. Addresses of their forms: docs/download.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from nnzip.errors import UsageError


@dataclass(frozen=True)
class Dataset:
    """One dataset: its collections (pressure is "" where it has no levels), grid in degrees, and times.

    step: what one time stands for; every: hours between times; members: of an ensemble; since_midnight: sums run from
    00 UTC, and not over the hours since the time before; masked: without values over the sea; further: fixed keys of
    requests.
    """

    name: str
    title: str
    surface: str
    pressure: str
    first: date
    grid: float = 0.25
    step: Literal["hour", "day", "month"] = "hour"
    every: int = 1
    members: int = 0
    since_midnight: bool = False
    masked: bool = False
    further: tuple[tuple[str, str], ...] = ()


_SINGLE, _LEVELS = "reanalysis-era5-single-levels", "reanalysis-era5-pressure-levels"
_FIRST = date(1940, 1, 1)
ERA5 = Dataset("era5", "ERA5", _SINGLE, _LEVELS, _FIRST, further=(("product_type", "reanalysis"),))
LAND = Dataset(
    "era5-land", "ERA5-Land", "reanalysis-era5-land", "", date(1950, 1, 1), grid=0.1, since_midnight=True, masked=True
)
MONTHLY = Dataset(
    "era5-monthly", "monthly means of ERA5", f"{_SINGLE}-monthly-means", f"{_LEVELS}-monthly-means", _FIRST,
    step="month", every=24, further=(("product_type", "monthly_averaged_reanalysis"),),
)  # fmt: skip
ENSEMBLE = Dataset(
    "era5-ensemble", "ensemble members of ERA5", _SINGLE, _LEVELS, _FIRST,
    grid=0.5, every=3, members=10, further=(("product_type", "ensemble_members"),),
)  # fmt: skip


def _daily(statistic: str) -> Dataset:
    return Dataset(
        f"era5-daily-{statistic}", f"daily {statistic} of ERA5", f"derived-{_SINGLE.removeprefix('reanalysis-')}"
        "-daily-statistics", f"derived-{_LEVELS.removeprefix('reanalysis-')}-daily-statistics", _FIRST,
        step="day", every=24, further=(
            ("product_type", "reanalysis"), ("daily_statistic", f"daily_{statistic}"), ("time_zone", "utc+00:00"),
            ("frequency", "1_hourly"),
        ),
    )  # fmt: skip


DATASETS = {
    dataset.name: dataset
    for dataset in (ERA5, LAND, MONTHLY, _daily("mean"), _daily("maximum"), _daily("minimum"), ENSEMBLE)
}
POINTS = "reanalysis-era5-single-levels-timeseries"
"""The collection of time series: hourly values of one point, for the variables with `series` in the table."""


def find_dataset(name: str) -> Dataset:
    """The dataset called `name`. Raises UsageError naming those there are."""
    if name not in DATASETS:
        raise UsageError(f"there is no dataset {name!r}: write one of {', '.join(DATASETS)}")
    return DATASETS[name]

"""The forms of the Climate Data Store: requests that it would not let through."""

from __future__ import annotations

import re
from typing import Any

from nnzip.download.datasets import POINTS

_LISTS = {
    "variable": r"[a-z0-9_]+",
    "year": r"(19[4-9]\d|20\d\d)",
    "month": r"(0[1-9]|1[0-2])",
    "day": r"(0[1-9]|[12]\d|3[01])",
    "time": r"([01]\d|2[0-3]):00",
}
_HOURLY = {"product_type": ["reanalysis"]}
_STATISTICS = {"daily_statistic": "daily_mean", "time_zone": "utc+00:00", "frequency": "1_hourly"}
_FORMS: dict[str, tuple[set[str], dict[str, Any]]] = {
    "reanalysis-era5-single-levels": (set(), {}),
    "reanalysis-era5-pressure-levels": (set(), {}),
    "reanalysis-era5-land": (set(), {}),
    "reanalysis-era5-single-levels-monthly-means": ({"day"}, {"product_type": ["monthly_averaged_reanalysis"]}),
    "reanalysis-era5-pressure-levels-monthly-means": ({"day"}, {"product_type": ["monthly_averaged_reanalysis"]}),
    "derived-era5-single-levels-daily-statistics": ({"time"}, {**_HOURLY, **_STATISTICS}),
    POINTS: ({"year", "month", "day", "time"}, {}),
}
"""By collection: the lists that its form lacks, and keys with their only value."""
_LEVELS = set(
    map(str, (*range(100, 251, 25), *range(300, 751, 50), *range(775, 1001, 25), 1, 2, 3, 5, 7, 10, 20, 30, 50, 70))
)


def problem_of(dataset: str, request: dict[str, Any]) -> str | None:
    """What the forms of the Climate Data Store would not let through."""
    if dataset not in _FORMS:
        return f"no such collection: {dataset}"
    without, fixed = _FORMS[dataset]
    if any(request.get(key) != value for key, value in fixed.items()):
        return f"not {fixed}"
    if "levels" in dataset and dataset.startswith("reanalysis") and not fixed and dataset != POINTS:
        fixed = {"product_type": request.get("product_type")}
        if fixed["product_type"] not in (["reanalysis"], ["ensemble_members"]):
            return f"product_type: {fixed['product_type']}"
    for key, pattern in _LISTS.items():
        if key in without and key in request:
            return f"{key} is not in the form"
        if key in without:
            continue
        if not request.get(key) or not all(re.fullmatch(pattern, value) for value in request[key]):
            return f"{key}: {request.get(key)}"
    levels = request.get("pressure_level", [])
    if ("pressure-levels" in dataset) != bool(levels) or not set(levels) <= _LEVELS:
        return f"pressure_level: {levels}"
    if dataset == POINTS:
        return None if set(request) == {"variable", "location", "date", "data_format"} else f"keys: {set(request)}"
    if "time" not in without and (
        request.get("data_format") not in ("netcdf", "grib") or request.get("download_format") != "unarchived"
    ):
        return "data_format"
    north, west, south, east = request.get("area", [90, -180, -90, 180])
    if not (90 >= north >= south >= -90 and -360 <= west <= east <= 540 and east - west <= 360):
        return f"area: {request['area']}"
    further = set(request) - {*_LISTS, *fixed, "pressure_level", "data_format", "download_format", "area", "grid"}
    return f"unknown keys: {further}" if further else None

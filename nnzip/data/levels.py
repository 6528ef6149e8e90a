"""A user's choice of levels: pressure, height, depth or model levels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from nnzip.errors import UsageError

Levels = str | float | Sequence[float]
"""500, [500, 850], "500,850" or "500hPa,850hPa"."""

_NAMES = re.compile(
    r"(pressure_?|model_?|isobaric|hybrid|)_?(level|lev|levels|plev|inhpa|inpa|height|heightaboveground|depth|altitude)\d*"
)
_STANDARD_NAMES = {
    "air_pressure",
    "height",
    "altitude",
    "depth",
    "model_level_number",
    "atmosphere_hybrid_sigma_pressure_coordinate",
}
_PASCALS = {"pa": 1.0, "hpa": 100.0, "mb": 100.0, "mbar": 100.0, "millibar": 100.0, "millibars": 100.0}
_CLOSE = 1e-4  # of a level


def select_levels(dataset: xr.Dataset, levels: Levels) -> xr.Dataset:
    """Only these levels of the variables that have some, in the order of the data; the others as they are.

    Raises UsageError for data without levels, text that is no number, and levels that are not there.
    """
    dims = [str(dim) for dim in dataset.dims if _is_vertical(dataset, str(dim))]
    if not dims:
        raise UsageError(f"the data have no levels, so the level {levels!r} cannot be selected")
    for dim in dims:
        coordinate = dataset[dim]
        units = str(coordinate.attrs.get("units", ""))
        values = coordinate.to_numpy().astype(np.float64)
        chosen = np.zeros(values.size, dtype=np.bool_)
        for level in levels.split(",") if isinstance(levels, str) else np.atleast_1d(levels).tolist():
            here = np.isclose(values, _number(level, units), rtol=_CLOSE, atol=0)
            if not here.any():
                known = ", ".join(f"{value:g}" for value in values)
                raise UsageError(f"there is no level {level} in {dim!r}, which has {known} {units}".rstrip())
            chosen |= here
        dataset = dataset.isel({dim: np.flatnonzero(chosen)})
    return dataset


def _is_vertical(dataset: xr.Dataset, dim: str) -> bool:
    if dim not in dataset.coords or dataset[dim].dtype.kind not in "fiu":
        return False
    attrs = dataset[dim].attrs
    return (
        str(attrs.get("axis", "")).upper() == "Z"
        or "positive" in attrs
        or attrs.get("standard_name") in _STANDARD_NAMES
        or str(attrs.get("units", "")).lower() in _PASCALS
        or _NAMES.fullmatch(dim.lower()) is not None
    )


def _number(level: str | float, units: str) -> float:
    """A level in the coordinate's units."""
    match = re.fullmatch(r"\s*(-?[0-9.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*", str(level))
    own, other = _PASCALS.get(units.lower()), _PASCALS.get(match[2].lower()) if match else None
    try:
        number = float(match[1]) if match else np.nan
    except ValueError:
        number = np.nan
    known = match is not None and (not match[2] or match[2] == units or (own and other))
    if not known or not np.isfinite(number):
        raise UsageError(
            f"{level!r} is no level: write numbers as 500,850, or 500hPa" + f" (the data have {units})" * bool(units)
        )
    return number * other / own if own and other else number

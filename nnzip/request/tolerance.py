"""Error bounds as users write them, with units, and the community's defaults, as numbers in each variable's units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr

from nnzip.errors import UsageError
from nnzip.request.units import convert_difference, split_quantity

DEFAULTS: tuple[tuple[frozenset[str], float, str], ...] = (
    (frozenset({"t2m", "t", "2t", "d2m", "2d", "skt", "sst", "temperature", "air_temperature", "analysed_sst",
                "dew_point_temperature", "sea_surface_temperature", "sea_surface_foundation_temperature"}), 0.05, "K"),
    (frozenset({"u", "v", "u10", "v10", "10u", "10v", "u100", "v100", "eastward_wind", "northward_wind"}), 0.5, "m/s"),
    (frozenset({"z", "geopotential"}), 10.0, "m**2/s**2"),
    (frozenset({"gh", "geopotential_height"}), 1.0, "m"),
    (frozenset({"msl", "sp", "mslp", "prmsl", "air_pressure_at_mean_sea_level", "surface_air_pressure"}), 1.0, "Pa"),
    (frozenset({"tp", "precipitation_amount", "total_precipitation"}), 1e-5, "m"),
)  # fmt: skip
"""Names or standard names, tolerance, units: what the community accepts (design, section 10)."""
DEFAULT_SHARE = 1e-3
"""Of the range, for variables that have no community tolerance."""


def parse_bounds(text: str, what: str = "bound") -> dict[str | None, str]:
    """Text such as "t2m=0.1K,msl=50Pa" or "0.1%" as {variable or None for all: quantity}; none from no text.

    `what` it is called in messages. Raises UsageError.
    """
    bounds: dict[str | None, str] = {}
    for part in text.split(",") if text else ():
        name, equals, quantity = part.rpartition("=")
        key = name.strip() if equals else None
        if not quantity.strip() or (equals and not key) or key in bounds:
            raise UsageError(f"the {what} {part!r} is not of the form t2m=0.1K, 0.1% or 0.5: write one per variable")
        bounds[key] = quantity.strip()
    return bounds


def resolve_bounds(
    dataset: xr.Dataset,
    ranges: Mapping[str, float],
    wanted: Mapping[str | None, str | float] | None,
    *,
    what: str = "bound",
    with_defaults: bool = True,
) -> dict[str, float]:
    """A bound for every variable of `ranges` (name -> largest minus smallest value), in the variable's units.

    `wanted` holds quantities with or without units ("0.1K", "0.1%" of the range, 0.5) per variable, and under None one
    for all others; without it, and for variables it leaves out, the community's tolerance or DEFAULT_SHARE of the
    range, or an error without `with_defaults`. `what` it is called in messages. Raises UsageError for unknown
    variables, units that do not fit and bounds that are not positive.
    """
    asked = dict(wanted or {})
    unknown = [name for name in asked if name is not None and name not in ranges]
    if unknown:
        raise UsageError(
            f"there is no compressed variable {unknown[0]!r} to give a {what}: there are {', '.join(ranges)}"
        )
    bounds = {}
    for name, spread in ranges.items():
        quantity = asked.get(name, asked.get(None))
        if quantity is None and not with_defaults:
            raise UsageError(f"{name} has no {what}: give one for it too ({name}=0.1%), or one for all variables")
        bound = _default(dataset[name], spread) if quantity is None else _resolve(dataset[name], spread, quantity)
        bounds[name] = bound if spread > 0 or bound > 0 else 1.0
        if not bounds[name] > 0:
            raise UsageError(f"the {what} {quantity} of {name} is not positive: it needs to be")
    return bounds


def _resolve(variable: xr.DataArray, spread: float, quantity: str | float) -> float:
    parts = split_quantity(str(quantity))
    if parts is None:
        raise UsageError(f"the bound {quantity!r} of {variable.name} is no number with units, such as 0.1K or 0.1%")
    number, unit = parts
    if not unit:
        return number
    if unit.startswith("%"):
        return number / 100 * spread
    return convert_difference(number, unit, variable)


def _default(variable: xr.DataArray, spread: float) -> float:
    names = {
        str(variable.name),
        str(variable.attrs.get("standard_name", "")),
        str(variable.attrs.get("GRIB_shortName", "")),
    }
    for known, number, unit in DEFAULTS:
        if names & known:
            try:
                return convert_difference(number, unit, variable)
            except UsageError:
                break
    return DEFAULT_SHARE * spread


def describe_wanted(
    dataset: xr.Dataset, names: Sequence[str], wanted: Mapping[str | None, str | float]
) -> Sequence[str]:
    """What each variable will be bounded by, before the data are read: "t2m 0.05 K", "q 0.1 % of its range"."""
    lines = []
    for name in names:
        quantity = wanted.get(name, wanted.get(None))
        units = str(dataset[name].attrs.get("units", ""))
        if quantity is not None:
            plain = isinstance(quantity, float) or str(quantity).replace(".", "").isdigit()
            lines.append(f"{name} {quantity} {units}".rstrip() if plain else f"{name} {quantity}")
        else:
            tolerance = _default(dataset[name], 0.0)
            lines.append(f"{name} {tolerance:g} {units}".rstrip() if tolerance else f"{name} 0.1 % of its range")
    return lines

"""Error bounds as users write them, with units, and the community's tolerances, in each variable's units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from nnzip.errors import UsageError, suggestion
from nnzip.request.units import Label, convert_difference, split_quantity

Quantities = Mapping[str | None, str | float]
"""Text with units ("0.1K", "0.1%" of the range) or a number in the variable's units by variable; None: all others."""

TOLERANCES: tuple[tuple[frozenset[str], float, str], ...] = (
    (frozenset({"t2m", "t", "2t", "d2m", "2d", "skt", "sst", "temperature", "air_temperature", "analysed_sst",
                "dew_point_temperature", "sea_surface_temperature", "sea_surface_foundation_temperature"}), 0.05, "K"),
    (frozenset({"u", "v", "u10", "v10", "10u", "10v", "u100", "v100", "eastward_wind", "northward_wind"}), 0.5, "m/s"),
    (frozenset({"z", "geopotential"}), 10.0, "m**2/s**2"),
    (frozenset({"gh", "geopotential_height"}), 1.0, "m"),
    (frozenset({"msl", "sp", "mslp", "prmsl", "air_pressure_at_mean_sea_level", "surface_air_pressure"}), 1.0, "Pa"),
    (frozenset({"tp", "precipitation_amount", "total_precipitation"}), 1e-5, "m"),
)  # fmt: skip
"""Names, tolerance, units: what the community accepts (design, section 11)."""
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
        other, colon, value = part.partition(":")
        if colon and not equals:
            raise UsageError(f"the {what} {part!r} has a colon: write {other.strip()}={value.strip()}")
        if not quantity.strip() or (equals and not key) or key in bounds:
            raise UsageError(f"the {what} {part!r} is not of the form t2m=0.1K, 0.1% or 0.5: write one per variable")
        bounds[key] = quantity.strip()
    return bounds


def require_known(wanted: Quantities, names: Iterable[str], what: str = "bound") -> None:
    """Raise UsageError for a variable that is none of `names`, those compressed."""
    known = list(names)
    unknown = [name for name in wanted if name is not None and name not in known]
    if unknown:
        raise UsageError(
            f"there is no compressed variable {unknown[0]!r} to give a {what}: {suggestion(unknown[0], known)}"
        )


def resolve_bounds(
    labels: Sequence[Label],
    ranges: Mapping[str, float],
    wanted: Quantities,
    *,
    what: str = "bound",
    with_tolerances: bool = True,
) -> dict[str, float]:
    """A bound for every labelled variable, in its units; `ranges`: largest minus smallest value by name.

    A variable that `wanted` leaves out gets the community's tolerance or DEFAULT_SHARE of its range, or an error
    without `with_tolerances`. A share of the range of a constant is 0: its values are to be exact. Raises UsageError
    for unknown variables, units that do not fit and bounds that are not positive.
    """
    require_known(wanted, ranges, what)
    bounds = {}
    for label in labels:
        quantity = wanted.get(label.name, wanted.get(None))
        if quantity is not None:
            bounds[label.name] = _resolve(label, ranges[label.name], quantity, what)
        elif with_tolerances:
            bounds[label.name] = tolerance(label) or DEFAULT_SHARE * ranges[label.name]
        else:
            raise UsageError(
                f"{label.name} has no {what}: give one for it too ({label.name}=0.1%), or one for all variables"
            )
    return bounds


def tolerance(label: Label) -> float | None:
    """The community's tolerance in the variable's units; None where there is none."""
    for known, number, unit in TOLERANCES:
        if known & {label.name, *label.others}:
            try:
                return convert_difference(number, unit, label)
            except UsageError:
                return None
    return None


def describe_bounds(labels: Sequence[Label], wanted: Quantities) -> list[str]:
    """Each variable's bound before the data are read: "t2m 0.05 K", "q 0.1 % of its range"."""
    lines = []
    for label in labels:
        quantity, found = wanted.get(label.name, wanted.get(None)), tolerance(label)
        if quantity is not None:
            plain = isinstance(quantity, float) or str(quantity).replace(".", "").isdigit()
            lines.append(f"{label.name} {quantity} {label.units}".rstrip() if plain else f"{label.name} {quantity}")
        else:
            usual = f"{found:g} {label.units}".rstrip() if found else f"{100 * DEFAULT_SHARE:g} % of its range"
            lines.append(f"{label.name} {usual}")
    return lines


def _resolve(label: Label, spread: float, quantity: str | float, what: str) -> float:
    parts = split_quantity(str(quantity))
    if parts is None:
        raise UsageError(f"the bound {quantity!r} of {label.name} is no number with units, such as 0.1K or 0.1%")
    number, unit = parts
    if not 0 < number < inf:
        raise UsageError(f"the {what} {quantity} of {label.name} is not positive: it needs to be (--lossless is exact)")
    if not unit:
        return number
    share = unit.partition(" ")[0] == "%"  # "0.1%", "0.1 % of its range"
    if unit.startswith("%") and not share:
        raise UsageError(
            f"the {what} {quantity!r} of {label.name} is no share of its range, such as 0.1%: shares of each value are "
            "kept by nnzip's Zarr codec alone"
        )
    return number / 100 * spread if share else convert_difference(number, unit, label)

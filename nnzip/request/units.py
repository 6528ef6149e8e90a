"""Numbers with units as users write them ("0.1K", "30 degC"), converted to a variable's own units by pint."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import xarray as xr

from nnzip.errors import UsageError

_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")
_DIGITS = 12  # of a converted value: 20 mm are 0.02 m, not 0.020000000000000004 m


def split_quantity(text: str) -> tuple[float, str] | None:
    """Number and unit ("" without one) of a quantity, or None when the text is none."""
    match = _QUANTITY.match(text)
    return (float(match.group(1)), match.group(2)) if match else None


def convert_difference(number: float, unit: str, variable: xr.DataArray) -> float:
    """A difference in other units as one in the variable's, so 1 degC is 1 K. Raises UsageError."""
    zero, value = _convert((0.0, number), unit, variable)
    return value - zero


def convert_value(number: float, unit: str, variable: xr.DataArray) -> float:
    """A value in other units as one in the variable's, so 30 degC are 303.15 K. Raises UsageError."""
    return float(f"{_convert((number,), unit, variable)[0]:.{_DIGITS}g}")


def _convert(numbers: tuple[float, ...], unit: str, variable: xr.DataArray) -> list[float]:
    units, registry = str(variable.attrs.get("units", "")), _registry()
    try:
        own, other = (registry.parse_units(_spelled(text)) for text in (units, unit))
        return [float(registry.Quantity(number, other).to(own).magnitude) for number in numbers]
    except Exception as error:
        raise UsageError(
            f"{numbers[-1]:g} {unit} of {variable.name} cannot be expressed in its units, {units or 'none'}: use those"
        ) from error


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


def _spelled(units: str) -> str:
    """CF's spelling of units as pint's: `m s**-1` and `m s-1` are m * s^-1."""
    known = {"C": "degC", "Celsius": "degC", "K": "kelvin", "gpm": "meter", "gpdm": "decameter", "1": ""}
    words = []
    for word in units.split():
        words.append(re.sub(r"([A-Za-z]+)(-?\d+)", r"\1**\2", known.get(word, word)))
    return " * ".join(word for word in words if word)

"""Numbers with units as users write them ("0.1K", "30 degC"), converted to a variable's own units by pint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nnzip.errors import UsageError

_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")
_DIGITS = 12  # of a converted value: 20 mm are 0.02 m, not 0.020000000000000004 m


@dataclass(frozen=True)
class Label:
    """A variable's name, its units ("": none), and the other names it goes by (standard name, GRIB short name)."""

    name: str
    units: str = ""
    others: frozenset[str] = frozenset()


def split_quantity(text: str) -> tuple[float, str] | None:
    """Number and unit ("" without one) of a quantity, or None when the text is none."""
    match = _QUANTITY.match(text)
    return (float(match.group(1)), match.group(2)) if match else None


def convert_difference(number: float, unit: str, label: Label) -> float:
    """A difference in other units as one in the variable's, so 1 degC is 1 K. Raises UsageError."""
    zero, value = _convert((0.0, number), unit, label)
    return value - zero


def convert_value(number: float, unit: str, label: Label) -> float:
    """A value in other units as one in the variable's, so 30 degC are 303.15 K. Raises UsageError."""
    return float(f"{_convert((number,), unit, label)[0]:.{_DIGITS}g}")


def threshold(text: str, label: Label) -> float:
    """A threshold such as "30 degC", or a plain number, in the variable's units. Raises UsageError."""
    parts = split_quantity(text)
    if parts is None:
        raise UsageError(f"the threshold {text!r} of {label.name} is no number with units, such as 30 degC")
    number, unit = parts
    return convert_value(number, unit, label) if unit else number


def _convert(numbers: tuple[float, ...], unit: str, label: Label) -> list[float]:
    registry = _registry()
    try:
        own, other = (registry.parse_units(_spelled(text)) for text in (label.units, unit))
        return [float(registry.Quantity(number, other).to(own).magnitude) for number in numbers]
    except Exception as error:  # pint raises many kinds, also of the standard library, for text that is no unit
        raise UsageError(
            f"{numbers[-1]:g} {unit} of {label.name} cannot be expressed in its units, {label.units or 'none'}: use "
            "those"
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

"""What the chunks of an array keep, as a codec's configuration says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from nnzip.request.units import split_quantity

Kind = Literal["max_error", "relative_error", "rmse"]
Quantity = float | str
"""A number in the array's own units, or text such as "0.05 K" with units that are no multiples of others, for arrays in
these; "1%" of a relative error."""

_PLAIN = re.compile(r"(K|degC|°C|C|Celsius|Pa|kg|m|s|J|W|N|gpm)?([-+^]?\d+)?")  # a factor of SI units, no mK or hPa


@dataclass(frozen=True)
class Tolerance:
    """For decoded y and original x: |y - x| <= number (`max_error`), |y - x| <= number |x| (`relative_error`), or the
    RMSE of a chunk <= number (`rmse`). Zero is exact. Points that are equal to `fill_value` are exact."""

    kind: Kind
    number: float
    fill_value: float | None = None

    @classmethod
    def of(
        cls,
        max_error: Quantity | None,
        relative_error: Quantity | None,
        rmse: Quantity | None,
        fill_value: float | None,
    ) -> Tolerance:
        """Raises ValueError unless exactly one of the first three is given, and is a number >= 0."""
        wanted: dict[Kind, Quantity | None] = {
            "max_error": max_error,
            "relative_error": relative_error,
            "rmse": rmse,
        }
        given = {kind: quantity for kind, quantity in wanted.items() if quantity is not None}
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"an nnzip codec needs one of max_error, relative_error and rmse, and has {found}")
        ((kind, quantity),) = given.items()
        number = _number(kind, quantity)
        if not 0 <= number < inf:
            raise ValueError(f"the {kind} {quantity!r} of an nnzip codec is not a finite number >= 0 (0 is exact)")
        if fill_value is not None and np.isnan(fill_value):
            fill_value = None  # NaN is always kept
        return cls(kind, number, fill_value)


def _number(kind: Kind, quantity: Quantity) -> float:
    if not isinstance(quantity, str):
        return float(quantity)
    parts = split_quantity(quantity)
    if parts is None:
        raise ValueError(f"the {kind} {quantity!r} of an nnzip codec is no number, nor one with units such as '0.05 K'")
    number, unit = parts
    if unit == "%" and kind == "relative_error":
        return number / 100
    if unit == "%":
        raise ValueError(
            f"the {kind} {quantity!r} of an nnzip codec is a share of a range, unknown to a codec: write a number"
        )
    if unit and (kind == "relative_error" or not all(map(_PLAIN.fullmatch, re.split(r"[\s*/.]+", unit)))):
        raise ValueError(
            f"the {kind} {quantity!r} of an nnzip codec cannot be converted, as a codec does not know the units of its "
            f"array: write a number in {'shares of each value' if kind == 'relative_error' else 'those units'}"
        )
    return number

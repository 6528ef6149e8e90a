"""What counts as extreme and how much better it shall be kept: "p99:0.2" and its like, parsed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnzip.errors import UsageError
from nnzip.field.tails import STEEPEST, Side, TailOptions

SIDES: tuple[Side, ...] = ("both", "upper", "lower")
LOCAL = "local"
FACTOR = 0.2
"""Where none is given."""

_REMEDY = "write it as p99, p99:0.2 or p99.9:0.1:upper:local (percentile, share of the usual error, side, scope)"


@dataclass(frozen=True)
class Extremes:
    """Values beyond the `percentile` (above 50, below 100), on the lower side beyond its mirror image, shall have
    `factor` (0.001 to 1) of the error of others; `local`: percentiles of the values around the same latitude.
    """

    percentile: float
    factor: float = FACTOR
    side: Side = "both"
    local: bool = False

    @property
    def text(self) -> str:
        """As `parse_extremes` reads it."""
        words = [f"p{self.percentile:g}", f"{self.factor:g}", *([] if self.side == "both" else [self.side])]
        return ":".join([*words, LOCAL] if self.local else words)

    def tail_options(self) -> TailOptions:
        """What the field is fitted with."""
        return TailOptions(self.percentile, 1 / self.factor, self.side, self.local)


def parse_extremes(text: str) -> tuple[Extremes, ...]:
    """Extremes from "p99", "p99:0.1", "p99:0.1:upper" or several such as "p99:0.2,p99.9:0.05:lower:local".

    Raises UsageError.
    """
    return tuple(_parse_one(part.strip(), text) for part in text.split(","))


def _parse_one(part: str, text: str) -> Extremes:
    name, *words = part.split(":")
    percentile = _number(name[1:]) if name[:1].lower() == "p" else math.nan
    if not 50 < percentile < 100:
        raise UsageError(f"--extremes {text}: {name!r} is no percentile between p50 and p100: {_REMEDY}")
    factor, side, local = FACTOR, SIDES[0], False
    for word in words:
        if word in SIDES:
            side = next(known for known in SIDES if known == word)
        elif word == LOCAL:
            local = True
        else:
            factor = _number(word)
            if not 1 / STEEPEST <= factor <= 1:
                raise UsageError(f"--extremes {text}: {word!r} is no share from {1 / STEEPEST:g} to 1: {_REMEDY}")
    return Extremes(percentile, factor, side, local)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

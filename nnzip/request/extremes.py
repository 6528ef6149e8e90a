"""Which values of an archive of a given ratio or size shall have a smaller error than the rest: "p99:0.2", parsed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nnzip.data.grouping import Group
from nnzip.errors import UsageError
from nnzip.transform.stretch import STEEPEST, TailOptions

FACTOR = 0.2
"""Where none is given."""

_TEXT = re.compile(
    r"\s*(?P<name>[^<>=:,]*?)\s*(?P<sign>[<>=]?)\s*[pP](?P<first>\d*\.?\d+)(?:\s*,\s*[pP](?P<second>\d*\.?\d+))?"
    r"(?::(?P<factor>\d*\.?\d+))?(?P<local>:local)?\s*"
)


@dataclass(frozen=True)
class Extremes:
    """Values beyond percentiles shall have `factor` (0.001 to 1) of the error of the others.

    `upper` (50 to 100) and `lower` (0 to 50): percentiles of a variable's values, per level; None: not that side.
    `local`: of the values around the same latitude, in standard deviations. `variable` None: all.
    """

    lower: float | None = 1.0
    upper: float | None = 99.0
    factor: float = FACTOR
    local: bool = False
    variable: str | None = None

    def __post_init__(self) -> None:
        if not 1 / STEEPEST <= self.factor <= 1:
            raise UsageError(f"extremes with {self.factor:g} of the error: the share lies from {1 / STEEPEST:g} to 1")
        lower_fits = self.lower is None or 0 < self.lower < 50
        upper_fits = self.upper is None or 50 < self.upper < 100
        if not lower_fits or not upper_fits or self.lower is self.upper is None:
            given = " and ".join(
                f"p{percentile:g}" for percentile in (self.lower, self.upper) if percentile is not None
            )
            raise UsageError(
                f"extremes beyond {given or 'nothing'}: a lower percentile lies between p0 and p50, an upper one "
                "between p50 and p100"
            )

    def __str__(self) -> str:
        name, local = self.variable or "", ":local" if self.local else ""
        if self.lower is None:
            return f"{name}>p{self.upper:.9g}:{self.factor:.9g}{local}"
        if self.upper is None:
            return f"{name}<p{self.lower:.9g}:{self.factor:.9g}{local}"
        return f"{name and f'{name}='}p{self.lower:.9g},p{self.upper:.9g}:{self.factor:.9g}{local}"


def parse_extremes(text: str) -> Extremes:
    """Extremes from "p99", "p99:0.1", ">p99:0.1", "t2m<p1:0.1", "t2m=p5,p99.9:0.1" or "p99.9:0.1:local"; the inverse of
    str().

    Raises UsageError.
    """
    match = _TEXT.fullmatch(text)
    sides = match and _sides(match["sign"], match["first"], match["second"])
    if match is None or sides is None or (match["name"] and not match["sign"]):
        raise UsageError(
            f"--extremes {text!r}: write it as p99, p99:0.1, '>p99:0.1', 't2m<p1:0.1' or p99.9:0.1:local "
            "(percentile, share of the error of other values)"
        )
    factor = FACTOR if match["factor"] is None else float(match["factor"])
    return Extremes(*sides, factor, match["local"] is not None, match["name"] or None)


def tail_options(extremes: Sequence[Extremes], group: Group) -> tuple[TailOptions, ...]:
    """What the field of a group is fitted with."""
    found = []
    for kept in extremes:
        parts = [part for layout, part in group.parts() if kept.variable in (None, layout.name)]
        channels = frozenset(channel for part in parts for channel in range(part.start, part.stop))
        if channels:
            found.append(TailOptions(1 / kept.factor, kept.lower, kept.upper, kept.local, channels))
    return tuple(found)


def require_variables(extremes: Sequence[Extremes], groups: Sequence[Group]) -> None:
    """Raise UsageError for extremes of a variable that is not compressed."""
    names = [layout.name for group in groups for layout in group.variables]
    for kept in extremes:
        if kept.variable is not None and kept.variable not in names:
            raise UsageError(
                f"--extremes {kept}: there is no compressed variable {kept.variable!r}; there are {', '.join(names)}"
            )


def _sides(sign: str, first: str, second: str | None) -> tuple[float | None, float | None] | None:
    """Lower and upper percentile; one alone means its mirror image too. None: no such thing."""
    one = float(first)
    if second is not None:
        return None if sign in ("<", ">") else (one, float(second))
    if sign in ("<", ">"):
        return (None, one) if sign == ">" else (one, None)
    low, high = sorted((one, round(100 - one, 9)))
    return low, high

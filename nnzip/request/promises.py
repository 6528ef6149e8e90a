"""What a user may ask to be kept beyond the bound, as text and as frozen objects. Nothing here knows the data.

| option            | text                                | promise                                             |
|-------------------|-------------------------------------|-----------------------------------------------------|
| `extremes`        | `p99:0.1`, `t2m=p99:0.1`            | a tenth of the bound beyond each cell's p1 and p99   |
|                   | `>p99:0.1`, `t2m<p5:0.1`            | beyond one percentile only                           |
|                   | `p5,p99.9:0.1`                      | beyond a lower and an upper one                      |
|                   | `t2m>305K:0.1`                      | beyond a value                                       |
| `preserve`        | `t2m > 30 degC`; `>=`, `<`, `<=`    | the same points fulfil it after decoding             |
| `preserve-maxima` | `day`, `month`, `year`, `t2m=day`   | per cell and block the maximum stays where it is     |
| `preserve-minima` |                                     | likewise                                             |
| `region`          | `10,35,270,300:0.5`                 | half the bound within south,north,west,east          |
|                   | `land:0.5`, `t2m=land:0.5`          | where the variable `land` is neither 0 nor missing   |

A text without a variable means every compressed variable (that has what it takes). Parsing raises UsageError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from nnzip.data.selection import Box, parse_bbox
from nnzip.data.times import BLOCKS
from nnzip.errors import UsageError
from nnzip.request.units import split_quantity

COMPARISONS = (">=", "<=", ">", "<")

_EXTREMES = re.compile(r"\s*(?P<name>[^<>=:,]*?)\s*(?P<sign>>=|<=|=?[<>]|=)?\s*(?P<limit>[^<>=:]+?)\s*")
_PERCENTILE = re.compile(r"p(\d+\.?\d*|\.\d+)")
_PRESERVE = re.compile(r"\s*(?P<name>[^<>=:]+?)\s*(?P<sign>>=|<=|[<>])\s*(?P<limit>[^<>=:]+?)\s*")


@dataclass(frozen=True)
class TailTolerance:
    """`factor` times the bound below each cell's `lower` and above its `upper` percentile of the whole record."""

    factor: float
    lower: float | None = 1.0
    upper: float | None = 99.0
    variable: str | None = None

    def __post_init__(self) -> None:
        _check_factor(self.factor)
        for percentile in (self.lower, self.upper):
            if percentile is not None:
                _inside(percentile)
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise UsageError(f"the tails below p{self.lower:g} and above p{self.upper:g} overlap: swap the percentiles")

    def __str__(self) -> str:
        if self.lower is None or self.upper is None:
            sides = f">p{self.upper:.9g}" if self.lower is None else f"<p{self.lower:.9g}"
            return f"extremes {self.variable or ''}{sides}:{self.factor:g}"
        return f"extremes {_prefix(self.variable)}p{self.lower:.9g},p{self.upper:.9g}:{self.factor:g}"


@dataclass(frozen=True)
class ThresholdTolerance:
    """`factor` times the bound where the original fulfils the comparison with `threshold` (a number or "305 K")."""

    variable: str
    comparison: str
    threshold: str
    factor: float

    def __post_init__(self) -> None:
        _check_factor(self.factor)
        _check_comparison(self.variable, self.comparison, self.threshold)

    def __str__(self) -> str:
        return f"extremes {self.variable} {self.comparison} {self.threshold}:{self.factor:g}"


@dataclass(frozen=True)
class ExceedanceSet:
    """The points that fulfil the comparison with `threshold` (a number or "30 degC") are the same after decoding."""

    variable: str
    comparison: str
    threshold: str

    def __post_init__(self) -> None:
        _check_comparison(self.variable, self.comparison, self.threshold)

    def __str__(self) -> str:
        return f"preserve {self.variable} {self.comparison} {self.threshold}"


@dataclass(frozen=True)
class BlockExtremes:
    """Per cell and block ("day", "month", "year") the first time of the largest (or smallest) value stays the same."""

    block: str
    largest: bool = True
    variable: str | None = None

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise UsageError(f"there are no blocks {self.block!r}: maxima and minima are of a {' or '.join(BLOCKS)}")

    def __str__(self) -> str:
        return f"preserve-{'maxima' if self.largest else 'minima'} {_prefix(self.variable)}{self.block}"


@dataclass(frozen=True)
class RegionTolerance:
    """`factor` times the bound in a box of degrees, or where the variable `where` is neither zero nor missing."""

    where: Box | str
    factor: float
    variable: str | None = None

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def __str__(self) -> str:
        where = self.where if isinstance(self.where, str) else ",".join(f"{degrees:.9g}" for degrees in self.where)
        return f"region {_prefix(self.variable)}{where}:{self.factor:g}"


Request = TailTolerance | ThresholdTolerance | ExceedanceSet | BlockExtremes | RegionTolerance


def parse_promise(text: str) -> Request:
    """A promise from its option and text, such as "extremes p99:0.1"; the inverse of str(). Raises UsageError."""
    option, _, rest = text.strip().partition(" ")
    if option not in _PARSERS:
        raise UsageError(f"there is no promise {option!r} (in {text!r}): choose from {', '.join(_PARSERS)}")
    return _PARSERS[option](rest.strip())


def _parse_extremes(text: str) -> Request:
    limits, _, share = text.rpartition(":")
    match = _EXTREMES.fullmatch(limits)
    factor = _factor(share)
    form = f"--extremes {text!r} is not of the form p99:0.1, >p99:0.1, t2m=p1,p99:0.1 or t2m>305K:0.1"
    if match is None or factor is None:
        raise UsageError(form)
    name, limit = match.group("name") or None, match.group("limit")
    sign = (match.group("sign") or "=").removeprefix("=") or "="
    percentiles = [_PERCENTILE.fullmatch(part.strip()) for part in limit.split(",")]
    found = [_inside(float(percentile.group(1))) for percentile in percentiles if percentile]
    if len(found) == len(percentiles) == (2 if "," in limit else 1):
        if sign == "=":
            low, high = found if len(found) == 2 else sorted((found[0], round(100 - found[0], 9)))
            return TailTolerance(factor, low, high, name)
        if len(found) == 1:
            upper = sign.startswith(">")
            return TailTolerance(factor, None if upper else found[0], found[0] if upper else None, name)
    if name is None or sign == "=":
        raise UsageError(form)
    return ThresholdTolerance(name, sign, limit, factor)


def _parse_preserve(text: str) -> Request:
    match = _PRESERVE.fullmatch(text)
    if match is None:
        raise UsageError(f'--preserve {text!r} is not of the form "t2m > 30 degC", with >, >=, < or <=')
    return ExceedanceSet(match.group("name"), match.group("sign"), match.group("limit"))


def _parse_region(text: str) -> Request:
    target, _, share = text.rpartition(":")
    name, _, where = target.rpartition("=")
    factor = _factor(share)
    if factor is None or not where.strip():
        raise UsageError(f"--region {text!r} is not of the form south,north,west,east:0.5 or mask_variable:0.5")
    place = parse_bbox(where) if "," in where else where.strip()
    return RegionTolerance(place, factor, name.strip() or None)


def _parse_block(largest: bool) -> Callable[[str], Request]:
    def parse(text: str) -> Request:
        name, _, block = text.rpartition("=")
        return BlockExtremes(block.strip(), largest, name.strip() or None)

    return parse


_PARSERS: dict[str, Callable[[str], Request]] = {
    "extremes": _parse_extremes,
    "preserve": _parse_preserve,
    "preserve-maxima": _parse_block(True),
    "preserve-minima": _parse_block(False),
    "region": _parse_region,
}


def _inside(percentile: float) -> float:
    if not 0 < percentile < 100:
        raise UsageError(f"there is no percentile p{percentile:g}: they lie between 0 and 100, such as p99")
    return percentile


def _factor(text: str) -> float | None:
    parts = split_quantity(text)
    return parts[0] if parts is not None and not parts[1] else None


def _check_factor(factor: float) -> None:
    if not 0 < factor < 1:
        raise UsageError(f"the factor {factor:g} of a promise is not between 0 and 1: 0.1 asks for a tenth")


def _check_comparison(variable: str, comparison: str, threshold: str) -> None:
    if comparison not in COMPARISONS:
        raise UsageError(f"{comparison!r} compares nothing: write >, >=, < or <=")
    if split_quantity(threshold) is None:
        raise UsageError(f"the threshold {threshold!r} of {variable} is no number with units, such as 30 degC")


def _prefix(variable: str | None) -> str:
    return "" if variable is None else f"{variable}="

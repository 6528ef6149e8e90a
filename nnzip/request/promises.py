"""What a user may ask to be kept better than the rest, as text and as frozen objects, for every kind of target.

| option            | text                                | promise under an error bound                        |
|-------------------|-------------------------------------|-----------------------------------------------------|
| `extremes`        | `p99`, `p99:0.1`, `t2m=p99:0.1`     | a share of the bound beyond each cell's p1 and p99   |
|                   | `>p99:0.1`, `t2m<p5:0.1`            | beyond one percentile only                           |
|                   | `p5,p99.9:0.1`                      | beyond a lower and an upper one                      |
|                   | `p99:0.1:local`                     | extreme for its latitude (with a ratio or a size)    |
|                   | `t2m>305K:0.1`                      | beyond a value                                       |
| `preserve`        | `t2m > 30 degC`; `>=`, `<`, `<=`    | the same points fulfil it after decoding             |
| `preserve-maxima` | `day`, `month`, `year`, `t2m=day`   | per cell and block the maximum stays where it is     |
| `preserve-minima` |                                     | likewise                                             |
| `region`          | `10,35,270,300:0.5`                 | half the bound within south,north,west,east          |
|                   | `land:0.5`, `t2m=land:0.5`          | where the variable `land` is neither 0 nor missing   |

With a ratio or a size, extremes beyond percentiles of a variable's values have a share of the error of the others. A
text without a variable means every compressed variable (that has what it takes). Parsing raises UsageError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from nnzip.data.area import Area, parse_bbox
from nnzip.errors import UsageError
from nnzip.request.target import Target
from nnzip.request.units import split_quantity

COMPARISONS = (">=", "<=", ">", "<")
BLOCKS = ("day", "month", "year")
FACTOR = 0.2
"""Of extremes, where the text has none."""
SMALLEST_FACTOR = 1e-3
"""That a ratio or a size allows."""

_EXTREMES = re.compile(r"\s*(?P<name>[^<>=,]*?)\s*(?P<sign>>=|<=|=?[<>]|=)?\s*(?P<limit>[^<>=]+?)\s*")
_PERCENTILE = re.compile(r"[pP](\d+\.?\d*|\.\d+)")
_PRESERVE = re.compile(r"\s*(?P<name>[^<>=:]+?)\s*(?P<sign>>=|<=|[<>])\s*(?P<limit>[^<>=:]+?)\s*")


@dataclass(frozen=True)
class TailTolerance:
    """`factor` times the bound, or the error of the others, below the `lower` and above the `upper` percentile (None:
    not that side).

    Percentiles under a bound: of each cell over the record; with a ratio or a size: of all values of a channel, `local`
    of those around the same latitude, in standard deviations.
    """

    factor: float = FACTOR
    lower: float | None = 1.0
    upper: float | None = 99.0
    variable: str | None = None
    local: bool = False

    def __post_init__(self) -> None:
        _check_factor(self.factor)
        for percentile in (self.lower, self.upper):
            if percentile is not None:
                _inside(percentile)
        if self.lower is self.upper is None:
            raise UsageError("extremes beyond nothing: name a lower or an upper percentile")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise UsageError(f"the tails below p{self.lower:g} and above p{self.upper:g} overlap: swap the percentiles")

    def __str__(self) -> str:
        if self.lower is None or self.upper is None:
            sides = f"{self.variable or ''}" + (f">p{self.upper:.9g}" if self.lower is None else f"<p{self.lower:.9g}")
        else:
            sides = f"{_prefix(self.variable)}p{self.lower:.9g},p{self.upper:.9g}"
        return f"extremes {sides}:{self.factor:.9g}{':local' if self.local else ''}"


@dataclass(frozen=True)
class ThresholdTolerance:
    """`factor` times the bound where the original fulfils the comparison with `threshold` (a number or "305 K")."""

    variable: str
    comparison: str
    threshold: str
    factor: float = FACTOR

    def __post_init__(self) -> None:
        _check_factor(self.factor)
        _check_comparison(self.variable, self.comparison, self.threshold)

    def __str__(self) -> str:
        return f"extremes {self.variable} {self.comparison} {self.threshold}:{self.factor:.9g}"


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
    """`factor` times the bound in an area of degrees, or where the variable `where` is neither zero nor missing."""

    where: Area | str
    factor: float
    variable: str | None = None

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def __str__(self) -> str:
        where = self.where if isinstance(self.where, str) else ",".join(f"{degrees:.9g}" for degrees in self.where)
        return f"region {_prefix(self.variable)}{where}:{self.factor:.9g}"


Promise = TailTolerance | ThresholdTolerance | ExceedanceSet | BlockExtremes | RegionTolerance


def parse_promise(text: str) -> Promise:
    """A promise from its option and text, such as "extremes p99:0.1"; the inverse of str(). Raises UsageError."""
    option, _, rest = text.strip().partition(" ")
    if option not in _PARSERS:
        raise UsageError(f"there is no promise {option!r} (in {text!r}): choose from {', '.join(_PARSERS)}")
    return _PARSERS[option](rest.strip())


def check_together(target: Target, promise: Promise) -> None:
    """Raise UsageError for a promise that archives with this target cannot keep, with the remedy."""
    text = repr(str(promise))
    if target.lossless:
        raise UsageError(f"every value is exact without {text}: leave that out")
    if target.max_error is not None:
        if isinstance(promise, TailTolerance) and promise.local:
            raise UsageError(
                f"{text}: with an error bound the percentiles are those of each cell, which is more local than its "
                "latitude: leave out :local"
            )
    elif isinstance(promise, TailTolerance):
        _check_tails_of_budget(target, promise)
    else:
        instead = "" if not target.limits_size else ", or for a percentile, such as >p99"
        raise UsageError(
            f"{text} needs an error bound: ask for a largest error (--max-error) instead of another target, which "
            f"bounds nothing{instead if isinstance(promise, ThresholdTolerance) else ''}"
        )


def _check_tails_of_budget(target: Target, tails: TailTolerance) -> None:
    if not target.limits_size:
        raise UsageError(
            f"{str(tails)!r}: extremes go with a ratio or a size (a share of the others' error) or with a largest "
            "error (--max-error; a share of it): ask for one of these"
        )
    if tails.factor < SMALLEST_FACTOR:
        raise UsageError(
            f"extremes with {tails.factor:g} of the error: the share lies from {SMALLEST_FACTOR:g} to 1 with a ratio "
            "or a size"
        )
    if not (tails.lower is None or tails.lower < 50) or not (tails.upper is None or tails.upper > 50):
        given = " and ".join(f"p{side:g}" for side in (tails.lower, tails.upper) if side is not None)
        raise UsageError(
            f"extremes beyond {given}: with a ratio or a size a lower percentile lies between p0 and p50, an upper one "
            "between p50 and p100"
        )


def _parse_extremes(text: str) -> Promise:
    head, *rest = text.split(":")
    local = rest[-1:] == ["local"]
    factor = _factor(":".join(rest[:-1] if local else rest)) if rest[local:] else FACTOR
    match = _EXTREMES.fullmatch(head)
    form = f"--extremes {text!r} is not of the form p99, p99:0.1, >p99:0.1, t2m=p1,p99:0.1 or t2m>305K:0.1"
    if match is None or factor is None:
        raise UsageError(form)
    name, limit = match["name"] or None, match["limit"]
    sign = (match["sign"] or "").removeprefix("=") or match["sign"]
    percentiles = [_PERCENTILE.fullmatch(part.strip()) for part in limit.split(",")]
    found = [_inside(float(percentile[1])) for percentile in percentiles if percentile]
    if len(found) == len(percentiles) == (2 if "," in limit else 1) and (name is None or sign):
        if sign in (None, "="):
            lower, upper = found if len(found) == 2 else sorted((found[0], round(100 - found[0], 9)))
            return TailTolerance(factor, lower, upper, name, local)
        if len(found) == 1:
            low, high = (None, found[0]) if sign.startswith(">") else (found[0], None)
            return TailTolerance(factor, low, high, name, local)
    if name is None or sign in (None, "=") or local or "," in limit:
        raise UsageError(form)
    return ThresholdTolerance(name, sign, limit, factor)


def _parse_preserve(text: str) -> Promise:
    match = _PRESERVE.fullmatch(text)
    if match is None:
        raise UsageError(f'--preserve {text!r} is not of the form "t2m > 30 degC", with >, >=, < or <=')
    return ExceedanceSet(match["name"], match["sign"], match["limit"])


def _parse_region(text: str) -> Promise:
    place, _, share = text.rpartition(":")
    name, _, where = place.rpartition("=")
    factor = _factor(share)
    if factor is None or not where.strip():
        raise UsageError(f"--region {text!r} is not of the form south,north,west,east:0.5 or mask_variable:0.5")
    area = parse_bbox(where) if "," in where else where.strip()
    return RegionTolerance(area, factor, name.strip() or None)


def _parse_block(largest: bool) -> Callable[[str], Promise]:
    def parse(text: str) -> Promise:
        name, _, block = text.rpartition("=")
        return BlockExtremes(block.strip(), largest, name.strip() or None)

    return parse


_PARSERS: dict[str, Callable[[str], Promise]] = {
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

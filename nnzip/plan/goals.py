"""What each variable is to reach, in its own units: from a target and the ranges of the data to numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import frexp, ldexp

from nnzip.errors import UsageError
from nnzip.request.bounds import Quantities, resolve_bounds
from nnzip.request.units import Label

GUARD = 2e-6
"""Of a channel's range: decoders on other machines, devices and libraries differ by up to a fifth of it (measured)."""

_DIGITS = {"float32": (24, -149), "float64": (53, -1074)}  # of the significand; exponent of the smallest number


@dataclass(frozen=True)
class Survey:
    """A variable's range: per channel its smallest and largest finite value (infinite, -infinite where there is none),
    and the type of its values."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    dtype: str

    @property
    def ranges(self) -> tuple[float, ...]:
        """Per channel, 0 where nothing is finite."""
        return tuple(max(high - low, 0.0) for low, high in zip(self.low, self.high, strict=True))

    @property
    def range(self) -> float:
        """Of all channels together."""
        return max(max(self.high) - min(self.low), 0.0)

    @property
    def largest(self) -> float:
        """Largest magnitude of a finite value."""
        return max(abs(min(self.low)), abs(max(self.high)))


@dataclass(frozen=True)
class Bound:
    """Largest error of a variable, 0 where every value is to be exact.

    `guards`: per channel, what decoders' arithmetic may differ by; `finest`: the smallest tolerance they can keep.
    """

    number: float
    guards: tuple[float, ...]
    finest: float = 0.0

    @property
    def exact(self) -> bool:
        return self.number == 0


def exact(survey: Survey) -> Bound:
    """The bound of a variable whose values are not to change."""
    return Bound(0.0, (0.0,) * len(survey.low))


def bounds(labels: Sequence[Label], surveys: Mapping[str, Survey], wanted: Quantities) -> dict[str, Bound]:
    """The bound of every labelled variable. Raises UsageError for one that cannot be kept, with the numbers."""
    numbers = resolve_bounds(labels, {name: survey.range for name, survey in surveys.items()}, wanted)
    return {label.name: _bound(label, surveys[label.name], numbers[label.name]) for label in labels}


def rmse_of(labels: Sequence[Label], surveys: Mapping[str, Survey], wanted: Quantities) -> dict[str, float]:
    """The RMSE asked for of every labelled variable, 0 where it is to be exact.

    Raises UsageError for one that float32 cannot keep, with the numbers.
    """
    ranges = {name: survey.range for name, survey in surveys.items()}
    numbers = resolve_bounds(labels, ranges, wanted, what="RMSE", with_tolerances=False)
    return {label.name: _rmse(label, surveys[label.name], numbers[label.name]) for label in labels}


def rmse_of_psnr(labels: Sequence[Label], surveys: Mapping[str, Survey], psnr: float) -> dict[str, float]:
    """The unweighted RMSE of every labelled variable that a PSNR in dB stands for; otherwise as `rmse_of`."""
    share = 10 ** (-psnr / 20)
    return {label.name: _rmse(label, surveys[label.name], share * surveys[label.name].range) for label in labels}


def rounding(largest: float, dtype: str) -> float:
    """By how much a value of at most this magnitude changes when it is rounded to a type."""
    digits, smallest = _DIGITS[dtype]
    return ldexp(0.5, max(frexp(largest)[1] - digits, smallest))


def _bound(label: Label, survey: Survey, number: float) -> Bound:
    if number == 0:
        return exact(survey)
    guards = tuple(GUARD * spread for spread in survey.ranges)
    guard, rounded = max(guards), rounding(survey.largest + number, survey.dtype)
    if number <= guard + rounded:
        raise UsageError(
            f"the bound {number:.4g} {label.units} of {label.name} cannot be promised: decoders on different machines "
            f"may differ by {guard:.2g} {label.units} and {survey.dtype} rounds by {rounded:.2g} {label.units}: ask "
            f"for at least {1.01 * (guard + rounded):.3g} {label.units}, or keep the values exactly (--lossless)"
        )
    return Bound(number, guards, guard + rounded)


def _rmse(label: Label, survey: Survey, number: float) -> float:
    finest = 2 * rounding(survey.largest, "float32")
    if survey.range > 0 and number < finest:
        raise UsageError(
            f"the RMSE {number:.3g} {label.units} of {label.name} is below float32's rounding, {finest:.2g} "
            f"{label.units}: ask for more, or keep the values exactly (--lossless)"
        )
    return number

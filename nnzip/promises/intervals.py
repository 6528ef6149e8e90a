"""Which decoded values are allowed: closed intervals [low, high] of numbers of the output type, point by point.

Rounding to nearest is monotonic and leaves numbers of the type alone, so a float64 inside such an interval is inside
after it was rounded to the output type: rounding needs no allowance of its own. Promises combine by intersection.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import UsageError

Values = NDArray[np.floating]
Points = NDArray[np.bool_]


class Intervals:
    """Limits `low` and `high` of the output type, in the shape of the values; NaN where a value is missing."""

    def __init__(self, original: NDArray[np.float64], tolerance: float, dtype: str) -> None:
        """At most `tolerance` from `original`, by float64 arithmetic on numbers of type `dtype`."""
        self.dtype = dtype
        self.low, self.high = _around(original, tolerance, dtype)

    def tighten(self, original: NDArray[np.float64], tolerance: float, where: Points) -> None:
        """At most `tolerance` from `original` at the points `where`."""
        low, high = _around(original[where], tolerance, self.dtype)
        self.low[where] = np.maximum(self.low[where], low)
        self.high[where] = np.minimum(self.high[where], high)

    def raise_low(self, limit: Values | np.floating, where: Points) -> None:
        """Not below `limit` (of the output type, broadcast) at the points `where`."""
        np.maximum(self.low, limit, out=self.low, where=where)

    def cap_high(self, limit: Values | np.floating, where: Points) -> None:
        """Not above `limit` (of the output type, broadcast) at the points `where`."""
        np.minimum(self.high, limit, out=self.high, where=where)

    def beyond(self, limits: NDArray[np.float64]) -> tuple[Values, Values]:
        """Low and high of values that are to be clamped to `limits` (smallest, largest): unlimited where a limit
        itself is allowed."""
        return np.where(self.low <= limits[0], -np.inf, self.low), np.where(self.high >= limits[1], np.inf, self.high)

    def require_values(self) -> None:
        """Raise UsageError where nothing is allowed: the promises contradict each other."""
        empty = self.low > self.high
        if empty.any():
            at = np.unravel_index(int(empty.argmax()), empty.shape)
            raise UsageError(
                f"the promises contradict each other at {int(empty.sum())} points: at one of them the value "
                f"must be at least {self.low[at]:.9g} and at most {self.high[at]:.9g}: loosen the bound"
            )


def next_above(values: Values, dtype: str) -> Values:
    """The smallest number of type `dtype` above each value."""
    nearest = np.asarray(values).astype(dtype)
    return np.where(nearest > values, nearest, np.nextafter(nearest, nearest.dtype.type(np.inf)))


def next_below(values: Values, dtype: str) -> Values:
    """The largest number of type `dtype` below each value."""
    return -next_above(-np.asarray(values), dtype)


def not_below(values: Values, dtype: str) -> Values:
    """The smallest number of type `dtype` that is not below each value."""
    nearest = np.asarray(values).astype(dtype)
    return np.where(nearest >= values, nearest, np.nextafter(nearest, nearest.dtype.type(np.inf)))


def not_above(values: Values, dtype: str) -> Values:
    """The largest number of type `dtype` that is not above each value."""
    return -not_below(-np.asarray(values), dtype)


def _around(original: NDArray[np.float64], tolerance: float, dtype: str) -> tuple[Values, Values]:
    limits = []
    for sign in (-1.0, 1.0):
        with np.errstate(over="ignore"):  # of a bound beyond all numbers of the type; the next one inward is meant
            limit = (original + sign * tolerance).astype(dtype)
        inward = np.nextafter(limit, limit.dtype.type(-sign * np.inf))
        np.copyto(limit, inward, where=np.abs(limit - original) > tolerance)
        limits.append(limit)
    return limits[0], limits[1]

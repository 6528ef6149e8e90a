"""Errors of decoded against original data, summed up block by block: what an archive says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SUMS = ("values", "missing", "mismatch", "compared", "weight", "error_sum", "square_sum", "plain_square_sum")


@dataclass
class ErrorSums:
    """Sums over every block added so far. Errors are decoded minus original, in the variable's units, where both are
    finite.
    """

    values: int = 0
    missing: int = 0
    mismatch: int = 0
    compared: int = 0
    weight: float = 0.0
    error_sum: float = 0.0
    square_sum: float = 0.0
    plain_square_sum: float = 0.0
    max_error: float = -1.0
    max_error_index: tuple[int, ...] = ()
    minimum: float = math.inf
    maximum: float = -math.inf

    @np.errstate(over="ignore", invalid="ignore")  # numbers beyond 1e154, which are kept exactly, and infinite ones
    def add(
        self, original: NDArray[np.floating], decoded: NDArray[np.floating], weights: Floats, offset: tuple[int, ...]
    ) -> None:
        """Adds one block: original and decoded of one shape, weights that broadcast to it, offset = index of its
        first value.

        Cost: eight passes over the values, which is least where a block fits into a processor's cache.
        """
        error = np.subtract(decoded, original, dtype=np.float64)
        here = _sum_alike(error, weights)
        count, known = np.full(here.shape, error.size / max(here.size, 1)), original
        self.values += error.size
        if not np.isfinite(here).all():
            finite = np.isfinite(original)
            valid = finite & np.isfinite(decoded)
            self.missing += int(error.size - np.count_nonzero(finite))
            self.mismatch += _count_mismatches(original, decoded, valid)
            np.copyto(error, 0.0, where=~valid)
            here, count, known = _sum_alike(error, weights), _sum_alike(valid, weights), original[valid]
        compared = round(float(count.sum()))
        if compared == 0:
            return
        self.compared += compared
        self.weight += float(np.sum(count * weights))
        self.error_sum += float(np.sum(here * weights))
        self.minimum, self.maximum = min(self.minimum, float(known.min())), max(self.maximum, float(known.max()))
        self._add_largest(np.abs(error, out=error), offset)
        squares = _sum_alike(np.square(error, out=error), weights)
        self.square_sum += float(np.sum(squares * weights))
        self.plain_square_sum += float(np.sum(squares))

    def merge(self, later: ErrorSums) -> None:
        """Adds what was gathered from other values of the same variable."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(later, name))
        if later.max_error > self.max_error:
            self.max_error, self.max_error_index = later.max_error, later.max_error_index
        self.minimum, self.maximum = min(self.minimum, later.minimum), max(self.maximum, later.maximum)

    def rmse(self) -> float:
        return math.sqrt(self.square_sum / self.weight)

    def plain_rmse(self) -> float:
        return math.sqrt(self.plain_square_sum / self.compared)

    def bias(self) -> float:
        return self.error_sum / self.weight

    def _add_largest(self, sizes: Floats, offset: tuple[int, ...]) -> None:
        place = int(np.argmax(sizes))
        if float(sizes.flat[place]) > self.max_error:
            self.max_error = float(sizes.flat[place])
            index = np.unravel_index(place, sizes.shape)
            self.max_error_index = tuple(int(i) + start for i, start in zip(index, offset, strict=True))


def _sum_alike(values: NDArray[np.float64] | NDArray[np.bool_], weights: Floats) -> Floats:
    """Sums of the values that have one weight, in the shape of the weights."""
    shape = (1,) * (values.ndim - weights.ndim) + weights.shape
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    found: Floats = values.sum(axis=axes, keepdims=True, dtype=np.float64)
    return found


def _count_mismatches(original: NDArray[np.floating], decoded: NDArray[np.floating], valid: NDArray[np.bool_]) -> int:
    """Points that are not finite and not alike."""
    same = (original == decoded) | (np.isnan(original) & np.isnan(decoded))
    return int(np.count_nonzero(~valid & ~same))

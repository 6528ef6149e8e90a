"""Error statistics of one variable gathered block by block: one pass over the data, memory independent of their length.

Means and the correlation merge as in Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115; quantiles come
from a histogram of |error| whose bins are the leading bits of its float32 representation (about 0.1 % wide, from the
smallest number to the largest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SHIFT = 13  # drops 13 of float32's 23 mantissa bits: 2^10 bins per octave, each 0.1 % wide
_BINS = 1 << (31 - _SHIFT)
_SUMS = ("values", "missing", "mismatch", "compared", "error_sum", "absolute_sum", "square_sum", "plain_square_sum")


@dataclass(frozen=True)
class Histogram:
    """Counts of errors (decoded minus original) in equal bins: edges [bins + 1] in the variable's units, counts
    [bins].
    """

    edges: Floats
    counts: NDArray[np.int64]


@dataclass
class ErrorStatistics:
    """Sums over every block added so far. Errors are decoded minus original, in the variable's units, where both are
    finite.
    """

    values: int = 0
    missing: int = 0
    mismatch: int = 0
    compared: int = 0
    weight: float = 0.0
    error_sum: float = 0.0
    absolute_sum: float = 0.0
    square_sum: float = 0.0
    plain_square_sum: float = 0.0
    max_error: float = -1.0
    max_error_index: tuple[int, ...] = ()
    minimum: float = math.inf
    maximum: float = -math.inf
    _means: Floats = field(default_factory=lambda: np.zeros(2))
    _moments: Floats = field(default_factory=lambda: np.zeros(3))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, _BINS), dtype=np.int64))

    def add(self, original: Floats, decoded: Floats, weights: Floats, offset: tuple[int, ...]) -> None:
        """Adds one block: original and decoded of one shape, weights that broadcast to it, offset = index of its
        first value.
        """
        valid = np.isfinite(original) & np.isfinite(decoded)
        compared = int(np.count_nonzero(valid))
        self.values += original.size
        self.missing += int(original.size - np.count_nonzero(np.isfinite(original)))
        self.mismatch += _count_mismatches(original, decoded, valid) if compared < original.size else 0
        if compared == 0:
            return
        self.compared += compared
        weight = np.where(valid, weights, 0.0)
        first = np.where(valid, original, 0.0)
        error = np.where(valid, decoded, 0.0) - first
        self._add_errors(error, weight, offset)
        self._add_moments(first, error, weight)
        self.minimum = min(self.minimum, float(np.min(original, where=valid, initial=math.inf)))
        self.maximum = max(self.maximum, float(np.max(original, where=valid, initial=-math.inf)))
        self._add_counts(error[valid])

    def merge(self, later: ErrorStatistics) -> None:
        """Adds what was gathered from other values of the same variable."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(later, name))
        if later.max_error > self.max_error:
            self.max_error, self.max_error_index = later.max_error, later.max_error_index
        self.minimum, self.maximum = min(self.minimum, later.minimum), max(self.maximum, later.maximum)
        self._merge_moments(later.weight, later._means, later._moments)
        self._counts += later._counts

    def rmse(self) -> float:
        return math.sqrt(self.square_sum / self.weight)

    def plain_rmse(self) -> float:
        return math.sqrt(self.plain_square_sum / self.compared)

    def mae(self) -> float:
        return self.absolute_sum / self.weight

    def bias(self) -> float:
        return self.error_sum / self.weight

    def psnr(self) -> float | None:
        """20 log10(range / unweighted RMSE) in dB; infinite without error, None for a constant original with error."""
        error, spread = self.plain_rmse(), self.maximum - self.minimum
        if error == 0:
            return math.inf
        return 20 * math.log10(spread / error) if spread > 0 else None

    def correlation(self) -> float | None:
        """Weighted Pearson correlation; None where either side is constant."""
        product = self._moments[0] * self._moments[1]
        return float(min(1.0, max(-1.0, self._moments[2] / math.sqrt(product)))) if product > 0 else None

    def quantile(self, fraction: float) -> float:
        """The smallest histogram bound that at least this fraction of all |error| stay below (at most 0.1 % too
        large).
        """
        cumulative = np.cumsum(self._counts.sum(axis=0))
        bin_number = int(np.searchsorted(cumulative, math.ceil(fraction * self.compared)))
        return 0.0 if bin_number == 0 else min(float(_edges()[bin_number + 1]), self.max_error)

    def histogram(self, bins: int = 81) -> Histogram:
        """Counts in `bins` (odd: the middle one is centred on 0) equal bins over plus and minus the largest error."""
        limit = self.max_error if self.max_error > 0 else 1.0
        edges = np.linspace(-limit, limit, bins + 1)
        used = np.nonzero(self._counts)
        fine = _edges()
        centres = np.where(used[1] == 0, 0.0, (fine[used[1]] + fine[used[1] + 1]) / 2)
        signed = np.clip(np.where(used[0] == 1, -centres, centres), -limit, limit)
        counts = np.histogram(signed, bins=edges, weights=self._counts[used])[0]
        return Histogram(edges, counts.astype(np.int64))

    def _add_errors(self, error: Floats, weight: Floats, offset: tuple[int, ...]) -> None:
        absolute, square = np.abs(error), error * error
        self.error_sum += float(np.sum(weight * error))
        self.absolute_sum += float(np.sum(weight * absolute))
        self.square_sum += float(np.sum(weight * square))
        self.plain_square_sum += float(np.sum(square))
        place = int(np.argmax(absolute))
        if float(absolute.flat[place]) > self.max_error:
            self.max_error = float(absolute.flat[place])
            index = np.unravel_index(place, absolute.shape)
            self.max_error_index = tuple(int(i) + start for i, start in zip(index, offset, strict=True))

    def _add_moments(self, first: Floats, error: Floats, weight: Floats) -> None:
        total = float(weight.sum())
        if total == 0:
            return
        second = first + error
        means = np.array([np.sum(weight * first), np.sum(weight * second)]) / total
        a, b = first - means[0], second - means[1]
        moments = np.array([np.sum(weight * a * a), np.sum(weight * b * b), np.sum(weight * a * b)])
        self._merge_moments(total, means, moments)

    def _merge_moments(self, total: float, means: Floats, moments: Floats) -> None:
        if total == 0:
            return
        step = means - self._means
        cross = np.array([step[0] ** 2, step[1] ** 2, step[0] * step[1]])
        merged = self.weight + total
        self._moments += moments + cross * (self.weight * total / merged)
        self._means += step * (total / merged)
        self.weight = merged

    def _add_counts(self, error: Floats) -> None:
        with np.errstate(over="ignore", under="ignore"):
            bins = np.abs(error).astype(np.float32).view(np.uint32) >> _SHIFT
        negative = error < 0
        self._counts[0] += np.bincount(bins[~negative], minlength=_BINS)
        self._counts[1] += np.bincount(bins[negative], minlength=_BINS)


def _edges() -> Floats:
    """Lower bounds of the fine bins [_BINS + 1] (bin 0 holds exact zeros and the smallest subnormals)."""
    largest = np.asarray(np.finfo(np.float32).max, dtype=np.float32).view(np.uint32)
    bits = np.minimum(np.arange(_BINS + 1, dtype=np.uint32) << _SHIFT, largest)
    return np.asarray(bits.view(np.float32), dtype=np.float64)


def _count_mismatches(original: Floats, decoded: Floats, valid: NDArray[np.bool_]) -> int:
    same = (original == decoded) | (np.isnan(original) & np.isnan(decoded))
    return int(np.count_nonzero(~valid & ~same))

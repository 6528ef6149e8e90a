"""Errors of decoded against original data: metrics of whole arrays, and statistics gathered block by block.

One signature: `metric(original, decoded, *, dims=None, weights=None)`. Both arrays have the same dimensions; dims are
those to reduce (None: all); weights broadcast against the data (weights.area_weights; None: every value counts the
same). The result is a float64 DataArray over the remaining dimensions, lazy when the input is lazy. InputError when
coordinates or shapes differ. Values that are not finite on either side are skipped. e below is decoded minus original.

`ErrorStatistics` takes one pass over the data and memory that does not grow with them. Means and the correlation merge
as in Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115; quantiles come from a histogram of |error|
whose bins are the leading bits of its float32 representation (0.1 % wide, from the smallest number to the largest).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.errors import InputError
from nnzip.evaluate.sums import ErrorSums

Dims = str | Sequence[str] | None
Floats = NDArray[np.float64]

QUANTILES = (0.99, 0.9999)
"""Of |error|, in every evaluation."""

_ZLIB_LEVEL = 5
_SHIFT = 13  # drops 13 of float32's 23 mantissa bits: 2^10 bins per octave, each 0.1 % wide
_BINS = 1 << (31 - _SHIFT)


def rmse(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Root mean square error, sqrt(sum(w e^2) / sum(w)), in the variable's units."""
    return np.sqrt(weighted_mean(error_of(original, decoded) ** 2, dims, weights))  # type: ignore[return-value]


def bias(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Mean error, sum(w e) / sum(w), in the variable's units; positive where decoded values are too large."""
    return weighted_mean(error_of(original, decoded), dims, weights)


def max_error(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Largest |e|, in the variable's units. Cells of zero weight do not count; other weights have no influence."""
    error = abs(error_of(original, decoded))
    return (error if weights is None else error.where(weights > 0)).max(dims)


def paired(original: xr.DataArray, decoded: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Both arrays if they have the same dimensions and equal coordinates (arithmetic would silently drop what
    differs), else InputError.
    """
    try:
        first, second = xr.align(original, decoded, join="exact", copy=False)
    except ValueError as error:
        raise InputError(f"original and decoded {original.name!r} have different coordinates: {error}") from error
    if set(first.dims) != set(second.dims):
        raise InputError(f"original {original.name!r} has dimensions {original.dims}, decoded has {decoded.dims}")
    return first, second


def both_finite(original: xr.DataArray, decoded: xr.DataArray) -> xr.DataArray:
    """True where both arrays are finite."""
    return np.isfinite(original) & np.isfinite(decoded)  # type: ignore[return-value]


def error_of(original: xr.DataArray, decoded: xr.DataArray) -> xr.DataArray:
    """e, decoded minus original, float64; NaN where either is not finite. InputError as paired."""
    original, decoded = paired(original, decoded)
    valid = both_finite(original, decoded)
    return decoded.astype(np.float64).where(valid) - original.astype(np.float64).where(valid)


def reduced_dims(array: xr.DataArray, dims: Dims) -> list[str]:
    """The dimensions that `dims` means for this array: None is all of them."""
    if dims is None:
        return [str(dim) for dim in array.dims]
    return [dims] if isinstance(dims, str) else list(dims)


def weighted_mean(values: xr.DataArray, dims: Dims, weights: xr.DataArray | None) -> xr.DataArray:
    """Mean over dims (None: all) without missing values, weighted unless weights is None."""
    reduced = reduced_dims(values, dims)
    if weights is None:
        return values.mean(reduced, skipna=True)
    return values.weighted(weights).mean(reduced, skipna=True)


def number(value: SupportsFloat) -> float | None:
    """A float, None for NaN and infinities."""
    found = float(value)
    return found if math.isfinite(found) else None


def lossless_bytes(values: NDArray[np.floating[Any]]) -> int:
    """Bytes of values (any shape) as float32 after byte shuffle and zlib level 5, compressed as one chunk."""
    with np.errstate(over="ignore", under="ignore"):
        planes = np.ascontiguousarray(values, dtype="<f4").reshape(-1).view(np.uint8).reshape(-1, 4).T
    return len(zlib.compress(np.ascontiguousarray(planes).tobytes(), _ZLIB_LEVEL))


@dataclass(frozen=True)
class Histogram:
    """Counts of errors (decoded minus original) in equal bins: edges [bins + 1] in the variable's units, counts
    [bins].
    """

    edges: Floats
    counts: NDArray[np.int64]


@dataclass
class ErrorStatistics(ErrorSums):
    """Sums, moments and counts over every block added so far. Errors are decoded minus original, in the variable's
    units, where both are finite.
    """

    absolute_sum: float = 0.0
    _means: Floats = field(default_factory=lambda: np.zeros(2))
    _moments: Floats = field(default_factory=lambda: np.zeros(3))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, _BINS), dtype=np.int64))

    def __getstate__(self) -> dict[str, Any]:
        """Only the bins that count, for a pickle of some kB."""
        used = np.flatnonzero(self._counts)
        return {**self.__dict__, "_counts": (used, self._counts.ravel()[used])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        used, counts = state["_counts"]
        self._counts = np.zeros((2, _BINS), dtype=np.int64)
        self._counts.ravel()[used] = counts

    @np.errstate(over="ignore", invalid="ignore")  # squares of numbers beyond 1e154, which are kept exactly
    def add(
        self, original: NDArray[np.floating], decoded: NDArray[np.floating], weights: Floats, offset: tuple[int, ...]
    ) -> None:
        """Adds one block: see `ErrorSums.add`."""
        before = self.weight
        super().add(original, decoded, weights, offset)
        valid = np.isfinite(original) & np.isfinite(decoded)
        if not valid.any():
            return
        weight = np.where(valid, weights, 0.0)
        first = np.where(valid, original, 0.0)
        error = np.where(valid, decoded, 0.0) - first
        self.absolute_sum += float(np.sum(weight * np.abs(error)))
        self._add_moments(before, first, error, weight)
        self._add_counts(error[valid])

    @np.errstate(over="ignore", invalid="ignore")  # squares of numbers beyond 1e154, which are kept exactly
    def merge(self, later: ErrorSums) -> None:
        """Adds what was gathered from other values of the same variable."""
        if not isinstance(later, ErrorStatistics):
            raise TypeError("only sums were gathered")
        before = self.weight
        super().merge(later)
        self.absolute_sum += later.absolute_sum
        self._merge_moments(before, later.weight, later._means, later._moments)
        self._counts += later._counts

    def mae(self) -> float:
        return self.absolute_sum / self.weight

    def psnr(self) -> float | None:
        """20 log10(range / unweighted RMSE) in dB; infinite without error, None for a constant original with error."""
        error, spread = self.plain_rmse(), self.maximum - self.minimum
        if error == 0:
            return math.inf
        return 20 * math.log10(spread / error) if spread > 0 else None

    def correlation(self) -> float | None:
        """Weighted Pearson correlation; None where either side is constant, or squares are beyond float64."""
        product = self._moments[0] * self._moments[1]
        if not 0 < product < math.inf:
            return None
        return float(min(1.0, max(-1.0, self._moments[2] / math.sqrt(product))))

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

    def _add_moments(self, before: float, first: Floats, error: Floats, weight: Floats) -> None:
        total = float(weight.sum())
        if total == 0:
            return
        second = first + error
        means = np.array([np.sum(weight * first), np.sum(weight * second)]) / total
        a, b = first - means[0], second - means[1]
        moments = np.array([np.sum(weight * a * a), np.sum(weight * b * b), np.sum(weight * a * b)])
        self._merge_moments(before, total, means, moments)

    def _merge_moments(self, before: float, total: float, means: Floats, moments: Floats) -> None:
        """`before` and `total`: weights of what was there and of what comes."""
        if total == 0:
            return
        step = means - self._means
        cross = np.array([step[0] ** 2, step[1] ** 2, step[0] * step[1]])
        merged = before + total
        self._moments += moments + cross * (before * total / merged)
        self._means += step * (total / merged)

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

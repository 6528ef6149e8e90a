"""Mean error metrics of decoded against original data.

One signature: `metric(original, decoded, *, dims=None, weights=None)`. Both arrays have the same dimensions; dims are
those to reduce (None: all); weights broadcast against the data (see weights.area_weights; None: every value counts the
same). The result is a float64 DataArray over the remaining dimensions, lazy when the input is lazy. InputError when
coordinates or shapes differ. Positions that are not finite in either array are skipped; count them with
missing_mismatch. e below is decoded minus original.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nnzip.errors import InputError

Dims = str | Sequence[str] | None
QUANTILES = (0.99, 0.9999)


def rmse(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Root mean square error, sqrt(sum(w e^2) / sum(w)), in the variable's units."""
    return np.sqrt(weighted_mean(error_of(original, decoded) ** 2, dims, weights))  # type: ignore[return-value]


def mae(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Mean absolute error, sum(w |e|) / sum(w), in the variable's units."""
    return weighted_mean(abs(error_of(original, decoded)), dims, weights)


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


def psnr(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Peak signal-to-noise ratio in dB: 20 log10((max - min of the original) / RMSE), the convention of Z-checker, SZ
    and SPERR.

    Infinite where the RMSE is 0; NaN where the original is constant and the RMSE is not 0.
    """
    error = rmse(original, decoded, dims=dims, weights=weights)
    valid = original.astype(np.float64).where(both_finite(original, decoded))
    peak = valid.max(dims) - valid.min(dims)
    ratio = peak.where(peak > 0) / error.where(error > 0)
    decibels: xr.DataArray = 20 * np.log10(ratio)  # type: ignore[assignment]
    return decibels.where(error != 0, np.inf)


def error_quantiles(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    quantiles: Sequence[float] = QUANTILES,
) -> xr.DataArray:
    """Quantiles of |e| along a new dimension `quantile`, linearly interpolated, in the variable's units.

    Exact, so the reduced dimensions are loaded together; nnzip.evaluate.evaluate walks blocks instead.
    """
    reduced = reduced_dims(original, dims)
    error = abs(error_of(original, decoded))
    if error.chunks is not None:
        error = error.chunk(dict.fromkeys(reduced, -1))
    if weights is None:
        return error.quantile(list(quantiles), dim=reduced, skipna=True)
    return error.weighted(weights).quantile(list(quantiles), dim=reduced, skipna=True)


def correlation(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Pearson correlation coefficient of original and decoded values; NaN where either side is constant."""
    original, decoded = paired(original, decoded)
    valid = both_finite(original, decoded)
    first = original.astype(np.float64).where(valid)
    second = decoded.astype(np.float64).where(valid)
    first = first - weighted_mean(first, dims, weights)
    second = second - weighted_mean(second, dims, weights)
    product = weighted_mean(first**2, dims, weights) * weighted_mean(second**2, dims, weights)
    return weighted_mean(first * second, dims, weights) / np.sqrt(product.where(product > 0))


def missing_mismatch(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """How many positions are NaN or infinite on one side and not identically so on the other (int64). Weights have no
    influence.
    """
    original, decoded = paired(original, decoded)
    same = (original == decoded) | (original.isnull() & decoded.isnull())
    return (~both_finite(original, decoded) & ~same).sum(reduced_dims(original, dims))


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

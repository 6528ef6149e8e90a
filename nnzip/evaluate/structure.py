"""Structure of horizontal fields: gradients, autocorrelation of the error, DSSIM, spectrum.

Metrics have the signature of `nnzip.evaluate.errors`; `structure_scores` takes them on a sample of fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from nnzip.data.grids import Grid, require_grid
from nnzip.evaluate.errors import Dims, Floats, error_of, number, paired, reduced_dims, weighted_mean
from nnzip.evaluate.spectrum import KM_PER_DEGREE, Spectrum, effective_resolution, mean_spectrum
from nnzip.evaluate.weights import area_weights

MAX_TIMES = 8
MAX_FIELDS = 12

_WINDOW = 11  # cells, and the standard deviation below: the Gaussian of Wang et al. (2004), as ldcpy takes it
_SIGMA = 1.5
_BORDER = _WINDOW // 2
_LEVELS = 255
_EPSILON = 1e-8
_MIN_COSINE = 1e-6


@dataclass(frozen=True)
class StructureScores:
    """Structure of a sample of horizontal fields; None where the data allow no answer .

    effective_resolution: degrees of longitude or cells (`resolution_units`), beside the grid's own limit of two cells.
    gradients in `gradient_units`; gradient_rms is the original's own. dssim: the lowest of the sampled fields.
    """

    fields: int
    effective_resolution: float | None
    effective_resolution_km: float | None
    grid_resolution: float | None
    resolution_units: str
    gradient_rmse: float | None
    gradient_rms: float | None
    gradient_units: str
    error_autocorrelation: float | None
    dssim: float | None
    spectrum: Spectrum | None = field(default=None, repr=False, compare=False)


def structure_scores(original: xr.DataArray, decoded: xr.DataArray) -> StructureScores:
    """Spectrum, effective resolution, gradients, autocorrelation of the error and DSSIM on at most 12 fields.

    Both arrays have the same dimensions and coordinates, and may be lazy: only the sample is loaded.
    """
    grid = require_grid(original)
    indexers = sample_indexers(original, grid)
    first, second = original.isel(indexers).load(), decoded.isel(indexers).load()
    weights = area_weights(first)
    spectrum = mean_spectrum(first, second)
    units = str(original.attrs.get("units", "")) or "1"
    original_square = gradient_square(first.astype(np.float64).where(np.isfinite(first)), grid)
    resolution, km = None, None
    if spectrum is not None:
        resolution = number(effective_resolution(spectrum.wavelength, spectrum.original, spectrum.decoded))
        km = spectrum.km_per_unit
    return StructureScores(
        fields=math.prod(first.sizes[dim] for dim in first.dims if dim not in (grid.latitude, grid.longitude)),
        effective_resolution=resolution,
        effective_resolution_km=None if resolution is None or km is None else resolution * km,
        grid_resolution=None if spectrum is None else float(spectrum.wavelength[-1]),
        resolution_units="cells" if spectrum is None else spectrum.units,
        gradient_rmse=number(gradient_rmse(first, second, weights=weights)),
        gradient_rms=number(np.sqrt(weighted_mean(original_square, None, weights))),
        gradient_units=f"{units} per 100 km" if grid.geographic else f"{units} per cell",
        error_autocorrelation=number(error_autocorrelation(first, second, weights=weights)),
        dssim=number(dssim(first, second)),
        spectrum=spectrum,
    )


def sample_indexers(array: xr.DataArray, grid: Grid) -> dict[str, list[int]]:
    """Evenly spaced positions along time (at most 8) and the channel dimensions, together at most 12 fields."""
    left = MAX_FIELDS
    indexers: dict[str, list[int]] = {}
    for dim in (*grid.channels, grid.time):
        if dim is None:
            continue
        limit = max(1, min(left, MAX_TIMES if dim == grid.time else 4))
        count = min(array.sizes[dim], limit)
        indexers[dim] = np.unique(np.linspace(0, array.sizes[dim] - 1, count).round().astype(int)).tolist()
        left //= len(indexers[dim])
    return indexers


def gradient_rmse(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """RMSE of the horizontal gradient vector by centred differences, in units per 100 km (per cell in index space).

    sqrt(mean(w ((de/dx)^2 + (de/dy)^2))); cells beside a missing value and on the poles are skipped.
    """
    square = gradient_square(error_of(original, decoded), require_grid(original))
    return np.sqrt(weighted_mean(square, dims, weights))  # type: ignore[return-value]


def gradient_square(field: xr.DataArray, grid: Grid) -> xr.DataArray:
    """Squared length of the horizontal gradient, (units per 100 km)^2, or (units per cell)^2 in index space; the
    field's shape.
    """
    plane = {grid.latitude: grid.latitudes, grid.longitude: grid.longitudes}
    placed = field.drop_vars(list(plane), errors="ignore").assign_coords(plane)
    northward, eastward = (placed.differentiate(dim).variable for dim in plane)
    if grid.geographic:
        cosine = np.cos(np.deg2rad(grid.latitudes))
        eastward = eastward / xr.Variable(grid.latitude, np.where(cosine > _MIN_COSINE, cosine, np.nan))
    scale = (100 / KM_PER_DEGREE) ** 2 if grid.geographic else 1.0
    return field.copy(data=((northward**2 + eastward**2) * scale).transpose(*field.dims).data)


def error_autocorrelation(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Lag-1 autocorrelation of e between neighbours along the longitude: 0 for white noise, near 1 for smooth,
    systematic errors.

    mean(w e'_i e'_i+1) / mean(w e'^2) with e' = e minus its weighted mean, over pairs with both values; NaN where e
    does not vary.
    """
    grid = require_grid(original)
    error = error_of(original, decoded)
    anomaly = error - weighted_mean(error, dims, weights)
    product = weighted_mean(anomaly * anomaly.shift({grid.longitude: -1}), dims, weights)
    variance = weighted_mean(anomaly**2, dims, weights)
    return product / variance.where(variance > 0)


def dssim(
    original: xr.DataArray, decoded: xr.DataArray, *, dims: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Data structural similarity of the horizontal fields, the lowest over `dims` (None: all), as ldcpy takes it over
    levels.

    Baker, Pinard and Hammerling (2023), doi:10.1109/TVCG.2023.3332843, whose threshold for climate data is 0.9995: both
    fields scaled to 0..1 by their common range, rounded to 256 steps, SSIM with a Gaussian window of 11 cells and
    constants of 1e-8, mean without the outer 5 cells. Missing values are left out of each window. NaN for grids below
    11 cells. weights: no influence, as in ldcpy.
    """
    original, decoded = paired(original, decoded)
    grid = require_grid(original)
    core = [grid.latitude, grid.longitude]
    pair = [
        array.chunk(dict.fromkeys(core, -1)) if array.chunks is not None else array for array in (original, decoded)
    ]
    fields: xr.DataArray = xr.apply_ufunc(
        dssim_field,
        *pair,
        input_core_dims=[core, core],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return fields.min([dim for dim in reduced_dims(original, dims) if dim in fields.dims])


def dssim_field(original: Floats, decoded: Floats) -> float:
    """DSSIM of two fields [latitude, longitude]; see dssim."""
    a, b = np.asarray(original, dtype=np.float64), np.asarray(decoded, dtype=np.float64)
    valid = np.isfinite(a) & np.isfinite(b)
    if min(a.shape) < _WINDOW or not valid.any():
        return float("nan")
    low = min(a[valid].min(), b[valid].min())
    span = max(a[valid].max(), b[valid].max()) - low
    if span == 0:
        return 1.0
    a = np.where(valid, np.round((a - low) / span * _LEVELS) / _LEVELS, 0.0)
    b = np.where(valid, np.round((b - low) / span * _LEVELS) / _LEVELS, 0.0)
    total = _smooth(valid.astype(np.float64))
    total = np.where(total > 0, total, np.nan)
    mean_a, mean_b = _smooth(a) / total, _smooth(b) / total
    variances = _smooth(a * a) / total + _smooth(b * b) / total - mean_a**2 - mean_b**2
    covariance = _smooth(a * b) / total - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _EPSILON) / (mean_a**2 + mean_b**2 + _EPSILON)
    similarity = luminance * (2 * covariance + _EPSILON) / (variances + _EPSILON)
    inner = valid[_BORDER:-_BORDER, _BORDER:-_BORDER]
    return float(similarity[inner].mean()) if inner.any() else float("nan")


def _smooth(field: Floats) -> Floats:
    """Gaussian mean over 11 x 11 cells where the window fits: [rows - 10, columns - 10]."""
    offsets = np.arange(_WINDOW) - _BORDER
    kernel = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    rows = sum(k * field[i : field.shape[0] - _WINDOW + 1 + i] for i, k in enumerate(kernel))
    return np.asarray(sum(k * rows[:, i : field.shape[1] - _WINDOW + 1 + i] for i, k in enumerate(kernel)))

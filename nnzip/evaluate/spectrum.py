"""Zonal power spectra and the effective resolution read from them.

The variance of every row of cells is split by zonal wavenumber (Parseval: the powers of a periodic row sum to its
variance), averaged over rows by area. Rows that close the circle are transformed as they are, between 60 S and 60 N;
rows of a regional grid lose their linear trend (Errico 1985, doi:10.1175/1520-0493(1985)113<1554:SCFALA>2.0.CO;2) and
are tapered with a Hann window. Rows with a missing value are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.conventions import is_global
from nnzip.data.grids import Grid, require_grid
from nnzip.evaluate.errors import Floats, error_of
from nnzip.evaluate.weights import latitude_weights

KM_PER_DEGREE = 6371.0 * math.pi / 180
MAX_LATITUDE = 60.0
TOLERANCE = 0.25
WAVENUMBER = "zonal_wavenumber"


@dataclass(frozen=True)
class Spectrum:
    """Zonal power of the original, the decoded data and the error, mean over the sampled fields.

    wavelength [wavenumber] in `units` (degrees of longitude or cells), longest first; powers in squared units of the
    variable. km_per_unit: kilometres per degree at the rows' mean cosine of latitude; None in index space.
    """

    wavelength: Floats
    original: Floats
    decoded: Floats
    error: Floats
    units: str
    km_per_unit: float | None


@dataclass(frozen=True)
class Rows:
    """The rows of a grid that enter its spectrum: their numbers and their weights (sum 1).

    step: cell spacing in degrees of longitude, or 1 (cells) in index space. periodic: rows close the circle.
    km_per_unit: kilometres per degree at the mean cosine of the rows' latitudes, None in index space.
    """

    rows: NDArray[np.intp]
    weights: Floats
    step: float
    periodic: bool
    km_per_unit: float | None


def zonal_spectrum(array: xr.DataArray, *, weights: xr.DataArray | None = None) -> xr.DataArray:
    """Power by zonal wavenumber 1 .. points/2, in squared units of the variable; float64 [..., zonal_wavenumber],
    leading dims kept.

    weights: along the latitude (default: cell areas). Coordinate `wavelength`: degrees of longitude, or cells in index
    space, as its attribute `units` says. NaN for fields without a complete row. Raises InputError when the variable has
    no horizontal grid.
    """
    grid = require_grid(array)
    chosen = spectrum_rows(grid, weights)
    selected = array.isel({grid.latitude: chosen.rows})
    if selected.chunks is not None:
        selected = selected.chunk({grid.latitude: -1, grid.longitude: -1})
    points = array.sizes[grid.longitude]
    power: xr.DataArray = xr.apply_ufunc(
        _power,
        selected.drop_vars([grid.latitude, grid.longitude], errors="ignore"),
        input_core_dims=[[grid.latitude, grid.longitude]],
        output_core_dims=[[WAVENUMBER]],
        kwargs={"weights": chosen.weights, "periodic": chosen.periodic},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {WAVENUMBER: points // 2}},
    )
    number = np.arange(1, points // 2 + 1)
    attrs = {"units": "cells" if chosen.km_per_unit is None else "degrees", "km_per_unit": chosen.km_per_unit}
    wavelength = xr.Variable(WAVENUMBER, chosen.step * points / number, attrs)
    return power.assign_coords({WAVENUMBER: number, "wavelength": wavelength})


def mean_spectrum(original: xr.DataArray, decoded: xr.DataArray) -> Spectrum | None:
    """Mean over all fields of two loaded arrays; None when no field has a row without missing values."""
    error = error_of(original, decoded)
    present = error.notnull()
    arrays = [zonal_spectrum(array.where(present)) for array in (original, decoded, error)]
    means = [array.mean([dim for dim in array.dims if dim != WAVENUMBER], skipna=True) for array in arrays]
    if bool(means[0].isnull().any()):
        return None
    wavelength = arrays[0].wavelength
    powers = [np.asarray(array.values, dtype=np.float64) for array in means]
    units, km_per_unit = str(wavelength.attrs["units"]), wavelength.attrs["km_per_unit"]
    return Spectrum(
        np.asarray(wavelength.values, dtype=np.float64), powers[0], powers[1], powers[2], units, km_per_unit
    )


def effective_resolution(wavelength: Floats, original: Floats, decoded: Floats) -> float:
    """Shortest wavelength down to which the decoded power stays within 25 % of the original's.

    All arrays [wavenumber], longest wave first; NaN when the longest departs already or there is no spectrum. The idea
    is Skamarock's (2004, doi:10.1175/MWR2830.1: where a spectrum falls away from the reference); the 25 % are ours.
    """
    if not (np.all(np.isfinite(original)) and np.all(np.isfinite(decoded))):
        return math.nan
    departs = np.abs(decoded - original) > TOLERANCE * original
    first = int(np.argmax(departs)) if departs.any() else departs.size
    return float(wavelength[first - 1]) if first > 0 else math.nan


def spectrum_rows(grid: Grid, weights: xr.DataArray | None = None) -> Rows:
    """Which rows of the grid enter the spectrum and how much; weights: along the latitude (default: cell areas)."""
    latitude, longitude = grid.latitudes, grid.longitudes
    size = latitude.size
    if not grid.geographic:
        values = np.ones(size) if weights is None else np.asarray(weights.values, dtype=np.float64)
        return Rows(np.arange(size), values / values.sum(), 1.0, False, None)
    values = latitude_weights(latitude) if weights is None else np.asarray(weights.values, dtype=np.float64)
    periodic = is_global(longitude)
    inside = np.nonzero(np.abs(latitude) <= MAX_LATITUDE)[0] if periodic else np.arange(size)
    rows = inside if inside.size else np.arange(size)
    share = values[rows] / values[rows].sum()
    cosine = float(np.sum(share * np.cos(np.deg2rad(latitude[rows]))))
    return Rows(rows, share, float(np.abs(np.mean(np.diff(longitude)))), periodic, KM_PER_DEGREE * cosine)


def _power(values: Floats, *, weights: Floats, periodic: bool) -> Floats:
    """Power [..., wavenumber] of values [..., row, longitude], the weighted mean over complete rows."""
    rows = np.asarray(values, dtype=np.float64)
    points = rows.shape[-1]
    complete = np.asarray(np.isfinite(rows).all(axis=-1))
    rows = np.where(complete[..., None], rows, 0.0)
    rows = rows - rows.mean(axis=-1, keepdims=True)
    if not periodic:
        position = np.arange(points) - (points - 1) / 2
        rows = rows - position * ((rows @ position) / (position @ position))[..., None]
        window = np.hanning(points + 2)[1:-1]
        rows = rows * (window / math.sqrt(float(np.mean(window**2))))
    power = 2 * np.abs(np.fft.rfft(rows, axis=-1)[..., 1:]) ** 2 / points**2
    if points % 2 == 0:
        power[..., -1] /= 2
    weight = np.where(complete, weights, 0.0)
    total = weight.sum(axis=-1)[..., None]
    summed = np.einsum("...r,...rk->...k", weight, power)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan)

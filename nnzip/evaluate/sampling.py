"""Structure scores of one variable on an evenly spaced sample of its horizontal fields."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from nnzip.evaluate.evaluation import Spectrum, StructureScores, number
from nnzip.evaluate.grid import Grid, require_grid
from nnzip.evaluate.mean import error_of, weighted_mean
from nnzip.evaluate.spectrum import shortest_faithful_wavelength, zonal_spectrum
from nnzip.evaluate.structure import dssim, error_autocorrelation, gradient_rmse, gradient_square
from nnzip.evaluate.weights import area_weights

MAX_TIMES = 8
MAX_FIELDS = 12


def structure_scores(original: xr.DataArray, decoded: xr.DataArray) -> StructureScores:
    """Spectrum, effective resolution, gradients, autocorrelation of the error and DSSIM on at most 12 fields.

    Both arrays have the same dimensions and coordinates, and may be lazy: only the sample is loaded.
    """
    grid = require_grid(original)
    indexers = sample_indexers(original, grid)
    first, second = original.isel(indexers).load(), decoded.isel(indexers).load()
    weights = area_weights(first)
    spectrum = _spectrum(first, second)
    units = str(original.attrs.get("units", "")) or "1"
    original_square = gradient_square(first.astype(np.float64).where(np.isfinite(first)), grid)
    km = None if spectrum is None else spectrum.km_per_unit
    resolution = (
        None
        if spectrum is None
        else number(shortest_faithful_wavelength(spectrum.wavelength, spectrum.original, spectrum.decoded))
    )
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


def _spectrum(original: xr.DataArray, decoded: xr.DataArray) -> Spectrum | None:
    """Mean spectra over the sample; None when no field has a row without missing values."""
    error = error_of(original, decoded)
    present = error.notnull()
    arrays = [zonal_spectrum(array.where(present)) for array in (original, decoded, error)]
    means = [array.mean([dim for dim in array.dims if dim != array.dims[-1]], skipna=True) for array in arrays]
    if bool(means[0].isnull().any()):
        return None
    wavelength = arrays[0].wavelength
    powers = [np.asarray(array.values, dtype=np.float64) for array in means]
    return Spectrum(
        wavelength=np.asarray(wavelength.values, dtype=np.float64),
        original=powers[0],
        decoded=powers[1],
        error=powers[2],
        units=str(wavelength.attrs["units"]),
        km_per_unit=wavelength.attrs["km_per_unit"],
    )

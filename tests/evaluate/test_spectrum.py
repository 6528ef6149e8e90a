"""Zonal spectra against Parseval and single waves; effective resolution against a known cut."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.spectrum import effective_resolution, mean_spectrum, zonal_spectrum
from nnzip.evaluate.weights import latitude_weights

LATITUDE = np.arange(-60.0, 61, 10)
LONGITUDE = np.arange(0, 360, 10.0)


def _field(values: np.typing.NDArray[np.float64], longitude: np.typing.NDArray[np.float64] = LONGITUDE) -> xr.DataArray:
    coords = {"latitude": LATITUDE, "longitude": longitude}
    return xr.DataArray(values, dims=("time", "latitude", "longitude")[-values.ndim :], coords=coords, name="t")


def test_a_single_wave_has_half_its_squared_amplitude() -> None:
    wave = 3 * np.cos(np.deg2rad(4 * LONGITUDE)) * np.ones((LATITUDE.size, 1)) + 280
    spectrum = zonal_spectrum(_field(wave))
    expected = np.where(spectrum.zonal_wavenumber.values == 4, 4.5, 0)
    np.testing.assert_allclose(spectrum.values, expected, atol=1e-12)
    assert spectrum.wavelength.sel(zonal_wavenumber=4).item() == 90
    assert spectrum.wavelength.attrs["units"] == "degrees"


@pytest.mark.parametrize("points", [36, 45])
def test_powers_sum_to_the_variance_of_the_rows(points: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(LATITUDE.size, points))
    spectrum = zonal_spectrum(_field(values, np.arange(points) * 360 / points))
    weights = latitude_weights(LATITUDE)
    variance = np.sum(weights * values.var(axis=1)) / weights.sum()
    assert float(spectrum.sum()) == pytest.approx(variance)


def test_rows_beyond_60_degrees_do_not_enter_global_spectra() -> None:
    latitude = np.arange(-90.0, 91, 15)
    values = np.random.default_rng(1).normal(size=(latitude.size, 36))
    field = xr.DataArray(values, dims=("lat", "lon"), coords={"lat": latitude, "lon": LONGITUDE})
    louder = field.where(abs(field.lat) <= 60, field * 100)
    np.testing.assert_allclose(zonal_spectrum(louder).values, zonal_spectrum(field).values)


def test_regional_rows_lose_mean_and_trend() -> None:
    ramp = 5 + 0.3 * np.arange(20)[None] * np.ones((LATITUDE.size, 1))
    spectrum = zonal_spectrum(_field(ramp, np.arange(0, 5, 0.25)))
    np.testing.assert_allclose(spectrum.values, 0, atol=1e-20)
    assert spectrum.wavelength.values[0] == pytest.approx(5)


def test_the_taper_keeps_the_variance_of_noise() -> None:
    values = np.random.default_rng(2).normal(size=(200, LATITUDE.size, 64))
    spectrum = zonal_spectrum(_field(values, np.arange(0, 16, 0.25))).mean("time")
    assert float(spectrum.sum()) == pytest.approx(1, rel=0.05)


def test_rows_with_missing_values_are_left_out() -> None:
    values = np.random.default_rng(3).normal(size=(LATITUDE.size, 36))
    holes = values.copy()
    holes[3, 5] = np.nan
    weights = latitude_weights(LATITUDE)
    weights[3] = 0
    expected = zonal_spectrum(_field(values), weights=xr.DataArray(weights, dims="latitude"))
    np.testing.assert_allclose(zonal_spectrum(_field(holes)).values, expected.values)
    assert np.isnan(zonal_spectrum(_field(np.full((LATITUDE.size, 36), np.nan))).values).all()


def test_lazy_and_loaded_spectra_agree() -> None:
    field = _field(np.random.default_rng(4).normal(size=(3, LATITUDE.size, 36)))
    lazy = zonal_spectrum(field.chunk(time=1, latitude=5))
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.values, zonal_spectrum(field).values)


def test_effective_resolution_of_a_cut_spectrum_is_the_last_kept_wave() -> None:
    original = _field(np.random.default_rng(5).normal(size=(2, LATITUDE.size, 36)))
    coefficients = np.fft.rfft(original.values, axis=-1)
    coefficients[..., 7:] = 0
    decoded = original.copy(data=np.fft.irfft(coefficients, n=36, axis=-1))
    for changed, expected in ((decoded, 360 / 6), (original, 20)):  # two cells
        found = mean_spectrum(original, changed)
        assert found is not None
        assert effective_resolution(found.wavelength, found.original, found.decoded) == pytest.approx(expected)


def test_departures_are_25_percent_up_or_down() -> None:
    wavelength, power = np.array([4.0, 3, 2]), np.ones(3)
    assert effective_resolution(wavelength, power, np.array([1.24, 0.76, 1.26])) == 3
    assert effective_resolution(wavelength, power, np.array([1.0, 0.74, 1.0])) == 4
    assert np.isnan(effective_resolution(wavelength, power, np.array([2.0, 1, 1])))
    assert np.isnan(effective_resolution(wavelength, power, np.full(3, np.nan)))

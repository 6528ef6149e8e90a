"""Gradients, autocorrelation of the error and DSSIM against hand values and an independent formula."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.structure import dssim, dssim_field, error_autocorrelation, gradient_rmse

KM_PER_DEGREE = 2 * np.pi * 6371 / 360


def _field(values: np.typing.NDArray[np.float64], step: float = 1.0) -> xr.DataArray:
    rows, columns = values.shape[-2:]
    coords = {"lat": 10 + step * np.arange(rows), "lon": step * np.arange(columns)}
    return xr.DataArray(values, dims=("time", "lat", "lon")[-values.ndim :], coords=coords, name="t")


def _ssim_by_windows(a: np.typing.NDArray[np.float64], b: np.typing.NDArray[np.float64]) -> float:
    """The recipe written out window by window."""
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    a, b = (np.round((x - low) / (high - low) * 255) / 255 for x in (a, b))
    offset = np.arange(11) - 5
    kernel = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / 4.5)
    kernel /= kernel.sum()
    values = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            x, y = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
            mx, my = (kernel * x).sum(), (kernel * y).sum()
            vx, vy = (kernel * (x - mx) ** 2).sum(), (kernel * (y - my) ** 2).sum()
            cov = (kernel * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + 1e-8) * (2 * cov + 1e-8) / ((mx**2 + my**2 + 1e-8) * (vx + vy + 1e-8)))
    return float(np.mean(values))


def test_dssim_is_the_published_recipe() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(16, 19)).cumsum(axis=0)
    b = a + 0.1 * rng.normal(size=a.shape)
    assert dssim_field(a, b) == pytest.approx(_ssim_by_windows(a, b), abs=1e-9)


def test_dssim_of_identical_constant_small_and_holed_fields() -> None:
    a = np.random.default_rng(1).normal(size=(20, 20))
    assert dssim_field(a, a) == pytest.approx(1)
    assert dssim_field(np.full((20, 20), 3.0), np.full((20, 20), 3.0)) == 1
    assert np.isnan(dssim_field(a[:10], a[:10]))
    holed = a.copy()
    holed[5:9, 5:9] = np.nan
    assert dssim_field(holed, holed) == pytest.approx(1)


def test_dssim_is_the_lowest_of_the_fields() -> None:
    rng = np.random.default_rng(2)
    original = rng.normal(size=(3, 15, 15))
    decoded = original + np.array([0.0, 0.5, 0.1])[:, None, None] * rng.normal(size=original.shape)
    fields = dssim(_field(original), _field(decoded), dims=("lat", "lon"))
    assert fields.dims == ("time",)
    assert dssim(_field(original), _field(decoded)).item() == fields.values[1] == fields.min()
    lazy = dssim(_field(original).chunk(time=1, lat=5), _field(decoded).chunk(time=1))
    assert float(lazy) == pytest.approx(fields.values[1])


def test_gradient_of_a_slope_is_per_100_km() -> None:
    original = _field(np.zeros((7, 9)))
    northward = original + 2.0 * original.lat  # 2 units per degree
    assert gradient_rmse(original, northward).item() == pytest.approx(200 / KM_PER_DEGREE)
    eastward = original + 2.0 * original.lon
    row = gradient_rmse(original, eastward, dims="lon")
    np.testing.assert_allclose(row.values, 200 / (KM_PER_DEGREE * np.cos(np.deg2rad(original.lat.values))))


def test_gradient_in_index_space_is_per_cell_and_skips_missing_neighbours() -> None:
    original = xr.DataArray(np.zeros((6, 6)), dims=("y", "x"))
    decoded = original + xr.DataArray(3.0 * np.arange(6), dims="x")
    assert gradient_rmse(original, decoded).item() == pytest.approx(3)
    decoded[2, 2] = np.nan
    assert gradient_rmse(original, decoded).item() == pytest.approx(3)


def test_a_shift_changes_no_gradient_and_has_no_autocorrelation() -> None:
    original = _field(np.random.default_rng(3).integers(0, 99, size=(8, 8)).astype(np.float64))
    assert gradient_rmse(original, original + 5).item() == 0
    assert np.isnan(error_autocorrelation(original, original + 5).item())


def test_autocorrelation_of_noise_waves_and_an_autoregressive_error() -> None:
    rng = np.random.default_rng(4)
    zero = _field(np.zeros((200, 400)), step=0.1)
    noise = rng.normal(size=(200, 400))
    assert error_autocorrelation(zero, zero + noise).item() == pytest.approx(0, abs=0.02)
    checkers = np.where(np.indices((200, 400)).sum(axis=0) % 2, 1.0, -1.0)
    assert error_autocorrelation(zero, zero + checkers).item() == pytest.approx(-1)
    smooth = np.empty_like(noise)
    smooth[:, 0] = noise[:, 0]
    for i in range(1, 400):
        smooth[:, i] = 0.7 * smooth[:, i - 1] + np.sqrt(1 - 0.49) * noise[:, i]
    assert error_autocorrelation(zero, zero + smooth).item() == pytest.approx(0.7, abs=0.02)

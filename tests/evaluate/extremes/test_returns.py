"""Return levels against scipy's L-moments and distribution."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from nnzip.evaluate.extremes.returns import annual_maxima, gev_parameters, l_moments, return_level


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.15])
def test_the_fit_recovers_the_distribution_of_a_long_sample(shape: float) -> None:
    sample = stats.genextreme.rvs(shape, loc=30, scale=4, size=200_000, random_state=np.random.default_rng(0))
    found = gev_parameters(sample)
    np.testing.assert_allclose(found, [shape, 30, 4], atol=0.05)
    expected = stats.genextreme.isf(1 / 50, shape, loc=30, scale=4)
    maxima = xr.DataArray(sample, dims="year")
    assert return_level(maxima, 50).item() == pytest.approx(expected, rel=0.01)


def test_sample_l_moments_are_scipys() -> None:
    sample = np.random.default_rng(1).gumbel(size=(3, 25))
    for row, found in zip(sample, np.stack(l_moments(sample), axis=-1), strict=True):
        np.testing.assert_allclose(found, [stats.lmoment(row, order=k, standardize=False) for k in (1, 2, 3)])


def test_the_level_is_scipys_quantile_of_the_fitted_distribution() -> None:
    maxima = xr.DataArray(np.random.default_rng(2).gumbel(20, 3, (30, 4)), dims=("year", "x"))
    shape, location, scale = gev_parameters(maxima.values.T)
    for years in (20, 50):
        np.testing.assert_allclose(return_level(maxima, years), stats.genextreme.isf(1 / years, shape, location, scale))
    lazy = return_level(maxima.chunk(year=10), 20)
    np.testing.assert_allclose(lazy, return_level(maxima, 20))


def test_missing_and_constant_maxima_have_no_level() -> None:
    values = np.random.default_rng(3).gumbel(size=(25, 3))
    values[4, 0] = np.nan
    values[:, 1] = 7
    found = return_level(xr.DataArray(values, dims=("year", "x")), 20).values
    assert np.isnan(found).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="2 annual maxima"):
        return_level(xr.DataArray([1.0, 2.0], dims="year"), 20)


def test_annual_maxima_leave_incomplete_years_out() -> None:
    times = np.arange("2000-01-01", "2003-07-01", dtype="datetime64[D]").astype("datetime64[ns]")
    values = np.arange(times.size, dtype=np.float64)[:, None, None] * np.ones((1, 2, 2))
    coords = {"time": times, "lat": [0.0, 1], "lon": [0.0, 1]}
    found = annual_maxima(xr.DataArray(values, coords, dims=("time", "lat", "lon"), name="t"))
    assert found.year.values.tolist() == [2000, 2001, 2002]
    assert found.isel(lat=0, lon=0).values.tolist() == [365, 730, 1095]

"""Mean metrics against hand values, numpy, and properties that hold for any data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnzip.errors import InputError
from nnzip.evaluate import mean

METRICS = (mean.rmse, mean.mae, mean.bias, mean.max_error, mean.psnr, mean.error_quantiles, mean.correlation)
FIELDS = arrays(np.float64, (2, 3, 4), elements=st.floats(-1e3, 1e3, width=32))


def _field(values: Any) -> xr.DataArray:
    array = np.asarray(values)
    coords = {"lat": np.linspace(-30, 30, array.shape[-2]), "lon": np.arange(array.shape[-1]) * 10.0}
    return xr.DataArray(array, dims=("time", "lat", "lon")[-array.ndim :], coords=coords, name="t")


def test_hand_values() -> None:
    original, decoded = _field([[1.0, 2.0], [3.0, 5.0]]), _field([[1.0, 3.0], [3.0, 3.0]])  # errors 0, 1, 0, -2
    assert mean.rmse(original, decoded) == pytest.approx(np.sqrt(5 / 4))
    assert mean.mae(original, decoded) == pytest.approx(3 / 4)
    assert mean.bias(original, decoded) == pytest.approx(-1 / 4)
    assert mean.max_error(original, decoded) == 2
    assert mean.psnr(original, decoded) == pytest.approx(20 * np.log10(4 / np.sqrt(5 / 4)))
    assert mean.error_quantiles(original, decoded, quantiles=(0.5,)).item() == pytest.approx(0.5)
    expected = np.corrcoef([1, 2, 3, 5], [1, 3, 3, 3])[0, 1]
    assert mean.correlation(original, decoded) == pytest.approx(expected)


def test_weights_against_a_repeated_row() -> None:
    """A row of weight 3 counts as three rows."""
    rng = np.random.default_rng(0)
    original, decoded = rng.normal(size=(2, 5)), rng.normal(size=(2, 5))
    weights = xr.DataArray([1.0, 3.0], dims="lat", coords={"lat": [-30.0, 30.0]})
    repeated = (_field(original[[0, 1, 1, 1]]), _field(decoded[[0, 1, 1, 1]]))
    for metric in (mean.rmse, mean.mae, mean.bias, mean.correlation):
        weighted = metric(_field(original), _field(decoded), weights=weights)
        assert weighted.item() == pytest.approx(metric(*repeated).item(), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_dims_reduce_only_what_is_named_and_laziness_changes_nothing(metric: Callable[..., xr.DataArray]) -> None:
    rng = np.random.default_rng(1)
    original, decoded = _field(rng.normal(size=(3, 4, 5))), _field(rng.normal(size=(3, 4, 5)))
    per_time = metric(original, decoded, dims=("lat", "lon"))
    lazy = metric(original.chunk(time=1, lat=2), decoded.chunk(time=1), dims=("lat", "lon"))
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.compute().values, per_time.values)
    for time in range(3):
        alone = metric(original.isel(time=time), decoded.isel(time=time))
        np.testing.assert_allclose(per_time.isel(time=time).values, alone.values)
        assert alone.dtype == np.float64


@pytest.mark.parametrize("metric", METRICS)
def test_missing_values_are_skipped(metric: Callable[..., xr.DataArray]) -> None:
    rng = np.random.default_rng(2)
    original, decoded = rng.normal(size=(1, 40)), rng.normal(size=(1, 40))
    kept = metric(_field(original[:, 3:]), _field(decoded[:, 3:]), dims=("lat", "lon")).values
    original[0, 0], original[0, 1], decoded[0, 2] = np.nan, np.inf, np.nan
    np.testing.assert_allclose(metric(_field(original), _field(decoded), dims=("lat", "lon")).values, kept)


def test_mismatched_missing_values_are_counted() -> None:
    original = _field([[np.nan, np.nan, 1.0, np.inf, np.inf, 2.0]])
    decoded = _field([[np.nan, 0.0, np.nan, np.inf, -np.inf, 2.1]])
    assert mean.missing_mismatch(original, decoded).item() == 3


@given(FIELDS)
def test_identity_has_no_error(values: np.typing.NDArray[np.float64]) -> None:
    field = _field(values)
    for metric in (mean.rmse, mean.mae, mean.bias, mean.max_error):
        assert metric(field, field).item() == 0
    assert mean.psnr(field, field).item() == np.inf
    assert mean.missing_mismatch(field, field).item() == 0


@given(FIELDS, st.floats(-50, 50, width=16))
def test_a_shift_is_pure_bias(values: np.typing.NDArray[np.float64], shift: float) -> None:
    original, decoded = _field(values), _field(values + shift)
    assert mean.bias(original, decoded).item() == pytest.approx(shift, abs=1e-9)
    assert mean.rmse(original, decoded).item() == pytest.approx(abs(shift), abs=1e-9)
    assert mean.max_error(original, decoded).item() == pytest.approx(abs(shift), abs=1e-9)


@given(FIELDS, FIELDS)
def test_errors_are_ordered_and_scale_with_the_units(
    first: np.typing.NDArray[np.float64], second: np.typing.NDArray[np.float64]
) -> None:
    a, b = _field(first), _field(second)
    rmse, mae, largest = mean.rmse(a, b).item(), mean.mae(a, b).item(), mean.max_error(a, b).item()
    assert abs(mean.bias(a, b).item()) <= mae * (1 + 1e-12) <= rmse * (1 + 1e-9) <= largest * (1 + 1e-8)
    assert mean.rmse(a * 100, b * 100).item() == pytest.approx(100 * rmse)


def test_float32_values_are_computed_in_float64() -> None:
    original = _field(np.full((1000, 1000), 1e5, dtype=np.float32))
    assert mean.rmse(original, original + np.float32(0.5)).item() == pytest.approx(0.5, rel=1e-12)


def test_constant_originals_have_no_correlation_and_no_psnr() -> None:
    original, decoded = _field(np.ones((2, 2))), _field(np.eye(2))
    assert np.isnan(mean.correlation(original, decoded).item())
    assert np.isnan(mean.psnr(original, decoded).item())


def test_other_coordinates_are_an_error_and_not_an_intersection() -> None:
    original = _field(np.zeros((2, 3)))
    with pytest.raises(InputError, match="different coordinates"):
        mean.rmse(original, original.assign_coords(lon=original.lon + 1))
    with pytest.raises(InputError, match="dimensions"):
        mean.rmse(original, original.isel(lat=0, drop=True))

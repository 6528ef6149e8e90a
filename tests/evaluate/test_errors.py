"""Metrics of whole arrays and of blocks against hand values and numpy; the lossless baseline."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnzip.errors import InputError
from nnzip.evaluate.errors import ErrorStatistics, bias, lossless_bytes, max_error, rmse
from tests.support.expected_scores import expected_scores

METRICS = (rmse, bias, max_error)
Floats = np.typing.NDArray[np.float64]
FIELDS = arrays(np.float64, (2, 3, 4), elements=st.floats(-1e3, 1e3, width=32))


def _field(values: Any) -> xr.DataArray:
    array = np.asarray(values)
    coords = {"lat": np.linspace(-30, 30, array.shape[-2]), "lon": np.arange(array.shape[-1]) * 10.0}
    return xr.DataArray(array, dims=("time", "lat", "lon")[-array.ndim :], coords=coords, name="t")


def test_hand_values() -> None:
    original, decoded = _field([[1.0, 2.0], [3.0, 5.0]]), _field([[1.0, 3.0], [3.0, 3.0]])  # errors 0, 1, 0, -2
    assert rmse(original, decoded) == pytest.approx(np.sqrt(5 / 4))
    assert bias(original, decoded) == pytest.approx(-1 / 4)
    assert max_error(original, decoded) == 2


def test_weights_against_a_repeated_row() -> None:
    """A row of weight 3 counts as three rows."""
    rng = np.random.default_rng(0)
    original, decoded = rng.normal(size=(2, 5)), rng.normal(size=(2, 5))
    weights = xr.DataArray([1.0, 3.0], dims="lat", coords={"lat": [-30.0, 30.0]})
    repeated = (_field(original[[0, 1, 1, 1]]), _field(decoded[[0, 1, 1, 1]]))
    for metric in (rmse, bias):
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


@given(FIELDS)
def test_identity_has_no_error(values: np.typing.NDArray[np.float64]) -> None:
    field = _field(values)
    for metric in METRICS:
        assert metric(field, field).item() == 0


@given(FIELDS, st.floats(-50, 50, width=16))
def test_a_shift_is_pure_bias(values: np.typing.NDArray[np.float64], shift: float) -> None:
    original, decoded = _field(values), _field(values + shift)
    assert bias(original, decoded).item() == pytest.approx(shift, abs=1e-9)
    assert rmse(original, decoded).item() == pytest.approx(abs(shift), abs=1e-9)
    assert max_error(original, decoded).item() == pytest.approx(abs(shift), abs=1e-9)


@given(FIELDS, FIELDS)
def test_errors_are_ordered_and_scale_with_the_units(
    first: np.typing.NDArray[np.float64], second: np.typing.NDArray[np.float64]
) -> None:
    a, b = _field(first), _field(second)
    typical, largest = rmse(a, b).item(), max_error(a, b).item()
    assert abs(bias(a, b).item()) <= typical * (1 + 1e-9) <= largest * (1 + 1e-8)
    assert rmse(a * 100, b * 100).item() == pytest.approx(100 * typical)


def test_float32_values_are_computed_in_float64() -> None:
    original = _field(np.full((1000, 1000), 1e5, dtype=np.float32))
    assert rmse(original, original + np.float32(0.5)).item() == pytest.approx(0.5, rel=1e-12)


def test_other_coordinates_are_an_error_and_not_an_intersection() -> None:
    original = _field(np.zeros((2, 3)))
    with pytest.raises(InputError, match="different coordinates"):
        rmse(original, original.assign_coords(lon=original.lon + 1))
    with pytest.raises(InputError, match="dimensions"):
        rmse(original, original.isel(lat=0, drop=True))


def _gather(original: Floats, decoded: Floats, weights: Floats, size: int) -> ErrorStatistics:
    statistics = ErrorStatistics()
    for start in range(0, original.shape[0], size):
        part = slice(start, start + size)
        statistics.add(original[part], decoded[part], weights, (start, 0))
    return statistics


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.floats(-1e4, 1e4), st.booleans())
def test_blocks_equal_the_whole(seed: int, size: int, offset: float, holes: bool) -> None:
    rng = np.random.default_rng(seed)
    original = offset + rng.normal(size=(11, 7))
    decoded = original + 0.1 * rng.normal(size=original.shape)
    if holes:
        original[rng.random(original.shape) < 0.2] = np.nan
        decoded[rng.random(original.shape) < 0.1] = np.inf
        original[0, 0] = decoded[0, 0] = 1.0
    weights = rng.random(7) + 0.5
    got = _gather(original, decoded, weights, size)
    expected = expected_scores(original, decoded, weights)
    for name in ("rmse", "plain_rmse", "mae", "psnr"):
        assert getattr(got, name)() == pytest.approx(expected[name], rel=1e-9)
    assert got.bias() == pytest.approx(expected["bias"], rel=1e-6, abs=1e-9)
    assert got.correlation() == pytest.approx(expected["correlation"], rel=1e-6)
    assert got.max_error == expected["max_error"]
    assert got.mismatch == np.count_nonzero(~(np.isfinite(original) & np.isfinite(decoded)))
    assert got.missing == np.count_nonzero(~np.isfinite(original))
    assert got.values == original.size
    assert abs(original[got.max_error_index] - decoded[got.max_error_index]) == got.max_error


@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1.0, 1e12])
def test_quantiles_are_never_too_small_and_at_most_a_thousandth_too_large(scale: float) -> None:
    error = scale * np.random.default_rng(0).standard_t(3, size=(1, 200_000))
    got = _gather(np.zeros_like(error), error, np.ones(1), 1)
    for fraction in (0.5, 0.99, 0.9999):
        exact = float(np.quantile(np.abs(error), fraction, method="inverted_cdf"))
        assert exact <= got.quantile(fraction) <= exact * 1.001
    assert got.quantile(1.0) == got.max_error


def test_quantiles_of_mostly_exact_values_are_zero() -> None:
    error = np.zeros((1, 1000))
    error[0, 0] = 1
    got = _gather(np.zeros_like(error), error, np.ones(1), 1)
    assert got.quantile(0.99) == 0
    assert got.quantile(1) == 1


def test_histogram_counts_every_value_on_its_side() -> None:
    error = np.array([[-2.0, -1.0, 0.0, 0.0, 0.5, 2.0, np.nan]])
    histogram = _gather(np.zeros_like(error), error, np.ones(1), 1).histogram(bins=9)
    assert histogram.counts.sum() == 6
    assert histogram.counts[4] == 2  # the middle bin holds the zeros
    assert (histogram.counts[:4].sum(), histogram.counts[5:].sum()) == (2, 2)
    assert histogram.edges[[0, -1]].tolist() == [-2, 2]


def test_an_exact_copy_and_a_constant_field() -> None:
    values = np.arange(6.0).reshape(2, 3)
    exact = _gather(values, values, np.ones(1), 1)
    assert (exact.rmse(), exact.max_error, exact.psnr(), exact.correlation()) == (0, 0, math.inf, 1)
    assert exact.histogram().counts.sum() == 6
    constant = _gather(np.ones((2, 3)), values, np.ones(1), 1)
    assert constant.psnr() is None
    assert constant.correlation() is None


def test_exact_values_beyond_the_root_of_the_largest_number() -> None:
    values = np.array([[1e300, -1e300, 5e-324], [1.7e308, -1.7e308, 0.0]])
    exact = _gather(values, values, np.ones(1), 1)
    assert (exact.rmse(), exact.max_error, exact.bias(), exact.correlation()) == (0, 0, 0, None)


def test_correlation_survives_a_large_mean() -> None:
    rng = np.random.default_rng(1)
    original = 1e7 + rng.normal(size=(50, 40))
    decoded = original + 0.1 * rng.normal(size=original.shape)
    expected = np.corrcoef(original.ravel(), decoded.ravel())[0, 1]
    assert _gather(original, decoded, np.ones(1), 3).correlation() == pytest.approx(expected, rel=1e-6)


def test_shuffle_puts_bytes_of_equal_rank_together() -> None:
    values = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    raw = values.astype("<f4").tobytes()
    shuffled = b"".join(raw[rank::4] for rank in range(4))
    assert lossless_bytes(values) == len(zlib.compress(shuffled, 5))


def test_smooth_float64_fields_count_as_float32_and_beat_plain_zlib() -> None:
    values = 280 + np.sin(np.linspace(0, 9, 20_000)).cumsum().reshape(100, 200)
    plain = len(zlib.compress(values.astype("<f4").tobytes(), 5))
    assert lossless_bytes(values) < plain < 4 * values.size


def test_values_missing_in_another_way_are_counted() -> None:
    original = np.array([[np.nan, np.nan, 1.0, np.inf, np.inf, 2.0]])
    decoded = np.array([[np.nan, 0.0, np.nan, np.inf, -np.inf, 2.1]])
    assert _gather(original, decoded, np.ones(1), 1).mismatch == 3

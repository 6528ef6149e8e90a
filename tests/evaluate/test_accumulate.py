"""Blockwise statistics against the same metrics of the whole arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.evaluate import mean
from nnzip.evaluate.accumulate import ErrorStatistics

Floats = np.typing.NDArray[np.float64]


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
    a, b, w = (xr.DataArray(x, dims=tuple(d)) for x, d in ((original, "xy"), (decoded, "xy"), (weights, "y")))
    assert got.rmse() == pytest.approx(mean.rmse(a, b, weights=w).item(), rel=1e-9)
    assert got.plain_rmse() == pytest.approx(mean.rmse(a, b).item(), rel=1e-9)
    assert got.mae() == pytest.approx(mean.mae(a, b, weights=w).item(), rel=1e-9)
    assert got.bias() == pytest.approx(mean.bias(a, b, weights=w).item(), rel=1e-6, abs=1e-9)
    assert got.max_error == mean.max_error(a, b).item()
    assert got.correlation() == pytest.approx(mean.correlation(a, b, weights=w).item(), rel=1e-6)
    assert got.psnr() == pytest.approx(mean.psnr(a, b).item())
    assert got.mismatch == mean.missing_mismatch(a, b).item()
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


def test_correlation_survives_a_large_mean() -> None:
    rng = np.random.default_rng(1)
    original = 1e7 + rng.normal(size=(50, 40))
    decoded = original + 0.1 * rng.normal(size=original.shape)
    expected = np.corrcoef(original.ravel(), decoded.ravel())[0, 1]
    assert _gather(original, decoded, np.ones(1), 3).correlation() == pytest.approx(expected, rel=1e-6)

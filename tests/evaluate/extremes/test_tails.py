"""Errors in the tails against hand values, numpy's quantiles and the definition behind peers.json."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from bench.errors import measure
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.evaluate.extremes.tails import percentile, percentiles, tail_rmse


def _line(values: list[float]) -> xr.DataArray:
    return xr.DataArray(np.array(values), dims="x", name="t")


def _noise(seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    original = xr.DataArray(rng.gamma(2, 3, (3, 40, 5, 6)), dims=("level", "time", "lat", "lon"), name="t")
    return original, original + rng.normal(0, 0.3, original.shape)


def test_hand_values_of_both_tails() -> None:
    original = _line([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    decoded = _line([1.0, 1, 2, 3, 4, 5, 6, 7, 5, 8])
    assert percentile(original, 0.75).item() == 6.75
    assert tail_rmse(original, decoded, quantile=0.75).item() == pytest.approx(np.sqrt((0 + 9 + 1) / 3))
    assert tail_rmse(original, decoded, quantile=0.1).item() == 1  # below 0.9: the zero alone
    weights = _line([1.0] * 8 + [3, 1])
    assert tail_rmse(original, decoded, quantile=0.75, weights=weights).item() == pytest.approx(np.sqrt(28 / 5))


def test_values_on_the_threshold_are_not_beyond_and_an_empty_tail_is_nan() -> None:
    rain = _line([0.0] * 9 + [4.0])
    assert np.isnan(tail_rmse(rain, rain + 1, quantile=0.05).item())
    assert tail_rmse(rain, rain + 1, quantile=0.5).item() == 1


def test_the_definition_of_the_benchmark() -> None:
    original, decoded = _noise()
    p99 = [float(np.quantile(level, 0.99)) for level in original.values]
    expected = measure(original.values, decoded.values, np.zeros(5), p99).tail_rmse
    threshold = percentile(original, 0.99, dims=("time", "lat", "lon"))
    np.testing.assert_allclose(threshold, p99)
    assert tail_rmse(original, decoded, quantile=0.99, threshold=threshold).item() == pytest.approx(expected)


def test_every_cell_its_own_percentile_lazily_too() -> None:
    original, decoded = _noise(1)
    own = percentile(original, 0.9, dims="time")
    error = (decoded - original).values
    beyond = original.values > np.quantile(original.values, 0.9, axis=1)[:, None]
    expected = np.sqrt((error[beyond] ** 2).mean())
    assert tail_rmse(original, decoded, quantile=0.9, threshold=own).item() == pytest.approx(expected)
    lazy = original.chunk(time=7, lat=2)
    result = tail_rmse(lazy, decoded.chunk(time=7), quantile=0.9, threshold=percentile(lazy, 0.9, dims="time"))
    assert result.chunks is not None
    assert result.compute().item() == pytest.approx(expected)


@given(st.lists(st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32)), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_percentiles_are_numpys_without_missing_values(values: list[float]) -> None:
    fractions = [0.0, 0.01, 0.3, 0.5, 0.99, 1.0]
    found = percentiles(_line(values).astype(np.float32), fractions).values
    finite = np.array(values)[np.isfinite(values)]
    if finite.size == 0:
        assert np.isnan(found).all()
    else:
        np.testing.assert_allclose(found, np.quantile(finite, fractions), rtol=1e-6, atol=1e-6)


def test_infinite_values_are_missing() -> None:
    assert percentile(_line([1.0, 2.0, np.inf, -np.inf]), 1.0).item() == 2

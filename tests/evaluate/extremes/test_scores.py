"""All extreme scores of a variable together: what is scored, what is said instead, and the curves for drawing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.evaluate import evaluate
from nnzip.evaluate.extremes import scores as module
from nnzip.evaluate.extremes.scores import ExtremeScores, extreme_scores
from nnzip.evaluate.extremes.tails import probabilities, tail_curves, tail_rmse

TOO_SHORT = "is too short for return levels (it takes 20 for the 20-year one and 25 for the 50-year one)"


def _temperature(days: int, levels: int = 0, seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    shape = (days, *([levels] if levels else []), 6, 8)
    dims = ("time", *(["level"] if levels else []), "lat", "lon")
    times = (np.datetime64("1990-01-01") + np.arange(days)).astype("datetime64[ns]")
    coords = {"time": times, "lat": np.linspace(60, 10, 6), "lon": np.arange(8) * 10.0}
    original = xr.DataArray(rng.normal(285, 9, shape), coords, dims=dims, name="t2m", attrs={"units": "K"})
    return original, (original + rng.normal(0, 0.5, shape)).assign_attrs(original.attrs)


def _scored(original: xr.DataArray, decoded: xr.DataArray) -> ExtremeScores:
    pair = original.to_dataset(), decoded.to_dataset()
    return extreme_scores(original, decoded, evaluate(*pair, structure=False).variables[0])


def test_a_short_record_is_scored_and_says_what_it_does_not_allow() -> None:
    original, decoded = _temperature(20)
    found = _scored(original, decoded)
    assert [(tail.quantile, tail.scope) for tail in found.tails] == [(q, "all") for q in module.TAIL_QUANTILES]
    above = found.tails[1]
    assert above.rmse == pytest.approx(tail_rmse(original, decoded, quantile=0.99).item())
    assert above.threshold == pytest.approx(np.quantile(original, 0.99))
    assert above.values == 10
    assert [index.name for index in found.indices] == ["TXx", "TNn"]
    assert found.return_levels == ()
    assert found.heat_wave_overlap is None
    assert found.notes == (
        "20 time steps are too few for percentiles of single cells beyond 95 %, 99 %, 99.9 % (the first needs 100)",
        f"a record of 1 year {TOO_SHORT}",
        "20 days are too few for heat waves (they need 30)",
    )
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert "curves" not in content
    assert content["tails"][0]["fss"] == found.tails[0].fss


def test_a_long_record_has_percentiles_of_cells_return_levels_and_heat_waves() -> None:
    original, decoded = (array.isel(lat=slice(3), lon=slice(4)) for array in _temperature(365 * 22))
    found = _scored(original, decoded)
    assert {tail.quantile for tail in found.tails if tail.scope == "cell"} == set(module.TAIL_QUANTILES)
    assert all(tail.threshold is None for tail in found.tails if tail.scope == "cell")
    assert [(level.name, level.maps) for level in found.return_levels] == [("20-year level", 22)]
    assert found.return_levels[0].rmse is not None
    assert found.return_levels[0].rmse < 1
    assert found.heat_wave_overlap is not None
    assert 0.4 < found.heat_wave_overlap < 1
    in_runs_of_three = 0.1 * (1 - 0.9**2 - 2 * 0.1 * 0.9**2)  # of independent days, one in ten of them hot
    assert found.heat_wave_days == pytest.approx(365 * 22 * in_runs_of_three, rel=0.15)
    assert found.notes == (f"a record of 22 years {TOO_SHORT}",)


def test_fields_without_time_are_scored_too() -> None:
    original, decoded = (array.isel(time=0, drop=True) for array in _temperature(2))
    found = _scored(original, decoded)
    assert found.tails[0].rmse is not None
    assert found.indices == ()
    assert any("no series of dates" in note for note in found.notes)


def test_levels_have_thresholds_of_their_own() -> None:
    original, decoded = _temperature(5, levels=2)
    original, decoded = (array + xr.DataArray([0.0, 100.0], dims="level") for array in (original, decoded))
    found = _scored(original.rename("t"), decoded.rename("t"))
    assert found.tails[0].threshold is None
    assert found.tails[0].values == 2 * 12


def test_large_grids_are_thinned_and_the_record_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    original, decoded = _temperature(20)
    monkeypatch.setattr(module, "MAX_VALUES", 300)
    found = _scored(original, decoded)
    assert found.thinned == 2
    thin = {"lat": slice(None, None, 2), "lon": slice(None, None, 2)}
    expected = tail_rmse(original.isel(thin), decoded.isel(thin), quantile=0.99).item()
    assert found.tails[1].rmse == pytest.approx(expected)


def test_positions_missing_on_one_side_do_not_count() -> None:
    original, decoded = _temperature(20)
    holed = decoded.where(original < 290)
    found = _scored(original, holed)
    assert found.tails[1].threshold == pytest.approx(np.quantile(original.values[original.values < 290], 0.99))


def test_curves_of_a_known_error() -> None:
    original = xr.DataArray(np.linspace(0, 60, 60_001), dims="x")
    decoded = (original + 2).where(original > 30, original - 1)
    curves = tail_curves(original, decoded, 2.0)
    np.testing.assert_allclose(curves.mean[:30], -1, atol=0.01)
    np.testing.assert_allclose(curves.highest[31:], 2, atol=0.01)
    assert (curves.original[0], curves.original[-1]) == (0, 60)
    assert curves.decoded[-1] == 62
    assert np.all(np.diff(probabilities(1000)) > 0)


def test_curves_of_a_constant_field_without_error() -> None:
    original = xr.DataArray(np.full((4, 4), 3.0), dims=("lat", "lon"))
    curves = tail_curves(original, original, 0.0)
    assert np.nanmax(np.abs(curves.mean)) < 1e-12
    assert np.isnan(curves.mean[1:]).all()

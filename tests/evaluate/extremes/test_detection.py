"""Detection scores against the formulas by hand, and the fractions skill score window by window."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import UnavailableError
from nnzip.evaluate.extremes.detection import detection_scores, fractions_skill_score

LIMIT = xr.DataArray(0.5)


def _fields(seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    coords = {"lat": np.arange(12.0), "lon": np.arange(10.0)}
    original = xr.DataArray(rng.random((3, 12, 10)), coords, dims=("time", "lat", "lon"), name="t")
    return original, original + rng.normal(0, 0.2, original.shape)


def test_scores_are_the_formulas_of_the_contingency_table() -> None:
    original, decoded = _fields()
    a, b = original.values > 0.5, decoded.values > 0.5
    hits, false, misses, none = (np.count_nonzero(x) for x in (a & b, ~a & b, a & ~b, ~a & ~b))
    found = detection_scores(original, decoded, threshold=LIMIT)
    assert found["events"].item() == hits + misses
    assert found["pod"].item() == pytest.approx(hits / (hits + misses))
    assert found["far"].item() == pytest.approx(false / (hits + false))
    assert found["csi"].item() == pytest.approx(hits / (hits + false + misses))
    assert found["frequency_bias"].item() == pytest.approx((hits + false) / (hits + misses))
    h, f = hits / (hits + misses), false / (false + none)
    terms = [np.log(x) for x in (f, h, 1 - f, 1 - h)]
    assert found["sedi"].item() == pytest.approx((terms[0] - terms[1] - terms[2] + terms[3]) / sum(terms))


def test_weights_dims_and_lazy_data() -> None:
    original, decoded = _fields(1)
    weights = xr.DataArray(np.linspace(0, 2, 12), {"lat": original.lat}, dims="lat")
    by_time = detection_scores(original, decoded, dims=("lat", "lon"), weights=weights, threshold=LIMIT)
    assert by_time["pod"].dims == ("time",)
    a, b = original.values[1] > 0.5, decoded.values[1] > 0.5
    w = weights.values[:, None]
    assert by_time["csi"].values[1] == pytest.approx((w * (a & b)).sum() / (w * (a | b)).sum())
    lazy = detection_scores(original.chunk(time=1), decoded.chunk(time=1), threshold=LIMIT)
    assert lazy["csi"].item() == detection_scores(original, decoded, threshold=LIMIT)["csi"].item()


def test_identical_data_are_perfect_and_missing_values_do_not_count() -> None:
    original, decoded = _fields(2)
    same = detection_scores(original, original, quantile=0.9)
    assert [same[name].item() for name in ("pod", "far", "csi", "sedi", "frequency_bias")] == [1, 0, 1, 1, 1]
    assert same["events"].item() == 36
    holes = decoded.where(original <= 0.5)  # every event is missing in the decoded data
    found = detection_scores(original, holes, threshold=LIMIT)
    assert found["events"].item() == 0
    assert np.isnan(found["pod"].item())
    lower = detection_scores(original, decoded, quantile=0.1)
    assert lower["events"].item() == 36


def test_a_set_that_is_never_hit_has_no_sedi() -> None:
    original, _ = _fields(3)
    found = detection_scores(original, original - 9, threshold=LIMIT)
    assert found["pod"].item() == 0
    assert np.isnan(found["sedi"].item())


def test_fractions_skill_score_window_by_window() -> None:
    original, decoded = _fields(4)
    numerator = denominator = 0.0
    for first, second in zip(original.values > 0.5, decoded.values > 0.5, strict=True):
        for i in range(12 - 4):
            for j in range(10 - 4):
                a, b = (field[i : i + 5, j : j + 5].mean() for field in (first, second))
                numerator += (a - b) ** 2
                denominator += a**2 + b**2
    found = fractions_skill_score(original, decoded, threshold=LIMIT)
    assert found.item() == pytest.approx(1 - numerator / denominator)
    per_time = fractions_skill_score(original, decoded, dims=("lat", "lon"), threshold=LIMIT)
    assert per_time.dims == ("time",)
    assert fractions_skill_score(original, original, quantile=0.9).item() == 1
    assert np.isnan(fractions_skill_score(original, decoded, threshold=xr.DataArray(99.0)).item())


def test_fractions_skill_score_forgives_a_shift_within_the_window() -> None:
    original = xr.DataArray(np.zeros((20, 20)), dims=("lat", "lon"))
    original[10, 10] = 1
    near, far = original.roll(lon=1, roll_coords=False), original.roll(lon=8, roll_coords=False)
    scores = [fractions_skill_score(original, moved, threshold=LIMIT).item() for moved in (near, far)]
    assert scores[0] == pytest.approx(0.8)
    assert scores[1] == 0


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scores", None)
    monkeypatch.setitem(sys.modules, "scores.categorical", None)
    original, decoded = _fields()
    with pytest.raises(UnavailableError, match=r"pip install 'nnzip\[extremes\]'"):
        detection_scores(original, decoded)
    with pytest.raises(UnavailableError, match="scores"):
        fractions_skill_score(original, decoded)

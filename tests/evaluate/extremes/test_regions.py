"""Overlap of regions, spells and heat waves by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.extremes.regions import (
    heat_wave_overlap,
    overlap,
    require_time,
    run_lengths,
    spells,
    threshold_overlap,
)


def _plane(values: list[list[float]]) -> xr.DataArray:
    return xr.DataArray(np.array(values), dims=("lat", "lon"))


def test_overlap_is_intersection_over_union_by_weight() -> None:
    first, second = _plane([[1.0, 1, 0], [1, 0, 0]]), _plane([[1.0, 0, 1], [1, 0, 0]])
    assert threshold_overlap(first, second, threshold=0.5).item() == pytest.approx(2 / 4)
    weights = xr.DataArray([1.0, 3.0], dims="lat")
    assert threshold_overlap(first, second, threshold=0.5, weights=weights).item() == pytest.approx(4 / 6)
    assert threshold_overlap(first, second, threshold=0.5, above=False).item() == pytest.approx(2 / 4)
    rows = threshold_overlap(first, second, threshold=0.5, dims="lon")
    assert rows.values.tolist() == [pytest.approx(1 / 3), 1]


def test_empty_regions_have_no_overlap_and_missing_values_do_not_count() -> None:
    field = _plane([[1.0, 2.0]])
    assert np.isnan(threshold_overlap(field, field, threshold=9).item())
    holed = field.where(field < 2)
    assert threshold_overlap(field, holed, threshold=0.5).item() == 1
    assert overlap(field > 0, holed > 0).item() == pytest.approx(1 / 2)


def test_runs_and_spells() -> None:
    days = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1], dtype=bool)
    assert run_lengths(days).tolist() == [1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3]
    array = xr.DataArray(days, dims="time")
    expected = [False] * 3 + [True] * 4 + [False] + [True] * 3
    assert spells(array, "time", 3).values.tolist() == expected
    assert spells(array.chunk(time=4), "time", 3).values.tolist() == expected
    assert spells(array, "time", 4).values.sum() == 4


def test_heat_waves_are_three_days_above_the_cells_own_percentile() -> None:
    hot = np.zeros(40)
    hot[[3, 10, 11, 12]] = 9.0  # the 90th percentile is 0 (4 of 40 above): one wave of three days, one single day
    values = hot[:, None, None] * np.ones((1, 2, 2))
    coords = {"time": np.arange(40).astype("datetime64[D]").astype("datetime64[ns]"), "lat": [0.0, 1], "lon": [0.0, 1]}
    original = xr.DataArray(values, coords, dims=("time", "lat", "lon"), name="t2m")
    assert heat_wave_overlap(original, original).item() == 1
    cooler = original.copy()
    cooler[10, 0, 0] = -1  # no longer three days there: 9 of 12 days remain
    assert heat_wave_overlap(original, cooler).item() == pytest.approx(9 / 12)
    longer = original.copy()
    longer[13] = 1
    assert heat_wave_overlap(original, longer).item() == pytest.approx(3 / 4)


def test_without_time_there_are_no_spells() -> None:
    with pytest.raises(ValueError, match="no time dimension"):
        require_time(xr.DataArray(np.zeros((2, 2)), {"lat": [0.0, 1], "lon": [0.0, 1]}, dims=("lat", "lon")))

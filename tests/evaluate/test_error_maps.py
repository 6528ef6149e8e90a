"""Errors by place and time, gathered in blocks, equal those of the whole."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate import error_maps
from nnzip.evaluate import pieces as module
from nnzip.evaluate.error_maps import ErrorsByPlace
from nnzip.evaluate.evaluate import evaluate


@pytest.mark.parametrize("dims", [("time", "level", "lat", "lon"), ("lat", "lon", "level", "time")])
def test_maps_and_curves_are_those_of_the_whole(dims: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_VALUES", 100)
    rng = np.random.default_rng(0)
    coords = {"lat": np.linspace(80, 10, 8), "lon": np.arange(9.0)}
    first = xr.DataArray(rng.normal(size=(7, 3, 8, 9)), coords, ("time", "level", "lat", "lon"), "t")
    first[2, :, 3, 4] = np.nan
    first[:, :, 0, 0] = np.nan
    second = first + rng.normal(size=first.shape)
    error = second - first
    original, decoded = (array.transpose(*dims).to_dataset() for array in (first, second))
    found = evaluate(original, decoded, structure=False).variables[0].maps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing
        np.testing.assert_allclose(found.rmse, np.sqrt((error**2).mean(("time", "level"))))
        np.testing.assert_allclose(found.largest, abs(error).max(("time", "level")))
    weights = np.sin(np.deg2rad(first.lat + 5)) - np.sin(np.deg2rad(first.lat - 5))
    rmse = np.sqrt((error**2).weighted(weights).mean(("level", "lat", "lon")))
    np.testing.assert_allclose(found.time_rmse, rmse)
    np.testing.assert_allclose(found.time_largest, abs(error).max(("level", "lat", "lon")))


def test_fine_grids_are_gathered_in_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_maps, "MAX_CELLS", 6)
    gathered = ErrorsByPlace((1, 5, 4), (None, 0, 1))
    error = np.arange(20.0).reshape(5, 4)
    gathered.add(np.zeros((5, 4)), error, np.ones((5, 1)), (0, 0))
    found = gathered.result()
    assert found.block == 2
    np.testing.assert_array_equal(found.largest, [[5, 7], [13, 15], [17, 19]])
    np.testing.assert_allclose(found.rmse[2], np.sqrt([(16**2 + 17**2) / 2, (18**2 + 19**2) / 2]))
    assert found.time_rmse.size == 0

"""Cell-area weights against the areas of spherical zones."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nnzip.errors import InputError
from nnzip.evaluate.weights import area_weights, latitude_weights


@pytest.mark.parametrize("latitude", [np.arange(-90.0, 91, 30), np.arange(75.0, -76, -30)])
def test_global_weights_are_the_areas_of_zones(latitude: np.typing.NDArray[np.float64]) -> None:
    edges = [(max(-90.0, x - 15), min(90.0, x + 15)) for x in latitude]
    areas = np.array([np.sin(np.deg2rad(b)) - np.sin(np.deg2rad(a)) for a, b in edges])
    assert areas.sum() == pytest.approx(2)  # the whole sphere
    np.testing.assert_allclose(latitude_weights(latitude), areas / areas.mean())


def test_regional_outer_cells_reach_half_a_step_and_not_to_the_poles() -> None:
    weights = latitude_weights(np.array([40.0, 50.0, 60.0]))
    expected = np.diff(np.sin(np.deg2rad([35, 45, 55, 65])))
    np.testing.assert_allclose(weights, expected / expected.mean())


@given(st.integers(2, 60), st.floats(0.1, 1.4))
def test_descending_latitudes_mirror_ascending_ones(points: int, step: float) -> None:
    latitude = np.asarray(-40 + step * np.arange(points), dtype=np.float64)
    np.testing.assert_allclose(latitude_weights(latitude), latitude_weights(latitude[::-1])[::-1])
    assert latitude_weights(latitude).mean() == pytest.approx(1)


def test_fine_grids_approach_the_cosine() -> None:
    latitude = np.arange(-89.875, 90, 0.25)
    cosine = np.cos(np.deg2rad(latitude))
    np.testing.assert_allclose(latitude_weights(latitude), cosine / cosine.mean(), rtol=1e-4)


def test_index_space_is_weighted_evenly() -> None:
    coords = {"lat": (("y", "x"), np.zeros((3, 4))), "lon": (("y", "x"), np.zeros((3, 4)))}
    weights = area_weights(xr.DataArray(np.zeros((2, 3, 4)), dims=("time", "y", "x"), coords=coords))
    assert weights.dims == ("y",)
    assert weights.values.tolist() == [1, 1, 1]


def test_what_has_no_area_is_refused() -> None:
    with pytest.raises(InputError, match="not strictly ascending or descending"):
        latitude_weights(np.array([0.0, 10.0, 10.0]))
    with pytest.raises(InputError, match="no latitude-longitude grid"):
        area_weights(xr.DataArray(np.zeros(3), dims=("time",), name="series"))

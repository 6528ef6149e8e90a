"""The sample's tropical cyclone: it moves, deepens, has an eye, and its wind balances its pressure."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from nnzip.sample.cyclone import (
    AIR_DENSITY,
    FIRST_GENESIS,
    LIFETIME_DAYS,
    MAXIMUM_DEPTH,
    gradient_wind,
    pressure_deficit,
    storm_at,
)
from nnzip.sample.sample import make_sample


@pytest.fixture(scope="module")
def storm_area() -> xr.Dataset:
    """The storm's track of five days, 0.5 degrees."""
    start = np.datetime64("2016-10-01", "s").astype(np.int64)
    storms = [storm_at(float(start + 3600 * hour), 0) for hour in (0, 120)]
    west, east = storms[1].longitude - 12.0, storms[0].longitude + 12.0
    return make_sample(
        resolution=0.5, hours=121, step_hours=24, area=(0.0, 36.0, west, east), variables=["msl", "u10", "v10", "tp"]
    )


def seconds(dataset: xr.Dataset) -> NDArray[np.int64]:
    return np.asarray(dataset.valid_time.values.astype("datetime64[s]"), dtype=np.int64)


def test_the_cyclone_moves_deepens_and_blows(storm_area: xr.Dataset) -> None:
    lowest = storm_area.msl.min(dim=("latitude", "longitude")).values
    where = storm_area.msl.stack(point=("latitude", "longitude")).argmin("point").values
    latitude, longitude = np.unravel_index(where, storm_area.msl.shape[1:])
    storms = [storm_at(float(time), 0) for time in seconds(storm_area)]
    late = slice(2, None)  # at first the storm may be a weaker low than those around it
    assert (np.diff(lowest[late]) < -200.0).all()
    assert lowest[-1] < 96000.0
    assert np.abs(storm_area.latitude.values[latitude] - [s.latitude for s in storms])[late].max() < 1.0
    assert np.abs(storm_area.longitude.values[longitude] - [s.longitude for s in storms])[late].max() < 1.0
    assert (np.diff(storm_area.longitude.values[longitude])[late] < 0.0).all()  # westward
    last = storm_area.isel(valid_time=-1)
    speed = np.hypot(last.u10, last.v10)
    row, column = np.unravel_index(int(speed.values.argmax()), speed.shape)
    distance = np.hypot(
        float(last.latitude[row]) - storms[-1].latitude,
        (float(last.longitude[column]) - storms[-1].longitude) * np.cos(np.deg2rad(storms[-1].latitude)),
    )
    assert 0.3 < distance < 2.5  # degrees: in the eyewall, not in the eye
    assert float(speed.max()) > 30.0
    eye = speed.sel(latitude=storms[-1].latitude, longitude=storms[-1].longitude, method="nearest")
    assert float(eye) < 0.6 * float(speed.max())
    assert float(last.tp.max()) > 0.01
    near = last.tp.sel(
        latitude=slice(storms[-1].latitude + 8, storms[-1].latitude - 8),
        longitude=slice(storms[-1].longitude - 8, storms[-1].longitude + 8),
    )
    assert 0.05 < float((near > 0).mean()) < 0.95


def test_storm_profile_is_in_gradient_balance() -> None:
    radius = np.linspace(20e3, 1200e3, 2361)
    coriolis = 5e-5
    deficit, slope = pressure_deficit(radius, 6000.0)
    np.testing.assert_allclose(np.gradient(-deficit, radius)[1:-1], slope[1:-1], rtol=2e-3, atol=1e-5)
    wind = gradient_wind(radius, slope, coriolis)
    np.testing.assert_allclose(wind**2 / radius + coriolis * wind, slope / AIR_DENSITY, rtol=1e-9)
    assert 80e3 < radius[wind.argmax()] < 110e3


def test_every_storm_grows_and_vanishes_within_its_life() -> None:
    for number in (-3, 0, 7):
        birth = FIRST_GENESIS + number * LIFETIME_DAYS * 86400.0
        depth = [storm_at(birth + day * 86400.0, 2).depth for day in (0.0, 3.0, 6.0, 8.0, 10.0, 11.99)]
        assert depth[0] == 0.0
        assert depth[0] < depth[1] < depth[2] < depth[3] == MAXIMUM_DEPTH
        assert depth[3] > depth[4] > depth[5]
        assert depth[5] < 1.0

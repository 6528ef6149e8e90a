"""Cyclone centres on fields whose minimum is known, distances on the sphere, and what can be tracked."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.evaluate.extremes.cyclone import (
    EARTH_RADIUS,
    displacement,
    great_circle,
    track,
    tracked_variable,
    wind_speed,
)
from nnzip.evaluate.weights import area_weights
from nnzip.sample.cyclone import storm_at


def _box(low: tuple[int, int], value: float = -50.0, rows: int = 9, columns: int = 11) -> xr.DataArray:
    coords = {"lat": np.linspace(30, 10, rows), "lon": 270.0 + np.arange(columns)}
    field = xr.DataArray(np.zeros((rows, columns)), coords, dims=("lat", "lon"), name="z")
    field[low] = value
    return field


def _distance(*degrees: float) -> float:
    return float(great_circle(*(xr.DataArray(value) for value in degrees)))


def test_great_circles() -> None:
    assert _distance(0, 0, 90, 0) == pytest.approx(np.pi / 2 * EARTH_RADIUS)
    assert _distance(0, 350, 0, 10) == pytest.approx(np.deg2rad(20) * EARTH_RADIUS)
    assert _distance(0, -180, 0, 180) == pytest.approx(0, abs=1e-6)
    assert _distance(51.4775, -0.4614, 40.6398, -73.7789) == pytest.approx(5540, abs=3)  # Heathrow to JFK
    a, b = np.deg2rad(48), np.deg2rad(61)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(np.deg2rad(33))
    assert _distance(48, 7, 61, 40) == pytest.approx(EARTH_RADIUS * np.arccos(cosine))


def test_the_centre_is_the_deepest_closed_minimum() -> None:
    field = _box((4, 5))
    field[6, 2] = -20
    field[0, :] = -90  # a trough at the edge is no centre
    found = track(field)
    assert (found.latitude.item(), found.longitude.item(), found.minimum.item()) == (20, 275, -50)
    mean = float((field * area_weights(field)).mean())
    assert found.depth.item() == pytest.approx(mean + 50)


def test_a_slope_has_no_centre_and_missing_neighbours_do_not_hide_one() -> None:
    slope = _box((4, 5)) * 0 + xr.DataArray(np.arange(9.0), dims="lat")
    assert np.isnan(track(slope).minimum.item())
    field = _box((4, 5))
    field[4, 6] = np.nan
    assert track(field).minimum.item() == -50
    assert np.isnan(track(_box((1, 1))[:2]).minimum.item())


def test_displacement_over_time_lazily_too() -> None:
    original = xr.concat([_box((4, 5)), _box((4, 6)), _box((4, 7))], "time")
    decoded = xr.concat([_box((4, 5)), _box((5, 6)), _box((4, 7)) * 0 + 1], "time")
    expected = np.deg2rad(2.5) * EARTH_RADIUS  # one row at one time; the last is a slope without minimum
    decoded[2] += xr.DataArray(np.arange(9.0), dims="lat")
    each = displacement(track(original.chunk(time=1, lat=3)), track(decoded.chunk(time=1)))
    assert each.chunks is not None
    np.testing.assert_allclose(each, [0, expected, np.nan], atol=1e-9)


def test_the_samples_storm_is_found_where_it_was_put() -> None:
    storm = storm_at(float(np.datetime64("2016-10-06T12", "s").astype(int)), 0)
    box = (storm.latitude - 10, storm.latitude + 10, storm.longitude - 10, storm.longitude + 10)
    names = ["msl", "u10", "v10"]
    sample = nnzip.make_sample(resolution=0.5, hours=6, step_hours=6, start="2016-10-06T12", area=box, variables=names)
    found = track(sample["msl"]).isel(valid_time=0)
    assert _distance(float(found.latitude), float(found.longitude), storm.latitude, storm.longitude) < 60
    assert float(found.depth) == pytest.approx(storm.depth, rel=0.2)
    speed = wind_speed(sample)
    assert speed is not None
    assert 40 < float(speed.max()) < 70
    assert speed.name == "u10, v10"


def test_what_is_tracked_and_where_the_wind_is_from() -> None:
    box = _box((4, 5))
    data = xr.Dataset({"t2m": box.rename("t2m"), "z": box, "msl": box.rename("msl")})
    assert tracked_variable(data) == "msl"
    assert tracked_variable(data[["t2m", "z"]]) == "z"
    assert tracked_variable(data[["t2m"]]) is None
    named = box.rename("anom").assign_attrs(long_name="Geopotential Height Anomaly")
    assert tracked_variable(xr.Dataset({"anom": named})) == "anom"
    plain = box.drop_vars(["lat", "lon"]).rename(lat="y", lon="x").rename("msl")
    assert tracked_variable(xr.Dataset({"msl": plain})) is None
    assert wind_speed(data) is None
    winds = xr.Dataset({"u": box * 0 + 3, "v": box * 0 - 4})
    speed = wind_speed(winds)
    assert speed is not None
    assert float(speed.max()) == 5
    assert wind_speed(xr.Dataset({"si10": box.rename("si10")})) is not None

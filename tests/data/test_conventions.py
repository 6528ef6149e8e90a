"""Recognition of time, latitude and longitude, and their values."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.data.conventions import (
    check_coordinates,
    curvilinear_coordinates,
    dimension_roles,
    horizontal_axis,
    time_axis,
)
from nnzip.data.packing import unpacked_attributes
from nnzip.errors import InputError

cftime = pytest.importorskip("cftime")  # untyped; netCDF4 depends on it


@pytest.mark.parametrize(
    ("time", "latitude", "longitude"),
    [
        ("time", "latitude", "longitude"),
        ("valid_time", "lat", "lon"),
        ("t", "y", "x"),
        ("step", "nav_lat", "nav_lon"),
        ("XTIME", "south_north", "west_east"),
        ("time_counter", "j", "i"),
    ],
)
def test_usual_names(time: str, latitude: str, longitude: str) -> None:
    dataset = xr.Dataset({"v": ((time, "level", latitude, longitude), np.zeros((2, 2, 2, 2)))})
    assert dimension_roles(dataset) == {time: "time", latitude: "latitude", longitude: "longitude"}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"axis": "Y"}, {"axis": "X"}),
        ({"standard_name": "latitude"}, {"standard_name": "longitude"}),
        ({"units": "degrees_north"}, {"units": "degreeE"}),
        ({"standard_name": "projection_y_coordinate"}, {"standard_name": "projection_x_coordinate"}),
    ],
)
def test_attributes_decide_whatever_the_names(a: dict[str, str], b: dict[str, str]) -> None:
    dataset = xr.Dataset(
        {"v": (("x", "y", "z"), np.zeros((2, 2, 2)))},
        {"x": ("x", [1.0, 2.0], a), "y": ("y", [1.0, 2.0], b), "z": np.array(["2020-01-01", "2020-01-02"], "M8[ns]")},
    )
    assert dimension_roles(dataset) == {"x": "latitude", "y": "longitude", "z": "time"}


def test_coordinates_of_another_name() -> None:
    dataset = xr.Dataset(
        {"v": (("run", "row", "column"), np.zeros((2, 3, 4)))},
        {
            "valid": ("run", np.array(["2020-01-01", "2020-01-02"], "M8[ns]")),
            "lat": ("row", [1.0, 2.0, 3.0]),
            "glon": ("column", [1.0, 2.0, 3.0, 4.0], {"units": "degrees_east"}),
        },
    )
    assert dimension_roles(dataset) == {"run": "time", "row": "latitude", "column": "longitude"}
    assert time_axis(dataset, "run").values[0] == 1577836800.0
    assert horizontal_axis(dataset, "row", "latitude").geographic
    np.testing.assert_array_equal(horizontal_axis(dataset, "column", "longitude").values, [1, 2, 3, 4])


def test_curvilinear_grid_lives_in_index_space() -> None:
    lat, lon = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")
    dataset = xr.Dataset(
        {"v": (("a", "b"), np.zeros((3, 4)))}, {"TLAT": (("a", "b"), lat, {"units": "degrees_north"})}
    ).assign_coords(TLON=(("a", "b"), lon, {"units": "degrees_east"}))
    assert dimension_roles(dataset) == {"a": "latitude", "b": "longitude"}
    axis = horizontal_axis(dataset, "a", "latitude")
    assert not axis.geographic
    np.testing.assert_array_equal(axis.values, [0, 1, 2])
    assert curvilinear_coordinates(dataset, "a", "b") == ("TLAT", "TLON")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 90.0, 180.0, 270.0], [0, 90, 180, 270]),
        ([-180.0, -90.0, 0.0, 90.0], [-180, -90, 0, 90]),
        ([90.0, 0.0, -90.0], [90, 0, -90]),
        ([170.0, 175.0, 180.0, -175.0], [170, 175, 180, 185]),
        ([355.0, 0.0, 5.0], [355, 360, 365]),
    ],
)
def test_longitude_conventions(values: list[float], expected: list[float]) -> None:
    axis = horizontal_axis(xr.Dataset(coords={"lon": values}), "lon", "longitude")
    assert axis.geographic
    np.testing.assert_allclose(axis.values, expected)


@pytest.mark.parametrize(
    "coordinate",
    [
        ("lat", [0.0, 100.0, 200.0]),
        ("lat", [0.0, 1.0, 1.0]),
        ("lat", [0.0, np.nan, 1.0]),
        ("lat", ["a", "b", "c"]),
        ("lat", [0.1, 0.2, 0.3], {"units": "radians"}),
        ("lat", [1000.0, 2000.0, 3000.0], {"units": "m"}),
        ("lat", [0.0, 1.0, 2.0], {"standard_name": "grid_latitude", "units": "1"}),
    ],
)
def test_unusable_latitudes_give_index_space(coordinate: tuple[object, ...]) -> None:
    axis = horizontal_axis(xr.Dataset(coords={"lat": coordinate}), "lat", "latitude")
    assert not axis.geographic
    np.testing.assert_array_equal(axis.values, [0, 1, 2])


def test_irregular_times_and_missing_times() -> None:
    times = np.array(["1969-12-31T23:00", "1970-01-01T00:00", "1970-01-05T12:00"], "M8[ns]")
    np.testing.assert_array_equal(time_axis(xr.Dataset(coords={"time": times}), "time").values, [-3600, 0, 388800])
    without = time_axis(xr.Dataset({"v": ("time", [1.0, 2.0])}), "time")
    assert not without.geographic
    scalar = time_axis(xr.Dataset(coords={"valid_time": times[1], "time": times[0]}), None)
    assert scalar.geographic
    assert scalar.dim is None
    np.testing.assert_array_equal(scalar.values, [0.0])
    assert not time_axis(xr.Dataset(), None).geographic


def test_forecast_steps_take_their_valid_times() -> None:
    valid = ("step", np.array(["2020-01-01", "2020-01-02"], "M8[ns]"))
    dataset = xr.Dataset(coords={"step": np.array([0, 24], "m8[h]").astype("m8[ns]"), "valid_time": valid})
    assert dimension_roles(dataset) == {"step": "time"}
    np.testing.assert_array_equal(np.diff(time_axis(dataset, "step").values), [86400])


def test_other_calendars() -> None:
    dates = [cftime.Datetime360Day(2000, 2, 29, 6), cftime.Datetime360Day(2000, 2, 30, 6)]
    axis = time_axis(xr.Dataset(coords={"time": dates}), "time")
    assert axis.geographic
    assert np.diff(axis.values) == 86400.0


def test_ranges_of_packed_integers_are_unpacked_once() -> None:
    variable = xr.Variable(
        ("x",),
        np.zeros(2, "f4"),
        {"valid_range": np.array([-300, 4500], "i2"), "valid_min": np.float32(1.0), "units": "K"},
        {"dtype": np.dtype("i2"), "scale_factor": np.float32(0.01), "add_offset": np.float32(273.15)},
    )
    attrs = unpacked_attributes(variable)
    np.testing.assert_allclose(attrs["valid_range"], [270.15, 318.15], rtol=1e-6)
    assert attrs["valid_range"].dtype == np.float32
    assert attrs["valid_min"] == 1.0
    variable.attrs = attrs
    np.testing.assert_array_equal(unpacked_attributes(variable)["valid_range"], attrs["valid_range"])


def test_repeated_numbers_are_named() -> None:
    with pytest.raises(InputError, match=r"'lat' holds 5.5 twice \(positions 0 and 2\)"):
        check_coordinates(xr.Dataset(coords={"lat": [5.5, 6.0, 5.5]}))

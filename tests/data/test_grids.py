"""Recognising grids by attributes, by names, and falling back to index space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from nnzip.data.conventions import TIME_NAMES, dimension_roles, is_global, variable_dims
from nnzip.data.grids import coordinate_label, find_grid, with_dates


def _array(**coords: tuple[object, dict[str, str]]) -> xr.DataArray:
    sizes = [np.size(values) for values, _ in coords.values()]  # type: ignore[arg-type]
    return xr.DataArray(
        np.zeros(sizes),
        dims=list(coords),
        coords={name: (name, values, attrs) for name, (values, attrs) in coords.items()},
    )


def test_attributes_decide_before_names() -> None:
    array = _array(
        when=(xr.date_range("2020", periods=2), {}),
        height=([850.0, 500.0], {}),
        a=([1.0, 2, 3], {"standard_name": "latitude"}),
        b=([1.0, 2, 3, 4], {"units": "degrees_east"}),
    )
    array = array.assign_coords(b=array.b.assign_attrs(standard_name="longitude"))
    grid = find_grid(array)
    assert grid is not None
    assert (grid.time, grid.latitude, grid.longitude) == ("when", "a", "b")
    assert grid.channels == ("height",)
    assert grid.geographic


def test_order_of_dimensions_does_not_matter() -> None:
    grid = find_grid(_array(lon=([0.0, 1], {}), lat=([0.0, 1], {}), time=([0.0, 1], {})))
    assert grid is not None
    assert (grid.time, grid.latitude, grid.longitude, grid.geographic) == ("time", "lat", "lon", True)


def _on_globe(sizes: dict[str, int], **coords: Any) -> xr.Dataset:
    """x over these dimensions, latitude and longitude."""
    places = {"latitude": [10.0, 20.0], "longitude": [0.0, 5.0]}
    return xr.Dataset({"x": ([*sizes, *places], np.zeros((*sizes.values(), 2, 2)))}, coords={**coords, **places})


DAYS = xr.date_range("2020", periods=3)
LEADS = np.arange(3) * np.timedelta64(3, "h")


@pytest.mark.parametrize(
    ("dataset", "time"),
    [
        (_on_globe({"step": 3}, step=LEADS, valid_time=("step", DAYS), time=DAYS[0]), "step"),
        (_on_globe({"lead": 3}, lead=LEADS), "lead"),
        (_on_globe({"run": 3}, valid_time=("run", DAYS)), "run"),
        (_on_globe({"record": 3}, stamp=("record", [1.0, 2, 3], {"standard_name": "time"})), "record"),
        (_on_globe({"record": 3}, date=("record", [20200101, 20200102, 20200103])), "record"),
        (_on_globe({"when": 3}, when=("when", [1.0, 2, 3], {"axis": "T"})), "when"),
        (_on_globe({"time": 1, "step": 3}, time=DAYS[:1], step=LEADS), "step"),
        (_on_globe({"time": 3, "step": 3}, time=DAYS, step=LEADS), "time"),
        *((_on_globe({name: 3}), name) for name in TIME_NAMES),
        (_on_globe({"number": 2, "level": 3}, level=[1000.0, 850, 500]), None),
    ],
)
def test_time_is_the_dimension_that_compression_takes(dataset: xr.Dataset, time: str | None) -> None:
    grid = find_grid(dataset["x"])
    assert grid is not None
    assert grid.time == variable_dims(dataset, "x", dimension_roles(dataset)).get("time") == time


def test_dates_beside_the_time_dimension_take_its_place() -> None:
    forecast = _on_globe({"step": 3}, step=LEADS, valid_time=("step", DAYS), time=DAYS[0])["x"]
    assert with_dates(forecast)["step"].values.tolist() == DAYS.values.tolist()
    undated = forecast.drop_vars("valid_time")
    assert with_dates(undated).identical(undated)


def test_projected_coordinates_are_index_space() -> None:
    grid = find_grid(_array(y=([0.0, 3000], {"units": "m"}), x=([0.0, 3000], {"units": "m"})))
    assert grid is not None
    assert not grid.geographic


def test_series_and_single_columns_have_no_grid() -> None:
    assert find_grid(_array(time=([0.0, 1], {}), station=([0.0, 1], {}))) is None
    assert find_grid(_array(lat=([0.0], {}), lon=([0.0, 1], {}))) is None


@pytest.mark.parametrize(
    ("longitude", "expected"),
    [
        (np.arange(0, 360, 0.25), True),
        (np.arange(-180, 180, 1.5), True),
        (np.arange(0, 361, 1.0), False),
        (np.arange(0, 350, 1.0), False),
        (np.array([0.0, 100, 200]), False),
    ],
)
def test_periodic_only_when_the_circle_closes(longitude: np.typing.NDArray[np.float64], expected: bool) -> None:
    assert is_global(longitude) is expected


def test_labels_carry_times_and_units() -> None:
    array = _array(
        time=(xr.date_range("2016-10-05T06", periods=1), {}), level=([500.0], {"units": "hPa"}), lat=([-3.5, 0], {})
    )
    assert coordinate_label(array, "time", 0) == "2016-10-05 06:00"
    assert coordinate_label(array, "level", 0) == "500 hPa"
    assert coordinate_label(array, "lat", 0) == -3.5
    assert coordinate_label(array.drop_vars("lat"), "lat", 1) == 1.0
    assert coordinate_label(_array(step=(LEADS, {})), "step", 2) == "6 h"


@pytest.mark.parametrize(
    ("rows", "columns"), [("lats", "lons"), ("yc", "xc"), ("j", "i"), ("grid_latitude", "grid_longitude")]
)
def test_latitude_is_the_dimension_that_compression_takes(rows: str, columns: str) -> None:
    array = xr.DataArray(np.zeros((3, 4)), dims=(columns, rows))
    grid = find_grid(array)
    assert grid is not None
    dataset = array.to_dataset(name="x")
    found = variable_dims(dataset, "x", dimension_roles(dataset))
    assert (grid.latitude, grid.longitude) == (found["latitude"], found["longitude"]) == (rows, columns)


def test_degrees_along_dimensions_of_other_names_are_the_grid_s() -> None:
    array = xr.DataArray(
        np.zeros((2, 3)), dims=("y", "x"), coords={"lat": ("y", [10.0, 20.0]), "lon": ("x", [0.0, 5.0, 10.0])}
    )
    grid = find_grid(array)
    assert grid is not None
    assert grid.geographic
    assert grid.latitudes.tolist() == [10, 20]


def test_unknown_last_dimensions_are_index_space() -> None:
    grid = find_grid(xr.DataArray(np.zeros((2, 3, 4)), dims=("time", "a", "b")))
    assert grid is not None
    assert (grid.time, grid.latitude, grid.longitude, grid.geographic) == ("time", "a", "b", False)

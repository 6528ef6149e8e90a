"""Recognising grids by attributes, by names, and falling back to index space."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.metrics.grid import coordinate_label, find_grid, is_periodic


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
    assert is_periodic(longitude) is expected


def test_labels_carry_times_and_units() -> None:
    array = _array(
        time=(xr.date_range("2016-10-05T06", periods=1), {}), level=([500.0], {"units": "hPa"}), lat=([-3.5, 0], {})
    )
    assert coordinate_label(array, "time", 0) == "2016-10-05 06:00"
    assert coordinate_label(array, "level", 0) == "500 hPa"
    assert coordinate_label(array, "lat", 0) == -3.5
    assert coordinate_label(array.drop_vars("lat"), "lat", 1) == 1.0

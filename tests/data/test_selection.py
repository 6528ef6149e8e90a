"""Areas and times as a user writes them, on grids of either longitude convention."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnzip.data.area import parse_bbox
from nnzip.data.selection import bbox_indices, inside_box, selected_longitudes, subset
from nnzip.errors import UsageError

LAT = np.arange(90.0, -91.0, -10.0)
LON_360, LON_180 = np.arange(0.0, 360.0, 10.0), np.arange(-180.0, 180.0, 10.0)


def globe(longitude: np.ndarray) -> xr.Dataset:
    times = np.array(["2016-10-04", "2016-10-05", "2016-10-06"], "M8[ns]")
    values = np.arange(3 * LAT.size * longitude.size, dtype="f4").reshape(3, LAT.size, -1)
    coords = {
        "time": times,
        "latitude": ("latitude", LAT, {"units": "degrees_north"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east"}),
    }
    return xr.Dataset({"t": (("time", "latitude", "longitude"), values), "month": ("time", [1, 2, 3])}, coords)


@pytest.mark.parametrize("bbox", ["10,30,270,300", "10,30,-90,-60", (10, 30, 630, 660)])
def test_conventions_give_the_same_area(bbox: str) -> None:
    rows, columns = bbox_indices(LAT, LON_360, bbox)
    np.testing.assert_array_equal(LAT[rows], [30, 20, 10])
    np.testing.assert_array_equal(LON_360[columns], [270, 280, 290, 300])
    _, columns = bbox_indices(LAT, LON_180, bbox)
    np.testing.assert_array_equal(LON_180[columns], [-90, -80, -70, -60])


def test_an_area_over_the_seam_is_continued() -> None:
    for longitude, bbox in ((LON_360, "-10,10,-20,15"), (LON_360, "-10,10,340,15"), (LON_180, "-10,10,160,200")):
        part = subset(globe(longitude), bbox=bbox)
        west = parse_bbox(bbox).west
        np.testing.assert_array_equal(part.longitude, np.arange(west, west + part.longitude.size * 10, 10))
        assert part.longitude.attrs == {"units": "degrees_east"}
        assert part.t.shape == (3, 3, part.longitude.size)
        first = globe(longitude).t.sel(longitude=(west + 180) % 360 - 180 if longitude is LON_180 else west % 360)
        np.testing.assert_array_equal(part.t[:, :, 0], first.sel(latitude=[10, 0, -10]))


def test_descending_longitudes_and_a_repeated_seam_column() -> None:
    cyclic = np.arange(0.0, 361.0, 10.0)
    _, columns = bbox_indices(LAT, cyclic, "0,10,-10,10")
    np.testing.assert_array_equal(selected_longitudes(cyclic, columns, "0,10,-10,10"), [-10, 0, 10])
    _, columns = bbox_indices(LAT, LON_360[::-1], "0,10,-10,10")
    np.testing.assert_array_equal(LON_360[::-1][columns], [10, 0, 350])
    np.testing.assert_array_equal(selected_longitudes(LON_360[::-1], columns, "0,10,-10,10"), [10, 0, -10])


def test_whole_circle_and_points_between() -> None:
    assert bbox_indices(LAT, LON_360, "-90,90,-180,180")[1].size == 36
    rows, columns = bbox_indices(LAT, LON_360, "44,44,358,358")
    assert (LAT[rows], LON_360[columns]) == (np.array([40.0]), np.array([0.0]))
    rows, columns = bbox_indices(LAT, LON_360, "20,20,30,30")
    assert (LAT[rows], LON_360[columns]) == (np.array([20.0]), np.array([30.0]))


@settings(max_examples=200, deadline=None)
@example(west=161.0, width=19.0, first=0.0, descending=False)  # two columns, the seam between them
@given(
    west=st.floats(-360, 360),
    width=st.floats(11, 359),
    first=st.sampled_from([0.0, -180.0, -0.25, 170.0]),
    descending=st.booleans(),
)
def test_columns_are_those_inside(west: float, width: float, first: float, descending: bool) -> None:
    longitude = (np.arange(first, first + 360, 10) + 180) % 360 - 180
    longitude = longitude[::-1] if descending else longitude
    bbox = (-10, 10, west, west + width)
    _, columns = bbox_indices(LAT, longitude, bbox)
    offset = (longitude - west + 1e-4) % 360 - 1e-4
    assert sorted(columns) == sorted(np.flatnonzero(offset <= width + 1e-4))
    steps = np.diff(selected_longitudes(longitude, columns, bbox))
    assert ((steps < 0) if descending else (steps > 0)).all()


@settings(max_examples=50)
@given(st.floats(-360, 360), st.floats(0, 400), st.sampled_from([0.0, -180.0]))
def test_inside_a_box_in_any_convention(west: float, width: float, first: float) -> None:
    latitude, longitude = np.linspace(90, -90, 19), first + np.arange(0, 361, 10.0)  # the seam column twice
    found = inside_box(latitude, longitude, parse_bbox((-25, 40, west, west + width)))
    offset = (longitude - west + 1e-4) % 360 - 1e-4
    columns = offset <= (360 if width >= 360 else width % 360) + 1e-4
    if not columns.any():  # between two columns: the nearest one
        assert found.any(axis=0).sum() == 1
        return
    expected = ((latitude >= -25) & (latitude <= 40))[:, None] & columns
    np.testing.assert_array_equal(found, expected)


def test_inside_a_curvilinear_box_are_points_not_rectangles() -> None:
    latitude, longitude = np.meshgrid(np.linspace(50, 40, 6), np.linspace(0, 10, 6), indexing="ij")
    latitude = latitude + 0.5 * longitude
    found = inside_box(latitude, longitude, parse_bbox("46,52,2,8"))
    np.testing.assert_array_equal(found, (latitude >= 46) & (latitude <= 52) & (longitude >= 2) & (longitude <= 8))


def test_curvilinear_area_is_a_rectangle_of_rows_and_columns() -> None:
    lat, lon = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")
    dataset = xr.Dataset(
        {"v": (("y", "x"), lat * 10 + lon)},
        {"lat": (("y", "x"), lat, {"units": "degrees_north"}), "lon": (("y", "x"), lon, {"units": "degrees_east"})},
    )
    np.testing.assert_array_equal(subset(dataset, bbox="1,2,3,4").v, [[13, 14], [23, 24]])
    np.testing.assert_array_equal(subset(dataset, bbox="1,2,-180,180").v, dataset.v[1:3])
    with pytest.raises(UsageError, match="holds no grid point: the data's latitudes run from 0 to 4"):
        subset(dataset, bbox="50,60,3,4")


def test_variables_times_and_referenced_variables() -> None:
    dataset = globe(LON_360)
    dataset["crs"] = 0
    dataset.t.attrs["grid_mapping"] = "crs"
    part = subset(dataset, ["t"], "2016-10-05")
    assert set(part.data_vars) == {"t", "crs"}
    np.testing.assert_array_equal(part.t, dataset.t[1:2])
    xr.testing.assert_identical(subset(dataset), dataset)


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ("10,35,270", "is not south,north,west,east in degrees"),
        ("a,b,c,d", "is not south,north,west,east"),
        ("35,10,270,300", "its south 35 north of its north 10: swap"),
        ("10,350,270,300", "latitudes beyond 90"),
        ("nan,10,270,300", "latitudes beyond 90"),
        ("70,80,0,10", "latitudes 70 to 80 lie outside the data's, 0 to 20"),
        ("0,10,200,210", "longitudes 200 to 210 lie outside the data's, 0 to 30"),
    ],
)
def test_refused_areas(bbox: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bbox_indices(np.array([0.0, 10, 20]), np.array([0.0, 10, 20, 30]), bbox)


def test_data_without_such_axes() -> None:
    plain = xr.Dataset({"v": (("y", "x"), np.zeros((3, 3)))})
    with pytest.raises(UsageError, match="no time dimension"):
        subset(plain, time="2016")
    with pytest.raises(UsageError, match="'y' and 'x' have no degrees"):
        subset(plain, bbox="0,1,0,1")
    with pytest.raises(UsageError, match="no latitude and longitude dimensions"):
        subset(xr.Dataset({"v": ("n", [1.0])}), bbox="0,1,0,1")
    with pytest.raises(UsageError, match="'time' has no dates"):
        subset(xr.Dataset({"v": ("time", [1.0])}), time="2016")
    with pytest.raises(UsageError, match="no variable 'w'"):
        subset(plain, ["w"])

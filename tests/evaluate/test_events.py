"""Events: what is parsed, what is refused with which words, and a storm followed on fields made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import InputError, UsageError
from nnzip.evaluate.events import Event, event_scores, parse_event

BOX = "10,30,350,20"


def _storm(rows: list[int], columns: list[int], depths: list[float], start: str = "2016-10-01") -> xr.Dataset:
    """A low at each day's row and column (2 degree grid from 40 N and 0 E), wind 3 and 4 m/s, over a flat 100 kPa."""
    days = len(rows)
    coords = {
        "time": (np.datetime64(start) + np.arange(days)).astype("datetime64[ns]"),
        "lat": 40 - 2.0 * np.arange(20),
        "lon": 2.0 * np.arange(180),
    }
    pressure = np.full((days, 20, 180), 100_000.0)
    for day, (row, column, depth) in enumerate(zip(rows, columns, depths, strict=True)):
        pressure[day, row, column] -= depth
        pressure[day, row, column + 1] -= 0.8 * depth
    dims = ("time", "lat", "lon")
    data = {"msl": (dims, pressure, {"units": "Pa"}), "u10": (dims, pressure * 0 + 3), "v10": (dims, pressure * 0 + 4)}
    return xr.Dataset(data, coords)


def test_a_storm_is_followed_across_the_seam() -> None:
    original = _storm([10, 9, 8], [179 - 2, 179 - 1, 1], [1000.0, 2000, 1500])
    decoded = _storm([10, 9, 9], [179 - 2, 179 - 1, 1], [1000.0, 1500, 1500])
    decoded["u10"] += 3
    found = event_scores(original, decoded, parse_event(f"Storm,2016-10-01/2016-10-03,{BOX}"))
    first, second, third = found.moments
    assert (found.variable, found.units, found.wind) == ("msl", "Pa", "u10, v10")
    assert first.original is not None
    assert (first.original.latitude, first.original.longitude % 360) == (20, 354)
    assert first.displacement == 0
    assert first.core_overlap == 1
    assert found.deepest is second
    assert second.original is not None
    assert second.original.minimum == 98_000
    assert found.depth_error == pytest.approx(-0.25)
    assert third.displacement == pytest.approx(np.deg2rad(2) * 6371)
    assert found.largest_displacement == third.displacement
    assert first.original_wind == 5
    assert first.decoded_wind == pytest.approx(np.hypot(6, 4))
    assert found.cell == pytest.approx(np.deg2rad(2) * 6371)
    assert found.to_dict()["deepest"] == "2016-10-02 00:00"


def test_a_date_is_followed_with_the_days_around_it() -> None:
    data = _storm([10] * 9, list(range(9)), [1000.0, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800])
    found = event_scores(data, data, parse_event("Storm,2016-10-05,10,30,0,30"))
    assert [moment.time[:10] for moment in found.moments] == [f"2016-10-0{day}" for day in range(2, 9)]
    assert [moment.inside for moment in found.moments].index(True) == 3
    assert found.deepest.time == "2016-10-05 00:00"
    assert len(found.inside) == 1


def test_a_storm_that_is_gone_is_lost() -> None:
    original = _storm([10, 9], [3, 4], [1000.0, 900])
    decoded = original.copy(deep=True)
    decoded["msl"] = original["msl"] * 0 + xr.DataArray(np.arange(20.0), dims="lat")
    found = event_scores(original, decoded, parse_event("Storm,2016-10-01/2016-10-02,10,30,0,30"))
    assert found.lost == 2
    assert found.deepest.decoded is None
    assert found.depth_error is None
    assert found.largest_displacement is None


def test_the_level_nearest_the_ground_is_followed() -> None:
    flat = _storm([10], [3], [0.0])["msl"]
    levels = xr.concat([flat, _storm([10], [3], [50.0])["msl"]], "level").assign_coords(level=[500.0, 850.0])
    levels["level"].attrs["units"] = "hPa"
    data = xr.Dataset({"z": levels})
    found = event_scores(data, data, parse_event("Low,2016-10-01,10,30,0,30"))
    assert found.level == "850 hPa"
    assert found.wind == ""


@pytest.mark.parametrize(
    "text",
    ["Matthew", "Matthew,2016-10-05,10,35,270", ",2016-10-05,10,35,270,300", "M,2016-10-05,10,,270,300"],
)
def test_malformed_events(text: str) -> None:
    with pytest.raises(UsageError, match="NAME,DATE,SOUTH,NORTH,WEST,EAST"):
        parse_event(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M,2016-10-05,35,10,270,300", "swap them"),
        ("M,2016-10-05,10,x,270,300", "not south,north,west,east"),
        ("M,2016-10-05,10,95,270,300", "beyond 90 degrees"),
    ],
)
def test_boxes_that_are_none(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_event(text)


def test_names_may_hold_commas() -> None:
    assert parse_event("Storm, the first,2016-10,10,35,270,300") == Event(
        "Storm, the first", "2016-10", parse_event("M,2016,10,35,270,300").box
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S,2017-01-01,10,30,0,30", r"'S' is outside the data: no time of the data lies in '2017-01-01'"),
        ("S,yesterday,10,30,0,30", "'S' is outside the data.*yesterday"),
        ("S,2016-10-01,50,60,0,30", "'S' is outside the data.*latitudes 50 to 60"),
        ("S,2016-10-01,10,12,0,30", "fewer than 3 x 3 grid points"),
        ("S,2016-10-01,10,30,100,130", "no closed minimum"),
    ],
)
def test_events_outside_the_data(text: str, words: str) -> None:
    data = _storm([10], [3], [1000.0])
    data["msl"] += xr.DataArray(np.arange(20.0), dims="lat")
    with pytest.raises(UsageError, match=words):
        event_scores(data, data, parse_event(text))


def test_data_without_pressure_or_height() -> None:
    data = _storm([10], [3], [1000.0])
    event = parse_event("S,2016-10-01,10,30,0,30")
    with pytest.raises(
        UsageError, match="no sea level pressure and no geopotential height with degrees, only u10, v10"
    ):
        event_scores(data[["u10", "v10"]], data, event)
    with pytest.raises(InputError, match="lacks msl"):
        event_scores(data, data[["u10", "v10"]], event)
    calm = event_scores(data, data[["msl"]], event)
    assert calm.wind == ""

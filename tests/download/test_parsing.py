"""Texts of the command line become days, hours, areas and points; mistakes in them are named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from nnzip.download.cds_request import request_of
from nnzip.download.parsing import parse_selection, snapped_note
from nnzip.download.plan import make_plan
from nnzip.errors import UsageError

TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2016-10-10", "2016-10-01", {}), "--start 2016-10-10 is after --end 2016-10-01: swap them"),
        (("2016-10-01T12", "2016-10-01T06", {}), "--start 2016-10-01T12 is after --end"),
        (("2016-10-01", str(TODAY + timedelta(days=30)), {}), "is in the future: ERA5 ends about 5 days before today"),
        (("2016-10-01", str(TODAY), {}), "is not yet there"),
        (("1939-12-31", "1940-01-02", {}), "ERA5 begins on 1940-01-01"),
        (("1945-12-31", "1950-01-02", {"dataset": "era5-land"}), "ERA5-Land begins on 1950-01-01"),
        (("2016-10", "2016-10-02", {}), "--start 2016-10: write a day as 2016-10-01"),
        (("2016-02-30", "2016-10-02", {}), "--start 2016-02-30"),
        (("2016-10-01", "2016-10-02", {"every": "5h"}), "--every 5h: write 1h, 2h, 3h"),
        (("2016-10-01", "2016-10-02", {"every": "0h"}), "--every 0h"),
        (("2016-10-01", "2016-10-02", {"every": "6h", "hours": "3"}), "--every and --hours exclude"),
        (("2016-10-01", "2016-10-02", {"hours": "24"}), "--hours 24: write hours of the day"),
        (("2016-10-01", "2016-10-02", {"dataset": "era5-ensemble", "every": "1h"}), "are 3-hourly"),
        (("2016-10-01", "2016-10-02", {"dataset": "era6"}), "no dataset 'era6': write one of era5, era5-land"),
        (("2016-10-01", "2016-10-02", {"area": "5,-100,50,-40"}), "its north 5 at or below its south 50: swap them"),
        (("2016-10-01", "2016-10-02", {"area": "100,0,0,10"}), "latitudes beyond 90"),
        (("2016-10-01", "2016-10-02", {"area": "50,-100,5"}), "write north,west,south,east"),
        (("2016-10-01", "2016-10-02", {"area": "50,10,5,10"}), "longitudes lie in -180..360"),
        (("2016-10-01", "2016-10-02", {"point": "100,0"}), "latitudes lie in -90..90"),
        (("2016-10-01", "2016-10-02", {"point": "1,0", "area": "50,10,5,20"}), "exclude each other"),
        (("2016-10-01", "2016-10-02", {"grid": 0.3}), "--grid 0.3: write a multiple of 0.25 degrees"),
    ],
)
def test_senseless_selections(arguments: tuple[str, str, dict[str, Any]], message: str) -> None:
    start, end, further = arguments
    with pytest.raises(UsageError, match=message):
        parse_selection(["t2m"], start, end, **further)


@pytest.mark.parametrize(
    ("area", "points"),
    [
        (None, 721 * 1440),
        ("1,0,0,1", 25),
        ("1,-1,-1,1", 81),
        ("10,170,-10,-170", 81 * 81),
        ("90,-180,-90,180", 721 * 1440),
    ],
)
def test_grid_points(area: str | None, points: int) -> None:
    selection = parse_selection(["t2m"], "2016-10-01", "2016-10-01", area=area)
    assert selection.latitudes.size * selection.longitudes.size == points


def test_areas_and_points_are_moved_to_the_grid_and_said_so() -> None:
    day = ("2016-10-01", "2016-10-01")
    selection = parse_selection(["t2m"], *day, area="50.1,-100.1,5.1,-40.3")
    assert str(selection.area) == "50.25,-100.25,5,-40.25"
    note = snapped_note("50.1,-100.1,5.1,-40.3", None, selection)
    assert note == "the area 50.1,-100.1,5.1,-40.3 is widened to the grid of 0.25 degrees: 50.25,-100.25,5,-40.25"
    assert snapped_note("50,-100,5,-40", None, parse_selection(["t2m"], *day, area="50,-100,5,-40")) is None
    selection = parse_selection(["t2m"], *day, area="50,-100,5,-40", grid=1.5)
    assert str(selection.area) == "51,-100.5,4.5,-39"
    assert (selection.latitudes[0], selection.latitudes[-1], selection.latitudes.size) == (51, 4.5, 32)
    selection = parse_selection(["t2m"], *day, point="51.5,-0.1")
    assert (selection.latitudes.tolist(), selection.longitudes.tolist()) == ([51.5], [0.0])
    assert "the nearest is 51.5,0" in str(snapped_note(None, "51.5,-0.1", selection))


def test_hours_and_periods_within_a_day() -> None:
    selection = parse_selection(["t2m"], "2016-10-01T18", "2016-10-03T06", hours="0,6,15,18")
    assert [str(time)[8:13] for time in selection.times] == [
        "01T18",
        "02T00",
        "02T06",
        "02T15",
        "02T18",
        "03T00",
        "03T06",
    ]
    parts = make_plan(selection, "cds")[0].parts
    requests = [(request_of(part)["day"], request_of(part)["time"]) for part in parts]
    assert requests == [
        (["01"], ["18:00"]), (["02"], ["00:00", "06:00", "15:00", "18:00"]), (["03"], ["00:00", "06:00"]),
    ]  # fmt: skip
    assert parts[0].name == "era5_2016-10-01T18_2016-10-01T23_single"


def test_days_of_months() -> None:
    months = parse_selection(["t2m"], "2019-12-15", "2020-03-02").months()
    assert [(month.start, month.end) for month in months] == [
        (date(2019, 12, 15), date(2019, 12, 31)), (date(2020, 1, 1), date(2020, 1, 31)),
        (date(2020, 2, 1), date(2020, 2, 29)), (date(2020, 3, 1), date(2020, 3, 2)),
    ]  # fmt: skip

"""Seconds and text selection for every calendar."""

from __future__ import annotations

import numpy as np
import pytest

from nnzip.data.times import seconds_since_epoch, time_indices
from nnzip.errors import UsageError

cftime = pytest.importorskip("cftime")  # untyped; netCDF4 depends on it

HOURLY = np.datetime64("2016-10-04T00", "ns") + np.arange(0, 72, 6) * np.timedelta64(1, "h")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-10-05", slice(4, 8)),
        ("2016-10-05T06", slice(5, 6)),
        ("2016-10-05 06:00", slice(5, 6)),
        ("2016-10-05T06:00:00Z", slice(5, 6)),
        ("2016-10", slice(0, 12)),
        ("2016", slice(0, 12)),
        ("2016-10-04T12/2016-10-05T06", slice(2, 6)),
        ("2016-10-05/2016-10-06", slice(4, 12)),
        ("/2016-10-04", slice(0, 4)),
        ("2016-10-06/", slice(8, 12)),
        (" 2016-10-05/2030-01-01 ", slice(4, 12)),
    ],
)
def test_selection_by_text(text: str, expected: slice) -> None:
    assert time_indices(HOURLY, text) == expected
    seconds = seconds_since_epoch(HOURLY)
    assert time_indices(seconds, text) == expected
    dates = np.array([cftime.DatetimeNoLeap(2016, 10, 4 + i // 4, i % 4 * 6) for i in range(12)])
    assert time_indices(dates, text) == expected


def test_scattered_times_give_positions() -> None:
    times = np.array(["2020-01-01", "2021-01-01", "2020-06-01"], "M8[ns]")
    np.testing.assert_array_equal(time_indices(times, "2020"), [0, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2017-01-01", "no time of the data lies in '2017-01-01': they run from 2016-10-04T00:00 to 2016-10-06T18:00"),
        ("2016-10-05T07", "no time of the data lies in"),
        ("2016-10-06/2016-10-05", "ends before it begins"),
        ("yesterday", "'yesterday' in 'yesterday' is no time: write 2016-10-05"),
        ("2016-13-01", "is no time"),
        ("2016-00-01", "is no time"),
        ("2016-10-05T25", "is no time"),
        ("/", "names no time"),
        ("2016-10-05/2016-10-06/2016-10-07", "is no time"),
    ],
)
def test_refused_texts(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        time_indices(HOURLY, text)


@pytest.mark.parametrize("calendar", ["standard", "proleptic_gregorian", "noleap", "360_day", "all_leap", "julian"])
def test_seconds_of_calendars_keep_the_hour_and_the_season(calendar: str) -> None:
    dates = cftime.num2date(np.arange(0, 360, 10) + 0.75, "days since 2001-01-01", calendar=calendar)
    seconds = seconds_since_epoch(np.asarray(dates))
    assert (np.diff(seconds) > 0).all()
    np.testing.assert_allclose(seconds % 86400, 18 * 3600)
    year_start = np.datetime64("2001-01-01", "s").astype(int)
    assert 0 <= seconds[0] - year_start < 86400
    assert 340 * 86400 < seconds[-1] - year_start < 366 * 86400


def test_seconds_of_ordinary_dates_agree_with_numpy() -> None:
    dates = np.array([cftime.DatetimeGregorian(1900, 3, 1, 12, 30, 15), cftime.DatetimeNoLeap(2100, 12, 31)])
    expected = np.array(["1900-03-01T12:30:15", "2100-12-31"], "M8[s]").astype(float)
    np.testing.assert_array_equal(seconds_since_epoch(dates), expected)

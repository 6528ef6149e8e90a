"""Promises as users write them."""

from __future__ import annotations

import pytest

from nnzip.data.selection import Box
from nnzip.errors import UsageError
from nnzip.request.promises import (
    BlockExtremes,
    ExceedanceSet,
    RegionTolerance,
    Request,
    TailTolerance,
    ThresholdTolerance,
    parse_promise,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extremes p99:0.1", TailTolerance(0.1, 1, 99)),
        ("extremes p1:0.1", TailTolerance(0.1, 1, 99)),
        ("extremes p99.9:0.25", TailTolerance(0.25, 0.1, 99.9)),
        ("extremes p5, p99:.1", TailTolerance(0.1, 5, 99)),
        ("extremes >p99:0.1", TailTolerance(0.1, None, 99)),
        ("extremes t2m<p5:0.1", TailTolerance(0.1, 5, None, "t2m")),
        ("extremes t2m=>p99:0.1", TailTolerance(0.1, None, 99, "t2m")),
        ("extremes t2m = p99 : 0.1", TailTolerance(0.1, 1, 99, "t2m")),
        ("extremes 2t>=305 K:0.5", ThresholdTolerance("2t", ">=", "305 K", 0.5)),
        ("extremes t2m<-3e1degC:0.5", ThresholdTolerance("t2m", "<", "-3e1degC", 0.5)),
        ("preserve t2m > 30 degC", ExceedanceSet("t2m", ">", "30 degC")),
        ("preserve tp<=0", ExceedanceSet("tp", "<=", "0")),
        ("preserve-maxima day", BlockExtremes("day")),
        ("preserve-minima t2m=year", BlockExtremes("year", False, "t2m")),
        ("region 10,35,-90,-60:0.5", RegionTolerance(Box(10, 35, -90, -60), 0.5)),
        ("region t2m=10,35,270,300:0.5", RegionTolerance(Box(10, 35, 270, 300), 0.5, "t2m")),
        ("region land:0.1", RegionTolerance("land", 0.1)),
        ("region t2m=land:0.1", RegionTolerance("land", 0.1, "t2m")),
    ],
)
def test_texts_and_objects_are_the_same(text: str, expected: Request) -> None:
    assert parse_promise(text) == expected
    assert parse_promise(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extremes p99", "not of the form p99:0.1"),
        ("extremes :0.1", "not of the form"),
        ("extremes p1,p5,p99:0.1", "not of the form"),
        ("extremes p99,305K:0.1", "not of the form"),
        ("extremes 305K:0.1", "not of the form"),
        ("extremes >305K:0.1", "not of the form"),
        ("extremes p99:half", "not of the form"),
        ("extremes p99:0.1K", "not of the form"),
        ("extremes p100:0.1", r"no percentile p100: they lie between 0 and 100"),
        ("extremes p0:0.1", "no percentile p0"),
        ("extremes p120:0.1", "no percentile p120"),
        ("extremes p99,p1:0.1", "swap the percentiles"),
        ("extremes p99:0", "the factor 0 of a promise is not between 0 and 1"),
        ("extremes p99:1.5", "the factor 1.5"),
        ("extremes t2m>warm:0.1", "the threshold 'warm' of t2m is no number with units"),
        ("preserve t2m = 30", 'not of the form "t2m > 30 degC"'),
        ("preserve > 30", "not of the form"),
        ("preserve t2m > 30 > 20", "not of the form"),
        ("preserve t2m > warm", "the threshold 'warm' of t2m is no number with units"),
        ("preserve-maxima week", "no blocks 'week': maxima and minima are of a day or month or year"),
        ("preserve-maxima", "no blocks ''"),
        ("region 10,35,270:0.5", "is not south,north,west,east"),
        ("region 35,10,270,300:0.5", "swap them"),
        ("region land", "not of the form"),
        ("region :0.5", "not of the form"),
        ("region land:-1", "the factor -1"),
        ("keep t2m", "there is no promise 'keep'"),
        ("", "there is no promise ''"),
    ],
)
def test_nonsense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_promise(text)


def test_objects_are_checked_too() -> None:
    with pytest.raises(UsageError, match="compares nothing"):
        ExceedanceSet("t2m", "==", "3")
    with pytest.raises(UsageError, match="no percentile p101"):
        TailTolerance(0.1, None, 101)

"""Promises as users write them: one grammar, whatever the target."""

from __future__ import annotations

import pytest

from nnzip.data import times
from nnzip.data.area import Area
from nnzip.errors import UsageError
from nnzip.request.promises import (
    BLOCKS,
    BlockExtremes,
    ExceedanceSet,
    Promise,
    RegionTolerance,
    TailTolerance,
    ThresholdTolerance,
    check_together,
    parse_promise,
)
from nnzip.request.target import Target

RATIO, BOUND, RMSE = Target(ratio=20), Target(max_error={}), Target(rmse={None: "1%"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extremes p99", TailTolerance(0.2, 1, 99)),
        ("extremes p99:0.1", TailTolerance(0.1, 1, 99)),
        ("extremes P1:0.1", TailTolerance(0.1, 1, 99)),
        ("extremes p99.9:0.25", TailTolerance(0.25, 0.1, 99.9)),
        ("extremes p5, p99:.1", TailTolerance(0.1, 5, 99)),
        ("extremes >p99.9", TailTolerance(0.2, None, 99.9)),
        ("extremes >p99:0.1", TailTolerance(0.1, None, 99)),
        ("extremes <p1:.5", TailTolerance(0.5, 1, None)),
        ("extremes t2m<p5:0.1", TailTolerance(0.1, 5, None, "t2m")),
        ("extremes t2m=>p99:0.1", TailTolerance(0.1, None, 99, "t2m")),
        ("extremes t2m = p99 : 0.1", TailTolerance(0.1, 1, 99, "t2m")),
        ("extremes  t2m > p99 ", TailTolerance(0.2, None, 99, "t2m")),
        ("extremes t2m=p5,p99.9:0.1", TailTolerance(0.1, 5, 99.9, "t2m")),
        ("extremes p99.9:local", TailTolerance(0.2, 0.1, 99.9, local=True)),
        ("extremes t2m=p95:0.5:local", TailTolerance(0.5, 5, 95, "t2m", local=True)),
        ("extremes t2m<p1:0.001:local", TailTolerance(0.001, 1, None, "t2m", local=True)),
        ("extremes t2m>305K", ThresholdTolerance("t2m", ">", "305K", 0.2)),
        ("extremes 2t>=305 K:0.5", ThresholdTolerance("2t", ">=", "305 K", 0.5)),
        ("extremes t2m<-3e1degC:0.5", ThresholdTolerance("t2m", "<", "-3e1degC", 0.5)),
        ("preserve t2m > 30 degC", ExceedanceSet("t2m", ">", "30 degC")),
        ("preserve tp<=0", ExceedanceSet("tp", "<=", "0")),
        ("preserve-maxima day", BlockExtremes("day")),
        ("preserve-minima t2m=year", BlockExtremes("year", False, "t2m")),
        ("region 10,35,-90,-60:0.5", RegionTolerance(Area(10, 35, -90, -60), 0.5)),
        ("region t2m=10,35,270,300:0.5", RegionTolerance(Area(10, 35, 270, 300), 0.5, "t2m")),
        ("region land:0.1", RegionTolerance("land", 0.1)),
        ("region t2m=land:0.1", RegionTolerance("land", 0.1, "t2m")),
    ],
)
def test_texts_and_objects_are_the_same(text: str, expected: Promise) -> None:
    assert parse_promise(text) == expected
    assert parse_promise(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "99", "p", "pnan", "p99:locall", "p99:half", "p99:0.1K", "p99:0.1:0.2", "p99::local", "p99:local:0.1",
        "t2mp99", ">p1,p99", "p99,,p99", ":0.1", "p1,p5,p99:0.1", "p99,305K:0.1", "305K:0.1", ">305K:0.1", "t2m=305K",
        "t2m>305K:0.1:local", "t2m>p1,305K:0.1", "t2m p99",
    ],
)  # fmt: skip
def test_extremes_of_no_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"not of the form p99, p99:0.1, >p99:0.1, t2m=p1,p99:0.1 or t2m>305K:0.1"):
        parse_promise(f"extremes {text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extremes p100:0.1", r"no percentile p100: they lie between 0 and 100"),
        ("extremes p0:0.1", "no percentile p0"),
        ("extremes p120:0.1", "no percentile p120"),
        ("extremes >p120:0.1", "no percentile p120"),
        ("extremes p99,p1:0.1", "swap the percentiles"),
        ("extremes p99:0", "the factor 0 of a promise is not between 0 and 1"),
        ("extremes p99:-1", "the factor -1 of a promise"),
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
    with pytest.raises(UsageError, match="beyond nothing"):
        TailTolerance(0.1, None, None)


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        (RATIO, "extremes p50", "beyond p50 and p50: .*a lower percentile lies between p0 and p50"),
        (RATIO, "extremes >p1", "beyond p1: .* upper one between p50 and p100"),
        (RATIO, "extremes <p99", "beyond p99: "),
        (RATIO, "extremes p99:0.0001", "0.0001 of the error: the share lies from 0.001 to 1"),
        (RATIO, "extremes t2m>305K", r"needs an error bound: .*\(--max-error\).*or for a percentile, such as >p99"),
        (RATIO, "preserve t2m > 300", "'preserve t2m > 300' needs an error bound.*which bounds nothing$"),
        (RATIO, "preserve-maxima day", "needs an error bound"),
        (RATIO, "region land:0.5", "needs an error bound"),
        (RMSE, "extremes p99", "extremes go with a ratio or a size"),
        (RMSE, "extremes t2m>305K", "needs an error bound"),
        (BOUND, "extremes p99:local", "percentiles are those of each cell.*leave out :local"),
        (Target(lossless=True), "extremes p99", "every value is exact without 'extremes p1,p99:0.2': leave that out"),
    ],
)
def test_a_target_that_cannot_keep_a_promise_says_so(target: Target, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_together(target, parse_promise(text))


@pytest.mark.parametrize(
    ("target", "texts"),
    [
        (RATIO, ("extremes p99", "extremes t2m<p1:0.001:local", "extremes p5,p99.9:0.1")),
        (Target(size_bytes=9), ("extremes >p99",)),
        (BOUND, ("extremes p99", "extremes p50", "extremes t2m>305K", "preserve t2m > 1", "region land:0.5",
                 "preserve-maxima day")),
    ],
)  # fmt: skip
def test_targets_that_can(target: Target, texts: tuple[str, ...]) -> None:
    for text in texts:
        check_together(target, parse_promise(text))


def test_every_block_has_numbers() -> None:
    assert set(BLOCKS) == set(times.BLOCKS)

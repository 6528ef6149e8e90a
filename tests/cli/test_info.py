"""Durations and coordinate ranges in words."""

from __future__ import annotations

import pytest

from nnzip.cli.info import extent_text
from nnzip.report.numbers import duration


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1.234, "1.2 s"), (42.4, "42 s"), (75, "1 min 15 s"), (3600, "1 h 0 min"), (59.8, "60 s")]
)
def test_seconds(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_extent() -> None:
    assert extent_text(None, "K") == "-"
    assert extent_text([90.0, -90.0], "degrees_north") == "90 to -90"
    assert extent_text([0, 21], "hours since 2016-10-01 00:00:00") == "2016-10-01 00:00 to 2016-10-01 21:00"
    assert extent_text([0, 1.5], "days since 2016-10-01", "gregorian") == "2016-10-01 00:00 to 2016-10-02 12:00"
    assert extent_text([0, 30], "days since 2016-10-01", "360_day") == "0 to 30"
    assert extent_text([0, 1e12], "days since 2016-10-01") == "-"

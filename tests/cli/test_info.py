"""Durations and coordinate ranges in words."""

from __future__ import annotations

import pytest

from nnzip.cli.info import extent_text, part_bytes
from nnzip.container.arrays import ArrayStore
from nnzip.report.numbers import duration
from tests.support.archive_examples import example_manifest


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


def test_members_of_no_variable_belong_to_the_rest() -> None:
    """Archives may hold further members; these are none of a variable's tiles."""
    manifest = example_manifest(ArrayStore())
    members = {"0.0": 200, "0.1": 80, "1.0": 3, "7.0": 5, "9" * 5000: 1, "nnzip": 100}
    parts = part_bytes(manifest, members, 1000)
    assert parts == {"sst": 280, "v10": 3, "coordinates, masks, attributes": 717}

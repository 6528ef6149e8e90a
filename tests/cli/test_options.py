"""What users type: sizes, names, and the errors that name what was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnzip.cli import options
from nnzip.errors import UsageError
from nnzip.request.options import EFFORTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50MB", 50_000_000), ("500 kB", 500_000), ("1.5GiB", 1_610_612_736), ("1234", 1234), ("10b", 10), (".5k", 500)],
)
def test_sizes(text: str, expected: int) -> None:
    assert options.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "-5MB", "5 parsecs", "0", "1e6", "0.1B"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        options.parse_size(text)


def test_variables() -> None:
    assert options.parse_variables(None) is None
    assert options.parse_variables([]) is None
    assert options.parse_variables(["t2m,msl", " u10 ", "t2m"]) == ["t2m", "msl", "u10"]
    with pytest.raises(UsageError, match="empty"):
        options.parse_variables(["t2m,,msl"])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/weather.nc", "a/weather.nnz"),
        ("weather.zarr", "weather.nnz"),
        ("weather.zarr.zip", "weather.nnz"),
        ("weather", "weather.nnz"),
        ("era5.2016.grib", "era5.2016.nnz"),
    ],
)
def test_default_output(source: str, expected: str) -> None:
    assert options.default_output(Path(source), ".nnz") == Path(expected)


def test_choices_are_those_of_the_options() -> None:
    assert tuple(options.Effort) == EFFORTS


def test_lengths() -> None:
    assert options.parse_lengths("--chunks", "time=48, latitude = 240,member=1") == {
        "time": 48,
        "latitude": 240,
        "member": 1,
    }


@pytest.mark.parametrize("text", ["", "48", "time", "time=", "time=0", "time=-4", "time=1.5", "time=4,time=5", "=4"])
def test_bad_lengths(text: str) -> None:
    with pytest.raises(UsageError, match=r"--tile .*: .* is no length; write each dimension once"):
        options.parse_lengths("--tile", text)

"""Durations and coordinate ranges in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.cli.info import extent_text, part_bytes
from nnzip.container.arrays import ArrayStore
from nnzip.report.numbers import duration
from tests.conftest import Nnzip
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


def test_attributes_and_names_of_any_kind_steer_no_terminal(tmp_path: Path, nnzip: Nnzip) -> None:
    """Units that are a number, and control characters in names and texts, which a terminal would obey."""
    evil = "\x1b]0;title\x07\x9b2J"
    axes = {"latitude": np.arange(4.0), "longitude": np.arange(5.0)}
    dims = ("latitude", "longitude")
    attrs = {"units": 1, "long_name": evil}
    xr.Dataset({f"t{evil}": (dims, np.ones((4, 5)), attrs)}, axes, {"title": evil}).to_zarr(
        tmp_path / "a.zarr", zarr_format=2
    )
    for command in (("compress", tmp_path / "a.zarr", "--lossless"), ("info", tmp_path / "a.nnz")):
        shown = nnzip(*command)
        assert not {"\x1b", "\x07", "\x9b"} & {*shown.stdout, *shown.stderr}
        assert "t\\x1b]0;tit" in shown.stdout + shown.stderr  # cut or wrapped where columns end
    assert json.loads(nnzip("info", tmp_path / "a.nnz", "--json").stdout)["variables"][f"t{evil}"]["units"] == "1"
    refused = nnzip("decompress", tmp_path / "a.nnz", "--variables", "u", "-o", tmp_path / "b.zarr", code=2)
    assert "there are t\\x1b]0" in refused.stderr


def test_names_that_netcdf_cannot_hold(tmp_path: Path, nnzip: Nnzip) -> None:
    axes = {"latitude": np.arange(4.0), "longitude": np.arange(5.0)}
    dataset = xr.Dataset({"t": (("latitude", "longitude"), np.ones((4, 5)))}, axes, {"a/b": 1})
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=2)
    nnzip("compress", tmp_path / "a.zarr", "--lossless")
    assert "write .zarr" in nnzip("decompress", tmp_path / "a.nnz", "-o", tmp_path / "a.nc", code=2).stderr
    nnzip("decompress", tmp_path / "a.nnz", "-o", tmp_path / "b.zarr")
    with xr.open_zarr(tmp_path / "b.zarr") as back:
        assert back.attrs["a/b"] == 1

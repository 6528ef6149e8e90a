"""What a compression takes is told beforehand, and its progress follows it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.progress import Estimate, Pace, Progress
from nnzip.request.target import Target


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    return nnzip.make_sample(resolution=3, hours=96, variables=["t2m", "tp"])


@pytest.mark.parametrize("target", [Target(max_error="t2m=0.2K,tp=0.1mm"), Target(ratio=40)], ids=["bounds", "ratio"])
def test_size_and_tiles_are_known_beforehand(weather: xr.Dataset, tmp_path: Path, target: Target) -> None:
    found = nnzip.estimate(weather, target)
    result = nnzip.compress(weather, tmp_path / "weather.nnz", target)
    assert found.file_bytes is not None
    assert 1 / 1.5 < found.file_bytes / result.file_bytes < 1.5
    assert found.tiles == 2
    assert found.source_bytes == result.source_bytes
    assert set(found.coding) == {"t2m", "tp"}
    assert found.seconds == found.reading + sum(found.coding.values()) > 0


def test_memory_grows_with_the_jobs_that_have_a_tile_each(weather: xr.Dataset) -> None:
    options = nnzip.Options(Target(ratio=40), tile={"time": 8})
    one, four = (nnzip.estimate(weather, options, jobs=jobs, quick=True).memory_bytes for jobs in (1, 4))
    assert four - one == pytest.approx(3 * 15 * 4 * 8 * 61 * 120)


def test_a_sample_of_some_variables_knows_only_what_is_asked_of_them(weather: xr.Dataset) -> None:
    promises = tuple(map(nnzip.parse_promise, ("preserve tp > 1 mm", "extremes p99:0.5", "region -10,10,0,20:0.5")))
    asked = nnzip.Options(Target(max_error="t2m=0.2K,tp=0.1mm"), promises=promises)
    assert set(nnzip.estimate(weather, asked).coding) == {"t2m", "tp"}


def test_a_quick_estimate_of_small_data_codes_a_part_of_one_variable(weather: xr.Dataset) -> None:
    assert nnzip.estimate(weather, quick=True).file_bytes is None
    assert nnzip.estimate(weather, Target(size_bytes=5000), quick=True).file_bytes == 5000


def test_missing_values_in_the_middle_are_left_out_of_the_sample(weather: xr.Dataset) -> None:
    hole = weather.copy(deep=True)
    hole["t2m"][:, 15:45, 30:90] = np.nan
    assert nnzip.estimate(hole).coding["t2m"] > 0


def test_reports_begin_with_the_estimate_and_reach_the_end(weather: xr.Dataset, tmp_path: Path) -> None:
    seen: list[Progress] = []
    nnzip.compress(weather, tmp_path / "weather.nnz", Target(ratio=40), progress=seen.append)
    assert [moment.stage for moment in seen[:2]] == ["estimating", "reading"]
    assert seen[1].estimate is not None
    assert seen[1].seconds_left == seen[1].estimate.seconds
    assert seen[-1].stage == "coding"
    assert seen[-1].seconds_left == 0
    assert seen[-1].fraction == 1
    assert seen[-1].source_bytes == 4 * sum(variable.size for variable in weather.data_vars.values())


def test_time_left_follows_the_speed_of_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coding takes three times as long as estimated: known after the first tenth."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    seen: list[Progress] = []
    pace = Pace(seen.append, lambda: Estimate(10, 0, 4000, None, 0.0, {"t2m": 100.0}))
    pace.begin_coding()
    for tile in range(10):
        now += 30.0
        pace.coded("t2m", 0.1, 400, 10)
        left = seen[-1].seconds_left
        assert left is not None
        if tile < 9:
            assert 1 / 1.5 < left / (300 - now) < 1.5
    assert (seen[-1].source_bytes, seen[-1].file_bytes) == (4000, 100)

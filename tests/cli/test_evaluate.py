"""`nnzip evaluate` on extremes, events and several files, through the real command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import xarray as xr

from nnzip.cli.evaluate import labels
from tests.conftest import Nnzip

STORM = "Storm,2016-10-02,5,40,330,360"


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory, nnzip: Nnzip) -> Path:
    """A folder with a sample of pressure, wind, temperature and rain around its cyclone, and two archives of it."""
    folder = tmp_path_factory.mktemp("storm")
    options = ("--resolution", 3, "--hours", 48, "--step-hours", 6, "--bbox", "0,45,320,360")
    nnzip("sample", folder / "storm.nc", *options, "--variables", "msl,u10,v10,t2m,tp")
    nnzip("compress", folder / "storm.nc", "-o", folder / "ratio.nnz", "--ratio", 5, "--effort", "fast")
    nnzip("compress", folder / "storm.nc", "-o", folder / "bound.nnz", "--max-error", "1%", "--effort", "fast")
    return folder


def test_json_holds_promises_extremes_and_events(storm: Path, nnzip: Nnzip) -> None:
    arguments = ("--extremes", "--event", STORM, "--json", "--variables", "msl,t2m,tp")
    content = json.loads(nnzip("evaluate", storm / "storm.nc", storm / "bound.nnz", *arguments).stdout)
    assert content["name"] == "bound.nnz"
    assert [promise["variable"] for promise in content["promises"]] == ["msl", "t2m", "tp"]
    assert all(promise["kept"] for promise in content["promises"])
    assert content["extremes"]["tp"]["tails"][1]["quantile"] == 0.99
    assert [index["name"] for index in content["extremes"]["tp"]["indices"]] == ["Rx1day", "R95p", "CDD"]
    event = content["events"][0]
    assert event["name"] == "Storm"
    assert event["variable"] == "msl"
    assert event["wind"] == "u10, v10"
    assert event["lost"] == 0
    assert [moment["inside"] for moment in event["moments"]] == [False] * 4 + [True] * 4
    plain = json.loads(nnzip("evaluate", storm / "storm.nc", storm / "bound.nnz", "--json").stdout)
    assert plain["extremes"] == {}
    assert plain["events"] == []


def test_the_steps_of_a_forecast_are_times(storm: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    """As GRIB through cfgrib: a dimension of durations, the dates beside it, the analysis time without a dimension."""
    arguments = ("--variables", "msl,t2m", "--extremes", "--event", STORM, "--json")
    expected = json.loads(nnzip("evaluate", storm / "storm.nc", storm / "bound.nnz", *arguments).stdout)
    nnzip("decompress", storm / "bound.nnz", "-o", tmp_path / "decoded.nc")
    for name, path in (("original.nc", storm / "storm.nc"), ("steps.nc", tmp_path / "decoded.nc")):
        with xr.open_dataset(path) as data:
            times = data["valid_time"].values
            steps = data.rename(valid_time="step").assign_coords(step=times - times[0], time=times[0])
            steps.assign_coords(valid_time=("step", times)).to_netcdf(tmp_path / name)
    nnzip("compress", tmp_path / "original.nc", "-o", tmp_path / "f.nnz", "--max-error", "1%", "--effort", "fast")
    for decoded in ("steps.nc", "f.nnz"):
        found = json.loads(nnzip("evaluate", tmp_path / "original.nc", tmp_path / decoded, *arguments).stdout)
        assert found["extremes"] == expected["extremes"]
        assert found["events"] == expected["events"]


def test_several_files_are_compared_side_by_side(storm: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("decompress", storm / "ratio.nnz", "-o", tmp_path / "back.nc")
    files = (storm / "ratio.nnz", storm / "bound.nnz", tmp_path / "back.nc")
    arguments = ("--variables", "msl", "--extremes", "--event", STORM, "--event", STORM.replace("Storm", "Again"))
    report = tmp_path / "report.html"
    result = nnzip("evaluate", storm / "storm.nc", *files, *arguments, "--report", report)
    assert f"report: {report}" in result.stderr
    for expected in (
        "ratio.nnz\n",
        "bound.nnz\n",
        "back.nc\n",
        "Promises",
        "Errors in the tails",
        "Again: minimum of msl",
    ):
        assert expected in result.stdout
    text = report.read_text(encoding="utf-8")
    assert "Files compared" in text
    assert "Event: Again" in text
    content = json.loads(nnzip("evaluate", storm / "storm.nc", *files, *arguments, "--json").stdout)["files"]
    assert [each["name"] for each in content] == ["ratio.nnz", "bound.nnz", "back.nc"]
    assert content[0]["extremes"]["msl"] == content[2]["extremes"]["msl"]
    assert content[0]["events"] == content[2]["events"]
    assert content[2]["promises"] == []
    assert content[2]["ratio"] is None


def test_a_broken_promise_is_loud(storm: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    with xr.open_dataset(storm / "storm.nc") as data:
        (data + 1).assign_attrs(data.attrs).to_netcdf(tmp_path / "other.nc")
    files = (tmp_path / "other.nc", storm / "bound.nnz")
    result = nnzip("evaluate", *files, "--variables", "tp", "--report", tmp_path / "report.html", code=5)
    assert "BROKEN" in result.stdout
    assert "report: " in result.stderr
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "a promise is broken, or this is not the original: bound.nnz, tp: largest |error|: measured" in result.stderr
    assert "error: a promise is broken" in nnzip("evaluate", *files, "--quiet", code=5).stderr
    promises = json.loads(nnzip("evaluate", *files, "--json", code=5).stdout)["promises"]
    assert not all(promise["kept"] for promise in promises)


def test_a_promise_beyond_the_bound_breaks_like_the_bound(storm: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    arguments = ("--max-error", "msl=100Pa", "--region", "msl=5,20,330,340:0.1", "--variables", "msl")
    nnzip("compress", storm / "storm.nc", "-o", tmp_path / "region.nnz", *arguments, "--effort", "fast")
    nnzip("evaluate", storm / "storm.nc", tmp_path / "region.nnz")
    with xr.open_dataset(storm / "storm.nc") as data, xr.open_dataset(storm / "storm.nc") as other:
        box = (data.latitude >= 5) & (data.latitude <= 20) & (data.longitude >= 330) & (data.longitude <= 340)
        other["msl"] = (data.msl + 25.0).where(box, data.msl).assign_attrs(data.msl.attrs)
        other.to_netcdf(tmp_path / "other.nc")
    stderr = nnzip("evaluate", tmp_path / "other.nc", tmp_path / "region.nnz", code=5).stderr
    assert "region.nnz, msl: region msl=5,20,330,340:0.1: measured" in stderr
    assert "largest |error|" not in stderr


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("Storm", "NAME,DATE,SOUTH,NORTH,WEST,EAST"),
        ("S,2016-10-02,40,5,330,360", "swap them"),
        ("S,2015-01-01,5,40,330,360", "outside the data: no time"),
        ("S,2016-10-02,-60,-30,330,360", "outside the data"),
        ("S,2016-10-02,5,40,100,120", "outside the data"),
    ],
)
def test_bad_events_are_usage_errors(storm: Path, tmp_path: Path, nnzip: Nnzip, event: str, words: str) -> None:
    report = tmp_path / "report.html"
    arguments = (storm / "storm.nc", storm / "bound.nnz", "--event", event, "--report", report)
    assert words in nnzip("evaluate", *arguments, code=2).stderr
    assert not report.exists()


def test_an_event_without_pressure_or_height_is_a_usage_error(storm: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    with xr.open_dataset(storm / "storm.nc") as data:
        data[["t2m"]].to_netcdf(tmp_path / "warm.nc")
    result = nnzip("evaluate", tmp_path / "warm.nc", tmp_path / "warm.nc", "--event", STORM, code=2)
    assert "no sea level pressure and no geopotential height" in result.stderr


def test_too_many_files_are_refused(storm: Path, nnzip: Nnzip) -> None:
    result = nnzip("evaluate", storm / "storm.nc", *[storm / "bound.nnz"] * 7, code=2)
    assert "give at most 6" in result.stderr


def test_without_scores_the_remedy_is_named_at_once(storm: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scores", None)
    monkeypatch.setitem(sys.modules, "scores.categorical", None)
    result = nnzip("evaluate", storm / "storm.nc", storm / "bound.nnz", "--extremes", code=6)
    assert "pip install 'nnzip[extremes]'" in result.stderr


def test_labels_tell_files_apart() -> None:
    assert labels([Path("a/x.nnz"), Path("b/y.nnz")]) == ["x.nnz", "y.nnz"]
    assert labels([Path("a/x.nnz"), Path("b/x.nnz")]) == ["a/x.nnz", "b/x.nnz"]
    assert labels([Path("x.nnz"), Path("x.nnz")]) == ["x.nnz (1)", "x.nnz (2)"]

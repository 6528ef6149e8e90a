"""`nnzip sweep` on a small sample: tables, JSON, report, errors before any work."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from nnzip.cli.sweep import goals, parse_ratios, parse_shares
from nnzip.errors import UsageError
from nnzip.sweep import SHARES
from tests.conftest import Nnzip

ONE = ("--variables", "t2m")


def test_a_sweep_shows_its_points_and_writes_a_report(
    weather: Path, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    report = tmp_path / "sweep.html"
    result = nnzip("sweep", weather, *ONE, "--targets", "10%,0.1%,1%", "--report", report)
    for text in ("0.1 %", "10 %", "Bits/value", "RMSE", "t2m", "K"):
        assert text in result.stdout
    assert result.stdout.index("0.1 %") < result.stdout.index("10 %")
    assert "sweep.html" in result.stderr
    text = report.read_text(encoding="utf-8")
    assert text.count("<svg") == 1
    assert "weather.nc" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "sweep.html"]
    assert list(scratch.iterdir()) == []


def test_json_has_every_point_with_its_errors(weather: Path, nnzip: Nnzip) -> None:
    whole = json.loads(nnzip("sweep", weather, "--targets", "10%", "--json", "-q").stdout)["points"][0]
    assert whole["stored_ratio"] == pytest.approx(weather.stat().st_size / whole["file_bytes"])
    options = ("--variables", "t2m,msl", "--targets", "1%", "--ratios", "5,20", "--json", "-q")
    result = nnzip("sweep", weather, *options)
    assert result.stderr == ""
    content = json.loads(result.stdout)
    assert [point["target"] for point in content["points"]] == ["1 %", "ratio 5", "ratio 20"]
    for point in content["points"]:
        assert set(point["errors"]) == {"t2m", "msl"}
        assert point["errors"]["msl"]["units"] == "Pa"
        assert 0 < point["errors"]["t2m"]["rmse"] < point["errors"]["t2m"]["max_error"]
        assert point["bits_per_value"] == pytest.approx(32 / point["ratio"])
        assert isinstance(point["knee"], bool)
        assert point["stored_ratio"] is None  # of two variables to the file of all would be false
    assert content["points"][2]["ratio"] == pytest.approx(20, rel=0.03)
    assert content["points"][0]["errors"]["t2m"]["relative_max_error"] <= 0.01


def test_the_usual_bounds_are_tried_unless_something_is_asked_for() -> None:
    assert [goal.share for goal in goals(None, None)] == list(SHARES)
    assert [goal.text for goal in goals(None, [30.0])] == ["ratio 30"]
    assert [goal.text for goal in goals([0.01], [30.0])] == ["1 %", "ratio 30"]


def test_targets_are_sorted_and_counted_once() -> None:
    assert parse_shares("1%, 0.1 %,1%") == [0.001, 0.01]
    assert parse_ratios("100,30,1e2") == [30, 100]
    assert parse_shares(None) is None
    assert parse_ratios(None) is None


@pytest.mark.parametrize("text", ["", "1", "0.1%,", "many%", "0%", "-1%", "200%", "nan%", "inf%", "0.1%;1%", "0.1K"])
def test_bad_targets_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="--targets"):
        parse_shares(text)


@pytest.mark.parametrize("text", ["", "0", "-3", "30,", "high", "nan", "inf", "30%"])
def test_bad_ratios_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="--ratios"):
        parse_ratios(text)


def test_errors_come_before_the_work(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    report = tmp_path / "sweep.html"
    report.write_text("precious")
    missing = tmp_path / "missing.nc"
    assert "exists" in nnzip("sweep", missing, "--report", report, code=2).stderr  # before the input is opened
    assert report.read_text() == "precious"
    assert "--targets" in nnzip("sweep", missing, "--targets", "1K", code=2).stderr
    assert "--ratios" in nnzip("sweep", missing, "--ratios", "0", code=2).stderr
    nnzip("sweep", missing, "--report", tmp_path / "no" / "sweep.html", code=7)
    nnzip("sweep", missing, code=3)
    assert "wind" in nnzip("sweep", weather, "--variables", "wind", code=2).stderr


def test_a_ratio_out_of_reach_is_left_out_or_refused(weather: Path, nnzip: Nnzip) -> None:
    result = nnzip("sweep", weather, *ONE, "--ratios", "5,1e9")
    assert "ratio 1e+09 is left out" in result.stdout.replace("\n", " ")
    assert "impossible" in nnzip("sweep", weather, *ONE, "--ratios", "1e9", code=2).stderr

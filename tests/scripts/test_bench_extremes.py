"""The benchmark of extremes: its tables on made-up numbers, and one run on a made-up storm."""

from __future__ import annotations

import json
from pathlib import Path

import bench_extremes
import numpy as np
import pytest
import xarray as xr
from bench_cases import CASES, Case
from bench_extremes import Run, Storm, tables
from bench_measure import Errors
from bench_peers import PeerCase, PeerRow


def _errors(tail: float, largest: float) -> Errors:
    return Errors(rmse=1.0, wrmse=1.0, max=largest, p999=1.0, tail_rmse=tail, mismatches=0)


def _row(codec: str, tail: float, largest: float) -> PeerRow:
    return PeerRow(codec, 990, 1.0, 1.0, largest, target=100.0, p999=1.0, tail_rmse=tail)


def _peer(shape: list[int], low: float, high: float, p99: float) -> PeerCase:
    rows = [_row("sz3", 4.0, 1.5), _row("sperr", 2.0, 3.0)]
    return PeerCase("m", "", shape, low, high, 1.0, 100_000, 100, [p99], 1, [], rows)


def test_errors_stand_beside_the_peers_and_the_best_is_bold() -> None:
    storm = Storm(0.0, 0.98, 111.0, 0.04, 1, 111.0)
    runs = {"plain": Run(1000, _errors(1.0, 2.0), 3.0, storm), "tails": Run(1001, _errors(0.5, 4.0), 3.0)}
    ebcc, sperr = Run(777, _errors(0.9, 8.0), 0.0, storm), Run(990, _errors(2.0, 3.0), 0.0, storm)
    results = {"matthew_z500": {"100": runs, "777 bytes": {"plain": Run(770, _errors(1.1, 7.0), 1.0, storm)}}}
    theirs = {"matthew_z500": {"SPERR 100": sperr, "EBCC 1e-02*range": ebcc}}
    found = tables(results, {"matthew_z500": _peer([1], 0, 1, 0.5)}, theirs)
    tail, every, largest, beside, centre = found
    assert tail.columns == ("case", "ratio", "bytes", "nnzip", "nnzip, tails", "SZ3", "SPERR", *tail.columns[7:])
    assert tail.rows[0][3:] == ("1", "**0.5**", "4", "2", "0.50", "0.25")
    assert every.rows[0][3:7] == ("**1**", "**1**", "**1**", "**1**")
    assert largest.rows[0][3:7] == ("2", "4", "**1.5**", "3")
    assert beside.rows == [("matthew_z500", "1e-02*range", "777", "1.1", "–", "**0.9**", "**7**", "–", "8")]
    assert centre.rows[0][2:] == ("nnzip", "1,000", "0 km", "-2.0 %", "111 km", "4.0 %", "1")
    assert [row[1:3] for row in centre.rows[1:]] == [("100", "SPERR"), ("777 bytes", "nnzip"), ("777 bytes", "EBCC")]


def test_a_run_from_the_file_to_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coords = {
        "time": (np.datetime64("2016-10-04") + np.arange(3)).astype("datetime64[ns]"),
        "latitude": np.arange(36.0, 8, -2),
        "longitude": np.arange(268.0, 304, 2),
    }
    distance = np.hypot(coords["latitude"][:, None] - 20, coords["longitude"] - 286)
    field = 10 * np.sin(coords["longitude"] / 9) - 90 * np.exp(-((distance / 5) ** 2)) * np.ones((3, 1, 1))
    attrs = {"units": "m", "long_name": "geopotential height anomaly"}
    values = field.astype(np.float32)
    xr.Dataset({"anom": (("time", "latitude", "longitude"), values, attrs)}, coords).to_netcdf(tmp_path / "storm.nc")
    peer = _peer(list(values.shape), float(values.min()), float(values.max()), float(np.quantile(values, 0.99)))
    monkeypatch.setitem(CASES, "matthew_z500", Case("storm.nc", "anom"))
    monkeypatch.setattr(bench_extremes, "read_peers", lambda data: {"matthew_z500": peer})
    page, kept = tmp_path / "page.md", tmp_path / "kept.json"
    page.write_text(f"before\n{bench_extremes.BEGIN}\nold\n{bench_extremes.END}\nafter\n")
    arguments = ["--cases", "matthew_z500", "--ratios", "2", "--effort", "fast", "--json", str(kept)]
    variant = ["--variant", 'again={"seed": 1}', "--markdown", str(page)]
    monkeypatch.setattr("sys.argv", ["bench_extremes.py", str(tmp_path), *arguments, *variant])
    assert bench_extremes.main() == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| matthew_z500 | 2 | nnzip, again |" in text
    runs = json.loads(kept.read_text())["matthew_z500"]["2"]
    assert set(runs) == {"plain", "again"}
    assert runs["plain"]["storm"]["lost"] == 0
    monkeypatch.setattr(bench_extremes, "_run", None)  # nothing is left to run
    monkeypatch.setattr("sys.argv", ["bench_extremes.py", str(tmp_path), *arguments, "--resume"])
    assert bench_extremes.main() == 0


@pytest.mark.parametrize("arguments", [["--cases", "mars"], ["--variant", "tails"], ["--variant", "tails={"]])
def test_bad_arguments_are_named(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench_extremes.py", "data", *arguments])
    with pytest.raises(SystemExit, match="2"):
        bench_extremes.main()

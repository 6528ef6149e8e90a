"""The benchmark's arithmetic and tables on made-up numbers, and one run from files to tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from bench import __main__ as command
from bench import compare
from bench.cases import CASES, Case, channels, differences, latitudes, split_levels
from bench.errors import Errors, measure, violations
from bench.peers import (
    PeerCase,
    PeerRow,
    best_bytes,
    best_error,
    bound_labels,
    bytes_at,
    error_at,
    fraction_of_range,
    held,
    rated_codecs,
    ratio_row,
    read_peers,
    smallest_held,
)
from bench.runs import Cost, Results, Run
from bench.tables import geometric_mean, write_between


def row(codec: str, size: int, wrmse: float, **more: Any) -> PeerRow:
    return PeerRow(codec=codec, bytes=size, rmse=wrmse, wrmse=wrmse, max=more.pop("max", 10 * wrmse), **more)


def peer(**changes: Any) -> PeerCase:
    fields: dict[str, Any] = {
        "units": "K",
        "note": "",
        "shape": [2, 3, 4],
        "min": -50.0,
        "max": 300.0,
        "std": 10.0,
        "float32_bytes": 100_000,
        "n_valid": 24,
        "p99": [290.0],
        "lossless_zlib_bytes": 50_000,
        "ratio": [
            row("sz3", 1000, 0.4, target=100.0, p999=3.0, tail_rmse=0.8),
            row("sz3", 100, 1.6, target=1000.0, p999=9.0, tail_rmse=2.0),
            row("sperr", 1010, 0.2, target=100.0, p999=1.0, tail_rmse=0.3),
            row("jpeg2000", 3000, 0.01, target=1000.0),
        ],
        "bound": [
            row("sz3", 2000, 0.1, label="1e-02*range", bound=3.5, held=True),
            row("sperr", 1500, 0.1, label="1e-02*range", bound=3.5, held=False, max=3.5 + 1e-5),
            row("ebcc", 500, 0.9, label="1e-02*range", bound=3.5, held=False, max=3.6),
            row("sz3", 5000, 0.06, label="0.5K", bound=0.5, held=True),
        ],
    }
    return PeerCase(**{**fields, **changes})


def run(size: int, wrmse: float, broken: int | None = None, tail: float = 0.4) -> Run:
    errors = Errors(rmse=wrmse, wrmse=wrmse, max=2.0, p999=1.0, tail_rmse=tail, mismatches=0)
    return Run(size, 300, 100_000, errors, broken, Cost(2.0, 1.5, 900_000_000), Cost(0.5, 0.4, 400_000_000))


def found() -> Results:
    runs = {
        "ratio 100": run(1000, 0.25),
        "1e-02*range": run(1200, 0.1, 0),
        "0.5K": run(6000, 0.05, 0),
        "extremes 100": run(1000, 0.3, tail=0.1),
        "looser 0.001": run(900, 0.1, 0),
        "looser 0.0001": run(800, 0.1, 0),
    }
    return {"uk_t2m": runs}


def test_errors_by_hand() -> None:
    original = np.zeros((1, 1, 2, 2))
    original[0, 0, 1, 1] = 5.0
    decoded = original + np.array([[1.0, 1.0], [2.0, 2.0]])
    found = measure(original, decoded, np.array([0.0, 60.0]), [4.0])
    assert found.rmse == pytest.approx(np.sqrt((1 + 1 + 4 + 4) / 4))
    assert found.wrmse == pytest.approx(np.sqrt((2 * 1 + 2 * 0.5 * 4) / 3))
    assert (found.max, found.tail_rmse, found.mismatches) == (2.0, 2.0, 0)


def test_errors_ignore_missing_points_and_count_mismatches() -> None:
    original = np.array([1.0, np.nan, np.nan, 2.0]).reshape(1, 1, 2, 2)
    decoded = np.array([1.5, np.nan, 7.0, np.nan]).reshape(1, 1, 2, 2)
    found = measure(original, decoded, np.array([10.0, 0.0]), [9.0])
    assert (found.rmse, found.max, found.tail_rmse, found.mismatches) == (0.5, 0.5, 0.0, 2)


def test_violations_are_counted_per_channel() -> None:
    original = np.zeros((2, 1, 1, 3))
    original[1, 0, 0, 2] = np.nan
    decoded = np.array([[0.1, 0.3, -0.3], [0.1, 0.3, np.nan]]).reshape(2, 1, 1, 3)
    assert violations(original, decoded, np.array([0.2, 0.3])) == 2
    decoded[1, 0, 0, 2] = 0.0
    assert violations(original, decoded, np.array([0.2, 0.3])) == 3


def test_curves_of_peers() -> None:
    case = peer()
    assert error_at(case, "sz3", 1000) == pytest.approx(0.4)
    assert error_at(case, "sz3", 1200) == pytest.approx(0.4 * 0.25 ** (np.log(1.2) / np.log(2)))
    assert error_at(case, "sz3", 316) is None
    assert error_at(case, "sz3", 90) == pytest.approx(1.6)
    assert error_at(case, "sz3", 70) is None
    assert bytes_at(case, "sz3", 0.8) == pytest.approx(316, rel=2e-3)
    assert bytes_at(case, "sz3", 100.0) == pytest.approx(50)
    assert bytes_at(case, "sz3", 1e-9) == pytest.approx(10_000)
    assert bytes_at(case, "jpeg2000", 1.0) is None
    assert rated_codecs(case) == ["sz3", "sperr", "jpeg2000"]
    assert best_error(case, ("sz3", "sperr"), 1000) == (0.2, "sperr")
    needed = best_bytes(case, ("sz3", "sperr"), 0.15)
    assert needed is not None
    assert needed[0] == pytest.approx(1010 * (1500 / 1010) ** np.log2(0.2 / 0.15))
    found = ratio_row(case, ("sz3", "jpeg2000"), 1000.0)
    assert found is not None
    assert found.codec == "sz3"


def test_a_bound_missed_by_half_a_unit_counts_as_held() -> None:
    case = peer()
    assert [held(case, each) for each in case.bound] == [True, True, False, True]
    best = smallest_held(case, "1e-02*range")
    assert best is not None
    assert (best.codec, best.bytes) == ("sperr", 1500)
    assert bound_labels(case) == {"1e-02*range": 3.5, "0.5K": 0.5}
    assert (fraction_of_range("1e-02*range"), fraction_of_range("0.5K")) == (0.01, None)


def test_sizes_of_ebcc_stand_for_whole_cases(tmp_path: Path) -> None:
    rows = [{"codec": "ebcc", "label": "0.5K", "E": 0.5, "bytes": 10, "rmse": 1, "wrmse": 1, "max": 1, "held": None}]
    fields = {name: getattr(peer(), name) for name in PeerCase.__struct_fields__} | {"bound": rows, "ratio": []}
    (tmp_path / "peers.json").write_text(json.dumps({"uk_t2m": fields, "med_u10": fields}))
    peers = read_peers(tmp_path)
    assert [peers[name].bound[0].bytes for name in ("uk_t2m", "med_u10")] == [60, 10]


def test_tables() -> None:
    tables = compare.tables(found(), [{}], {"uk_t2m": peer()})
    means, bounds, ratios, extremes, looser, costs = tables
    assert means.rows[2] == ("bytes at 0.01 of the range", "1.25 (1/1)", "–")
    assert means.rows[5] == ("bytes at 0.001, 0.01 and tolerances together", "1.02 (1/2)", "–")
    assert means.rows[-1][0] == "bytes at equal RMSE, all ratios"
    assert bounds.rows[0][3:] == ("1,200", "300", "sperr", "1,500", "1.25", "–", "0.5714", "0")
    assert bounds.rows[1][7] == "**0.83**"
    assert ratios.rows[0][:7] == ("uk_t2m", "ratio 100", "1,000", "100.0", "0.25 K", "1.60", "**0.80**")
    assert extremes.rows[0] == ("uk_t2m", "100", "1,000", "0.1", "0.3", "0.4", "0.25", "0.333", "1.500")
    assert looser.rows == [("uk_t2m", "800 900", "**1.1250**", "0")]
    assert costs.rows == [("uk_t2m", "0.1", "1.50", "0.07", "900", "0.40", "0.25", "400")]
    assert all(len(cells) == len(table.columns) for table in tables for cells in table.rows)
    assert "| uk_t2m | 1e-02*range | 3.5 | 1,200 |" in bounds.markdown()


def test_a_refused_run_has_a_row() -> None:
    refused = {label: Run(failure="impossible") for label in ("ratio 1000", "0.5K")}
    tables = compare.tables({"uk_t2m": refused}, [], {"uk_t2m": peer()})
    assert [table.rows[0][:4] for table in tables[1:]] == [
        ("uk_t2m", "0.5K", "0.5", "refused"),
        ("uk_t2m", "ratio 1000", "refused", "–"),
    ]
    assert all(len(cells) == len(table.columns) for table in tables for cells in table.rows)


def test_from_files_to_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coords = {"time": np.arange(4.0), "latitude": np.arange(36.0, 8, -2), "longitude": np.arange(268.0, 304, 2)}
    waves = np.sin(coords["longitude"] / 9) * np.cos(coords["latitude"] / 7)[:, None] * np.ones((4, 1, 1))
    values = (90 * waves).astype(np.float32)
    attrs = {"units": "m"}
    xr.Dataset({"anom": (("time", "latitude", "longitude"), values, attrs)}, coords).to_netcdf(tmp_path / "waves.nc")
    size = values.nbytes
    low, high, spread = (float(f(values)) for f in (np.min, np.max, np.std))
    rows = [row("sz3", size // 9, 1.0, label="1m", bound=1.0, held=True), row("sz3", size // 4, 0.5, target=2.0)]
    changes = {"shape": list(values.shape), "min": low, "max": high, "std": spread, "n_valid": values.size}
    known = peer(units="m", float32_bytes=size, bound=rows[:1], ratio=rows[1:], p99=[80.0], **changes)
    monkeypatch.setitem(CASES, "matthew_z500", Case("waves.nc", "anom"))
    monkeypatch.setattr(command, "read_peers", lambda data: {"matthew_z500": known})
    monkeypatch.setattr(command, "RATIOS", (2.0,))
    results = tmp_path / "results.json"
    arguments = ["bench", "run", str(tmp_path), str(results), "--cases", "matthew_z500", "--kinds", "bounds,ratios"]
    monkeypatch.setattr("sys.argv", arguments)
    assert command.main() == 0
    runs = json.loads(results.read_text())["matthew_z500"]
    assert list(runs) == ["1m", "ratio 2"]
    assert runs["1m"]["violations"] == 0
    assert 0 < runs["1m"]["errors"]["max"] <= 1
    assert 0 < runs["1m"]["metadata"] < runs["1m"]["bytes"] < size
    monkeypatch.setattr(command, "run_case", None)  # nothing is left to run
    assert command.main() == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["bench", "tables", str(tmp_path), str(results)])
    assert command.main() == 0
    assert "| matthew_z500 | 1m | 1 |" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--cases", "mars"], ["--kinds", "bounds,none"]])
def test_bad_arguments_are_named(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "run", "data", "results.json", *arguments])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "choose from" in capsys.readouterr().err


def test_a_series_of_bounds_grows_and_ends_at_the_loosest() -> None:
    series = [each.bound or 0.0 for each in command.wanted("looser", peer())]
    assert len(series) == command.SERIES
    assert series == sorted(series)
    assert [series[0], series[-1]] == pytest.approx([0.035, 105])


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 0.5, 1.0]) == pytest.approx(1.0)


def test_a_file_without_marks_gets_them_at_its_end_and_once(tmp_path: Path) -> None:
    for before in ("", "before\n"):
        path = tmp_path / "page.md"
        path.write_text(before)
        for text in ("old\n", "new\n"):
            write_between(path, "<!-- a -->", "<!-- b -->", text)
        assert path.read_text() == f"{before}<!-- a -->\n\nnew\n\n<!-- b -->\n"
    write_between(tmp_path / "new.md", "<!-- a -->", "<!-- b -->", "text")
    assert (tmp_path / "new.md").read_text() == "<!-- a -->\n\ntext\n\n<!-- b -->\n"


def test_cases_as_channels_and_levels() -> None:
    shape = {"time": 2, "level": 3, "lat": 4, "lon": 5}
    values = np.arange(120, dtype="f4").reshape(tuple(shape.values()))
    coords = {"level": [1000.0, 850.0, 700.0], "lat": [10.0, 5.0, 0.0, -5.0]}
    dataset = xr.Dataset({"gh": (tuple(shape), values)}, coords)
    case = Case("*.nc", "gh", "level")
    by_level = channels(dataset, case)
    assert by_level.shape == (3, 2, 4, 5)
    np.testing.assert_array_equal(by_level[1], values[:, 1])
    split = split_levels(dataset, case)
    assert list(split.data_vars) == ["gh_1000", "gh_850", "gh_700"]
    np.testing.assert_array_equal(channels(split, case), by_level)
    np.testing.assert_array_equal(latitudes(dataset), coords["lat"])


def test_other_data_than_the_peers_are_noticed() -> None:
    values = np.linspace(-50, 300, 24).reshape(1, 2, 3, 4)
    same = peer(std=float(values.std()))
    assert differences(values, same) == []
    assert differences(values + 1, same) == ["minimum -49, not -50", "maximum 301, not 300"]
    assert differences(values[:, :1], same)[0] == "shape [1, 1, 3, 4], not [2, 3, 4]"


def test_every_case_has_its_own_data() -> None:
    assert len({(case.files, case.variable) for case in CASES.values()}) == len(CASES)

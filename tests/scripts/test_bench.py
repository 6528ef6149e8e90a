"""The benchmark's arithmetic and tables, on made-up numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bench
import numpy as np
import pytest
import xarray as xr
from bench_cases import CASES, Case, channels, differences, latitudes, split_levels
from bench_measure import Errors, measure, violations
from bench_peers import (
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
from bench_results import CaseResult, Cost, Machine, Rate, Results, Run
from bench_tables import all_tables, bound_table, cost_table, error_table, geometric_mean, write_between


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


def run(label: str, size: int, wrmse: float, broken: int | None = None) -> Run:
    errors = Errors(rmse=wrmse, wrmse=wrmse, max=2.0, p999=1.0, tail_rmse=0.4, mismatches=0)
    return Run(label, size, 300, errors, broken, Cost(2.0, 1.5), Cost(0.5, 0.4))


def results(**runs: Run) -> Results:
    machine = Machine("a processor", 2, 1, "3.11", {"nnzip": "0"}, "2026-01-01", "normal")
    case = CaseResult({each.label: each for each in runs.values()}, 900_000_000, 400_000_000, 200_000_000, 100_000)
    return Results(machine, {"uk_t2m": case}, [Rate("training", 2.5e6, "samples/s")])


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
    found = results(a=run("ratio 100", 1000, 0.25), b=run("1e-02*range", 1200, 0.1, 0))
    peers = {"uk_t2m": peer()}
    markdown = error_table(found, peers).markdown()
    assert "| uk_t2m | 100.0 | 1,000 | 300 | 0.25 K | 1.60 | **0.80** | **0.80** | sperr |" in markdown
    bounds = bound_table(found, peers).rows
    assert bounds == [
        ("uk_t2m", "1e-02*range", "3.5 K", "1,200", "83.3", "sperr", "1,500", "1.25", "2", "0"),
    ]
    assert cost_table(found).rows[0][:5] == ("uk_t2m", "0.1", "2.00", "0.05", "1.50")
    tables = all_tables(found, peers)
    assert len(tables) == 7
    assert all(len(cells) == len(table.columns) for table in tables for cells in table.rows)
    assert all(table.rich().row_count == len(table.rows) for table in tables)


def test_a_refused_run_has_a_row() -> None:
    found = results(a=Run("ratio 1000", failure="impossible"))
    tables = all_tables(found, {"uk_t2m": peer()})
    assert tables[0].rows[0][:3] == ("uk_t2m", "1000", "refused")
    assert all(len(cells) == len(table.columns) for table in tables for cells in table.rows)


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 0.5, 1.0]) == pytest.approx(1.0)


def test_markdown_replaces_what_is_between_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    failed = Run("ratio 1000", failure="impossible")
    bench._write_markdown(path, results(a=run("ratio 100", 1000, 0.25), b=failed), {"uk_t2m": peer()})
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "- uk_t2m, ratio 1000: impossible" in text


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

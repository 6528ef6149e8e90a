"""The scorecard of real archives: bounds and missing values, kept and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.evaluate.evaluate import evaluate
from nnzip.evaluate.scorecard import Check, broken, check_promises


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, Path]:
    data = nnzip.make_sample(resolution=7.5, hours=6, variables=["t2m", "sst"])
    path = tmp_path_factory.mktemp("scorecard") / "bounded.nnz"
    nnzip.compress(data, path, nnzip.Target(max_error={"t2m": "0.5K", None: "1%"}))
    return data, path


def test_bounds_and_missing_values_are_checked(archive: tuple[xr.Dataset, Path]) -> None:
    original, path = archive
    with nnzip.open_archive(path) as opened:
        decoded = opened.dataset()
        scores = evaluate(original, decoded, structure=False).variables
        checks = check_promises(original, decoded, opened.manifest, scores)
    assert [(check.variable, check.promise) for check in checks] == [
        ("t2m", "largest |error|"),
        ("sst", "largest |error|"),
        ("sst", "missing values that differ"),
    ]
    assert all(check.kept for check in checks)
    assert checks[0].promised == pytest.approx(0.5)
    assert checks[0].to_dict()["units"] == "K"
    assert broken({"bounded.nnz": checks}) == []


def test_another_original_breaks_promises(archive: tuple[xr.Dataset, Path]) -> None:
    original, path = archive
    original = original.copy(deep=True)
    original["t2m"][0, 3, 4] += 2
    original["sst"][:] = np.where(np.isfinite(original["sst"]), original["sst"], 290)
    with nnzip.open_archive(path) as opened:
        decoded = opened.dataset()
        scores = evaluate(original, decoded, structure=False).variables
        checks = check_promises(original, decoded, opened.manifest, scores)
    assert [check.kept for check in checks] == [False, True, False]
    sentences = broken({"bounded.nnz": checks})
    assert len(sentences) == 2
    assert sentences[0].startswith("bounded.nnz, t2m: largest |error|: measured ")
    assert sentences[0].endswith(" K, promised at most 0.5")


def test_promises_beyond_the_bound_are_measured_anew(tmp_path: Path) -> None:
    original = nnzip.make_sample(resolution=7.5, hours=72, step_hours=6, variables=["t2m"])
    wanted = ["extremes p80:0.1", "preserve t2m > 20 degC", "preserve-maxima day", "region -30,30,0,90:0.5"]
    target = nnzip.Target(max_error={"t2m": "1K"})
    promises = tuple(map(nnzip.parse_promise, wanted))
    done = nnzip.compress(original, tmp_path / "promised.nnz", nnzip.Options(target, promises=promises))
    with nnzip.open_archive(done.path) as opened:
        decoded = opened.dataset().load()
        manifest = opened.manifest
    scores = evaluate(original, decoded, structure=False).variables
    checks = check_promises(original, decoded, manifest, scores)
    assert len(checks) == 1 + len(wanted)
    assert all(check.kept for check in checks)
    assert checks[2].units == f"of {int((original['t2m'] > 293.15).sum())} points"
    warmer = decoded + 0.9  # within the bound of 1 K plus the archive's error: every other promise notices
    scores = evaluate(original, warmer, structure=False).variables
    texts = [check.promise.split()[0] for check in check_promises(original, warmer, manifest, scores) if not check.kept]
    assert {"extremes", "preserve", "region"} <= set(texts)
    assert "preserve-maxima" not in texts  # a shift moves no maximum


def test_an_error_on_the_bound_is_kept_and_one_above_it_not() -> None:
    assert Check("t", "largest |error|", 0.5, 0.5, "K").kept
    assert not Check("t", "largest |error|", 0.5, float(np.nextafter(0.5, 1)), "K").kept

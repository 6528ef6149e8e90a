"""The scorecard of real archives: bounds and missing values, kept and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.metrics.evaluate import evaluate
from nnzip.scorecard import Check, broken, check_promises


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, Path]:
    data = nnzip.make_sample(resolution=7.5, hours=6, variables=["t2m", "sst"])
    path = tmp_path_factory.mktemp("scorecard") / "bounded.nnz"
    nnzip.compress(data, path, nnzip.Target(max_error={"t2m": "0.5K", None: "1%"}), effort="fast")
    return data, path


def test_bounds_and_missing_values_are_checked(archive: tuple[xr.Dataset, Path]) -> None:
    original, path = archive
    with nnzip.open_archive(path) as opened:
        scores = evaluate(original, opened.dataset(), structure=False).variables
        checks = check_promises(opened.manifest, scores)
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
        scores = evaluate(original, opened.dataset(), structure=False).variables
        checks = check_promises(opened.manifest, scores)
    assert [check.kept for check in checks] == [False, True, False]
    sentences = broken({"bounded.nnz": checks})
    assert len(sentences) == 2
    assert sentences[0].startswith("bounded.nnz: largest |error| of t2m is ")
    assert sentences[0].endswith("K, promised were at most 0.5")


def test_an_error_on_the_bound_is_kept_and_one_above_it_not() -> None:
    assert Check("t", "largest |error|", 0.5, 0.5, "K").kept
    assert not Check("t", "largest |error|", 0.5, float(np.nextafter(0.5, 1)), "K").kept

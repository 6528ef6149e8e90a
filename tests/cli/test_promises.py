"""Promises from the command line: kept, shown, and refused where they make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.conftest import Nnzip


@pytest.fixture(scope="module")
def promised(weather: Path, nnzip: Nnzip, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An archive of t2m and tp with one promise of each kind, and what the command said."""
    path = tmp_path_factory.mktemp("promised") / "weather.nnz"
    result = nnzip(
        "compress", weather, "-o", path, "--effort", "fast", "--variables", "t2m,tp",
        "--max-error", "t2m=0.5K,tp=0.1mm", "--extremes", "t2m>p80:0.1", "--preserve", "t2m > 20 degC",
        "--preserve", "tp > 0", "--preserve-maxima", "day", "--preserve-minima", "t2m=day",
        "--region", "t2m=10,35,-90,-60:0.5",
    )  # fmt: skip
    return path, result.stderr


def test_promises_are_kept(weather: Path, promised: tuple[Path, str], nnzip: Nnzip, tmp_path: Path) -> None:
    nnzip("decompress", promised[0], "-o", tmp_path / "back.nc")
    with xr.open_dataset(weather) as original, xr.open_dataset(tmp_path / "back.nc") as back:
        x, y = (dataset["t2m"].load() for dataset in (original, back))
        np.testing.assert_array_equal(x > 293.15, y > 293.15)
        np.testing.assert_array_equal(original["tp"] > 0, back["tp"] > 0)
        error = abs(x.astype("f8") - y.astype("f8"))
        upper = x.astype("f8").quantile(0.8, "valid_time")
        assert float(error.where(x > upper + 1e-9).max()) <= 0.05 < float(error.max()) <= 0.5
        caribbean = error.sel(latitude=slice(35, 10), longitude=slice(270, 300))
        assert caribbean.size
        assert float(caribbean.max()) <= 0.25
        first, second = (v.resample(valid_time="1D").map(lambda g: g.argmax("valid_time")) for v in (x, y))
        xr.testing.assert_equal(first, second)


def test_promises_are_shown(promised: tuple[Path, str], nnzip: Nnzip) -> None:
    path, said = promised
    assert "promise: preserve t2m > 20 degC" in said
    shown = nnzip("info", path).stdout
    for text in ("extremes t2m>p80:0.1", "preserve tp > 0", "preserve-minima t2m=day", "region t2m=10,35,-90,-60:0.5"):
        assert text in said
        assert text in shown
    assert "corrections for promises: t2m" in said
    content = json.loads(nnzip("info", path, "--json").stdout)
    kept = content["variables"]["t2m"]["promises"]
    assert [entry["violations"] for entry in kept] == [0] * 5
    assert content["variables"]["t2m"]["promise_bytes"] > 0
    assert nnzip("verify", path).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--extremes", "99"], "not of the form p99, p99:0.1"),
        (["--extremes", "p99:local"], "leave out :local"),
        (["--extremes", "p120:0.1"], "no percentile p120"),
        (["--extremes", "t2=p99:0.1"], "no variable 't2': did you mean t2m"),
        (["--extremes", "p99:0.000001"], "ask for a factor of at least"),
        (["--preserve", "t2m > 3 mm"], "3 mm of t2m cannot be expressed in its units, K"),
        (["--preserve-maxima", "week"], "no blocks 'week'"),
        (["--region", "10,35:0.5"], "is not south,north,west,east"),
        (["--region", "lsm:0.5"], "no mask variable 'lsm'"),
        (["--ratio", "20", "--preserve", "t2m > 300"], "needs an error bound"),
        (["--ratio", "20", "--extremes", "t2m>305K"], "or for a percentile, such as >p99"),
        (["--rmse", "1%", "--extremes", "p99"], "extremes go with a ratio or a size"),
        (["--lossless", "--extremes", "p99"], "every value is exact without"),
        (["--variables", "msl", "--preserve", "t2m > 0"], "not among the variables compressed, msl"),
    ],
)
def test_nonsense_is_refused(weather: Path, nnzip: Nnzip, tmp_path: Path, options: list[str], message: str) -> None:
    result = nnzip("compress", weather, "-o", tmp_path / "a.nnz", "--effort", "fast", *options, code=2)
    assert message in result.stderr
    assert not list(tmp_path.iterdir())

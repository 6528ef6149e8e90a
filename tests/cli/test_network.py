"""`--mode network` as a user meets it: a ratio or an RMSE, any grid, any instant, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.errors import rmse
from nnzip.evaluate.weights import area_weights
from tests.conftest import Nnzip


@pytest.fixture(scope="module")
def archive(nnzip: Nnzip, weather: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three variables, one with levels and one with missing values, in one network."""
    path = tmp_path_factory.mktemp("network") / "weather.nnz"
    asked = ("--mode", "network", "--ratio", 30, "--effort", "fast", "--variables", "t2m,sst,z", "-q")
    nnzip("compress", weather, "-o", path, *asked)
    return path


def test_the_ratio_is_kept_and_errors_are_what_it_says(
    nnzip: Nnzip, weather: Path, archive: Path, tmp_path: Path
) -> None:
    said = json.loads(nnzip("info", archive, "--json").stdout)
    assert 30 * 0.97 <= said["ratio"] <= 30 * 1.1
    assert said["parts"]["network"] > 0.5 * said["bytes"]
    nnzip("decompress", archive, "-o", tmp_path / "same.nc", "-q")
    with xr.open_dataset(weather) as original, xr.open_dataset(tmp_path / "same.nc") as decoded:
        for name in ("t2m", "sst", "z"):
            found = float(rmse(original[name], decoded[name], weights=area_weights(original[name])))
            assert found == pytest.approx(said["variables"][name]["rmse"], rel=1e-3)
            assert 0 < said["variables"][name]["explained"] <= 1
            assert np.array_equal(original[name].isnull(), decoded[name].isnull())
        assert found < 0.35 * float(original["z"].std(("latitude", "longitude", "valid_time")).min())
    nnzip("verify", archive, "-q")


def test_other_grids_and_instants(nnzip: Nnzip, archive: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here.nc", tmp_path / "there.nc"
    nnzip("decompress", archive, "-o", here, "--grid", 2.5, "-q")
    nnzip("decompress", archive, "-o", there, "--grid", 2.5, "--time", "2016-10-01T03:00,2016-10-01T04:20", "-q")
    with xr.open_dataset(here) as own, xr.open_dataset(there) as instants:
        assert dict(instants.sizes) == {**own.sizes, "valid_time": 2}
        np.testing.assert_allclose(instants["t2m"][0], own["t2m"].sel(valid_time="2016-10-01T03"), atol=1e-3)
        between = own["t2m"].interp(valid_time=instants["valid_time"][1])
        change = float(abs(own["t2m"][2] - own["t2m"][1]).max())
        assert float(abs(instants["t2m"][1] - between).max()) < change
        assert "nnzip_rmse" not in instants["t2m"].attrs


def test_an_rmse_is_kept(nnzip: Nnzip, weather: Path, tmp_path: Path) -> None:
    asked = ("--mode", "network", "--rmse", "t2m=4K", "--effort", "fast", "--variables", "t2m", "--json")
    found = json.loads(nnzip("compress", weather, "-o", tmp_path / "rmse.nnz", *asked).stdout)
    assert 1 < found["errors"]["t2m"]["rmse"] <= 4


def test_the_same_seed_makes_the_same_archive(nnzip: Nnzip, weather: Path, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{name}.nnz"
        asked = ("--mode", "network", "--ratio", 20, "--effort", "fast", "--variables", "t2m")
        nnzip("compress", weather, "-o", path, *asked, "--seed", seed, "-q")
        made.append(path.read_bytes())
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (("--mode", "network", "--max-error", 1), 2, "--mode network keeps no error bound: ask for a --ratio"),
        (("--mode", "network"), 2, "keeps no error bound"),
        (("--mode", "network", "--lossless"), 2, "keeps no error bound"),
        (("--mode", "network", "--ratio", 1e6), 2, "the smallest archive"),
        (("--time-budget", 5, "--ratio", 10), 2, "--mode network"),
        (("--mode", "cloud", "--ratio", 10), 2, "cloud"),
    ],
)
def test_impossible_wishes(
    nnzip: Nnzip, weather: Path, tmp_path: Path, asked: tuple[object, ...], code: int, says: str
) -> None:
    found = nnzip("compress", weather, "-o", tmp_path / "none.nnz", *asked, code=code)
    assert says in found.stderr
    assert not (tmp_path / "none.nnz").exists()


def test_times_and_places_outside_the_record(nnzip: Nnzip, archive: Path, tmp_path: Path) -> None:
    for wrong in ("2017-01-01T00:30", "2016-10-01T25:00", "2015-01-01T00:00,2016-10-01T03:00"):
        found = nnzip("decompress", archive, "-o", tmp_path / "none.nc", "--time", wrong, code=2)
        assert wrong.partition(",")[0] in found.stderr
    assert not (tmp_path / "none.nc").exists()


def test_without_torch(nnzip: Nnzip, weather: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    found = nnzip("compress", weather, "-o", tmp_path / "none.nnz", "--mode", "network", "--ratio", 10, code=6)
    assert "pip install 'nnzip[gpu]'" in found.stderr


def test_a_dry_run_writes_nothing(nnzip: Nnzip, weather: Path, tmp_path: Path) -> None:
    asked = ("--mode", "network", "--ratio", 30, "--effort", "fast", "--variables", "t2m", "--dry-run", "--json")
    said = json.loads(nnzip("compress", weather, "-o", tmp_path / "none.nnz", *asked).stdout)
    assert said["ratio"] == pytest.approx(30, rel=0.01)
    assert 0 < said["seconds"] < 600
    assert not list(tmp_path.iterdir())

"""Tiles and previews through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.conftest import Nnzip

BOUND = ("--max-error", "1%", "--variables", "t2m,z,sst", "--effort", "fast")


def compressed(weather: Path, path: Path, nnzip: Nnzip, *options: object) -> Path:
    nnzip("compress", weather, "-o", path, *BOUND, *options)
    return path


def test_tiles_have_at_most_the_lengths_asked_for(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive = compressed(weather, tmp_path / "a.nnz", nnzip, "--tile", "time=3,latitude=16,pressure_level=1")
    shown = nnzip("info", archive)
    assert "channel 1 × time 3 × latitude 16 × longitude 48" in shown.stdout
    variables = json.loads(nnzip("info", archive, "--json").stdout)["variables"]
    assert {name: entry["tiles"] for name, entry in variables.items()} == {"t2m": 4, "sst": 4, "z": 8}
    assert variables["z"]["largest_tile"] == {"channel": 1, "time": 3, "latitude": 16, "longitude": 48}
    nnzip("decompress", archive, "-o", tmp_path / "a.nc")
    with xr.open_dataset(weather) as original, xr.open_dataset(tmp_path / "a.nc") as back:
        for name, entry in variables.items():
            error = np.abs(back[name].astype(float) - original[name].astype(float))
            assert float(error.max()) <= entry["bound"]
            np.testing.assert_array_equal(back[name].isnull(), original[name].isnull())


@pytest.mark.parametrize("tile", ["time=6", "time=2,latitude=8,longitude=16"])
def test_a_preview_is_coarse_and_claims_nothing(weather: Path, tmp_path: Path, nnzip: Nnzip, tile: str) -> None:
    archive = compressed(weather, tmp_path / "a.nnz", nnzip, "--tile", tile)
    nnzip("decompress", archive, "-o", tmp_path / "whole.nc")
    nnzip("decompress", archive, "-o", tmp_path / "preview.nc", "--preview", 4)
    with xr.open_dataset(tmp_path / "whole.nc") as whole, xr.open_dataset(tmp_path / "preview.nc") as preview:
        assert whole["t2m"].attrs.keys() >= {"nnzip_bound", "nnzip_rmse", "nnzip_max_error"}
        assert "nnzip_preview" not in whole.attrs
        thinned = whole.isel(latitude=slice(None, None, 4), longitude=slice(None, None, 4))
        for name in ("latitude", "longitude", "valid_time"):
            np.testing.assert_array_equal(preview[name], thinned[name])
        for name in ("t2m", "z", "sst"):
            assert not [key for key in preview[name].attrs if key.startswith("nnzip")]
            assert preview[name].attrs["units"] == whole[name].attrs["units"]
            np.testing.assert_array_equal(preview[name].isnull(), thinned[name].isnull())
            assert float((preview[name] - thinned[name]).std()) < 0.5 * float(thinned[name].std())
        assert preview.attrs["nnzip_preview"] == "every 4th row and column, smoothed; no error bound holds"
        assert (
            "decompressed a.nnz (a preview, every 4th row and column: no error bound holds)"
            in preview.attrs["history"].splitlines()[0]
        )


@pytest.mark.parametrize(
    ("tile", "preview", "words"),
    [
        ("latitude=5", 4, ["no preview at 1/4", "every 5 points", "decompress everything"]),
        ("time=6", 3, ["no preview at 1/3", "choose 2, 4 or 8"]),
    ],
)
def test_impossible_previews(
    weather: Path, tmp_path: Path, nnzip: Nnzip, tile: str, preview: int, words: list[str]
) -> None:
    archive = compressed(weather, tmp_path / "a.nnz", nnzip, "--tile", tile)
    said = nnzip("decompress", archive, "-o", tmp_path / "a.nc", "--preview", preview, code=2).stderr
    for word in words:
        assert word in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.nnz"]

"""Parts, places and storage of `nnzip decompress`, and what it does not write without being told twice."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr

from tests.conftest import Nnzip


def test_levels_places_chunks_and_compression(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    output = tmp_path / "z.nc"
    storage = ("--chunks", "valid_time=2", "--compression", "zstd:5")
    nnzip("decompress", archive, "-o", output, "--variables", "z", "--level", "500hPa", *storage)
    with xr.open_dataset(output) as found:
        assert found["pressure_level"].values.tolist() == [500]
        assert found["z"].encoding["chunksizes"] == (2, 1, 25, 48)
        assert found["z"].encoding["zstd"]
    stations = tmp_path / "stations.csv"
    stations.write_text("name,lat,lon\nhere,10,20\n")
    nnzip("decompress", archive, "-o", tmp_path / "series.nc", "--points", stations)
    with xr.open_dataset(tmp_path / "series.nc") as series:
        assert series["t2m"].dims == ("valid_time", "station")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--compression", "gzip"), "--compression gzip: write zlib:4"),
        (("--compression", "zlib:11"), "--compression zlib:11"),
        (("--chunks", "time=0"), "--chunks time=0: 'time=0' is no length"),
        (("--chunks", "height=3"), "--chunks height: there is no such dimension, only"),
        (("--level", "300"), "there is no level 300 in 'pressure_level', which has 850, 500 hPa"),
        (("--points", "p.csv", "--grid", "1"), "exclude each other"),
    ],
)
def test_what_does_not_fit_is_refused(
    archive: Path, tmp_path: Path, nnzip: Nnzip, options: tuple[str, ...], problem: str
) -> None:
    result = nnzip("decompress", archive, "-o", tmp_path / "x.nc", *options, code=2)
    assert problem in result.stderr
    assert not (tmp_path / "x.nc").exists()


def test_a_hundred_times_the_archive_is_not_written_unasked(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    options = ("-o", tmp_path / "x.nc", "--variables", "t2m", "--time", "2016-10-01T00")
    result = nnzip("decompress", archive, *options, "--grid", "0.05", code=7)
    assert "times the archive's" in result.stderr
    assert "agree with --yes" in result.stderr
    assert not (tmp_path / "x.nc").exists()
    nnzip("decompress", archive, *options, "--grid", "0.8", "--yes")


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_more_than_the_free_disk_is_refused(
    archive: Path, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(10**6, 10**6 - 1000, 1000))
    result = nnzip("decompress", archive, "-o", tmp_path / "x.nc", code=7)
    assert "would take up to" in result.stderr
    assert "1e-06 GB of that disk are free" in result.stderr
    nnzip("decompress", archive, "-o", tmp_path / "x.nc", "-y")


def test_a_zarr_of_variables_with_different_tiles_opens(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("compress", weather, "-o", tmp_path / "w.nnz", "--ratio", 20, "--tile", "time=4,pressure_level=1")
    nnzip("decompress", tmp_path / "w.nnz", "-o", tmp_path / "w.zarr", "--chunks", "valid_time=4")
    with xr.open_dataset(tmp_path / "w.zarr", engine="zarr", chunks={}) as found:
        assert found.chunks["valid_time"] == (4, 2)
        assert np.isfinite(found["z"].mean().compute())


@pytest.mark.skipif(not shutil.which("cdo") or not shutil.which("ncks"), reason="needs cdo and nco")
def test_cdo_and_nco_read_decoded_files_without_warnings(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("decompress", archive, "-o", tmp_path / "w.nc")
    for command in (["cdo", "-s", "infon"], ["ncks", "-m"]):
        done = subprocess.run([*command, tmp_path / "w.nc"], capture_output=True, text=True, check=True)
        assert "arning" not in done.stdout + done.stderr

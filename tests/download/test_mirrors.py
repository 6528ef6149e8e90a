"""The open mirrors through fsspec, zarr and h5netcdf, against a local server with their layouts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.data.opening import open_dataset
from nnzip.download.mirrors import _blocks
from tests.conftest import Nnzip
from tests.support import era5_examples
from tests.support.mirror_server import LATITUDE, LONGITUDE, MirrorServer, write_arco, write_ncar


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of both kinds. Read only."""
    path = tmp_path_factory.mktemp("mirrors")
    write_arco(path / "arco", ["t2m", "sst", "tp", "z", "u"], "2016-10-30", "2016-11-02", "2016-11-05")
    for day in ("2016-10-01", "2016-10-02"):
        write_ncar(path / "ncar", ["t2m", "msl", "z", "u"], day)
    return path


@pytest.fixture
def mirror(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MirrorServer]:
    """A server of the stores, and the configuration that leads to it."""
    server = MirrorServer(folder)
    monkeypatch.setenv("NNZIP_ARCO_URL", f"{server.url}/arco")
    monkeypatch.setenv("NNZIP_WB2_URL", f"{server.url}/arco/")
    monkeypatch.setenv("NNZIP_NCAR_URL", f"{server.url}/ncar")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    yield server
    server.close()


COARSE = ("--grid", "10", "--yes")  # of the stores here
ARCO = ("--start", "2016-10-31", "--end", "2016-11-01", "--source", "arco", *COARSE)
NCAR = ("--start", "2016-10-01", "--end", "2016-10-02", "--source", "ncar", *COARSE)


def expected(names: list[str], days: tuple[str, str], every: int, levels: tuple[int, ...] = ()) -> xr.Dataset:
    return era5_examples.dataset(names, era5_examples.hours(*days, every), LATITUDE, LONGITUDE, levels)


def test_only_the_chunks_that_are_needed_are_read(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m,z500", *ARCO, "--every", "6h", "-o", tmp_path)
    steps = range(24, 72, 6)  # of the store, which begins on 30 October
    assert mirror.chunks("2m_temperature") == {f"{step}.0.0" for step in steps}
    assert mirror.chunks("geopotential") == {f"{step}.0.0.0" for step in steps}
    assert not mirror.chunks("u_component_of_wind")
    content = expected(["t2m", "z"], ("2016-10-31", "2016-11-01"), 6)
    with open_dataset(tmp_path / "*.nc") as found:
        assert set(found.data_vars) == {"t2m", "z"}
        assert float(found.pressure_level) == 500 if "pressure_level" in found.coords else True
        np.testing.assert_array_equal(found.t2m, content.t2m)
        np.testing.assert_array_equal(found.z, expected(["z"], ("2016-10-31", "2016-11-01"), 6, (500,)).z[:, 0])
        np.testing.assert_array_equal(found.longitude, LONGITUDE)
        assert "ARCO-ERA5" in found.attrs["source"] or "ARCO" in str(found.attrs)


def test_an_area_across_greenwich_is_cut_and_continued(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m", *ARCO, "--area", "40,-20,-10,30", "-o", tmp_path / "all.nc")
    with open_dataset(tmp_path / "all.nc") as found:
        np.testing.assert_array_equal(found.longitude, np.arange(-20, 31, 10))
        np.testing.assert_array_equal(found.latitude, np.arange(40, -11, -10))
        content = expected(["t2m"], ("2016-10-31", "2016-11-01"), 1).t2m
        wanted = content.sel(latitude=found.latitude, longitude=found.longitude.to_numpy() % 360)
        np.testing.assert_array_equal(found.t2m, wanted)


def test_all_layouts_give_the_same_file(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """Names, dimensions, units and coordinates do not depend on the source."""
    nnzip("download", "t2m,z@850,500", *ARCO, "--every", "12h", "-o", tmp_path / "arco.nc")
    nnzip("download", "t2m,z@850,500", *NCAR, "--every", "12h", "-o", tmp_path / "ncar.nc")
    with open_dataset(tmp_path / "arco.nc") as arco, open_dataset(tmp_path / "ncar.nc") as ncar:
        for name in ("t2m", "z"):
            assert arco[name].dims == ncar[name].dims
            assert arco[name].attrs == ncar[name].attrs
        for name in ("pressure_level", "latitude", "longitude"):
            xr.testing.assert_identical(arco[name].variable, ncar[name].variable)
        days = ("2016-10-01", "2016-10-02")
        np.testing.assert_array_equal(ncar.z, expected(["z"], days, 12, (850, 500)).z)
        np.testing.assert_array_equal(ncar.t2m, expected(["t2m"], days, 12).t2m)


def test_only_parts_of_ncar_s_files_are_read(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m,msl,u500", *NCAR, "--every", "6h", "-o", tmp_path)
    asked = {path.rpartition("/")[2] for path in mirror.paths}
    assert asked == {
        "e5.oper.an.sfc.128_167_2t.ll025sc.2016100100_2016103123.nc",
        "e5.oper.an.sfc.128_151_msl.ll025sc.2016100100_2016103123.nc",
        "e5.oper.an.pl.128_131_u.ll025uv.2016100100_2016100123.nc",
        "e5.oper.an.pl.128_131_u.ll025uv.2016100200_2016100223.nc",
    }
    with open_dataset(tmp_path / "era5_2016-10-01_2016-10-02_500hPa.nc") as found:
        assert found.u.shape == (8, 19, 36)


def test_server_errors_pass_and_blocks_are_read_again(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    mirror.faults = {".zmetadata": [503], "2m_temperature/30.0.0": [500, 502]}
    result = nnzip("download", "t2m", *ARCO, "-o", tmp_path)
    assert result.stderr.count("trying again") == 3
    with open_dataset(tmp_path / "*.nc") as found:
        assert np.isfinite(found.t2m).all()


def test_a_mirror_that_keeps_failing(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    mirror.faults = {"2m_temperature/48.0.0": [503] * 99}  # 1 November
    result = nnzip("download", "t2m", *ARCO, "-o", tmp_path, code=6)
    assert "ARCO-ERA5 cannot be reached or fails" in result.stderr
    assert [path.name for path in tmp_path.glob("*.nc")] == ["era5_2016-10-31_single.nc"]
    mirror.faults.clear()
    mirror.paths.clear()
    nnzip("download", "t2m", *ARCO, "-o", tmp_path)
    assert mirror.chunks("2m_temperature") == {f"{step}.0.0" for step in range(48, 72)}  # October was there


def test_a_hole_in_the_store_is_no_data(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """A chunk that is not there reads as missing values."""
    mirror.faults = {"2m_temperature/30.0.0": [404]}
    result = nnzip("download", "t2m", *ARCO, "-o", tmp_path, code=3)
    assert (
        "t2m has no value at 1 of 24 times: 2016-10-31T06:00. Take another --source, or --allow-gaps" in result.stderr
    )
    assert not list(tmp_path.glob("*.nc"))


def test_days_beyond_the_end_of_the_store(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """Its time axis reaches further than its data."""
    days = ("--start", "2016-11-02", "--end", "2016-11-04", "--source", "arco", *COARSE)
    result = nnzip("download", "t2m", *days, "-o", tmp_path, code=3)
    assert "ARCO-ERA5 ends on 2016-11-02: take an earlier --end, or --source cds" in result.stderr


def test_variables_levels_and_files_that_are_not_there(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("download", "msl", *ARCO, "-o", tmp_path / "a", code=3)
    assert "msl (mean_sea_level_pressure) is missing in what arrived" in result.stderr
    result = nnzip("download", "z@500,100", *ARCO, "-o", tmp_path / "b", code=3)
    assert "the level 100 hPa is missing" in result.stderr
    days = ("--start", "2017-10-01", "--end", "2017-10-02", "--source", "ncar", *COARSE)
    result = nnzip("download", "t2m", *days, "-o", tmp_path / "c", code=3)
    assert "NCAR has no http" in result.stderr
    assert "take other days, or --source cds" in result.stderr
    result = nnzip("download", "tp", *NCAR, "-o", tmp_path / "d", code=2)
    assert "ncar has no tp" in result.stderr


def test_weatherbench2(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    days = ("--start", "2016-10-31", "--end", "2016-10-31", "--source", "wb2", "--every", "6h", *COARSE)
    nnzip("download", "t2m", *days, "-o", tmp_path)
    with open_dataset(tmp_path / "*.nc") as found:
        assert found.sizes["valid_time"] == 4
        assert "WeatherBench2" in found.attrs["source"]


def test_without_the_packages_for_mirrors(
    mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    result = nnzip("download", "t2m", *NCAR, "-o", tmp_path, code=6)
    assert "pip install 'nnzip[cloud]'" in result.stderr


def test_an_unreachable_mirror(tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNZIP_ARCO_URL", "http://127.0.0.1:9/arco")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    result = nnzip("download", "t2m", *ARCO, "-o", tmp_path, code=6)
    assert "ARCO-ERA5 cannot be reached or fails" in result.stderr
    assert "10 tries" in result.stderr


def test_no_store_at_the_address(
    mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNZIP_ARCO_URL", f"{mirror.url}/nowhere")
    result = nnzip("download", "t2m", *ARCO, "-o", tmp_path, code=3)
    assert "ARCO-ERA5 has no" in result.stderr


def test_json_names_the_files(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    told = json.loads(nnzip("download", "t2m", *ARCO, "-o", tmp_path, "--json", "-q").stdout)
    assert [Path(name).name for name in told["files"]] == ["era5_2016-10-31_single.nc", "era5_2016-11-01_single.nc"]


def test_server_errors_in_the_middle_of_a_netcdf_file(mirror: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m", *NCAR, "-o", tmp_path / "whole.nc")
    calls = len(mirror.paths)
    for failing in range(calls):
        mirror.faults = {"128_167_2t": [*[200] * failing, 503]}
        nnzip("download", "t2m", *NCAR, "-o", tmp_path / f"{failing}.nc")
        with open_dataset(tmp_path / "whole.nc") as whole, open_dataset(tmp_path / f"{failing}.nc") as found:
            xr.testing.assert_equal(found, whole)


@pytest.mark.parametrize(("chunk", "edges"), [(1, [0, 4, 8, 12]), (30, [0, 5, 10, 12]), (100, [0, 12])])
def test_blocks_hold_whole_chunks(chunk: int, edges: list[int]) -> None:
    """Every chunk is fetched and decoded once, however the wanted times lie in it."""
    stored = era5_examples.dataset(["t2m"], era5_examples.hours("2016-10-01", "2016-10-03"), LATITUDE, LONGITUDE)
    stored.t2m.encoding["chunks"] = (chunk, 19, 36)
    assert _blocks(stored.t2m.variable, np.arange(0, 72, 6)) == list(pairwise(edges))

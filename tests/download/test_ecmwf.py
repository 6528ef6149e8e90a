"""Points and small areas from ECMWF's Zarr stores, against a local server with their layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzip.data.opening import open_dataset
from tests.conftest import Nnzip
from tests.support import era5_examples
from tests.support.mirror_server import MirrorServer

LATITUDE = np.arange(53.0, 49.9, -0.25)
LONGITUDE = np.arange(-4.0, 4.1, 0.25)  # the stores count from -180
HOURS = era5_examples.hours("2016-12-30", "2017-01-02")
DAYS = ("--start", "2016-12-31", "--end", "2017-01-01", "--source", "ecmwf")


def write_store(folder: Path, kind: str, number: str, names: list[str]) -> None:
    """A store with chunks along time, as ECMWF writes them: Zarr 2, short names, longitudes from -180."""
    whole = era5_examples.dataset(names, HOURS, LATITUDE, LONGITUDE).rename({"valid_time": "time"})
    encoding: Any = {name: {"chunks": (60, 4, 8), "_FillValue": np.float32(np.nan)} for name in names}
    path = folder / f"cadl-arco-geo-{number}/arco/reanalysis_era5_single_levels/{kind}/geoChunked.zarr"
    whole.to_zarr(path, zarr_format=2, consolidated=True, encoding=encoding)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stores. Read only."""
    path = tmp_path_factory.mktemp("ecmwf")
    write_store(path, "sfc", "002", ["t2m", "tcc"])
    write_store(path, "wav", "003", ["swh"])
    return path


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MirrorServer]:
    """A server of the stores that wants a key, and the configuration that leads to it."""
    server = MirrorServer(folder)
    server.key = "a-token"
    monkeypatch.setenv("NNZIP_ECMWF_URL", server.url)
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    monkeypatch.setenv("CDSAPI_URL", "https://cds.climate.copernicus.eu/api")
    monkeypatch.setenv("CDSAPI_KEY", "1234:a-token")
    yield server
    server.close()


def test_a_point_comes_as_one_file_from_the_chunks_along_time(
    server: MirrorServer, tmp_path: Path, nnzip: Nnzip
) -> None:
    nnzip("download", "t2m,swh", *DAYS, "--point", "51.5,-0.1", "-o", tmp_path)
    assert server.chunks("t2m") == {"0.1.2", "1.1.2"}
    (path,) = tmp_path.glob("*.nc")
    with open_dataset(path) as found:
        expected = era5_examples.dataset(["t2m", "swh"], HOURS[24:72], np.array([51.5]), np.array([0.0]))
        assert found.t2m.shape == (48, 1, 1)
        for name in ("t2m", "swh"):
            np.testing.assert_array_equal(found[name], expected[name])
        assert "ECMWF's Zarr stores" in found.attrs["source"]


def test_a_small_area_of_two_months_comes_in_one_part(server: MirrorServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "tcc", *DAYS, "--area", "52,-1,51,1", "-o", tmp_path)
    (path,) = tmp_path.glob("*.nc")
    with open_dataset(path) as found:
        area = np.arange(52, 50.9, -0.25), np.arange(-1, 1.1, 0.25)
        np.testing.assert_array_equal(found.tcc, era5_examples.dataset(["tcc"], HOURS[24:72], *area).tcc)


def test_a_plan_counts_whole_chunks(nnzip: Nnzip) -> None:
    shown = nnzip("download", "t2m", *DAYS, "--point", "51.5,-0.1", "--dry-run").stdout
    assert "2.16\N{NO-BREAK SPACE}MB travel" in shown  # a chunk of 33,792 x 4 x 8 values at 2 B


def test_it_has_the_variables_of_the_time_series_alone(nnzip: Nnzip) -> None:
    result = nnzip("download", "t2m,sd", *DAYS, "--point", "51.5,-0.1", code=2)
    assert "ecmwf has no sd (snow_depth): take --source cds" in result.stderr


def test_without_a_key_or_with_a_wrong_one(
    server: MirrorServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = ("download", "t2m", *DAYS, "--point", "51.5,-0.1", "-o", tmp_path)
    monkeypatch.setenv("CDSAPI_KEY", "another")
    result = nnzip(*point, code=6)
    assert "refuses access" in result.stderr
    assert "check its address and your key" in " ".join(result.stderr.split())
    monkeypatch.delenv("CDSAPI_KEY")
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "none"))
    monkeypatch.setenv("ECMWF_DATASTORES_RC_FILE", str(tmp_path / "none"))
    result = nnzip(*point, code=2)
    assert "take the key of the Climate Data Store" in " ".join(result.stderr.split())

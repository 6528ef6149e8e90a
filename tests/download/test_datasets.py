"""Points, and the datasets beside hourly ERA5, from a server with the Store's forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nnzip.data.opening import open_dataset
from tests.conftest import Nnzip
from tests.support import era5_examples
from tests.support.cds_server import CdsServer

AREA = ("--area", "1,-1,0,0")


@pytest.fixture
def cds(monkeypatch: pytest.MonkeyPatch) -> Iterator[CdsServer]:
    """A server, and a user's configuration that leads to it."""
    server = CdsServer(statuses=["successful"])
    monkeypatch.setenv("CDSAPI_URL", server.url)
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    yield server
    server.close()


def test_a_point_is_one_request_for_all_years(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    days = ("--start", "2015-12-01", "--end", "2016-02-10")
    result = nnzip("download", "t2m,tp", *days, "--point", "51.5,-0.1", "-o", tmp_path)
    assert "note: the point 51.5,-0.1 is not on the grid of 0.25 degrees: the nearest is 51.5,0" in result.stderr
    ((collection, request),) = cds.submitted
    assert collection == "reanalysis-era5-single-levels-timeseries"
    assert request == {
        "variable": ["2m_temperature", "total_precipitation"], "location": {"longitude": 0.0, "latitude": 51.5},
        "date": ["2015-12-01/2016-02-10"], "data_format": "netcdf",
    }  # fmt: skip
    times = era5_examples.hours("2015-12-01", "2016-02-10")
    content = era5_examples.dataset(["t2m", "tp"], times, np.array([51.5]), np.array([0.0]))
    with open_dataset(tmp_path / "era5_2015-12-01_2016-02-10_point_51.5_0.nc") as found:
        for name in ("t2m", "tp"):
            assert found[name].dims == ("valid_time", "latitude", "longitude")
            np.testing.assert_array_equal(found[name], content[name])


def test_a_point_of_a_variable_without_series(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    days = ("--start", "2016-01-31", "--end", "2016-02-01", "--every", "12h")
    nnzip("download", "t2m,z500", *days, "--point", "51.5,0", "-o", tmp_path / "all.nc")
    assert {request["area"][0] for _, request in cds.submitted} == {51.5}
    with open_dataset(tmp_path / "all.nc") as found:
        assert found.t2m.shape == (4, 1, 1)


@pytest.mark.parametrize(
    ("dataset", "name", "shape", "method"),
    [
        ("era5-land", "tp", (744, 11, 11), "valid_time: sum (since 00 UTC; at 00 UTC of the day before)"),
        ("era5-monthly", "t2m", (1, 5, 5), "valid_time: mean (of the month)"),
        ("era5-daily-mean", "t2m", (31, 5, 5), "valid_time: mean (of the day)"),
        ("era5-ensemble", "tp", (10, 248, 3, 3), "valid_time: sum (over the 3 hours before)"),
    ],
)
def test_other_datasets(
    dataset: str, name: str, shape: tuple[int, ...], method: str, cds: CdsServer, tmp_path: Path, nnzip: Nnzip
) -> None:
    days = ("--start", "2016-01-01", "--end", "2016-01-31")
    nnzip("download", name, *days, *AREA, "--dataset", dataset, "-o", tmp_path)
    with open_dataset(tmp_path / f"{dataset}_2016-01_single.nc") as found:
        assert found[name].shape == shape
        assert found[name].attrs["cell_methods"] == method
        assert found.latitude[0] == 1
        assert dataset in found.attrs["nnzip_request"]
        if dataset == "era5-ensemble":
            np.testing.assert_allclose(found[name][9], found[name][0] + 9, rtol=1e-6)


def test_variables_that_a_dataset_lacks(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    days = ("--start", "2016-01-01", "--end", "2016-01-31", "-o", tmp_path)
    result = nnzip("download", "msl", *days, "--dataset", "era5-land", code=2)
    assert "ERA5-Land has no msl (mean_sea_level_pressure): take --dataset era5" in result.stderr
    result = nnzip("download", "snowc", *days, code=2)
    assert "ERA5 has no snowc (snow_cover): take --dataset era5-land" in result.stderr
    result = nnzip("download", "t500", *days, "--dataset", "era5-land", code=2)
    assert "ERA5-Land has no pressure levels" in result.stderr


def test_months_of_monthly_means_are_a_request_a_year(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    days = ("--start", "2015-11-01", "--end", "2016-03-31")
    nnzip("download", "t2m,z500", *days, *AREA, "--dataset", "era5-monthly", "-o", tmp_path / "all.nc")
    assert [(request["year"], len(request["month"])) for _, request in cds.submitted] == [
        (["2015"], 2), (["2015"], 2), (["2016"], 3), (["2016"], 3),
    ]  # fmt: skip
    with open_dataset(tmp_path / "all.nc") as found:
        assert [str(time)[:10] for time in found.valid_time.to_numpy()] == [
            "2015-11-01", "2015-12-01", "2016-01-01", "2016-02-01", "2016-03-01",
        ]  # fmt: skip


def test_waves_and_a_coarser_grid(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    day = ("--start", "2016-01-01", "--end", "2016-01-01", "--area", "2,-2,-2,2", "--hours", "3,15")
    nnzip("download", "swh,t2m,avg_tprate", *day, "--grid", "1", "-o", tmp_path)
    with open_dataset(tmp_path / "era5_2016-01-01_single.nc") as found:
        np.testing.assert_array_equal(found.latitude, [2, 1, 0, -1, -2])
        assert [str(time)[11:13] for time in found.valid_time.to_numpy()] == ["03", "15"]
        assert found.swh.shape == found.t2m.shape == found.avg_tprate.shape == (2, 5, 5)

"""The Climate Data Store through its real client, cdsapi, against a local server that speaks its protocol."""

from __future__ import annotations

import functools
import io
import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.data.opening import open_dataset
from tests.conftest import Nnzip
from tests.support import era5_examples
from tests.support.cds_server import LICENCE, TOO_LARGE, CdsServer, Corrupt, Cut

AREA = ("--area", "1,-1,0,0")
WIDE = ("--area", "8,-8,-8,8")  # a file of several blocks of a transfer
DAYS = ("--start", "2016-10-01", "--end", "2016-10-02")


@pytest.fixture
def cds(monkeypatch: pytest.MonkeyPatch) -> Iterator[CdsServer]:
    """A server, and a user's configuration that leads to it."""
    server = CdsServer()
    monkeypatch.setenv("CDSAPI_URL", server.url)
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    yield server
    server.close()


def expected(names: list[str], levels: tuple[int, ...] = (), every: int = 1) -> xr.Dataset:
    times = era5_examples.hours("2016-10-01", "2016-10-02", every)
    return era5_examples.dataset(names, times, np.arange(1, -0.1, -0.25), np.arange(-1, 0.1, 0.25), levels)


def assert_holds(path: Path, content: xr.Dataset) -> None:
    """The file has these values, on these coordinates, and nothing but them."""
    with open_dataset(path) as found:
        assert list(found.data_vars) == list(content.data_vars)
        for name in content.data_vars:
            assert found[name].dims == content[name].dims
            np.testing.assert_array_equal(found[name], content[name])
        for name in content.dims:
            np.testing.assert_array_equal(found[name], content[name])


def test_a_queued_request_becomes_a_file(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.statuses = ["accepted", "accepted", "running", "running", "successful"]
    result = nnzip("download", "t2m,msl", *DAYS, *AREA, "-o", tmp_path / "out", "--json")
    path = tmp_path / "out" / "era5_2016-10-01_2016-10-02_single.nc"
    assert json.loads(result.stdout) == {"source": "cds", "files": [str(path)]}
    assert_holds(path, expected(["t2m", "msl"]))
    assert [file.name for file in (tmp_path / "out").iterdir()] == [path.name]
    ((dataset, request),) = cds.submitted
    assert dataset == "reanalysis-era5-single-levels"
    assert request["area"] == [1, -1, 0, 0]


def test_the_licence_travels_with_the_data(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path / "out")
    archive = tmp_path / "out.nnz"
    nnzip("compress", *(tmp_path / "out").glob("*.nc"), "-o", archive, "--max-error", "0.1K", "--effort", "fast")
    nnzip("decompress", archive, "-o", tmp_path / "back.nc")
    with open_dataset(tmp_path / "back.nc") as back:
        assert "Contains modified Copernicus Climate Change Service information 2016" in back.attrs["attribution"]
        assert back.attrs["license"].startswith("CC-BY-4.0")
        assert "10.24381/cds.adbb2d47" in back.attrs["references"]
        assert back.t2m.attrs["standard_name"] == "air_temperature"


def test_levels_and_surface_are_files_that_compress_joins(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m,z500,t850,u@850,500", *DAYS, *AREA, "--every", "6h", "-o", tmp_path / "out")
    assert_holds(tmp_path / "out" / "era5_2016-10-01_2016-10-02_levels.nc", expected(["u"], (850, 500), 6))
    nnzip("compress", tmp_path / "out" / "*.nc", "-o", tmp_path / "all.nnz", "--effort", "fast", "--max-error", "1%")
    nnzip("decompress", tmp_path / "all.nnz", "-o", tmp_path / "back.nc")
    with open_dataset(tmp_path / "back.nc") as back:
        assert back.z.dims == back.t.dims == back.t2m.dims == ("valid_time", "latitude", "longitude")
        assert (back.z.attrs["pressure_level"], back.t.attrs["pressure_level"]) == (500, 850)
        assert back.u.dims == ("valid_time", "pressure_level", "latitude", "longitude")


def test_a_zip_that_arrives_as_nc_is_merged(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m,tp", *DAYS, *AREA, "-o", tmp_path)
    assert zipfile.is_zipfile(io.BytesIO(cds.jobs["job-0"].content))
    path = tmp_path / "era5_2016-10-01_2016-10-02_single.nc"
    assert_holds(path, expected(["t2m", "tp"]))
    with open_dataset(path) as found:
        assert found.tp.attrs["cell_methods"] == "valid_time: sum (over the hour before)"
        assert "cell_methods" not in found.t2m.attrs


def test_grib(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    pytest.importorskip("eccodes")
    nnzip("download", "t2m,tp,z@850,500", *DAYS, *AREA, "--every", "3h", "--format", "grib", "-o", tmp_path)
    assert cds.jobs["job-0"].content.startswith(b"GRIB")
    for label, names, levels in (("single", ["t2m", "tp"], ()), ("levels", ["z"], (850, 500))):
        content = expected(names, levels, 3)
        with open_dataset(tmp_path / f"era5_2016-10-01_2016-10-02_{label}.nc") as found:
            for name in names:
                assert found[name].dims == content[name].dims
                step = float(np.ptp(content[name].to_numpy())) / 2**20  # packed in 24 bits
                np.testing.assert_allclose(found[name], content[name], atol=max(step, 1e-12))


def test_requests_wait_in_the_queue_together(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    waiting: list[int] = []
    cds.before["file"] = lambda _: waiting.append(len(cds.submitted))
    year = ("--start", "2018-07-01", "--end", "2018-12-31", "--every", "24h")
    nnzip("download", "t2m", *year, *AREA, "-o", tmp_path)
    assert waiting == [2, 3, 4, 5, 6, 6]
    cds.submitted.clear()
    waiting.clear()
    nnzip("download", "msl", *year, *AREA, "-o", tmp_path / "more", "--queue", "4")
    assert waiting == [4, 5, 6, 6, 6, 6]
    assert [request["month"] for _, request in cds.submitted] == [[f"{month:02d}"] for month in range(7, 13)]


def test_server_errors_pass(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults |= {"submit": [503, "silence"], "status": [None, 502, 429], "results": [500], "file": [500]}
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert "the Climate Data Store: HTTP 503 Service Unavailable; trying again in 0.001 s (1 of 10)" in result.stderr
    assert_holds(tmp_path / "era5_2016-10-01_2016-10-02_single.nc", expected(["t2m"]))


def test_a_server_that_keeps_failing(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["status"] = [500] * 20
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=6)
    assert "cannot be reached or fails (HTTP 500 Internal Server Error), 10 tries" in result.stderr
    assert "what has arrived is kept" in result.stderr
    cds.faults["status"].clear()
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert len(cds.submitted) == 1  # the job of the first run was found again


def test_a_connection_cut_in_the_middle_of_a_file_is_continued(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["file"] = [Cut(100_000), Cut(150_000)]
    result = nnzip("download", "t2m,msl", *DAYS, *WIDE, "-o", tmp_path)
    first, second, third = (int(text.removeprefix("bytes=").removesuffix("-")) for text in cds.ranges)
    assert first == 0 < second <= 100_000 < third <= 250_000
    assert f"continuing after {second} of " in result.stderr
    with open_dataset(tmp_path / "era5_2016-10-01_2016-10-02_single.nc") as found:
        assert found.t2m.shape == (48, 65, 65)


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    cds.faults["file"] = [Cut(100_000)]
    cds.ignores_ranges = True
    nnzip("download", "t2m,msl", *DAYS, *WIDE, "-o", tmp_path)
    assert len(cds.ranges) == 2
    with open_dataset(tmp_path / "era5_2016-10-01_2016-10-02_single.nc") as found:
        assert found.t2m.shape == (48, 65, 65)


def test_a_wrong_checksum_is_fetched_again(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["file"] = [Corrupt()]
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert "has not the length or checksum promised; fetching it again" in result.stderr
    assert_holds(tmp_path / "era5_2016-10-01_2016-10-02_single.nc", expected(["t2m"]))


def test_a_file_that_stays_damaged_is_never_taken_for_good(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["file"] = [Corrupt()] * 5
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert "arrived damaged or expired 3 times" in result.stderr
    assert not list(tmp_path.glob("*.nc"))


@pytest.mark.parametrize(
    ("further", "message"), [(100, "arrived damaged or expired 3 times"), (-100, "sends more than")]
)
def test_a_wrong_length(further: int, message: str, cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.further_bytes = further
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert message in result.stderr
    assert not list(tmp_path.glob("*.nc"))
    cds.further_bytes = 0
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert_holds(tmp_path / "era5_2016-10-01_2016-10-02_single.nc", expected(["t2m"]))


def test_the_checksum_of_a_file_uploaded_in_parts_says_nothing(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.etag_suffix, cds.checksum = "-2", "0" * 31 + "1"
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert_holds(tmp_path / "era5_2016-10-01_2016-10-02_single.nc", expected(["t2m"]))


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_shorter_or_longer_than_its_data(kept: float, cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """The length is right, but the content was cut before it was stored."""
    cds.answer = lambda request: (whole := era5_examples.answer(request))[: int(len(whole) * kept)]
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert "as it arrived from the Climate Data Store cannot be used" in result.stderr
    assert not list(tmp_path.glob("*.nc"))


def test_an_expired_result_is_requested_again(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["results"] = [{"type": "results expired", "title": "results expired", "status": 404, "detail": "gone"}]
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert "the result has expired; requesting it again" in result.stderr
    assert len(cds.submitted) == 2
    assert_holds(tmp_path / "era5_2016-10-01_2016-10-02_single.nc", expected(["t2m"]))


def test_a_file_that_the_object_store_dropped_is_requested_again(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["file"] = [Cut(0), 404]
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert len(cds.submitted) == 2


def test_a_job_that_was_deleted_between_two_runs(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["status"] = [500] * 20
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=6)
    cds.faults["status"].clear()
    cds.jobs["job-0"].statuses = ["deleted"]
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    cds.faults["status"] = [500] * 20
    nnzip("download", "msl", *DAYS, *AREA, "-o", tmp_path / "further", code=6)
    cds.faults["status"].clear()
    cds.jobs.clear()
    nnzip("download", "msl", *DAYS, *AREA, "-o", tmp_path / "further")
    assert len(cds.submitted) == 4


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_a_failed_job_says_why(status: str, cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.statuses = ["accepted", "running", status]
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert "MARS returned no data, please check your selection" in result.stderr
    assert "--dry-run shows the request" in result.stderr
    cds.statuses = ["successful"]
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)  # a new job, not the failed one
    assert len(cds.submitted) == 2


def test_a_licence_that_was_not_accepted(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["submit"] = [LICENCE]
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "wants the licence of ERA5 accepted first" in result.stderr
    assert "datasets/reanalysis-era5-single-levels?tab=download#manage-licences" in result.stderr
    assert "too large" not in result.stderr


def test_a_request_that_is_too_large_is_halved(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.fields_allowed = 24
    result = nnzip("download", "t2m", "--start", "2016-10-01", "--end", "2016-10-03", *AREA, "-o", tmp_path)
    assert "asking for two halves" in result.stderr
    assert sorted(path.name for path in tmp_path.glob("*.nc")) == [
        f"era5_2016-10-0{day}_single.nc" for day in (1, 2, 3)
    ]
    with open_dataset(tmp_path / "*.nc") as found:
        np.testing.assert_array_equal(found.valid_time, era5_examples.hours("2016-10-01", "2016-10-03"))
    before = len(cds.jobs)
    nnzip("download", "t2m", "--start", "2016-10-01", "--end", "2016-10-03", *AREA, "-o", tmp_path)
    assert len(cds.jobs) == before  # the halves are there


def test_a_day_that_is_too_large(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["submit"] = [TOO_LARGE] * 9
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "finds the request too large" in result.stderr
    assert "take fewer variables or levels, or --every 6h" in result.stderr
    assert "licence" not in result.stderr


def test_a_wrong_key(cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSAPI_KEY", "wrong")
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "does not accept the key (authentication failed" in result.stderr
    assert "https://cds.climate.copernicus.eu/how-to-api" in result.stderr
    monkeypatch.setenv("CDSAPI_KEY", "1234:abcd-efgh")
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "the form of before September 2024" in result.stderr


def test_no_key(tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSAPI_URL", "CDSAPI_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "none"))
    result = nnzip("download", "t2m", *DAYS, "--source", "cds", "-o", tmp_path / "out", code=2)
    assert "there is no key for the Climate Data Store: register at https://cds.climate.copernicus.eu" in result.stderr
    assert "~/.cdsapirc" in result.stderr


def test_the_key_of_cdsapirc(cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSAPI_URL", "CDSAPI_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / ".cdsapirc").write_text(f"url: {cds.url}\nkey: secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path / "out")
    assert len(cds.submitted) == 1


def test_an_unreachable_host(tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSAPI_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=6)
    assert "the Climate Data Store cannot be reached or fails (" in result.stderr
    assert "Connection refused" in result.stderr
    assert "10 tries" in result.stderr


def test_an_address_that_is_not_the_climate_data_store(
    cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDSAPI_URL", cds.url + "/v2")
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "is not at the address of your configuration" in result.stderr


def test_something_else_answers(cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    cds.faults["submit"] = ["page"]
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=6)
    assert "answers with something else than its protocol" in result.stderr
    monkeypatch.setenv("CDSAPI_URL", "cds.climate.copernicus.eu/api")
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "the address of the Climate Data Store in your configuration is none" in result.stderr


def test_times_that_era5_does_not_have_yet(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.answer = lambda request: era5_examples.answer({**request, "day": request["day"][:1]})
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert "24 of 48 times are missing in what arrived, the first is 2016-10-02T00:00" in result.stderr
    assert not list(tmp_path.glob("*.nc"))


def test_a_result_that_cannot_be_used_is_not_taken_up_again(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.answer = lambda request: b"\x89HDF\r\n\x1a\n and then nothing"
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert result.stderr.count("arrived damaged") == 2  # three times in all
    cds.answer = era5_examples.answer
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    assert len(cds.submitted) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["era5_2016-10-01_2016-10-02_single.nc"]


def test_jobs_of_another_selection_stay(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["status"] = [500] * 20
    nnzip("download", "z500", *DAYS, *AREA, "-o", tmp_path, code=6)
    cds.faults["status"].clear()
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    nnzip("download", "z500", *DAYS, *AREA, "-o", tmp_path)
    assert len(cds.submitted) == 2
    assert not (tmp_path / ".download").exists()


def test_another_selection_into_the_same_store(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """The parts of an interrupted run with other variables are no obstacle, and do not get into the store."""
    months = ("--start", "2016-10-31", "--end", "2016-11-01", *AREA, "--every", "12h", "-o", tmp_path / "all.zarr")
    cds.faults["file"] = [None, *[500] * 20]
    nnzip("download", "t2m", *months, code=6)
    cds.faults["file"].clear()
    nnzip("download", "msl", *months)
    with open_dataset(tmp_path / "all.zarr") as found:
        assert list(found.data_vars) == ["msl"]
    nnzip("download", "t2m", *months, "-f")
    with open_dataset(tmp_path / "all.zarr") as found:
        assert list(found.data_vars) == ["t2m"]


def test_another_variable_than_asked_for(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.answer = lambda request: era5_examples.answer({**request, "variable": ["mean_sea_level_pressure"]})
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=3)
    assert "t2m (2m_temperature) is missing in what arrived, which holds msl" in result.stderr


def test_files_of_another_selection_are_never_overwritten(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path)
    path = tmp_path / "era5_2016-10-01_2016-10-02_single.nc"
    before = path.read_bytes()
    result = nnzip("download", "msl", *DAYS, *AREA, "-o", tmp_path, code=2)
    assert "exists already and holds something else" in result.stderr
    assert path.read_bytes() == before
    nnzip("download", "msl", *DAYS, *AREA, "-o", tmp_path, "-f")
    assert_holds(path, expected(["msl"]))


@pytest.mark.parametrize("name", ["all.zarr", "all.nc", "all.zarr.zip"])
def test_one_store_or_file(name: str, cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    months = ("--start", "2016-10-31", "--end", "2016-11-01")
    nnzip("download", "t2m,u@850,500", *months, *AREA, "--every", "12h", "-o", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with open_dataset(tmp_path / name) as found:
        assert found.t2m.shape == (4, 5, 5)
        assert found.u.shape == (4, 2, 5, 5)
        assert "Copernicus" in found.attrs["attribution"]
    result = nnzip("download", "t2m", *months, *AREA, "-o", tmp_path / name, code=2)
    assert "exists already" in result.stderr


def test_a_full_disk(cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1000))
    result = nnzip("download", "t2m", *DAYS, *AREA, "-o", tmp_path, code=7)
    assert "0 MB free" in result.stderr
    assert "what has arrived is kept" in result.stderr
    assert not list(tmp_path.glob("*.nc"))


def test_a_disk_that_fills_up_in_the_middle_of_a_file(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    command = [sys.executable, "-m", "nnzip", "download", "t2m,msl", *DAYS, *WIDE, "-o", str(tmp_path)]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (200_000, 200_000))
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 7
    assert "single.raw (File too large): make room on that disk; what has arrived is kept" in done.stderr
    assert not list(tmp_path.glob("*.nc"))
    nnzip("download", "t2m,msl", *DAYS, *WIDE, "-o", tmp_path)
    assert len(cds.submitted) == 1
    assert int(cds.ranges[-1].removeprefix("bytes=").removesuffix("-")) >= 100_000  # continued
    with open_dataset(tmp_path / "*.nc") as found:
        assert np.isfinite(found.msl).all()


def test_ctrl_c_keeps_what_has_arrived(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    command = [sys.executable, "-m", "nnzip", "download", "t2m,msl", *DAYS, *WIDE, "-o", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:

        def interrupt(_: object) -> None:
            cds.before.pop("file")
            process.send_signal(signal.SIGINT)
            cds.faults["file"] = [Cut(100_000)]

        cds.before["file"] = interrupt
        assert process.stderr is not None
        messages = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "error: interrupted; what has arrived is kept" in messages
    assert "Traceback" not in messages
    assert not list(tmp_path.glob("*.nc"))
    nnzip("download", "t2m,msl", *DAYS, *WIDE, "-o", tmp_path)
    assert len(cds.submitted) == 1
    with open_dataset(tmp_path / "*.nc") as found:
        assert found.msl.shape == (48, 65, 65)

"""The Climate Data Store on its bad days: a full queue, wrong content, damage, proxies, odd configurations."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from nnzip.data.opening import open_dataset
from tests.conftest import Nnzip
from tests.support import era5_examples
from tests.support.cds_server import CdsServer, Job

AREA = ("--area", "1,-1,0,0")
DAYS = ("--start", "2016-10-01", "--end", "2016-10-02", *AREA)
NAME = "era5_2016-10-01_2016-10-02_single"
MONTHS = ("--start", "2018-07-01", "--end", "2018-12-31", "--every", "24h", *AREA)


@pytest.fixture
def cds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CdsServer]:
    """A server, and a user's configuration that leads to it; the home directory is empty."""
    server = CdsServer()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CDSAPI_URL", server.url)
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.0005")
    yield server
    server.close()


# ---- the queue


def test_no_more_than_two_requests_wait_at_a_time(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.queue_limit = 2
    result = nnzip("download", "t2m", *MONTHS, "-o", tmp_path / "out")
    assert cds.most_queued == 2
    assert len(cds.submitted) == 6
    assert "queue is full" not in result.stderr


def test_a_full_queue_is_waited_for(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """Jobs of another program fill it; the rejected ones are dropped and asked for again."""
    cds.queue_limit = 1
    cds.jobs["other"] = other = Job("reanalysis-era5-single-levels", {}, ["running"])

    def leave(_: Job | None) -> None:
        if len(cds.submitted) == 4:
            other.statuses = ["successful"]

    cds.before["submit"] = leave
    result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert "the queue is full (The job has been rejected: Number queued requests for this dataset" in result.stderr
    assert len(cds.submitted) == 4
    assert (tmp_path / "out" / f"{NAME}.nc").exists()


def test_a_rejected_job_of_an_earlier_run_is_dropped(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    for status in ("rejected", "failed", "dismissed"):
        cds.faults["status"] = [500] * 20
        nnzip("download", "t2m", *DAYS, "-o", tmp_path / status, code=6)
        cds.faults["status"].clear()
        list(cds.jobs.values())[-1].statuses = [status]
        result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / status)
        assert "requesting it again" in result.stderr
        assert [path.name for path in (tmp_path / status).iterdir()] == [f"{NAME}.nc"]


def test_a_server_that_asks_for_patience_gets_it(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    cds.faults["submit"] = [{"title": "rate limit exceeded", "status": 429, "Retry-After": "1"}]
    cds.faults["file"] = [{"title": "slow down", "status": 503, "Retry-After": "1"}]
    result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert "HTTP 429 Too Many Requests; trying again in 1 s" in result.stderr
    assert "HTTP 503 Service Unavailable; trying again in 1 s" in result.stderr


# ---- wrong content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"area": [1, -1, 0.5, 0]},
            "2 of 5 latitudes are missing in what arrived, the first is 0.25: asked for 1 to 0",
        ),
        ({"grid": [1.0, 1.0]}, "3 of 5 latitudes are missing"),
        ({"area": [1.1, -0.9, 0.1, 0.1]}, "5 of 5 latitudes are missing"),
        (
            {"area": [1, -0.75, 0, 0]},
            "1 of 5 longitudes are missing in what arrived, the first is -1: asked for -1 to 0",
        ),
        ({"time": ["00:00"]}, "46 of 48 times are missing"),
        ({"variable": ["surface_pressure"]}, "t2m (2m_temperature) is missing in what arrived, which holds sp"),
    ],
)
def test_wrong_content_is_refused(
    change: dict[str, Any], message: str, cds: CdsServer, tmp_path: Path, nnzip: Nnzip
) -> None:
    cds.answer = lambda request: era5_examples.answer({**request, **change})
    result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out", code=3)
    assert message in result.stderr
    assert not list((tmp_path / "out").glob("*.nc"))
    cds.answer = era5_examples.answer
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert len(cds.submitted) == 2


def test_an_area_off_the_grid_is_asked_for_on_it(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    area = ("--area", "0.9,-0.9,0.1,-0.1")
    result = nnzip("download", "t2m", *DAYS[:4], *area, "-o", tmp_path / "out")
    assert "note: the area 0.9,-0.9,0.1,-0.1 is widened to the grid of 0.25 degrees: 1,-1,0,0" in result.stderr
    assert cds.submitted[0][1]["area"] == [1, -1, 0, 0]
    with open_dataset(tmp_path / "out" / f"{NAME}.nc") as found:
        np.testing.assert_array_equal(found.latitude, np.arange(1, -0.1, -0.25))
        np.testing.assert_array_equal(found.longitude, np.arange(-1, 0.1, 0.25))


def test_a_variable_without_values_is_refused_or_reported(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    def empty(request: dict[str, Any]) -> bytes:
        content = era5_examples.answer({**request, "variable": ["2m_temperature"]})
        (tmp_path / "content.nc").write_bytes(content)
        with open_dataset(tmp_path / "content.nc") as dataset:
            loaded = dataset.load()
        loaded["msl"] = loaded.t2m * np.nan
        loaded.t2m[3:5] = np.nan
        return era5_examples.netcdf(loaded)

    cds.answer = empty
    result = nnzip("download", "t2m,msl", *DAYS, "-o", tmp_path / "out", code=3)
    assert "t2m has no value at 2 of 48 times: 2016-10-01T03:00 to 2016-10-01T04:00" in result.stderr
    assert "msl has no value at 48 of 48 times" in result.stderr
    nnzip("download", "t2m,msl", *DAYS, "-o", tmp_path / "out", "--allow-gaps")
    with open_dataset(tmp_path / "out" / f"{NAME}.nc") as found:
        assert '"t2m": ["2016-10-01T03:00", "2016-10-01T04:00"]' in found.attrs["nnzip_gaps"]


# ---- damage


def test_a_damaged_file_of_the_right_length_is_fetched_again(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """Its object was stored in parts, so that no checksum shows the damage; then a part on this disk is damaged."""
    cds.etag_suffix = "-2"
    good = era5_examples.answer
    contents = [True, True]  # to be damaged

    def answer(request: dict[str, Any]) -> bytes:
        whole = good(request)
        kept = len(whole) // 3 if contents and contents.pop() else len(whole)
        return whole[:kept] + bytes(len(whole) - kept)

    cds.answer = answer
    result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert result.stderr.count("arrived damaged") == 2
    assert len(cds.submitted) == 3
    path = tmp_path / "out" / f"{NAME}.nc"
    before = path.read_bytes()
    path.write_bytes(before[:1000] + bytes(len(before) - 1000))
    result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert "is damaged" in result.stderr
    assert len(cds.submitted) == 4
    assert [file.name for file in (tmp_path / "out").iterdir() if file.suffix == ".nc"] == [path.name]
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [path.name]  # leftovers are gone


# ---- halves, locks, leftovers


def test_halves_stay_halves(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    """The whole is asked for once, however often the command runs."""
    cds.fields_allowed, cds.statuses = 24, ["successful"]
    cds.faults["file"] = [None, *[500] * 20]  # the first half arrives
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out", code=6)
    cds.faults["file"].clear()
    for _ in range(2):
        nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
        assert [request["day"] for _, request in cds.submitted] == [["01", "02"], ["01"], ["02"]]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "era5_2016-10-01_single.nc", "era5_2016-10-02_single.nc",
    ]  # fmt: skip


def test_two_downloads_into_one_directory(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    scratch = tmp_path / "out" / ".download"
    scratch.mkdir(parents=True)
    with FileLock(scratch / "lock"):
        result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out", code=2)
    assert "another download into" in result.stderr
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [f"{NAME}.nc"]


# ---- accounts, proxies, networks


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".cdsapirc", "url: {url}\nkey: secret\n"),
        (".cdsapirc", "# my key\nurl: {url}/\nkey: 12345:secret\nverify: 0\n"),
        (".cdsapirc", "# Schl\xfcssel\nurl: {url}\nkey: secret\n"),
        (".ecmwfdatastoresrc", "url: {url}\nkey: secret\n"),
    ],
)
def test_accounts_in_files(
    name: str, content: str, cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDSAPI_URL")
    monkeypatch.delenv("CDSAPI_KEY")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / name).write_text(content.format(url=cds.url), encoding="latin-1")
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert len(cds.submitted) == 1


def test_the_account_of_the_new_client(
    cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("URL", "KEY"):
        monkeypatch.delenv(f"CDSAPI_{name}")
    monkeypatch.setenv("ECMWF_DATASTORES_URL", cds.url)
    monkeypatch.setenv("ECMWF_DATASTORES_KEY", "secret")
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert len(cds.submitted) == 1


def test_a_certificate_of_ones_own(tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify: 0` holds for the questions and for the file."""
    made = tmp_path / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", made, "-out", tmp_path / "c.pem"], check=True, capture_output=True)
    made.write_text(made.read_text() + (tmp_path / "c.pem").read_text())
    server = CdsServer(certificate=made)
    for name in ("URL", "KEY"):
        monkeypatch.delenv(f"CDSAPI_{name}", raising=False)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "rc"))
    try:
        (tmp_path / "rc").write_text(f"url: {server.url}\nkey: secret\n")
        result = nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out", code=6)
        assert "certificate verify failed" in result.stderr
        (tmp_path / "rc").write_text(f"url: {server.url}\nkey: secret\nverify: 0\n")
        nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    finally:
        server.close()


def test_every_transfer_goes_through_the_proxy(
    cds: CdsServer, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", cds.url.removesuffix("/api"))
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("CDSAPI_URL", "http://store.invalid/api")
    nnzip("download", "t2m", *DAYS, "-o", tmp_path / "out")
    assert len(cds.submitted) == 1


def test_no_network_is_said_in_one_line(
    tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch, cds: CdsServer
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("CDSAPI_URL", "https://cds.climate.copernicus.eu/api")
    for source in ("cds", "arco", "ncar"):
        result = nnzip("download", "t2m", *DAYS, "--source", source, "-o", tmp_path / source, code=6)
        assert result.stderr.count("\n") == 2, result.stderr  # the plan, and the error
        assert "error: there is no network" in result.stderr

"""Two years from a Store of which one request in five fails, killed three times: complete, and equal to a quiet run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr

from nnzip.data.opening import open_dataset
from tests.conftest import Nnzip
from tests.support.cds_server import CdsServer, Job

YEARS = ("t2m", "--start", "2018-01-01", "--end", "2019-12-31", "--every", "24h", "--area", "2,-2,-2,2")
KILLS = (5, 11, 18)  # files that have begun to arrive when the process is killed


@pytest.fixture
def cds(monkeypatch: pytest.MonkeyPatch) -> Iterator[CdsServer]:
    """A server, and a user's configuration that leads to it."""
    server = CdsServer(statuses=["accepted", "running", "successful"], queue_limit=2)
    monkeypatch.setenv("CDSAPI_URL", server.url)
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    yield server
    server.close()


def content(path: Path) -> xr.Dataset:
    with open_dataset(path) as dataset:
        return dataset.load().assign_attrs({**dataset.attrs, "history": ""})


def test_two_years_of_chaos(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    out = tmp_path / "out"
    cds.chaos = random.Random(16)
    command = [sys.executable, "-m", "nnzip", "download", *YEARS, "-o", str(out), "-q"]
    fetched_again: list[str] = []
    for kill in (*KILLS, 99):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:

            def watch(job: Job | None, process: subprocess.Popen[str] = process, kill: int = kill) -> None:
                assert job is not None
                name = f"era5_{job.request['year'][0]}-{job.request['month'][0]}_single.nc"
                if (out / name).exists():
                    fetched_again.append(name)
                if len(list(out.glob("*.nc"))) >= kill:
                    os.kill(process.pid, signal.SIGKILL)

            cds.before["file"] = watch
            assert process.stderr is not None
            said = process.stderr.read()
            assert process.wait(timeout=120) == (0 if kill == 99 else -signal.SIGKILL), said
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 24
    assert not fetched_again
    assert cds.disturbed > 40
    cds.before.clear()
    cds.chaos = None
    nnzip("download", *YEARS, "-o", tmp_path / "quiet")
    assert names == sorted(path.name for path in (tmp_path / "quiet").iterdir())
    for name in names:
        xr.testing.assert_identical(content(out / name), content(tmp_path / "quiet" / name))

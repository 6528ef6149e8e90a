"""Downloads that are killed, and archives made month by month."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.data.opening import open_dataset
from tests.conftest import Nnzip
from tests.support.cds_server import CdsServer, Cut, Job

SUMMER = ("t2m,z500", "--start", "2019-05-01", "--end", "2019-08-31", "--every", "12h", "--area", "2,-2,-2,2")
MONTHS = ("t2m,tp", "--start", "2019-01-30", "--end", "2019-03-02", "--every", "6h", "--area", "2,-2,-2,2")


@pytest.fixture
def cds(monkeypatch: pytest.MonkeyPatch) -> Iterator[CdsServer]:
    """A server, and a user's configuration that leads to it."""
    server = CdsServer(statuses=["successful"])
    monkeypatch.setenv("CDSAPI_URL", server.url)
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.001")
    yield server
    server.close()


def without_history(path: Path) -> xr.Dataset:
    with open_dataset(path) as dataset:
        return dataset.load().drop_attrs(deep=False).assign_attrs({**dataset.attrs, "history": ""})


def kill_at(cds: CdsServer, month: str, route: str, arguments: tuple[str, ...], folder: Path) -> None:
    """Run the download in a process of its own and kill it when the server is asked for a file of `month`."""
    command = [sys.executable, "-m", "nnzip", "download", *arguments, "-o", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:

        def kill(job: Job | None) -> None:
            if job is not None and job.request["month"] == [month]:
                cds.before.pop(route)
                if route == "file":
                    cds.faults["file"] = [Cut(40_000)]
                os.kill(process.pid, signal.SIGKILL)

        cds.before[route] = kill
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(timeout=120) == -signal.SIGKILL


def test_a_summer_killed_in_july_and_resumed(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    kill_at(cds, "07", "status", SUMMER, tmp_path / "killed")
    done = {path.name for path in (tmp_path / "killed").glob("*.nc")}
    assert done == {f"era5_2019-{month:02d}_{label}.nc" for month in (5, 6) for label in ("single", "500hPa")}
    asked = len(cds.submitted)
    assert asked == 6  # those of July wait in the queue
    nnzip("download", *SUMMER, "-o", tmp_path / "killed")
    assert len(cds.submitted) == 8  # those of July were found again, nothing asked for twice
    months = [request["month"] for _, request in cds.submitted[asked:]]
    assert months == [["08"], ["08"]]
    nnzip("download", *SUMMER, "-o", tmp_path / "whole")
    assert len(cds.submitted) == 16
    names = sorted(path.name for path in (tmp_path / "whole").glob("*.nc"))
    assert names == sorted(path.name for path in (tmp_path / "killed").iterdir())
    for name in names:
        xr.testing.assert_identical(
            without_history(tmp_path / "killed" / name), without_history(tmp_path / "whole" / name)
        )
    nnzip("download", *SUMMER, "-o", tmp_path / "whole")
    assert len(cds.submitted) == 16  # all is there


def test_half_written_files_are_never_mistaken_for_complete_ones(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    scratch = tmp_path / ".download"
    scratch.mkdir()
    (scratch / "era5_2019-01-30_2019-01-31_single.raw").write_bytes(b"half of another file")
    (scratch / "era5_2019-01-30_2019-01-31_single.job").write_text("{not json")
    (scratch / "era5_2019-01-30_2019-01-31_single.new.nc").write_bytes(b"half")
    (scratch / ".era5_2019-01-30_2019-01-31_single.new.nc.1234.part").write_bytes(b"half")
    (scratch / "tmp1234").mkdir()
    nnzip("download", *MONTHS, "-o", tmp_path)
    with open_dataset(tmp_path / "era5_*.nc") as found:
        assert found.sizes["valid_time"] == 4 * 32
        assert np.isfinite(found.t2m).all()
    assert sorted(path.name[:4] for path in tmp_path.iterdir()) == ["era5"] * 3


def test_a_zarr_store_is_resumed_part_by_part(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    kill_at(cds, "03", "file", MONTHS, tmp_path / "all.zarr")
    assert not (tmp_path / "all.zarr").exists()
    nnzip("download", *MONTHS, "-o", tmp_path / "all.zarr")
    assert len(cds.submitted) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["all.zarr"]
    with open_dataset(tmp_path / "all.zarr") as found:
        assert found.sizes["valid_time"] == 4 * 32


WEEKS = ("t2m,tp", "--start", "2019-01-31", "--end", "2019-03-01", "--every", "12h", "--area", "1,-1,-1,1")
COMPRESS = ("--compress", "--max-error", "t2m=0.1K,tp=0.1mm", "--effort", "fast")


def test_a_part_damaged_behind_its_header_is_fetched_again(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    kill_at(cds, "03", "status", MONTHS, tmp_path / "winter.nc")
    part = tmp_path / ".winter.nc.download" / "era5_2019-02_single.nc"
    content = bytearray(part.read_bytes())
    content[-3000:-2000] = bytes(1000)
    part.write_bytes(content)
    with open_dataset(part) as dataset:  # its header is whole
        assert dataset.sizes["valid_time"] == 112
    result = nnzip("download", *MONTHS, "-o", tmp_path / "winter.nc")
    assert "fetching it again" in result.stderr
    nnzip("download", *MONTHS, "-o", tmp_path / "whole.nc")
    xr.testing.assert_identical(without_history(tmp_path / "winter.nc"), without_history(tmp_path / "whole.nc"))


def test_months_become_archives_within_their_bounds_also_when_killed(
    cds: CdsServer, tmp_path: Path, nnzip: Nnzip
) -> None:
    held: list[int] = []
    cds.before["file"] = lambda _: held.append(sum(1 for _ in tmp_path.rglob("*.nc")))
    nnzip("download", *WEEKS, *COMPRESS, "-o", tmp_path / "archives")
    assert held == [0, 0, 0]  # the data of one month are gone before the next is fetched
    names = ["era5_2019-01-31.nnz", "era5_2019-02.nnz", "era5_2019-03-01.nnz"]
    assert sorted(path.name for path in (tmp_path / "archives").iterdir()) == names
    nnzip("download", *WEEKS, "-o", tmp_path / "files")
    for name in names:
        nnzip("decompress", tmp_path / "archives" / name, "-o", tmp_path / f"{name}.nc")
    with open_dataset(tmp_path / "*.nnz.nc") as back, open_dataset(tmp_path / "files" / "*.nc") as whole:
        np.testing.assert_array_equal(back.valid_time, whole.valid_time)
        assert float(abs(back.t2m - whole.t2m).max()) <= 0.1
        assert float(abs(back.tp - whole.tp).max()) <= 1e-4
        assert "Copernicus" in back.attrs["attribution"]
    kill_at(cds, "03", "file", (*WEEKS, *COMPRESS), tmp_path / "killed")
    asked = len(cds.submitted)
    assert len(list((tmp_path / "killed").glob("*.nnz"))) == 2
    for _ in range(2):
        nnzip("download", *WEEKS, *COMPRESS, "-o", tmp_path / "killed")
        assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == names
    assert len(cds.submitted) == asked  # found again, then all is there
    for name in names:
        nnzip("decompress", tmp_path / "killed" / name, "-o", tmp_path / "killed.nc", "-f")
        with open_dataset(tmp_path / "killed.nc") as back, open_dataset(tmp_path / f"{name}.nc") as whole:
            np.testing.assert_array_equal(back.t2m, whole.t2m)
            np.testing.assert_array_equal(back.tp, whole.tp)
    other = ("--compress", "--max-error", "0.2K", "--effort", "fast", "-o", tmp_path / "killed")
    assert "exists already and holds something else" in nnzip("download", *WEEKS, *other, code=2).stderr


def test_levels_and_surface_in_one_archive(cds: CdsServer, tmp_path: Path, nnzip: Nnzip) -> None:
    days = ("--start", "2019-01-30", "--end", "2019-01-31", "--every", "6h", "--area", "2,-2,-2,2")
    nnzip("download", "t2m,z500,t850,u@850,500", *days, "--compress", "--effort", "fast", "-o", tmp_path)
    nnzip("decompress", tmp_path / "era5_2019-01-30_2019-01-31.nnz", "-o", tmp_path / "back.nc")
    with open_dataset(tmp_path / "back.nc") as back:
        assert set(back.data_vars) == {"t2m", "z", "t", "u"}
        assert back.u.sizes["pressure_level"] == 2

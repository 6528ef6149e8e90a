"""Several jobs: the archives and files of one, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from nnzip.field.probes import record_probes

import nnzip
from nnzip.data import writing
from nnzip.errors import InputError, NnzipWarning
from nnzip.plan import budget
from nnzip.plan.budget import Allowance
from nnzip.progress import Progress
from nnzip.tile import bounded
from tests.conftest import Nnzip

TIMES, ROWS, COLUMNS = 24, 10, 16
PROMISES = ["preserve-maxima day", "preserve-minima month", "extremes p90:0.2", "region night:0.5"]


def example() -> xr.Dataset:
    """6-hourly waves with noise, partly missing, and a mask that changes with time."""
    generator = np.random.default_rng(1)
    time, row, column = np.ogrid[:TIMES, :ROWS, :COLUMNS]
    waves = 280 + 5 * np.sin(time / 3 + row / 2) * np.cos(2 * np.pi * column / COLUMNS)
    values = (waves + 0.3 * generator.normal(size=waves.shape)).astype(np.float32)
    holes = np.where(generator.random(values.shape) < 0.1, np.nan, values)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "x": (dims, values, {"units": "K"}),
            "y": (dims, holes, {"units": "K"}),
            "night": ("time", (np.arange(TIMES) % 4 < 2).astype("i4")),
        },
        {
            "time": np.datetime64("2016-10-30", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
            "lat": ("lat", np.linspace(60, -60, ROWS), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(COLUMNS) * 360 / COLUMNS, {"units": "degrees_east"}),
        },
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over several threads may be rounded otherwise, and other numbers of jobs have other numbers of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def five_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SEGMENT_VALUES", 5 * 2 * ROWS * COLUMNS)


@pytest.mark.parametrize(
    ("target", "promises"),
    [(nnzip.Target(max_error={None: "0.5K"}), PROMISES), (nnzip.Target(rmse={None: "0.2K"}), [])],
    ids=["bound", "rmse"],
)
def test_archives_do_not_depend_on_the_jobs(tmp_path: Path, target: nnzip.Target, promises: list[str]) -> None:
    moments: list[Progress] = []
    for jobs in (1, 2):
        result = nnzip.compress(
            example(),
            tmp_path / f"{jobs}.nnz",
            target,
            variables=["x", "y"],
            promises=promises,
            effort="fast",
            jobs=jobs,
            progress=moments.append,
        )
        fractions = [moment.fraction for moment in moments]
        assert fractions == sorted(fractions)
        assert fractions[-1] == pytest.approx(1)
        moments.clear()
    assert len(result.promises.get("x", [])) == len(promises)
    with nnzip.open_archive(tmp_path / "2.nnz") as archive:
        assert len(archive.manifest.groups[0].segments) == 5
    assert (tmp_path / "1.nnz").read_bytes() == (tmp_path / "2.nnz").read_bytes()


def test_a_size_is_kept_with_several_jobs(tmp_path: Path) -> None:
    size, path = 9_000, tmp_path / "a.nnz"
    target = nnzip.Target(size_bytes=size)
    result = nnzip.compress(example(), path, target, variables=["x"], effort="fast", jobs=2)
    assert 0.9 * size < result.file_bytes == path.stat().st_size <= size


def test_an_allowance_is_never_given_twice() -> None:
    allowance = Allowance(100, 10)
    assert allowance.begin(2) == 20
    assert allowance.begin(3) == 30
    allowance.end(5)  # 15 less than the first might have taken
    assert allowance.begin(5) == 65
    allowance.end(30)
    allowance.end(65)
    assert allowance.begin(1) == 0


def test_errors_are_those_of_one_job(tmp_path: Path) -> None:
    broken = example()[["x"]].astype("f8")
    broken["x"][20, 3, 4] = 1e300  # in the last segment
    messages = []
    for jobs in (1, 2):
        with pytest.raises(InputError) as refused:
            nnzip.compress(broken, tmp_path / "a.nnz", nnzip.Target(ratio=5), effort="fast", jobs=jobs)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert not list(tmp_path.iterdir())


def test_decompression_does_not_depend_on_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip
) -> None:
    monkeypatch.setattr(budget, "TILE_VALUES", 2 * ROWS * COLUMNS)
    monkeypatch.setattr(writing, "_STREAM_BYTES", 10_000)  # the whole is written in pieces, the part is not
    monkeypatch.setattr(
        bounded, "record_probes", lambda *arguments: bytes(byte ^ 8 for byte in record_probes(*arguments))
    )
    with pytest.warns(NnzipWarning, match="4.* times the guard"):
        compress_all(tmp_path / "a.nnz")
    for name, options in {"all": (), "part": ("--time", "2016-11-01/2016-11-03", "--variables", "y,x")}.items():
        back = []
        for jobs in (1, 2):
            path = tmp_path / f"{name}{jobs}.nc"
            result = nnzip("decompress", tmp_path / "a.nnz", "-o", path, "--jobs", jobs, *options)
            assert "warning: the CPU decodes the field 4." in result.stderr
            with xr.open_dataset(path) as opened:
                back.append(opened.load().drop_attrs(deep=False))
        xr.testing.assert_identical(*back)
    assert back[0].sizes["time"] == 12


def compress_all(path: Path) -> None:
    nnzip.compress(example(), path, nnzip.Target(max_error={None: "0.5K"}), variables=["x", "y"], effort="fast")


@pytest.mark.parametrize("command", ["compress", "decompress"])
@pytest.mark.parametrize("jobs", ["0", "two"])
def test_jobs_are_counted(command: str, jobs: str, weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    source = weather if command == "compress" else archive
    assert "--jobs" in nnzip(command, source, "-o", tmp_path / "out.nc", "--jobs", jobs, code=2).stderr
    assert not list(tmp_path.iterdir())


SEVERAL_SEGMENTS = """
from nnzip.plan import budget
from nnzip.cli.main import main
budget.SEGMENT_VALUES = 1_000_000
main()
"""


@pytest.mark.parametrize(
    ("whom", "how", "code", "message"),
    [
        ("group", signal.SIGINT, 130, "error: interrupted; nothing was written\n"),
        ("worker", signal.SIGKILL, 7, "error: one of several processes was ended by signal 9, as happens when the "),
    ],
)
def test_nothing_is_left_of_several_jobs(
    whom: str, how: signal.Signals, code: int, message: str, tmp_path: Path, nnzip: Nnzip
) -> None:
    nnzip("sample", tmp_path / "in.nc", "--resolution", 1.5, "--hours", 96, "--variables", "t2m,msl")
    arguments = ["compress", str(tmp_path / "in.nc"), "-o", str(tmp_path / "out.nnz"), "--jobs", "2"]
    command = [sys.executable, "-c", SEVERAL_SEGMENTS, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        assert any(line.startswith("largest error") for line in process.stderr)
        workers = _workers(process.pid)
        time.sleep(1.0)  # while they begin
        if whom == "group":
            os.killpg(process.pid, how)
        else:
            os.kill(workers[0], how)
        said = process.stderr.read()
        assert process.wait(timeout=60) == code
    assert said.startswith(message)
    assert said.count("\n") == 1
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert [path.name for path in tmp_path.iterdir()] == ["in.nc"]


def _workers(parent: int) -> list[int]:
    """The two processes that `parent` has started for its jobs, once they are there."""
    for _ in range(600):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found = [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
        if len(found) == 2:
            return found
        time.sleep(0.05)
    raise AssertionError("there are no workers")

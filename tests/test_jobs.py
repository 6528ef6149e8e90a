"""Several jobs and other executors: the archive of one job, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.coder.native.kernel import shipped_kernel
from nnzip.coder.native.library import NUMPY
from nnzip.errors import InputError
from nnzip.executor import workers
from nnzip.jobs import Done, Piece, check_piece, coders
from nnzip.plan.cutting import tile_count
from nnzip.progress import Progress
from nnzip.tile.bounded import Coded
from tests.conftest import Nnzip

TIMES, ROWS, COLUMNS = 24, 10, 16
PROMISES = ("preserve-maxima day", "preserve-minima month", "extremes p90:0.2", "region night:0.5")
TILE = {"time": 12, "lat": 8}


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


def options(target: nnzip.Target, promises: Sequence[str] = ()) -> nnzip.Options:
    parsed = tuple(map(nnzip.parse_promise, promises))
    return nnzip.Options(target, variables=("x", "y"), promises=parsed, tile=TILE)


@pytest.mark.parametrize(
    "wanted",
    [
        options(nnzip.Target(max_error="0.5K"), PROMISES),
        options(nnzip.Target(rmse="0.2K")),
        options(nnzip.Target(size_bytes=6_000)),
        options(nnzip.Target(lossless=True)),
    ],
    ids=["bound", "rmse", "size", "lossless"],
)
def test_archives_do_not_depend_on_who_works(tmp_path: Path, wanted: nnzip.Options) -> None:
    with workers(2) as team:
        others = {"two": {"jobs": 2}, "processes": {"jobs": 2, "executor": team.executor}}
        for name, way in {"one": {}, **others}.items():
            moments: list[Progress] = []
            path = tmp_path / f"{name}.nnz"
            result = nnzip.compress(example(), path, wanted, progress=moments.append, **way)  # type: ignore[arg-type]
            fractions = [moment.fraction for moment in moments]
            assert fractions == sorted(fractions)
            assert fractions[-1] == pytest.approx(1)
    assert len(result.promises.get("x", [])) == len(wanted.promises)
    with nnzip.open_archive(tmp_path / "two.nnz") as archive:
        assert tile_count(archive.tiles.sizes[0]) == 4
    assert (tmp_path / "one.nnz").read_bytes() == (tmp_path / "two.nnz").read_bytes()
    assert (tmp_path / "one.nnz").read_bytes() == (tmp_path / "processes.nnz").read_bytes()
    if wanted.target.size_bytes is not None:
        assert 0.85 * wanted.target.size_bytes < result.file_bytes <= wanted.target.size_bytes


def test_errors_are_those_of_one_job(tmp_path: Path) -> None:
    broken = example()[["x"]].astype("f8")
    broken["x"][20, 3, 4] = 1e120  # in the last tile
    messages = []
    for jobs in (1, 2):
        with pytest.raises(InputError, match="too large for float32") as refused:
            nnzip.compress(broken, tmp_path / "a.nnz", nnzip.Target(ratio=5), jobs=jobs)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert not list(tmp_path.iterdir())
    nnzip.compress(broken, tmp_path / "a.nnz", nnzip.Target(lossless=True))  # as the message says
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        np.testing.assert_array_equal(archive.dataset()["x"].values, broken["x"].values)


def test_a_tile_that_breaks_its_goal_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever coded it: what is decoded is compared before the file is there."""
    done = check_piece

    def careless(piece: Piece, coded: Coded) -> Done:
        found = done(piece, coded)
        found.errors.max_error = 0.7
        return found

    monkeypatch.setattr(import_module("nnzip.compress"), "check_piece", careless)
    with pytest.raises(nnzip.NnzipError, match=r"an error of 0\.7, its bound is 0\.5 .* nothing was written"):
        nnzip.compress(example(), tmp_path / "a.nnz", options(nnzip.Target(max_error="0.5K")))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["compress", "decompress"])
@pytest.mark.parametrize("jobs", ["0", "two"])
def test_jobs_are_counted(command: str, jobs: str, weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    source = weather if command == "compress" else archive
    assert "--jobs" in nnzip(command, source, "-o", tmp_path / "out.nc", "--jobs", jobs, code=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("whom", "how", "status", "message"),
    [
        ("threads", signal.SIGINT, 130, "interrupted; nothing was written"),
        ("group", signal.SIGINT, 130, "interrupted; nothing was written"),
        ("worker", signal.SIGKILL, 7, "one of several processes was ended, as happens when the memory is full"),
    ],
)
def test_nothing_is_left_of_several_jobs(
    whom: str, how: signal.Signals, status: int, message: str, tmp_path: Path, nnzip: Nnzip
) -> None:
    nnzip("sample", tmp_path / "in.nc", "--resolution", 1.5, "--hours", 288, "--variables", "t2m,msl")
    arguments = ["compress", "in.nc", "-o", "out.nnz", "--jobs", "2", "--tile", "valid_time=8", "--ratio", "50"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    if whom != "threads":
        environment["NNZIP_KERNEL"] = NUMPY  # whose jobs are processes
    with subprocess.Popen(
        [sys.executable, "-m", "nnzip", *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=tmp_path, env=environment,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        workers = [] if whom == "threads" else _workers(process.pid)
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        time.sleep(1.0)  # while they begin
        if whom == "worker":
            os.kill(workers[0], how)
        else:
            os.killpg(process.pid, how)
        said = process.stderr.read()
        assert process.wait(timeout=60) == status
    assert message in said
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert [path.name for path in tmp_path.iterdir()] == ["in.nc"]


@pytest.mark.skipif(shipped_kernel() is None, reason="numpy's jobs are processes")
def test_few_jobs_share_memory() -> None:
    with coders(2) as few, coders(9) as many:
        assert few.share_memory
        assert not many.share_memory


def _workers(parent: int) -> list[int]:
    """The two processes that `parent` has started for its jobs, once they are there."""
    for _ in range(600):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found = [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
        if len(found) == 2:
            return found
        time.sleep(0.05)
    raise AssertionError("there are no workers")

"""A cluster of two processes does what one process does, also when a worker is killed."""

from __future__ import annotations

import os
import pickle
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster

import nnzip
from nnzip.data.grouping import pick, plan_groups
from nnzip.errors import InputError
from nnzip.parts import Run
from nnzip.progress import Progress
from tests.conftest import Nnzip

ROOT = Path(nnzip.__file__).parents[1]
OPTIONS = nnzip.Options(
    nnzip.Target(max_error="0.2%"),
    variables=("t2m", "msl"),
    tile={"valid_time": 5, "latitude": 16},
    effort="fast",
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks in two files, every 24 hours."""
    folder = tmp_path_factory.mktemp("weather")
    whole = nnzip.make_sample(resolution=7.5, hours=336, step_hours=24, variables=["t2m", "msl"])
    for week in range(2):
        whole.isel(valid_time=slice(7 * week, 7 * week + 7)).to_netcdf(folder / f"week{week}.nc")
    return folder


@pytest.fixture(scope="module")
def archive(weather: Path) -> Path:
    """Made by one process."""
    with nnzip.open_dataset(str(weather / "week*.nc")) as dataset:
        nnzip.compress(dataset, weather / "one.nnz", OPTIONS)
    return weather / "one.nnz"


def test_archives_are_the_same_byte_for_byte(client: Client, weather: Path, archive: Path, tmp_path: Path) -> None:
    moments: list[Progress] = []
    with nnzip.open_dataset(str(weather / "week*.nc")) as dataset:
        nnzip.compress(dataset, tmp_path / "files.nnz", OPTIONS, executor=client, progress=moments.append)
        nnzip.compress(dataset.load(), tmp_path / "memory.nnz", OPTIONS, executor=client)
    assert (tmp_path / "files.nnz").read_bytes() == archive.read_bytes()
    assert (tmp_path / "memory.nnz").read_bytes() == archive.read_bytes()
    assert moments[-1].fraction == pytest.approx(1)


def test_paths_travel_and_of_memory_slices(weather: Path) -> None:
    """What is read on a worker pickles without values, or with its own ones alone."""
    with nnzip.open_dataset(str(weather / "week*.nc")) as dataset:
        (group,), _ = plan_groups(dataset, ["t2m"])
        box = range(1), range(5), range(16), range(48)
        sizes = []
        for source in (dataset, nnzip.open_dataset(weather / "week0.nc"), dataset.compute()):
            picked = pick(source, group, group.variables[0], *box)
            sizes.append(len(pickle.dumps(picked)))
    values = 4 * 5 * 16 * 48
    assert max(sizes[:2]) < 6000 < values <= sizes[2] < values + 2000


def test_the_client_does_not_read_what_workers_read(
    client: Client, weather: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dask would, to name jobs by their values."""

    def values(run: Run) -> None:
        raise AssertionError("the client reads a run")

    monkeypatch.setattr(Run, "__dask_tokenize__", values, raising=False)
    nnzip.compress(weather / "week0.nc", tmp_path / "a.nnz", OPTIONS, executor=client)


def test_decompressed_and_evaluated_as_by_one_process(
    client: Client, weather: Path, archive: Path, tmp_path: Path
) -> None:
    for name in ("out.nc", "out.zarr"):
        nnzip.decompress(archive, tmp_path / name, executor=client)
    with nnzip.open_archive(archive) as opened, nnzip.open_dataset(str(weather / "week*.nc")) as original:
        decoded = opened.dataset()
        alone, shared = (nnzip.evaluate(original, decoded, executor=who) for who in (None, client))
        assert alone.to_dict() == shared.to_dict()
        for found in (xr.open_dataset(tmp_path / "out.nc"), xr.open_zarr(tmp_path / "out.zarr")):
            for name in ("t2m", "msl"):
                np.testing.assert_array_equal(found[name].values, decoded[name].values)
            found.close()


def test_a_weekly_mean_on_the_cluster_is_the_one_in_memory(client: Client, archive: Path) -> None:
    with nnzip.open_archive(archive) as opened:
        dataset = opened.dataset()
        chunked = dataset.chunk(dataset["t2m"].encoding["preferred_chunks"])
        assert chunked["t2m"].data.npartitions > 4
        weekly = chunked[["t2m", "msl"]].resample(valid_time="7D").mean().compute(scheduler=client.get)
        xr.testing.assert_allclose(weekly, dataset[["t2m", "msl"]].load().resample(valid_time="7D").mean(), rtol=1e-6)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    client: Client, weather: Path, archive: Path, tmp_path: Path
) -> None:
    def kill() -> None:
        """The first worker that works, in the middle of a tile."""
        for _ in range(600):
            working = [name for name, keys in processing().items() if keys]
            if working:
                pids = client.run(os.getpid, workers=working[:1])
                os.kill(pids[working[0]], signal.SIGKILL)
                killed.append(working[0])
                return
            time.sleep(0.05)

    killed: list[str] = []
    processing: Callable[[], dict[str, list[str]]] = client.processing
    thread = threading.Thread(target=kill)
    thread.start()
    with nnzip.open_dataset(str(weather / "week*.nc")) as dataset:
        nnzip.compress(dataset, tmp_path / "a.nnz", OPTIONS, executor=client)
    thread.join()
    assert killed
    assert (tmp_path / "a.nnz").read_bytes() == archive.read_bytes()


def test_errors_come_from_the_workers_as_they_are(client: Client, weather: Path, tmp_path: Path) -> None:
    with nnzip.open_dataset(weather / "week0.nc") as dataset:
        broken = dataset.load()
    broken["t2m"][3, 4, 5] = np.inf
    with pytest.raises(InputError, match="t2m holds 1 infinite values"):
        nnzip.compress(broken, tmp_path / "a.nnz", OPTIONS, executor=client)
    assert not list(tmp_path.iterdir())


def test_the_command_line_uses_a_cluster_by_its_address(
    client: Client, weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip
) -> None:
    asked = ["--max-error", "0.2%", "--variables", "t2m,msl", "--tile", "valid_time=5,latitude=16", "--effort", "fast"]
    address = str(client.scheduler_info()["address"])
    nnzip("compress", weather / "week*.nc", "-o", tmp_path / "a.nnz", *asked, "--scheduler", address)
    with xr.open_dataset(archive, engine="nnzip") as one, xr.open_dataset(tmp_path / "a.nnz", engine="nnzip") as two:
        xr.testing.assert_equal(one.load(), two.load())
    nnzip("decompress", archive, "-o", tmp_path / "a.nc", "--scheduler", address)
    assert "t2m" in nnzip("evaluate", weather / "week*.nc", archive, "--scheduler", address).stdout


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        ("local:0", 2, "write the address of a Dask scheduler as tcp://host:8786, or local:8"),
        ("host", 2, "--scheduler host: write the address"),
        ("tcp://127.0.0.1:9", 6, "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_bad_addresses(
    address: str, code: int, message: str, archive: Path, tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzip.integrations.cluster._SECONDS", 1)
    said = nnzip("decompress", archive, "-o", tmp_path / "a.nc", "--scheduler", address, code=code).stderr
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_example_of_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = (ROOT / "docs" / "cluster.md").read_text()
    (example,) = re.findall(r"```python\n(import nnzip\n.*?)```", document, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/cluster.md", "exec"), {"__name__": "__main__"})
    assert (tmp_path / "one.nnz").read_bytes() == (tmp_path / "two.nnz").read_bytes()

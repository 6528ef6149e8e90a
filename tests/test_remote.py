"""Archives at URLs: what is read is what is used, and what goes wrong is said in one sentence."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.container.reader import ArchiveReader
from nnzip.errors import InputError, ResourceError, UnavailableError, UsageError
from tests.support.field_examples import smooth
from tests.support.range_server import RangeServer

ROWS, COLUMNS, TIMES = 96, 256, 12
TILE = {"time": 4, "latitude": 48}
"""Three tiles in time, two along latitude, of two variables."""


@pytest.fixture(scope="module")
def source() -> xr.Dataset:
    noise = np.random.default_rng(0).normal(0, 2, (2, TIMES, ROWS, COLUMNS)).astype(np.float32)
    values = {name: smooth((TIMES, ROWS, COLUMNS), number) + noise[number] for number, name in enumerate("ab")}
    return xr.Dataset(
        {name: (("time", "lat", "lon"), field) for name, field in values.items()},
        {
            "time": np.datetime64("2020-01-01", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
            "lat": ("lat", np.linspace(60, 36.25, ROWS), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(COLUMNS) * 0.25, {"units": "degrees_east"}),
        },
    )


@pytest.fixture(scope="module")
def path(source: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Larger than what is read to open it. Read only."""
    found = tmp_path_factory.mktemp("remote") / "a.nnz"
    nnzip.compress(source, found, nnzip.Options(nnzip.Target(lossless=True), effort="fast", tile=TILE))
    assert found.stat().st_size > 800_000
    return found


@pytest.fixture
def server(path: Path, tmp_path: Path) -> Iterator[RangeServer]:
    shutil.copy(path, tmp_path / "a.nnz")
    running = RangeServer(tmp_path)
    yield running
    running.close()


@pytest.fixture(scope="module")
def whole(path: Path) -> xr.Dataset:
    with nnzip.open_archive(path) as archive:
        return archive.dataset().load()


def test_opening_is_one_request_and_a_map_one_more(server: RangeServer, whole: xr.Dataset, path: Path) -> None:
    with xr.open_dataset(f"{server.url}/a.nnz", engine="nnzip") as dataset:
        assert len(server.requests) == 1
        xr.testing.assert_identical(dataset["a"][0].load(), whole["a"][0])
        assert len(server.requests) == 2, "two tiles that lie side by side"
        dataset["a"][1].load()
        assert len(server.requests) == 2, "their values are still there"
        dataset["b"][[0, 11]].load()
        assert len(server.requests) == 4, "two pairs of tiles, far from each other"
    assert server.sent() < 0.8 * path.stat().st_size


def test_everything_is_read_once(server: RangeServer, whole: xr.Dataset, path: Path) -> None:
    with nnzip.open_archive(f"{server.url}/a.nnz") as archive:
        for time in range(TIMES):
            for name in "ab":
                archive.dataset()[name][time].load()
        xr.testing.assert_identical(archive.dataset().load(), whole)
    assert len(server.requests) < 12
    assert server.sent() < 1.5 * path.stat().st_size


def test_a_preview_reads_less(server: RangeServer, source: xr.Dataset) -> None:
    nnzip.compress(source, server.folder / "b.nnz", nnzip.Target(max_error=0.1))
    size = (server.folder / "b.nnz").stat().st_size
    assert size > 300_000
    with nnzip.open_archive(f"{server.url}/b.nnz", preview=8) as archive:
        opening = server.sent()
        assert archive.dataset()["a"].load().shape == (TIMES, ROWS // 8, COLUMNS // 8)
        assert len(server.requests) == 2
        assert server.sent() - opening < 0.2 * size, "a part of one of two tiles"


def test_verifying_and_decompressing_read_tiles_once(server: RangeServer, path: Path, tmp_path: Path) -> None:
    for work in (nnzip.verify, lambda url: nnzip.decompress(url, tmp_path / "a.nc")):
        server.requests.clear()
        work(f"{server.url}/a.nnz")
        assert server.sent() < 1.2 * path.stat().st_size
        assert len(server.requests) < 18, "the headers of 12 tiles are read first to decompress"


def _maximum(dataset: xr.Dataset) -> float:
    return float(dataset["b"].max())


def test_it_pickles_and_is_read_by_other_processes(server: RangeServer, whole: xr.Dataset) -> None:
    with xr.open_dataset(f"{server.url}/a.nnz", engine="nnzip") as dataset:
        copy = pickle.loads(pickle.dumps(dataset["b"]))
        xr.testing.assert_identical(copy[3].load(), whole["b"][3])
        for method in ("spawn", "fork"):
            with ProcessPoolExecutor(1, get_context(method)) as pool:
                assert pool.submit(_maximum, dataset).result() == float(whole["b"].max())


@pytest.fixture
def memory(path: Path) -> Iterator[str]:
    system = fsspec.filesystem("memory")
    system.pipe_file("/bucket/a.nnz", path.read_bytes())
    yield "memory://bucket/a.nnz"
    system.store.clear()


def test_any_kind_of_url(memory: str, server: RangeServer, whole: xr.Dataset, tmp_path: Path) -> None:
    options = {"simplecache": {"cache_storage": str(tmp_path / "cache")}}
    urls: list[tuple[str, dict[str, Any]]] = [
        (memory, {}),
        (f"simplecache::{memory}", options),
        (f"simplecache::{server.url}/a.nnz", options),
        (f"file://{server.folder}/a.nnz", {}),
    ]
    for url, storage_options in urls:
        with xr.open_dataset(url, engine="nnzip", storage_options=storage_options) as dataset:
            xr.testing.assert_identical(dataset["a"][5].load(), whole["a"][5])


def test_outputs_go_to_urls_when_they_are_complete(source: xr.Dataset, memory: str) -> None:
    result = nnzip.compress(
        source[["a"]].isel(time=slice(2)), "memory://bucket/b.nnz", nnzip.Target(max_error={"a": 1})
    )
    assert result.path == "memory://bucket/b.nnz"
    nnzip.decompress("memory://bucket/b.nnz", "memory://bucket/b.nc")
    with nnzip.open_dataset("memory://bucket/b.nc") as back:
        assert float(np.abs(back["a"] - source["a"][:2]).max()) <= 1
    with pytest.raises(UsageError, match="exists"):
        nnzip.compress(source, memory, nnzip.Target(ratio=10))
    with pytest.raises(UsageError, match="only files"):
        nnzip.decompress(memory, "memory://bucket/b.zarr")
    with pytest.raises(InputError):
        nnzip.compress(source.astype("i4"), "memory://bucket/c.nnz", nnzip.Target(ratio=10))
    assert sorted(fsspec.filesystem("memory").ls("/bucket", detail=False)) == [
        "/bucket/a.nnz", "/bucket/b.nc", "/bucket/b.nnz",
    ]  # fmt: skip


def test_sources_are_read_from_urls(source: xr.Dataset, server: RangeServer) -> None:
    source.to_netcdf(server.folder / "a.nc")
    source.to_zarr(server.folder / "b.zarr", zarr_format=2)
    for name in ("a.nc", "b.zarr"):
        with nnzip.open_dataset(f"{server.url}/{name}") as dataset:
            xr.testing.assert_equal(dataset.load(), source)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Storage options of an S3 server with an empty bucket "nnz"."""
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    options = {"client_kwargs": {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-west-1"}}
    fsspec.filesystem("s3", **options).mkdir("nnz")
    yield options
    running.stop()


def test_s3(bucket: dict[str, Any], path: Path, whole: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("s3", **bucket).put_file(str(path), "nnz/a.nnz")
    with xr.open_dataset("s3://nnz/a.nnz", engine="nnzip", storage_options=bucket) as dataset:
        xr.testing.assert_identical(dataset["a"][[0, 7]].load(), whole["a"][[0, 7]])
    with pytest.raises(FileNotFoundError, match=r"cannot open s3://nnz/b.nnz: there is no such file"):
        xr.open_dataset("s3://nnz/b.nnz", engine="nnzip", storage_options=bucket)
    monkeypatch.setitem(fsspec.config.conf, "s3", bucket)
    nnzip.compress(whole.isel(time=slice(2)), "s3://nnz/c.nnz", nnzip.Target(max_error=2))
    nnzip.append("s3://nnz/c.nnz", whole.isel(time=[2, 3]))
    with nnzip.open_archive("s3://nnz/c.nnz") as archive:
        assert float(np.abs(archive.dataset() - whole).max().to_array().max()) <= 2


# --- what can go wrong ----------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_said(server: RangeServer) -> None:
    url = f"{server.url}/a.nnz"
    with pytest.raises(InputError, match=rf"cannot open {server.url}/none.nnz: there is no such file"):
        nnzip.open_archive(f"{server.url}/none.nnz")
    with pytest.raises(FileNotFoundError):
        xr.open_dataset(f"{server.url}/none.nnz", engine="nnzip")
    (server.folder / "short.nnz").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"short.nnz: it is no nnzip archive"):
        nnzip.open_archive(f"{server.url}/short.nnz")
    server.status = 403
    with pytest.raises(ResourceError, match=rf"no permission for {url}: give credentials"):
        nnzip.open_archive(url)
    server.status = 500
    with pytest.raises(UnavailableError, match=rf"cannot reach {url}: 500"):
        nnzip.open_archive(url)
    with pytest.raises(UsageError, match=r"gopher://host/a.nnz is no kind of URL"):
        nnzip.open_archive("gopher://host/a.nnz")
    with pytest.raises(UnavailableError, match=r"cannot reach http://127.0.0.1:9/a.nnz"):
        nnzip.open_archive("http://127.0.0.1:9/a.nnz")
    with pytest.raises(UnavailableError, match=r"cannot reach http://127.0.0.1:9/a.nnz"):
        xr.open_dataset("http://127.0.0.1:9/a.nnz", engine="nnzip")


def test_a_local_file_without_permission(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "a.nnz")
    (tmp_path / "a.nnz").chmod(0)
    with _not_root(), pytest.raises(ResourceError, match=r"cannot read .*a.nnz: Permission denied"):
        nnzip.open_archive(tmp_path / "a.nnz")
    with _not_root(), pytest.raises(PermissionError, match=r"cannot read .*a.nnz: Permission denied"):
        xr.open_dataset(tmp_path / "a.nnz", engine="nnzip")


@contextmanager
def _not_root() -> Iterator[None]:
    """Root may read everything."""
    xr.backends.list_engines()  # imports packages, which others may not read
    user, nobody = os.geteuid(), 65534
    if user == 0:
        os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_server_without_ranges_is_named_with_the_remedy(path: Path, tmp_path: Path, whole: xr.Dataset) -> None:
    server = RangeServer(path.parent, ranges=False)
    try:
        with pytest.raises(UnavailableError, match=rf"read it as simplecache::{server.url}/a.nnz"):
            nnzip.open_archive(f"{server.url}/a.nnz")
        with nnzip.open_archive(f"simplecache::{server.url}/a.nnz") as archive:
            xr.testing.assert_identical(archive.dataset()["a"][0].load(), whole["a"][0])
    finally:
        server.close()


def test_a_file_that_is_replaced_while_it_is_open(server: RangeServer, source: xr.Dataset) -> None:
    local = server.folder / "a.nnz"
    with nnzip.open_archive(f"{server.url}/a.nnz") as archive, nnzip.open_archive(local) as here:
        before = here.dataset()["a"][0].values
        text = pickle.dumps(here)
        nnzip.compress(source, local, nnzip.Options(nnzip.Target(max_error=5), tile=TILE), overwrite=True)
        with pytest.raises(InputError, match="was replaced since it was opened: open it again"):
            archive.dataset()["a"].load()
        np.testing.assert_array_equal(here.dataset()["a"][0].values, before, "a local file stays what it was")
        with pytest.raises(InputError, match="was replaced since it was opened: open it again"):
            pickle.loads(text)


def test_a_closed_archive_says_so(server: RangeServer) -> None:
    with ArchiveReader(f"{server.url}/a.nnz") as reader:
        pass
    with pytest.raises(UsageError, match=r"a.nnz is closed"):
        reader.read("0.0")

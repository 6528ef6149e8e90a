"""Later time steps become further tiles of an archive: what was there stays byte for byte, and its bounds hold."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.container.reader import ArchiveReader
from nnzip.errors import InputError, UsageError
from nnzip.evaluate.weights import latitude_weights
from tests.support.field_examples import smooth

TIMES, ROWS, COLUMNS = 24, 16, 24
FIRST, SECOND = slice(0, 10), slice(10, None)
TILE = {"time": 4, "latitude": 8}


def make_dataset() -> xr.Dataset:
    """Two variables with time, one of them with gaps that grow, one without time; flags and dates along time."""
    sst = smooth((TIMES, ROWS, COLUMNS))
    trend = np.linspace(0, 40, TIMES, dtype=np.float32)[:, None, None]
    for number in range(TIMES):
        sst[number, : number // 3, :5] = np.nan
    counts = np.arange(TIMES, dtype=np.int16)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "sst": (dims, sst, {"units": "K"}),
            "t": (("level", *dims), smooth((2, TIMES, ROWS, COLUMNS), 1) + trend),
            "orography": (dims[1:], smooth((1, ROWS, COLUMNS), 2)[0]),
            "flag": ("time", counts % 3),
        },
        {
            "time": np.datetime64("2020-11-29", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
            "lat": ("lat", np.linspace(60, 30, ROWS), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(COLUMNS) * 2.0, {"units": "degrees_east"}),
            "level": [850, 500],
            "step": ("time", counts * 0.5),
        },
        {"title": "test"},
    )


@pytest.fixture(scope="module")
def source() -> xr.Dataset:
    return make_dataset()


@pytest.fixture(scope="module")
def first(source: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first ten times, within 0.1 % of their range. Read only."""
    found = tmp_path_factory.mktemp("append") / "first.nnz"
    target = nnzip.Target(max_error="0.1%")
    nnzip.compress(source.isel(time=FIRST), found, nnzip.Options(target, tile=TILE, effort="fast"))
    return found


@pytest.fixture
def archive(first: Path, tmp_path: Path) -> Path:
    shutil.copy(first, tmp_path / "a.nnz")
    return tmp_path / "a.nnz"


def read(path: Path) -> xr.Dataset:
    with nnzip.open_archive(path) as archive:
        return archive.dataset().load()


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if name != "nnzip"}


@pytest.fixture(scope="module")
def appended(first: Path, source: xr.Dataset) -> Path:
    path = first.with_name("appended.nnz")
    shutil.copy(first, path)
    for part in (slice(10, 13), slice(13, None)):
        nnzip.append(path, source.isel(time=part))
    return path


def test_the_old_tiles_stay_and_new_ones_follow(first: Path, appended: Path) -> None:
    before, after = members(first), members(appended)
    assert {name: after[name] for name in before} == before
    assert list(after)[: len(before)] == list(before)
    start = sum(30 + len(name) + len(data) for name, data in before.items())
    assert appended.read_bytes()[:start] == first.read_bytes()[:start]
    with ArchiveReader(appended) as reader:
        entry = reader.manifest.variables["sst"]
        assert reader.manifest.pieces(entry)[1] == (3, 3, 4, 3, 3, 4, 4)
        assert {name for name in after if name.startswith("0.")} == {f"0.{tile}" for tile in range(14)}


def test_the_whole_is_the_source_within_the_first_bounds(first: Path, appended: Path, source: xr.Dataset) -> None:
    whole, start = read(appended), read(first)
    with ArchiveReader(first) as old, ArchiveReader(appended) as new:
        bounds = {name: entry.bound for name, entry in old.manifest.variables.items()}
        assert bounds == {name: entry.bound for name, entry in new.manifest.variables.items()}
    for name, bound in bounds.items():
        assert float(np.abs(whole[name] - source[name]).max()) <= (bound or 0)
        np.testing.assert_array_equal(np.isnan(whole[name]), np.isnan(source[name]))
    xr.testing.assert_equal(whole["sst"].isel(time=FIRST), start["sst"])
    for name in ("flag", "step", "time", "level", "lat"):
        xr.testing.assert_identical(whole[name].variable, source[name].variable)
    assert whole.attrs == source.attrs
    assert list(whole.data_vars) == list(source.data_vars)


def test_errors_are_those_of_everything(appended: Path, source: xr.Dataset) -> None:
    whole, weights = read(appended), xr.DataArray(latitude_weights(source["lat"].values), dims="lat")
    with ArchiveReader(appended) as reader:
        manifest = reader.manifest
        assert manifest.source.bytes == 4 * (3 * TIMES + 1) * ROWS * COLUMNS
    for name in ("sst", "t"):
        error = (whole[name].astype("f8") - source[name]).weighted(weights.assign_coords(lat=source["lat"]))
        bias, square = float(error.mean()), float((error.obj**2).weighted(error.weights).mean())
        assert manifest.errors[name].rmse == pytest.approx(square**0.5, rel=2e-3)
        assert manifest.errors[name].bias == pytest.approx(bias, rel=2e-3, abs=1e-3 * square**0.5)
        largest = float(np.abs(whole[name] - source[name]).max())
        assert manifest.errors[name].max_error == pytest.approx(largest, rel=1e-3)


def test_an_archive_of_one_time_grows(source: xr.Dataset, tmp_path: Path) -> None:
    path, target = tmp_path / "one.nnz", nnzip.Target(max_error={"sst": 0.5})
    nnzip.compress(source[["sst"]].isel(time=[0]), path, target)
    nnzip.append(path, source[["sst"]].isel(time=slice(1, 20)))
    with ArchiveReader(path) as reader:
        assert reader.manifest.pieces(reader.manifest.variables["sst"])[1] == (1, 19)
    assert float(np.abs(read(path)["sst"] - source["sst"][:20]).max()) <= 0.5


def test_exact_values_and_promises_stay(source: xr.Dataset, tmp_path: Path) -> None:
    exact, kept = tmp_path / "exact.nnz", tmp_path / "kept.nnz"
    nnzip.compress(source.isel(time=FIRST), exact, nnzip.Target(lossless=True))
    nnzip.append(exact, source.isel(time=SECOND))
    for name in source.data_vars:
        np.testing.assert_array_equal(read(exact)[name], source[name])
    promise = nnzip.parse_promise("preserve sst > 285 K")
    options = nnzip.Options(nnzip.Target(max_error={"sst": 2.0}), promises=(promise,))
    nnzip.compress(source[["sst"]].isel(time=FIRST), kept, options)
    nnzip.append(kept, source[["sst"]].isel(time=SECOND))
    np.testing.assert_array_equal(read(kept)["sst"] > 285, source["sst"] > 285)
    with ArchiveReader(kept) as reader:
        (found,) = reader.manifest.variables["sst"].promises
        assert found.points == int((source["sst"] > 285).sum())
        assert found.violations == 0


def test_a_ratio_holds_for_the_new_part(tmp_path: Path) -> None:
    field = smooth((32, 48, 96)) + np.random.default_rng(0).normal(0, 1, (32, 48, 96)).astype("f4")
    whole = xr.Dataset(
        {"t": (("time", "lat", "lon"), field)},
        {"time": np.arange("2020-01-01", "2020-02-02", dtype="datetime64[D]").astype("datetime64[ns]")},
    )
    nnzip.compress(whole.isel(time=slice(16)), tmp_path / "a.nnz", nnzip.Target(ratio=12))
    before = (tmp_path / "a.nnz").stat().st_size
    result = nnzip.append(tmp_path / "a.nnz", whole.isel(time=slice(16, None)))
    assert result.file_bytes - before == pytest.approx(before, rel=0.05)
    assert result.ratio == pytest.approx(12, rel=0.03)


def test_previews_and_urls(archive: Path, source: xr.Dataset) -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/a.nnz", archive.read_bytes())
    nnzip.append("memory://a.nnz", source.isel(time=SECOND))
    with nnzip.open_archive("memory://a.nnz", preview=4) as opened:
        assert opened.dataset()["sst"].shape == (TIMES, ROWS // 4, COLUMNS // 4)
    system.store.clear()


# --- what does not fit ----------------------------------------------------------------------------------------------


def test_what_does_not_continue_is_refused(archive: Path, source: xr.Dataset) -> None:
    later = source.isel(time=SECOND)
    bytes_before = archive.read_bytes()
    refused = {
        r"begin at 2020-12-01T00:00.*ends at 2020-12-01T06:00: append later": source.isel(time=slice(8, None)),
        "ascending order": later.isel(time=slice(None, None, -1)),
        "lack 'sst'": later.drop_vars("sst"),
        "lack 'flag'": later.drop_vars("flag"),
        "lack 'step'": later.drop_vars("step"),
        "have 'more'": later.assign(more=later["sst"]),
        "'lat' is not that of": later.assign_coords(lat=later["lat"] + 1),
        "'lat' is not that": later.isel(lat=slice(1, None)),
        "'level' is not that": later.assign_coords(level=[850, 300]),
        r"'sst' has the shape \{.*\}, that of": later.assign(sst=later["sst"].transpose("lat", "time", "lon")),
        "'flag' has the shape": later.assign(flag=later["flag"].isel(time=0, drop=True)),
        "sst of the new data is float64": later.assign(sst=later["sst"].astype("f8")),
        "cannot be compressed as in the archive: it has no finite": later.assign(sst=later["sst"] * np.nan),
    }
    for message, data in refused.items():
        with pytest.raises(InputError, match=message):
            nnzip.append(archive, data)
    assert archive.read_bytes() == bytes_before
    assert os.listdir(archive.parent) == ["a.nnz"]  # noqa: PTH208


def test_an_archive_without_time_or_of_a_fixed_size_is_refused(source: xr.Dataset, tmp_path: Path) -> None:
    nnzip.compress(source[["orography"]], tmp_path / "map.nnz", nnzip.Target(max_error={"orography": 1}))
    with pytest.raises(UsageError, match="no time dimension"):
        nnzip.append(tmp_path / "map.nnz", source)
    nnzip.compress(source.isel(time=FIRST), tmp_path / "size.nnz", nnzip.Target(size_bytes=9000))
    with pytest.raises(UsageError, match="was made to have 9000 B"):
        nnzip.append(tmp_path / "size.nnz", source.isel(time=SECOND))


SLOW = """
import os, pickle, sys, time
import nnzip, nnzip.compress
from nnzip.container.writer import ArchiveWriter
add = ArchiveWriter.add
def slow(self, name, data):
    add(self, name, data)
    if name == "0.8":
        print("coding", flush=True)
        time.sleep(60)
ArchiveWriter.add = slow
nnzip.append(sys.argv[1], pickle.load(open(sys.argv[2], "rb")))
"""


def test_killed_while_it_appends_the_archive_is_what_it_was(archive: Path, source: xr.Dataset) -> None:
    data = archive.parent / "more.pickle"
    data.write_bytes(pickle.dumps(source.isel(time=SECOND)))
    before = archive.read_bytes()
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(archive), str(data)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"coding\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert archive.read_bytes() == before
    nnzip.append(archive, source.isel(time=SECOND))
    assert read(archive).sizes["time"] == TIMES
    assert sorted(path.name for path in archive.parent.iterdir()) == ["a.nnz", "more.pickle"], "nothing is left behind"


def test_somebody_else_appended_meanwhile(archive: Path, source: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["nnzip.append"]
    other = archive.with_name("other.nnz")
    shutil.copy(archive, other)
    nnzip.append(other, source.isel(time=slice(10, 12)))

    def replaced(*arguments: object) -> object:
        shutil.copy(other, archive)
        return original(*arguments)

    original = module.coded
    monkeypatch.setattr(module, "coded", replaced)
    with pytest.raises(InputError, match="was replaced since it was opened"):
        nnzip.append(archive, source.isel(time=SECOND))
    assert archive.read_bytes() == other.read_bytes()

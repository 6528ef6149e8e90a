"""The base: what all times share is kept once, only where that pays; bounds and promises hold as without it."""

from __future__ import annotations

import shutil
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import xarray as xr
from msgspec.structs import replace
from typer.testing import CliRunner

import nnzip
from nnzip.cli.main import app
from nnzip.container import packing
from nnzip.container.manifest import BaseEntry, Manifest
from nnzip.errors import CorruptArchiveError
from nnzip.tile.base import Base, read_base
from nnzip.tile.header import unpack
from nnzip.transform.cycles import Cycle
from tests.support.field_examples import smooth

ROWS, COLUMNS, STEPS = 16, 24, 24
TILE = {"time": STEPS, "latitude": 8}


def record(days: int, *, hours: int = 1, seed: int = 0) -> xr.Dataset:
    """Weather over cells that differ in their means, days and seasons; some of them at sea, where nothing is known."""
    rng = np.random.default_rng(seed)
    times = np.datetime64("2019-03-01", "ns") + np.arange(0, 24 * days, hours) * np.timedelta64(1, "h")
    mean, day, year = 9 * rng.normal(size=(ROWS, COLUMNS)), 4 * rng.random((ROWS, COLUMNS)), 6 * rng.random((ROWS, 1))
    clock = np.arange(0, 24 * days, hours)[:, None, None] + np.arange(COLUMNS) / 15
    weather = smooth((times.size, ROWS, COLUMNS), seed)
    values = 280 + mean + day * np.cos(clock * np.pi / 12) + year * np.sin(clock * 2 * np.pi / 8766) + weather / 9
    values[:, 3:6, 2:7] = np.nan
    coordinates = {
        "time": times,
        "lat": ("lat", np.linspace(60, 30, ROWS), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(COLUMNS) * 1.0, {"units": "degrees_east"}),
    }
    return xr.Dataset({"t": (("time", "lat", "lon"), values.astype(np.float32), {"units": "K"})}, coordinates)


def options(mode: str = "auto", bound: str = "0.2 K", *promises: str, tile: dict[str, int] = TILE) -> nnzip.Options:
    asked = tuple(map(nnzip.parse_promise, promises))
    return nnzip.Options(nnzip.Target(max_error=bound), mode=mode, tile=tile, promises=asked)


def manifest(path: Path) -> Manifest:
    with nnzip.open_archive(path) as archive:
        return archive.manifest


def largest_error(path: Path, source: xr.Dataset) -> float:
    with nnzip.open_archive(path) as archive:
        found = archive.dataset()["t"].load()
    assert (found.isnull() == source["t"].isnull()).all()
    return float(abs(found.astype(np.float64) - source["t"]).max())


@pytest.fixture(scope="module")
def source() -> xr.Dataset:
    return record(12)


@pytest.fixture(scope="module")
def made(source: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "a.nnz"
    nnzip.compress(source, path, options())
    return path


def test_saves_what_it_says_and_keeps_the_bound(source: xr.Dataset, made: Path, tmp_path: Path) -> None:
    nnzip.compress(source, tmp_path / "tiles.nnz", options("tiles"))
    entry, without = manifest(made).variables["t"].base, manifest(tmp_path / "tiles.nnz")
    assert entry is not None
    assert (entry.harmonics, entry.seasonal) == (2, False)
    assert without.variables["t"].base is None
    assert (manifest(made).format, without.format) == (4, 3)
    saved = 1 - made.stat().st_size / (tmp_path / "tiles.nnz").stat().st_size
    assert saved > 0.3
    assert abs(saved - entry.saved) < 0.15
    assert 0.5 < entry.explained <= 1
    assert largest_error(made, source) <= 0.2
    nnzip.verify(made)


def test_says_so(made: Path) -> None:
    shown = CliRunner().invoke(app, ["info", str(made)])
    assert "base of t: 5 maps in " in shown.stdout
    assert "% of the variance; it should save" in shown.stdout


def test_the_bytes_do_not_depend_on_who_works(source: xr.Dataset, made: Path, tmp_path: Path) -> None:
    source.to_netcdf(tmp_path / "a.nc")
    nnzip.compress(tmp_path / "a.nc", tmp_path / "b.nnz", options(), jobs=2)
    with ZipFile(made) as one, ZipFile(tmp_path / "b.nnz") as two:
        assert one.namelist() == two.namelist()
        assert all(one.read(name) == two.read(name) for name in one.namelist() if name != "nnzip")


def test_seasons_of_long_records(tmp_path: Path) -> None:
    """Six-hourly for 200 days: one harmonic of the day, and the seasons."""
    source = record(200, hours=6)
    nnzip.compress(source, tmp_path / "a.nnz", options(tile={"time": 40}))
    entry = manifest(tmp_path / "a.nnz").variables["t"].base
    assert entry is not None
    assert (entry.harmonics, entry.seasonal, entry.count) == (1, True, 9)
    assert largest_error(tmp_path / "a.nnz", source) <= 0.2


def test_no_base_where_it_does_not_pay(tmp_path: Path) -> None:
    """Other weather in every tile, few tiles, exact values: as with --mode tiles, to the byte."""
    noise = record(12)
    noise["t"].values[:] = np.random.default_rng(0).normal(0, 3, noise["t"].shape)
    bound = nnzip.Target(max_error="0.2 K")
    cases = [(noise, bound), (record(2), bound), (record(12), nnzip.Target(lossless=True))]
    for number, (source, target) in enumerate(cases):
        sizes = []
        for mode in ("auto", "tiles"):
            path = tmp_path / f"{number}{mode}.nnz"
            nnzip.compress(source, path, nnzip.Options(target, mode=mode, tile=TILE))
            with ZipFile(path) as file:
                sizes.append({name: file.read(name) for name in file.namelist() if name != "nnzip"})
        assert sizes[0] == sizes[1]
        assert manifest(path).format == 3


def test_promises_hold_above_a_base(source: xr.Dataset, tmp_path: Path) -> None:
    wanted = options("auto", "0.4 K", "extremes t>295K:0.25")
    nnzip.compress(source, tmp_path / "a.nnz", wanted)
    entry = manifest(tmp_path / "a.nnz").variables["t"]
    assert entry.base is not None
    assert entry.promises[0].violations == 0
    assert entry.promises[0].points > 0
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        error = abs(archive.dataset()["t"] - source["t"])
    high = source["t"] > 295
    assert float(error.where(high).max()) <= 0.1 < float(error.max()) <= 0.4


def test_appended_times_use_the_base(source: xr.Dataset, tmp_path: Path) -> None:
    first, later = source.isel(time=slice(0, 192)), source.isel(time=slice(192, None))
    nnzip.compress(first, tmp_path / "a.nnz", options())
    before = manifest(tmp_path / "a.nnz").variables["t"].base
    nnzip.append(tmp_path / "a.nnz", later)
    assert manifest(tmp_path / "a.nnz").variables["t"].base == before is not None
    assert largest_error(tmp_path / "a.nnz", source) <= 0.2
    with ZipFile(tmp_path / "a.nnz") as file:
        assert all(unpack(file.read(f"0.{tile}")).header.base for tile in range(16, 24))


def test_parts_and_previews(source: xr.Dataset, made: Path) -> None:
    with nnzip.open_archive(made) as archive:
        whole = archive.dataset()["t"].load()
        part = archive.dataset()["t"].isel(time=slice(30, 60), lat=slice(5, 12), lon=4).load()
        xr.testing.assert_identical(part, whole.isel(time=slice(30, 60), lat=slice(5, 12), lon=4))
    with nnzip.open_archive(made, preview=2) as archive:
        coarse = archive.dataset()["t"].load()
    assert coarse.shape == (288, 8, 12)
    assert float(abs(coarse - whole.isel(lat=slice(None, None, 2), lon=slice(None, None, 2))).mean()) < 4


def test_the_formula() -> None:
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(6, 2, 4, 5)).astype(np.float32)
    base = Base(Cycle(0.3, 0.26, 0.02, 1), (1.0, -0.5), maps)
    values = np.zeros((2, 7, 4, 5))
    shape = (2, 7, 4, 5)
    base.add(values, base.functions(shape))
    angles = 0.3 + 0.26 * np.arange(7)[:, None] + 0.02 * np.arange(5)
    functions = np.array([np.ones_like(angles), np.cos(angles), np.sin(angles)])
    expected = np.einsum("btx,bcyx->ctyx", functions, maps[:3] - 0.5 * maps[3:])
    np.testing.assert_allclose(values, expected, atol=1e-5)
    base.add(values, base.functions(shape), sign=-1)
    np.testing.assert_allclose(values, 0, atol=1e-6)
    part = np.zeros((1, 3, 2, 4))
    inner = base.within((slice(1, 2), slice(2, 5), slice(1, 3), slice(0, 4)))
    inner.add(part, inner.functions((1, 3, 2, 4)))
    np.testing.assert_allclose(part, expected[1:, 2:5, 1:3, :4], atol=1e-5)
    again = read_base(base.pack(), maps)
    assert (again.cycle, again.weights) == (base.cycle, base.weights)


@pytest.mark.parametrize("data", [b"", b"x", Base(Cycle(0, 0, 0, 2), (1.0,), np.zeros(0, np.float32)).pack()])
def test_weights_that_do_not_fit(data: bytes) -> None:
    with pytest.raises(CorruptArchiveError, match="a tile is damaged"):
        read_base(data, np.zeros((3, 1, 4, 4), np.float32))


def rewritten(made: Path, path: Path, drop: str = "", **changes: object) -> None:
    """A copy without the member `drop` and with another entry of the base, in format 3 where asked."""
    shutil.copy(made, path)
    with ZipFile(made) as file, ZipFile(path, "w") as copy:
        for info in file.infolist():
            data = file.read(info)
            if info.filename == "nnzip":
                old, arrays = packing.unpack(data, made.stat().st_size)
                entry = replace(old.variables["t"], base=changes.get("base", old.variables["t"].base))
                data = packing.pack(replace(old, variables={"t": entry}), arrays)
                data = bytes([int(str(changes.get("format", data[0])))]) + data[1:]
            if info.filename != drop:
                copy.writestr(info.filename, data)


def test_damage_is_found(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.nnz"
    rewritten(made, path, drop="0.base1")
    with pytest.raises(CorruptArchiveError, match=r'the base "0\.base1" of its tiles is not in the archive'):
        nnzip.open_archive(path)
    rewritten(made, path, format=3)
    with pytest.raises(CorruptArchiveError, match="says format 3 and has what came with 4"):
        nnzip.open_archive(path)
    for base in (None, BaseEntry(1), BaseEntry(2, True)):
        rewritten(made, path, base=base)
        with nnzip.open_archive(path) as archive, pytest.raises(CorruptArchiveError, match="is damaged"):
            archive.dataset().load()

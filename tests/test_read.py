"""An open archive as a lazy dataset: any index gives what decoding everything gives, and decodes only what it needs."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.compress import compress
from nnzip.container.manifest import RawVariable
from nnzip.container.reader import ArchiveReader
from nnzip.decompress import decompress
from nnzip.errors import CorruptArchiveError, UsageError
from nnzip.executor import ALONE, Workers
from nnzip.plan.cutting import tile_box, tile_count
from nnzip.read import Archive
from nnzip.request.options import Options
from nnzip.request.target import Target
from nnzip.tiles import Tiles
from tests.support.archive_examples import manifest_text, packed, read_members, write_members
from tests.support.field_examples import smooth

TIMES, ROWS, COLUMNS = 10, 9, 16
NAMES = ("t2m", "t", "sst", "orography", "flipped")


def make_dataset() -> xr.Dataset:
    """Four variables of two groups, one with gaps, one in another order of dimensions, and a lossless one."""
    latitude, longitude = np.linspace(80, -80, ROWS), np.arange(COLUMNS) * 22.5
    sst = smooth((TIMES, ROWS, COLUMNS), 2)
    sst[:, 2:5, 3:9] = np.nan
    sst[7, 0] = np.nan
    variables: dict[str, Any] = {
        "t2m": (("time", "latitude", "longitude"), smooth((TIMES, ROWS, COLUMNS)), {"units": "K"}),
        "t": (("level", "time", "latitude", "longitude"), smooth((2, TIMES, ROWS, COLUMNS), 1)),
        "sst": (("time", "latitude", "longitude"), sst),
        "orography": (("latitude", "longitude"), smooth((1, ROWS, COLUMNS), 3)[0]),
        "flipped": (("longitude", "latitude", "time"), smooth((TIMES, ROWS, COLUMNS), 4).T.astype(np.float64)),
        "land": (("latitude", "longitude"), (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 3 == 0).astype("i1")),
    }
    coordinates = {
        "time": np.datetime64("2016-10-02", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
        "level": ("level", [850, 500], {"units": "hPa"}),
        "latitude": ("latitude", latitude, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    return xr.Dataset(variables, coordinates, {"title": "test"})


DATASET = make_dataset()


TILE = {"time": 4, "latitude": 8, "longitude": 8}
"""Three tiles in time, two along latitude and longitude."""


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An archive without a bound, and one with it. Read only."""
    directory = tmp_path_factory.mktemp("read")
    targets = {"ratio": Target(ratio=1.5), "bound": Target(max_error={None: 0.2})}
    for name, target in targets.items():
        compress(DATASET, directory / f"{name}.nnz", Options(target, tile=TILE))
    return {name: directory / f"{name}.nnz" for name in targets}


@pytest.fixture(scope="module", params=["ratio", "bound"])
def archive(paths: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Archive]:
    with Archive(paths[request.param]) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(archive: Archive) -> xr.Dataset:
    """Everything, decoded at once."""
    return archive.dataset().load()


class Decoded:
    """Counts which tiles (variable, number) are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tiles: set[tuple[int, int]] = set()
        original = Tiles._decode

        def counted(tiles: Tiles, variable: int, tile: int) -> Any:
            self.tiles.add((variable, tile))
            return original(tiles, variable, tile)

        monkeypatch.setattr(Tiles, "_decode", counted)


def test_the_example_has_several_tiles(archive: Archive) -> None:
    counts = dict(zip(archive.manifest.variables, map(tile_count, archive.tiles.sizes), strict=True))
    assert counts == {"t2m": 12, "t": 12, "sst": 12, "orography": 4, "flipped": 12}


def test_the_dataset_is_the_source(archive: Archive, whole: xr.Dataset) -> None:
    assert list(whole.data_vars) == list(DATASET.data_vars)
    assert whole.attrs == DATASET.attrs
    for name in (*DATASET.coords, "land"):
        xr.testing.assert_identical(whole[name].variable, DATASET[name].variable)
    for name in NAMES:
        assert whole[name].dims == DATASET[name].dims
        assert whole[name].dtype == DATASET[name].dtype
        np.testing.assert_array_equal(np.isnan(whole[name]), np.isnan(DATASET[name]))
        error = np.abs(whole[name] - DATASET[name])
        assert float(error.max()) == pytest.approx(archive.manifest.errors[name].max_error, rel=1e-3)
        assert whole[name].attrs["nnzip_rmse"] == archive.manifest.errors[name].rmse
    assert whole["t2m"].attrs["units"] == "K"


def indexers(size: int) -> st.SearchStrategy[Any]:
    """Integers, slices with any step, and lists with repetitions."""
    positions = st.integers(-size, size - 1)
    return st.one_of(
        positions,
        st.lists(positions, max_size=5).map(lambda chosen: np.array(chosen, dtype=np.intp)),
        st.builds(slice, st.none() | positions, st.none() | positions, st.sampled_from((None, 1, 2, 3))),
        st.sampled_from((slice(None, None, -1), slice(None, None, -2))),
    )


def forged(path: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The archive with another manifest and right checksums."""
    members = read_members(path)
    manifest, arrays = manifest_text(members["nnzip"])
    change(manifest)
    members["nnzip"] = packed(json.dumps(manifest).encode(), arrays)
    return write_members(folder / "forged.nnz", members)


def test_pieces_of_uncut_axes_may_be_left_out(tmp_path: Path) -> None:
    """As docs/format.md allows, though no writer does it."""
    compress(DATASET[["t2m"]], tmp_path / "a.nnz", Options(Target(max_error={None: 0.2}), tile={"time": 4}))

    def shorten(manifest: dict[str, Any]) -> None:
        entry = manifest["variables"]["t2m"]
        assert entry["sizes"][2:] == [[], []]
        entry["sizes"] = entry["sizes"][:2]

    short = forged(tmp_path / "a.nnz", tmp_path, shorten)
    with Archive(tmp_path / "a.nnz") as first, Archive(short) as second:
        xr.testing.assert_identical(first.dataset(), second.dataset())


def test_degrees_that_are_not_there_are_an_error(archive: Archive, tmp_path: Path) -> None:
    def lose(manifest: dict[str, Any]) -> None:
        del manifest["coordinates"]["latitude"]

    with Archive(forged(Path(archive.reader.path), tmp_path, lose)) as opened:
        assert opened.dataset()["t2m"].shape == (TIMES, ROWS, COLUMNS)
        with pytest.raises(CorruptArchiveError, match="'latitude' is latitude, and has no such coordinate"):
            opened.regrid(np.array([10.0]), np.array([20.0]))


@given(st.sampled_from(NAMES), st.data())
@settings(max_examples=40, deadline=None)
def test_any_index_gives_what_decoding_everything_gives(
    archive: Archive, whole: xr.Dataset, name: str, data: st.DataObject
) -> None:
    lazy = archive.dataset()[name]
    key = {dim: data.draw(indexers(size), label=str(dim)) for dim, size in lazy.sizes.items()}
    found, expected = lazy.isel(key), whole[name].isel(key)
    assert found.dims == expected.dims
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


def test_only_the_tiles_asked_for_are_decoded(paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = Decoded(monkeypatch)
    with Archive(paths["bound"]) as archive:
        dataset = archive.dataset()
        part = dataset["t2m"].isel(time=4, latitude=slice(2, 4), longitude=[1, 9])
        assert decoded.tiles == set(), "nothing is decoded before values are asked for"
        part.load()
        assert decoded.tiles == {(0, 4), (0, 5)}
        decoded.tiles.clear()
        part.load()
        dataset["t2m"].isel(time=[5, 4], latitude=0, longitude=slice(3, 5)).load()
        assert decoded.tiles == set(), "tiles are kept for a while"
        dataset["orography"].isel(latitude=8).load()
        number = list(archive.manifest.variables).index("orography")
        assert decoded.tiles == {(number, 2), (number, 3)}


def test_a_selection_is_a_part_of_the_whole(archive: Archive, whole: xr.Dataset) -> None:
    chosen = archive.select(["sst"], "2016-10-03T06/2016-10-04", "-45,45,300,60")
    expected = whole["sst"].sel(time=slice("2016-10-03T06", "2016-10-04T18"))
    expected = expected.sel(latitude=slice(45, -45)).isel(longitude=[14, 15, 0, 1, 2])
    assert list(chosen.data_vars) == ["sst"]
    assert chosen["sst"].shape == expected.shape
    np.testing.assert_allclose(chosen["sst"].values, expected.values, rtol=1e-6)


def test_values_may_be_changed_by_their_owner(archive: Archive, whole: xr.Dataset) -> None:
    for name in ("t2m", "flipped"):
        first = archive.dataset()[name].load()
        first.values[...] = -1
        np.testing.assert_allclose(archive.dataset()[name].values, whole[name].values, rtol=1e-6)


def test_several_threads_may_read(archive: Archive, whole: xr.Dataset) -> None:
    dataset = archive.dataset()

    def read(number: int) -> bool:
        name, time = NAMES[number % 3], number % TIMES
        found = dataset[name].isel(time=time).values
        return bool(np.allclose(found, whole[name].isel(time=time).values, rtol=1e-6, equal_nan=True))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(40)))


# --- other grids ----------------------------------------------------------------------------------------------------


def test_regridding_to_the_source_grid_changes_nothing(archive: Archive, whole: xr.Dataset) -> None:
    regridded = archive.regrid(DATASET["latitude"].values, DATASET["longitude"].values)
    for name in NAMES:
        np.testing.assert_allclose(regridded[name].values, whole[name].values, rtol=1e-6)
    assert regridded["latitude"].attrs == DATASET["latitude"].attrs
    assert "land" not in regridded, "what cannot be regridded is left out"


def test_regridding_in_the_other_convention(archive: Archive, whole: xr.Dataset) -> None:
    longitude = np.arange(COLUMNS) * 22.5 - 180
    regridded = archive.regrid(DATASET["latitude"].values, longitude, ["t2m"])
    np.testing.assert_allclose(regridded["t2m"].values, np.roll(whole["t2m"].values, 8, axis=-1), rtol=1e-6)


def test_between_points_it_is_linear_also_across_the_seam(archive: Archive, whole: xr.Dataset) -> None:
    regridded = archive.regrid(np.array([70.0]), np.array([11.25, 348.75, 359.0]), ["t2m"])["t2m"]
    rows = whole["t2m"].values[:, :2].astype(np.float64).mean(axis=1)
    expected = np.stack([rows[:, 0] + rows[:, 1], rows[:, 15] + rows[:, 0]], axis=-1) / 2
    np.testing.assert_allclose(regridded.values[:, 0, :2], expected, rtol=0, atol=2e-3)
    assert regridded.sizes == {"time": TIMES, "latitude": 1, "longitude": 3}


def test_gaps_are_those_of_the_nearest_point(archive: Archive) -> None:
    near = archive.regrid(np.array([79.0, 41.0]), np.array([0.0, 60.0, 190.0]), ["sst"])["sst"]
    missing = np.isnan(DATASET["sst"].values)[:, [0, 2]][:, :, [0, 3, 8]]
    np.testing.assert_array_equal(np.isnan(near), missing)


def test_chosen_variables_only(archive: Archive) -> None:
    regridded = archive.regrid(np.array([0.0]), np.array([0.0]), ["orography"])
    assert list(regridded.data_vars) == ["orography"]


@pytest.mark.parametrize(
    ("latitude", "longitude", "variables", "message"),
    [
        ([95.0, 89.0], [0.0], None, None),
        ([-101.0], [0.0], None, "latitude -101 lies outside"),
        ([np.nan], [0.0], None, "latitude nan"),
        ([0.0], [0.0], ["t2"], "did you mean t2m"),
    ],
)
def test_impossible_grids_are_refused(
    archive: Archive, latitude: list[float], longitude: list[float], variables: list[str] | None, message: str | None
) -> None:
    if message is None:
        archive.regrid(np.array(latitude), np.array(longitude), variables)
        return
    with pytest.raises(UsageError, match=message):
        archive.regrid(np.array(latitude), np.array(longitude), variables)


def test_data_without_degrees_have_no_other_grid(tmp_path: Path) -> None:
    dataset = xr.Dataset({"a": (("y", "x"), smooth((1, 8, 9))[0])})
    compress(dataset, tmp_path / "a.nnz", Target(size_bytes=800))
    with Archive(tmp_path / "a.nnz") as archive:
        assert archive.dataset()["a"].shape == (8, 9)
        with pytest.raises(UsageError, match="'a' has no regular latitudes"):
            archive.regrid(np.zeros(1), np.zeros(1))


# --- joining tiles -------------------------------------------------------------------------------------------------


def positions(size: int) -> st.SearchStrategy[NDArray[np.intp]]:
    return st.lists(st.integers(0, size - 1), min_size=1, max_size=6).map(lambda some: np.array(some, dtype=np.intp))


def fractions(size: int, *, periodic: bool) -> st.SearchStrategy[NDArray[np.float64]]:
    last = size - 0.25 if periodic else float(size - 1)
    some = st.lists(st.one_of(st.integers(0, size - 1).map(float), st.floats(0, last)), min_size=1, max_size=5)
    return some.map(lambda numbers: np.array(numbers, dtype=np.float64))


@given(st.sampled_from(("t2m", "t", "sst")), st.data())
@settings(max_examples=30, deadline=None)
def test_values_are_joined_and_interpolated_as_in_numpy(archive: Archive, name: str, data: st.DataObject) -> None:
    """Any outer selection, in any order, with repetitions, between points and across the seam of longitudes."""
    tiles, variable = archive.tiles, list(archive.manifest.variables).index(name)
    channels, times, rows, columns = tiles.shape(variable)
    whole = np.full((channels, times, rows, columns), np.inf)
    for number in range(tile_count(tiles.sizes[variable])):
        whole[tile_box(tiles.sizes[variable], number).slices] = tiles.masked(variable, number)
    chosen = data.draw(positions(channels)), data.draw(positions(times))
    row, column = data.draw(fractions(rows, periodic=False)), data.draw(fractions(columns, periodic=True))
    found = tiles.values(variable, *chosen, row, column)
    part = whole[np.ix_(*chosen)]
    for axis, places, size in ((2, row, rows), (3, column, columns)):
        low = np.floor(places).astype(int)
        share = (places - low).reshape((-1, 1) if axis == 2 else (-1,))
        high = np.where(places > low, low + 1, low) % size
        ends = np.take(part, low, axis), np.take(part, high, axis)
        missing = np.where(share < 0.5, np.isnan(ends[0]), np.isnan(ends[1]))
        other = [np.where(np.isnan(end), 280.0, end) for end in ends]
        part = np.where(missing, np.nan, other[0] * (1 - share) + other[1] * share)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(part))
    if name != "sst":  # what missing points hold is anybody's guess
        np.testing.assert_allclose(found, part, rtol=2e-6)


# --- copies, processes, threads -------------------------------------------------------------------------------------


def test_archives_and_their_values_are_pickled_and_copied(
    archive: Archive, whole: xr.Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lazy = archive.dataset()["sst"]
    packed = pickle.dumps((archive, lazy))
    monkeypatch.chdir(tmp_path)
    for found, values in (pickle.loads(packed), copy.deepcopy((archive, lazy))):
        assert found.reader is not archive.reader
        with found:
            np.testing.assert_array_equal(found.dataset()["sst"].values, whole["sst"].values)
            np.testing.assert_array_equal(values.isel(time=3).values, whole["sst"].isel(time=3).values)
            assert found.preview == archive.preview


def test_a_pickle_finds_its_file_from_another_folder(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(paths["bound"].parent)
    with Archive("bound.nnz") as archive:
        packed = pickle.dumps(archive)
    monkeypatch.chdir(tmp_path)
    with pickle.loads(packed) as found:
        assert list(found.dataset().data_vars) == list(DATASET.data_vars)


def test_a_forked_process_reads_what_a_thread_was_decoding(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is not there after the fork, nor is what it would have put into the shared cache."""
    begun, go_on = threading.Event(), threading.Event()
    original, parent = Tiles._decode, os.getpid()

    def slow(tiles: Tiles, variable: int, tile: int) -> Any:
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(60)
        return original(tiles, variable, tile)

    monkeypatch.setattr(Tiles, "_decode", slow)
    with (
        ThreadPoolExecutor(2) as two,
        Archive(paths["bound"], team=Workers(two, 2)) as archive,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: forks of processes with threads
        values = archive.dataset()["t2m"]
        thread = threading.Thread(target=values.load)
        thread.start()
        assert begun.wait(60)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            found = archive.dataset()["t2m"].values
            os._exit(0 if np.abs(found - DATASET["t2m"].values).max() <= 0.2 else 1)
        go_on.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert np.abs(values.values - DATASET["t2m"].values).max() <= 0.2


def test_many_threads_share_a_small_cache(
    paths: dict[str, Path], whole: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzip.tiles._KEPT_VALUES", 300)
    with (
        ThreadPoolExecutor(2) as two,
        Archive(paths["bound"], team=Workers(two, 2)) as archive,
        ThreadPoolExecutor(8) as pool,
    ):
        dataset = archive.dataset()

        def read(number: int) -> float:
            name = NAMES[number % len(NAMES)]
            error = np.abs(dataset[name].values - DATASET[name].values)
            return float(np.nanmax(error))

        assert max(pool.map(read, range(20))) <= 0.2
        kept = sum(future.result().size for future in archive.tiles._kept.values())
        assert kept <= 300 + 8 * 2 * 4 * 8 * 8


# --- previews and damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [2, 4, 8])
def test_a_preview_claims_nothing(paths: dict[str, Path], every: int) -> None:
    with Archive(paths["bound"], preview=every) as preview, Archive(paths["bound"]) as complete:
        coarse, fine = preview.dataset().load(), complete.dataset().load()
    assert "no error bound holds" in coarse.attrs["nnzip_preview"]
    assert {dim: coarse.sizes[dim] for dim in ("time", "latitude", "longitude")} == {
        "time": TIMES, "latitude": -(-ROWS // every), "longitude": COLUMNS // every,
    }  # fmt: skip
    for name in NAMES:
        assert not [key for key in coarse[name].attrs if key.startswith("nnzip")]
        assert [key for key in fine[name].attrs if key.startswith("nnzip")]
        thin = fine[name].isel(latitude=slice(None, None, every), longitude=slice(None, None, every))
        assert coarse[name].dtype == thin.dtype
        np.testing.assert_array_equal(np.isnan(coarse[name]), np.isnan(thin))
        assert float(np.abs(coarse[name] - thin).mean()) < float(thin.std())
    xr.testing.assert_identical(coarse["latitude"].variable, DATASET["latitude"][::every].variable)


def test_a_preview_of_some_percent_is_read_from_some_percent_of_the_file(tmp_path: Path) -> None:
    path, values = tmp_path / "a.nnz", smooth((4, 96, 128)) + smooth((4, 96, 128), 1) * np.float32(0.02)
    compress(xr.Dataset({"v": (("time", "y", "x"), values)}), path, Target(max_error={"v": 0.02}))
    with Archive(path, preview=8) as archive:
        read = 0
        original = archive.reader.read_start

        def counted(name: str, count: int) -> bytes:
            nonlocal read
            found = original(name, count)
            read += len(found)
            return found

        archive.reader.read_start = counted  # type: ignore[method-assign]
        archive.dataset().load()
    assert read < 0.1 * path.stat().st_size + 4096


def test_previews_that_are_not_there_are_refused(paths: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no preview at 1/3"):
        Archive(paths["bound"], preview=3)
    compress(DATASET[["t2m"]], tmp_path / "odd.nnz", Options(Target(ratio=3), tile={"longitude": 4}))
    with Archive(tmp_path / "odd.nnz", preview=4) as archive:
        assert archive.dataset()["t2m"].shape[-1] == 4
    with pytest.raises(UsageError, match="cut every 4 points, which 8 does not divide; choose a smaller one"):
        Archive(tmp_path / "odd.nnz", preview=8)


@pytest.mark.parametrize("member", ["2.4"])
def test_damage_is_an_error_where_it_is_read(paths: dict[str, Path], tmp_path: Path, member: str) -> None:
    with Archive(paths["ratio"]) as archive:
        content = archive.reader.read(member)
    data = bytearray(paths["ratio"].read_bytes())
    data[data.index(content) + len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.nnz"
    damaged.write_bytes(data)
    for team in (ALONE, Workers(ThreadPoolExecutor(2), 2)):
        with Archive(damaged, team=team) as archive:
            archive.dataset()["orography"].load()
            for _ in range(2):
                with pytest.raises(CorruptArchiveError):
                    archive.dataset()["sst"].isel(time=5).load()
            archive.dataset()["sst"].isel(time=0).load()


def test_an_archive_whose_coordinates_are_damaged_is_closed_again(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    original = ArchiveReader.close

    def close(reader: ArchiveReader) -> None:
        original(reader)
        closed.append(True)

    def damaged(reader: ArchiveReader, variable: RawVariable) -> NDArray[Any]:
        raise CorruptArchiveError("damaged")

    monkeypatch.setattr(ArchiveReader, "read_array", damaged)
    monkeypatch.setattr(ArchiveReader, "close", close)
    with pytest.raises(CorruptArchiveError):
        Archive(paths["ratio"])
    assert closed == [True]


def test_decompression_does_not_depend_on_the_jobs(paths: dict[str, Path], tmp_path: Path) -> None:
    for jobs in (1, 3):
        decompress(paths["bound"], tmp_path / f"{jobs}.nc", variables=["sst", "t"], jobs=jobs)
    with xr.open_dataset(tmp_path / "1.nc") as one, xr.open_dataset(tmp_path / "3.nc") as three:
        xr.testing.assert_identical(one.drop_attrs(deep=False), three.drop_attrs(deep=False))

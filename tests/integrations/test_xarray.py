"""The engine finds archives itself and opens them lazily, tile by tile; the accessor writes them."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.errors import CorruptArchiveError, InputError, UsageError
from nnzip.integrations.xarray import NnzipBackendEntrypoint
from nnzip.tiles import Tiles
from tests.support.field_examples import smooth

BOUND = 0.2
TIMES = 12


def make_dataset() -> xr.Dataset:
    """Two compressed variables, one of them with two channel dimensions; a lossless one, bounds, a scalar."""
    rows, columns = np.linspace(60, 20, 16), np.arange(24) * 15.0
    sst = smooth((TIMES, 16, 24))
    sst[:, :3, :4] = np.nan
    ensemble = smooth((6, TIMES, 16, 24), 1).reshape(2, 3, TIMES, 16, 24)
    return xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), sst, {"units": "K", "grid_mapping": "crs"}),
            "t": (("member", "level", "time", "lat", "lon"), ensemble, {"units": "K"}),
            "land": (("lat", "lon"), (np.arange(384).reshape(16, 24) % 3).astype("i1")),
            "crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}),
        },
        {
            "time": np.datetime64("2020-01-01", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
            "lat": ("lat", rows, {"units": "degrees_north"}),
            "lon": ("lon", columns, {"units": "degrees_east"}),
            "level": [850, 500, 200],
            "area": (("lat", "lon"), np.ones((16, 24))),
        },
        {"title": "test"},
    )


@pytest.fixture(scope="module")
def source() -> xr.Dataset:
    return make_dataset()


@pytest.fixture(scope="module")
def path(source: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles in time, two along latitude, one channel each. Read only."""
    found = tmp_path_factory.mktemp("xarray") / "a.nnz"
    tile = {"time": 5, "latitude": 8, "level": 1}
    nnzip.compress(source, found, nnzip.Options(nnzip.Target(max_error={None: BOUND}), tile=tile))
    return found


@pytest.fixture
def opened(path: Path) -> Iterator[xr.Dataset]:
    with xr.open_dataset(path) as dataset:
        yield dataset


@pytest.mark.parametrize("name", ["a.nnz", "a.NNZ", "archive.bin"])
def test_xarray_finds_the_engine_by_the_name_or_the_first_bytes(path: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(path, tmp_path / name)
    with xr.open_dataset(tmp_path / name) as dataset:
        assert dict(dataset.sizes) == {"time": TIMES, "lat": 16, "lon": 24, "level": 3, "member": 2}


def test_other_files_are_left_to_others(source: xr.Dataset, tmp_path: Path) -> None:
    engine = NnzipBackendEntrypoint()
    source.to_netcdf(tmp_path / "a.nc")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("0.0", b"a chunk of a Zarr array")
    assert not any(engine.guess_can_open(tmp_path / name) for name in ("a.nc", "a.zip", "missing", "."))
    assert not engine.guess_can_open(b"bytes")


def test_the_dataset_is_the_source_within_the_bound(opened: xr.Dataset, source: xr.Dataset) -> None:
    assert opened.attrs == source.attrs
    assert list(opened.data_vars) == list(source.data_vars)
    for name in (*source.coords, "land", "crs"):
        xr.testing.assert_identical(opened[name].variable, source[name].variable)
    for name in ("sst", "t"):
        assert opened[name].dims == source[name].dims
        assert float(np.abs(opened[name] - source[name]).max()) <= BOUND
        np.testing.assert_array_equal(np.isnan(opened[name]), np.isnan(source[name]))


def test_chunks_are_tiles(opened: xr.Dataset, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened["sst"].encoding["preferred_chunks"] == {"time": (4, 4, 4), "lat": (8, 8), "lon": (24,)}
    with xr.open_dataset(path, chunks={}) as chunked:
        assert chunked["sst"].chunks == ((4, 4, 4), (8, 8), (24,))
        assert chunked["t"].chunks == ((1, 1), (1, 1, 1), (4, 4, 4), (8, 8), (24,))
        decoded: list[tuple[int, int]] = []
        decode = Tiles._decode

        def counted(tiles: Tiles, variable: int, tile: int) -> Any:
            decoded.append((variable, tile))
            return decode(tiles, variable, tile)

        monkeypatch.setattr(Tiles, "_decode", counted)
        chunked["sst"].isel(time=5, lat=3).compute()
        assert decoded == [(0, 2)]
        weekly = chunked["sst"].mean("time")
        np.testing.assert_allclose(weekly, opened["sst"].load().mean("time"), rtol=1e-6)


def test_lazy_arrays_pickle(path: Path) -> None:
    with xr.open_dataset(path) as dataset:
        text = pickle.dumps(dataset["t"].isel(time=3))
        assert len(text) < 20_000, "the values are not in it"
        copy = pickle.loads(text)
        assert not copy.variable._in_memory
        xr.testing.assert_identical(copy.load(), dataset["t"].isel(time=3).load())


def test_several_archives_are_one_dataset(source: xr.Dataset, tmp_path: Path) -> None:
    for number in range(3):
        part = source[["sst"]].isel(time=slice(4 * number, 4 * number + 4))
        part.nnzip.compress(tmp_path / f"part{number}.nnz", max_error=BOUND)
    with xr.open_mfdataset(str(tmp_path / "part*.nnz"), engine="nnzip", parallel=True) as joined:
        xr.testing.assert_equal(joined["time"], source["time"])
        assert float(np.abs(joined["sst"] - source["sst"]).max()) <= BOUND
        assert joined.nnzip.errors["sst"]["bound"] == BOUND


@pytest.mark.parametrize("dropped", ["t", ["t", "land", "no such variable"]])
def test_variables_can_be_left_out(path: Path, dropped: Any) -> None:
    with xr.open_dataset(path, drop_variables=dropped) as dataset:
        assert set(dataset.data_vars) == {"sst", "land", "t", "crs"} - set(np.atleast_1d(dropped))


def test_nothing_is_decoded_that_is_not_wanted(path: Path, source: xr.Dataset) -> None:
    with xr.open_dataset(path, decode_times=False) as dataset:
        assert dataset["time"].dtype.kind in "if"
        assert dataset["time"].attrs["units"].startswith("hours since 2020-01-01")
        xr.testing.assert_equal(xr.decode_cf(dataset)["time"], source["time"])
    with xr.open_dataset(path, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)) as dataset:
        assert dataset["time"].dtype == object
    with xr.open_dataset(path, mask_and_scale=False) as dataset:
        assert np.isnan(dataset["sst"].attrs["_FillValue"])
    with xr.open_dataset(path, decode_coords=False) as dataset:
        assert set(dataset.coords) == {"time", "lat", "lon", "level"}
        assert dataset["sst"].attrs["coordinates"] == "area"
        assert dataset["sst"].attrs["grid_mapping"] == "crs"
    with xr.open_dataset(path, decode_coords="all") as dataset:
        assert "crs" in dataset.coords
        assert dataset["sst"].encoding["grid_mapping"] == "crs"
    with xr.open_dataset(path, create_default_indexes=False) as dataset:
        assert not dataset.xindexes


def test_what_was_opened_can_be_written_again(opened: xr.Dataset, tmp_path: Path) -> None:
    opened.to_netcdf(tmp_path / "again.nc")
    with xr.open_dataset(tmp_path / "again.nc") as again:
        xr.testing.assert_identical(again["sst"], opened["sst"])
        assert "_FillValue" not in again["lat"].encoding
        assert opened["time"].encoding["units"].startswith(again["time"].encoding["units"])


def test_a_preview_is_an_option_of_the_engine(path: Path) -> None:
    with xr.open_dataset(path, engine="nnzip", preview=4) as dataset:
        assert dataset["sst"].shape == (TIMES, 4, 6)
        assert dataset["sst"].encoding["preferred_chunks"] == {"time": (4, 4, 4), "lat": (2, 2), "lon": (6,)}
        assert not dataset.nnzip.errors


def test_the_accessor_compresses_and_knows_the_errors(source: xr.Dataset, tmp_path: Path) -> None:
    result = source.nnzip.compress(tmp_path / "a.nnz", max_error={"sst": "0.1 K", "t": "200 mK"}, effort="fast")
    assert result.path == tmp_path / "a.nnz"
    with xr.open_dataset(tmp_path / "a.nnz") as dataset:
        errors = dataset.nnzip.errors
        assert errors["sst"]["bound"] == 0.1
        assert errors["t"]["bound"] == 0.2
        measured = float(np.abs(dataset["sst"] - source["sst"]).max())
        assert measured <= errors["sst"]["max_error"] <= 0.1
        assert errors["sst"]["max_error"] == pytest.approx(measured, rel=1e-3)
        assert set(errors) == {"sst", "t"}
    assert source.nnzip.errors == {}


def test_the_accessor_refuses_what_compress_refuses(source: xr.Dataset, path: Path) -> None:
    with pytest.raises(TypeError, match="quality"):
        source.nnzip.compress("a.nnz", quality=3)
    with pytest.raises(UsageError, match="exists"):
        source.nnzip.compress(path)
    with pytest.raises(UsageError, match="2 targets"):
        source.nnzip.compress("a.nnz", ratio=10, max_error=1)


def test_what_cannot_be_opened_is_said_in_xarrays_terms(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cannot open .*missing.nnz: No such file"):
        xr.open_dataset(tmp_path / "missing.nnz")
    (tmp_path / "text.nnz").write_text("no archive")
    with pytest.raises(InputError, match="no nnzip archive"):
        xr.open_dataset(tmp_path / "text.nnz")
    (tmp_path / "half.nnz").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptArchiveError, match="truncated"):
        xr.open_dataset(tmp_path / "half.nnz")
    with pytest.raises(InputError, match="no text"):
        nnzip.compress(xr.Dataset({0: ("x", [1.0])}), tmp_path / "b.nnz", nnzip.Target(ratio=9))

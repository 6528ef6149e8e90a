"""Coordinates and losslessly kept variables of an open archive are read when they are used."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.container.reader import ArchiveReader
from nnzip.errors import CorruptArchiveError

MEGABYTE = 1 << 20
STATIONS = 1 << 22


@pytest.fixture(scope="module")
def source() -> xr.Dataset:
    """A small field with a two-dimensional coordinate, and 32 MB of counts."""
    rows, columns = np.arange(20.0), np.arange(30.0)
    field = 280 + np.add.outer(np.sin(rows), np.cos(columns)).astype(np.float32)
    return xr.Dataset(
        {"t2m": (("y", "x"), field, {"units": "K"}), "counts": ("station", np.arange(STATIONS) // 1000)},
        {"y": rows, "x": columns, "zone": (("y", "x"), np.add.outer(rows, columns).astype("i2"))},
    )


@pytest.fixture(scope="module")
def path(source: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("stored") / "a.nnz"
    nnzip.compress(source, found, nnzip.Target(max_error={"t2m": 0.01}))
    return found


def test_opening_reads_no_large_variable(path: Path, source: xr.Dataset) -> None:
    tracemalloc.start()
    with nnzip.open_archive(path) as archive:
        dataset = archive.dataset()
        dataset["t2m"].load()
        assert dataset["counts"].dtype == source["counts"].dtype
        assert dataset["counts"].shape == (STATIONS,)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(dataset["counts"][5_000:6_000], source["counts"][5_000:6_000])
        np.testing.assert_array_equal(dataset["counts"].isel(station=[-1, 3, 3]), source["counts"][[-1, 3, 3]])
        xr.testing.assert_identical(pickle.loads(pickle.dumps(dataset["zone"])).load(), source["zone"])
    assert peak < 8 * MEGABYTE


def test_all_of_it_is_what_was_kept(path: Path, source: xr.Dataset, tmp_path: Path) -> None:
    nnzip.decompress(path, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as back:
        for name in ("counts", "zone"):
            np.testing.assert_array_equal(back[name], source[name])
            assert back[name].dtype == source[name].dtype


def test_damage_is_an_error_where_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = ArchiveReader.arrays
    with nnzip.open_archive(path) as archive:
        dataset = archive.dataset()
        monkeypatch.setattr(ArchiveReader, "arrays", lambda *place: arrays(*place)[:-9])
        dataset["t2m"].variable.load()
        with pytest.raises(CorruptArchiveError, match="deflated bytes"):
            dataset["counts"].load()

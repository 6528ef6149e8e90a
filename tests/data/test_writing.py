"""Writing is whole or not at all, and what is written is what was given."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from nnzip.data import writing
from nnzip.data.opening import open_dataset
from nnzip.data.writing import write_dataset
from nnzip.errors import ResourceError, UsageError

SUFFIXES = [".nc", ".nc4", ".zarr", ".zarr.zip"]


def weather(times: int = 4) -> xr.Dataset:
    values = np.random.default_rng(times).normal(size=(times, 20, 30)).astype("f4")
    values[:, 0] = np.nan
    dataset = xr.Dataset(
        {
            "t2m": (("time", "latitude", "longitude"), values, {"units": "K"}),
            "expver": ("time", np.full(times, "0001")),
            "count": ("time", np.arange(times, dtype="i2")),
        },
        {
            "time": np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(90, "m"),
            "latitude": np.linspace(60, 40, 20),
            "longitude": np.linspace(-10, 19, 30),
            "number": 0,
        },
        {"Conventions": "CF-1.7", "levels": np.array([1.5, 2.5], "f4")},
    )
    dataset.time.encoding = {"units": "hours since 2020-01-01", "dtype": np.dtype("i8")}  # 90 min does not fit: finer
    return dataset


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = write_dataset(weather(), tmp_path / f"out{suffix}")
    assert [file.name for file in tmp_path.iterdir()] == [f"out{suffix}"]
    back = open_dataset(path).load()
    xr.testing.assert_equal(back, weather())
    assert back.t2m.attrs == {"units": "K"}
    assert {name: back[name].dtype for name in back.variables} == {n: weather()[n].dtype for n in weather().variables}


def test_netcdf_is_compressed_clean_and_not_packed(tmp_path: Path) -> None:
    dataset = weather()
    dataset.t2m.encoding = {"dtype": np.dtype("i2"), "scale_factor": 0.1, "_FillValue": -1, "chunksizes": (99, 99, 99)}
    dataset.t2m.encoding["coordinates"] = "gone"
    dataset.encoding = {"unlimited_dims": {"gone"}}
    write_dataset(dataset, tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file["t2m"].dtype == np.float32
        assert file["t2m"].filters()["zlib"]
        assert np.isnan(file["t2m"]._FillValue)
        assert set(file["t2m"].ncattrs()) == {"_FillValue", "units", "coordinates"}
        assert file["latitude"].ncattrs() == []
    assert "scale_factor" in dataset.t2m.encoding  # the user's dataset is as it was


def test_fill_values_and_unscaled_integers_are_kept(tmp_path: Path) -> None:
    soil = xr.DataArray([1.0, np.nan], dims="x")
    soil.encoding = {"dtype": np.dtype("i2"), "_FillValue": np.int16(-9)}
    lake = xr.DataArray([1.0, np.nan], dims="x")
    lake.encoding = {"_FillValue": 1e20}
    write_dataset(xr.Dataset({"soil": soil, "lake": lake}), tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file["soil"].dtype == np.int16
        assert file["soil"]._FillValue == -9
        assert file["lake"]._FillValue == 1e20


def test_coordinates_of_dimensions_get_no_fill_value(tmp_path: Path) -> None:
    dataset = weather()
    dataset.latitude.encoding = {"_FillValue": np.nan}  # as in files of the Climate Data Store
    write_dataset(dataset, tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file["latitude"].ncattrs() == []


def test_attributes_that_netcdf_lacks(tmp_path: Path) -> None:
    dataset = weather()
    dataset.attrs = {"flag": True, "nothing": None, "nested": {"a": [1]}, "words": ["a", "b"], "numbers": [1, 2]}
    write_dataset(dataset, tmp_path / "a.nc")
    attrs = open_dataset(tmp_path / "a.nc").attrs
    assert (attrs["flag"], attrs["nothing"], attrs["nested"], attrs["words"]) == (1, "", '{"a": [1]}', ["a", "b"])
    np.testing.assert_array_equal(attrs["numbers"], [1, 2])


def test_large_lazy_variables_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_STREAM_BYTES", 5000)
    write_dataset(weather(50), tmp_path / "a.nc")
    loaded: list[tuple[int, ...]] = []

    def record(array: Any, key: Any) -> Any:
        loaded.append(np.shape(result := original(array, key)))
        return result

    from xarray.backends.netCDF4_ import NetCDF4ArrayWrapper

    original: Any = NetCDF4ArrayWrapper.__getitem__
    monkeypatch.setattr(NetCDF4ArrayWrapper, "__getitem__", record)
    with open_dataset(tmp_path / "a.nc") as lazy:
        write_dataset(lazy, tmp_path / "b.nc")
    monkeypatch.setattr(NetCDF4ArrayWrapper, "__getitem__", original)
    assert max(np.prod(shape) for shape in loaded if len(shape) == 3) <= 1250
    with open_dataset(tmp_path / "b.nc") as back:
        xr.testing.assert_equal(back.load(), weather(50))


def test_dask_datasets(tmp_path: Path) -> None:
    dataset = weather()
    dataset["t2m"] = dataset.t2m.chunk(time=3, latitude=7)
    for suffix in SUFFIXES:
        back = open_dataset(write_dataset(dataset, tmp_path / f"a{suffix}"))
        np.testing.assert_array_equal(back.t2m, weather().t2m)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_output(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_dataset(weather(2), path)
    with pytest.raises(UsageError, match=r"exists: choose another output path, or overwrite it with -f"):
        write_dataset(weather(4), path)
    assert open_dataset(path).load().sizes["time"] == 2
    write_dataset(weather(4), path, overwrite=True)
    assert open_dataset(path).load().sizes["time"] == 4
    assert len(list(tmp_path.iterdir())) == 1


def test_overwriting_the_file_that_is_read(tmp_path: Path) -> None:
    path = write_dataset(weather(), tmp_path / "a.nc")
    with open_dataset(path) as lazy:
        write_dataset(lazy, path, overwrite=True)
    xr.testing.assert_equal(open_dataset(path).load(), weather())


@pytest.mark.parametrize("foreign", ["notes.txt", "t2m/notes.txt", "other/.zgroup"])
def test_directories_that_are_no_store_of_ours_are_never_replaced(tmp_path: Path, foreign: str) -> None:
    path = write_dataset(weather(), tmp_path / "a.zarr")
    (path / foreign).parent.mkdir(exist_ok=True)
    (path / foreign).write_text("precious")
    (tmp_path / "d.nc").mkdir()
    (tmp_path / "empty.zarr").mkdir()
    for name, kind in (("a.zarr", "Zarr store"), ("empty.zarr", "Zarr store"), ("d.nc", "regular file")):
        with pytest.raises(UsageError, match=f"{name} exists and is no {kind}"):
            write_dataset(weather(), tmp_path / name, overwrite=True)
    assert (path / foreign).read_text() == "precious"


def test_unlimited_dimensions_and_attributes_of_two_dimensions_are_kept(tmp_path: Path) -> None:
    dataset = weather()
    dataset.encoding = {"unlimited_dims": {"time", "gone"}}
    dataset.attrs["corners"] = np.array([[1, 2], [3, 4]])
    write_dataset(dataset, tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert [name for name, dim in file.dimensions.items() if dim.isunlimited()] == ["time"]
        assert file.corners == "[[1, 2], [3, 4]]"


@pytest.mark.parametrize("name", ["a", "a.txt", "a.nnz", "a.grib"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UsageError, match=r"does not say which format to write: end it in .nc or .nc4 \(NetCDF4\), .zarr"
    ):
        write_dataset(weather(), tmp_path / name)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond `size`, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_nothing_and_damages_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_dataset(weather(2), path)
    with file_size_limit(60_000), pytest.raises(ResourceError, match=rf"cannot write .*a{suffix}: "):
        write_dataset(weather(100), path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [f"a{suffix}"]
    assert open_dataset(path).load().sizes["time"] == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interruption_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    def interrupt(block: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    dataset = weather()
    lazy = dataset.t2m.chunk(time=1).data.map_blocks(interrupt, dtype="f4", meta=np.empty(0, "f4"))
    dataset["t2m"] = dataset.t2m.copy(data=lazy)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(dataset, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"the directory .*missing does not exist: create it first"):
        write_dataset(weather(), tmp_path / "missing" / "a.nc")
    for suffix in SUFFIXES:
        with pytest.raises(ResourceError, match=r"cannot write /proc/nnzip"):
            write_dataset(weather(), f"/proc/nnzip{suffix}")
    with pytest.raises(ResourceError, match="File name too long"):
        write_dataset(weather(), tmp_path / ("x" * 300 + ".nc"))


def test_an_error_of_the_data_is_not_taken_for_one_of_the_disk(tmp_path: Path) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("a bug")

    dataset = weather()
    lazy = dataset.t2m.chunk(time=1).data.map_blocks(fail, dtype="f4", meta=np.empty(0, "f4"))
    dataset["t2m"] = dataset.t2m.copy(data=lazy)
    with pytest.raises(RuntimeError, match="a bug"):
        write_dataset(dataset, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_zarr_of_joined_files_of_unequal_lengths(tmp_path: Path) -> None:
    """Months have different lengths, and Zarr wants equal chunks."""
    values = xr.Dataset({"v": ("time", np.arange(12.0))}, {"time": np.arange(12)})
    write_dataset(values.chunk(time=(3, 7, 2)), tmp_path / "a.zarr")
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "a.zarr").load(), values)


@pytest.mark.parametrize(
    ("shape", "pieces", "expected"),
    [
        ((40, 721, 1440), (16, 721, 1440), (1, 721, 1440)),
        ((40, 300, 300), (16, 300, 300), (8, 300, 300)),
        ((31 * 24, 5, 5), (31 * 24, 5, 5), (31 * 24, 5, 5)),
        ((12, 37, 721, 1440), (1, 16, 721, 1440), (1, 1, 721, 1440)),
    ],
)
def test_chunks_in_the_file_never_belong_to_two_pieces(
    shape: tuple[int, ...], pieces: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    import dask.array

    variable = xr.Variable(tuple("abcd"[: len(shape)]), dask.array.zeros(shape, dtype="f4", chunks=pieces))
    assert writing._file_chunk(variable, {}) == expected


def test_large_variables_are_written_in_chunks_of_their_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_STREAM_BYTES", 100_000)
    monkeypatch.setattr(writing, "_CHUNK_BYTES", 10_000)
    values = np.random.default_rng(0).normal(size=(60, 20, 30)).astype("f4")
    write_dataset(xr.Dataset({"v": (("t", "y", "x"), values)}), tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file["v"].chunking() == [4, 20, 30]  # in pieces of 32 times
        np.testing.assert_array_equal(file["v"][:], values)

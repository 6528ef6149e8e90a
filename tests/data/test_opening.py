"""Opening real files of every format with the real libraries."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.data.grouping import plan_groups
from nnzip.data.opening import open_dataset, resolve_paths, stored_bytes
from nnzip.data.writing import write_dataset
from nnzip.errors import InputError, NnzipWarning, UnavailableError
from tests.support.grouping_examples import stack

LAT, LON = np.array([50.0, 40.0, 30.0], "f4"), np.array([0.0, 10.0, 20.0, 30.0], "f4")


def weather(start: str = "2016-10-02", days: int = 3) -> xr.Dataset:
    times = np.datetime64(start, "ns") + np.arange(days) * np.timedelta64(1, "D")
    values = 280 + np.random.default_rng(days).normal(size=(days, 3, 4)).astype("f4")
    values[0, 0, 0] = np.nan
    dataset = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})},
        {
            "time": times,
            "latitude": ("latitude", LAT, {"units": "degrees_north"}),
            "longitude": ("longitude", LON, {"units": "degrees_east"}),
        },
        {"Conventions": "CF-1.7"},
    )
    dataset.time.encoding = {"units": "hours since 1900-01-01", "dtype": np.dtype("i4")}
    return dataset


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4", "NETCDF4_CLASSIC"])
def test_netcdf(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.data"
    weather().to_netcdf(path, format=kind, engine="netcdf4")  # type: ignore[call-overload]
    with open_dataset(path) as opened:
        xr.testing.assert_identical(opened.load(), weather())


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
def test_zarr(tmp_path: Path, name: str) -> None:
    path = write_dataset(weather(), tmp_path / name)
    xr.testing.assert_identical(open_dataset(str(path)).load(), weather())


def test_packed_integers_with_ranges_in_packed_units(tmp_path: Path) -> None:
    dataset = weather()
    dataset.t2m.attrs["valid_range"] = np.array([-1000, 1000], "i2")
    encoding = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32767}
    dataset.to_netcdf(tmp_path / "a.nc", format="NETCDF3_64BIT", engine="netcdf4", encoding={"t2m": encoding})
    with open_dataset(tmp_path / "a.nc") as opened:
        np.testing.assert_allclose(opened.t2m.attrs["valid_range"], [270, 290])
        (group,), _ = plan_groups(opened)
        assert group.variables[0].dtype == "float32"
        np.testing.assert_array_equal(np.isnan(stack(opened, group)[0]), np.isnan(dataset.t2m))


def test_big_endian_file(tmp_path: Path) -> None:
    import netCDF4

    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        for name, size in (("lat", 3), ("lon", 4)):
            file.createDimension(name, size)
        file.createVariable("v", ">f4", ("lat", "lon"), endian="big")[:] = np.arange(12).reshape(3, 4)
    with open_dataset(tmp_path / "a.nc") as opened:
        array = stack(opened, plan_groups(opened)[0][0])
    assert array.dtype.isnative
    np.testing.assert_array_equal(array[0, 0], np.arange(12).reshape(3, 4))


def test_durations_in_seconds_and_undecodable_times_stay_numbers(tmp_path: Path) -> None:
    dataset = weather().drop_vars("time")
    dataset.t2m.attrs["units"] = "seconds"
    dataset = dataset.assign_coords(time=("time", [0, 1, 2], {"units": "fortnights since 2000-01-01"}))
    dataset.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with open_dataset(tmp_path / "a.nc") as opened:
        assert opened.t2m.dtype == np.float32
        assert opened.time.dtype == np.int64
        assert not plan_groups(opened)[0][0].time.geographic


def test_groups_beside_root_variables_are_left_out_with_a_warning(tmp_path: Path) -> None:
    import netCDF4

    weather().to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        for name in ("forecast", "raw/station"):
            group = file.createGroup(name)
            group.createDimension("n", 2)
            group.createVariable("v", "f4", ("n",))
    with pytest.warns(NnzipWarning, match=r"a\.nc: its groups are left out: forecast, raw/station"):
        opened = open_dataset(tmp_path / "a.nc")
    opened.close()


def test_several_files_keep_coordinates_that_no_variable_uses(tmp_path: Path) -> None:
    whole = weather(days=4).assign_coords(unused=("station", ["here", "there"]))
    for number in (0, 2):
        whole.isel(time=slice(number, number + 2)).to_netcdf(tmp_path / f"part{number}.nc", engine="netcdf4")
    with open_dataset(tmp_path / "part*.nc") as opened:
        assert opened.unused.values.tolist() == ["here", "there"]


def test_bytes_on_disk_of_files_and_stores(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        weather().to_netcdf(tmp_path / name, engine="netcdf4")
    weather().to_zarr(tmp_path / "c.zarr", zarr_format=2)
    sizes = [(tmp_path / name).stat().st_size for name in ("a.nc", "b.nc")]
    assert stored_bytes(tmp_path / "?.nc") == sum(sizes)
    files = [file for file in (tmp_path / "c.zarr").rglob("*") if file.is_file()]
    assert stored_bytes([tmp_path / "c.zarr"]) == sum(file.stat().st_size for file in files)


def test_several_files_are_joined_and_lazy(tmp_path: Path) -> None:
    whole = weather(days=6)
    for number, part in enumerate((slice(0, 2), slice(2, 5), slice(5, 6))):
        whole.isel(time=part).to_netcdf(tmp_path / f"part{number}.nc", engine="netcdf4")
    with open_dataset(tmp_path / "part*.nc") as opened:
        assert opened.t2m.chunks is not None
        xr.testing.assert_identical(opened.load(), whole)
    with open_dataset([tmp_path / "part2.nc", str(tmp_path / "part[01].nc")]) as opened:
        np.testing.assert_array_equal(opened.t2m, whole.t2m)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weather().to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    weather().to_netcdf(tmp_path / "b.nc", engine="netcdf4")
    with pytest.raises(InputError, match=r"a.nc and .*b.nc both hold t2m at the same coordinates"):
        open_dataset(tmp_path / "*.nc")


def test_repeated_coordinate(tmp_path: Path) -> None:
    weather().isel(time=[0, 1, 1]).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with pytest.raises(InputError, match=r"'time' holds 2016-10-03T00:00 twice \(positions 1 and 2\)"):
        open_dataset(tmp_path / "a.nc")


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.nc", "a.nc", "odd[1].nc"):
        (tmp_path / name).touch()
    assert resolve_paths(tmp_path / "?.nc") == [tmp_path / "a.nc", tmp_path / "b.nc"]
    assert resolve_paths(str(tmp_path / "odd[1].nc")) == [tmp_path / "odd[1].nc"]
    assert resolve_paths([tmp_path / "b.nc", tmp_path / "?.nc"]) == [tmp_path / "b.nc", tmp_path / "a.nc"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_paths("~/a.nc") == [tmp_path / "a.nc"]
    with pytest.raises(InputError, match=r"no file matches '.*\*\.grib'"):
        resolve_paths(tmp_path / "*.grib")
    with pytest.raises(InputError, match="no input file is given"):
        resolve_paths([])
    with pytest.raises(InputError, match="no such file"):
        open_dataset(tmp_path / "none.nc")


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    weather(days=400).to_netcdf(path, engine="netcdf4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a.nc cannot be opened \(.*\): it is truncated, damaged"):
        open_dataset(path)
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"b.zarr cannot be opened"):
        open_dataset(tmp_path / "b.zarr")


def test_values_that_break_while_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    weather(days=400).to_netcdf(path, engine="netcdf4", encoding={"t2m": {"zlib": True, "complevel": 1}})
    opened = open_dataset(path)
    (group,), _ = plan_groups(opened)
    opened.close()
    content = bytearray(path.read_bytes())
    for position in range(len(content) // 2, len(content) - 2000):
        content[position] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"values of 't2m' cannot be read \(.*\): the file is damaged or gone"):
        stack(open_dataset(path), group)


def write_grib(path: Path, messages: Sequence[Mapping[str, object]]) -> Path:
    """GRIB1 messages on a 3 x 4 grid by ecCodes itself; the values are the message's number and the position."""
    eccodes = pytest.importorskip("eccodes")
    with path.open("wb") as file:
        for number, keys in enumerate(messages):
            handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            grid = {
                "Ni": 4, "Nj": 3, "latitudeOfFirstGridPointInDegrees": 50, "latitudeOfLastGridPointInDegrees": 30,
                "longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 30,
                "iDirectionIncrementInDegrees": 10, "jDirectionIncrementInDegrees": 10,
            }  # fmt: skip
            for key, value in {**grid, **keys}.items():
                eccodes.codes_set(handle, key, value)
            eccodes.codes_set_values(handle, (100.0 * number + np.arange(12)).tolist())
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)
    return path


def test_grib_of_different_hypercubes(tmp_path: Path) -> None:
    levels = [
        {"shortName": "t", "typeOfLevel": "isobaricInhPa", "level": level, "dataDate": 20200101, "dataTime": time}
        for time in (0, 600)
        for level in (850, 500)
    ]
    surface = [{"shortName": "2t", "dataDate": 20200101, "dataTime": time} for time in (0, 600)]
    path = write_grib(tmp_path / "a.nc", levels + surface)
    with open_dataset(path) as opened:
        groups, lossless = plan_groups(opened)
        assert len(groups) == 1
        assert groups[0].shape == (3, 2, 3, 4)
        assert lossless == []
        assert opened.t.dims == ("time", "isobaricInhPa", "latitude", "longitude")
        np.testing.assert_allclose(opened.t[1, 1], 300 + np.arange(12).reshape(3, 4), atol=0.01)
    assert [file.name for file in tmp_path.iterdir()] == ["a.nc"]  # no index beside the user's data


def test_grib_files_of_one_message_each(tmp_path: Path) -> None:
    for level in (850, 500):
        for step in (6, 12):
            keys = {"shortName": "t", "typeOfLevel": "isobaricInhPa", "level": level, "step": step}
            write_grib(tmp_path / f"t_{level}_{step}.grib", [{**keys, "dataDate": 20200101, "dataTime": 0}])
    with open_dataset(tmp_path / "*.grib") as opened:
        assert opened.t.dims == ("step", "isobaricInhPa", "latitude", "longitude")
        (group,), _ = plan_groups(opened)
        assert group.shape == (2, 2, 3, 4)
        np.testing.assert_array_equal(np.diff(group.time.values), [6 * 3600])


def test_grib_without_cfgrib_and_damaged_grib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_grib(tmp_path / "a.grib", [{"shortName": "2t"}])
    content = path.read_bytes()
    path.write_bytes(content[:50] + b"7777")
    with pytest.raises(InputError, match=r"a.grib cannot be read as GRIB"):
        open_dataset(path)
    monkeypatch.setitem(sys.modules, "cfgrib", None)
    with pytest.raises(UnavailableError, match=r"a.grib is a GRIB file, to read it: pip install nnzip\[grib\]"):
        open_dataset(path)

"""Formats are told by content, and truncated files are noticed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.data.formats import detect_format, netcdf_classic_bytes, zarr_root
from nnzip.errors import InputError


def dataset(times: int = 3) -> xr.Dataset:
    values = np.arange(times * 12, dtype="f4").reshape(times, 3, 4)
    odd = np.arange(times * 3, dtype="i2").reshape(times, 3)
    return xr.Dataset(
        {
            "t": (("time", "lat", "lon"), values, {"units": "K", "odd": "abc"}),
            "n": (("time", "lat"), odd),
            "z": ((), 1.0),
        },
        {"lat": [1.0, 2.0, 3.0]},
        {"title": "test"},
    )


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA", "NETCDF4"])
def test_netcdf_whatever_its_suffix(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.grib"
    if kind == "NETCDF3_64BIT_DATA":
        import netCDF4

        with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_DATA") as file:
            file.createDimension("x", 100)
            file.createVariable("v", "i8", ("x",))[:] = np.arange(100)
    else:
        dataset().to_netcdf(path, format=kind, engine="netcdf4")  # type: ignore[call-overload]
    assert detect_format(path) == "netcdf"


@pytest.mark.parametrize("unlimited", [[], ["time"]])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("names", [["t"], ["n"], ["t", "n", "z"]])
@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_classic_size_from_the_header(
    tmp_path: Path, unlimited: list[str], times: int, names: list[str], kind: str
) -> None:
    path = tmp_path / "data.nc"
    dataset(times)[names].to_netcdf(path, format=kind, engine="netcdf4", unlimited_dims=unlimited)  # type: ignore[call-overload]
    size = path.stat().st_size
    with path.open("rb") as file:
        assert size - 3 <= netcdf_classic_bytes(file) <= size
    path.write_bytes(path.read_bytes()[: size - 5])
    if size - 5 > 500:
        with pytest.raises(InputError, match=r"is truncated: its header promises \d+ bytes, the file has \d+"):
            detect_format(path)


def test_classic_header_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    dataset().to_netcdf(path, format="NETCDF3_CLASSIC", engine="netcdf4")
    for length in (5, 40, 90, 150):
        (tmp_path / "cut.nc").write_bytes(path.read_bytes()[:length])
        with pytest.raises(InputError, match="truncated"):
            detect_format(tmp_path / "cut.nc")


def test_hdf5_behind_a_user_block(tmp_path: Path) -> None:
    dataset().to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    (tmp_path / "b.nc").write_bytes(b"#" * 512 + (tmp_path / "a.nc").read_bytes())
    assert detect_format(tmp_path / "b.nc") == "netcdf"


def test_grib_behind_a_header_and_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"SMND40 header\r\nGRIB....7777\r\n")
    assert detect_format(path) == "grib"
    path.write_bytes(b"GRIB and then nothing")
    with pytest.raises(InputError, match=r"truncated: its last GRIB message has no end \(7777\)"):
        detect_format(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_directory_and_zip(tmp_path: Path, zarr_format: int) -> None:
    dataset().to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, consolidated=False)
    assert detect_format(tmp_path / "a.zarr") == "zarr"
    for prefix in ("", "inner/a.zarr/"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for file in (tmp_path / "a.zarr").rglob("*"):
                if file.is_file():
                    archive.write(file, prefix + file.relative_to(tmp_path / "a.zarr").as_posix())
        assert detect_format(tmp_path / "a.zip") == "zarr-zip"
        assert zarr_root(tmp_path / "a.zip") == prefix.rstrip("/")


def zip_with(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"content")
    return path


def test_other_zip_files(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    with pytest.raises(InputError, match="is an nnzip archive already"):
        detect_format(zip_with(path, "manifest.json"))
    assert detect_format(zip_with(path, "data_stream-oper.nc")) == "zip"
    with pytest.raises(InputError, match="a ZIP file but no Zarr store"):
        detect_format(zip_with(path, "holiday.jpg"))
    with pytest.raises(InputError, match="without Zarr metadata"):
        zarr_root(zip_with(path, "holiday.jpg"))
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match="damaged or truncated ZIP"):
        detect_format(path)


def test_no_data_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*missing.nc"):
        detect_format(tmp_path / "missing.nc")
    with pytest.raises(InputError, match=r"is a directory but no Zarr store: .*\*\.nc"):
        detect_format(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="is empty"):
        detect_format(tmp_path / "empty")
    (tmp_path / "text.nc").write_text("time,temperature\n")
    with pytest.raises(InputError, match=r"is not a NetCDF, Zarr or GRIB file \(it begins with b'time,tem'\)"):
        detect_format(tmp_path / "text.nc")

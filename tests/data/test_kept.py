"""Nothing of the source is left out on the way through an archive."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.errors import UsageError


def test_unused_coordinates_and_unlimited_dimensions_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), rng.normal(280, 5, (3, 8, 16)).astype("f4"), {"units": "K"})},
        {"latitude": np.linspace(70, 0, 8), "longitude": np.arange(16) * 5.0, "station": ["here", "there"]},
    )
    dataset.to_netcdf(tmp_path / "a.nc", unlimited_dims=["time"])
    with nnzip.open_dataset(tmp_path / "a.nc") as opened:
        nnzip.compress(opened, tmp_path / "a.nnz", nnzip.Target(max_error={None: "1%"}))
    nnzip.decompress(tmp_path / "a.nnz", tmp_path / "b.nc")
    with netCDF4.Dataset(tmp_path / "b.nc") as back:
        assert back["station"][:].tolist() == ["here", "there"]
        assert [name for name, dim in back.dimensions.items() if dim.isunlimited()] == ["time"]
        assert "_nnzip_unlimited" not in back.ncattrs()


@pytest.mark.parametrize("asked", [nnzip.Target(lossless=True), nnzip.Target(max_error={None: "1%"})], ids=str)
def test_packed_values_are_kept_exactly_in_float64(tmp_path: Path, asked: nnzip.Target) -> None:
    """In float32 no multiple of 0.05 is what xarray decodes; a share of the range of a constant is nothing."""
    values = np.where(np.arange(120).reshape(10, 12) % 7, 101_300.05, 101_300.05 if asked.max_error else 99_000.1)
    dataset = xr.Dataset({"sp": (("latitude", "longitude"), values, {"units": "Pa"})})
    packing = {"dtype": "i2", "scale_factor": 0.05, "add_offset": 101_325.0, "_FillValue": -32768}
    dataset.to_netcdf(tmp_path / "a.nc", encoding={"sp": packing})
    with nnzip.open_dataset(tmp_path / "a.nc") as opened:
        nnzip.compress(opened, tmp_path / "a.nnz", asked)
        with nnzip.open_archive(tmp_path / "a.nnz") as archive:
            np.testing.assert_array_equal(archive.dataset()["sp"].values, opened["sp"].values)


def test_a_dataset_is_never_written_over_the_file_that_it_reads(tmp_path: Path) -> None:
    source = tmp_path / "a.nnz"
    xr.Dataset({"t": (("latitude", "longitude"), np.ones((4, 5)))}).to_netcdf(source, engine="netcdf4")
    before = source.read_bytes()
    with nnzip.open_dataset(source) as opened, pytest.raises(UsageError, match="would replace the input"):
        nnzip.compress(opened, source, nnzip.Target(lossless=True), overwrite=True)
    assert source.read_bytes() == before


def test_the_bound_holds_for_the_values_that_tools_see_of_packed_data(tmp_path: Path) -> None:
    """Rounded to float32 first, 212 of 2,400 such points broke the bound."""
    rng = np.random.default_rng(1)
    pressure = 101_325 + 300 * np.cumsum(rng.normal(size=(6, 20, 20)), axis=2) / 10
    dataset = xr.Dataset({"sp": (("time", "latitude", "longitude"), pressure, {"units": "Pa"})})
    packing = {"dtype": "i2", "scale_factor": 0.05, "add_offset": 101_325.0, "_FillValue": -32768}
    dataset.to_netcdf(tmp_path / "a.nc", encoding={"sp": packing})
    with nnzip.open_dataset(tmp_path / "a.nc") as opened:
        result = nnzip.compress(opened, tmp_path / "a.nnz", nnzip.Target(max_error={None: 0.01}))
        with nnzip.open_archive(tmp_path / "a.nnz") as archive:
            error = np.abs(archive.dataset()["sp"].values.astype(np.float64) - opened["sp"].values)
    assert error.max() <= 0.01
    assert result.errors["sp"].max_error == error.max()

"""Nothing of the source is left out on the way through an archive."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

import nnzip


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

"""The round trip's comparison notices what it is there for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from roundtrip import Trip, inputs, table
from roundtrip_compare import compare, header_problems


def weather() -> xr.Dataset:
    values = np.arange(24, dtype="f4").reshape(2, 3, 4)
    values[0, 0, 0] = np.nan
    attrs = {"units": "K", "levels": np.array([1.5, 2.5], "f4")}
    return xr.Dataset(
        {"t2m": (("time", "lat", "lon"), values, attrs), "expver": ("time", np.array(["1", "5"]))},
        {
            "time": np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"),
            "lat": ("lat", np.array([2.0, 1.0, 0.0]), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(4.0), {"units": "degrees_east"}),
            "number": 0,
        },
        {"history": "made", "Conventions": "CF-1.7"},
    )


def returned() -> xr.Dataset:
    """`weather` as nnzip gives it back: with errors, which it names, and a line of history."""
    dataset = weather()
    dataset["t2m"] = dataset.t2m + np.float32(0.25)
    dataset.t2m.attrs = weather().t2m.attrs | {"nnzip_max_error": 0.25, "nnzip_rmse": 0.25}
    dataset.attrs["history"] = "2026 nnzip decompressed\nmade"
    return dataset


def problems(tmp_path: Path, change: Callable[[xr.Dataset], xr.Dataset | None]) -> list[str]:
    weather().to_netcdf(tmp_path / "a.nc")
    dataset = returned()
    (change(dataset) or dataset).to_netcdf(tmp_path / "b.nc")
    return compare([tmp_path / "a.nc"], tmp_path / "b.nc")


def test_nothing_is_wrong(tmp_path: Path) -> None:
    assert problems(tmp_path, lambda _: None) == []


def test_an_error_is_what_the_file_says_to_six_digits(tmp_path: Path) -> None:
    def claim(figure: float) -> Callable[[xr.Dataset], xr.Dataset | None]:
        def change(dataset: xr.Dataset) -> None:
            dataset["t2m"] = dataset.t2m.copy(data=weather().t2m + np.float32(0.3333344))
            dataset.t2m.attrs["nnzip_max_error"] = figure

        return change

    assert problems(tmp_path, claim(0.333334)) == []
    assert "maximum error" in problems(tmp_path, claim(0.333333))[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.isel(lon=slice(3)), "dimensions"),
        (lambda d: d.drop_vars("number"), "coordinates"),
        (lambda d: d.drop_vars("expver"), "variables"),
        (lambda d: d.assign_coords(lat=d.lat + 1e-9), "lat: "),
        (lambda d: d.assign_coords(number=np.float64(0)), "number: type"),
        (lambda d: d.t2m.attrs.pop("units") and None, "attribute units is 'lost'"),
        (lambda d: d.t2m.attrs.update(new=1), "attribute new is new"),
        (lambda d: d.t2m.attrs.update(nnzip_max_error=0.2), "maximum error 0.25"),
        (lambda d: d.attrs.update(history="2026"), "history is lost"),
        (lambda d: d.attrs.pop("Conventions") and None, "Conventions"),
        (lambda d: d.assign(expver=("time", np.array(["1", "1"]))), "expver: values differ"),
        (lambda d: d.assign(t2m=d.t2m.fillna(0.0)), "1 values wrongly missing"),
        (lambda d: d.assign(t2m=d.t2m.transpose("lat", "time", "lon")), "t2m: dimensions"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, change: Callable[[xr.Dataset], xr.Dataset | None], problem: str
) -> None:
    found = problems(tmp_path, change)
    assert any(problem in each for each in found), found


@pytest.mark.skipif(shutil.which("ncdump") is None, reason="ncdump is not installed")
def test_headers(tmp_path: Path) -> None:
    dataset = weather()
    encoding = {name: {"_FillValue": None} for name in ("lat", "lon")}
    dataset.to_netcdf(tmp_path / "a.nc", encoding=encoding)
    assert header_problems(tmp_path / "a.nc") == []
    packed = {"t2m": {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -1}}
    dataset.to_netcdf(
        tmp_path / "b.nc", encoding={**packed, "lat": {"_FillValue": np.nan}, "lon": {"_FillValue": None}}
    )
    assert header_problems(tmp_path / "b.nc") == ["coordinate lat has a _FillValue", "t2m is packed again"]
    (tmp_path / "c.nc").write_text("no NetCDF")
    assert header_problems(tmp_path / "c.nc")[0].startswith("ncdump exits with 1")


def test_inputs_and_table(tmp_path: Path) -> None:
    for name in ("ostia_sst_global_0.25_1.nc", "ostia_sst_global_0.25_2.nc", "readme.md"):
        (tmp_path / name).touch()
    found = inputs(tmp_path, "*")
    assert [len(files) for _, files in found] == [1, 1, 2]
    assert len(inputs(tmp_path, "*_1.nc")) == 1
    assert table([Trip("a", 1, 1_000_000, 1000, {"compress": 1.0}, ["bad"])]).row_count == 1

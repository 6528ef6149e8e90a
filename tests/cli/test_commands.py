"""What a user does, command by command, on a small sample."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.report import numbers
from tests.conftest import RATIO, Nnzip


def test_sample_is_a_cf_dataset_of_the_wanted_size(tmp_path: Path, nnzip: Nnzip) -> None:
    options = ("--resolution", 15, "--hours", 12, "--step-hours", 6, "--variables", "t2m,msl", "--bbox", "-30,60,0,90")
    result = nnzip("sample", tmp_path / "tiny.nc", *options, "--start", "2020-02-28")
    assert "t2m, msl" in result.stderr
    assert result.stdout == ""
    with xr.open_dataset(tmp_path / "tiny.nc") as tiny:
        assert dict(tiny.sizes) == {"valid_time": 2, "latitude": 7, "longitude": 7}
        assert str(tiny["valid_time"].values[0]).startswith("2020-02-28")


def test_compress_says_what_it_does_and_reaches_the_ratio(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    output = tmp_path / "weather.nnz"
    result = nnzip("compress", weather, "-o", output, "--ratio", RATIO, "--effort", "fast")
    assert result.stdout == ""
    for text in ("compressing t2m [K]", "pressure_level 2", "valid_time 6", "target: ratio 20", "RMSE", "float32"):
        assert text in result.stderr
    with xr.open_dataset(weather) as source:
        float32_bytes = 4 * sum(variable.size for variable in source.data_vars.values())
    assert float32_bytes / output.stat().st_size == pytest.approx(RATIO, rel=0.03)
    stored = numbers.file_size(weather.stat().st_size)
    times = numbers.number(weather.stat().st_size / output.stat().st_size)
    assert f"{times} times smaller than the {stored} on disk" in result.stderr


def test_compress_json_is_the_result_and_quiet_is_quiet(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    options = ("--size", "9kB", "--effort", "fast", "--variables", "t2m,msl", "--json", "-q")
    result = nnzip("compress", weather, "-o", tmp_path / "two.nnz", *options)
    assert result.stderr == ""
    content = json.loads(result.stdout)
    assert set(content["errors"]) == {"t2m", "msl"}
    assert content["errors"]["t2m"]["units"] == "K"
    assert content["file_bytes"] == (tmp_path / "two.nnz").stat().st_size
    assert content["file_bytes"] == pytest.approx(9000, rel=0.03)
    assert content["stored_ratio"] is None  # of two variables to the file of all would be false
    assert 0 < content["errors"]["t2m"]["rmse"] < content["errors"]["t2m"]["max_error"]


def test_compress_names_its_output_after_the_input(tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("sample", tmp_path / "a.b.zarr", "--resolution", 15, "--hours", 6, "--variables", "t2m")
    nnzip("compress", tmp_path / "a.b.zarr", "--ratio", 2, "--effort", "fast")
    assert (tmp_path / "a.b.nnz").is_file()


def test_equal_data_give_equal_archives(weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("compress", weather, "-o", tmp_path / "again.nnz", "--ratio", RATIO, "--effort", "fast")
    assert (tmp_path / "again.nnz").read_bytes() == archive.read_bytes()


def test_several_files_and_globs_are_joined(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    with xr.open_dataset(weather) as source:
        for part in range(3):
            piece = source[["t2m", "msl"]].isel(valid_time=slice(2 * part, 2 * part + 2))
            piece.to_netcdf(tmp_path / f"part{part}.nc")
        expected = source["valid_time"].values
    parts = sorted(tmp_path.glob("part*.nc"))
    nnzip("compress", *parts, "-o", tmp_path / "listed.nnz", "--ratio", 10, "--effort", "fast")
    nnzip("compress", tmp_path / "part*.nc", "-o", tmp_path / "globbed.nnz", "--ratio", 10, "--effort", "fast")
    assert (tmp_path / "listed.nnz").read_bytes() == (tmp_path / "globbed.nnz").read_bytes()
    nnzip("decompress", tmp_path / "listed.nnz")
    with xr.open_dataset(tmp_path / "listed.nc") as back:
        np.testing.assert_array_equal(back["valid_time"].values, expected)
    result = nnzip("compress", tmp_path / "part*.nc", "--ratio", 10, code=2)
    assert "-o" in result.stderr


@pytest.mark.parametrize("suffix", [".nc", ".zarr", ".zarr.zip"])
def test_decompress_restores_everything_but_rounded_values(
    suffix: str, weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip
) -> None:
    output = tmp_path / f"back{suffix}"
    nnzip("decompress", archive, "-o", output)
    from nnzip import open_dataset

    with open_dataset(weather) as source, open_dataset(output) as back:
        if suffix == ".nc":  # the entries of a Zarr store have no order
            assert list(back.data_vars) == list(source.data_vars)
        assert set(back.data_vars) == set(source.data_vars)
        assert dict(back.sizes) == dict(source.sizes)
        for name in source.coords:
            xr.testing.assert_identical(back[name].drop_attrs(), source[name].drop_attrs())
            assert source[name].attrs.items() <= back[name].attrs.items()
        for name, variable in source.data_vars.items():
            assert back[name].dims == variable.dims
            assert back[name].dtype == variable.dtype
            assert variable.attrs.items() <= back[name].attrs.items()
            np.testing.assert_array_equal(back[name].isnull().values, variable.isnull().values)
            error = float(abs(back[name] - variable).max())
            assert error == pytest.approx(back[name].attrs["nnzip_max_error"], rel=1e-3)
        assert "nnzip" in back.attrs["history"]


def test_decompress_a_part_on_a_coarser_grid(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    """The example of the README."""
    part = ("--variables", "t2m", "--time", "2016-10-01", "--bbox", "10,35,270,300")
    nnzip("decompress", archive, "-o", tmp_path / "coarse.nc", "--grid", 5, *part)
    with xr.open_dataset(tmp_path / "coarse.nc") as coarse:
        assert list(coarse.data_vars) == ["t2m"]
        np.testing.assert_allclose(np.sort(coarse["latitude"]), np.arange(10, 36, 5))
        np.testing.assert_allclose(coarse["longitude"], np.arange(270, 301, 5))
        assert coarse.sizes["valid_time"] == 6
        assert 200 < float(coarse["t2m"].min()) < float(coarse["t2m"].max()) < 330
        assert "interpolated to another grid: no error bound holds" in coarse.attrs["history"].splitlines()[0]
        assert not [key for key in coarse["t2m"].attrs if key.startswith("nnzip_")]


def test_decompress_like_another_file(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    grid = {"latitude": [12.0, 20.5, 40.0], "longitude": [-10.0, 0.0, 7.25, 30.0]}
    xr.Dataset(coords=grid).to_netcdf(tmp_path / "grid.nc")
    nnzip("decompress", archive, "-o", tmp_path / "like.nc", "--like", tmp_path / "grid.nc", "--variables", "msl")
    with xr.open_dataset(tmp_path / "like.nc") as like:
        np.testing.assert_allclose(like["latitude"], grid["latitude"])
        assert like["msl"].shape == (6, 3, 4)
    nnzip("decompress", archive, "--like", tmp_path / "grid.nc", "--grid", 1, code=2)


def test_info_shows_and_tells_in_json(weather: Path, archive: Path, nnzip: Nnzip) -> None:
    shown = nnzip("info", archive).stdout
    for text in (
        "t2m",
        "RMSE",
        "m s⁻¹",
        "2016-10-01 00:00 to 2016-10-01 15:00",
        "90 to -90",
        "attributes",
        "asked for: ratio: 20; effort: fast",
    ):
        assert text in shown
    content = json.loads(nnzip("info", archive, "--json").stdout)
    assert content["source"]["stored_bytes"] == weather.stat().st_size
    assert content["stored_ratio"] == weather.stat().st_size / content["bytes"]
    assert f"smaller than the {numbers.file_size(weather.stat().st_size)} on disk" in shown
    assert content["bytes"] == archive.stat().st_size == sum(content["parts"].values())
    assert content["ratio"] == pytest.approx(RATIO, rel=0.03)
    assert content["variables"]["z"]["shape"] == [6, 2, 25, 48]
    assert content["variables"]["z"]["tiles"] == 1
    assert content["variables"]["z"]["largest_tile"] == {"channel": 2, "time": 6, "latitude": 25, "longitude": 48}
    assert content["coordinates"]["latitude"]["extent"] == [90, -90]
    assert content["format"] == 3


def test_verify_finds_a_good_archive_sound(archive: Path, nnzip: Nnzip) -> None:
    assert "sound" in nnzip("verify", archive).stdout
    content = json.loads(nnzip("verify", archive, "--json").stdout)
    assert content["values"]["t2m"] == 6 * 25 * 48
    assert content["missing"]["sst"] > 0


def test_evaluate_measures_the_same_on_the_archive_and_on_the_decoded_file(
    weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip
) -> None:
    nnzip("decompress", archive, "-o", tmp_path / "back.nc")
    of_archive = json.loads(nnzip("evaluate", weather, archive, "--json").stdout)
    of_file = json.loads(nnzip("evaluate", weather, tmp_path / "back.nc", "--json").stdout)
    assert of_archive["file_bytes"] == archive.stat().st_size
    assert of_archive["ratio"] == pytest.approx(RATIO, rel=0.03)
    assert of_file["ratio"] is None
    claimed = json.loads(nnzip("info", archive, "--json").stdout)["variables"]
    for ours, theirs in zip(of_archive["variables"], of_file["variables"], strict=True):
        assert ours["rmse"] == pytest.approx(theirs["rmse"], rel=1e-5)
        assert float(f"{ours['rmse']:.4g}") == pytest.approx(claimed[ours["name"]]["rmse"], rel=1e-6)
        assert 1 <= claimed[ours["name"]]["max_error"] / ours["max_error"] <= 1.001, "four digits, rounded up"
        assert ours["missing_mismatch"] == 0


def test_evaluate_writes_a_report(weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    report = tmp_path / "report.html"
    result = nnzip("evaluate", weather, archive, "--report", report, "--variables", "t2m,sst")
    assert "RMSE" in result.stdout
    assert "report.html" in result.stderr
    text = report.read_text(encoding="utf-8")
    assert text.count("<svg") >= 8
    assert "t2m" in text
    assert "weather.nc" in text
    nnzip("evaluate", weather, archive, "--report", report, "--variables", "t2m", "-f")


def test_evaluate_on_another_grid_says_so(weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("decompress", archive, "-o", tmp_path / "coarse.nc", "--grid", 15)
    assert "same grid" in nnzip("evaluate", weather, tmp_path / "coarse.nc", code=3).stderr


def test_ctrl_c_while_compressing_leaves_nothing(tmp_path: Path, nnzip: Nnzip) -> None:
    source, output = tmp_path / "in.nc", tmp_path / "out.nnz"
    nnzip("sample", source, "--resolution", 3, "--hours", 48)
    output.write_text("precious")
    command = [sys.executable, "-m", "nnzip", "compress", str(source), "-o", str(output), "-f", "--ratio", "50"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.startswith("target") for line in process.stderr)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        message = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert message.endswith("error: interrupted; nothing was written\n")
    assert output.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.nc", "out.nnz"]

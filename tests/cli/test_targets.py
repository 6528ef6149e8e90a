"""`nnzip compress` with each kind of target, on real files: the decoded data have it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip as library
from nnzip.evaluate.weights import latitude_weights
from tests.conftest import Nnzip


def rmse(original: Path, decoded: Path, name: str, *, weighted: bool) -> float:
    """Of a variable in two files, computed here."""
    with library.open_dataset(original) as first, library.open_dataset(decoded) as second:
        error = (second[name].astype(float) - first[name].astype(float)).transpose(..., "latitude", "longitude")
        areas = latitude_weights(first["latitude"].to_numpy()) if weighted else np.ones(first.sizes["latitude"])
        squares, known = np.square(error.to_numpy()), np.isfinite(error.to_numpy())
    weights = np.broadcast_to(areas[:, None], squares.shape)
    return float(np.sqrt(np.average(squares[known], weights=weights[known])))


def test_rmse_in_units(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive, decoded = tmp_path / "a.nnz", tmp_path / "a.nc"
    wanted = "t2m=0.5degC,msl=1hPa,u10=0.4,v10=0.4,tp=5%,sst=0.3K,z=100"
    result = nnzip("compress", weather, "-o", archive, "--rmse", wanted, "--effort", "fast", "--json")
    nnzip("decompress", archive, "-o", decoded)
    for name, limit in {"t2m": 0.5, "msl": 100.0, "u10": 0.4, "sst": 0.3, "z": 100.0}.items():
        found = rmse(weather, decoded, name, weighted=True)
        assert 0.9 * limit < found <= limit * (1 + 1e-5), name
        assert found == pytest.approx(json.loads(result.stdout)["errors"][name]["rmse"], rel=1e-4)


def test_psnr_is_of_the_unweighted_error(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive, decoded = tmp_path / "a.nnz", tmp_path / "a.nc"
    nnzip("compress", weather, "-o", archive, "--psnr", 45, "--variables", "t2m,u10", "--effort", "fast")
    nnzip("decompress", archive, "-o", decoded)
    with library.open_dataset(weather) as original:
        for name in ("t2m", "u10"):
            spread = float(original[name].max() - original[name].min())
            found = 20 * np.log10(spread / rmse(weather, decoded, name, weighted=False))
            assert 45 - 1e-4 <= found < 46


def test_lossless(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive, decoded = tmp_path / "a.nnz", tmp_path / "a.nc"
    result = nnzip("compress", weather, "-o", archive, "--lossless", "--variables", "t2m,tp,sst", "--json")
    nnzip("decompress", archive, "-o", decoded)
    with library.open_dataset(weather) as original, library.open_dataset(decoded) as back:
        for name in ("t2m", "tp", "sst"):
            np.testing.assert_array_equal(original[name].to_numpy(), back[name].to_numpy())
    assert {errors["max_error"] for errors in json.loads(result.stdout)["errors"].values()} == {0.0}
    content = json.loads(nnzip("info", archive, "--json").stdout)
    assert content["configuration"]["lossless"] is True
    assert {entry["bound"] for entry in content["variables"].values()} == {0}
    with xr.open_dataset(weather) as other:
        other["t2m"][2, 3, 4] = np.nextafter(other["t2m"][2, 3, 4], np.float32(0))
        other.to_netcdf(tmp_path / "other.nc")
    nnzip("evaluate", weather, archive)
    said = nnzip("evaluate", tmp_path / "other.nc", archive, code=5).stderr
    assert "a.nnz, t2m: largest |error|: measured" in said


def test_a_share_of_the_range_of_a_constant_is_exact(tmp_path: Path, nnzip: Nnzip) -> None:
    coordinates = {"lat": np.arange(5.0), "lon": np.arange(8.0)}
    constant = xr.Dataset({"x": (("lat", "lon"), np.full((5, 8), 0.1))}, coordinates)
    constant.to_netcdf(tmp_path / "a.nc")
    nnzip("compress", tmp_path / "a.nc", "--max-error", "0.1%")
    assert json.loads(nnzip("info", tmp_path / "a.nnz", "--json").stdout)["variables"]["x"]["bound"] == 0
    nnzip("decompress", tmp_path / "a.nnz", "-o", tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc") as back:
        assert (back["x"].to_numpy() == 0.1).all()


@pytest.mark.parametrize(
    ("packing", "said"),
    [
        ({}, "its values are multiples of a step, the bound 0.1 is below half of it"),
        (
            {"dtype": "int16", "scale_factor": 0.25, "add_offset": 0.0, "_FillValue": -32767},
            "its values are multiples of 0.25, the bound 0.1 is below half of it",
        ),
    ],
    ids=["plain", "packed"],
)
def test_a_bound_below_half_a_step_of_the_values_is_said(
    packing: dict[str, object], said: str, tmp_path: Path, nnzip: Nnzip
) -> None:
    """Values on a lattice decode exactly under a bound that is finer: its user pays for noise."""
    waves = 40 * np.sin(np.arange(24.0)[:, None] / 3) * np.cos(np.arange(32.0) / 4)
    noise = np.random.default_rng(0).normal(size=(6, 24, 32))
    values = np.rint(4 * (waves + noise)) / 4
    coordinates = {"time": np.arange(6), "lat": np.arange(24.0), "lon": np.arange(32.0)}
    source = xr.Dataset({"x": (("time", "lat", "lon"), values.astype(np.float32), {"units": "m"})}, coordinates)
    source.to_netcdf(tmp_path / "a.nc", encoding={"x": packing})
    assert f"note: x decodes exactly: {said}" in nnzip("compress", tmp_path / "a.nc", "--max-error", "0.1").stderr
    nnzip("decompress", tmp_path / "a.nnz", "-o", tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc") as back:
        np.testing.assert_array_equal(back["x"], source["x"])
    assert "decodes exactly" not in nnzip("compress", tmp_path / "a.nc", "--max-error", "0.3", "-f").stderr


def tail_rmse(source: Path, decoded: Path, name: str) -> tuple[float, float]:
    """RMSE of all values and of those beyond the 2nd and 98th percentile."""
    with xr.open_dataset(source) as first, xr.open_dataset(decoded) as second:
        original, error = first[name].to_numpy(), second[name].to_numpy() - first[name].to_numpy()
    low, high = np.quantile(original, [0.02, 0.98])
    tail = (original > high) | (original < low)
    return float(np.sqrt(np.square(error).mean())), float(np.sqrt(np.square(error[tail]).mean()))


def test_extremes_have_smaller_errors_at_the_same_size(tmp_path: Path, nnzip: Nnzip) -> None:
    source = tmp_path / "source.nc"
    nnzip("sample", source, "--resolution", 5, "--hours", 96, "--step-hours", 6, "--variables", "t2m")
    found, sizes = {}, []
    for name, options in (("plain", ()), ("kept", ("--extremes", "p98:0.2", "--extremes", "t2m>p99.9:0.5"))):
        output = tmp_path / f"{name}.nnz"
        nnzip("compress", source, "-o", output, "--ratio", 30, "--effort", "fast", *options)
        nnzip("decompress", output)
        sizes.append(output.stat().st_size)
        found[name] = tail_rmse(source, tmp_path / f"{name}.nc", "t2m")
    assert max(sizes) < 1.01 * min(sizes)
    assert found["kept"][1] < 0.6 * found["plain"][1]
    assert found["kept"][0] < 1.6 * found["plain"][0]
    content = json.loads(nnzip("info", tmp_path / "kept.nnz", "--json").stdout)
    assert content["configuration"]["promises"] == ["extremes p2,p98:0.2", "extremes t2m>p99.9:0.5"]
    nnzip("verify", tmp_path / "kept.nnz")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--effort", "great"), ["--effort", "'great'", "'normal'"]),
        (("--lossless", "--ratio", 20), ["--ratio and --lossless are different targets"]),
        (("--tile", "time=0"), ["--tile time=0", "a whole number from 1"]),
        (("--tile", "48"), ["--tile 48", "time=48,latitude=240,longitude=240"]),
        (("--tile", "hight=3"), ["--tile hight=3", "no compressed variable has a dimension 'hight'", "latitude"]),
        (("--rmse", "1%", "--psnr", 60), ["--rmse", "--psnr"]),
        (("--psnr", -3), ["-3"]),
        (("--rmse", "t2m=0.1K"), ["no RMSE", "msl"]),
        (("--rmse", "t2m=0.1m,1%"), ["0.1 m", "K"]),
        (("--rmse", "nothing=1,1%"), ["nothing"]),
        (("--rmse", "0"), ["not positive"]),
        (("--rmse", "1e-7"), ["float32's rounding", "1e-07"]),
    ],
)
def test_bad_targets(
    options: tuple[object, ...], words: list[str], weather: Path, tmp_path: Path, nnzip: Nnzip
) -> None:
    result = nnzip("compress", weather, "-o", tmp_path / "a.nnz", *options, code=2)
    for word in words:
        assert word in " ".join(result.stderr.split()), result.stderr
    assert not list(tmp_path.iterdir())

"""Bounds from end to end: the archive's values, what is refused, and what the user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import nnzip
from nnzip.errors import UsageError


def dataset(values: NDArray[np.floating]) -> xr.Dataset:
    times = np.datetime64("2016-10-01", "ns") + np.arange(values.shape[0]) * np.timedelta64(6, "h")
    coords = {"time": times, "lat": np.linspace(60, 30, values.shape[1]), "lon": np.linspace(0, 40, values.shape[2])}
    made = xr.Dataset({"x": (("time", "lat", "lon"), values, {"units": "K"})}, coords)
    made["lat"].attrs["units"], made["lon"].attrs["units"] = "degrees_north", "degrees_east"
    return made


def noise(shape: tuple[int, ...] = (3, 11, 13)) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(280, 1, shape).astype(np.float32)


def largest_error(original: xr.Dataset, path: Path) -> float:
    with nnzip.open_archive(path) as archive:
        decoded = archive.dataset()["x"].to_numpy().astype(np.float64)
    wanted = original["x"].to_numpy().astype(np.float64)
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(wanted))
    return float(np.nanmax(np.abs(decoded - wanted)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bound", [0.05, np.float32(0.2), "1%"])
def test_a_bound_holds_in_the_file(tmp_path: Path, dtype: str, bound: float | str) -> None:
    values = noise().astype(dtype)
    values[:, 2:5, 3] = np.nan
    values[1, 7] = np.nan
    original = dataset(values)
    target = nnzip.Target(max_error={"x": bound})
    result = nnzip.compress(original, tmp_path / "a.nnz", nnzip.Options(target, tile={"lat": 8, "time": 2}))
    limit = 0.01 * float(np.nanmax(values) - np.nanmin(values)) if isinstance(bound, str) else float(bound)
    found = largest_error(original, tmp_path / "a.nnz")
    assert found <= limit
    assert result.errors["x"].max_error == pytest.approx(found)


def test_bound_below_the_guard_is_refused_with_numbers(tmp_path: Path) -> None:
    target = nnzip.Target(max_error={"x": 1e-7})
    with pytest.raises(UsageError, match=r"1e-07 K of x cannot be promised.*differ by.*float32 rounds by.*at least"):
        nnzip.compress(dataset(noise()), tmp_path / "a.nnz", target)
    assert not list(tmp_path.iterdir())


def test_notes_on_packing_and_on_second_compression(tmp_path: Path) -> None:
    original, target = dataset(noise()), nnzip.Target(max_error={"x": 0.1})
    original["x"].encoding["scale_factor"] = 0.5
    result = nnzip.compress(original, tmp_path / "a.nnz", target)
    assert any("half the step 0.5" in note for note in result.notes)
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        again = archive.dataset().load()
    second = nnzip.compress(again, tmp_path / "b.nnz", target)
    assert any("decoded by nnzip before" in note for note in second.notes)
    assert "nnzip_rmse" in again["x"].attrs


def test_variables_and_levels_share_an_archive(tmp_path: Path) -> None:
    sample = nnzip.make_sample(resolution=15.0, hours=12, step_hours=6)
    path = tmp_path / "a.nnz"
    bounds: dict[str | None, str | float] = {"t2m": "0.2K", "tp": "0.1mm", "msl": "1hPa", None: "1%"}
    result = nnzip.compress(sample, path, nnzip.Target(max_error=bounds))
    with nnzip.open_archive(path) as archive:
        decoded = archive.dataset().load()
        promised = {name: variable.bound for name, variable in archive.manifest.variables.items()}
    assert promised["t2m"] == pytest.approx(0.2)
    assert promised["tp"] == pytest.approx(1e-4)
    assert promised["msl"] == pytest.approx(100)
    for name in sample.data_vars:
        error = np.abs(decoded[name].astype("f8") - sample[name].astype("f8"))
        assert float(error.max()) <= (promised[str(name)] or 0)
        assert result.errors[str(name)].max_error == pytest.approx(float(error.max()))
    assert float(decoded["tp"].min()) >= 0


def test_values_beyond_float32_are_refused_unless_they_are_kept_exactly(tmp_path: Path) -> None:
    original = dataset(noise().astype(np.float64))
    original["x"][1, 2, 3] = 1e120
    for target in (nnzip.Target(max_error={"x": 1e118}), nnzip.Target(ratio=2), nnzip.Target(rmse={"x": 1e118})):
        with pytest.raises(nnzip.NnzipError, match="float32"):
            nnzip.compress(original, tmp_path / "a.nnz", target)
    assert not list(tmp_path.iterdir())
    nnzip.compress(original, tmp_path / "a.nnz", nnzip.Target(lossless=True))
    assert largest_error(original, tmp_path / "a.nnz") == 0


def test_the_largest_numbers_and_bounds_beyond_them(tmp_path: Path) -> None:
    """Where differences and sums leave float32's range, nothing is compressed with a loss."""
    original = dataset(noise())
    nnzip.compress(original, tmp_path / "a.nnz", nnzip.Target(max_error={"x": 1e39}))
    original["x"][1, 2, 3:] = 3e38
    for target in (nnzip.Target(max_error={"x": 1e36}), nnzip.Target(ratio=2)):
        with pytest.raises(nnzip.NnzipError, match="too large for float32"):
            nnzip.compress(original, tmp_path / "b.nnz", target)
    original["x"][0, 2, 3:] = np.nan
    nnzip.compress(original, tmp_path / "b.nnz", nnzip.Target(lossless=True))
    assert largest_error(original, tmp_path / "b.nnz") == 0

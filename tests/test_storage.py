"""Decoded variables take no more room than their bounds ask for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.errors import NnzipWarning
from tests.support.field_examples import smooth

STEP = 0.01


def weather(dtype: str) -> xr.Dataset:
    """Temperatures; "packed" lie on the lattice of 16-bit integers, as xarray decodes them to float64."""
    values = 280 + 10 * smooth((12, 20, 24))
    if dtype == "packed":
        values = np.round((values - 280) / STEP).astype(np.int16) * STEP + 280.0
    dims: dict[str, Any] = {"time": np.datetime64("2020-01-01", "ns") + np.arange(12) * np.timedelta64(1, "h")}
    dims |= {"latitude": np.linspace(60, 50, 20), "longitude": np.linspace(0, 12, 24)}
    data = xr.Dataset({"t2m": (tuple(dims), values.astype("float32" if dtype == "float32" else "float64"))}, dims)
    data["t2m"].attrs["units"] = "K"
    return data


def decompressed(data: xr.Dataset, target: nnzip.Target, folder: Path, *, packed: bool = False) -> xr.DataArray:
    nnzip.compress(data, folder / "t.nnz", target)
    nnzip.decompress(folder / "t.nnz", folder / "t.nc", packed=packed)
    with xr.open_dataset(folder / "t.nc") as file:
        return file["t2m"].load()


def test_packed_sources_are_packed_again_where_that_is_exact(tmp_path: Path) -> None:
    """A bound of few steps makes the archive keep the lattice."""
    data = weather("packed")
    found = decompressed(data, nnzip.Target(max_error=2.2 * STEP), tmp_path)
    assert found.encoding["dtype"] == np.int16
    assert found.encoding["scale_factor"] == pytest.approx(STEP)
    with nnzip.open_archive(tmp_path / "t.nnz") as archive:
        np.testing.assert_allclose(found, archive.dataset()["t2m"], rtol=0, atol=STEP / 100)  # limits are float32
    assert abs(found - data["t2m"]).max() <= 2.2 * STEP


def test_a_bound_that_leaves_no_room_is_kept_before_size(tmp_path: Path) -> None:
    data = weather("float32")
    with pytest.warns(NnzipWarning, match=r"t2m is not packed: 16 bits would add up to .* beyond its bound 0.05"):
        found = decompressed(data, nnzip.Target(max_error="0.05K"), tmp_path, packed=True)
    assert found.encoding["dtype"] == np.float32
    assert abs(found.astype("f8") - data["t2m"]).max() <= 0.05


def test_without_a_bound_values_are_packed_when_asked(tmp_path: Path) -> None:
    data = weather("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decompressed(data, nnzip.Target(ratio=5), tmp_path, packed=True)
    assert found.encoding["dtype"] == np.int16
    with nnzip.open_archive(tmp_path / "t.nnz") as archive:
        step = found.encoding["scale_factor"]
        assert abs(found - archive.dataset()["t2m"]).max() <= 0.51 * step


def test_double_numbers_are_written_as_single_ones_only_within_the_bound(tmp_path: Path) -> None:
    data = weather("float64")
    assert decompressed(data, nnzip.Target(ratio=5), tmp_path).encoding["dtype"] == np.float32
    (tmp_path / "far").mkdir()
    far = data + 1e6  # where single numbers are 0.06 apart
    exact = decompressed(far, nnzip.Target(max_error=0.03), tmp_path / "far")
    assert exact.encoding["dtype"] == np.float64
    assert abs(exact - far["t2m"]).max() <= 0.03


def test_a_narrower_file_claims_the_error_that_it_has(tmp_path: Path) -> None:
    data = weather("float64")
    for packed in (False, True):
        found = decompressed(data, nnzip.Target(ratio=5), _new(tmp_path / f"{packed}"), packed=packed)
        error = float(abs(found - data["t2m"]).max())
        assert found.encoding["dtype"] == (np.int16 if packed else np.float32)
        assert error <= found.attrs["nnzip_max_error"] <= 1.2 * error


def test_the_largest_numbers_stay_double(tmp_path: Path) -> None:
    data = weather("float64")
    data["t2m"][0, 0, 0] = 3.4e38
    found = decompressed(data, nnzip.Target(lossless=True), tmp_path)
    assert found.encoding["dtype"] == np.float64
    np.testing.assert_array_equal(found, data["t2m"])


def _new(path: Path) -> Path:
    path.mkdir()
    return path

"""numcodecs' contract, and Zarr format 2 through it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

from nnzip.integrations.numcodecs import TileCodec
from tests.support.chunk_examples import Values, waves

CONFIGURATIONS: tuple[dict[str, Any], ...] = (
    {"id": "nnzip", "max_error": 0.05},
    {"id": "nnzip", "max_error": "0.05 K", "fill_value": -1.0},
    {"id": "nnzip", "relative_error": "1%"},
    {"id": "nnzip", "rmse": 0.02},
)


@pytest.fixture(autouse=True)
def registered() -> None:
    """As the entry point does where nnzip is installed; test_an_installed_codec_is_found tests that."""
    numcodecs.register_codec(TileCodec)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_configuration_is_json_and_makes_the_same_codec(configuration: dict[str, Any]) -> None:
    codec = numcodecs.get_codec(json.loads(json.dumps(configuration)))
    assert codec.get_config() == configuration
    for same in (numcodecs.get_codec(codec.get_config()), pickle.loads(pickle.dumps(codec))):
        assert same == codec
        assert repr(same) == repr(codec)
        assert same.encode(waves((6, 8))) == codec.encode(waves((6, 8)))


def test_a_wrong_configuration_is_an_error_of_python() -> None:
    with pytest.raises(ValueError, match="needs one of"):
        numcodecs.get_codec({"id": "nnzip"})
    with pytest.raises(TypeError, match="level"):
        numcodecs.get_codec({"id": "nnzip", "level": 9})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, dtype="u1")])
def test_any_buffer_is_decoded_also_into_another_array(order: Any, kind: Any) -> None:
    array = np.asarray(waves((5, 6, 7)), order=order)
    codec = TileCodec(max_error=0.05)
    data = kind(codec.encode(array))
    found = codec.decode(data)
    assert np.abs(found - array).max() <= 0.05
    for out in (np.empty_like(array), bytearray(array.nbytes)):
        assert codec.decode(data, out=out) is not None
        filled = np.frombuffer(out, dtype=array.dtype) if isinstance(out, bytearray) else out.reshape(-1, order="A")
        assert np.array_equal(filled, found.reshape(-1, order="A"))


def test_what_is_no_array_of_floats_is_a_value_error() -> None:
    codec = TileCodec(max_error=0.05)
    with pytest.raises(ValueError, match="not uint8"):
        codec.encode(b"bytes")
    with pytest.raises(ValueError, match="no chunk of nnzip"):
        codec.decode(b"bytes")


def _create(path: Path, values: Values, **options: Any) -> Any:
    """An array of Zarr format 2, by Zarr 2 or 3."""
    newer: dict[str, Any] = {"zarr_format": 2} if int(zarr.__version__.split(".")[0]) > 2 else {}
    store = zarr.open_array(str(path), mode="w", shape=values.shape, dtype=values.dtype, **newer, **options)
    store[...] = values
    return zarr.open_array(str(path), mode="r")


@pytest.mark.parametrize("dtype", ["float32", ">f4", "float64", "float16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_format_2(tmp_path: Path, dtype: str, order: str) -> None:
    values = waves((7, 20, 30), dtype)
    values[:, 3:9, 4:8] = np.nan
    found = _create(tmp_path / "a", values, chunks=(3, 16, 30), order=order, compressor=TileCodec(max_error=0.5))
    assert found.dtype == values.dtype
    assert np.nanmax(np.abs(found[...].astype("f8") - values)) <= 0.5
    assert np.array_equal(np.isnan(found[...]), np.isnan(values))


def test_a_filter_before_a_compressor(tmp_path: Path) -> None:
    values = waves((4, 20, 30))
    filters, compressor = [TileCodec(relative_error=1e-4)], numcodecs.Zlib()
    found = _create(tmp_path / "a", values, chunks=(4, 20, 30), filters=filters, compressor=compressor)
    assert (np.abs(found[...].astype("f8") - values) <= 1e-4 * np.abs(values.astype("f8"))).all()


def test_an_installed_codec_is_found(tmp_path: Path, installed: dict[str, str]) -> None:
    """By xarray, in a process that imports nothing of nnzip: a dataset of Zarr format 2."""
    values = waves((4, 20, 30))
    newer = int(zarr.__version__.split(".")[0]) > 2
    compressor: dict[str, Any] = {"compressors" if newer else "compressor": TileCodec(max_error=0.05)}
    options: dict[str, Any] = {"zarr_format": 2} if newer else {}
    xr.Dataset({"t2m": (("time", "y", "x"), values)}).to_zarr(
        tmp_path / "a.zarr", encoding={"t2m": {**compressor, "chunks": (2, 20, 30)}}, **options
    )
    np.save(tmp_path / "values.npy", values)
    command = (
        "import numpy as np, sys, xarray as xr; found = xr.open_zarr('a.zarr', chunks=None).t2m.values; "
        "print(float(abs(found - np.load('values.npy')).max()) <= 0.05)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], env=installed, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr

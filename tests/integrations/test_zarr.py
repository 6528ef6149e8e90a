"""The serializer of Zarr format 3, by xarray and by Zarr itself."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nnzip
from tests.support.chunk_examples import Values, waves

zarr = pytest.importorskip("zarr", minversion="3")


@pytest.fixture(autouse=True)
def registered() -> None:
    """As the entry point does where nnzip is installed; test_a_dataset_is_read_without_nnzip tests that."""
    zarr.registry.register_codec("nnzip", nnzip.zarr.TileCodec)


def _create(path: Path, values: Values, codec: Any, **options: Any) -> Any:
    array = zarr.create_array(
        path, shape=values.shape, dtype=values.dtype, serializer=codec, compressors=None, **options
    )
    array[...] = values
    return zarr.open_array(path, mode="r")


def test_a_dataset_is_read_without_nnzip(tmp_path: Path, installed: dict[str, str]) -> None:
    """Written by xarray, read by xarray in a process that imports nothing of nnzip."""
    values = waves((6, 20, 30))
    values[:, 2:9, 4:7] = np.nan
    codec = nnzip.zarr.TileCodec(max_error="0.05 K")
    xr.Dataset({"t2m": (("time", "y", "x"), values, {"units": "K"})}).to_zarr(
        tmp_path / "a.zarr", encoding={"t2m": {"serializer": codec, "chunks": (3, 20, 20)}}, consolidated=False
    )
    written = json.loads((tmp_path / "a.zarr" / "t2m" / "zarr.json").read_text())["codecs"][0]
    assert written == {"name": "nnzip", "configuration": {"max_error": "0.05 K"}}
    np.save(tmp_path / "values.npy", values)
    command = (
        "import numpy as np, xarray as xr; values = np.load('values.npy')\n"
        "found = xr.open_zarr('a.zarr', chunks=None, consolidated=False).t2m.values\n"
        "print(np.nanmax(abs(found - values)) <= 0.05, (np.isnan(found) == np.isnan(values)).all())"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], env=installed, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True True\n", done.stderr


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(40,), (5, 12, 16), (2, 3, 1, 9, 10)])
def test_any_shape_and_float_type(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    values = waves(shape, dtype)
    chunks = tuple(max(size // 2, 1) for size in shape)
    found = _create(tmp_path / "a", values, nnzip.zarr.TileCodec(max_error=0.5), chunks=chunks)
    assert found.dtype == values.dtype
    assert np.abs(found[...].astype("f8") - values).max() <= 0.5


def test_chunks_of_a_shard(tmp_path: Path) -> None:
    values = waves((4, 24, 32))
    codec = nnzip.zarr.TileCodec(relative_error=1e-4)
    found = _create(tmp_path / "a", values, codec, chunks=(2, 12, 16), shards=(4, 24, 32))
    assert (np.abs(found[1, 3:20, 4:].astype("f8") - values[1, 3:20, 4:]) <= 1e-4 * values[1, 3:20, 4:]).all()


@pytest.mark.parametrize(
    "configuration", [{"max_error": 0.05}, {"relative_error": "1%", "fill_value": -9999.0}, {"rmse": "0.02 K"}]
)
def test_a_configuration_round_trips(configuration: dict[str, Any]) -> None:
    codec = nnzip.zarr.TileCodec(**configuration)
    assert codec.to_dict() == {"name": "nnzip", "configuration": configuration}
    assert nnzip.zarr.TileCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "nnzip", "configuration": {"max_error": 1, "level": 9}}, "has no level"),
        ({"name": "nnzip", "configuration": {}}, "needs one of"),
        ({"name": "nnzip"}, "configuration"),
        ({"name": "zstd", "configuration": {"max_error": 1}}, "nnzip"),
    ],
)
def test_wrong_metadata_are_a_value_error(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nnzip.zarr.TileCodec.from_dict(data)


def test_integers_are_refused_when_the_array_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not int16: leave dtype, scale_factor and add_offset"):
        zarr.create_array(tmp_path / "a", shape=(4,), dtype="int16", serializer=nnzip.zarr.TileCodec(max_error=1))


def test_a_chunk_of_another_array_is_a_value_error(tmp_path: Path) -> None:
    """A file copied to where another chunk belongs, and a file of something else."""
    codec = nnzip.zarr.TileCodec(max_error=0.5)
    _create(tmp_path / "a", waves((6, 8)), codec, chunks=(6, 8))
    found = _create(tmp_path / "b", waves((7, 8)), codec, chunks=(7, 8))
    chunk = Path("c", "0", "0")
    (tmp_path / "b" / chunk).write_bytes((tmp_path / "a" / chunk).read_bytes())
    with pytest.raises(ValueError, match=r"\(6, 8\) where the metadata say \(7, 8\)"):
        found[...]
    (tmp_path / "b" / chunk).write_bytes(b"nothing of nnzip")
    with pytest.raises(ValueError, match="no chunk of nnzip"):
        found[...]

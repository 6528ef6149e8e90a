"""A second reader of the container, written from docs/format_container.md alone, as the oracle of the first."""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nnzip.container.arrays import ArrayStore
from tests.support.archive_examples import TILES, write_example


def open_archive(path: Path) -> tuple[dict[str, Any], bytes, dict[str, bytes]]:
    """The manifest, the arrays, and the tiles by name."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    data = members.pop("nnzip")
    assert data[0] == 3
    coder = zlib.decompressobj(-15, zdict=(files("nnzip") / "container" / "dictionary.txt").read_bytes())
    return json.loads(coder.decompress(data[1:])), coder.unused_data, members


def numbers(stored: dict[str, Any], shape: tuple[int, ...], arrays: bytes) -> list[Any]:
    """A stored array, flat."""
    count, coding = math.prod(shape), stored.get("coding", "step")
    values: list[Any] = stored.get("values", [])
    kind, width = stored["dtype"][0], int(stored["dtype"][1:])
    offset, length = stored.get("offset", 0), stored.get("length", 0)
    code = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q"}.get(stored["dtype"], "I")
    if coding == "list":
        found = values if len(values) == count else values * count
        return found if kind == "U" else [struct.unpack(f"<{code}", struct.pack(f"<{code}", v))[0] for v in found]
    if coding in ("step", "span", "sum"):
        a, b, c = [*values, 0, 0, 1][: len(values)] + [0, 0, 1][len(values) :]
        if coding == "sum":
            found = [a]
            while len(found) < count:
                found.append(found[-1] + b)
            found[-1] = c if len(values) == 3 else found[-1]
        elif coding == "span":
            found = [*(a + i * ((b - a) / (count - 1)) for i in range(count - 1)), b]
        else:
            found = [(a + i * b) / c if kind == "f" else a + i * b for i in range(count)]
        return [struct.unpack(f"<{code}", struct.pack(f"<{code}", value))[0] for value in found]
    data = arrays[offset : offset + length]
    element = 4 * width if kind == "U" else width
    size = 4 if kind == "U" and coding.startswith("delta") else element
    planes = zlib.decompress(data, -15)
    many = len(planes) // size
    data = bytes(planes[plane * many + i] for i in range(many) for plane in range(size))
    if coding.startswith("delta"):
        bits = [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
        for _ in range(1 if coding == "delta" else 2):
            for i in range(1, len(bits)):
                bits[i] = (bits[i] + bits[i - 1]) % (1 << 8 * size)
        data = b"".join(value.to_bytes(size, "little") for value in bits)
    if kind == "U":
        return [data[i : i + element].decode("utf-32-le").rstrip("\0") for i in range(0, len(data), element)]
    return [value for (value,) in struct.iter_unpack(f"<{code}", data)]


def test_the_example_archive(tmp_path: Path) -> None:
    manifest = write_example(tmp_path / "a.nnz")
    found, arrays, tiles = open_archive(tmp_path / "a.nnz")
    assert tiles == TILES
    assert set(found["variables"]) == set(manifest.variables)
    assert found["variables"]["sst"]["sizes"] == [[], [4, 2]]
    mask = found["masks"][0]
    assert arrays[mask.get("offset", 0) :][: mask["length"]] == b"mask bytes"
    longitude = found["coordinates"]["lon"]
    assert numbers(longitude["data"], (found["dims"]["lon"],), arrays) == [45.0 * i for i in range(8)]


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        (np.linspace(-90, 90, 181).astype(np.float32), "step"),
        (np.round(34.75125 - 0.0075 * np.arange(99), 5), "step"),
        (np.arange(50) * 3600 + 1_700_000_000, "step"),
        (np.linspace(0.1, 7.3, 29), "span"),
        (np.add.accumulate(np.full(40, 0.1)), "sum"),
        (np.array([1000, 925, 850, 700, 500], np.float32), "list"),
        (np.array(["0001"] * 9), "list"),
        (RANDOM.integers(0, 1000, 100).astype(np.int32) * 7, "shuffle"),
        (np.cumsum(RANDOM.integers(0, 9, 300)), "delta"),
        ((np.arange(300) ** 2 + RANDOM.integers(0, 2, 300)).astype(np.int32), "delta2"),
        (np.array([f"station {i:03d} {'x' * (i % 7)}" for i in range(300)]), None),
    ],
)
def test_arrays(values: np.ndarray[Any, Any], coding: str | None) -> None:
    store = ArrayStore()
    store.add_bytes(b"before")
    stored = json.loads(msgspec.json.encode(store.add(values)))
    assert coding in (None, stored.get("coding", "step"))
    assert numbers(stored, values.shape, store.getvalue()) == values.tolist()

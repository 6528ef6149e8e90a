"""A small, complete archive for the tests of nnzip.container."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.mask import MaskEncoder
from nnzip.container.arrays import ArrayStore
from nnzip.container.deflate import deflate, inflate_first, manifest_dictionary
from nnzip.container.limits import MAX_INFLATION
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    Grid,
    KeptPromise,
    Manifest,
    MaskRange,
    RawVariable,
    Source,
)
from nnzip.container.reader import ArchiveReader
from nnzip.container.writer import ArchiveWriter
from nnzip.container.zip import Member, directory_bytes, local_header


def encode_mask(mask: NDArray[np.bool_], periodic: bool = False) -> bytes:
    """A whole mask [channel, time, latitude, longitude] at once."""
    encoder = MaskEncoder()
    encoder.add(mask)
    return encoder.encode(periodic)


TILES = {"0.0": bytes(range(200)), "0.1": bytes(range(100, 180)), "1.0": b"v10"}


def example_manifest(store: ArrayStore, **changes: Any) -> Manifest:
    """Two variables on (time 6, lat 5, lon 8), the first in two tiles; a mask, irregular times, text."""
    times = np.array([0.1, 1.25, 2.77, 4.5, 8.123, 77.7]) * 3600 + np.pi
    mask = store.add_bytes(b"mask bytes")
    fields: dict[str, Any] = {
        "nnzip": "0.1.0",
        "dims": {"time": 6, "lat": 5, "lon": 8, "station": 2},
        "source": Source(bytes=2 * 6 * 5 * 8 * 4, digest=b"digest"),
        "attrs": {"title": "example", "version": {"dtype": "<i2", "value": 3}, "levels": [1, 2.5]},
        "coordinates": {
            "time": RawVariable(store.add(times), ("time",), {"units": "seconds since 1970-01-01"}),
            "lat": RawVariable(store.add(np.linspace(-10, 10, 5)), ("lat",), {"units": "degrees_north"}),
            "lon": RawVariable(store.add(np.arange(8) * 45.0), ("lon",), {"units": "degrees_east"}),
            "height": RawVariable(store.add(np.array(2.0))),
        },
        "lossless": {"name": RawVariable(store.add(np.array(["here", "there"])), ("station",))},
        "variables": {
            "sst": CompressedVariable(
                ("time", "lat", "lon"),
                attrs={"units": "K"},
                sizes=((), (4, 2)),
                masks=(0, 1),
                bound=0.05,
                guard=1e-6,
                promises=(KeptPromise("preserve sst > 300 K", 12, 0, 0.5),),
                promise_bytes=7,
            ),
            "v10": CompressedVariable(("lat", "lon", "time"), dtype="float64"),
        },
        "order": ("v10", "name", "sst"),
        "grids": (Grid(("time", "lat", "lon")),),
        "masks": (MaskRange(10, mask),),
        "configuration": {"effort": "fast", "max_error": {"sst": 0.05}},
        "errors": {"sst": AchievedErrors(0.125, 1.5, -0.25)},
    }
    return Manifest(**{**fields, **changes})


def write_example(path: Path, overwrite: bool = False, **changes: Any) -> Manifest:
    store = ArrayStore()
    manifest = example_manifest(store, **changes)
    with ArchiveWriter(path, overwrite) as writer:
        for name, data in TILES.items():
            writer.add(name, data)
        writer.finish(manifest, store.getvalue())
    return manifest


def write_members(path: Path, members: Mapping[str, bytes]) -> Path:
    """A sound ZIP file."""
    data, entries = b"", []
    for name, content in members.items():
        entries.append(Member(name, len(data), len(content), zlib.crc32(content)))
        data += local_header(name, len(content), zlib.crc32(content)) + content
    path.write_bytes(data + directory_bytes(entries, len(data)))
    return path


def packed(text: bytes, arrays: bytes = b"") -> bytes:
    """The member with this JSON as its manifest."""
    return b"\3" + deflate(text, manifest_dictionary()) + arrays


def read_members(path: Path) -> dict[str, bytes]:
    """Every member of a ZIP file."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def manifest_text(member: bytes) -> tuple[dict[str, Any], bytes]:
    """Inverse of `packed`: the JSON of the manifest, and the arrays."""
    text, arrays = inflate_first(member[1:], len(member) * MAX_INFLATION, manifest_dictionary())
    manifest: dict[str, Any] = json.loads(text)
    return manifest, arrays


def read_all(path: Path) -> dict[str, Any]:
    """Everything in an archive, but for arrays of more than a million values."""
    with ArchiveReader(path) as reader:
        found: dict[str, Any] = {name: reader.read(name) for name in reader.sizes()}
        for name, variable in {**reader.manifest.coordinates, **reader.manifest.lossless}.items():
            if math.prod(reader.manifest.shape(variable.dims)) <= 1 << 20:
                found[name] = reader.read_array(variable).tobytes()
        for mask in reader.manifest.masks:
            found[f"mask {mask}"] = reader.arrays(mask.offset, mask.length)
        return {**found, "manifest": reader.manifest}

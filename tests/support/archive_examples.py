"""A small, complete archive for the tests of nnzip.archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.mask import MaskEncoder
from nnzip.container.arrays import ArrayStore
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    GroupEntry,
    Manifest,
    MaskEntry,
    RawVariable,
    SegmentEntry,
    Source,
)
from nnzip.container.zip import ArchiveWriter


def encode_mask(mask: NDArray[np.bool_], periodic: bool = False) -> bytes:
    """A whole mask [channel, time, latitude, longitude] at once."""
    encoder = MaskEncoder()
    encoder.add(mask)
    return encoder.encode(periodic)


FIELDS = {"f0": bytes(range(200)), "f1": bytes(range(100, 180))}


def example_manifest(store: ArrayStore, **changes: Any) -> Manifest:
    """Two variables on (time 6, lat 5, lon 8) in two segments, a mask, an irregular time axis and a string variable."""
    times = np.array([0.1, 1.25, 2.77, 4.5, 8.123, 77.7]) * 3600 + np.pi
    mask = store.add_bytes(b"mask bytes")
    fields: dict[str, Any] = {
        "format": 1,
        "nnzip": "0.1.0",
        "dims": {"time": 6, "lat": 5, "lon": 8, "station": 2},
        "source": Source(bytes=2 * 6 * 5 * 8 * 4, digest="0123abcd"),
        "attrs": {"title": "example", "version": {"dtype": "<i2", "value": 3}, "levels": [1, 2.5]},
        "coordinates": {
            "time": RawVariable(store.add(times), ("time",), {"units": "seconds since 1970-01-01"}),
            "lat": RawVariable(store.add(np.linspace(-10, 10, 5)), ("lat",), {"units": "degrees_north"}),
            "lon": RawVariable(store.add(np.arange(8) * 45.0), ("lon",), {"units": "degrees_east"}),
            "height": RawVariable(store.add(np.array(2.0))),
        },
        "lossless": {"name": RawVariable(store.add(np.array(["here", "there"], object)), ("station",))},
        "variables": {
            "sst": CompressedVariable(("time", "lat", "lon"), attrs={"units": "K"}),
            "v10": CompressedVariable(("lat", "lon", "time"), "float64"),
        },
        "order": ("v10", "name", "sst"),
        "groups": (
            GroupEntry(
                dims=("time", "lat", "lon"),
                variables=("sst", "v10"),
                segments=(SegmentEntry(4, field="f0"), SegmentEntry(6, 4, field="f1")),
                mask=MaskEntry(10, mask),
            ),
        ),
        "configuration": {"effort": "fast", "seed": 0},
        "errors": {"sst": AchievedErrors(0.125, 1.5, -0.25)},
    }
    return Manifest(**{**fields, **changes})


def write_example(path: Path, overwrite: bool = False, **changes: Any) -> Manifest:
    store = ArrayStore()
    manifest = example_manifest(store, **changes)
    with ArchiveWriter(path, overwrite) as writer:
        for name, data in FIELDS.items():
            writer.add(name, data)
        writer.add("arrays", store.getvalue())
        writer.finish(manifest)
    return manifest

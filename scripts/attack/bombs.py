"""Small files that ask for much: opening one of n bytes takes at most 64 MB + 20 n of memory and 2 s for each MB."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from attack.corruptions import zipped
from attack.running import FindingError
from nnzip.cli.info import describe
from nnzip.container.deflate import deflate, manifest_dictionary
from nnzip.errors import NnzipError
from nnzip.read import Archive

MEGABYTE = 1 << 20
SECONDS = 4.0
"""For the smallest file, on a busy machine; 2 s for each further MB."""


def bomb(number: int, folder: Path) -> str:
    """Many entries of one or several kinds, of a number that lies anywhere between few and millions."""
    rng = np.random.default_rng(number)
    size = int(rng.choice([0, 1, 7, 3000, 1 << 20]))
    manifest: dict[str, Any] = {"nnzip": "0.1.0", "dims": {"x": size}, "source": {"bytes": 0}}
    for _ in range(int(rng.integers(1, 4))):
        _fill(rng, manifest, int(10 ** rng.uniform(0, 4.7)))
    members = {f"{k}.0": b"" for k in range(len(manifest.get("variables", ())))}
    text = json.dumps(manifest, separators=(",", ":")).encode() + b" " * int(rng.choice([0, 0, 10_000_000]))
    path = folder / "bomb.nnz"
    path.write_bytes(zipped({**members, "nnzip": b"\3" + deflate(text, manifest_dictionary())}))
    size = path.stat().st_size
    started = time.process_time()
    opened = _open(path)
    seconds = time.process_time() - started
    if seconds > SECONDS + 2 * size / MEGABYTE:
        raise FindingError("unclean", f"{size} bytes take {seconds:.1f} s: {text[:300]!r}")
    tracemalloc.start()
    try:
        _open(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > 64 * MEGABYTE + 20 * size:
        raise FindingError("unclean", f"{size} bytes take {peak / MEGABYTE:.0f} MB: {text[:300]!r}")
    return "opened" if opened else "refused"


def _open(path: Path) -> bool:
    with contextlib.suppress(NnzipError), Archive(path) as archive:
        describe(str(path), archive.manifest, archive.reader.sizes(), archive.reader.file_bytes)
        archive.dataset()
        return True
    return False


def _fill(rng: np.random.Generator, manifest: dict[str, Any], count: int) -> None:
    """Add `count` entries of one kind."""
    names = [f"{rng.integers(9)}_{k}" for k in range(count)]
    array: dict[str, Any] = {
        "dtype": str(rng.choice(["f8", "i1", "U1", "U900", "U90000"])),
        "coding": "list",
        "values": [0],
    }
    if array["dtype"].startswith("U"):
        array["values"] = ["a"]
    becomes = str(rng.choice(["", "cftime", "datetime64[ns]", "object", "S1000", "S1000000", "StringDType", "bool"]))
    attrs = {"_nnzip_dtype": becomes, "units": "days since 2000-01-01"} if becomes else {}
    attrs |= {"calendar": "noleap"} if becomes == "cftime" else {}
    raw = {"data": array, "attrs": attrs}
    kind = int(rng.integers(12))
    if kind == 0:
        manifest.setdefault("attrs", {}).update(dict.fromkeys(names, count))
    elif kind == 1:
        manifest.setdefault("attrs", {})["long"] = [[], 1, "a", {}][int(rng.integers(4))] if count < 2 else [1] * count
    elif kind == 2:
        manifest.setdefault("attrs", {})["typed"] = {"dtype": f"|S{10 ** int(rng.integers(7))}", "value": ["a"] * count}
    elif kind == 3:
        manifest.setdefault("attrs", {})["json"] = {"dtype": "json", "value": "[" * count + "1," * count}
    elif kind == 4:
        manifest["dims"].update({name: int(rng.choice([1, 3000])) for name in names})
    elif kind == 5:
        manifest.setdefault("coordinates", {}).update(dict.fromkeys(names, raw))
    elif kind == 6:
        manifest.setdefault("lossless", {}).update({name: {**raw, "dims": ["x"]} for name in names})
    elif kind == 7:
        manifest["dims"].update({name: int(rng.choice([1, 10])) for name in names})
        manifest.setdefault("coordinates", {}).update(dict.fromkeys(names, raw))
    elif kind == 8:
        manifest.setdefault("coordinates", {})["x"] = {**raw, "dims": ["x"]}
    elif kind == 9:
        manifest["dims"] |= {"a": 2, "b": 2}
        manifest["grids"] = [{"dims": ["a", "b"], "geographic": [False] * 3}] * int(rng.choice([1, count]))
        manifest.setdefault("variables", {}).update({name: {"dims": ["a", "b"]} for name in names})
    elif kind == 10:
        manifest["masks"] = [{"length": 1, "offset": k} for k in range(count)]
    else:
        manifest["configuration"] = {"text": "a" * (100 * count)}

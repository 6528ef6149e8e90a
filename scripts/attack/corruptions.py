"""Damaged archives: refused with a word, or what they were. Forged ones (right checksums): read or refused.

The archives are the golden ones of tests/golden, of every coding. Each is read in three ways: its container (members,
checksums, manifest, arrays), its tiles, or all of it as a user does.
"""

from __future__ import annotations

import io
import json
import math
import zlib
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from attack.running import FindingError
from nnzip.cli.info import describe
from nnzip.coder.mask import decode_mask
from nnzip.container.deflate import deflate, inflate_first, manifest_dictionary
from nnzip.container.manifest import base_member
from nnzip.container.reader import MANIFEST_MEMBER, ArchiveReader
from nnzip.container.zip import Member, directory_bytes, local_header
from nnzip.plan.cutting import tile_box
from nnzip.read import PREVIEWS, Archive
from nnzip.tile.decode import decode_maps, decode_preview, decode_tile, preview_size

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
Members = dict[str, bytes]


@cache
def archives() -> dict[str, bytes]:
    """The archives by name."""
    return {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.nnz"))}


@cache
def members_of(name: str) -> Members:
    with ArchiveReader(GOLDEN / f"{name}.nnz") as reader:
        return {member: reader.read(member) for member in reader.sizes()}


def damaged(number: int, folder: Path) -> str:
    """Bytes of a file change, go or come."""
    rng = np.random.default_rng(number)
    name = str(rng.choice(list(archives())))
    path = folder / "damaged.nnz"
    path.write_bytes(damage(rng, archives()[name]))
    if rng.random() < 0.01:
        found, expected = everything(path), everything_of(name)
    else:
        found, expected = _container(path), _container_of(name)
    if found != expected:
        raise FindingError("wrong", f"{name} reads as something else")
    return "the same"


def forged_member(number: int, folder: Path) -> str:
    """A tile, a mask or an array changes, and the checksums with it."""
    rng = np.random.default_rng(number)
    name = str(rng.choice(list(archives())))
    members = dict(members_of(name))
    member = str(rng.choice(list(members)))
    if member == MANIFEST_MEMBER:
        text, arrays = _manifest(name)
        members[member] = b"\3" + deflate(text, manifest_dictionary()) + (damage(rng, arrays) if arrays else b"")
    else:
        members[member] = damage(rng, members[member])
        if rng.random() < 0.9:
            return _read_tile(name, member, members[member], int(rng.integers(0, 4)))
    path = folder / "forged.nnz"
    path.write_bytes(zipped(members))
    everything(path)
    return "read"


def forged_manifest(number: int, folder: Path) -> str:
    """Entries of the manifest are replaced, removed, copied, added, and the checksums are right."""
    rng = np.random.default_rng(number)
    name = str(rng.choice(list(archives())))
    text, arrays = _manifest(name)
    root = json.loads(text)
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        _alter(rng, root)
    members = {**members_of(name), MANIFEST_MEMBER: b"\3" + deflate(_json(root), manifest_dictionary()) + arrays}
    path = folder / "forged.nnz"
    path.write_bytes(zipped(members))
    everything(path)
    return "read"


def damage(rng: np.random.Generator, data: bytes) -> bytes:
    """One to three changes of bytes."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = len(found)
        start = int(rng.integers(size + 1)) if rng.random() < 0.7 else min(int(rng.integers(1, 120)), size)
        stop = min(start + int(rng.integers(1, 1 + min(int(rng.choice([1, 4, 40, 4000])), max(size, 1)))), size)
        kind = int(rng.integers(8))
        if kind == 0 and start < size:
            found[start] ^= 1 << int(rng.integers(8))
        elif kind == 1 and start < size:
            found[start] = int(rng.choice([0, 1, 127, 128, 255]))
        elif kind == 2:
            found[start:stop] = rng.integers(0, 256, stop - start, dtype=np.uint8).tobytes()
        elif kind == 3:
            del found[start:stop]
        elif kind == 4:
            found[start:start] = found[start:stop] or b"\0"
        elif kind == 5:
            found[start:start] = rng.integers(0, 256, max(stop - start, 1), dtype=np.uint8).tobytes()
        elif kind == 6:
            found[start:stop] = bytes(stop - start)
        else:
            del found[start:]
    return bytes(found)


_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 7, 48, 255, 2**31, 2**40, 2**62, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, 5e-324,
    "", "time", "latitude", "t", "x" * 2000, "\x1b[31m", "nan", "float64", "float32", "U3", "f8", "i2", "list", "delta",
    "cftime", "datetime64[ns]", "timedelta64[s]", "S4", "StringDType", "object", "bool", "days since 2000-01-01",
    "hours since 1-1-1", "noleap", "360_day", [], [[]], [0], [1, 2, 3], ["a", "b"], {}, {"a": {}},
    {"dtype": "<f4", "value": [1, 2], "shape": [2, 1]}, {"dtype": "json", "value": "[["},
    {"dtype": "<M8[ns]", "value": 3},
    {"dtype": "bytes", "value": "ÿ"}, {"dtype": "float", "value": "nan"}, {"dtype": "|S3", "value": ["a", "b"]},
)  # fmt: skip
_KEYS = (
    "_nnzip_dtype", "_nnzip_unlimited", "units", "calendar", "_FillValue", "missing_value", "scale_factor", "bounds",
    "coordinates", "axis", "standard_name", "dtype", "time", "lat", "t", "", "order", "sizes", "masks",
)  # fmt: skip


def _alter(rng: np.random.Generator, root: dict[str, Any]) -> None:
    places = _places(root)
    node, key = places[int(rng.integers(len(places)))]
    value = deepcopy(_VALUES[int(rng.integers(len(_VALUES)))])
    kind = int(rng.integers(5))
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[str(rng.choice(_KEYS))] = value
    elif kind == 2 and isinstance(node[key], dict):
        node[key][str(rng.choice(_KEYS))] = value
    elif kind == 3:
        other, place = places[int(rng.integers(len(places)))]
        node[key] = json.loads(_json(other.get(place) if isinstance(other, dict) else other[place]))
    elif isinstance(node[key], int) and rng.random() < 0.5:
        node[key] += int(rng.integers(-3, 4))
    else:
        node[key] = value


def _places(node: Any) -> list[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [place for key in keys for place in _places(node[key])]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@cache
def _manifest(name: str) -> tuple[bytes, bytes]:
    return inflate_first(members_of(name)[MANIFEST_MEMBER][1:], 1 << 24, manifest_dictionary())


def zipped(members: Members) -> bytes:

    file, entries = io.BytesIO(), []
    for name, content in members.items():
        crc = zlib.crc32(content)
        entries.append(Member(name, file.tell(), len(content), crc))
        file.write(local_header(name, len(content), crc) + content)
    file.write(directory_bytes(entries, file.tell()))
    return file.getvalue()


def _container(path: Path) -> list[Any]:
    """Everything that decoding depends on."""
    with ArchiveReader(path) as reader:
        manifest = reader.manifest
        tiles = [math.prod(map(len, manifest.pieces(variable))) for variable in manifest.variables.values()]
        needed = [f"{number}.{tile}" for number, count in enumerate(tiles) for tile in range(count)]
        raw = {**manifest.coordinates, **manifest.lossless}
        found: list[Any] = [manifest, *(reader.read(member) for member in needed)]
        found += [reader.read_array(variable).tobytes() for variable in raw.values()]
        return found + [reader.arrays(mask.offset, mask.length) for mask in manifest.masks]


@cache
def _container_of(name: str) -> list[Any]:
    return _container(GOLDEN / f"{name}.nnz")


def everything(path: Path | str, with_preview: bool = True) -> list[Any]:
    """What a user gets: info, the dataset, a preview."""
    with Archive(path) as archive:
        if isinstance(path, Path):
            describe(str(path), archive.manifest, archive.reader.sizes(), archive.reader.file_bytes)
        dataset = archive.dataset()
        found: list[Any] = [dict(dataset.sizes), str(dataset.attrs)]
        for name, variable in dataset.variables.items():
            if variable.size > 1 << 22:
                continue  # a formula that is larger than the file
            values = np.asarray(variable.values)
            content = str(values.tolist()) if values.dtype.kind == "O" else values.tobytes()
            found += [name, variable.dims, str(variable.attrs), values.dtype, content]
    if not with_preview:
        return found
    with Archive(path, preview=list(PREVIEWS)[1]) as archive:
        preview = archive.dataset()
        for name in archive.manifest.variables:
            if preview[name].size <= 1 << 22:
                preview[name].load()
    return found


@cache
def everything_of(name: str) -> list[Any]:
    return everything(GOLDEN / f"{name}.nnz")


def _read_tile(name: str, member: str, data: bytes, halvings: int) -> str:
    number, tile = member.split(".")
    maps = None
    with ArchiveReader(GOLDEN / f"{name}.nnz") as reader:
        manifest = reader.manifest
        variable = list(manifest.variables.values())[int(number)]
        pieces = manifest.pieces(variable)
        place = int(tile.removeprefix("base"))
        channels, times, rows, columns = tile_box(pieces, place).shape
        shape = channels, times, rows, columns
        if variable.base and tile.startswith("base"):
            shape = variable.base.count, channels, rows, columns
        elif variable.base:
            below = base_member(int(number), place % (len(pieces[0]) * len(pieces[2]) * len(pieces[3])))
            maps = decode_maps(reader.read(below), variable.base.count, shape, halvings=halvings)
    if halvings:
        found = decode_preview(data[: preview_size(data, halvings)], shape, halvings, maps=maps)
    else:
        found = decode_tile(data, shape, maps=maps)
        if found.shape != shape:
            raise FindingError("wrong", f"a tile of {shape} has the shape {found.shape}")
    return "read" if np.isfinite(found).all() else "read, not finite"


def forged_mask(number: int, folder: Path) -> str:
    """A mask alone, of a shape that it may not fit."""
    rng = np.random.default_rng(number)
    name = str(rng.choice([name for name in archives() if _masks(name)]))
    mask = _masks(name)[int(rng.integers(len(_masks(name))))]
    shape = tuple(int(size) for size in rng.integers(1, 30, 4)) if rng.random() < 0.5 else (1, 3, 16, 32)
    decode_mask(damage(rng, mask), (shape[0], shape[1], shape[2], shape[3]))
    return "read"


@cache
def _masks(name: str) -> list[bytes]:
    with ArchiveReader(GOLDEN / f"{name}.nnz") as reader:
        return [reader.arrays(mask.offset, mask.length) for mask in reader.manifest.masks]

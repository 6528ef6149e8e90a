"""Hostile files: a clean refusal, soon, and in little memory."""

from __future__ import annotations

import contextlib
import json
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnzip.cli.info import describe
from nnzip.container.deflate import inflate_first, manifest_dictionary
from nnzip.container.reader import ArchiveReader
from nnzip.container.zip import Member, directory_bytes
from nnzip.errors import CorruptArchiveError, NnzipError
from nnzip.read import Archive
from tests.support.archive_examples import TILES, packed, read_all, write_example, write_members

MEGABYTE = 1 << 20

# --- bombs ------------------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"nnzip": "0.1.0", "dims": {"x": 1}, "source": {"bytes": 0}}


def tree(**changes: Any) -> bytes:
    return json.dumps({**SMALL, **changes}, separators=(",", ":")).encode()


def many_formulas(count: int, size: int) -> bytes:
    coordinates = {f"c{i}": {"data": {"dtype": "f8", "values": [0, 1]}} for i in range(count)}
    return tree(dims={f"c{i}": size for i in range(count)}, coordinates=coordinates)


def raws(kind: str, count: int, data: dict[str, Any] | None = None) -> bytes:
    return tree(**{kind: {f"c{i}": {"data": data or {"dtype": "f8", "values": [0, 1]}} for i in range(count)}})


def axis(data: dict[str, Any], size: int = 1 << 20, becomes: str = "object", **attrs: str) -> bytes:
    raw = {"data": data, "attrs": {**attrs, "_nnzip_dtype": becomes}}
    return tree(dims={"x": size}, coordinates={"x": raw})


def many_grids(size: int) -> bytes:
    return tree(dims={"a": size, "b": 1}, grids=[{"dims": ["a", "b"], "geographic": [False] * 3}])


MANY = 2000
BOMBS = {
    "empty lists": tree(attrs={"x": 0}).replace(b'"x":0', b'"x":[' + b"[]," * 20_000_000 + b"[]]"),
    "flat list": tree(attrs={"x": 0}).replace(b'"x":0', b'"x":[' + b"1," * 4_000_000 + b"1]"),
    "many attributes": tree(attrs={f"{i}": 1 for i in range(600_000)}),
    "largest allowed attributes": tree(attrs={f"{i}": 1 for i in range(195_000)}),
    "largest allowed variables": tree(
        dims={"a": 1, "b": 1},
        variables={f"{i}": {"dims": ["a", "b"]} for i in range(MANY)},
        grids=[{"dims": ["a", "b"]}],
    ),
    "empty typed lists": tree(attrs={f"{i}": [] for i in range(90_000)}),
    "spaces": tree() + b" " * 60_000_000,
    "long text": tree(attrs={"x": "a" * 60_000_000}),
    "deep": b'{"attrs":' + b'{"x":' * 1_000_000,
    "deep lists": b"[" * 8_000_000,
    "one huge axis": many_formulas(1, 1 << 28),
    "many large axes": many_formulas(64, 1 << 20),
    "many formulas": many_formulas(1000, 3000),
    "axes without coordinates": many_grids(1 << 28),
    "scalars": raws("coordinates", 1990),
    "lossless scalars": raws("lossless", 1990),
    "axes of two values": tree(
        dims={f"{i}": 2 for i in range(1990)},
        coordinates={f"{i}": {"data": {"dtype": "f8", "values": [0, 1]}} for i in range(1990)},
    ),
    "many scalars": raws("coordinates", 30_000),
    "grids": tree(dims={"a": 1, "b": 1}, grids=[{"dims": ["a", "b"]}] * 30_000),
    "wide text": raws("coordinates", 100, {"dtype": "U900000", "coding": "list", "values": ["a"]}),
    "much text": axis({"dtype": "U1", "coding": "list", "values": ["a"]}),
    "calendar": axis({"dtype": "f8", "values": [0, 1]}, units="days since 1-1-1", calendar="noleap", becomes="cftime"),
    "wide bytes": axis({"dtype": "U1", "coding": "list", "values": ["a"]}, size=60, becomes="S1000000"),
    "wide attributes": tree(attrs={f"{i}": {"dtype": "|S1000000", "value": ["a"] * 100} for i in range(100)}),
    "deep attributes": tree(attrs={"x": {"dtype": "json", "value": "[" * 20_000}}),
    "tiles": tree(
        dims={"t": 2000, "a": 1, "b": 1},
        grids=[{"dims": ["t", "a", "b"]}],
        variables={f"v{i}": {"dims": ["t", "a", "b"], "sizes": [[], [1] * 2000]} for i in range(50)},
    ),
    "overlapping masks": tree(masks=[{"length": 10_000, "offset": i} for i in range(50_000)]),
}


TILES_OF_MANY = {f"{i}.0": b"" for i in range(MANY)}


def opened_once(folder: Path) -> None:
    """What is imported by the first archive is no cost of the second."""
    write_example(folder / "first.nnz", overwrite=True)
    with Archive(folder / "first.nnz") as archive:
        archive.dataset()


def cost(path: Path) -> tuple[float, int]:
    """Seconds and bytes of memory that opening and describing takes, refused or not."""

    def opened() -> None:
        with contextlib.suppress(CorruptArchiveError), Archive(path) as archive:
            describe(str(path), archive.manifest, archive.reader.sizes(), archive.reader.file_bytes)
            archive.dataset()

    opened_once(path.parent)
    started = time.process_time()
    opened()
    seconds = time.process_time() - started
    tracemalloc.start()
    try:
        opened()
        return seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_in_the_manifest(tmp_path: Path, name: str) -> None:
    arrays = bytes(60_000) if name == "overlapping masks" else b""
    path = write_members(tmp_path / "bomb.nnz", {**TILES_OF_MANY, "nnzip": packed(BOMBS[name], arrays)})
    seconds, memory = cost(path)
    assert memory <= 64 * MEGABYTE + 20 * path.stat().st_size
    assert seconds <= 2 + 2 * path.stat().st_size / MEGABYTE


def test_bombs_in_the_directory(tmp_path: Path) -> None:
    """A directory of many entries without members, and with members of no bytes."""
    entry = directory_bytes([Member("0", 0, 0, 0)], 0)[:-22]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFE, 0xFFFE, 0xFFFE * len(entry), 0, 0)
    (tmp_path / "entries").write_bytes(entry * 0xFFFE + end)
    write_members(tmp_path / "members", {f"{i:x}": b"" for i in range(30_000)} | {"nnzip": packed(tree())})
    for path in tmp_path.iterdir():
        seconds, memory = cost(path)
        assert memory <= 64 * MEGABYTE + 20 * path.stat().st_size
        assert seconds <= 2 + 2 * path.stat().st_size / MEGABYTE


# --- altered manifests, with right checksums --------------------------------------------------------------------------

NAMES = st.sampled_from(["time", "lat", "lon", "station", "sst", "v10", "name", "height", "", "x" * 2000, "\x1b[31m"])
NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**40, 2**63, 2**64, 10**400, -(2**63), 1.5, -0.0, 1e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, NAMES, st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON tree."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


@st.composite
def alterations(draw: st.DrawFn, text: bytes) -> bytes:
    """The manifest with one to four entries replaced, removed, added, or copied from elsewhere."""
    root = json.loads(text)
    for _ in range(draw(st.integers(1, 4))):
        found = places(root)
        if not found:
            break
        node, key = draw(st.sampled_from(found))
        action = draw(st.sampled_from(["replace", "remove", "add", "copy"]))
        if action == "remove":
            del node[key]
        elif action == "add" and isinstance(node, dict):
            node[draw(NAMES)] = draw(VALUES)
        elif action == "copy":
            other, place = draw(st.sampled_from(found))
            node[key] = json.loads(json.dumps(other[place])) if place in other or isinstance(other, list) else 0
        else:
            node[key] = draw(VALUES)
    return json.dumps(root).encode()


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_altered_manifests_are_read_or_refused(archive: Path, data: st.DataObject) -> None:
    with ArchiveReader(archive) as reader:
        members = {name: reader.read(name) for name in reader.sizes()}
    text, arrays = inflate_first(members["nnzip"][1:], MEGABYTE, manifest_dictionary())
    changed = data.draw(alterations(text))
    path = write_members(archive.with_name("altered.nnz"), {**members, "nnzip": packed(changed, arrays)})
    with contextlib.suppress(CorruptArchiveError):
        read_all(path)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_in_place_of_the_manifest(archive: Path, data: bytes) -> None:
    path = write_members(archive.with_name("altered.nnz"), {**TILES, "nnzip": data})
    with pytest.raises(NnzipError):
        ArchiveReader(path)


def test_a_stored_array_that_lies(archive: Path) -> None:
    """A checked manifest still describes arrays that turn out damaged; that is said when they are read."""
    with ArchiveReader(archive) as reader:
        members = {name: reader.read(name) for name in reader.sizes()}
    text, arrays = inflate_first(members["nnzip"][1:], MEGABYTE, manifest_dictionary())
    root = json.loads(text)
    root["coordinates"]["lat"]["data"] = {"dtype": "f8", "coding": "shuffle", "length": 3, "offset": len(arrays)}
    path = write_members(archive, {**members, "nnzip": packed(json.dumps(root).encode(), arrays + b"\1\2\3")})
    with ArchiveReader(path) as reader, pytest.raises(CorruptArchiveError, match=r"example\.nnz: deflated bytes"):
        reader.read_array(reader.manifest.coordinates["lat"])

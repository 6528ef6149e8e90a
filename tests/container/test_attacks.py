"""Files that are damaged, foreign or hostile: a clean refusal, soon, and in little memory."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnzip.container.deflate import deflate, inflate_first, manifest_dictionary
from nnzip.container.reader import ArchiveReader
from nnzip.container.zip import Member, directory_bytes, local_header
from nnzip.errors import CorruptArchiveError, InputError, NnzipError, OldFormatError
from tests.support.archive_examples import TILES, write_example

MEGABYTE = 1 << 20


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "example.nnz"
    write_example(path)
    return path


def write_members(path: Path, members: Mapping[str, bytes]) -> Path:
    """A sound ZIP file."""
    data, entries = b"", []
    for name, content in members.items():
        entries.append(Member(name, len(data), len(content), zlib.crc32(content)))
        data += local_header(name, len(content), zlib.crc32(content)) + content
    path.write_bytes(data + directory_bytes(entries, len(data)))
    return path


def packed(text: bytes, arrays: bytes = b"") -> bytes:
    return b"\3" + deflate(text, manifest_dictionary()) + arrays


def read_all(path: Path) -> dict[str, Any]:
    """Everything in an archive, but for arrays of more than a million values."""
    with ArchiveReader(path) as reader:
        found: dict[str, Any] = {name: reader.read(name) for name in reader.sizes()}
        for name, variable in {**reader.manifest.coordinates, **reader.manifest.lossless}.items():
            if math.prod(reader.manifest.shape(variable.dims)) <= MEGABYTE:
                found[name] = reader.read_array(variable).tobytes()
        for mask in reader.manifest.masks:
            found[f"mask {mask}"] = reader.arrays(mask.offset, mask.length)
        return {**found, "manifest": reader.manifest}


# --- foreign files ----------------------------------------------------------------------------------------------------


def test_files_of_other_formats_are_bad_input(tmp_path: Path) -> None:
    xr.Dataset({"t": ("x", [1.0])}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    xr.Dataset({"t": ("x", [1.0])}).to_netcdf(tmp_path / "b.nc", engine="netcdf4", format="NETCDF3_CLASSIC")
    (tmp_path / "c.grib").write_bytes(b"GRIB" + bytes(96) + b"7777")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("PK is how Phil Katz signed")
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("t2m/0.0", b"chunk" * 100)
        file.writestr("manifest.json", b'{"name": "an extension", "format": 7}')
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=rf"{path.name}: it is (a ZIP file, but )?(no nnzip archive|empty)"):
            ArchiveReader(path)
    for path in (tmp_path, tmp_path / "gone.nnz"):
        with pytest.raises(InputError, match=f"cannot open {path}"):
            ArchiveReader(path)


@pytest.mark.parametrize("number", [1, 2])
def test_archives_of_formats_1_and_2_are_named(tmp_path: Path, number: int) -> None:
    with zipfile.ZipFile(tmp_path / "old.nnz", "w") as file:
        file.writestr("f0", bytes(100))
        file.writestr("manifest.json", b'{"format":%d,"nnzip":"0.1.0","dims":{}}' % number, zipfile.ZIP_DEFLATED, 9)
    with pytest.raises(OldFormatError, match=r"old\.nnz: it has format 1 or 2") as caught:
        ArchiveReader(tmp_path / "old.nnz")
    assert caught.value.exit_code == 6


# --- damage -----------------------------------------------------------------------------------------------------------


def test_every_truncation_is_noticed(archive: Path) -> None:
    data = archive.read_bytes()
    for length in range(4, len(data)):
        archive.write_bytes(data[:length])
        with pytest.raises(CorruptArchiveError):
            ArchiveReader(archive)


def test_every_flipped_byte_is_noticed_or_changes_nothing(archive: Path) -> None:
    data, expected = archive.read_bytes(), read_all(archive)
    noticed = 0
    for position in range(len(data)):
        archive.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            assert read_all(archive) == expected  # dates and attributes that nobody reads
        except NnzipError:
            noticed += 1
    assert noticed > 0.75 * len(data)


def patched(path: Path, name: str, offset: int, data: bytes, local: int | None = None) -> Path:
    """Overwrite part of a member's directory entry, and the same field of its local header at `local`."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(name.encode(), 0, -22) - 46
    content[entry + offset : entry + offset + len(data)] = data
    if local is not None:
        header = content.index(name.encode()) - 30
        content[header + local : header + local + len(data)] = data
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "offset", "value", "message"),
    [
        ("0.0", 8, struct.pack("<H", 1), '"0.0" is encrypted'),
        ("0.0", 10, struct.pack("<H", 14), '"0.0" has compression method 14'),
        ("0.0", 20, struct.pack("<2L", 10_000, 10_000), 'declares 10000 bytes at 33, only|"0.1" overlaps'),
        ("1.0", 20, struct.pack("<2L", 0x7FFFFFF0, 0x7FFFFFF0), "declares 2147483632 bytes; the limit is"),
        ("0.0", 24, struct.pack("<L", 100_000), "stored with 200 bytes but declares 100000"),
        ("0.1", 42, struct.pack("<L", 0), "overlaps"),
        ("0.1", 46, b"0.0", 'two members named "0.0"'),
        ("0.1", 46, b"\xff\xff\xff", "no text"),
        ("0.0", 28, struct.pack("<H", 60_000), "damaged"),
        ("nnzip", 42, struct.pack("<L", 0xFFFFFFFF), "offset is missing"),
        ("nnzip", 42, struct.pack("<L", 0xFFFFFFF0), "only 0 are there"),
    ],
)
def test_a_damaged_directory(archive: Path, name: str, offset: int, value: bytes, message: str) -> None:
    with pytest.raises(CorruptArchiveError, match=message):
        ArchiveReader(patched(archive, name, offset, value))


def test_a_damaged_local_header(archive: Path) -> None:
    data = archive.read_bytes()
    for offset in (0, 8, 14, 18, 22, 26, 30):
        archive.write_bytes(data[:offset] + bytes([data[offset] ^ 0x11]) + data[offset + 1 :])
        with (
            ArchiveReader(archive) as reader,
            pytest.raises(CorruptArchiveError, match=r'member "0\.0"'),
        ):
            reader.read("0.0")


def test_a_damaged_member_is_noticed_when_it_is_read(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[data.rindex(TILES["0.1"])] ^= 1
    archive.write_bytes(data)
    with ArchiveReader(archive) as reader:
        assert reader.read("0.0") == TILES["0.0"]
        with pytest.raises(CorruptArchiveError, match=r'"0\.1" is damaged: its CRC-32 is'):
            reader.read("0.1")
        with pytest.raises(CorruptArchiveError, match=r'no member "0\.7"; it has 0\.0, 0\.1'):
            reader.read("0.7")


def test_a_file_shortened_while_open(archive: Path) -> None:
    with ArchiveReader(archive) as reader:
        archive.write_bytes(archive.read_bytes()[:150])
        with pytest.raises(CorruptArchiveError, match=r'"0\.0" ends after .* of 200 bytes: the file is truncated'):
            reader.read("0.0")
        with pytest.raises(CorruptArchiveError, match=r'"1\.0" is beyond the end'):
            reader.read("1.0")


# --- bombs ------------------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"nnzip": "0.1.0", "dims": {"x": 1}, "source": {"bytes": 0}}


def tree(**changes: Any) -> bytes:
    return json.dumps({**SMALL, **changes}, separators=(",", ":")).encode()


def many_formulas(count: int, size: int) -> bytes:
    coordinates = {f"c{i}": {"data": {"dtype": "f8", "values": [0, 1]}} for i in range(count)}
    return tree(dims={f"c{i}": size for i in range(count)}, coordinates=coordinates)


def many_grids(size: int) -> bytes:
    return tree(dims={"a": size, "b": 1}, grids=[{"dims": ["a", "b"], "geographic": [False] * 3}])


BOMBS = {
    "empty lists": tree(attrs={"x": 0}).replace(b'"x":0', b'"x":[' + b"[]," * 20_000_000 + b"[]]"),
    "flat list": tree(attrs={"x": 0}).replace(b'"x":0', b'"x":[' + b"1," * 4_000_000 + b"1]"),
    "many attributes": tree(attrs={f"{i}": 1 for i in range(600_000)}),
    "largest allowed attributes": tree(attrs={f"{i}": 1 for i in range(195_000)}),
    "largest allowed variables": tree(
        dims={"a": 1, "b": 1},
        variables={f"{i}": {"dims": ["a", "b"]} for i in range(65_000)},
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
    "tiles": tree(
        dims={"t": 2000, "a": 1, "b": 1},
        grids=[{"dims": ["t", "a", "b"]}],
        variables={f"v{i}": {"dims": ["t", "a", "b"], "sizes": [[], [1] * 2000]} for i in range(50)},
    ),
    "overlapping masks": tree(masks=[{"length": 10_000, "offset": i} for i in range(50_000)]),
}


def cost(path: Path) -> tuple[float, int]:
    """Seconds and bytes of memory that opening takes, refused or not; all axes are read too."""

    def opened() -> None:
        with contextlib.suppress(CorruptArchiveError), ArchiveReader(path) as reader:
            kept = [reader.read_array(raw) for name, raw in reader.manifest.coordinates.items() if raw.dims == (name,)]
            assert sum(values.nbytes for values in kept) <= 32 * MEGABYTE

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
    path = write_members(tmp_path / "bomb.nnz", {"0.0": b"", "nnzip": packed(BOMBS[name], arrays)})
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

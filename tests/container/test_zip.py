from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzip.container import limits
from nnzip.container import zip as container
from nnzip.container.arrays import ArrayStore
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    GroupEntry,
    Manifest,
    RawVariable,
    SegmentEntry,
    Source,
    encode,
)
from nnzip.container.zip import ArchiveReader, ArchiveWriter, archive_size, deflated_size
from nnzip.errors import CorruptArchiveError, InputError, NewerFormatError, ResourceError, UsageError
from tests.support.archive_examples import FIELDS, example_manifest, write_example


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "example.nnz"
    write_example(path)
    return path


def read_all(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    with ArchiveReader(path) as reader:
        return reader.manifest, {name: reader.read(name) for name in reader.sizes()}


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return path


def patch(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def central_entry(path: Path, name: str) -> int:
    """Offset of a member's central directory entry."""
    return path.read_bytes().rindex(name.encode(), 0, -22) - 46


# --- writing and reading ----------------------------------------------------------------------------------------------


def test_round_trip(archive: Path) -> None:
    manifest, members = read_all(archive)
    assert manifest == example_manifest(ArrayStore())
    assert {name: members[name] for name in FIELDS} == FIELDS
    with ArchiveReader(archive) as reader:
        assert list(reader.sizes()) == ["f0", "f1", "arrays", "manifest.json"]
        assert reader.read_range("f0", 20, 5) == bytes(range(20, 25))
        times = reader.read_array(reader.manifest.coordinates["time"].data)
        np.testing.assert_array_equal(times, np.array([0.1, 1.25, 2.77, 4.5, 8.123, 77.7]) * 3600 + np.pi)
        assert reader.read_array(reader.manifest.lossless["name"].data).tolist() == ["here", "there"]


def test_equal_input_gives_equal_bytes(archive: Path, tmp_path: Path) -> None:
    write_example(tmp_path / "again.nnz")
    assert archive.read_bytes() == (tmp_path / "again.nnz").read_bytes()


def test_any_zip_tool_reads_it(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        assert file.read("f1") == FIELDS["f1"]
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_archive_repacked_by_another_tool_is_read(archive: Path, tmp_path: Path) -> None:
    manifest, members = read_all(archive)
    repacked = write_zip(tmp_path / "repacked.nnz", dict(reversed(members.items())), zipfile.ZIP_DEFLATED)
    assert read_all(repacked) == (manifest, members)


def test_size_is_predicted_exactly(tmp_path: Path) -> None:
    store = ArrayStore()
    manifest = example_manifest(store)
    members = {**FIELDS, "arrays": store.getvalue()}
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        for name, data in members.items():
            writer.add(name, data)
        partial = writer.size_so_far()
        size = writer.finish(manifest)
    assert size == (tmp_path / "a.nnz").stat().st_size
    assert size == archive_size({name: len(data) for name, data in members.items()}, deflated_size(manifest))
    assert size == partial + deflated_size(manifest)


def test_size_is_predicted_exactly_with_zip64_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 150)
    monkeypatch.setattr(container, "_SMALL", 150)
    store = ArrayStore()
    manifest = example_manifest(store)
    members = {**FIELDS, "arrays": store.getvalue()}
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        for name, data in members.items():
            writer.add(name, data)
        size = writer.finish(manifest)
    deflated = deflated_size(manifest)
    assert len(encode(manifest)) * 1.05 > 150  # zipfile decides on a manifest's undeflated size, far below the limit
    assert size == archive_size({name: len(data) for name, data in members.items()}, deflated)
    assert read_all(tmp_path / "a.nnz")[0] == manifest


def test_overhead_of_a_minimal_archive(tmp_path: Path) -> None:
    store = ArrayStore()
    manifest = Manifest(
        format=1,
        nnzip="0.1.0",
        dims={"time": 744, "latitude": 721, "longitude": 1440},
        source=Source(bytes=744 * 721 * 1440 * 4, digest="0123abcd"),
        attrs={"Conventions": "CF-1.6"},
        coordinates={
            "time": RawVariable(
                store.add(np.arange(744, dtype=np.int32) + 1043136),
                ("time",),
                {"units": "hours since 1900-01-01", "calendar": "gregorian"},
            ),
            "latitude": RawVariable(
                store.add(np.linspace(90, -90, 721).astype(np.float32)), ("latitude",), {"units": "degrees_north"}
            ),
            "longitude": RawVariable(
                store.add(np.arange(1440, dtype=np.float32) / 4), ("longitude",), {"units": "degrees_east"}
            ),
        },
        variables={
            "t2m": CompressedVariable(
                ("time", "latitude", "longitude"), attrs={"units": "K", "long_name": "2 metre temperature"}
            )
        },
        groups=(GroupEntry(("time", "latitude", "longitude"), ("t2m",), (SegmentEntry(744, field="f0"),)),),
        configuration={"effort": "normal", "seed": 0, "ratio": 1000.0},
        errors={"t2m": AchievedErrors(0.823413, 9.12345, -0.0123456)},
    )
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        writer.add("f0", bytes(range(256)) * 3)
        assert writer.finish(manifest) - 768 <= 620
    assert store.getvalue() == b""


def test_many_threads_read_their_own_bytes(archive: Path) -> None:
    with ArchiveReader(archive) as reader, ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: reader.read_range("f0", i, 3) + reader.read("f1")[:2], range(190)))
    assert parts == [bytes([i, i + 1, i + 2, 100, 101]) for i in range(190)]


def test_a_member_name_is_used_once(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        writer.add("f0", b"1")
        with pytest.raises(ValueError, match="f0"):
            writer.add("f0", b"2")


# --- all or nothing ---------------------------------------------------------------------------------------------------


def test_existing_target_is_refused_before_any_work(archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(UsageError, match=r"exists.*-f"):
        ArchiveWriter(archive)
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]


def test_overwriting_replaces_and_follows_links(archive: Path) -> None:
    link = archive.with_name("link.nnz")
    link.symlink_to(archive)
    write_example(link, overwrite=True, attrs={"title": "second"})
    assert link.is_symlink()
    assert read_all(archive)[0].attrs == {"title": "second"}
    assert len(list(archive.parent.iterdir())) == 2


@pytest.mark.parametrize("stage", ["constructed", "member", "manifest", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
def test_interrupted_anywhere(archive: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: Any) -> None:
    before = archive.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise error

    def interrupted() -> None:
        with ArchiveWriter(archive, overwrite=True) as writer:
            if stage == "constructed":
                fail()
            if stage == "member":
                monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
            writer.add("f0", b"half")
            if stage == "manifest":
                monkeypatch.setattr(os, "fsync", fail)
            if stage == "replace":
                monkeypatch.setattr(Path, "replace", fail)
            writer.finish(example_manifest(ArrayStore()))

    expected: type[BaseException] = type(error) if isinstance(error, OSError) else error
    with pytest.raises((expected, ResourceError)):
        interrupted()
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]


def test_target_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.nnz"
    with ArchiveWriter(target) as writer:
        target.write_bytes(b"somebody else's")
        with pytest.raises(UsageError, match="exists"):
            writer.finish(example_manifest(ArrayStore()))
    assert target.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes the place of the temporary file: every flush to it fails for want of space."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this platform")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: real(Path("/dev/full"), "wb"))
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        monkeypatch.undo()
        with pytest.raises(ResourceError, match=r"a\.nnz.* is full: free some space"):
            writer.add("f0", bytes(1 << 20))
    assert list(tmp_path.iterdir()) == []


def unwritable(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    (tmp_path / "file").write_bytes(b"")
    yield tmp_path / "missing" / "a.nnz", "does not exist: create it first"
    yield tmp_path / "file" / "a.nnz", "is not a directory"
    yield Path("/proc/a.nnz"), "cannot write /proc/a.nnz"
    yield tmp_path / ("x" * 300), "cannot write"


def test_unwritable_places(tmp_path: Path) -> None:
    for path, message in unwritable(tmp_path):
        with pytest.raises(ResourceError, match=message):
            ArchiveWriter(path)


def test_targets_that_are_no_regular_file(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="no regular file"):
            ArchiveWriter(path, overwrite=True)


@pytest.mark.parametrize(
    ("code", "message"), [(13, "no permission"), (30, "read-only"), (122, "is full"), (5, "I/O|Input")]
)
def test_system_errors_name_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ResourceError, match=message):
        ArchiveWriter(tmp_path / "a.nnz")


# --- attacks ----------------------------------------------------------------------------------------------------------


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.nnz"):
        ArchiveReader(tmp_path / "none.nnz")
    with pytest.raises(InputError):
        ArchiveReader(tmp_path)


@pytest.mark.parametrize("content", [b"", b"CDF\x01", b"PK\3\4", b"PK\5\6" + bytes(18), os.urandom(500)])
def test_not_a_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.nnz"
    path.write_bytes(content)
    with pytest.raises(CorruptArchiveError, match=r"x\.nnz"):
        ArchiveReader(path)


def test_zip_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(CorruptArchiveError, match=r"ZIP file without manifest\.json: it is not an nnzip archive"):
        ArchiveReader(write_zip(tmp_path / "x.nnz", {"a.txt": b"hello"}))


def test_newer_format(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.nnz", {"manifest.json": b'{"format": 7, "new": true}'})
    with pytest.raises(NewerFormatError, match=r"x\.nnz.*format 7"):
        ArchiveReader(path)


def test_truncated_anywhere(archive: Path) -> None:
    content = archive.read_bytes()
    for length in range(len(content)):
        archive.write_bytes(content[:length])
        with pytest.raises(CorruptArchiveError, match=r"example\.nnz"):
            ArchiveReader(archive)


def test_cut_out_of_the_middle(archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[:100] + content[150:])
    with pytest.raises(CorruptArchiveError):
        ArchiveReader(archive)


def test_flipped_bit_in_each_byte_is_noticed_or_harmless(archive: Path) -> None:
    content = archive.read_bytes()
    expected = read_all(archive)
    harmless = 0
    for position in range(len(content)):
        patch(archive, 0, content)
        patch(archive, position, bytes([content[position] ^ (1 << position % 8)]))
        try:
            found: object = read_all(archive)
        except (CorruptArchiveError, NewerFormatError) as error:
            found = "example.nnz" in str(error)
        harmless += found == expected
        assert found in (True, expected), f"byte {position}"
    assert harmless < 0.2 * len(content)  # dates, versions and permissions


def test_flipped_bit_in_a_member_names_it_and_both_checksums(archive: Path) -> None:
    position = archive.read_bytes().rindex(FIELDS["f1"])
    patch(archive, position + 7, b"\xff")
    with ArchiveReader(archive) as reader:
        assert reader.read("f0") == FIELDS["f0"]
        with pytest.raises(CorruptArchiveError) as caught:
            reader.read("f1")
    damaged = FIELDS["f1"][:7] + b"\xff" + FIELDS["f1"][8:]
    for part in ('"f1"', f"{zlib.crc32(damaged):08x}", f"{zlib.crc32(FIELDS['f1']):08x}", "example.nnz"):
        assert part in str(caught.value)


def test_duplicate_member(tmp_path: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("f0", b"other")
    with pytest.raises(CorruptArchiveError, match='two members named "f0"'):
        ArchiveReader(archive)


def test_overlapping_members(archive: Path) -> None:
    first, second = central_entry(archive, "f0"), central_entry(archive, "f1")
    patch(archive, second + 42, archive.read_bytes()[first + 42 : first + 46])
    with pytest.raises(CorruptArchiveError, match=r"overlaps|header of member"):
        ArchiveReader(archive)


def test_absurd_stored_size(archive: Path) -> None:
    for offset in (central_entry(archive, "f0") + 20, 18):  # central and local header agree
        patch(archive, offset, struct.pack("<2L", 0x7FFFFFF0, 0x7FFFFFF0))
    with pytest.raises(CorruptArchiveError, match=r'"f0" declares 2147483632 bytes.*only'):
        ArchiveReader(archive)


def test_stored_member_with_two_sizes(archive: Path) -> None:
    patch(archive, central_entry(archive, "f0") + 24, struct.pack("<L", 100_000))
    with pytest.raises(CorruptArchiveError, match="stored with 200 bytes but declares 100000"):
        ArchiveReader(archive)


def test_deflate_bombs(tmp_path: Path) -> None:
    members = {"manifest.json": encode(example_manifest(ArrayStore())), "bomb": bytes(30_000_000)}
    path = write_zip(tmp_path / "x.nnz", members, zipfile.ZIP_DEFLATED)
    for offset in (central_entry(path, "bomb") + 24, path.read_bytes().index(b"bomb") - 8):
        patch(path, offset, struct.pack("<L", 0xFFFFFFF0))
    with pytest.raises(CorruptArchiveError):
        ArchiveReader(path).read("bomb")
    for offset in (central_entry(path, "bomb") + 24, path.read_bytes().index(b"bomb") - 8):
        patch(path, offset, struct.pack("<L", 1000))
    with pytest.raises(CorruptArchiveError):
        ArchiveReader(path).read("bomb")


def test_giant_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_MANIFEST_BYTES", 1 << 20)
    path = write_zip(tmp_path / "x.nnz", {"manifest.json": b" " * ((1 << 20) + 1)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(CorruptArchiveError, match=rf"declares 1048577 bytes; the limit is {1 << 20}"):
        ArchiveReader(path)
    assert limits.MAX_MANIFEST_BYTES == 64 << 20


def test_unknown_compression_and_encryption(archive: Path) -> None:
    content = archive.read_bytes()
    patch(archive, central_entry(archive, "f0") + 10, struct.pack("<H", 14))
    with pytest.raises(CorruptArchiveError, match='"f0" has compression method 14'):
        ArchiveReader(archive)
    archive.write_bytes(content)
    patch(archive, central_entry(archive, "f0") + 8, struct.pack("<H", 1))
    with pytest.raises(CorruptArchiveError, match='"f0" is encrypted'):
        ArchiveReader(archive)


def test_ranges_outside_a_member(archive: Path) -> None:
    with ArchiveReader(archive) as reader:
        for offset, length in ((190, 11), (-1, 5), (0, -1), (1 << 40, 1)):
            with pytest.raises(CorruptArchiveError, match='member "f0"'):
                reader.read_range("f0", offset, length)
        assert reader.read_range("manifest.json", 1, 8) == b'"format"'
        with pytest.raises(CorruptArchiveError, match='no member "f7"; it has arrays, f0'):
            reader.read("f7")


def test_file_shortened_while_open(tmp_path: Path) -> None:
    members = {"f0": bytes(1 << 20), "f1": b"", "arrays": bytes(100)}
    path = write_zip(tmp_path / "x.nnz", {**members, "manifest.json": encode(example_manifest(ArrayStore()))})
    with ArchiveReader(path) as reader:
        os.truncate(path, 500_000)
        with pytest.raises(CorruptArchiveError, match=r'"f0" ends after .* of 1048576 bytes: the file is truncated'):
            reader.read("f0")

"""Writing and reading whole archives."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzip.container import zip as records
from nnzip.container.arrays import ArrayStore
from nnzip.container.manifest import CompressedVariable, Grid, Manifest, Source
from nnzip.container.reader import ArchiveReader
from nnzip.container.writer import ArchiveWriter
from nnzip.errors import CorruptArchiveError, InputError, ResourceError, UsageError
from tests.support.archive_examples import TILES, example_manifest, write_example


def test_round_trip(archive: Path) -> None:
    with ArchiveReader(archive) as reader:
        assert reader.manifest == example_manifest(ArrayStore())
        assert {name: reader.read(name) for name in TILES} == TILES
        assert list(reader.sizes()) == [*TILES, "nnzip"]
        assert reader.file_bytes == archive.stat().st_size
        mask = reader.manifest.masks[0]
        assert reader.arrays(mask.offset, mask.length) == b"mask bytes"
        times = reader.read_array(reader.manifest.coordinates["time"])
        np.testing.assert_array_equal(times, np.array([0.1, 1.25, 2.77, 4.5, 8.123, 77.7]) * 3600 + np.pi)
        assert reader.read_array(reader.manifest.coordinates["height"]).tolist() == 2.0
        assert reader.read_array(reader.manifest.lossless["name"]).tolist() == ["here", "there"]


def test_equal_input_gives_equal_bytes(archive: Path, tmp_path: Path) -> None:
    write_example(tmp_path / "again.nnz")
    assert archive.read_bytes() == (tmp_path / "again.nnz").read_bytes()


def test_any_zip_tool_reads_it(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        assert file.read("0.1") == TILES["0.1"]
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_archive_repacked_by_another_tool_is_read(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in reversed(file.namelist())}
    with zipfile.ZipFile(tmp_path / "repacked.nnz", "w") as target:
        for name, data in members.items():
            target.writestr(name, data)
    with ArchiveReader(archive) as one, ArchiveReader(tmp_path / "repacked.nnz") as other:
        assert one.manifest == other.manifest
        assert {name: other.read(name) for name in TILES} == TILES


def test_an_archive_repacked_with_compression_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file, zipfile.ZipFile(tmp_path / "r.nnz", "w", zipfile.ZIP_DEFLATED) as target:
        for name in file.namelist():
            target.writestr(name, file.read(name))
    with pytest.raises(CorruptArchiveError, match="compression method 8"):
        ArchiveReader(tmp_path / "r.nnz")


def test_sizes_are_predicted_exactly(tmp_path: Path) -> None:
    store = ArrayStore()
    manifest = example_manifest(store)
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        for name, data in TILES.items():
            writer.add(name, data)
        predicted = writer.size_with(manifest, store.getvalue())
        assert writer.size_so_far() < predicted
        assert writer.finish(manifest, store.getvalue()) == predicted
    assert (tmp_path / "a.nnz").stat().st_size == predicted


def test_zip64_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets beyond 4 GB, with the limit made smaller; Python's zipfile is the oracle."""
    monkeypatch.setattr(records, "_FEW", 3)
    write_example(tmp_path / "a.nnz")
    with ArchiveReader(tmp_path / "a.nnz") as reader:
        assert {name: reader.read(name) for name in TILES} == TILES
    with zipfile.ZipFile(tmp_path / "a.nnz") as file:
        assert file.testzip() is None
    member = records.Member("0.0", 5 << 32, 7, 1)
    data = records.directory_bytes([member], 6 << 32)
    directory = records.find_directory(data, len(data) + (6 << 32))
    assert directory == records.Directory(6 << 32, directory.bytes if directory else 0, 1)
    assert records.read_directory(data[: directory.bytes], directory) == {"0.0": member}


def test_a_member_name_is_used_once(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        writer.add("0.0", b"1")
        for name in ("0.0", "nnzip"):
            with pytest.raises(ValueError, match=name):
                writer.add(name, b"2")


# --- requests ---------------------------------------------------------------------------------------------------------


def write_many(path: Path, tiles: int) -> None:
    manifest = Manifest(
        nnzip="0.1.0",
        dims={"time": tiles, "lat": 1, "lon": 1},
        source=Source(4 * tiles),
        variables={"t": CompressedVariable(("time", "lat", "lon"), sizes=((), (1,) * tiles))},
        grids=(Grid(("time", "lat", "lon")),),
    )
    with ArchiveWriter(path) as writer:
        for tile in range(tiles):
            writer.add(f"0.{tile}", bytes(50))
        writer.finish(manifest, b"")


@pytest.mark.parametrize(("tiles", "requests"), [(1, 1), (600, 2), (5000, 2)])
def test_two_reads_open_an_archive_and_one_reads_a_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles: int, requests: int
) -> None:
    write_many(tmp_path / "a.nnz", tiles)
    real, reads = os.pread, []

    def counted(*arguments: Any) -> bytes:
        reads.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(os, "pread", counted)
    with ArchiveReader(tmp_path / "a.nnz") as reader:
        assert len(reads) <= requests
        reads.clear()
        assert reader.read(f"0.{tiles - 1}") == bytes(50)
        assert len(reads) == 1


# --- sharing ----------------------------------------------------------------------------------------------------------


def test_many_threads_read_their_own_bytes(archive: Path) -> None:
    names = list(TILES) * 100
    with ArchiveReader(archive) as reader, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.read, names)) == [TILES[name] for name in names]


FORKED = """
import os, sys
from nnzip.container.reader import ArchiveReader
reader = ArchiveReader(sys.argv[1])
expected = {name: reader.read(name) for name in reader.sizes()}
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        for _ in range(2000):
            for name, data in expected.items():
                if reader.read(name) != data:
                    os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""


def test_forked_readers_do_not_disturb_each_other(archive: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKED, str(archive)], check=True)


def test_a_reader_is_pickled_and_copied_by_path(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive.parent)
    with ArchiveReader(archive.name) as reader:
        stored = pickle.dumps(reader)
        with copy.deepcopy(reader) as copied:
            assert copied.manifest == reader.manifest
    monkeypatch.chdir("/")
    with pickle.loads(stored) as again:
        assert again.read("0.0") == TILES["0.0"]


def test_reading_after_close(archive: Path) -> None:
    with ArchiveReader(archive) as reader:
        pass
    with pytest.raises(UsageError, match=r"example\.nnz is closed: read values inside"):
        reader.read("0.0")
    assert reader.read_array(reader.manifest.coordinates["lat"])[0] == -10


# --- all or nothing ---------------------------------------------------------------------------------------------------


def test_leaving_without_finish_leaves_nothing(archive: Path) -> None:
    before = archive.read_bytes()
    with ArchiveWriter(archive, overwrite=True) as writer:
        writer.add("0.0", b"half")
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
def test_interrupted_while_finishing(archive: Path, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    before = archive.read_bytes()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ResourceError if isinstance(error, OSError) else error):
        write_example(archive, overwrite=True)
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes the place of the temporary file: every flush to it fails for want of space."""
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: real(Path("/dev/full"), "wb"))
    with ArchiveWriter(tmp_path / "a.nnz") as writer:
        monkeypatch.undo()
        with pytest.raises(ResourceError, match=r"a\.nnz.* is full: free some space"):
            writer.add("0.0", bytes(1 << 20))
        writer.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attrs": {"big": "x" * (9 << 20)}}, "more than the"),
        ({"attrs": {"many": [1] * 500_000}}, "tokens; the limit"),
        ({"attrs": {"": 1, "x": float("nan")}}, "'x' is nan"),
        ({"attrs": {"x": "\ud800"}}, "no valid Unicode"),
        ({"attrs": {"\ud800": 1}}, "no valid Unicode"),
        ({"variables": {"": CompressedVariable(("time", "lat", "lon"))}}, "length >= 1"),
        ({"variables": {"x" * 1025: CompressedVariable(("time", "lat", "lon"))}}, "length <= 1024"),
        ({"variables": {"t": CompressedVariable(tuple(f"d{i}" for i in range(33)))}}, "length <= 32"),
        ({"variables": {"t": CompressedVariable(("time", "lat"))}, "order": (), "errors": {}}, 'lacks .* "lon"'),
    ],
)
def test_what_a_reader_would_refuse_is_not_written(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_example(tmp_path / "a.nnz", **changes)
    assert list(tmp_path.iterdir()) == []

"""Files that are foreign or damaged: a clean refusal that says which."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
import xarray as xr

from nnzip.container.reader import ArchiveReader
from nnzip.errors import CorruptArchiveError, InputError, NnzipError, OldFormatError
from tests.support.archive_examples import TILES, read_all

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

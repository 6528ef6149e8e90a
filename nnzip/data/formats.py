"""The format of a file, by its first bytes, and whether the file is whole.

Signatures: NetCDF classic format specification (CDF 1, 2, 5), HDF5 file format (superblock at 0, 512, 1024, ...),
WMO GRIB (first "GRIB" after an optional header, last "7777"), ZIP local file header, Zarr metadata file names.
"""

from __future__ import annotations

import struct
import zipfile
from math import prod
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from nnzip.data.bytefile import PathText, is_url
from nnzip.data.zipped import inner_files
from nnzip.errors import InputError, ResourceError

Format = Literal["netcdf", "grib", "zarr", "zarr-zip", "zip"]

ARCHIVE_MEMBERS = {"nnzip", "manifest.json"}
"""One of them is in every archive: of format 3, of formats 1 and 2."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZARR_FILES = ("zarr.json", ".zmetadata", ".zgroup")
_GRIB_HEADER_BYTES = 1024
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # NetCDF classic nc_type


def detect_format(path: Path) -> Format:
    """Format of `path` by its content, never by its suffix.

    "zip" is a ZIP of NetCDF or GRIB files. Raises InputError for a missing file, a directory that is no Zarr store, a
    truncated file or anything else than NetCDF, Zarr and GRIB; ResourceError when the file may not be read.
    """
    try:
        if path.is_dir():
            return _directory_format(path)
        with path.open("rb") as file:
            return _file_format(path, file)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror}") from error


def zarr_root(path: Path) -> str:
    """Name of the group that holds the Zarr store inside a ZIP ("" when it is the ZIP's top)."""
    with zipfile.ZipFile(path) as archive:
        roots = [PurePosixPath(n).parent for n in archive.namelist() if PurePosixPath(n).name in _ZARR_FILES]
    if not roots:
        raise InputError(f"{path} is a ZIP file without Zarr metadata in it")
    root = str(min(roots, key=lambda parent: len(parent.parts)))
    return "" if root == "." else root


def _directory_format(path: Path) -> Format:
    if any((path / name).is_file() for name in _ZARR_FILES):
        return "zarr"
    raise InputError(f"{path} is a directory but no Zarr store: for the files in it give a pattern such as {path}/*.nc")


def _file_format(path: Path, file: BinaryIO) -> Format:
    head = file.read(_GRIB_HEADER_BYTES)
    size = file.seek(0, 2)
    if not head:
        raise InputError(f"{path} is empty")
    if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
        _check_whole(path, size, netcdf_classic_bytes(file))
        return "netcdf"
    if head.startswith(_HDF5) or _has_late_superblock(file, size):
        return "netcdf"
    if head.startswith(b"PK"):
        return _zip_format(path)
    if b"GRIB" in head:
        file.seek(max(0, size - 512))
        if not file.read().rstrip(b"\0\r\n\x03 ").endswith(b"7777"):
            raise InputError(f"{path} is truncated: its last GRIB message has no end (7777); copy or download it again")
        return "grib"
    raise InputError(f"{path} is not a NetCDF, Zarr or GRIB file (it begins with {head[:8]!r})")


def _zip_format(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is a damaged or truncated ZIP file ({error}): copy or download it again") from error
    if any(PurePosixPath(name).name in _ZARR_FILES for name in names):
        return "zarr-zip"
    if ARCHIVE_MEMBERS & set(names):
        raise InputError(f"{path} is an nnzip archive already: to read it use nnzip decompress or nnzip.open_archive")
    if inner_files(names):
        return "zip"
    raise InputError(f"{path} is a ZIP file but no Zarr store, and holds no NetCDF or GRIB file")


def _has_late_superblock(file: BinaryIO, size: int) -> bool:
    """HDF5 allows a user block: its signature may stand at 512, 1024, 2048, ..."""
    offset = 512
    while offset + len(_HDF5) <= min(size, 1 << 20):
        file.seek(offset)
        if file.read(len(_HDF5)) == _HDF5:
            return True
        offset *= 2
    return False


def _check_whole(path: Path, size: int, needed: int) -> None:
    if size < needed:
        raise InputError(f"{path} is truncated: its header promises {needed} bytes, the file has {size}")


def netcdf_classic_bytes(file: BinaryIO) -> int:
    """Bytes a NetCDF classic (CDF 1, 2, 5) file must at least have, from its header.

    netCDF-C reads what lies beyond the end of a truncated classic file as zeros, so nobody else notices. Returns a
    number larger than the file when the header itself ends early. Source: NetCDF classic format specification.
    """
    size = file.seek(0, 2)
    file.seek(3)
    try:
        return _ClassicHeader(file, version=file.read(1)[0]).required_bytes()
    except (struct.error, IndexError, KeyError):
        return size + 1


class _ClassicHeader:
    """Sequential reader of the header: dimensions, skipped attributes, variables."""

    def __init__(self, file: BinaryIO, version: int) -> None:
        self._file = file
        self._count = ">Q" if version == 5 else ">I"
        self._offset = ">I" if version == 1 else ">Q"

    def required_bytes(self) -> int:
        records = self._number()
        if records in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):  # streaming: not known
            records = 0
        lengths = [self._dimension() for _ in range(self._list())]
        self._skip_attributes()
        fixed_end, record_parts = 0, []
        for _ in range(self._list()):
            shape, begin, item = self._variable(lengths)
            if shape and shape[0] == 0:
                record_parts.append((begin, prod(shape[1:]) * item))
            else:
                fixed_end = max(fixed_end, begin + prod(shape) * item)
        if not record_parts or records == 0:
            return fixed_end
        record = record_parts[0][1] if len(record_parts) == 1 else sum(-(-part // 4) * 4 for _, part in record_parts)
        last = max(begin + part for begin, part in record_parts)
        return max(fixed_end, last + (records - 1) * record)

    def _read(self, code: str) -> int:
        value: int = struct.unpack(code, self._file.read(struct.calcsize(code)))[0]
        return value

    def _number(self) -> int:
        return self._read(self._count)

    def _list(self) -> int:
        """Number of elements of a list: a tag and a count (both zero when absent)."""
        self._file.read(4)
        return self._number()

    def _name(self) -> None:
        self._skip(self._number())

    def _skip(self, length: int) -> None:
        self._file.seek(-(-length // 4) * 4, 1)

    def _dimension(self) -> int:
        self._name()
        return self._number()

    def _skip_attributes(self) -> None:
        for _ in range(self._list()):
            self._name()
            item = _TYPE_BYTES[self._read(">I")]
            self._skip(self._number() * item)

    def _variable(self, lengths: list[int]) -> tuple[list[int], int, int]:
        self._name()
        shape = [lengths[self._number()] for _ in range(self._number())]
        self._skip_attributes()
        item = _TYPE_BYTES[self._read(">I")]
        self._number()  # vsize: redundant, and unreliable for large variables
        return shape, self._read(self._offset), item


def is_archive(path: PathText) -> bool:
    """Whether path claims to be an nnzip archive, by its name or its manifest; a damaged one still does by its name.

    Of a URL only the name counts.
    """
    if Path(path).suffix == ".nnz" or is_url(path):
        return Path(path).suffix == ".nnz"
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return bool(ARCHIVE_MEMBERS & set(file.namelist()))

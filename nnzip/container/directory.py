"""Where the members of a ZIP file are: the central directory, checked against the file and the local headers."""

from __future__ import annotations

import os
import struct
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from nnzip.container.limits import MAX_MEMBERS
from nnzip.errors import CorruptArchiveError

# signature, version, flags, method, time, date, CRC, stored, size, name length, extra length
_LOCAL = struct.Struct("<4s5H3L2H")
_MALFORMED = (
    zipfile.BadZipFile,
    NotImplementedError,
    struct.error,
    EOFError,
    ValueError,
    IndexError,
    OverflowError,
    OSError,
)


@dataclass(frozen=True)
class Member:
    """One entry of the central directory; `stored` and `size` are bytes in the file and after inflating."""

    name: str
    header: int
    stored: int
    size: int
    crc: int
    deflated: bool


class RandomAccessFile:
    """A file opened for reading at any offset, by any number of threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream = path.open("rb")
        self._lock = threading.Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer where the file ends."""
        with self._lock:
            self.stream.seek(offset)
            return self.stream.read(size)

    def close(self) -> None:
        self.stream.close()


def read_directory(file: RandomAccessFile) -> dict[str, Member]:
    """Members by name in the order of the file. Raises CorruptArchiveError for anything that is no sound ZIP file."""
    path = file.path
    length = os.fstat(file.stream.fileno()).st_size
    if not length:
        raise CorruptArchiveError(f"{path} is empty")
    try:
        with zipfile.ZipFile(file.stream) as archive:
            entries, end = archive.infolist(), archive.start_dir
    except _MALFORMED as error:
        if file.read_at(0, 4) != b"PK\3\4":
            raise CorruptArchiveError(f"{path} is not an nnzip archive: it does not begin like a ZIP file") from error
        raise CorruptArchiveError(
            f"{path} is truncated or damaged: its {length} bytes end without a sound ZIP directory ({error})"
        ) from error
    if len(entries) > MAX_MEMBERS:
        raise CorruptArchiveError(f"{path} has {len(entries)} members; the limit is {MAX_MEMBERS}")
    members: dict[str, Member] = {}
    position, previous = 0, "the start"
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        _check_entry(entry, path)
        if entry.filename in members:
            raise CorruptArchiveError(f'{path} has two members named "{entry.filename}"')
        if entry.header_offset < position:
            raise CorruptArchiveError(f'{path}: member "{entry.filename}" overlaps {previous}')
        member = Member(
            name=entry.filename,
            header=entry.header_offset,
            stored=entry.compress_size,
            size=entry.file_size,
            crc=entry.CRC,
            deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
        )
        start, size = member_span(file, member)
        position, previous = start + size, f'member "{member.name}"'
        if position > end:
            raise CorruptArchiveError(
                f"{path}: {previous} declares {size} bytes at {start}, only {max(end - start, 0)} are there:"
                " the file is truncated or damaged"
            )
        members[member.name] = member
    return members


def member_span(file: RandomAccessFile, member: Member) -> tuple[int, int]:
    """(first byte, bytes) of a member's stored content; its local header must agree with the central directory."""
    path = file.path
    header = file.read_at(member.header, _LOCAL.size)
    if len(header) != _LOCAL.size:
        raise CorruptArchiveError(
            f'{path}: the header of member "{member.name}" is beyond the end: the file is truncated'
        )
    signature, _, flags, method, _, _, crc, stored, size, width, extra = _LOCAL.unpack(header)
    start = member.header + _LOCAL.size
    name = file.read_at(start, width)
    ours = (b"PK\3\4", member.name.encode(), zipfile.ZIP_DEFLATED if member.deflated else zipfile.ZIP_STORED)
    if (signature, name, method) != ours:
        raise CorruptArchiveError(f'{path}: the header of member "{member.name}" is damaged')
    declared = ((crc, member.crc), (stored, member.stored), (size, member.size))
    # bit 3 of the flags: the sizes follow the content, as some ZIP tools write
    if not flags & 8 and any(local not in (central, 0xFFFFFFFF) for local, central in declared):
        raise CorruptArchiveError(
            f'{path}: the header of member "{member.name}" and the directory disagree about its size or CRC-32'
        )
    return start + width + extra, member.stored


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    if entry.flag_bits & 1:
        raise CorruptArchiveError(f'{path}: member "{entry.filename}" is encrypted; no nnzip archive is')
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CorruptArchiveError(
            f'{path}: member "{entry.filename}" has compression method {entry.compress_type}; 0 and 8 are known'
        )
    if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
        raise CorruptArchiveError(
            f'{path}: member "{entry.filename}" is stored with {entry.compress_size} bytes'
            f" but declares {entry.file_size}"
        )

"""Records of a ZIP file of stored members (PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3): bytes <-> `Member`.

ZIP64 records appear where an offset or a count needs them. Nothing here reads files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nnzip.container.limits import MAX_MEMBER_BYTES, MAX_MEMBERS
from nnzip.errors import CorruptArchiveError

# signature, version needed, flags, method, time, date, CRC, stored, size, bytes of name and extra
_LOCAL = struct.Struct("<4s5H3L2H")
# signature, versions by and needed, flags, method, time, date, CRC, stored, size, bytes of name, extra and comment,
# disk, internal and external attributes, offset
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")  # signature, 2 disks, 2 counts, bytes and offset of the directory, bytes of comment
_END64 = struct.Struct("<4sQ2H2L4Q")  # signature, bytes that follow, 2 versions, 2 disks, 2 counts, bytes, offset
MEMBER_BYTES = _LOCAL.size + _CENTRAL.size
"""Of the file for each member, beside its content and twice its name."""
_LOCATOR64 = struct.Struct("<4sLQL")  # signature, disk, offset of the record above, disks
_EXTRA64 = struct.Struct("<2HQ")  # tag 1, bytes that follow, offset

LOCAL_SLACK = 64
"""Bytes of extra fields that another tool's local header may have."""
_SMALL, _FEW = 0xFFFFFFFF, 0xFFFF  # from here on ZIP64 records are needed
_VERSION, _VERSION64, _UNIX = 20, 45, 3
_DATE = (1 << 5) | 1  # 1980-01-01
_PERMISSIONS = 0o100644 << 16
_UTF8 = 1 << 11


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the directory; the local header is at `header`, followed by `size` bytes of content."""

    name: str
    header: int
    size: int
    crc: int


@dataclass(frozen=True)
class Directory:
    """Where the directory of a ZIP file is, and how many members it lists."""

    offset: int
    bytes: int
    count: int


def local_header(name: str, size: int, crc: int) -> bytes:
    """What precedes a member's content."""
    encoded = name.encode()
    return _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, crc, size, size, len(encoded), 0) + encoded


def directory_bytes(members: Iterable[Member], offset: int) -> bytes:
    """All that follows the last member, which ends at `offset`."""
    entries = [_central_entry(member) for member in members]
    size, count = sum(map(len, entries)), len(entries)
    end = _END.pack(b"PK\5\6", 0, 0, min(count, _FEW), min(count, _FEW), size, min(offset, _SMALL), 0)
    if offset >= _SMALL or count >= _FEW:
        end64 = _END64.pack(b"PK\6\6", 44, _VERSION64, _VERSION64, 0, 0, count, count, size, offset)
        end = end64 + _LOCATOR64.pack(b"PK\6\7", 0, offset + size, 1) + end
    return b"".join([*entries, end])


def file_bytes(tail: bytes) -> int | None:
    """Size of the file that ends in `tail`, from its end record; None where it has none."""
    if len(tail) < _END.size or tail[-_END.size :][:4] != b"PK\5\6":
        return None
    locator = tail[-_LOCATOR64.size - _END.size : -_END.size]
    if locator[:4] == b"PK\6\7":
        return int(_LOCATOR64.unpack(locator)[2]) + _END64.size + _LOCATOR64.size + _END.size
    *_, size, offset, _ = _END.unpack(tail[-_END.size :])
    return int(offset) + int(size) + _END.size


def find_directory(tail: bytes, file_bytes: int) -> Directory | None:
    """The directory of a file of `file_bytes` that ends in `tail`, of some kB; None where it has no end record.

    Raises CorruptArchiveError for an end record that contradicts itself or the file.
    """
    if len(tail) < _END.size or not tail.endswith(b"\0\0") or tail[-_END.size :][:4] != b"PK\5\6":
        return None
    _, disk, other, count, total, size, offset, _ = _END.unpack(tail[-_END.size :])
    end = file_bytes - _END.size
    locator = tail[-_LOCATOR64.size - _END.size : -_END.size]
    if locator[:4] == b"PK\6\7":
        end -= _LOCATOR64.size
        position = _LOCATOR64.unpack(locator)[2]
        record = tail[position - file_bytes :][: _END64.size] if position + len(tail) >= file_bytes else b""
        if len(record) != _END64.size or record[:4] != b"PK\6\6" or position + _END64.size != end:
            raise CorruptArchiveError("the end of its ZIP directory is damaged")
        *_, disk, other, count, total, size, offset = _END64.unpack(record)
        end = position
    if disk or other or count != total or offset + size != end or count * (_CENTRAL.size + _LOCAL.size) > file_bytes:
        raise CorruptArchiveError(
            f"its ZIP directory of {size} bytes at {offset} lists {total} members and should end at byte {end}:"
            " the file is truncated or damaged"
        )
    if count > MAX_MEMBERS:
        raise CorruptArchiveError(f"it has {count} members; the limit is {MAX_MEMBERS}")
    return Directory(offset, size, count)


def read_directory(data: bytes, directory: Directory) -> dict[str, Member]:
    """Members by name in the order of the file. Raises CorruptArchiveError for anything that is no sound directory."""
    members: dict[str, Member] = {}
    position, before = 0, "the start"
    for member in sorted(_entries(data, directory.count), key=lambda member: member.header):
        if member.name in members:
            raise CorruptArchiveError(f'it has two members named "{member.name}"')
        if member.header < position:
            raise CorruptArchiveError(f'member "{member.name}" overlaps {before}')
        position, before = content_start(member) + member.size, f'member "{member.name}"'
        if position > directory.offset:
            raise CorruptArchiveError(
                f"{before} declares {member.size} bytes at {content_start(member)}, only"
                f" {max(directory.offset - content_start(member), 0)} are there: the file is truncated or damaged"
            )
        members[member.name] = member
    return members


def content_start(member: Member) -> int:
    """The first byte of a member's content where its local header has no extra fields."""
    return member.header + _LOCAL.size + len(member.name.encode())


def content(member: Member, data: bytes) -> bytes:
    """A member's content in `data`, the bytes from its local header on, with up to LOCAL_SLACK bytes more than needed.

    Raises CorruptArchiveError where the local header and the directory disagree, or bytes are missing.
    """
    if len(data) < _LOCAL.size:
        raise CorruptArchiveError(f'the header of member "{member.name}" is beyond the end: the file is truncated')
    signature, _, flags, method, _, _, crc, stored, size, width, extra = _LOCAL.unpack_from(data)
    start = _LOCAL.size + width + extra
    if (signature, method, data[_LOCAL.size :][:width]) != (b"PK\3\4", 0, member.name.encode()) or flags & ~_UTF8:
        raise CorruptArchiveError(f'the header of member "{member.name}" is damaged')
    if (crc, stored, size) != (member.crc, member.size, member.size):
        raise CorruptArchiveError(
            f'the header of member "{member.name}" and the directory disagree about its size or CRC-32'
        )
    found = data[start : start + member.size]
    if len(found) != member.size:
        raise CorruptArchiveError(
            f'member "{member.name}" ends after {len(found)} of {member.size} bytes: the file is truncated'
        )
    return found


def _central_entry(member: Member) -> bytes:
    name, large = member.name.encode(), member.header >= _SMALL
    extra = _EXTRA64.pack(1, 8, member.header) if large else b""
    version = _VERSION64 if large else _VERSION
    made_by = _UNIX << 8 | version
    sizes = (member.crc, member.size, member.size, len(name), len(extra), 0)
    where = (0, 0, _PERMISSIONS, min(member.header, _SMALL))
    return _CENTRAL.pack(b"PK\1\2", made_by, version, 0, 0, 0, _DATE, *sizes, *where) + name + extra


def _entries(data: bytes, count: int) -> Iterator[Member]:
    position = 0
    for _ in range(count):
        if len(data) - position < _CENTRAL.size or data[position : position + 4] != b"PK\1\2":
            raise CorruptArchiveError("its ZIP directory is damaged")
        _, _, _, flags, method, _, _, crc, stored, size, width, more, comment, disk, _, _, header = (
            _CENTRAL.unpack_from(data, position)
        )
        start = position + _CENTRAL.size
        name, extra = data[start : start + width], data[start + width : start + width + more]
        position = start + width + more + comment
        if header == _SMALL:
            header = _offset64(extra)
        yield _checked(name, header, (stored, size, crc), flags, method, disk)
    if position != len(data):
        raise CorruptArchiveError("its ZIP directory is damaged: bytes are left over")


def _checked(name: bytes, header: int, sizes: tuple[int, int, int], flags: int, method: int, disk: int) -> Member:
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise CorruptArchiveError("its ZIP directory is damaged: a name is no text") from error
    stored, size, crc = sizes
    if flags & 1:
        raise CorruptArchiveError(f'member "{text}" is encrypted; no nnzip archive is')
    if method != 0 or flags & ~_UTF8 or disk:
        raise CorruptArchiveError(f'member "{text}" has compression method {method}; all of nnzip\'s are stored (0)')
    if stored != size:
        raise CorruptArchiveError(f'member "{text}" is stored with {stored} bytes but declares {size}')
    if size > MAX_MEMBER_BYTES:
        raise CorruptArchiveError(f'member "{text}" declares {size} bytes; the limit is {MAX_MEMBER_BYTES}')
    return Member(text, header, size, crc)


def _offset64(extra: bytes) -> int:
    """The offset in the ZIP64 field among extra fields."""
    position = 0
    while len(extra) - position >= 4:
        tag, size = struct.unpack_from("<2H", extra, position)
        if tag == 1 and size >= 8 and len(extra) - position >= _EXTRA64.size:
            return int(_EXTRA64.unpack_from(extra, position)[2])
        position += 4 + size
    raise CorruptArchiveError("its ZIP directory is damaged: an offset is missing")

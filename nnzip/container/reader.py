"""Reads `.nnz` files where sizes and checksums agree: two reads to open, one for each member.

All reads name their position, so that threads and forked processes do not disturb each other.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import weakref
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from numpy.typing import NDArray

from nnzip.container.arrays import decode_array
from nnzip.container.checks import check_manifest
from nnzip.container.manifest import Manifest, RawVariable
from nnzip.container.packing import unpack
from nnzip.container.zip import (
    LOCAL_SLACK,
    Member,
    content,
    content_start,
    find_directory,
    read_directory,
)
from nnzip.errors import CorruptArchiveError, InputError, NnzipError, OldFormatError, ResourceError, UsageError

MANIFEST_MEMBER = "nnzip"
"""The member with the manifest and the arrays."""
_OLD_MANIFEST, _OLD_BEGINNING = b"manifest.json", re.compile(rb'\{"format": ?[12]\b')  # formats 1 and 2
_TAIL_BYTES = 1 << 16  # read first: the whole directory of most archives
_GUESS_BYTES = 1 << 18  # read before a longer directory: where the manifest most likely is


class ArchiveReader:
    """An open archive; the manifest and the directory are checked on opening.

    Safe to use from several threads and after a fork; pickles and copies by path. Raises InputError (no such file, or
    no archive), CorruptArchiveError, OldFormatError, NewerFormatError or ResourceError (not readable).
    """

    manifest: Manifest

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        try:
            self._file = self.path.open("rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise InputError(f"cannot open {path}: {error.strerror}") from error
        except OSError as error:
            raise ResourceError(f"cannot read {path}: {error.strerror}") from error
        weakref.finalize(self, self._file.close)  # of copies, which nobody closes
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._open()
        except NnzipError as error:
            self._file.close()
            raise type(error)(f"{path}: {error}") from error
        except BaseException:
            self._file.close()
            raise

    def read(self, name: str) -> bytes:
        """A whole member, its CRC-32 checked. Raises CorruptArchiveError."""
        if name not in self._members:
            present = ", ".join(list(self._members)[:20])
            raise CorruptArchiveError(f'{self.path} has no member "{name}"; it has {present}')
        try:
            return self._content(self._members[name])
        except CorruptArchiveError as error:
            raise CorruptArchiveError(f"{self.path}: {error}") from error

    def read_start(self, name: str, count: int) -> bytes:
        """The first `count` bytes of a member, its checksum not checked: for a preview. Raises CorruptArchiveError."""
        member = self._members.get(name)
        if member is None:
            raise CorruptArchiveError(f'{self.path} has no member "{name}"')
        start = content_start(member)
        return self._read_at(start, start + min(count, member.size))

    def arrays(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of the archive's arrays; the manifest's ranges lie inside."""
        return self._arrays[offset : offset + length]

    def read_array(self, variable: RawVariable) -> NDArray[Any]:
        """The values of a coordinate or a losslessly kept variable. Raises CorruptArchiveError."""
        spec = variable.data
        try:
            payload = self.arrays(spec.offset, spec.length)
            return decode_array(spec, self.manifest.shape(variable.dims), payload)
        except CorruptArchiveError as error:
            raise CorruptArchiveError(f"{self.path}: {error}") from error

    def sizes(self) -> dict[str, int]:
        """Bytes of each member, in the order of the file."""
        return {name: member.size for name, member in self._members.items()}

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        return self._size

    def close(self) -> None:
        """Members can no longer be read; the manifest and the arrays can."""
        self._file.close()

    def __reduce__(self) -> tuple[type[ArchiveReader], tuple[Path]]:
        return ArchiveReader, (self.path,)

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        start = max(self._size - _TAIL_BYTES, 0)
        tail = self._read_at(start, self._size)
        directory = find_directory(tail, self._size) or self._refuse_without_directory()
        if directory.offset < start:
            start = max(directory.offset - _GUESS_BYTES, 0)
            tail = self._read_at(start, self._size)
        records = tail[directory.offset - start :][: directory.bytes]
        if MANIFEST_MEMBER.encode() not in records:
            self._refuse_foreign(records)
        self._members = read_directory(records, directory)
        if MANIFEST_MEMBER not in self._members:
            raise CorruptArchiveError(f'it has no member "{MANIFEST_MEMBER}"')
        member = self._members[MANIFEST_MEMBER]
        data = self._content(member, tail[member.header - start :] if member.header >= start else None)
        self.manifest, self._arrays = unpack(data, self._size)
        check_manifest(self.manifest, len(self._arrays), self._members.keys(), self._size)

    def _refuse_without_directory(self) -> NoReturn:
        """For a file that is no ZIP file."""
        if self._read_at(0, 4) == b"PK\3\4":
            raise CorruptArchiveError(
                f"its {self._size} bytes end without a ZIP directory: the file is truncated or damaged"
            )
        raise InputError("it is no nnzip archive" if self._size else "it is empty")

    def _refuse_foreign(self, records: bytes) -> NoReturn:
        """For a ZIP file without our manifest."""
        with contextlib.suppress(struct.error, zlib.error):
            (header,) = struct.unpack_from("<L", records, max(records.rfind(_OLD_MANIFEST) - 4, 0))
            data = self._read_at(header + 30 + len(_OLD_MANIFEST), header + 4096)
            if _OLD_BEGINNING.match(zlib.decompressobj(-15).decompress(data, 64)):
                raise OldFormatError(
                    "it has format 1 or 2, which no released nnzip wrote: compress the data again, or use the nnzip"
                    " that wrote it"
                )
        raise InputError("it is a ZIP file, but no nnzip archive")

    def _content(self, member: Member, data: bytes | None = None) -> bytes:
        """A member's content; `data`: the bytes from its header on, where they have been read before."""
        if data is None:
            data = self._read_at(member.header, content_start(member) + member.size + LOCAL_SLACK)
        found = content(member, data)
        crc = zlib.crc32(found)
        if crc != member.crc:
            raise CorruptArchiveError(
                f'member "{member.name}" is damaged: its CRC-32 is {crc:08x}, the archive says {member.crc:08x}'
            )
        return found

    def _read_at(self, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of the file, fewer where it ends."""
        if self._file.closed:
            raise UsageError(
                f"the archive {self.path} is closed: read values inside the `with` block, or take them along with "
                "dataset.load()"
            )
        try:
            return os.pread(self._file.fileno(), stop - start, start)
        except OSError as error:
            raise ResourceError(f"cannot read {self.path}: {error.strerror}") from error

"""Reads `.nnz` files where sizes and checksums agree: two reads to open, one for each member."""

from __future__ import annotations

import contextlib
import re
import struct
import weakref
import zlib
from collections.abc import Mapping, Sequence
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
    file_bytes,
    find_directory,
    read_directory,
)
from nnzip.data.bytefile import PathText, is_url, open_file
from nnzip.errors import CorruptArchiveError, InputError, NnzipError, OldFormatError, UsageError

MANIFEST_MEMBER = "nnzip"
"""The member with the manifest and the arrays."""
_OLD_MANIFEST, _OLD_BEGINNING = b"manifest.json", re.compile(rb'\{"format": ?[12]\b')  # formats 1 and 2
_TAIL_BYTES = 1 << 16  # read first: the whole directory of most archives
GLANCE_BYTES = 4096
"""That hold the header of a tile."""
_GUESS_BYTES = 1 << 18  # read before a longer directory: where the manifest most likely is


class ArchiveReader:
    """An open archive; the manifest and the directory are checked on opening.

    `path`: a path, or a URL that fsspec knows with `storage_options`. `identity`: that of the archive it has to be.
    Safe to use from several threads and after a fork; pickles and copies by path. Raises InputError (no such file, no
    archive, another one than it was), CorruptArchiveError, OldFormatError, NewerFormatError, ResourceError (not
    readable) or UnavailableError (a URL that cannot be reached).
    """

    manifest: Manifest

    def __init__(
        self,
        path: PathText,
        storage_options: Mapping[str, Any] | None = None,
        identity: tuple[int, int] | None = None,
    ) -> None:
        self.path: PathText = path if is_url(path) else Path(path).expanduser().absolute()
        self._options = storage_options
        self._file = open_file(self.path, storage_options)
        weakref.finalize(self, self._file.close)  # of copies, which nobody closes
        try:
            self._open()
        except NnzipError as error:
            self._file.close()
            if str(path) in str(error):
                raise
            raise type(error)(f"{path}: {error}") from error
        except BaseException:
            self._file.close()
            raise
        if identity not in (None, self.identity):
            self._file.close()
            raise InputError(f"{path} was replaced since it was opened: open it again")

    def read(self, name: str) -> bytes:
        """A whole member, its CRC-32 checked. Raises CorruptArchiveError."""
        if name not in self._members:
            present = ", ".join(list(self._members)[:20])
            raise CorruptArchiveError(f'{self.path} has no member "{name}"; it has {present}')
        try:
            return self._content(self._members[name])
        except CorruptArchiveError as error:
            if is_url(self.path):
                ArchiveReader(self.path, self._options, self.identity).close()  # is it another one by now?
            raise CorruptArchiveError(f"{self.path}: {error}") from error

    def prefetch(self, names: Sequence[str]) -> int:
        """Read the first of these members ahead from a URL, neighbours together; how many, at least one."""
        return self._file.prefetch([_extent(self._members[name]) for name in names]) if names else 1

    def prefetch_starts(self, names: Sequence[str], share: float, least: int) -> int:
        """The same with a share of each member's bytes, at least so many, for `read_start`."""
        members = [self._members[name] for name in names]
        wanted = [(content_start(m), min(max(least, round(share * m.size)), m.size)) for m in members]
        return self._file.prefetch([(start, start + count) for start, count in wanted], least=0) if names else 1

    def read_start(self, name: str, count: int) -> bytes:
        """The first `count` bytes of a member, its checksum not checked: for a preview. Raises CorruptArchiveError."""
        member = self._members.get(name)
        if member is None:
            raise CorruptArchiveError(f'{self.path} has no member "{name}"')
        start = content_start(member)
        stop = start + min(count, member.size)
        self._file.prefetch([(start, stop)], least=0)
        return self._read_at(start, stop)

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

    def __reduce__(self) -> tuple[type[ArchiveReader], tuple[Any, ...]]:
        return ArchiveReader, (self.path, self._options, self.identity)

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        tail, size = self._file.tail(_TAIL_BYTES)
        self._size = size if size is not None else file_bytes(tail) or 0
        start = max(self._size - len(tail), 0)
        self._file.keep(start, tail)
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
        self.identity = self._size, member.crc
        self.manifest, self._arrays = unpack(data, self._size)
        check_manifest(self.manifest, len(self._arrays), self._members.keys(), self._size)

    def _refuse_without_directory(self) -> NoReturn:
        """For a file that is no ZIP file."""
        if self._read_at(0, 4) == b"PK\3\4":
            raise CorruptArchiveError("it ends without a ZIP directory: the file is truncated or damaged")
        raise InputError("it is no nnzip archive" if self._read_at(0, 1) else "it is empty")

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
            data = self._read_at(*_extent(member))
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
        return self._file.read(start, stop)


def _extent(member: Member) -> tuple[int, int]:
    """Where a member is, with what its local header may have beside."""
    return member.header, content_start(member) + member.size + LOCAL_SLACK

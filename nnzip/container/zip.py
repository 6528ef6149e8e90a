"""`.nnz` files: a ZIP of members, written all or nothing, and read only where sizes and checksums agree.

Writing goes to a temporary sibling that replaces the target once complete and synced. Reading a whole member checks its
CRC-32; `read_range` cannot, because a CRC covers whole members: what it returns is protected by the decoders' own
checks and by `verify`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from nnzip.container.arrays import decode_array
from nnzip.container.directory import Member, RandomAccessFile, member_span, read_directory
from nnzip.container.limits import ARRAYS_MEMBER, MANIFEST_MEMBER, MAX_INFLATION, MAX_MANIFEST_BYTES
from nnzip.container.manifest import Manifest, StoredArray, decode, encode
from nnzip.errors import CorruptArchiveError, InputError, NnzipError, ResourceError, UsageError

_LOCAL_BYTES, _CENTRAL_BYTES, _END_BYTES = 30, 46, 22
_END64_BYTES = 56 + 20
_SMALL = (1 << 31) - 1  # zipfile writes ZIP64 records beyond this


def archive_size(members: Mapping[str, int], manifest_bytes: int) -> int:
    """Exact size of a finished file with stored members {name: bytes} and `manifest_bytes` of deflated manifest."""
    position = central = 0
    every = [*members.items(), (MANIFEST_MEMBER, manifest_bytes)]
    for name, size in every:
        width = len(name.encode())
        fields = 2 * (size > _SMALL) + (position > _SMALL)
        central += _CENTRAL_BYTES + width + (4 + 8 * fields if fields else 0)
        position += _LOCAL_BYTES + width + (20 if size * 1.05 > _SMALL else 0) + size
    large = len(every) > 0xFFFF or position > _SMALL or central > _SMALL
    return position + central + _END_BYTES + (_END64_BYTES if large else 0)


def deflated_size(manifest: Manifest) -> int:
    """Bytes the manifest takes in the file, for `archive_size`."""
    return len(_deflate(encode(manifest)))


def _deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)  # the parameters zipfile uses at level 9
    return coder.compress(data) + coder.flush()


class ArchiveWriter:
    """Writes one archive, completely or not at all; use as a context manager.

    The constructor raises before any work is done: UsageError when `path` exists and `overwrite` is false (or it is no
    regular file), ResourceError when its directory cannot be written. Leaving the context without `finish` removes the
    temporary file.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self.path = Path(path)
        self._overwrite = overwrite
        self._members: dict[str, int] = {}
        self._size: int | None = None
        target = Path(os.path.realpath(self.path))
        self._require_writable(target)
        self._target = target
        self._temporary = target.with_name(f".nnzip-{secrets.token_hex(4)}.part")
        with self._resources():
            self._file = self._temporary.open("xb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> None:
        """Append a member, stored as it is. Raises ResourceError when the disk is full; then nothing is left behind."""
        self._write(name, data, zipfile.ZIP_STORED)
        self._members[name] = len(data)

    def size_so_far(self) -> int:
        """Bytes of the file if it were finished now, its manifest not counted."""
        return archive_size(self._members, 0)

    def finish(self, manifest: Manifest) -> int:
        """Write the manifest, sync, and put the archive in place. Returns the file's size in bytes."""
        self._write(MANIFEST_MEMBER, encode(manifest), zipfile.ZIP_DEFLATED)
        try:
            with self._resources():
                self._zip.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                size = self._temporary.stat().st_size
            self._require_writable(self._target)
            with self._resources():
                self._temporary.replace(self._target)
        except BaseException:
            self.abort()
            raise
        self._size = size
        _sync_directory(self._target.parent)
        return size

    def abort(self) -> None:
        """Remove the temporary file; does nothing once finished."""
        if self._size is not None:
            return
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _write(self, name: str, data: bytes, method: int) -> None:
        if name in self._zip.NameToInfo:
            raise ValueError(f'member "{name}" is already in the archive')
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.external_attr = 0o644 << 16
        info.create_system = 3  # the same bytes on every platform
        try:
            with self._resources():
                self._zip.writestr(info, data, method, compresslevel=9)
        except BaseException:
            self.abort()
            raise

    def _require_writable(self, target: Path) -> None:
        try:
            exists = os.path.lexists(target)
            regular = target.is_file()
        except OSError as error:
            raise self._resource_error(error) from error
        if exists and not regular:
            raise UsageError(f"{self.path} exists and is no regular file: choose another output path")
        if exists and not self._overwrite:
            raise UsageError(
                f"{self.path} exists: choose another output path, or overwrite it with -f (overwrite=True)"
            )

    @contextlib.contextmanager
    def _resources(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._resource_error(error) from error

    def _resource_error(self, error: OSError) -> ResourceError:
        return ResourceError(f"cannot write {self.path}: {_explain(error, self.path.parent)}")


class ArchiveReader:
    """Reads an archive; the manifest and the directory are checked on opening. Safe to use from several threads.

    Raises InputError (no such file), CorruptArchiveError, NewerFormatError or ResourceError (not readable).
    """

    manifest: Manifest

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = RandomAccessFile(self.path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise InputError(f"cannot open {self.path}: {error.strerror}") from error
        except OSError as error:
            raise ResourceError(f"cannot read {self.path}: {error.strerror}") from error
        self._arrays: bytes | None = None
        try:
            self._members = read_directory(self._file)
            self.manifest = self._read_manifest()
        except BaseException:
            self._file.close()
            raise

    def read(self, name: str) -> bytes:
        """A whole member, its CRC-32 checked."""
        member = self._member(name)
        start, size = member_span(self._file, member)
        data = self._bytes(member, start, size)
        if member.deflated:
            data = self._inflate(member, data)
        found = zlib.crc32(data)
        if found != member.crc:
            raise CorruptArchiveError(
                f'{self.path}: member "{name}" is damaged: its CRC-32 is {found:08x}, the archive says {member.crc:08x}'
            )
        return data

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of a member; stored ones without a CRC check (a CRC covers them whole)."""
        member = self._member(name)
        if offset < 0 or length < 0 or offset + length > member.size:
            raise CorruptArchiveError(
                f'{self.path}: bytes {offset} to {offset + length} of member "{name}", which has {member.size}'
            )
        if member.deflated:  # by another ZIP tool
            return self.read(name)[offset : offset + length]
        start, _ = member_span(self._file, member)
        return self._bytes(member, start + offset, length)

    def read_array(self, array: StoredArray) -> NDArray[Any]:
        """A lossless array of the manifest."""
        payload = array.inline
        if array.length:
            if self._arrays is None:
                self._arrays = self.read(ARRAYS_MEMBER)
            payload = self._arrays[array.offset : array.offset + array.length]
        try:
            return decode_array(array, payload)
        except CorruptArchiveError as error:
            raise CorruptArchiveError(f"{self.path}: {error}") from error

    def sizes(self) -> dict[str, int]:
        """Stored bytes of each member, in the order of the file."""
        return {name: member.stored for name, member in self._members.items()}

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _member(self, name: str) -> Member:
        if name not in self._members:
            present = ", ".join(sorted(self._members)[:20])
            raise CorruptArchiveError(f'{self.path} has no member "{name}"; it has {present}')
        return self._members[name]

    def _bytes(self, member: Member, start: int, size: int) -> bytes:
        data = self._file.read_at(start, size)
        if len(data) != size:
            raise CorruptArchiveError(
                f'{self.path}: member "{member.name}" ends after {len(data)} of {size} bytes: the file is truncated'
            )
        return data

    def _inflate(self, member: Member, data: bytes) -> bytes:
        if member.size > MAX_INFLATION * len(data) + 64:
            raise CorruptArchiveError(
                f'{self.path}: member "{member.name}" declares {member.size} bytes,'
                f" more than {len(data)} deflated bytes can hold"
            )
        coder = zlib.decompressobj(-15)
        try:
            out = coder.decompress(data, member.size + 1)
        except zlib.error as error:
            raise CorruptArchiveError(f'{self.path}: member "{member.name}" is damaged: {error}') from error
        if len(out) != member.size or not coder.eof:
            raise CorruptArchiveError(
                f'{self.path}: member "{member.name}" inflates to {len(out)} bytes, the archive says {member.size}'
            )
        return out

    def _read_manifest(self) -> Manifest:
        if MANIFEST_MEMBER not in self._members:
            raise CorruptArchiveError(
                f"{self.path} is a ZIP file without {MANIFEST_MEMBER}: it is not an nnzip archive"
            )
        declared = self._members[MANIFEST_MEMBER].size
        if declared > MAX_MANIFEST_BYTES:
            raise CorruptArchiveError(
                f"{self.path}: {MANIFEST_MEMBER} declares {declared} bytes; the limit is {MAX_MANIFEST_BYTES}"
            )
        data = self.read(MANIFEST_MEMBER)
        try:
            return decode(data, {name: member.size for name, member in self._members.items()})
        except NnzipError as error:
            raise type(error)(f"{self.path}: {error}") from error


def _sync_directory(directory: Path) -> None:
    """Make a rename durable, where the platform lets directories be synced."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explain(error: OSError, directory: Path) -> str:
    """What went wrong when writing, and the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk or quota of {directory} is full: free some space or choose another output path"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to write in {directory}: choose another output path"
    if error.errno == errno.EROFS:
        return f"{directory} is on a read-only file system: choose another output path"
    if error.errno == errno.ENOENT:
        return f"the directory {directory} does not exist: create it first"
    if error.errno == errno.ENOTDIR:
        return f"{directory} is not a directory: choose another output path"
    return f"{error.strerror or error}"

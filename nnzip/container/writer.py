"""Writes `.nnz` files: tiles first, then one member with the manifest and the arrays, whole or not at all."""

from __future__ import annotations

import zlib
from types import TracebackType

from nnzip.container.checks import check_manifest
from nnzip.container.limits import MAX_MEMBER_BYTES, MAX_MEMBERS
from nnzip.container.manifest import Manifest
from nnzip.container.packing import pack, unpack
from nnzip.container.reader import MANIFEST_MEMBER
from nnzip.container.zip import Member, directory_bytes, local_header
from nnzip.data.atomic import output_at
from nnzip.data.bytefile import PathText, place
from nnzip.errors import CorruptArchiveError, InputError


class ArchiveWriter:
    """Writes one archive, completely or not at all; use as a context manager.

    The constructor raises before any work is done, as `AtomicOutput` does: UsageError or ResourceError. Leaving the
    context without `finish` removes what was written.
    """

    def __init__(self, path: PathText, overwrite: bool = False) -> None:
        self.path = place(path)
        self._output = output_at(path, overwrite)
        self._members: dict[str, Member] = {}
        self._position = 0
        with self._output.explained():
            self._file = self._output.temporary.open("xb")

    def add(self, name: str, data: bytes) -> None:
        """Append a member.

        Raises ResourceError when the disk is full, InputError for more members or bytes than an archive can have.
        """
        if name in self._members or name == MANIFEST_MEMBER:
            raise ValueError(f'member "{name}" is already in the archive')
        self._write(name, data)

    def size_so_far(self) -> int:
        """Bytes of the file if it were finished now, its manifest and arrays not counted."""
        empty = Member(MANIFEST_MEMBER, self._position, 0, 0)
        position = self._position + len(local_header(MANIFEST_MEMBER, 0, 0))
        return position + len(directory_bytes([*self._members.values(), empty], position))

    def size_with(self, manifest: Manifest, arrays: bytes) -> int:
        """Exact bytes of the file if it were finished now with these."""
        return self.size_so_far() + len(pack(manifest, arrays))

    def finish(self, manifest: Manifest, arrays: bytes) -> int:
        """Write the manifest, sync, and put the archive in place. Returns the file's size in bytes.

        Raises InputError for what a reader would refuse, UsageError or ResourceError as the constructor does.
        """
        data = pack(manifest, arrays)
        self._require_readable(data)
        self._write(MANIFEST_MEMBER, data)
        end = directory_bytes(self._members.values(), self._position)
        with self._output.explained():
            self._file.write(end)
            self._file.close()
        self._output.commit()
        return self._position + len(end)

    def abort(self) -> None:
        """Remove what was written; does nothing once finished."""
        try:
            self._file.close()
        except OSError:  # the disk is full: what it could not take is not wanted any more
            pass
        finally:
            self._output.abort()

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _write(self, name: str, data: bytes) -> None:
        if len(data) > MAX_MEMBER_BYTES or len(self._members) >= MAX_MEMBERS:
            raise InputError(
                f"{self.path}: member {len(self._members) + 1} has {len(data)} bytes; an archive has at most"
                f" {MAX_MEMBERS} members of at most {MAX_MEMBER_BYTES} bytes: compress fewer variables at once"
            )
        crc = zlib.crc32(data)
        header = local_header(name, len(data), crc)
        with self._output.explained():
            self._file.write(header)
            self._file.write(data)
        self._members[name] = Member(name, self._position, len(data), crc)
        self._position += len(header) + len(data)

    def _require_readable(self, data: bytes) -> None:
        """Readers apply the same checks and limits."""
        size = self.size_so_far() + len(data)
        try:
            manifest, arrays = unpack(data, size)
            check_manifest(manifest, len(arrays), self._members.keys(), size)
        except CorruptArchiveError as error:
            raise InputError(f"{self.path} cannot be written, nobody could read it: {error}") from error

"""Files that are read by position: local ones, and by fsspec any URL (s3://, gs://, https://, memory://, ...).

What was read from a URL is kept for a while, so that neighbours cost one request.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from nnzip.errors import InputError, NnzipError, ResourceError, UnavailableError, UsageError

PathText = str | os.PathLike[str]
Range = tuple[int, int]
"""First byte, last byte + 1."""

LEAST_BYTES = 1 << 16
"""Of a request: a smaller one takes as long."""
_GAP_BYTES = 1 << 16  # between two ranges that are read together all the same
_MOST_BYTES = 1 << 24  # of ranges read together
_AHEAD_BYTES = 1 << 25
_KEPT_BYTES = 1 << 26
_FORBIDDEN = (401, 403)
_WHOLE = ("simplecache::", "filecache::")  # fsspec copies the file first


class ByteFile(Protocol):
    """An open file; safe to use from several threads and after a fork."""

    closed: bool

    def tail(self, count: int) -> tuple[bytes, int | None]:
        """The last `count` bytes, fewer where there are no more, and the size of the file where it is known."""

    def keep(self, start: int, data: bytes) -> None:
        """Remember bytes that begin at `start`: `read` gives them without a request."""

    def read(self, start: int, stop: int) -> bytes:
        """Bytes [start, stop), fewer where the file ends."""

    def prefetch(self, ranges: Sequence[Range], least: int = LEAST_BYTES) -> int:
        """Have the first of these ready for `read`, in as few requests as possible, each of at least so many bytes; how
        many ranges, at least one."""

    def close(self) -> None:
        """Say in the log how much was read."""


def is_url(path: PathText) -> bool:
    """Whether fsspec is to find a file: "https://host/a.nnz", "simplecache::s3://bucket/a.nnz"."""
    return isinstance(path, str) and ("://" in path or "::" in path)


def place(path: PathText) -> Path | str:
    """A path, or the URL as it is."""
    return str(path) if is_url(path) else Path(path)


def open_file(path: PathText, storage_options: Mapping[str, Any] | None = None) -> ByteFile:
    """Open a local file, or a URL with fsspec's options for it.

    Raises InputError where there is none, ResourceError without permission, UnavailableError for a URL that cannot be
    reached or needs another package, UsageError for an unknown kind of URL.
    """
    if not is_url(path):
        return _LocalFile(Path(path))
    url = str(path)
    if not url.startswith(_WHOLE):
        return _RemoteFile(url, storage_options or {})
    with explained(url):
        import fsspec

        copy = fsspec.open_local(url, mode="rb", **(storage_options or {}))
    return _LocalFile(Path(copy))


class _LocalFile:
    """Reads name their position, so that threads and forked processes do not disturb each other."""

    def __init__(self, path: Path) -> None:
        self._path, self._reads, self._bytes, self.closed = path, 0, 0, False
        try:
            self._file = path.open("rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise InputError(f"cannot open {path}: {error.strerror}") from error
        except OSError as error:
            raise ResourceError(f"cannot read {path}: {error.strerror}") from error

    def tail(self, count: int) -> tuple[bytes, int | None]:
        size = os.fstat(self._file.fileno()).st_size
        return self.read(max(size - count, 0), size), size

    def keep(self, start: int, data: bytes) -> None:
        """The system does it."""

    def read(self, start: int, stop: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), stop - start, start)
        except OSError as error:
            raise ResourceError(f"cannot read {self._path}: {error.strerror}") from error
        self._reads, self._bytes = self._reads + 1, self._bytes + len(data)
        return data

    def prefetch(self, ranges: Sequence[Range], least: int = LEAST_BYTES) -> int:
        return len(ranges)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            _log(str(self._path), "reads", self._reads, self._bytes)
        self.closed = True


class _RemoteFile:
    """Requests are counted; what they gave is kept, up to _KEPT_BYTES."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url, self._options, self.closed = url, dict(options), False
        self._requests, self._bytes = 0, 0
        self._begin()

    def _begin(self) -> None:
        """fsspec's connections are those of one process."""
        self._process, self._lock = os.getpid(), threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        with explained(self._url):
            import fsspec

            self._system, self._path = fsspec.core.url_to_fs(self._url, **self._options)

    def tail(self, count: int) -> tuple[bytes, int | None]:
        with explained(self._url):
            # only file systems of the network take a negative start, which saves them a request for the size
            start = -count if self._system.async_impl else max(self._system.size(self._path) - count, 0)
            data = bytes(self._system.cat_file(self._path, start=start))
        self._count(1, len(data))
        if len(data) > count:
            raise UnavailableError(
                f"{self._url}: its server gives {len(data)} bytes where {count} were asked for, so that parts cannot be"
                f" read: read it as simplecache::{self._url}, or download it"
            )
        return data, len(data) if len(data) < count else None

    def keep(self, start: int, data: bytes) -> None:
        with self._lock:
            self._blocks[start] = data
            while sum(map(len, self._blocks.values())) > _KEPT_BYTES and len(self._blocks) > 1:
                self._blocks.popitem(last=False)

    def read(self, start: int, stop: int) -> bytes:
        if self._process != os.getpid():
            self._begin()
        known = self._known(start, stop)
        if known is not None:
            return known
        data = self._fetch(_joined([(start, stop)], LEAST_BYTES))[0]
        self.keep(start, data)
        return data[: stop - start]

    def prefetch(self, ranges: Sequence[Range], least: int = LEAST_BYTES) -> int:
        if self._process != os.getpid():
            self._begin()
        sizes = accumulate(stop - start for start, stop in ranges)
        count = max(sum(size <= _AHEAD_BYTES for size in sizes), 1)
        wanted = _joined([each for each in ranges[:count] if self._known(*each) is None], least)
        for (start, _), data in zip(wanted, self._fetch(wanted) if wanted else (), strict=True):
            self.keep(start, data)
        return count

    def close(self) -> None:
        if not self.closed:
            _log(self._url, "requests", self._requests, self._bytes)
        self.closed = True
        self._blocks.clear()

    def _known(self, start: int, stop: int) -> bytes | None:
        with self._lock:
            for first, data in self._blocks.items():
                if first <= start and stop <= first + len(data):
                    self._blocks.move_to_end(first)
                    return data[start - first : stop - first]
        return None

    def _fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """At once, where the kind of URL allows that."""
        starts, stops = zip(*ranges, strict=True)
        with explained(self._url):
            found = self._system.cat_ranges([self._path] * len(ranges), list(starts), list(stops), on_error="raise")
        self._count(len(ranges), sum(map(len, found)))
        return [bytes(data) for data in found]

    def _count(self, requests: int, count: int) -> None:
        with self._lock:
            self._requests, self._bytes = self._requests + requests, self._bytes + count


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what fsspec and its file systems raise into an error that names the URL and the remedy."""
    try:
        yield
    except (NnzipError, MemoryError):
        raise
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"cannot open {url}: there is no such file") from error
    except ImportError as error:
        raise UnavailableError(f"{url} needs another package: pip install nnzip[remote] ({error})") from error
    except Exception as error:  # every file system has errors of its own
        if isinstance(error, PermissionError) or getattr(error, "status", None) in _FORBIDDEN:
            raise ResourceError(
                f"no permission for {url}: give credentials in storage_options or in fsspec's configuration"
            ) from error
        if isinstance(error, ValueError) and "rotocol" in str(error):
            raise UsageError(f"{url} is no kind of URL that fsspec knows ({error})") from error
        raise UnavailableError(f"cannot reach {url}: {error or type(error).__name__}") from error


def _joined(ranges: Sequence[Range], least: int) -> list[Range]:
    """Ranges in order, near ones as one, and none of fewer bytes."""
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if joined and start - joined[-1][1] <= _GAP_BYTES and stop - joined[-1][0] <= _MOST_BYTES:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return [(start, max(stop, start + least)) for start, stop in joined]


def _log(name: str, what: str, count: int, size: int) -> None:
    logging.getLogger("nnzip").info("%s: %d bytes in %d %s", name, size, count, what)

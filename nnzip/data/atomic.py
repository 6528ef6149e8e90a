"""Outputs appear whole or not at all: a file or a directory is written beside its place, synced, and renamed.

A file for a URL is written on this machine and sent when it is complete.

What is being written lies in a private folder ".nnzip-<output>-<number>.part" beside the output. The folder is locked
while its writer lives, so that the next run on the same output removes what a killed one has left.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from nnzip.data.bytefile import PathText, explained, is_url
from nnzip.errors import ResourceError, UsageError

_SUFFIX = ".part"
_REMOVALS, _REMOVAL_PAUSE_SECONDS = 40, 0.05  # after a failure Zarr's other tasks go on writing for a moment
_EXCHANGE, _CURRENT_FOLDER = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux


def output_at(path: PathText, overwrite: bool = False) -> Output:
    """The output file at a path or a URL. Raises as `AtomicOutput` and `UrlOutput` do."""
    return UrlOutput(str(path), overwrite) if is_url(path) else AtomicOutput(path, overwrite)


class Output(ABC):
    """An output that is in its place after `commit`, and leaves no trace without it; a context manager."""

    temporary: Path
    """What to write."""

    @abstractmethod
    def commit(self) -> None:
        """Put it in place."""

    @abstractmethod
    def abort(self) -> None:
        """Remove everything temporary; does nothing once committed."""

    @abstractmethod
    def _written(self) -> Path:
        """What a message about a failure names; its folder is where there was no room."""

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an OSError into a ResourceError that names the output and the remedy."""
        try:
            yield
        except OSError as error:
            path = self._written()
            raise ResourceError(f"cannot write {path}: {_explain(error, path.parent)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class UrlOutput(Output):
    """As `AtomicOutput`, for a file at a URL that fsspec knows: it is written here, and sent on `commit`.

    Raises UsageError when it exists and `overwrite` is false, and what `bytefile.explained` raises.
    """

    def __init__(self, url: str, overwrite: bool = False) -> None:
        self._url = url
        with explained(url):
            import fsspec

            self._system, self._path = fsspec.core.url_to_fs(url)
            exists = self._system.exists(self._path)
        if exists and not overwrite:
            raise UsageError(f"{url} exists: choose another output, or overwrite it with -f (overwrite=True)")
        self._folder = tempfile.TemporaryDirectory(prefix="nnzip-")
        self.temporary = Path(self._folder.name, Path(url).name)

    def commit(self) -> None:
        with explained(self._url):
            self._system.put_file(str(self.temporary), self._path)
        self.abort()

    def abort(self) -> None:
        self._folder.cleanup()

    def _written(self) -> Path:
        return self.temporary


class AtomicOutput(Output):
    """An output that replaces `path` on `commit`, and leaves no trace without it; use as a context manager.

    Write a file or a directory named `temporary`; its folder is private, so it may hold other temporary files too.
    Symbolic links to existing outputs are followed; the permissions of what is replaced are kept.

    The constructor raises before any work is done: UsageError when `path` exists and `overwrite` is false or `replaces`
    says no (`kind` names in a message what it accepts), or when it is a link to nothing; ResourceError when its
    directory cannot be written.
    """

    def __init__(
        self,
        path: PathText,
        overwrite: bool = False,
        replaces: Callable[[Path], bool] = Path.is_file,
        kind: str = "regular file",
    ) -> None:
        self.path = Path(path)
        self._target = Path(os.path.realpath(self.path))
        self._overwrite, self._replaces, self._kind = overwrite, replaces, kind
        self._require_replaceable()
        prefix = f".nnzip-{hashlib.blake2b(os.fsencode(self._target.name), digest_size=6).hexdigest()}-"
        _remove_leftovers(self._target.parent, prefix)
        self._folder = self._target.with_name(f"{prefix}{secrets.token_hex(4)}{_SUFFIX}")
        self.temporary = self._folder / self._target.name
        with self.explained():
            if len(os.fsencode(self._target.name)) > os.pathconf(self._target.parent, "PC_NAME_MAX"):
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            self._folder.mkdir(mode=0o700)
            self._lock = _locked(self._folder)

    def commit(self) -> None:
        """Sync what was written and put it in place. Raises as the constructor does."""
        with self.explained():
            _sync(self.temporary)
            self._require_replaceable()
            if self._target.exists():
                self.temporary.chmod(self._target.stat().st_mode & 0o7777)
            _replace(self.temporary, self._target)
            _sync_one(self._target.parent)
        self.abort()

    def abort(self) -> None:
        _remove(self._folder)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _written(self) -> Path:
        return self.path

    def _require_replaceable(self) -> None:
        with self.explained():
            exists = os.path.lexists(self._target)
            if not exists and self.path.is_symlink():
                raise UsageError(
                    f"{self.path} is a link to {self._target}, which does not exist: choose another output path"
                )
            if self._target.is_symlink():
                raise UsageError(f"{self.path} is a link to itself: choose another output path")
            replaceable = exists and self._replaces(self._target)
        if exists and not replaceable:
            raise UsageError(f"{self.path} exists and is no {self._kind}: choose another output path")
        if exists and not self._overwrite:
            raise UsageError(
                f"{self.path} exists: choose another output path, or overwrite it with -f (overwrite=True)"
            )


def require_distinct(inputs: Iterable[PathText], output: PathText) -> None:
    """Raise UsageError when writing `output` would replace one of `inputs`, also through links, or a folder of it."""
    target = Path(os.path.realpath(output))
    for path in inputs:
        source = Path(os.path.realpath(path))
        same = source.exists() and target.exists() and source.samefile(target)
        if same or source == target or target in source.parents:
            raise UsageError(f"the output {output} would replace the input {path}: choose another output path")


def _locked(folder: Path) -> int | None:
    """An open handle that holds the lock of `folder`; None where somebody else has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also where the file system has no locks
        os.close(handle)
        return None
    return handle


def _remove_leftovers(parent: Path, prefix: str) -> None:
    """Remove what killed writers of the same output have left; a living writer's folder is locked."""
    with contextlib.suppress(OSError):
        for folder in parent.glob(f"{prefix}*{_SUFFIX}"):
            lock = _locked(folder)
            if lock is not None:
                _remove(folder)
                os.close(lock)


def _remove(folder: Path) -> None:
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_REMOVAL_PAUSE_SECONDS)


def _replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`; a directory that is there ends up in place of `source`."""
    if not (target.is_dir() and source.is_dir()):
        source.replace(target)
    elif not _exchange(source, target):  # only Linux swaps directories in one step
        aside = source.with_name(source.name + ".old")
        target.rename(aside)
        try:
            source.rename(target)
        except BaseException:
            aside.rename(target)
            raise


def _exchange(source: Path, target: Path) -> bool:
    """Swap two paths in one step (renameat2); False where the system or the file system cannot."""
    with contextlib.suppress(OSError, AttributeError):
        rename = ctypes.CDLL(None).renameat2
        return bool(rename(_CURRENT_FOLDER, os.fsencode(source), _CURRENT_FOLDER, os.fsencode(target), _EXCHANGE) == 0)
    return False


def _sync(path: Path) -> None:
    """Bring a file, or a directory with everything in it, to the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            _sync_one(Path(folder, name))
        _sync_one(Path(folder))
    if not path.is_dir():
        _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync directories
            raise
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

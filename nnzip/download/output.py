"""Where a download goes, and what lies there already.

In an output directory every part is one NetCDF file; for a single Zarr store or NetCDF file the parts lie in a hidden
directory beside it until all are there. Partial transfers, jobs and blocks lie in the scratch directory `.download/`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from nnzip.container.reader import ArchiveReader
from nnzip.data.opening import open_dataset
from nnzip.data.writing import writer_of
from nnzip.download.checkpoint import SUFFIX as BLOCKS
from nnzip.download.layout import IDENTITY
from nnzip.errors import InputError, NnzipError, UsageError

_LOCK = "lock"
_KEPT = (".job", ".raw", ".nc", ".halved", BLOCKS)  # what the next run goes on from
_OLD_SECONDS = 30 * 86400  # jobs have long expired


@dataclass(frozen=True)
class Output:
    """Where a download goes: into the directory `target`, or (`is_file`) one file; the others are directories."""

    target: Path
    is_file: bool
    parts: Path
    scratch: Path


def output_at(target: Path) -> Output:
    """Output of a path: .zarr, .zarr.zip, .nc and .nc4 are one store or file, everything else is a directory.

    Raises UsageError for an existing file that is no directory, and for an archive's suffix.
    """
    if target.suffix == ".nnz":
        raise UsageError(f"{target}: archives are written month by month: name a directory, and give --compress")
    if target.suffix.lower() in (".nc", ".nc4", ".zarr", ".zip"):
        writer_of(target)
        scratch = target.with_name(f".{target.name}.download")
        return Output(target, True, scratch, scratch)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file: name a directory, or a file ending in .zarr or .nc")
    return Output(target, False, target, target / ".download")


@contextmanager
def scratch_of(output: Output) -> Iterator[Path]:
    """The scratch directory, locked and without what a killed run left half-written; removed when nothing is left.

    Raises UsageError when another download is at work there.
    """
    scratch = output.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    lock = FileLock(scratch / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another download into {output.target} is at work: wait for it, or name another place with -o"
        ) from error
    try:
        _clean(scratch)
        yield scratch
    finally:
        lock.release()
        if scratch.exists() and all(path.name == _LOCK for path in scratch.iterdir()):
            shutil.rmtree(scratch)


def held_identity(path: Path) -> str:
    """The request that a file or archive says it holds, "" for a foreign one. Raises InputError when it is damaged."""
    try:
        if path.suffix == ".nnz":
            with ArchiveReader(path) as archive:
                return str(archive.manifest.attrs.get(IDENTITY, ""))
        with open_dataset(path) as dataset:
            return str(dataset.attrs.get(IDENTITY, ""))
    except (NnzipError, OSError, RuntimeError) as error:
        raise InputError(f"{path} is damaged ({error})") from error


def require_identity(path: Path, held: str, wanted: str) -> None:
    """Raise UsageError unless the file at `path` holds what is wanted."""
    if held != wanted:
        raise UsageError(
            f"{path} exists already and holds something else: choose another directory, or allow overwriting it (-f)"
        )


def quarantine(path: Path, scratch: Path) -> Path:
    """Move a damaged file out of the way; it is deleted by the next run."""
    return path.replace(scratch / f"{path.name}.damaged")


def _clean(scratch: Path) -> None:
    """Remove all but jobs, partial transfers, blocks and complete parts, and these too when they are old."""
    for path in scratch.iterdir():
        if path.name == _LOCK:
            continue
        kept = path.suffix in _KEPT and not path.name.endswith(".new.nc") and not path.name.startswith(".")
        if kept and time.time() - path.stat().st_mtime < _OLD_SECONDS:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

"""The main path: fetch what is missing, month by month, and leave every month as files or as an archive.

A file is in its place only when it is complete and has been read again; it says itself (attribute nnzip_request) what
it holds, so a later run knows what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from nnzip.data.opening import open_dataset, stored_bytes
from nnzip.data.writing import write_dataset
from nnzip.download.fetcher import Fetcher, Manner
from nnzip.download.layout import IDENTITY
from nnzip.download.output import Output, held_identity, quarantine, require_identity, scratch_of
from nnzip.download.plan import Month, Part
from nnzip.download.retry import Watcher
from nnzip.errors import InputError, UsageError


@dataclass(frozen=True)
class Archiving:
    """How each month becomes an archive: `compress` writes the dataset, out of files of so many bytes, to a path;
    `settings` decide the result."""

    settings: dict[str, str]
    compress: Callable[[xr.Dataset, Path, int], None]


def download(
    months: Sequence[Month],
    output: Output,
    watcher: Watcher,
    *,
    manner: Manner | None = None,
    archiving: Archiving | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Fetch what is missing of `months` into `output`; the files or archives, all complete.

    archiving: compress each month, and remove its parts. Raises UsageError (a file in the way, another download at
    work, no key, a licence not accepted), InputError, UnavailableError and ResourceError; then what has arrived stays
    for the next run.
    """
    if output.is_file and output.target.exists() and not overwrite:
        raise UsageError(f"{output.target} exists already: choose another name, or allow overwriting it (-f)")
    again = overwrite and not output.is_file
    with scratch_of(output) as scratch:
        missing = [part for month in months for part in _missing(month, output, archiving is not None, again)]
        fetcher = Fetcher(months[0].parts[0].source, missing, scratch, manner or Manner(), watcher)
        try:
            files: list[Path] = []
            for month in months:
                if archiving is None:
                    files += [file for part in month.parts for file in fetcher.complete(part, output.parts, again)]
                else:
                    files.append(_archive(month, output, fetcher, archiving, overwrite, watcher))
        finally:
            fetcher.close()
        if output.is_file:
            watcher.show(f"writing {output.target.name}")
            with open_dataset(files) as dataset:
                written = write_dataset(dataset, output.target, overwrite)
            for path in scratch.glob("*.nc"):
                path.unlink()
            files = [written]
    return files


def _missing(month: Month, output: Output, archiving: bool, again: bool) -> list[Part]:
    """The parts of a month that are still to be fetched, as far as the names of files tell."""
    place = output.scratch if archiving else output.parts
    if archiving and (output.target / f"{month.name}.nnz").exists() and not again:
        return []
    return [part for part in month.parts if again or not (place / f"{part.name}.nc").exists()]


def _archive(
    month: Month, output: Output, fetcher: Fetcher, archiving: Archiving, overwrite: bool, watcher: Watcher
) -> Path:
    """The archive of a month, made unless it is there."""
    path = output.target / f"{month.name}.nnz"
    identity = json.dumps({**json.loads(month.identity), "compress": archiving.settings})
    if path.exists() and not overwrite:
        try:
            require_identity(path, held_identity(path), identity)
            return path
        except InputError as error:
            watcher.say(f"{error}; making it again")
            quarantine(path, output.scratch)
    parts = [file for part in month.parts for file in fetcher.complete(part, output.scratch, False)]
    with open_dataset(parts) as dataset:
        dataset.attrs[IDENTITY] = identity
        archiving.compress(dataset, path, stored_bytes(parts))
    for file in parts:
        file.unlink()
    return path

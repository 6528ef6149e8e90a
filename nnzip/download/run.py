"""The main path: fetch what is missing, month by month, and leave every month as files or as an archive.

In an output directory every part is one NetCDF file; for a single Zarr store or NetCDF file the parts lie in a hidden
directory beside it until all are there. A file is in its place only when it is complete and has been read again; it
says itself (attribute nnzip_request) what it holds, so a later run knows what is missing. Partial transfers lie in
`.download/`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import xarray as xr

from nnzip.container.zip import ArchiveReader
from nnzip.data.formats import detect_format
from nnzip.data.opening import open_dataset
from nnzip.data.writing import write_dataset, writer_of
from nnzip.data.zipped import unpack
from nnzip.download.cds import ClimateDataStore, TooLargeError
from nnzip.download.cds_request import DataFormat
from nnzip.download.layout import IDENTITY, tidy, write_part
from nnzip.download.mirrors import Mirror
from nnzip.download.plan import Month, Part
from nnzip.download.retry import Patience, Watcher
from nnzip.download.variables import Source
from nnzip.errors import InputError, NnzipError, UnavailableError, UsageError

_QUEUED = 4
"""Requests that wait in the queue of the Climate Data Store at a time: it runs few of a user's at once."""


@dataclass(frozen=True)
class Archiving:
    """How each month becomes an archive: `compress` writes the dataset to a path; `settings` decide the result."""

    settings: dict[str, str]
    compress: Callable[[xr.Dataset, Path], None]


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


def download(
    months: Sequence[Month],
    output: Output,
    watcher: Watcher,
    *,
    data_format: DataFormat = "netcdf",
    archiving: Archiving | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Fetch what is missing of `months` into `output`; the files or archives, all complete.

    archiving: compress each month, and remove its parts. Raises UsageError (a file in the way, no key, a licence
    not accepted), InputError, UnavailableError and ResourceError; then what has arrived stays for the next run.
    """
    if output.is_file and output.target.exists() and not overwrite:
        raise UsageError(f"{output.target} exists already: choose another name, or allow overwriting it (-f)")
    output.scratch.mkdir(parents=True, exist_ok=True)
    _clean(output.scratch)
    again = overwrite and not output.is_file
    missing = [part for month in months for part in _missing(month, output, archiving is not None, again)]
    fetcher = _Fetcher(months[0].parts[0].source, missing, output.scratch, data_format, watcher)
    files: list[Path] = []
    for month in months:
        if archiving is None:
            files += [file for part in month.parts for file in fetcher.complete(part, output.parts, again)]
        else:
            files.append(_archive(month, output, fetcher, archiving, overwrite))
    if output.is_file:
        watcher.show(f"writing {output.target.name}", None)
        with open_dataset(files) as dataset:
            files = [write_dataset(dataset, output.target, overwrite)]
        shutil.rmtree(output.scratch)
    elif not any(output.scratch.iterdir()):  # another selection may have jobs in the queue
        output.scratch.rmdir()
    return files


def _clean(scratch: Path) -> None:
    """Remove what a killed run left half-written: everything but jobs, partial transfers and complete parts."""
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix not in (".job", ".raw", ".nc") or path.name.endswith(".new.nc"):
            path.unlink()


def _missing(month: Month, output: Output, archiving: bool, again: bool) -> list[Part]:
    """The parts of a month that are still to be fetched, as far as the names of files tell."""
    place = output.scratch if archiving else output.parts
    if archiving and (output.target / f"{month.name}.nnz").exists() and not again:
        return []
    return [part for part in month.parts if again or not (place / f"{part.name}.nc").exists()]


def _archive(month: Month, output: Output, fetcher: _Fetcher, archiving: Archiving, overwrite: bool) -> Path:
    """The archive of a month, made unless it is there."""
    path = output.target / f"{month.name}.nnz"
    identity = json.dumps({**json.loads(month.identity), "compress": archiving.settings})
    if path.exists() and not overwrite:
        _require_identity(path, identity)
        return path
    parts = [file for part in month.parts for file in fetcher.complete(part, output.scratch, False)]
    with open_dataset(parts) as dataset:
        dataset.attrs[IDENTITY] = identity
        archiving.compress(dataset, path)
    for file in parts:
        file.unlink()
    return path


class _Fetcher:
    """Makes the files of parts from one source."""

    def __init__(
        self, source: Source, missing: list[Part], scratch: Path, data_format: DataFormat, watcher: Watcher
    ) -> None:
        patience = Patience.from_environment()
        self._missing, self._scratch, self._watcher = missing, scratch, watcher
        if data_format == "grib" and find_spec("cfgrib") is None:
            raise UnavailableError("reading GRIB needs further packages: pip install 'nnzip[grib]'")
        self._store = ClimateDataStore(data_format, patience, watcher)
        self._mirror = None if source == "cds" else Mirror(source, patience, watcher)

    def complete(self, part: Part, place: Path, overwrite: bool) -> list[Path]:
        """The file of `part` in `place`, fetched unless it is there; two for halves of a part that was too large."""
        path = place / f"{part.name}.nc"
        if path.exists() and not overwrite:
            if place != self._scratch:
                _require_identity(path, part.identity)
            if _identity(path) == part.identity:
                return [path]
        try:
            self._make(part, path)
        except TooLargeError as error:
            halves = part.halves()
            if len(halves) == 1:
                raise
            self._watcher.say(f"{part.name}: {error}; asking for two halves")
            return [file for half in halves for file in self.complete(half, place, overwrite)]
        self._watcher.say(f"{path.name}: {path.stat().st_size / 1e6:.3g} MB")
        return [path]

    def _make(self, part: Part, path: Path) -> None:
        if self._mirror is not None:
            write_part(self._mirror.fetch(part), part, path, self._scratch)
            return
        self._request_ahead(part)
        raw = self._store.fetch(part, self._scratch)
        try:
            with TemporaryDirectory(dir=self._scratch) as folder:
                files = unpack(raw, Path(folder)) if detect_format(raw) == "zip" else [raw]
                with open_dataset(files) as dataset:
                    write_part(tidy(dataset, part), part, path, self._scratch)
        except InputError as error:  # what arrived is not what was promised: the next run asks anew
            for file in (raw, raw.with_suffix(".job")):
                file.unlink(missing_ok=True)
            raise InputError(
                f"{part.name} as it arrived from the Climate Data Store cannot be used: {error}"
            ) from error
        for file in (raw, raw.with_suffix(".job")):
            file.unlink(missing_ok=True)

    def _request_ahead(self, part: Part) -> None:
        """Put `part` and the next ones into the queue, so that they wait together and not one after the other."""
        place = self._missing.index(part) if part in self._missing else len(self._missing)
        for following in self._missing[place : place + _QUEUED]:
            try:
                self._store.request(following, self._scratch)
            except TooLargeError:  # its turn will come
                continue


def _require_identity(path: Path, identity: str) -> None:
    """Raise UsageError unless the file or archive at `path` holds what `identity` asks for."""
    if _identity(path) != identity:
        raise UsageError(
            f"{path} exists already and holds something else: choose another directory, or allow overwriting it (-f)"
        )


def _identity(path: Path) -> str:
    try:
        if path.suffix == ".nnz":
            with ArchiveReader(path) as archive:
                return str(archive.manifest.attrs.get(IDENTITY, ""))
        with open_dataset(path) as dataset:
            return str(dataset.attrs.get(IDENTITY, ""))
    except NnzipError:  # no archive or dataset at all: certainly not the one asked for
        return ""

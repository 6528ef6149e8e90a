"""Parts to files: fetched from their source, checked, and put in their place only when they are complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import xarray as xr

from nnzip.data.formats import detect_format
from nnzip.data.opening import open_dataset
from nnzip.data.writing import write_dataset
from nnzip.data.zipped import unpack
from nnzip.download.cds import RENEWALS, ClimateDataStore
from nnzip.download.cds_errors import SERVER, TooLargeError
from nnzip.download.cds_request import DataFormat
from nnzip.download.gaps import GAPS, Gap, blocks_of, find_gaps, gaps_text, refuse_gaps
from nnzip.download.layout import ContentError, tidy
from nnzip.download.mirrors import Mirror
from nnzip.download.output import held_identity, quarantine, require_identity
from nnzip.download.plan import Part
from nnzip.download.retry import Patience, Watcher
from nnzip.download.variables import Source
from nnzip.errors import InputError, UnavailableError


@dataclass(frozen=True)
class Manner:
    """How parts are fetched: what the Store sends, requests in its queue at a time, parallel reads of a mirror."""

    data_format: DataFormat = "netcdf"
    queued: int = 2
    parallel: int = 4
    allow_gaps: bool = False


class Fetcher:
    """Makes the files of parts from one source; `missing` are the parts to come, in their order."""

    def __init__(
        self, source: Source, missing: Sequence[Part], scratch: Path, manner: Manner, watcher: Watcher
    ) -> None:
        patience = Patience.from_environment()
        self._missing, self._scratch, self._manner, self._watcher = list(missing), scratch, manner, watcher
        if manner.data_format == "grib" and find_spec("cfgrib") is None:
            raise UnavailableError("reading GRIB needs further packages: pip install 'nnzip[grib]'")
        self._store = ClimateDataStore(manner.data_format, patience, watcher)
        self._mirror = None if source == "cds" else Mirror(source, patience, watcher, manner.parallel)

    def close(self) -> None:
        """Stop reading."""
        if self._mirror is not None:
            self._mirror.close()

    def complete(self, part: Part, place: Path, overwrite: bool) -> list[Path]:
        """The file of `part` in `place`, fetched unless it is there; several for a part that was too large."""
        path = place / f"{part.name}.nc"
        if self._is_there(path, part, place, overwrite):
            return [path]
        marker = self._scratch / f"{part.name}.halved"
        if not self._is_halved(part, place, overwrite):
            try:
                self._make(part, path)
                self._watcher.say(f"{path.name}: {path.stat().st_size / 1e6:.3g} MB")
                return [path]
            except TooLargeError as error:
                if len(part.halves()) == 1:
                    raise
                self._watcher.say(f"{part.name}: {error}; asking for two halves")
                marker.write_text(part.identity, encoding="utf-8")
        files = [file for half in part.halves() for file in self.complete(half, place, overwrite)]
        marker.unlink(missing_ok=True)
        return files

    def _is_there(self, path: Path, part: Part, place: Path, overwrite: bool) -> bool:
        if overwrite or not path.exists():
            return False
        try:
            held = held_identity(path)
            if place == self._scratch:  # joined or compressed next, where damage would stop every run
                with open_dataset(path) as dataset:
                    _read_all(dataset)
        except (InputError, _DamagedError) as error:
            self._watcher.say(f"{error}; fetching it again")
            quarantine(path, self._scratch)
            return False
        if place != self._scratch:
            require_identity(path, held, part.identity)
        return held == part.identity

    def _is_halved(self, part: Part, place: Path, overwrite: bool) -> bool:
        """True when the Store refused the whole before: an earlier run noted it, or halves are there."""
        marker, halves = self._scratch / f"{part.name}.halved", part.halves()
        if marker.exists() and marker.read_text(encoding="utf-8") == part.identity:
            return True
        if len(halves) == 1 or overwrite:
            return False
        there = any(_holds(place / f"{half.name}.nc", half) for half in halves)
        return there or any(self._is_halved(half, place, overwrite) for half in halves)

    def _make(self, part: Part, path: Path) -> None:
        if self._mirror is not None:
            dataset, gaps = self._mirror.fetch(part, self._scratch, allow_gaps=self._manner.allow_gaps)
            self._write(dataset, part, path, gaps)
            self._mirror.forget(part, self._scratch)
            return
        for number in range(1, RENEWALS + 1):
            self._request_ahead(part)
            raw = self._store.fetch(part, self._scratch)
            try:
                self._convert(raw, part, path)
            except ContentError as error:  # the next run asks anew
                self._store.forget(part, self._scratch)
                raise InputError(f"{part.name} as it arrived from {SERVER} cannot be used: {error}") from error
            except _DamagedError as error:
                quarantine(raw, self._scratch)
                self._store.forget(part, self._scratch)
                if number == RENEWALS:
                    raise InputError(f"{part.name} as it arrived from {SERVER} cannot be used: {error}") from error
                self._watcher.say(f"{part.name} arrived damaged ({error}); requesting it again")
            else:
                self._store.forget(part, self._scratch)
                return

    def _convert(self, raw: Path, part: Part, path: Path) -> None:
        """Write the file of a part from what the Store sent. Raises _DamagedError when that cannot be read."""
        with TemporaryDirectory(dir=self._scratch) as folder:
            try:
                files = unpack(raw, Path(folder)) if detect_format(raw) == "zip" else [raw]
                dataset = open_dataset(files)
            except (InputError, OSError, RuntimeError) as error:
                raise _DamagedError(str(error)) from error
            with dataset:
                tidied = tidy(dataset, part)
                _read_all(tidied)
                self._write(tidied, part, path, [])

    def _write(self, dataset: xr.Dataset, part: Part, path: Path, gaps: list[Gap]) -> None:
        """Write a part's dataset in the scratch directory, read it again, and move it to `path` (on the same disk)."""
        written = write_dataset(dataset, self._scratch / f"{path.stem}.new.nc", overwrite=True)
        with open_dataset(written) as again:
            known = {gap.name for gap in gaps}
            gaps += [gap for gap in find_gaps(again, part.selection) if gap.name not in known]
        if gaps and not self._manner.allow_gaps:
            if self._mirror is None:
                self._store.forget(part, self._scratch)
            refuse_gaps(gaps, part.selection.times.size, part.name)
        for gap in gaps:
            self._watcher.say(f"{part.name}: {gap.describe(part.selection.times.size)}")
        if gaps:
            write_dataset(dataset.assign_attrs({GAPS: gaps_text(gaps)}), written, overwrite=True)
        written.replace(path)

    def _request_ahead(self, part: Part) -> None:
        """Put `part` and the next ones into the queue, so that they wait together and not one after the other."""
        place = self._missing.index(part) if part in self._missing else len(self._missing)
        for following in self._missing[place : place + self._manner.queued]:
            try:
                self._store.request(following, self._scratch)
            except TooLargeError:
                if following == part:
                    raise  # the turn of the others will come


def _holds(path: Path, part: Part) -> bool:
    try:
        return path.exists() and held_identity(path) == part.identity
    except InputError:
        return False


class _DamagedError(Exception):
    """What arrived cannot be read."""


def _read_all(dataset: xr.Dataset) -> None:
    """Read every value once, so that damage shows before anything is written."""
    try:
        for array in dataset.data_vars.values():
            for _ in blocks_of(array):
                pass
    except (OSError, RuntimeError) as error:
        raise _DamagedError(str(error)) from error

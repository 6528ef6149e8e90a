"""Parts from the mirrors: ARCO-ERA5, WeatherBench2 and, with a key, ECMWF's (Zarr), NCAR on AWS (NetCDF).

Only the chunks that a part touches are read, several at once, in blocks of times. A block that has arrived stays on
the disk until its part is complete.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.download.account import HOW_TO_GET_A_KEY, find_account
from nnzip.download.addresses import TITLES, address
from nnzip.download.checkpoint import Checkpoint
from nnzip.download.cost import transferred_bytes
from nnzip.download.gaps import Gap, has_begun, refuse_gaps
from nnzip.download.http import Http
from nnzip.download.layout import build, cut, dims_of, find, locate, rename
from nnzip.download.ncar import chunk_spans, ncar_files, open_remote
from nnzip.download.plan import Part
from nnzip.download.retry import Patience, Server, Watcher
from nnzip.download.variables import Field, Source
from nnzip.errors import InputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from nnzip.download.zarr_store import HttpStore

Axes = Sequence[NDArray[np.intp]]
_BLOCK_BYTES = 640 << 20  # of decoded chunks at a time: a chunk of ARCO-ERA5 with its 37 levels has 154 MB
_BLOCK_TIMES = 24
_LAST_TIME_ATTRIBUTES = ("valid_time_stop_era5t", "valid_time_stop")
_UNDECODABLE = (ValueError, RuntimeError, OSError, TypeError, zlib.error)  # of blosc, zlib, HDF5 and zarr


@dataclass(frozen=True)
class _Stored:
    """An open file or store.

    prepare: fetches the chunks of a variable that hold positions along its axes; lacking: numbers along time of the
    chunks of a variable that are not there.
    """

    dataset: xr.Dataset
    prepare: Callable[[str, Axes], None]
    lacking: Callable[[str], NDArray[np.intp]]


class Mirror:
    """Fetches parts from one mirror; a store is opened once."""

    def __init__(self, source: Source, patience: Patience, watcher: Watcher, parallel: int) -> None:
        self._source, self._watcher = source, watcher
        self._server = Server(TITLES[source], patience, watcher)
        self._http = Http(self._server, parallel, _key() if source == "ecmwf" else "")
        self._stores: dict[str, tuple[HttpStore, xr.Dataset]] = {}

    def close(self) -> None:
        """Stop reading, also in other threads."""
        self._server.stop()
        self._http.pool.shutdown(wait=False, cancel_futures=True)

    def fetch(self, part: Part, scratch: Path, *, allow_gaps: bool) -> tuple[xr.Dataset, list[Gap]]:
        """The dataset of `part` in memory, in the common layout, and the gaps in it (with allow_gaps).

        Blocks stay in `scratch` until `forget`. Raises InputError when the mirror lacks a variable, level, time or
        chunk, or a chunk cannot be decoded; UnavailableError when it cannot be reached.
        """
        checkpoint, fields = Checkpoint(part, scratch), part.selection.fields
        gaps, variables, total = [], {}, transferred_bytes(part)
        for number, field in enumerate(fields):

            def report(done: float, number: int = number) -> None:
                self._watcher.show(part.name, round(total * (number + done) / len(fields)), total)

            missing = self._read(part, field, checkpoint, report, allow_gaps)
            if missing.size:
                gaps.append(Gap(field.variable.short_name, missing))
        if not allow_gaps:
            refuse_gaps(gaps, part.selection.times.size, f"{part.name}: {self._server.name} lacks chunks")
        for field in fields:
            short = field.variable.short_name
            variables[short] = xr.Variable(dims_of(part), checkpoint.values(short))
        return build(part, variables), gaps

    def forget(self, part: Part, scratch: Path) -> None:
        """Delete the blocks of a part that is complete."""
        Checkpoint(part, scratch).remove()

    def _read(
        self, part: Part, field: Field, checkpoint: Checkpoint, report: Callable[[float], None], allow_gaps: bool
    ) -> NDArray[np.datetime64]:
        """Read a variable into the checkpoint, all blocks but those with gaps; the times of these."""
        short, all_times = field.variable.short_name, part.selection.times
        missing = np.array([], "datetime64[ns]")
        for url, piece in self._pieces(part, field):
            times, begun = piece.selection.times, has_begun(field.variable, piece.selection)
            first = int(np.searchsorted(all_times, times[0]))
            if checkpoint.holds(short, first, first + times.size):
                continue
            with self._open(url, piece) as stored:
                renamed, name = rename(stored.dataset, (field,)), find(stored.dataset, field)
                variable = renamed[short].variable
                places = locate(renamed, piece, times)
                steps = places.get("valid_time", np.zeros(1, np.intp))
                length = _chunk(variable)[0] if variable.dims[0] == "valid_time" else 1
                lazy = cut(variable, places, piece)
                for a, b in _blocks(variable, steps):
                    report((first + a) / all_times.size)
                    if checkpoint.holds(short, first + a, first + b):
                        continue
                    axes = [places[str(d)][a:b] if d == "valid_time" else places[str(d)] for d in variable.dims]
                    values = self._values(lazy, a, b, partial(stored.prepare, name, axes), f"{part.name}: {short}")
                    gone = np.isin(steps[a:b] // length, stored.lacking(name)) & begun[a:b]
                    missing = np.append(missing, times[a:b][gone])
                    if allow_gaps or not gone.any():
                        checkpoint.keep(short, first + a, first + b, values)
        return missing

    def _values(self, lazy: xr.Variable, a: int, b: int, prepare: Callable[[], None], what: str) -> NDArray[np.float32]:
        """Times a to b of a lazy variable; a chunk that cannot be decoded is fetched once more."""
        block = lazy.isel(valid_time=slice(a, b)) if "valid_time" in lazy.dims else lazy
        try:
            prepare()
            return np.asarray(block.to_numpy(), np.float32)
        except _UNDECODABLE:
            self._watcher.say(f"{what}: a damaged chunk; fetching it again")
        try:
            prepare()
            return np.asarray(block.to_numpy(), np.float32)
        except _UNDECODABLE as error:
            raise InputError(
                f"{what}: a chunk at {self._server.name} cannot be decoded ({error}): it is damaged there; take other "
                "days, or --source cds"
            ) from error

    def _pieces(self, part: Part, field: Field) -> list[tuple[str, Part]]:
        alone = replace(part, selection=replace(part.selection, fields=(field,)))
        url = address(self._source, alone.selection)
        return ncar_files(alone, url) if self._source == "ncar" else [(url, alone)]

    @contextmanager
    def _open(self, url: str, part: Part) -> Iterator[_Stored]:
        if self._source == "ncar":
            with open_remote(self._http, url) as (file, dataset):

                def prepare(name: str, axes: Axes) -> None:
                    file.hold(chunk_spans(file, name, axes))

                yield _Stored(dataset, prepare, lambda name: np.array([], np.intp))
            return
        if url not in self._stores:
            self._stores[url] = _open_store(self._http, self._server.name, url)
        store, dataset = self._stores[url]
        last = next((dataset.attrs[key] for key in _LAST_TIME_ATTRIBUTES if key in dataset.attrs), None)
        if last is not None and part.selection.end > date.fromisoformat(str(last)[:10]):
            raise InputError(f"{self._server.name} ends on {last}: take an earlier --end, or --source cds")
        yield _Stored(dataset, lambda name, axes: None, store.missing_along_time)


def _open_store(http: Http, title: str, url: str) -> tuple[HttpStore, xr.Dataset]:
    try:
        from nnzip.download.zarr_store import HttpStore, open_store
    except ImportError as error:
        raise UnavailableError(f"{title} needs Zarr 3: pip install 'zarr>=3', or take --source cds or ncar") from error
    store = HttpStore(http, url)
    return store, open_store(store, title, url)


def _key() -> str:
    account = find_account()
    if account is None:
        raise UsageError(f"ECMWF's Zarr stores take the key of the Climate Data Store: {HOW_TO_GET_A_KEY}")
    return account.token


def _chunk(variable: xr.Variable) -> tuple[int, ...]:
    """Shape of the chunks of a variable read from a Zarr store or an HDF5 file."""
    encoding = variable.encoding
    return tuple(encoding.get("chunks") or encoding.get("chunksizes") or variable.shape)


def _blocks(variable: xr.Variable, steps: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Spans of `steps` (positions along time in the store) to read at once: whole chunks, as memory takes them."""
    chunk = _chunk(variable)
    if "valid_time" not in variable.dims:
        return [(0, 1)]
    length = chunk[variable.dims.index("valid_time")]
    fitting = _BLOCK_BYTES // (prod(chunk) * variable.dtype.itemsize)
    times = length * max(1, min(_BLOCK_TIMES // length, fitting))
    edges: list[Any] = [*np.flatnonzero(np.diff(steps // times, prepend=-1)).tolist(), steps.size]
    return list(pairwise(edges))

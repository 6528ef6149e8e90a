"""Parts from the open mirrors, anonymously: ARCO-ERA5 and WeatherBench2 (Zarr), NCAR on AWS (NetCDF over HTTPS).

Data are read through fsspec, only the chunks that a part touches, some times at a time; a block that fails is read
again. The addresses can be changed for institutional copies: NNZIP_ARCO_URL, NNZIP_WB2_URL, NNZIP_NCAR_URL.
"""

from __future__ import annotations

import os
from calendar import monthrange
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import pairwise
from math import prod
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from nnzip.download.layout import IDENTITY, rename, tidy
from nnzip.download.plan import Part
from nnzip.download.retry import Patience, Watcher, retrying
from nnzip.download.variables import Field, Source
from nnzip.errors import InputError, UnavailableError

T = TypeVar("T")
ADDRESSES: dict[Source, str] = {
    "arco": "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3",
    "wb2": "gs://weatherbench2/datasets/era5/1959-2023_01_10-wb13-6h-1440x721_with_derived_variables.zarr",
    "ncar": "https://nsf-ncar-era5.s3.amazonaws.com",
}
_TITLES: dict[Source, str] = {"arco": "ARCO-ERA5", "wb2": "WeatherBench2", "ncar": "NCAR"}
_BLOCK_BYTES = 256 << 20  # of decoded chunks at a time: a chunk of ARCO-ERA5 with its 37 levels has 154 MB
_BLOCK_TIMES = 24
_LAST_TIME_ATTRIBUTES = ("valid_time_stop_era5t", "valid_time_stop")


def address(source: Source) -> str:
    """Where the mirror is."""
    return os.environ.get(f"NNZIP_{source.upper()}_URL", ADDRESSES[source]).rstrip("/")


class Mirror:
    """Fetches parts from one mirror; the store is opened at the first."""

    def __init__(self, source: Source, patience: Patience, watcher: Watcher) -> None:
        self._source, self._patience, self._watcher = source, patience, watcher
        self._store: xr.Dataset | None = None
        self._answered = False

    def fetch(self, part: Part) -> xr.Dataset:
        """The dataset of `part` in memory, in the common layout (nnzip/download/layout.py).

        Raises InputError when the mirror lacks a variable, level or time, UnavailableError when it cannot be reached.
        """
        if self._source == "ncar":
            return _joined([self._read_file(url, piece) for url, piece in ncar_files(part)], part)
        return self._read(self._zarr_store(part), part)

    def _zarr_store(self, part: Part) -> xr.Dataset:
        if self._store is None:
            self._store = self._ask(lambda: _open_zarr(address(self._source)))
        store = self._store
        last = next((store.attrs[key] for key in _LAST_TIME_ATTRIBUTES if key in store.attrs), None)
        if last is not None and part.selection.end > date.fromisoformat(str(last)[:10]):
            raise InputError(f"{_TITLES[self._source]} ends on {last}: take an earlier --end, or --source cds")
        return store

    def _read_file(self, url: str, part: Part) -> xr.Dataset:
        with _remote_netcdf(url, self._ask) as dataset:
            return self._read(dataset, part)

    def _read(self, dataset: xr.Dataset, part: Part) -> xr.Dataset:
        """Read block by block; what was read stays when a later block fails and is read again."""
        lazy = tidy(dataset, part)
        starts = _block_starts(rename(dataset, part.selection.fields), lazy)
        blocks: list[xr.Dataset] = []
        for start, stop in pairwise([*starts, lazy.sizes["valid_time"]]):
            self._watcher.show(part.name, start / lazy.sizes["valid_time"])
            block = lazy.isel(valid_time=slice(start, stop))
            blocks.append(self._ask(block.load))
        whole = _in_sequence(blocks)
        for variable in whole.variables.values():
            variable.encoding = {}
        return whole

    def _ask(self, action: Callable[[], T]) -> T:
        patience = self._patience if self._answered else self._patience.brief()
        try:
            answer = retrying(action, _is_passing, patience, self._watcher, _TITLES[self._source])
            self._answered = True
            return answer
        except FileNotFoundError as error:
            raise InputError(
                f"{_TITLES[self._source]} has no {error}: these days or this variable are not there (yet); take other "
                "days, or --source cds"
            ) from error


def ncar_files(part: Part) -> list[tuple[str, Part]]:
    """Addresses of the files that hold something of `part`, with the part of it that each holds.

    A surface variable has a file per month with all its hours, a variable on levels one per day with all levels.
    """
    files = []
    for field in part.selection.fields:
        for piece in part.selection.split(part.selection.days) if field.levels else [part.selection]:
            url = _ncar_url(field, piece.start)
            files.append((url, replace(part, selection=replace(piece, fields=(field,)))))
    return files


def _ncar_url(field: Field, day: date) -> str:
    grid = "ll025uv" if field.levels and field.variable.short_name in ("u", "v") else "ll025sc"
    kind, first, last = "e5.oper.an.pl", day, day
    if not field.levels:
        kind, first = "e5.oper.an.sfc", day.replace(day=1)
        last = day.replace(day=monthrange(day.year, day.month)[1])
    name = f"{kind}.{field.variable.ncar_code}.{grid}.{first:%Y%m%d}00_{last:%Y%m%d}23.nc"
    return f"{address('ncar')}/{kind}/{day:%Y%m}/{name}"


def _open_zarr(url: str) -> xr.Dataset:
    try:
        import fsspec  # noqa: F401  (zarr imports it late, with a message of its own)

        options = {"token": "anon"} if url.startswith("gs://") else None
        dataset: xr.Dataset = xr.open_zarr(url, chunks=None, consolidated=True, storage_options=options)
    except ImportError as error:
        raise UnavailableError(
            f"the open mirrors need further packages: pip install 'nnzip[cloud]' ({error})"
        ) from error
    return dataset


@contextmanager
def _remote_netcdf(url: str, ask: Callable[[Callable[[], Any]], Any]) -> Iterator[xr.Dataset]:
    """A NetCDF file at an address, opened lazily: only the HDF5 chunks that are read are fetched."""
    try:
        import fsspec
        import h5netcdf  # noqa: F401
        import h5py  # noqa: F401 (what h5netcdf reads with, but does not require)
    except ImportError as error:
        raise UnavailableError(f"NCAR's files need further packages: pip install 'nnzip[cloud]' ({error})") from error
    file = ask(lambda: fsspec.open(url, block_size=1 << 20).open())
    with file, ask(lambda: xr.open_dataset(file, engine="h5netcdf")) as dataset:
        yield dataset


def _block_starts(stored: xr.Dataset, wanted: xr.Dataset) -> list[int]:
    """Where along the times of `wanted` blocks begin: they hold whole chunks of `stored`, as many as memory takes."""
    length, largest = 1, 1
    for variable in stored.data_vars.values():
        chunk = variable.encoding.get("chunks") or variable.encoding.get("chunksizes") or variable.shape
        length = max(length, chunk[variable.dims.index("valid_time")])
        largest = max(largest, prod(chunk) * variable.dtype.itemsize)
    times = length * max(1, min(_BLOCK_TIMES // length, _BLOCK_BYTES // largest))
    held = stored["valid_time"].to_numpy()
    order = np.argsort(held, kind="stable")
    places = order[np.searchsorted(held, wanted["valid_time"].to_numpy(), sorter=order)]
    starts: list[int] = np.flatnonzero(np.diff(places // times, prepend=-1)).tolist()
    return starts


def _joined(pieces: list[xr.Dataset], part: Part) -> xr.Dataset:
    """Days along time, then variables side by side."""
    names = [field.variable.short_name for field in part.selection.fields]
    series = [_in_sequence([piece for piece in pieces if name in piece]) for name in names]
    whole: xr.Dataset = xr.merge(series, join="exact", compat="override", combine_attrs="override")
    return whole.assign_attrs({IDENTITY: part.identity})


def _in_sequence(pieces: list[xr.Dataset]) -> xr.Dataset:
    """Pieces one after the other along time."""
    joined: xr.Dataset = xr.concat(
        pieces, "valid_time", data_vars="minimal", coords="minimal", compat="override", join="exact",
        combine_attrs="override",
    )  # fmt: skip
    return joined


def _is_passing(error: Exception) -> bool:
    """Errors of a network or a server, which may be gone the next time."""
    status = getattr(error, "status", getattr(error, "code", None))
    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 429):
        return False
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if any(name in ("ClientError", "HttpError", "FSTimeoutError", "ServerDisconnectedError") for name in kinds):
        return True
    return isinstance(error, (OSError, TimeoutError)) and not isinstance(error, PermissionError)

"""Files of NSF NCAR's copy of ERA5 on AWS (dataset d633000), of which only the HDF5 chunks that are needed are read.

h5py holds a lock while it reads, so its file never waits for another thread that might need it: `RangeFile` reads in
the caller's thread, and the chunks that a block needs are fetched in parallel before h5py asks for them.
"""

from __future__ import annotations

import io
from calendar import monthrange
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.download.http import Http
from nnzip.download.plan import Part
from nnzip.download.variables import Field
from nnzip.errors import InputError, UnavailableError

_AHEAD = 1 << 20  # bytes read at once where h5py reads little: the metadata


def ncar_files(part: Part, address: str) -> list[tuple[str, Part]]:
    """Addresses of the files that hold something of `part`, with the part of it that each holds.

    A surface variable has a file per month with all its hours, a variable on levels one per day with all levels.
    """
    files = []
    for field in part.selection.fields:
        for piece in part.selection.split(part.selection.days) if field.levels else [part.selection]:
            if piece.times.size:
                url = f"{address}/{_path(field, piece.start)}"
                files.append((url, replace(part, selection=replace(piece, fields=(field,)))))
    return files


def _path(field: Field, day: date) -> str:
    grid = "ll025uv" if field.levels and field.variable.short_name in ("u", "v") else "ll025sc"
    kind, first, last = "e5.oper.an.pl", day, day
    if not field.levels:
        kind, first = "e5.oper.an.sfc", day.replace(day=1)
        last = day.replace(day=monthrange(day.year, day.month)[1])
    return f"{kind}/{day:%Y%m}/{kind}.{field.variable.ncar}.{grid}.{first:%Y%m%d}00_{last:%Y%m%d}23.nc"


class RangeFile(io.RawIOBase):
    """A file at an address as h5py reads it; `hold` fetches spans of bytes before they are asked for."""

    def __init__(self, http: Http, url: str) -> None:
        self._http, self._url = http, url
        self._size, self._place = http.size(url), 0
        self._held: dict[int, bytes] = {}  # start -> bytes
        self._ahead: tuple[int, bytes] = (0, b"")

    def hold(self, spans: Sequence[tuple[int, int]]) -> None:
        """Fetch spans (start, stop) in parallel, and forget those held before."""
        fetched = self._http.pool.map(lambda span: self._fetch(*span), spans)
        self._held = {span[0]: content for span, content in zip(spans, fetched, strict=True)}

    @property
    def mode(self) -> str:
        return "rb"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place)
        content = self._read(self._place, max(0, wanted))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def _read(self, start: int, length: int) -> bytes:
        held = self._held.get(start)
        if held is not None and len(held) >= length:
            return held[:length]
        begin, ahead = self._ahead
        if not begin <= start <= start + length <= begin + len(ahead):
            begin, ahead = start, self._fetch(start, min(self._size, start + max(length, _AHEAD)))
            self._ahead = (begin, ahead)
        return ahead[start - begin : start - begin + length]

    def _fetch(self, start: int, stop: int) -> bytes:
        content = self._http.get(self._url, (start, stop)) if stop > start else b""
        if content is None:
            raise InputError(f"{self._url} has gone while it was read: run the same command again")
        return content


@contextmanager
def open_remote(http: Http, url: str) -> Iterator[tuple[RangeFile, xr.Dataset]]:
    """A NetCDF file at an address, opened lazily."""
    try:
        import h5netcdf  # noqa: F401
        import h5py  # noqa: F401 (what h5netcdf reads with, but does not require)
    except ImportError as error:
        raise UnavailableError(f"NCAR's files need further packages: pip install 'nnzip[cloud]' ({error})") from error
    with RangeFile(http, url) as file, xr.open_dataset(file, engine="h5netcdf") as dataset:
        yield file, dataset


def chunk_spans(file: RangeFile, name: str, positions: Sequence[NDArray[np.intp]]) -> list[tuple[int, int]]:
    """Spans of bytes of the HDF5 chunks of a variable that hold `positions` (along each axis)."""
    import h5py

    with h5py.File(file, "r") as opened:
        stored = opened[name]
        if stored.chunks is None:
            return []
        axes = [np.unique(places // length) * length for places, length in zip(positions, stored.chunks, strict=True)]
        found = [stored.id.get_chunk_info_by_coord(tuple(map(int, corner))) for corner in product(*axes)]
        return [(info.byte_offset, info.byte_offset + info.size) for info in found if info.byte_offset is not None]

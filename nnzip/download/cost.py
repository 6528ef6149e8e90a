"""Sizes of a plan: bytes of the files, and bytes that travel, from the chunks in which the sources store their data."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from nnzip.download.addresses import is_local
from nnzip.download.datasets import ERA5
from nnzip.download.plan import Month, Part
from nnzip.download.selection import Selection

STORED_BYTES = 2.0
"""Of a value in a losslessly compressed file: 1.2 (precipitation) to 2.2 (wind) in files of the Climate Data Store."""
ASK_ABOVE = 5_000_000_000
"""Bytes to travel above which the user is asked first."""
_GLOBE = 721 * 1440
_NCAR_TILE = (27, 139, 277)  # times, rows, columns of an HDF5 chunk of a surface analysis in dataset d633000
_ECMWF_LOCAL = (33_792, 4, 8)  # times, rows, columns of a chunk along time of ECMWF's stores
_LEVELS = {"arco": 37, "wb2": 13, "ncar": 37, "ecmwf": 0}  # in one chunk, with the globe


def file_bytes(part: Part) -> int:
    """Bytes of the file that the part becomes, roughly."""
    return round(part.selection.values * STORED_BYTES)


def transferred_bytes(part: Part) -> int:
    """Bytes that travel, roughly: whole chunks, however little of them is kept."""
    if part.source == "cds":
        return file_bytes(part)
    selection = part.selection
    pressure = sum(1 for field in selection.fields if field.levels)
    surface = len(selection.fields) - pressure
    values = pressure * _LEVELS[part.source] * _GLOBE * selection.times.size
    if part.source == "ncar":
        start = selection.times[0].astype("datetime64[M]")
        values += surface * _in_chunks(selection, start, _NCAR_TILE)
    elif part.source == "ecmwf" and is_local(selection):
        values += surface * _in_chunks(selection, np.datetime64(ERA5.first), _ECMWF_LOCAL)
    else:
        values += surface * _GLOBE * selection.times.size
    return round(values * STORED_BYTES)


def total_bytes(months: Iterable[Month]) -> tuple[int, int]:
    """Bytes of all files of a plan, and bytes that travel for them."""
    parts = [part for month in months for part in month.parts]
    return sum(map(file_bytes, parts)), sum(map(transferred_bytes, parts))


def _in_chunks(selection: Selection, start: np.datetime64, chunk: tuple[int, int, int]) -> int:
    """Values in the chunks (times, rows, columns), from `start` on, that hold something of the selection."""
    hours = (selection.times - start) // np.timedelta64(1, "h")
    rows = np.rint((90 - selection.latitudes) / 0.25)
    columns = np.rint(selection.longitudes % 360 / 0.25)
    counts = [
        np.unique(positions // length).size
        for positions, length in zip((hours.astype(int), rows, columns), chunk, strict=True)
    ]
    return math.prod(counts) * math.prod(chunk)

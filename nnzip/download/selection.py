"""A user's choice of ERA5: fields, times, and points of the grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnzip.download.datasets import ERA5, Dataset
from nnzip.download.variables import Field
from nnzip.errors import UsageError

_DECIMALS = 6  # of degrees


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
    """Fields at `hours` of the days `start` to `end` (inclusive), at the points of a `grid` (degrees) in `area`.

    area: edges on the grid; None is the globe. `first` and `last`: hours of the first and the last day to begin and
    end with. Fields that never change are taken at the first time.
    """

    fields: tuple[Field, ...]
    start: date
    end: date
    hours: tuple[int, ...] = tuple(range(24))
    area: Area | None = None
    grid: float = ERA5.grid
    dataset: Dataset = ERA5
    first: int = 0
    last: int = 23

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end - self.start).days + 1

    @property
    def point(self) -> tuple[float, float]:
        """Latitude and longitude of a series, the north-western corner. Raises UsageError for the whole globe."""
        if self.area is None:
            raise UsageError("a time series is of one point, and none is given: name it with --point LAT,LON")
        return self.area.north, self.area.west

    @property
    def static(self) -> bool:
        """True when no field changes with time."""
        return all(field.variable.step == "static" for field in self.fields)

    @property
    def times(self) -> NDArray[np.datetime64]:
        """All times, ascending datetime64[ns]: months stand at their first day."""
        if self.static:
            return np.array([self.start], "datetime64[ns]")
        days = np.arange(np.datetime64(self.start), np.datetime64(self.end) + 1)
        if self.dataset.step == "month":
            days = np.unique(days.astype("datetime64[M]")).astype("datetime64[D]")
        times = (days[:, None] + np.array(self.hours, "timedelta64[h]")).ravel()
        begins = np.datetime64(self.start, "h") + self.first
        ends = np.datetime64(self.end, "h") + self.last
        if self.dataset.step != "month":
            times = times[(times >= begins) & (times <= ends)]
        found: NDArray[np.datetime64] = times.astype("datetime64[ns]")
        return found

    @property
    def latitudes(self) -> NDArray[np.float64]:
        """Rows from north to south, in degrees."""
        north, south = (90.0, -90.0) if self.area is None else (self.area.north, self.area.south)
        return np.round(north - self.grid * np.arange(round((north - south) / self.grid) + 1), _DECIMALS)

    @property
    def longitudes(self) -> NDArray[np.float64]:
        """Columns eastward from the west edge (0 on the globe), in degrees; a full circle does not repeat its start."""
        if self.area is None:
            return np.round(self.grid * np.arange(round(360 / self.grid)), _DECIMALS)
        _, west, _, east = self.area
        width = (east - west) % 360 or (360.0 if east != west else 0.0)
        columns = min(round(width / self.grid) + 1, round(360 / self.grid))
        return np.round(west + self.grid * np.arange(columns), _DECIMALS)

    @property
    def layers(self) -> int:
        """Two-dimensional fields per time: a level of a variable counts as one."""
        return sum(max(1, len(field.levels)) for field in self.fields) * max(1, self.dataset.members)

    @property
    def values(self) -> int:
        """Values of all fields, times and points."""
        return self.layers * len(self.times) * self.latitudes.size * self.longitudes.size

    def months(self) -> list[Selection]:
        """The selection cut at the ends of months, monthly means at the ends of years."""
        starts = [self.start, *(day for day in _firsts(self.start, self.end) if self._is_cut(day)), None]
        cuts = [(a, b - timedelta(days=1) if b else self.end) for a, b in pairwise(starts) if a]
        return self._cut(cuts)

    def split(self, pieces: int) -> list[Selection]:
        """The selection in `pieces` (at most one per day) of nearly equal numbers of days."""
        pieces = max(1, min(pieces, self.days))
        edges = [self.start + timedelta(days=self.days * piece // pieces) for piece in range(pieces + 1)]
        return self._cut([(a, b - timedelta(days=1)) for a, b in pairwise(edges)])

    def rectangles(self) -> list[Selection]:
        """The selection cut so that in each piece every day has the same hours, as requests ask for them."""
        inner = (1 if self.first else 0, self.days - (1 if self.last < 23 else 0))
        edges = sorted({0, *(edge for edge in inner if 0 < edge < self.days), self.days})
        spans = [(self.start + timedelta(days=a), self.start + timedelta(days=b - 1)) for a, b in pairwise(edges)]
        return [piece for piece in self._cut(spans) if piece.times.size]

    def describe(self) -> dict[str, Any]:
        """The selection as JSON, the same text for the same data."""
        described: dict[str, Any] = {
            "dataset": self.dataset.name,
            "variables": [str(field) for field in self.fields],
            "start": self.start.isoformat() + (f"T{self.first:02d}" if self.first else ""),
            "end": self.end.isoformat() + (f"T{self.last:02d}" if self.last < 23 else ""),
            "hours": list(self.hours),
            "grid": self.grid,
        }
        return described if self.area is None else {**described, "area": list(self.area)}

    def _is_cut(self, day: date) -> bool:
        return self.dataset.step != "month" or day.month == 1

    def _cut(self, spans: Iterable[tuple[date, date]]) -> list[Selection]:
        """Pieces of the selection; only the outermost have its first and last hours."""
        return [
            replace(
                self,
                start=a,
                end=b,
                first=self.first if a == self.start else 0,
                last=self.last if b == self.end else 23,
            )
            for a, b in spans
        ]


def _firsts(start: date, end: date) -> list[date]:
    """First days of months after `start`, up to `end`."""
    found, day = [], start
    while (day := (day.replace(day=28) + timedelta(days=4)).replace(day=1)) <= end:
        found.append(day)
    return found

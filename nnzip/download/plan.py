"""A selection as parts that are fetched one at a time: by month, by kind of level, and small enough for the source."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from nnzip.download.selection import Selection
from nnzip.download.variables import Field, Source, check_available
from nnzip.errors import UsageError

CDS_FIELDS = 5000
"""Fields of one request. The Climate Data Store has refused 8,928 where 12,000 were documented, and accepts 5,952."""
MIRROR_PART_BYTES = 512 << 20
"""A part of a mirror is held in memory, and is what an interruption loses at most."""
STORED_BYTES = 2.0
"""Of a value in a losslessly compressed file: 1.2 (precipitation) to 2.2 (wind) in files of the Climate Data Store."""
_PERIODS: dict[Source, tuple[date, date]] = {"wb2": (date(1959, 1, 1), date(2023, 1, 10))}


@dataclass(frozen=True)
class Part:
    """What is fetched in one piece and becomes one file; `label` tells it from other parts of the same days."""

    source: Source
    selection: Selection
    label: str

    @property
    def name(self) -> str:
        """File name without a suffix: era5_2016-10_single, era5_2016-10-01_2016-10-10_500hPa."""
        return f"era5_{period_text(self.selection)}_{self.label}"

    @property
    def identity(self) -> str:
        """Everything that decides the content, as text: kept in the file, so that it is recognised later."""
        return json.dumps({"source": self.source, **self.selection.describe()})

    def halves(self) -> list[Part]:
        """Two parts with half the days each; the part alone when it is a single day."""
        return [replace(self, selection=piece) for piece in self.selection.split(2)]


@dataclass(frozen=True)
class Month:
    """The parts of one calendar month, or of the days wanted of it."""

    selection: Selection
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """File name without a suffix: era5_2016-10."""
        return f"era5_{period_text(self.selection)}"

    @property
    def identity(self) -> str:
        """Everything that decides the content of the month, as text."""
        return json.dumps({"source": self.parts[0].source, **self.selection.describe()})


def make_plan(selection: Selection, source: Source) -> list[Month]:
    """Months and parts of `selection` from `source`. Raises UsageError for what the source does not have."""
    check_available(selection.fields, source)
    _check_period(selection, source)
    if source == "wb2" and selection.every % 6:
        raise UsageError(f"wb2 is 6-hourly, not {selection.every}-hourly: take --every 6h, or --source arco")
    groups = level_groups(selection.fields)
    months = []
    for month in selection.months():
        parts = [
            Part(source, piece, label)
            for label, fields in groups.items()
            for piece in _pieces(replace(month, fields=fields), source)
        ]
        months.append(Month(month, tuple(parts)))
    return months


def level_groups(fields: Sequence[Field]) -> dict[str, tuple[Field, ...]]:
    """Fields that fit into one file each: the surface, each single level, and all variables on several levels together.

    A file has one axis of levels: variables wanted on different sets of several levels all get the union of them.
    """
    groups: dict[str, tuple[Field, ...]] = {}
    several = [field for field in fields if len(field.levels) > 1]
    union = tuple(sorted({level for field in several for level in field.levels}, reverse=True))
    for field in fields:
        if not field.levels:
            label = "single"
        elif len(field.levels) == 1:
            label = f"{field.levels[0]}hPa"
        else:
            label, field = "levels", replace(field, levels=union)
        groups[label] = (*groups.get(label, ()), field)
    return groups


def plan_notes(selection: Selection) -> list[str]:
    """What a user may not expect of the plan."""
    notes = []
    summed = [field.variable.short_name for field in selection.fields if field.variable.accumulated]
    if summed and selection.every > 1:
        notes.append(
            f"{', '.join(summed)}: every value covers the hour before its time, so --every {selection.every}h keeps "
            f"one hour in {selection.every}; leave --every out for complete sums"
        )
    given = {str(field) for field in selection.fields}
    widened = [str(f) for fields in level_groups(selection.fields).values() for f in fields if str(f) not in given]
    if widened:
        notes.append(f"a file has one axis of levels: {' '.join(widened)} instead of the fewer levels asked for")
    return notes


def estimated_bytes(part: Part) -> int:
    """Bytes of the file that the part becomes, roughly."""
    return round(part.selection.values * STORED_BYTES)


def transferred_bytes(part: Part) -> int:
    """Bytes that travel, roughly: the Zarr mirrors hold whole globes, and all levels, in one chunk."""
    if part.source in ("cds", "ncar"):
        return estimated_bytes(part)
    levels = 37 if part.source == "arco" else 13
    layers = sum(levels if field.levels else 1 for field in part.selection.fields)
    return round(layers * len(part.selection.times) * 721 * 1440 * STORED_BYTES)


def period_text(selection: Selection) -> str:
    """ "2016-10" for a whole month, else "2016-10-01_2016-10-10", or "2016-10-01"."""
    first, last = selection.start, selection.end
    if first.day == 1 and (last + timedelta(days=1)).day == 1 and (first.year, first.month) == (last.year, last.month):
        return f"{first:%Y-%m}"
    return f"{first}_{last}" if first != last else f"{first}"


def _pieces(selection: Selection, source: Source) -> list[Selection]:
    """The days of a month in as few pieces as the source takes."""
    if source == "cds":
        return selection.split(math.ceil(selection.layers * len(selection.times) / CDS_FIELDS))
    return selection.split(math.ceil(selection.values * 4 / MIRROR_PART_BYTES))


def _check_period(selection: Selection, source: Source) -> None:
    if source not in _PERIODS:
        return
    first, last = _PERIODS[source]
    if selection.start < first or selection.end > last:
        raise UsageError(f"{source} holds {first} to {last}: take other days, or --source arco")

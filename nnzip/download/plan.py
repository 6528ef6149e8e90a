"""A selection as parts that are fetched one at a time: by month, by kind of level, and small enough for the source."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from nnzip.download.addresses import is_averaged, is_local
from nnzip.download.datasets import ERA5, LAND
from nnzip.download.selection import Selection
from nnzip.download.variables import Field, Source, check_available
from nnzip.errors import UsageError

CDS_FIELDS = 5000
"""Fields of one request. The Climate Data Store has refused 8,928 where 12,000 were documented, and accepts 5,952."""
MIRROR_PART_BYTES = 512 << 20
"""A part of a mirror is held in memory."""
_PERIODS: dict[Source, tuple[date, date]] = {"wb2": (date(1959, 1, 1), date(2023, 1, 10))}
_SERIES = "point"
_STATIC_DAY = date(2000, 1, 1)  # on which fields are taken that never change: every source has it


@dataclass(frozen=True)
class Part:
    """What is fetched in one piece and becomes one file; `label` tells it from other parts of the same days."""

    source: Source
    selection: Selection
    label: str

    @property
    def name(self) -> str:
        """File name without a suffix: era5_2016-10_single, era5_2016-10-01_2016-10-10_500hPa, era5_static."""
        period = "" if self.label == "static" else f"_{period_text(self.selection)}"
        return f"{self.selection.dataset.name}{period}_{self.label}"

    @property
    def identity(self) -> str:
        """Everything that decides the content, as text: kept in the file, so that it is recognised later."""
        return json.dumps({"source": self.source, **self.selection.describe()})

    @property
    def is_series(self) -> bool:
        """True for a time series of one point."""
        return self.label.startswith(_SERIES)

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
        return f"{self.selection.dataset.name}_{period_text(self.selection)}"

    @property
    def identity(self) -> str:
        """Everything that decides the content of the month, as text."""
        return json.dumps({"source": self.parts[0].source, **self.selection.describe()})


def make_plan(selection: Selection, source: Source) -> list[Month]:
    """Months and parts of `selection` from `source`. Raises UsageError for what the source does not have."""
    _check_source(selection, source)
    static = tuple(field for field in selection.fields if field.variable.step == "static")
    moving = tuple(field for field in selection.fields if field.variable.step != "static")
    whole = replace(selection, fields=moving)
    if moving and _has_series(selection) and source in ("cds", "ecmwf"):
        months = [Month(whole, (Part(source, whole, point_label(whole)),))]
    elif moving and source == "ecmwf" and is_local(selection):  # a chunk holds years: by months it would travel often
        months = [_month(whole, source)]
    else:
        months = [_month(piece, source) for piece in whole.months()] if moving else []
    if static:
        always = replace(selection, fields=static, start=_STATIC_DAY, end=_STATIC_DAY, hours=(0,), first=0, last=23)
        part = Part(source, always, "static")
        if not months:
            return [Month(part.selection, (part,))]
        months[0] = replace(months[0], parts=(part, *months[0].parts))
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


def plan_notes(selection: Selection, source: Source) -> list[str]:
    """Facts about the plan that a user may not expect."""
    notes = []
    if is_averaged(source, selection):
        notes.append(f"{source} at {selection.grid:g} degrees holds averages over cells, not values at points")
    past = [field.variable.short_name for field in selection.fields if field.variable.past_hour]
    if past and selection.dataset.since_midnight:
        notes.append(
            f"{', '.join(past)}: sums of {selection.dataset.title} run from 00 UTC, at 00 UTC they are the day's"
        )
    elif past and len(selection.hours) * selection.dataset.every < 24 and selection.dataset.step == "hour":
        kept = f"--every {24 // len(selection.hours)}h" if 24 % len(selection.hours) == 0 else "--hours"
        notes.append(
            f"{', '.join(past)}: every value covers the hour before its time, so {kept} keeps "
            f"{len(selection.hours)} hours of 24; leave it out for complete sums"
        )
    if past and selection.start == ERA5.first and selection.dataset.step == "hour":
        notes.append(f"{', '.join(past)}: ERA5 has no value before {ERA5.first}T07, its first forecast hour")
    given = {str(field) for field in selection.fields}
    widened = [str(f) for fields in level_groups(selection.fields).values() for f in fields if str(f) not in given]
    if widened:
        notes.append(f"a file has one axis of levels: {' '.join(widened)} instead of the fewer levels asked for")
    return notes


def period_text(selection: Selection) -> str:
    """ "2016-10" for a whole month, else "2016-10-01_2016-10-10", "2016-10-01" or "2016-10-01T06_2016-10-01T12"."""
    first, last = selection.start, selection.end
    if selection.first or selection.last < 23:
        return f"{first}T{selection.first:02d}_{last}T{selection.last:02d}"
    ends_month = (last + timedelta(days=1)).day == 1
    if first.day == 1 and ends_month and (first.year, first.month) == (last.year, last.month):
        return f"{first:%Y-%m}"
    if first.day == 1 and ends_month and selection.dataset.step == "month":
        return f"{first:%Y-%m}_{last:%Y-%m}"
    return f"{first}_{last}" if first != last else f"{first}"


def point_label(selection: Selection) -> str:
    """ "point_51.5_-0.25": the label of a time series."""
    return "_".join((_SERIES, *(f"{degrees:g}" for degrees in selection.point)))


def _month(selection: Selection, source: Source) -> Month:
    parts = [
        Part(source, piece, label)
        for label, fields in level_groups(selection.fields).items()
        for piece in _pieces(replace(selection, fields=fields), source)
    ]
    return Month(selection, tuple(parts))


def _pieces(selection: Selection, source: Source) -> list[Selection]:
    """The days of a month in as few pieces as the source takes."""
    if source != "cds":
        return selection.split(math.ceil(selection.values * 4 / MIRROR_PART_BYTES))
    return [
        piece
        for days in selection.rectangles()
        for piece in days.split(math.ceil(days.layers * days.times.size / CDS_FIELDS))
    ]


def _has_series(selection: Selection) -> bool:
    area = selection.area
    return (
        area is not None
        and area.north == area.south
        and area.west == area.east
        and selection.dataset == ERA5
        and selection.grid == ERA5.grid
        and all(field.variable.series for field in selection.fields if field.variable.step != "static")
    )


def _check_source(selection: Selection, source: Source) -> None:
    if source != "cds" and selection.dataset != ERA5:
        raise UsageError(f"{source} has no {selection.dataset.title}: take --source cds")
    check_available(selection.fields, source)
    for field in selection.fields:
        variable, is_land = field.variable, selection.dataset.name == LAND.name
        if (is_land and not variable.land) or (not is_land and variable.stream == "land"):
            other = ERA5.name if is_land else LAND.name
            raise UsageError(
                f"{selection.dataset.title} has no {variable.short_name} ({variable.cds_name}): take --dataset {other}"
            )
    if source in _PERIODS:
        first, last = _PERIODS[source]
        if selection.start < first or selection.end > last:
            raise UsageError(f"{source} holds {first} to {last}: take other days, or --source arco")
    if source == "wb2" and any(hour % 6 for hour in selection.hours):
        raise UsageError("wb2 is 6-hourly: take --every 6h, or --source arco")

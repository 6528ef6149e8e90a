"""The variables of ERA5: every name they go by, their units, and which source has them (variables.csv).

Columns: short_name is that of ECMWF's NetCDF files (cfVarName of ecCodes), cds_name that of the Climate Data Store,
cf_name the CF standard name, grib_name ECMWF's shortName; step is instant, static (no change in time), or a sum, mean,
maximum or minimum over the hour that ends at the time; missing says where values are missing by nature ("land", or
"often": no cloud, no third swell); land is the name in ERA5-Land, which has some that ERA5 lacks (stream "land"); arco
and wb2 are the names in these stores, ncar the path code of dataset d633000
(table, number and mnemonic); series says that the Climate Data Store has the variable as time series of points, and
ECMWF in its Zarr stores.
Sources: docs/download.md.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from nnzip.download.suggestions import suggestion
from nnzip.errors import UsageError

Source = Literal["cds", "arco", "wb2", "ncar", "ecmwf"]
OPEN: tuple[Source, ...] = ("arco", "wb2", "ncar")
"""Sources that need no key."""
LEVELS = (
    1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700,
    750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000,
)  # fmt: skip
"""Pressure levels of ERA5 in hPa."""
WB2_LEVELS = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)


@dataclass(frozen=True)
class Variable:
    """One row of the table."""

    short_name: str
    cds_name: str
    cf_name: str
    grib_name: str
    units: str
    levels: Literal["surface", "pressure"]
    step: Literal["instant", "static", "sum", "mean", "maximum", "minimum"]
    stream: Literal["atmosphere", "wave", "land"]
    param_id: int
    missing: Literal["", "land", "often"]
    land: str
    arco: str
    wb2: str
    ncar: str
    series: bool
    also: tuple[str, ...]

    @property
    def pressure(self) -> bool:
        """True for a variable on pressure levels."""
        return self.levels == "pressure"

    @property
    def past_hour(self) -> bool:
        """True where a value covers the hour before its time."""
        return self.step in ("sum", "mean", "maximum", "minimum")

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources that have it."""
        stores: tuple[Source, ...] = ("ecmwf",) if self.series else ()
        return ("cds", *(source for source in OPEN if getattr(self, source)), *stores)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name but the CF one, which several variables share."""
        return (self.short_name, self.cds_name, self.grib_name, *([self.land] if self.land else []), *self.also)


@dataclass(frozen=True)
class Field:
    """A variable and the pressure levels asked for, descending in hPa; no level for surface variables."""

    variable: Variable
    levels: tuple[int, ...] = ()

    def __str__(self) -> str:
        levels = ",".join(map(str, self.levels))
        return f"{self.variable.short_name}@{levels}" if levels else self.variable.short_name


def _table() -> tuple[Variable, ...]:
    with files("nnzip.download").joinpath("variables.csv").open(encoding="utf-8") as file:
        return tuple(
            Variable(**{
                **row, "param_id": int(row["param_id"]), "series": bool(row["series"]),
                "also": tuple(row["also"].split()),
            })  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        )  # fmt: skip


VARIABLES = _table()
BY_NAME = {variable.short_name: variable for variable in VARIABLES}


def parse_fields(names: Sequence[str]) -> tuple[Field, ...]:
    """Fields of texts such as "t2m,z500,u@850,500": any name of the table, levels (hPa) behind @ or the short name.

    A variable that occurs twice gets the levels of both. Raises UsageError for an unknown or ambiguous name (with the
    nearest ones), a level ERA5 lacks, a pressure variable without a level and a surface variable with one.
    """
    wanted: dict[Variable, set[int]] = {}
    last: Variable | None = None
    for word in (word.strip() for text in names for word in text.split(",")):
        if re.fullmatch(r"\d+", word) and last is not None:  # a further level: "z@500,850"
            wanted[last].add(_level(word, last))
            continue
        at = "@" in word
        name, _, level = word.partition("@") if at else _compact(word)
        variable = _find(name.strip(), at or bool(level))
        wanted.setdefault(variable, set()).update({_level(level.strip(), variable)} if level else ())
        last = variable if at else None
    for variable, found in wanted.items():
        if variable.pressure and not found:
            surface = "; zs is the geopotential of the ground" if variable.short_name == "z" else ""
            raise UsageError(
                f"{variable.short_name} ({variable.cds_name}) needs pressure levels in hPa: write "
                f"{variable.short_name}500 or {variable.short_name}@500,850{surface}"
            )
    return tuple(Field(variable, tuple(sorted(found, reverse=True))) for variable, found in wanted.items())


def check_available(fields: Iterable[Field], source: Source) -> None:
    """Raise UsageError when `source` lacks a variable or a level, naming the sources that have it."""
    for field in fields:
        variable = field.variable
        if source not in variable.sources:
            remedy = f"take --source {' or '.join(variable.sources)}"
            why = " (its forecast files are not read)" if variable.past_hour and source == "ncar" else ""
            raise UsageError(f"{source} has no {variable.short_name} ({variable.cds_name}){why}: {remedy}")
        lacking = [level for level in field.levels if source == "wb2" and level not in WB2_LEVELS]
        if lacking:
            raise UsageError(f"wb2 has no {lacking[0]} hPa, only {', '.join(map(str, WB2_LEVELS))}: take --source arco")


def _compact(word: str) -> tuple[str, str, str]:
    """Name and level of a word such as z500; the level is empty where the word is a name (u10) or no such pair."""
    letters, level = word.rstrip("0123456789"), word[len(word.rstrip("0123456789")) :]
    if word not in BY_NAME and letters in BY_NAME:
        return letters, "", level
    return word, "", ""


def _find(name: str, with_level: bool) -> Variable:
    if name in BY_NAME:
        return BY_NAME[name]
    lowered = name.lower().replace(" ", "_").replace("-", "_")
    matches = [variable for variable in VARIABLES if lowered in variable.names]
    matches = matches or [variable for variable in VARIABLES if lowered and lowered == variable.cf_name]
    if len(matches) > 1:
        matches = [v for v in matches if v.stream != "land"] or matches
        matches = [v for v in matches if v.pressure == with_level and v.step == "instant"] or matches
        matches = [v for v in matches if v.pressure == with_level] or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = ", ".join(f"{v.short_name} ({v.cds_name})" for v in matches)
        raise UsageError(f"the variable {name!r} is ambiguous: write one of {shown}")
    known = {text: v.short_name for v in VARIABLES for text in (*v.names, v.cf_name) if text}
    raise UsageError(f"there is no ERA5 variable {name!r}: {suggestion(lowered, known)}")


def _level(text: str, variable: Variable) -> int:
    if not variable.pressure:
        raise UsageError(
            f"{variable.short_name} ({variable.cds_name}) is a surface variable and has no level {text}: write "
            f"{variable.short_name}"
        )
    level = int(text) if re.fullmatch(r"\d{1,4}", text) else 0
    if level not in LEVELS:
        near = min(LEVELS, key=lambda known: abs(known - level)) if level else 500
        raise UsageError(f"ERA5 has no level {text!r} hPa of {variable.short_name}: the nearest is {near}")
    return level

"""The ERA5 variables nnzip can download: every name they go by, their units, and which source has them.

Short names are those of ECMWF's NetCDF files (cfVarName of ecCodes), long names those of the Climate Data Store, which
ARCO-ERA5 and WeatherBench2 share; standard names those of the CF table (none where CF has none). NCAR's names are the
path codes of dataset d633000: table, number and mnemonic. Units as ECMWF writes them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from nnzip.download.table import ACCUMULATED, PRESSURE, SURFACE
from nnzip.errors import UsageError

Source = Literal["cds", "arco", "wb2", "ncar"]
SOURCES: tuple[Source, ...] = ("cds", "arco", "wb2", "ncar")
LEVELS = (
    1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700,
    750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000,
)  # fmt: skip
"""Pressure levels of ERA5 in hPa."""
WB2_LEVELS = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)


@dataclass(frozen=True)
class Variable:
    """One variable: `accumulated` ones are sums (or extremes) over the hour that ends at their time."""

    short_name: str
    long_name: str
    standard_name: str
    units: str
    pressure: bool
    accumulated: bool
    sources: tuple[Source, ...]
    ncar_code: str

    @property
    def grib_name(self) -> str:
        """GRIB short name, where it differs from the NetCDF one: 2t of t2m."""
        return _GRIB_NAMES.get(self.short_name, self.short_name)


@dataclass(frozen=True)
class Field:
    """A variable and the pressure levels asked for, descending in hPa; no level for surface variables."""

    variable: Variable
    levels: tuple[int, ...] = ()

    def __str__(self) -> str:
        levels = ",".join(map(str, self.levels))
        return f"{self.variable.short_name}@{levels}" if levels else self.variable.short_name


_GRIB_NAMES = {
    "t2m": "2t", "d2m": "2d", "u10": "10u", "v10": "10v", "u100": "100u", "v100": "100v", "siconc": "ci",
    "fg10": "10fg",
}  # fmt: skip


def _table() -> tuple[Variable, ...]:
    letters: dict[str, Source] = {"c": "cds", "a": "arco", "w": "wb2", "n": "ncar"}
    found = []
    for text, pressure, accumulated in (
        (SURFACE, False, False),
        (ACCUMULATED, False, True),
        (PRESSURE, True, False),
    ):
        for line in text.strip().splitlines():
            short, long, standard, units, sources, code = (part.strip() for part in line.split("|"))
            have = tuple(letters[letter] for letter in sources)
            found.append(Variable(short, long, standard, units, pressure, accumulated, have, code))
    return tuple(found)


VARIABLES = _table()
BY_NAME = {variable.short_name: variable for variable in VARIABLES}


def parse_fields(names: Sequence[str]) -> tuple[Field, ...]:
    """Fields of texts such as "t2m,z500,u@850,500": short, long or standard names, levels (hPa) behind @ or the name.

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
        variable = _find(name.strip(), bool(level))
        wanted.setdefault(variable, set()).update({_level(level.strip(), variable)} if level else ())
        last = variable if at else None
    for variable, found in wanted.items():
        if variable.pressure and not found:
            raise UsageError(
                f"{variable.short_name} ({variable.long_name}) needs pressure levels in hPa: write "
                f"{variable.short_name}500 or {variable.short_name}@500,850"
            )
    return tuple(Field(variable, tuple(sorted(found, reverse=True))) for variable, found in wanted.items())


def check_available(fields: Iterable[Field], source: Source) -> None:
    """Raise UsageError when `source` lacks a variable or a level, naming the sources that have it."""
    for field in fields:
        variable = field.variable
        if source not in variable.sources:
            remedy = f"take --source {' or '.join(variable.sources)}"
            sums = (
                " (NCAR's forecast files are not read, WeatherBench2 has 6-hour sums)" if variable.accumulated else ""
            )
            raise UsageError(f"{source} has no {variable.short_name} ({variable.long_name}){sums}: {remedy}")
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
    lowered = name.lower().replace(" ", "_")
    matches = [v for v in VARIABLES if lowered in (v.short_name, v.long_name, v.grib_name)]
    matches = matches or [v for v in VARIABLES if lowered and lowered == v.standard_name]
    if len(matches) > 1:
        matches = [v for v in matches if v.pressure == with_level and not v.accumulated] or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = ", ".join(f"{v.short_name} ({v.long_name})" for v in matches)
        raise UsageError(f"the variable {name!r} is ambiguous: write one of {shown}")
    known = [text for v in VARIABLES for text in (v.short_name, v.long_name, v.standard_name) if text]
    near = difflib.get_close_matches(lowered, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "nnzip download --list shows those known"
    raise UsageError(f"there is no ERA5 variable {name!r}: {hint}")


def _level(text: str, variable: Variable) -> int:
    if not variable.pressure:
        raise UsageError(
            f"{variable.short_name} ({variable.long_name}) is a surface variable and has no level {text}: write "
            f"{variable.short_name}"
        )
    level = int(text) if re.fullmatch(r"\d{1,4}", text) else 0
    if level not in LEVELS:
        near = min(LEVELS, key=lambda known: abs(known - level)) if level else 500
        raise UsageError(f"ERA5 has no level {text!r} hPa of {variable.short_name}: the nearest is {near}")
    return level

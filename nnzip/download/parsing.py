"""Texts of the command line to a selection."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from nnzip.download.datasets import Dataset, find_dataset
from nnzip.download.selection import Area, Selection
from nnzip.download.variables import parse_fields
from nnzip.errors import UsageError

DELAY = timedelta(days=5)  # ERA5T appears about five days behind real time
_SLACK = 1e-6  # of a grid step, for edges that are on the grid but for rounding


def parse_selection(
    names: Sequence[str],
    start: str,
    end: str,
    *,
    every: str | None = None,
    hours: str | None = None,
    area: str | None = None,
    point: str | None = None,
    grid: float | None = None,
    dataset: str = "era5",
) -> Selection:
    """Selection of the command line's texts; areas are widened, points moved, to the grid.

    Raises UsageError naming what is wrong and what to write instead.
    """
    chosen, fields = find_dataset(dataset), parse_fields(names)
    if any(field.levels for field in fields) and not chosen.pressure:
        raise UsageError(f"{chosen.title} has no pressure levels: take --dataset era5")
    (first, first_hour), (last, last_hour) = _moment(start, "--start", 0), _moment(end, "--end", 23)
    _check_period(first, last, chosen)
    if (first, first_hour) > (last, last_hour):
        raise UsageError(f"--start {start} is after --end {end}: swap them")
    step = _grid(chosen, grid)
    if area is not None and point is not None:
        raise UsageError("--area and --point exclude each other")
    box = _area(area, step) if area is not None else _point(point, step) if point is not None else None
    found = Selection(fields, first, last, _hours(every, hours, chosen), box, step, chosen, first_hour, last_hour)
    if not found.times.size:
        raise UsageError(f"--start {start} to --end {end} holds none of the hours {','.join(map(str, found.hours))}")
    return found


def snapped_note(area: str | None, point: str | None, selection: Selection) -> str | None:
    """What became of an area or point that is not on the grid; None when it is."""
    found, text = selection.area, area or point
    if found is None or text is None:
        return None
    given = [float(part) for part in text.split(",")]
    if point is not None:
        if given == [found.north, found.west]:
            return None
        return (
            f"the point {text} is not on the grid of {selection.grid:g} degrees: the nearest is {found.north:g},"
            f"{found.west:g}"
        )
    if given == list(found):
        return None
    return f"the area {text} is widened to the grid of {selection.grid:g} degrees: {found}"


def _check_period(first: date, last: date, dataset: Dataset) -> None:
    if last < first:
        raise UsageError(f"--start {first} is after --end {last}: swap them")
    if first < dataset.first:
        raise UsageError(f"--start {first}: {dataset.title} begins on {dataset.first}")
    newest = datetime.now(UTC).date() - DELAY
    if last > newest:
        where = "in the future" if last > newest + DELAY else "not yet there"
        raise UsageError(
            f"--end {last} is {where}: ERA5 ends about {DELAY.days} days before today, take --end {newest}"
        )


def _moment(text: str, option: str, hour: int) -> tuple[date, int]:
    """Day and hour of "2016-10-01" (with the default hour) or "2016-10-01T06"."""
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2})(?::00)?)?", text.strip())
    try:
        if match is None or (match[2] and int(match[2]) > 23):
            raise ValueError(text)
        return date.fromisoformat(match[1]), int(match[2]) if match[2] else hour
    except ValueError as error:
        raise UsageError(f"{option} {text}: write a day as 2016-10-01, or an hour as 2016-10-01T06 (UTC)") from error


def _hours(every: str | None, hours: str | None, dataset: Dataset) -> tuple[int, ...]:
    """Hours of the day: chosen ones, every n-th, or all the dataset has."""
    if dataset.every == 24:
        if every or hours:
            raise UsageError(f"{dataset.title} have one value a {dataset.step}: leave --every and --hours out")
        return (0,)
    if every is not None and hours is not None:
        raise UsageError("--every and --hours exclude each other")
    if hours is None:
        match = re.fullmatch(r"(\d+)h?", (every or f"{dataset.every}h").strip())
        step = int(match[1]) if match else 0
        if step not in (1, 2, 3, 4, 6, 8, 12, 24):
            raise UsageError(f"--every {every}: write 1h, 2h, 3h, 4h, 6h, 8h, 12h or 24h")
        found = tuple(range(0, 24, step))
    else:
        words = [word.strip() for word in hours.split(",")]
        if not all(re.fullmatch(r"\d{1,2}", word) and int(word) < 24 for word in words):
            raise UsageError(f"--hours {hours}: write hours of the day (UTC) as 0,6,15")
        found = tuple(sorted({int(word) for word in words}))
    if any(hour % dataset.every for hour in found):
        raise UsageError(f"{dataset.title} are {dataset.every}-hourly: take --every {dataset.every}h")
    return found


def _grid(dataset: Dataset, grid: float | None) -> float:
    """Spacing in degrees: a multiple of the dataset's that divides 90 degrees."""
    if grid is None:
        return dataset.grid
    times, rows = grid / dataset.grid, 90 / grid if grid > 0 else 0.0
    if grid <= 0 or abs(times - round(times)) > _SLACK or abs(rows - round(rows)) > _SLACK:
        raise UsageError(
            f"--grid {grid:g}: write a multiple of {dataset.grid:g} degrees that divides 90, such as "
            f"{2 * dataset.grid:g} or {4 * dataset.grid:g}"
        )
    return grid


def _area(text: str, grid: float) -> Area:
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
    up = [math.ceil(edge / grid - _SLACK) * grid for edge in (north, east)]
    down = [math.floor(edge / grid + _SLACK) * grid for edge in (west, south)]
    return Area(*(round(edge, 6) + 0.0 for edge in (up[0], down[0], down[1], up[1])))


def _point(text: str, grid: float) -> Area:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--point {text}: write latitude,longitude in degrees, such as 51.5,-0.1") from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 360):
        raise UsageError(f"--point {text}: latitudes lie in -90..90, longitudes in -180..360; the latitude is first")
    north, west = (round(round(value / grid) * grid, 6) + 0.0 for value in (latitude, longitude))
    return Area(north, west, north, west)

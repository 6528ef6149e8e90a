"""Events: a storm in a box of latitude and longitude at a time or over a span, followed in the original and decoded."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.area import Area, parse_bbox
from nnzip.data.grids import Grid, coordinate_label, require_grid, with_dates
from nnzip.data.selection import subset
from nnzip.data.times import time_indices
from nnzip.errors import UsageError
from nnzip.evaluate.errors import Floats, number
from nnzip.evaluate.extremes.cyclone import displacement, great_circle, track, tracked_variable, wind_speed
from nnzip.evaluate.extremes.regions import threshold_overlap
from nnzip.evaluate.matching import align_decoded, comparable_variables
from nnzip.evaluate.scores import to_plain
from nnzip.evaluate.weights import area_weights

CONTEXT_DAYS = 3


@dataclass(frozen=True)
class Event:
    """A storm to follow: `time` is a date ("2016-10-05": that day) or a span ("2016-10-02/2016-10-08"). Around a date
    three days on either side are followed too, as context.
    """

    name: str
    time: str
    box: Area


@dataclass(frozen=True)
class Centre:
    """A cyclone's centre at one time: degrees, the value there, and how far that is below the mean of the box."""

    latitude: float
    longitude: float
    minimum: float
    depth: float


@dataclass(frozen=True)
class Moment:
    """One time of an event. A side without a closed minimum has no centre. inside: it belongs to the event, not to the
    days around it.

    displacement: km between the centres; core_overlap: intersection over union of the regions deeper than halfway
    between the mean of the box and the original's minimum; wind: the box's largest speed on either side.
    """

    time: str
    inside: bool
    original: Centre | None
    decoded: Centre | None
    displacement: float | None
    core_overlap: float | None
    original_wind: float | None
    decoded_wind: float | None


@dataclass(frozen=True)
class EventMaps:
    """The box at the time of the event's deepest centre: fields [row, column] with their latitudes and longitudes."""

    moment: int
    original: Floats
    decoded: Floats
    latitude: Floats
    longitude: Floats


@dataclass(frozen=True)
class EventScores:
    """An event as the original and the decoded data tell it, over its times.

    variable, units, level: of the tracked field (level in words, or empty). cell: km from the deepest centre to the
    next row or column, whichever is farther: the smallest displacement a grid can show. wind, wind_units: source and
    units of the wind, or empty.
    """

    name: str
    box: Area
    variable: str
    units: str
    level: str
    cell: float
    wind: str
    wind_units: str
    moments: tuple[Moment, ...]
    maps: EventMaps = field(repr=False, compare=False)

    @property
    def deepest(self) -> Moment:
        """The time at which the original's centre is deepest."""
        return self.moments[self.maps.moment]

    @property
    def inside(self) -> tuple[Moment, ...]:
        """The event's own times, without the days around it."""
        return tuple(moment for moment in self.moments if moment.inside)

    @property
    def lost(self) -> int:
        """At how many times the original has a centre and the decoded data have none."""
        return sum(moment.original is not None and moment.decoded is None for moment in self.inside)

    @property
    def largest_displacement(self) -> float | None:
        """km, over all times of the event with both centres."""
        return max((m.displacement for m in self.inside if m.displacement is not None), default=None)

    @property
    def depth_error(self) -> float | None:
        """Decoded depth over the original's minus 1 at the deepest time."""
        first, second = self.deepest.original, self.deepest.decoded
        return None if first is None or second is None else second.depth / first.depth - 1

    def to_dict(self) -> dict[str, Any]:
        """Types of JSON only, without the maps."""
        content: dict[str, Any] = to_plain(self)
        content["box"] = self.box._asdict()
        summary = ("lost", "largest_displacement", "depth_error")
        return content | {"deepest": self.deepest.time, **{key: to_plain(getattr(self, key)) for key in summary}}


def parse_event(text: str) -> Event:
    """Event of "Matthew,2016-10-05,10,35,270,300": name, date or date/date, south, north, west, east. Raises
    UsageError.
    """
    parts = [part.strip() for part in text.rsplit(",", 5)]
    if len(parts) < 6 or not all(parts):
        raise UsageError(
            f"the event {text!r} is not NAME,DATE,SOUTH,NORTH,WEST,EAST: write it as "
            "Matthew,2016-10-05,10,35,270,300 (or a span, 2016-10-02/2016-10-08, for the date)"
        )
    try:
        return Event(parts[0], parts[1], parse_bbox(",".join(parts[2:])))
    except UsageError as error:
        raise UsageError(f"the event {text!r}: {error}") from error


def event_scores(original: xr.Dataset, decoded: xr.Dataset, event: Event) -> EventScores:
    """Follows the event through both datasets, of which only the box is read.

    Raises UsageError where it lies outside the data, where these hold no pressure or height to follow it by, or no
    closed minimum of it in the box; InputError where the decoded dataset lacks the variable or has another grid.
    """
    name = tracked_variable(original)
    if name is None:
        raise UsageError(
            f"the event {event.name!r} cannot be followed: the data hold no sea level pressure and no geopotential "
            f"height with degrees, only {', '.join(map(str, original.data_vars)) or 'nothing'}"
        )
    boxes = _boxes(original, decoded, event, comparable_variables(original, decoded, [name]))
    field_one, field_two = (_as_series(_near_surface(dataset[name])) for dataset in boxes)
    grid = require_grid(field_one)
    inside = _inside(field_one, event)
    if min(field_one.sizes[dim] for dim in (grid.latitude, grid.longitude)) < 3:
        raise UsageError(f"the event {event.name!r} covers fewer than 3 x 3 grid points: take a larger box")
    tracks = track(field_one), track(field_two)
    depth = np.where(inside & tracks[0].minimum.notnull().values, tracks[0].depth.values, -np.inf)
    if np.all(depth == -np.inf):
        raise UsageError(
            f"the event {event.name!r} is not there: {name} has no closed minimum inside its box at any of its times; "
            "take another box or time"
        )
    winds = _winds(original, decoded, event)
    deepest = int(np.argmax(depth))
    return EventScores(
        name=event.name,
        box=event.box,
        variable=name,
        units=str(original[name].attrs.get("units", "")) or "1",
        level=_level(original[name]),
        cell=_cell(grid, float(tracks[0].latitude[deepest])),
        wind="" if winds is None else str(winds[0].name),
        wind_units="" if winds is None else str(winds[0].attrs.get("units", "")),
        moments=_moments(field_one, field_two, inside, tracks, winds),
        maps=_maps(field_one, field_two, grid, deepest),
    )


def _boxes(original: xr.Dataset, decoded: xr.Dataset, event: Event, names: list[str]) -> tuple[xr.Dataset, xr.Dataset]:
    """These variables of both sides in the event's box and time, loaded."""
    aligned = align_decoded(original, decoded, names)
    try:
        subset(original[names], names, event.time, event.box)
        span = _span(event.time)
        found = [subset(dataset[names], names, span, event.box).load() for dataset in (original, aligned)]
    except UsageError as error:
        raise UsageError(f"the event {event.name!r} is outside the data: {error}") from error
    return found[0], found[1]


def _span(time: str) -> str:
    """A date with three days on either side; spans and dates of other calendars as they are."""
    try:
        day = datetime.date.fromisoformat(time[:10])
    except ValueError:
        return time
    context = datetime.timedelta(days=CONTEXT_DAYS)
    return time if "/" in time else f"{day - context}/{day + context}"


def _inside(series: xr.DataArray, event: Event) -> NDArray[np.bool_]:
    """Which times of [time, latitude, longitude] belong to the event itself."""
    inside = np.zeros(series.sizes[series.dims[0]], dtype=np.bool_)
    inside[time_indices(series[series.dims[0]].values, event.time)] = True
    return inside


def _winds(original: xr.Dataset, decoded: xr.Dataset, event: Event) -> tuple[xr.DataArray, xr.DataArray] | None:
    """The largest wind speed of the box at every time, on both sides; None where one of them has no wind."""
    speed = wind_speed(original)
    if speed is None:
        return None
    names = [name for name in map(str, original.data_vars) if name.lower() in str(speed.name).split(", ")]
    if not all(name in decoded for name in names):
        return None
    found = []
    for dataset in _boxes(original, decoded, event, names):
        inside = wind_speed(dataset)
        if inside is None:
            return None
        series = _as_series(_near_surface(inside))
        grid = require_grid(series)
        found.append(series.max([grid.latitude, grid.longitude]).rename(speed.name).assign_attrs(speed.attrs))
    return found[0], found[1]


def _near_surface(array: xr.DataArray) -> xr.DataArray:
    """One channel of every level dimension: the largest pressure, else the first."""
    return array.isel({dim: _lowest(array, dim) for dim in require_grid(array).channels})


def _lowest(array: xr.DataArray, dim: str) -> int:
    pressure = dim in array.coords and str(array[dim].attrs.get("units", "")) in ("hPa", "Pa", "millibars", "mbar")
    return int(np.argmax(array[dim].values)) if pressure else 0


def _level(array: xr.DataArray) -> str:
    labels = [coordinate_label(array, dim, _lowest(array, dim)) for dim in require_grid(array).channels]
    return ", ".join(label if isinstance(label, str) else f"{label:g}" for label in labels)


def _as_series(array: xr.DataArray) -> xr.DataArray:
    """[time, latitude, longitude] with dates; a field without time is a series of one."""
    grid, array = require_grid(array), with_dates(array)
    if grid.time is None:
        array = array.expand_dims("time")
    return array.transpose(grid.time or "time", grid.latitude, grid.longitude)


def _moments(
    original: xr.DataArray,
    decoded: xr.DataArray,
    inside: NDArray[np.bool_],
    tracks: tuple[xr.Dataset, xr.Dataset],
    winds: tuple[xr.DataArray, xr.DataArray] | None,
) -> tuple[Moment, ...]:
    plane = list(map(str, original.dims[1:]))
    half = tracks[0].minimum + tracks[0].depth / 2
    overlap = threshold_overlap(
        original, decoded, dims=plane, weights=area_weights(original), threshold=half, above=False
    )
    distance = displacement(*tracks)
    time = str(original.dims[0])
    return tuple(
        Moment(
            time=str(coordinate_label(original, time, i)),
            inside=bool(inside[i]),
            original=_centre(tracks[0], i),
            decoded=_centre(tracks[1], i),
            displacement=number(distance[i]),
            core_overlap=number(overlap[i]),
            original_wind=None if winds is None else number(winds[0][i]),
            decoded_wind=None if winds is None else number(winds[1][i]),
        )
        for i in range(original.sizes[time])
    )


def _centre(found: xr.Dataset, i: int) -> Centre | None:
    latitude, longitude, minimum, depth = (
        float(found[name][i]) for name in ("latitude", "longitude", "minimum", "depth")
    )
    return None if np.isnan(minimum) else Centre(latitude, longitude, minimum, depth)


def _maps(original: xr.DataArray, decoded: xr.DataArray, grid: Grid, moment: int) -> EventMaps:
    first, second = (np.asarray(array.values[moment], dtype=np.float64) for array in (original, decoded))
    return EventMaps(moment, first, second, grid.latitudes, grid.longitudes)


def _cell(grid: Grid, latitude: float) -> float:
    """km to the next row or column at this latitude, whichever is farther."""
    north, east = (float(np.abs(np.diff(values)).mean()) for values in (grid.latitudes, grid.longitudes))
    here, zero = xr.DataArray(latitude), xr.DataArray(0.0)
    return max(float(great_circle(here, zero, here + north, zero)), float(great_circle(here, zero, here, zero + east)))

"""The built-in sample: an ERA5-like dataset from a small physical construction, for trying nnzip without a download."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzip.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

    from nnzip.sample.generation import Times
    from nnzip.sample.harmonics import Real

Area = tuple[float, float, float, float]  # south, north, west, east in degrees
EAGER_BYTES = 512 << 20  # a larger sample is made chunk by chunk, on demand
FINEST_STEPS = 1800  # grid steps from equator to pole: 0.05 degrees

ATTRIBUTES: dict[str, dict[str, str]] = {
    "t2m": {"long_name": "2 metre temperature", "units": "K", "standard_name": "air_temperature"},
    "msl": {"long_name": "Mean sea level pressure", "units": "Pa", "standard_name": "air_pressure_at_mean_sea_level"},
    "u10": {"long_name": "10 metre U wind component", "units": "m s**-1", "standard_name": "eastward_wind"},
    "v10": {"long_name": "10 metre V wind component", "units": "m s**-1", "standard_name": "northward_wind"},
    "tp": {"long_name": "Total precipitation", "units": "m", "standard_name": "lwe_thickness_of_precipitation_amount"},
    "sst": {"long_name": "Sea surface temperature", "units": "K", "standard_name": "sea_surface_temperature"},
    "z": {"long_name": "Geopotential", "units": "m**2 s**-2", "standard_name": "geopotential"},
}
COORDINATE_ATTRIBUTES: dict[str, dict[str, str]] = {
    "valid_time": {"long_name": "time", "standard_name": "time"},
    "latitude": {
        "long_name": "latitude",
        "units": "degrees_north",
        "standard_name": "latitude",
        "stored_direction": "decreasing",
    },
    "longitude": {"long_name": "longitude", "units": "degrees_east", "standard_name": "longitude"},
    "pressure_level": {
        "long_name": "pressure",
        "units": "hPa",
        "standard_name": "air_pressure",
        "positive": "down",
        "stored_direction": "decreasing",
    },
}


def make_sample(
    *,
    resolution: float = 1.5,
    hours: int = 120,
    step_hours: int = 3,
    start: str = "2016-10-01",
    area: Area | None = None,
    variables: Sequence[str] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """A deterministic synthetic dataset with names, units and layout of ERA5 files from the Climate Data Store.

    resolution: grid spacing in degrees, 90 divided by a whole number. hours, step_hours, start: the times are start,
    start + step_hours, ... before start + hours (UTC). area: (south, north, west, east) in degrees; longitudes in
    either convention, west > east crosses the seam; default global. variables: of t2m (K), msl (Pa), u10, v10 (m s-1),
    tp (m in the past hour), sst (K, NaN over land), z (m2 s-2 at 850 and 500 hPa); default all. seed: another planet
    with other weather.

    Returns float32 variables on (valid_time, [pressure_level,] latitude descending, longitude). A value depends on
    (latitude, longitude, time, seed) only: other grids, areas and lengths show the same weather, equal up to float32
    rounding. Above 512 MiB the variables are dask arrays, made chunk by chunk when they are read or written.

    Raises UsageError for a request that makes no sense.
    """
    from nnzip.sample.generation import generate, generate_lazily, planes

    names = _variables(variables)
    latitude, longitude = _grid(resolution, area)
    times = _times(start, hours, step_hours)
    if seed < 0:
        raise UsageError(f"seed is {seed}: take a whole number from 0 up")
    size = 4 * planes(names) * len(times) * len(latitude) * len(longitude)
    make = generate if size <= EAGER_BYTES else generate_lazily
    return _assemble(make(names, times, latitude, longitude, seed), times, latitude, longitude, seed)


def _variables(requested: Sequence[str] | None) -> tuple[str, ...]:
    if requested is None:
        return tuple(ATTRIBUTES)
    names = (requested,) if isinstance(requested, str) else tuple(requested)
    unknown = ", ".join(repr(name) for name in names if name not in ATTRIBUTES)
    if unknown or not names:
        raise UsageError(f"the sample has no variable {unknown or 'of no name'}: choose from {', '.join(ATTRIBUTES)}")
    return tuple(dict.fromkeys(names))


def _grid(resolution: float, area: Area | None) -> tuple[Real, Real]:
    """(latitude descending, longitude) in degrees, whole multiples of the resolution."""
    steps = round(90.0 / resolution) if math.isfinite(resolution) and resolution > 0.0 else 0
    if not 2 <= steps <= FINEST_STEPS or abs(steps * resolution - 90.0) > 1e-6:
        raise UsageError(
            f"resolution is {resolution} degrees: take 90 divided by a whole number from 2 to {FINEST_STEPS}, "
            "for example 1.5 or 0.25"
        )
    top, bottom, first, columns = 0, 2 * steps, 0, 4 * steps
    if area is not None:
        south, north, west, east = _checked_area(area)
        scale = steps / 90.0
        top, bottom = math.ceil((90.0 - north) * scale - 1e-9), math.floor((90.0 - south) * scale + 1e-9)
        first = math.ceil(west * scale - 1e-9)
        columns = min(math.floor(east * scale + 1e-9) - first + 1, columns)
        if bottom - top < 1 or columns < 2:
            raise UsageError(
                f"area holds {max(bottom - top + 1, 0)} x {max(columns, 0)} points at a resolution of {resolution} "
                "degrees and needs 2 x 2: take a larger area or a finer resolution"
            )
    spacing = 90.0 / steps
    latitude = 90.0 - np.arange(top, bottom + 1, dtype=np.float64) * spacing
    return latitude, np.arange(first, first + columns, dtype=np.float64) * spacing


def _checked_area(area: Area) -> Area:
    """The area with east above west."""
    south, north, west, east = area
    crossing = east + 360.0 if east < west else east
    latitudes = -90.0 <= south < north <= 90.0
    if not (latitudes and -180.0 <= west <= 360.0 and -180.0 <= east <= 540.0 and 0.0 < crossing - west <= 360.0):
        raise UsageError(
            f"area is south {south}, north {north}, west {west}, east {east}: take -90 <= south < north <= 90 and "
            "longitudes in -180..360 at most 360 apart, in degrees (west 170, east -170 crosses the date line)"
        )
    return south, north, west, crossing


def _times(start: str, hours: int, step_hours: int) -> Times:
    if not (hours >= step_hours >= 1 and hours == int(hours) and step_hours == int(step_hours)):
        raise UsageError(f"hours is {hours}, step_hours {step_hours}: take whole numbers with hours >= step_hours >= 1")
    try:
        first = np.datetime64(start.removesuffix("Z"), "s")
    except ValueError as error:
        raise UsageError(f"start is {start!r}: take an ISO date such as 2016-10-01 or 2016-10-01T06") from error
    if np.isnat(first) or not 1900 <= int(str(first)[:4]) <= 2200:
        raise UsageError(f"start is {start!r}: take a date from 1900 to 2200")
    return np.arange(0, hours, step_hours, dtype=np.int64) * 3600 + first.astype(np.int64)


def _assemble(values: Mapping[str, Any], times: Times, latitude: Real, longitude: Real, seed: int) -> xr.Dataset:
    """Coordinates and attributes as the Climate Data Store writes them since 2024."""
    import xarray as xr

    from nnzip.sample.generation import LEVELS, level_shape

    instants = times.astype("datetime64[s]").astype("datetime64[ns]")
    coordinates = {"valid_time": instants, "latitude": latitude, "longitude": longitude}
    if any(level_shape(name) for name in values):
        coordinates["pressure_level"] = np.array(LEVELS)
    variables = {}
    for name, data in values.items():
        level = ("pressure_level",) if level_shape(name) else ()
        variables[name] = (("valid_time", *level, "latitude", "longitude"), data, ATTRIBUTES[name])
    dataset = xr.Dataset(
        variables,
        coords={name: (name, axis, COORDINATE_ATTRIBUTES[name]) for name, axis in coordinates.items()},
        attrs={
            "Conventions": "CF-1.7",
            "title": "nnzip sample",
            "comment": f"Synthetic: made by nnzip from random waves (seed {seed}); no observation in it",
        },
    )
    for coordinate in dataset.coords.values():
        coordinate.encoding = {"_FillValue": None}  # CF allows no missing values in coordinates
    epoch = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "int64"}
    dataset["valid_time"].encoding.update(epoch)
    return dataset

"""A tropical cyclone: Holland's pressure profile with winds in gradient balance.

Holland, G. J. (1980): An analytic model of the wind and pressure profiles in hurricanes. Mon. Wea. Rev. 108, 1212-1218.

One storm every 12 days, north of the equator: born near 10 N, moving west, deepening to about 75 hPa below its
surroundings, recurving and filling. Track and depth depend on absolute time, so any time slice shows the same storm.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from nnzip.sample.harmonics import EARTH_RADIUS, EARTH_ROTATION, Basis, Real
from nnzip.sample.planet import SECONDS_PER_DAY, planet, smoothstep

FIRST_GENESIS = 1475107200.0  # 2016-09-29T00Z: the default sample starts with a young storm
LIFETIME_DAYS = 12.0
MAXIMUM_DEPTH = 7500.0  # Pa
CORE_RADIUS = 95e3  # m, radius of maximum wind; ERA5's storms are that wide, too
SHAPE = 1.5  # Holland's B
REACH = 1500e3  # m, beyond which the storm fades into its surroundings
AIR_DENSITY = 1.15  # kg m-3


@dataclass(frozen=True)
class Storm:
    """State at one time. Angles in degrees; depth in Pa; motion in m s-1."""

    latitude: float
    longitude: float
    depth: float
    age_days: float
    eastward_motion: float
    northward_motion: float


@dataclass(frozen=True)
class StormFields:
    """The storm's share of each field, [lat, lon]."""

    pressure: Real  # Pa, <= 0
    u: Real  # m s-1, gradient wind and motion
    v: Real
    warm_core: Real  # K
    rain: Real  # mm h-1
    clear: Real  # 0..1, how far other rain is suppressed (eye and moat)


def storm_at(seconds: float, seed: int) -> Storm:
    """The storm alive at seconds since 1970-01-01."""
    number, age = divmod((seconds - FIRST_GENESIS) / SECONDS_PER_DAY, LIFETIME_DAYS)
    latitude, longitude = _track(np.array([age]), _birthplace(seed, int(number)))
    eastward, northward = -4.0 + 0.44 * age, 0.9 + 0.2 * age  # degrees per day, as in _track
    metres = float(np.deg2rad(EARTH_RADIUS)) / SECONDS_PER_DAY
    grown, filled = smoothstep(np.array([age / 7.5, (age - 8.5) / 3.5]))
    return Storm(
        latitude=float(latitude[0]),
        longitude=float(longitude[0]) % 360.0,
        depth=float(MAXIMUM_DEPTH * grown * (1.0 - filled)),
        age_days=age,
        eastward_motion=eastward * metres * float(np.cos(np.deg2rad(latitude[0]))),
        northward_motion=northward * metres,
    )


def _track(age_days: Real, birth_longitude: float) -> tuple[Real, Real]:
    return 10.0 + 0.9 * age_days + 0.1 * age_days**2, birth_longitude - 4.0 * age_days + 0.22 * age_days**2


@functools.lru_cache(maxsize=256)
def _birthplace(seed: int, number: int) -> float:
    """The longitude whose track lies most over sea, drawn among the best few."""
    ages = np.arange(0.0, LIFETIME_DAYS, 1.0)
    starts = np.arange(0.0, 360.0, 10.0)
    latitude, offset = _track(ages, 0.0)
    longitude = np.arange(0.0, 360.0, 2.0)
    land = planet(seed).surface(Basis(latitude, longitude)).land_cover
    column = np.rint((starts[:, None] + offset) % 360.0 / 2.0).astype(np.int64) % len(longitude)
    over_land = land[np.arange(len(ages)), column].sum(axis=1)
    best = np.argsort(over_land, kind="stable")[:4]
    rng = np.random.Generator(np.random.PCG64([seed, 50, number % (1 << 32)]))
    return float(starts[best[rng.integers(len(best))]])


def pressure_deficit(radius: Real, depth: float) -> tuple[Real, Real]:
    """(deficit in Pa, >= 0; its slope dp/dr of the pressure, >= 0, in Pa m-1) at radius (m)."""
    safe = np.maximum(radius, 1.0)
    power = (CORE_RADIUS / safe) ** SHAPE
    core = np.exp(-power)
    fade = np.exp(-((safe / REACH) ** 2))
    deficit = depth * (1.0 - core) * fade
    slope = depth * fade * (core * SHAPE * power / safe + (1.0 - core) * 2.0 * safe / REACH**2)
    return deficit, slope


def gradient_wind(radius: Real, slope: Real, coriolis: float) -> Real:
    """Speed (m s-1, >= 0) where V^2 / r + f V = (dp/dr) / density."""
    half = 0.5 * coriolis * radius
    return np.asarray(np.sqrt(half**2 + radius * slope / AIR_DENSITY) - half)


def storm_fields(storm: Storm, basis: Basis, longitude: Real) -> StormFields:
    """The storm at every point of a block."""
    position, east, north = _frame(basis.sine[:, None], basis.cosine[:, None], np.deg2rad(longitude)[None, :])
    latitude_c, longitude_c = np.deg2rad(storm.latitude), np.deg2rad(np.array(storm.longitude))
    centre, east_c, north_c = _frame(np.sin(np.array(latitude_c)), np.cos(np.array(latitude_c)), longitude_c)
    chord = np.sqrt(sum((p - c) ** 2 for p, c in zip(position, centre, strict=True)))
    radius = np.maximum(2.0 * EARTH_RADIUS * np.arcsin(np.minimum(chord / 2.0, 1.0)), 1.0)
    deficit, slope = pressure_deficit(radius, storm.depth)
    speed = gradient_wind(radius, slope, float(2.0 * EARTH_ROTATION * np.sin(latitude_c)))
    tangent = _cross(centre, position)  # anticlockwise about the centre
    length = np.maximum(np.sqrt(_dot(tangent, tangent)), 1e-12)
    drift = 0.6 * storm.depth / MAXIMUM_DEPTH * np.exp(-((radius / 600e3) ** 2))
    u = speed * _dot(tangent, east) / length + drift * storm.eastward_motion
    v = speed * _dot(tangent, north) / length + drift * storm.northward_motion
    bearing = np.arctan2(_dot(position, north_c), _dot(position, east_c))
    strength = storm.depth / MAXIMUM_DEPTH
    rain, clear = _rain(radius, bearing, strength, storm.age_days)
    warm_core = 5.0 * strength * np.exp(-((radius / (2.5 * CORE_RADIUS)) ** 2))
    return StormFields(-deficit, u, v, warm_core, rain, clear)


def _rain(radius: Real, bearing: Real, strength: float, age_days: float) -> tuple[Real, Real]:
    """(rain in mm h-1, suppression of other rain 0..1): an eye, an eyewall, spiral bands that turn with the storm."""
    scaled = radius / CORE_RADIUS
    eyewall = 22.0 * strength * np.exp(-(((scaled - 1.1) / 0.45) ** 2))
    phase = bearing + 2.1 * np.log(np.maximum(scaled, 0.05)) - 2.0 * np.pi * age_days / 0.7
    bands = np.clip(0.5 + np.cos(2.0 * phase) + 0.35 * np.cos(3.0 * phase + 1.0), 0.0, None)
    shield = 7.0 * strength**0.5 * bands * np.exp(-scaled / 2.6) * smoothstep((scaled - 0.7) / 0.8)
    asymmetry = 1.0 + 0.35 * np.cos(bearing - 0.6)
    return (eyewall + shield) * asymmetry, strength**0.5 * np.exp(-((scaled / 6.0) ** 2))


def _frame(sine: Real, cosine: Real, longitude: Real) -> tuple[tuple[Real, ...], tuple[Real, ...], tuple[Real, ...]]:
    """Unit vectors (position, east, north), each as x, y, z."""
    cos_l, sin_l = np.cos(longitude), np.sin(longitude)
    return (cosine * cos_l, cosine * sin_l, sine), (-sin_l, cos_l, 0.0 * sin_l), (-sine * cos_l, -sine * sin_l, cosine)


def _dot(a: tuple[Real, ...], b: tuple[Real, ...]) -> Real:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def _cross(a: tuple[Real, ...], b: tuple[Real, ...]) -> tuple[Real, ...]:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])

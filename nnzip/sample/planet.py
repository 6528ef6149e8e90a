"""The surface under the synthetic weather: continents, mountains, the sun's course, climatological temperatures.

The planet is not the Earth: its continents are a random field thresholded so that 29 % of the sphere is land.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from nnzip.sample.harmonics import WAVENUMBER, Basis, Real, random_coefficients

LAND_FRACTION = 0.29
LAPSE_RATE = 6.5e-3  # K m-1
FREEZING_SEA = 271.35  # K, sea water
RIDGE_HEIGHT = 2500.0  # m, typical of a young mountain range
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Surface:
    """Time-independent fields of a block, each [lat, lon]."""

    is_land: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    land_cover: Real  # 0..1, soft across the coast as in a model's grid box
    continentality: Real  # 0 at sea and at the coast, 1 deep inland
    height: Real  # m above sea level, 0 at sea


class Planet:
    """Coefficients of continents and ridges, and the sea level that gives LAND_FRACTION."""

    def __init__(self, seed: int) -> None:
        rng = np.random.Generator(np.random.PCG64([seed, 1]))
        self._elevation = random_coefficients(rng, _relief_spectrum(2.8, 2, 4))
        self._ridges = random_coefficients(rng, _relief_spectrum(4.2, 5, 12))
        latitude, longitude = np.arange(90.0, -90.5, -3.0), np.arange(0.0, 360.0, 3.0)
        elevation = Basis(latitude, longitude).synthesise([self._elevation], [False])[0]
        self._sea_level = _area_quantile(elevation, latitude, 1.0 - LAND_FRACTION)

    def surface(self, basis: Basis) -> Surface:
        """The surface of one block of latitudes."""
        elevation, ridges = basis.synthesise([self._elevation, self._ridges], [False, False])
        above = elevation - self._sea_level
        inland = np.clip(above / 0.7, 0.0, 1.0) ** 1.5
        range_shape = np.exp(-((ridges / 0.55) ** 2))
        height = np.where(above > 0.0, inland * (300.0 + RIDGE_HEIGHT * range_shape), 0.0)
        return Surface(above > 0.0, smoothstep(0.5 + above / 0.25), smoothstep(above / 0.9), height)


def _relief_spectrum(steepness: float, lowest: int, flat_to: int) -> Real:
    """Unit-variance spectrum, flat in `lowest`..`flat_to`, then n^-steepness (the Earth's topography: about n^-2)."""
    n = WAVENUMBER
    spectrum = np.where(n < lowest, 0.0, np.maximum(n, flat_to) ** -steepness)
    return np.asarray(spectrum / spectrum.sum())


def _area_quantile(values: Real, latitude: Real, quantile: float) -> float:
    weight = np.broadcast_to(np.cos(np.deg2rad(latitude))[:, None], values.shape).ravel()
    order = np.argsort(values, axis=None)
    cumulative = np.cumsum(weight[order])
    return float(values.ravel()[order][np.searchsorted(cumulative, quantile * cumulative[-1])])


def smoothstep(value: Real) -> Real:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(value, 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x))


def solar_declination(seconds: float) -> float:
    """Declination in radians at seconds since 1970-01-01, circular orbit."""
    day_of_year = seconds / SECONDS_PER_DAY % 365.2425
    return float(-np.deg2rad(23.44) * np.cos(2.0 * np.pi * (day_of_year + 10.0) / 365.2425))


def local_hour_angle(seconds: float, longitude: Real) -> Real:
    """Hour angle in radians, 0 at local noon, of mean solar time."""
    return np.asarray(2.0 * np.pi * (seconds / SECONDS_PER_DAY % 1.0 - 0.5) + np.deg2rad(longitude))


def daily_warming(seconds: float, basis: Basis, longitude: Real) -> Real:
    """Departure of the sun's delayed heating from its daily mean, [lat, lon], in solar constants; peaks about 14.5 h.

    The first two harmonics in time of max(cos(zenith angle), 0), the first 2.7 h late and the second 1.7 h.
    """
    declination = solar_declination(seconds)
    constant = basis.sine * np.sin(declination)
    swing = basis.cosine * np.cos(declination)
    sunset = np.arccos(np.clip(-constant / np.maximum(swing, 1e-12), -1.0, 1.0))
    first = 2.0 / np.pi * (constant * np.sin(sunset) + swing * (sunset / 2.0 + np.sin(2.0 * sunset) / 4.0))
    twice = np.sin(sunset) / 2.0 + np.sin(3.0 * sunset) / 6.0
    second = 2.0 / np.pi * (constant * np.sin(2.0 * sunset) / 2.0 + swing * twice)
    angle = local_hour_angle(seconds, longitude)
    lag_first, lag_second = 2.0 * np.pi * 2.7 / 24.0, 2.0 * np.pi * 1.7 / 12.0
    result = np.outer(first, np.cos(angle - lag_first)) + 0.5 * np.outer(second, np.cos(2.0 * angle - lag_second))
    return np.asarray(np.where(basis.cosine[:, None] == 0.0, 0.0, result))  # no day and night at the poles


def air_temperature(latitude: Real, declination: float) -> Real:
    """Climatological sea-level air temperature (K) without the polar front; latitude in degrees, clipped to -90..90."""
    angle = np.deg2rad(np.clip(latitude, -90.0, 90.0))
    return np.asarray(300.5 - 37.0 * np.sin(angle - 0.35 * declination) ** 2 - 6.0 * np.sin(angle) ** 8)


def sea_temperature(sine: Real, declination: float) -> Real:
    """Climatological sea surface temperature (K), not yet limited at freezing."""
    return np.asarray(302.0 - 34.0 * (sine - 0.12 * declination / 0.41) ** 2)


@functools.cache
def planet(seed: int) -> Planet:
    """The planet of a seed, built once."""
    return Planet(seed)

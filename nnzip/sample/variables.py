"""From the synthetic atmosphere and the surface below it to the variables of a sample, each [lat, lon] in float64."""

from __future__ import annotations

import numpy as np

from nnzip.sample.harmonics import Basis, Real
from nnzip.sample.planet import (
    FREEZING_SEA,
    LAPSE_RATE,
    Surface,
    air_temperature,
    daily_warming,
    smoothstep,
)
from nnzip.sample.weather import MEAN_PRESSURE, Air, Atmosphere

GAS_CONSTANT = 287.05  # J kg-1 K-1
GRAVITY = 9.80665  # m s-2
COLUMN_LAPSE_RATE = 6.0e-3  # K m-1 of the hydrostatic column
FRONT_LATITUDE, FRONT_WIDTH, FRONT_STEP = 46.0, 2.2, 8.0  # degrees, degrees, K
POLAR_GRADIENT = 0.5  # K per degree
DRIZZLE, MAXIMUM_RAIN = 0.03, 90.0  # mm h-1: less is no rain; what the heaviest rain saturates at


def wind_at_10_metres(air: Air, surface: Surface, basis: Basis) -> tuple[Real, Real]:
    """(u10, v10) in m s-1: slowed and turned towards low pressure by friction, more over land."""
    speed = 0.78 - surface.land_cover * (0.26 + 4e-5 * surface.height)
    angle = np.deg2rad(14.0 + 14.0 * surface.land_cover) * np.tanh(basis.sine / 0.15)[:, None]
    cos_a, sin_a = speed * np.cos(angle), speed * np.sin(angle)
    return cos_a * air.u - sin_a * air.v, sin_a * air.u + cos_a * air.v


def front_distance(air: Air) -> Real:
    """Degrees of origin poleward of the polar front: < 0 in warm air."""
    return np.asarray(np.abs(air.deep_origin) - FRONT_LATITUDE)


def _sea_level_temperature(air: Air, basis: Basis, declination: float) -> Real:
    front = 0.5 * (1.0 + np.tanh(front_distance(air) / FRONT_WIDTH))
    polar = (
        POLAR_GRADIENT * basis.sine[:, None] ** 7 * (air.latitude - air.origin)
    )  # the climatology is flat at the poles
    return air_temperature(air.origin, declination) + FRONT_STEP * (0.4 - front) + polar


def temperature_at_2_metres(state: Atmosphere, air: Air, surface: Surface, basis: Basis, longitude: Real) -> Real:
    """t2m in K."""
    air_mass = _sea_level_temperature(air, basis, state.declination)
    ice = smoothstep((FREEZING_SEA + 0.5 - air.sea) / 4.0)
    water = np.maximum(air.sea, FREEZING_SEA)
    sea = water + (0.35 + 0.65 * ice) * (air_mass - water)
    season = np.tanh(basis.sine / 0.5)[:, None] * state.declination / 0.41
    sun = daily_warming(state.seconds, basis, longitude)
    clear = 1.0 - 0.55 * smoothstep((air.moisture + 1.0) / 2.5)
    daily = (13.0 + 1.5e-3 * surface.height) * clear * sun
    land = air_mass + 7.0 * season * surface.continentality + daily - LAPSE_RATE * surface.height
    blend = surface.land_cover
    return blend * land + (1.0 - blend) * (sea + 0.7 * (1.0 - ice) * sun) + 0.3 * air.storm.warm_core


def geopotential(level_hpa: float, state: Atmosphere, air: Air) -> Real:
    """Geopotential (m2 s-2) of a pressure level (hPa): hydrostatic above sea-level pressure, constant lapse rate."""
    surface_temperature = air_temperature(air.deep_origin, state.declination) - 2.0 + air.storm.warm_core
    exponent = GAS_CONSTANT * COLUMN_LAPSE_RATE / GRAVITY
    return GRAVITY / COLUMN_LAPSE_RATE * surface_temperature * (1.0 - (100.0 * level_hpa / air.pressure) ** exponent)


def hourly_rain(state: Atmosphere, air: Air, surface: Surface, basis: Basis, longitude: Real) -> Real:
    """Rain of the hour that ends at this time, in m, >= 0 with exact zeros."""
    poleward = air.v * (basis.cosine * np.tanh(basis.sine / 0.2))[:, None]
    low = (MEAN_PRESSURE - air.pressure) / 1000.0
    ascent = np.clip(0.15 + poleward / 10.0 + 0.3 * low, 0.0, 2.2)
    front = np.exp(-0.5 * ((front_distance(air) + 1.0) / 2.0) ** 2)
    frontal = 3.0 * front * ascent * np.clip(1.1 + 0.5 * air.moisture, 0.0, None)
    off_belt = np.abs(np.abs(basis.sine[:, None]) - 0.42)  # 0 in the dry belts near 25 N and 25 S
    wetter = smoothstep((off_belt - 0.05) / 0.25)
    showers = (0.15 + 0.6 * wetter) * np.clip(air.moisture + 0.3 * low + 0.35 * wetter - 1.1, 0.0, None)
    belt = 5.0 + 0.4 * np.rad2deg(state.declination)
    tropics = np.exp(-0.5 * ((air.latitude - belt) / 8.0) ** 2)
    afternoon = 1.0 + 1.2 * surface.continentality * daily_warming(state.seconds, basis, longitude)
    convective = 3.0 * tropics * np.clip(air.moisture + 0.7 * tropics - 0.9, 0.0, None) ** 1.8 * afternoon
    cyclonic = air.storm.rain * np.clip(1.0 + 0.4 * air.moisture, 0.2, None)
    rate = (frontal + showers + convective) * (1.0 - air.storm.clear) + cyclonic
    wet = np.maximum(rate * (1.0 + 1.5e-4 * surface.height) - DRIZZLE, 0.0)
    return np.asarray(wet / (1.0 + wet / MAXIMUM_RAIN) / 1000.0)


def sea_surface_temperature(air: Air, surface: Surface) -> Real:
    """sst in K; NaN over land."""
    return np.where(surface.is_land, np.nan, np.maximum(air.sea, FREEZING_SEA))

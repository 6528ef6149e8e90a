"""The synthetic atmosphere: seeded waves whose kinetic energy falls about as k^-3, carried along by westerlies.

    streamfunction waves -> wind (exact), pressure (linear balance), and where the air came from (its meridional
    displacement, a quarter wave out of phase with the pressure, so that warm air lies east of a low)

The tropical cyclone is added to pressure and wind. variables.py makes the variables of a sample from this.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from nnzip.sample.cyclone import StormFields, storm_at, storm_fields
from nnzip.sample.harmonics import (
    EARTH_RADIUS,
    EARTH_ROTATION,
    TRUNCATION,
    WAVENUMBER,
    Basis,
    Coefficients,
    Real,
    balanced_geopotential,
    random_coefficients,
    times_sine_latitude,
    wind_coefficients,
)
from nnzip.sample.planet import (
    local_hour_angle,
    sea_temperature,
    solar_declination,
)

REFERENCE_TIME = 1475280000.0  # 2016-10-01T00Z, where the waves' phases are as drawn
MEAN_PRESSURE = 101100.0  # Pa
SURFACE_DENSITY = 1.2  # kg m-3
WAVE_WIND = 15.0  # m s-1, root-mean-square vector wind of the waves before the storm-track envelope
DISPLACEMENT_TIME = 7.5e4  # s, how long the meridional wind carries air from its latitude of origin
ADVECTION = 2.6e-6  # rad s-1: 13 degrees of longitude a day
WANDER, SEA_WANDER = (
    4e-6,
    1.5e-7,
)  # rad s-1, spread of the frequencies: patterns change in about 3 days, in the sea in months
TIDE = 120.0  # Pa, semidiurnal at the equator, highest at 10 and 22 h local time


@dataclass(frozen=True)
class Waves:
    """Seeded amplitudes [m, n] at REFERENCE_TIME, their angular frequencies (s-1), and the steady zonal mean."""

    streamfunction: Coefficients
    frequency: Real
    moisture: Coefficients
    moisture_frequency: Real
    sea: Coefficients
    sea_frequency: Real
    mean_geopotential: Coefficients
    mean_wind: Real  # polynomial in sin(lat): u / cos(lat)


@dataclass(frozen=True)
class Air:
    """Dynamic fields of one time and block, [lat, lon]."""

    pressure: Real  # Pa at mean sea level
    u: Real  # m s-1 above the friction layer
    v: Real
    latitude: Real  # degrees, [lat, 1]
    origin: Real  # degrees: latitude the air near the ground came from
    deep_origin: Real  # degrees: the same for the layer below 500 hPa, smoother
    moisture: Real  # standard normal
    sea: Real  # K, unmasked sea surface temperature, not yet limited at freezing
    storm: StormFields


@functools.lru_cache(maxsize=4)
def waves(seed: int) -> Waves:
    """The waves of a seed."""
    n = WAVENUMBER
    rng = np.random.Generator(np.random.PCG64([seed, 3]))
    taper = np.exp(-((n / (0.92 * TRUNCATION)) ** 16))
    energy = _unit((n / 9.0) ** 4 / (1.0 + (n / 9.0) ** 2) ** 3.75 * taper * (n >= 3))
    spectrum = np.divide(energy, n * (n + 1.0), out=np.zeros_like(n), where=n > 0) * (WAVE_WIND * EARTH_RADIUS) ** 2
    streamfunction = random_coefficients(rng, spectrum)
    streamfunction[0] = 0.0
    rossby = np.outer(n, ADVECTION - 2.0 * EARTH_ROTATION / (n * (n + 1.0) + 20.0))
    wander = WANDER * np.sqrt(np.maximum(n, 3.0) / 9.0)
    moisture = random_coefficients(rng, _unit(np.where(n < 4, 0.0, (1.0 + (n / 14.0) ** 2) ** -1.2) * taper))
    sea = random_coefficients(rng, _unit(np.where(n < 3, 0.0, (1.0 + (n / 6.0) ** 2) ** -1.3) * taper))
    mean_wind, mean_geopotential = _zonal_mean()
    return Waves(
        streamfunction=_storm_tracks(streamfunction),
        frequency=rossby + wander * rng.standard_normal(rossby.shape),
        moisture=moisture,
        moisture_frequency=0.6 * ADVECTION * n[:, None] + 1.6 * wander * rng.standard_normal(rossby.shape),
        sea=sea,
        sea_frequency=SEA_WANDER * rng.standard_normal(rossby.shape),
        mean_geopotential=mean_geopotential,
        mean_wind=mean_wind,
    )


def _unit(spectrum: Real) -> Real:
    return np.asarray(spectrum / spectrum.sum())


def _storm_tracks(coefficients: Coefficients) -> Coefficients:
    """Multiply by 0.3 + 2.8 s^2 (1 - s^2) with s = sin(lat): 1.0 at 45 degrees, 0.3 at the equator and the poles."""
    second = times_sine_latitude(times_sine_latitude(coefficients))
    fourth = times_sine_latitude(times_sine_latitude(second))
    result = 0.3 * coefficients + 2.8 * (second - fourth)
    result[:, -1] = 0.0  # its derivatives would need the next wavenumber
    return result


def _zonal_mean() -> tuple[Real, Coefficients]:
    """(u / cos(lat) as a polynomial in sin(lat), geopotential balancing it): trades, westerlies, polar easterlies."""
    latitude = np.array([-85.0, -75, -65, -50, -40, -30, -15, 0, 15, 30, 40, 50, 65, 75, 85])
    wind = np.array([-0.2, -1.5, 0.5, 9.5, 7.0, 0.5, -5.5, -2.5, -5.0, 0.0, 4.5, 5.5, 1.0, -1.0, -0.2])  # m s-1
    angle = np.deg2rad(latitude)
    fit = np.polynomial.Polynomial.fit(np.sin(angle), wind / np.cos(angle), 8, domain=[-1, 1], w=np.cos(angle)).coef
    streamfunction = -EARTH_RADIUS * np.polynomial.polynomial.polyint(fit)
    legendre = np.polynomial.legendre.poly2leg(streamfunction)
    coefficients = np.zeros((TRUNCATION + 1, TRUNCATION + 1), dtype=np.complex128)
    coefficients[0, : len(legendre)] = legendre / np.sqrt(2.0 * np.arange(len(legendre)) + 1.0)
    return np.asarray(fit), balanced_geopotential(coefficients)


class Atmosphere:
    """The state of the atmosphere of a seed at one time; `air` evaluates it block by block."""

    def __init__(self, seconds: float, seed: int) -> None:
        """Seconds since 1970-01-01."""
        modes = waves(seed)
        elapsed = seconds - REFERENCE_TIME
        streamfunction = modes.streamfunction * np.exp(-1j * modes.frequency * elapsed)
        eastward, northward = wind_coefficients(streamfunction)
        origin = 1j * np.sqrt(WAVENUMBER * (WAVENUMBER + 1.0)) * streamfunction * (DISPLACEMENT_TIME / EARTH_RADIUS**2)
        geopotential = modes.mean_geopotential + balanced_geopotential(streamfunction)
        self._mechanical = [geopotential, eastward, northward]
        self._thermal = [
            origin,
            origin / (1.0 + (WAVENUMBER / 18.0) ** 2) ** 0.45,
            modes.moisture * np.exp(-1j * modes.moisture_frequency * elapsed),
            modes.sea * np.exp(-1j * modes.sea_frequency * elapsed),
        ]
        self._mean_wind = modes.mean_wind
        self._storm = storm_at(seconds, seed)
        self.seconds = seconds
        self.declination = solar_declination(seconds)

    def air(self, basis: Basis, latitude: Real, longitude: Real) -> Air:
        """The dynamic fields of a block."""
        geopotential, u, v = basis.synthesise(self._mechanical, [False, True, True])
        displacement, deep, moisture, sea = basis.synthesise(self._thermal, [False] * 4)
        storm = storm_fields(self._storm, basis, longitude)
        phase = 2.0 * local_hour_angle(self.seconds, longitude) + 2.0 * np.pi / 6.0
        tide = TIDE * np.outer(basis.cosine**3, np.cos(phase))
        mean = (basis.cosine * np.polynomial.polynomial.polyval(basis.sine, self._mean_wind))[:, None]
        return Air(
            MEAN_PRESSURE + SURFACE_DENSITY * geopotential + storm.pressure + tide,
            u + mean + storm.u,
            v + storm.v,
            latitude[:, None],
            latitude[:, None] - np.rad2deg(displacement),
            latitude[:, None] - np.rad2deg(deep),
            moisture,
            sea_temperature(basis.sine, self.declination)[:, None] + 1.1 * sea,
            storm,
        )

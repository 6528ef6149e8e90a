"""Real fields on the sphere as sums of spherical harmonics, evaluated at any latitudes and longitudes.

    f(lat, lon) = Re sum_{m=0..255} sum_{n=m..255} c[m, n] P_nm(sin lat) exp(i m lon),  mean of P_nm^2 on the sphere 1

A value depends on the point and the coefficients alone, so a sample cut from another grid, area or time chunk agrees.
The operators' spectral forms are those of spectral atmosphere models (Hoskins and Simmons, 1975,
doi:10.1002/qj.49710142918).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Coefficients = NDArray[np.complex128]  # [m, n], zero where n < m

TRUNCATION = 255  # highest zonal wavenumber m and total wavenumber n
WAVENUMBER = np.arange(TRUNCATION + 1, dtype=np.float64)
EARTH_RADIUS = 6.371e6  # m
EARTH_ROTATION = 7.292e-5  # s-1


@functools.cache
def _epsilon() -> Real:
    """sqrt((n^2 - m^2) / (4 n^2 - 1)) as [m, n + 1 more], zero where n <= m: couples P_nm to its neighbours in n."""
    m, n = np.meshgrid(WAVENUMBER, np.arange(TRUNCATION + 2, dtype=np.float64), indexing="ij")
    return np.sqrt(np.clip(n**2 - m**2, 0.0, None) / np.abs(4.0 * n**2 - 1.0))


def _neighbours(coefficients: Coefficients, below: Real, above: Real) -> Coefficients:
    """below[n] eps[n] c[n-1] + above[n] eps[n+1] c[n+1], the shape that every operator here has."""
    result = np.zeros_like(coefficients)
    epsilon = _epsilon()
    result[:, 1:] += below[1:] * epsilon[:, 1:-1] * coefficients[:, :-1]
    result[:, :-1] += above[:-1] * epsilon[:, 1:-1] * coefficients[:, 1:]
    return result


def times_sine_latitude(coefficients: Coefficients) -> Coefficients:
    """Coefficients of sin(lat) f."""
    return _neighbours(coefficients, np.ones_like(WAVENUMBER), np.ones_like(WAVENUMBER))


def balanced_geopotential(streamfunction: Coefficients) -> Coefficients:
    """Geopotential (m2 s-2) in linear balance with a streamfunction (m2 s-1): del^2 Phi = div(f grad psi)."""
    n = WAVENUMBER
    scale = np.divide(2.0 * EARTH_ROTATION, n * (n + 1.0), out=np.zeros_like(n), where=n > 0)
    return _neighbours(streamfunction, scale * (n**2 - 1.0), scale * n * (n + 2.0))


def wind_coefficients(streamfunction: Coefficients) -> tuple[Coefficients, Coefficients]:
    """(u, v) in m s-1 of a streamfunction without m = 0 and n = 255, for `synthesise` with vector=True."""
    n = WAVENUMBER
    eastward = -_neighbours(streamfunction, -(n - 1.0), n + 2.0) / EARTH_RADIUS
    northward = 1j * WAVENUMBER[:, None] * streamfunction / EARTH_RADIUS
    return eastward, northward


def random_coefficients(rng: np.random.Generator, spectrum: Real) -> Coefficients:
    """Gaussian coefficients whose field has, on average, variance spectrum[n] at total wavenumber n."""
    size = TRUNCATION + 1
    draws = rng.standard_normal((2, size, size))
    values = np.sqrt(2.0) * (draws[0] + 1j * draws[1])
    values[0] = draws[0, 0]
    values *= np.sqrt(spectrum / (2.0 * WAVENUMBER + 1.0))
    return np.asarray(np.where(WAVENUMBER[:, None] <= WAVENUMBER, values, 0.0), dtype=np.complex128)


class Basis:
    """The harmonics at a block of latitudes and all longitudes of a grid: [lat, lon].

    Latitudes and longitudes in degrees. At the poles cos(lat) is exactly zero, so a scalar field has one value along a
    pole row.
    """

    def __init__(self, latitude: Real, longitude: Real) -> None:
        self.sine = np.sin(np.deg2rad(latitude))
        self.cosine = np.where(np.abs(latitude) == 90.0, 0.0, np.cos(np.deg2rad(latitude)))
        self._legendre = _legendre_over_cosine(self.sine, self.cosine)
        angle = np.outer(WAVENUMBER, np.deg2rad(longitude))
        self._fourier = np.concatenate([np.cos(angle), -np.sin(angle)])  # [2 m, lon]

    def synthesise(self, coefficients: list[Coefficients], vector: list[bool]) -> Real:
        """Fields [field, lat, lon]. vector[i]: the coefficients are of P_nm / cos(lat), with no m = 0 part."""
        count, size = len(coefficients), TRUNCATION + 1
        stacked = np.empty((size, 2 * count, size))
        for index, values in enumerate(coefficients):
            stacked[:, index] = values.real
            stacked[:, count + index] = values.imag
        waves = np.matmul(stacked, self._legendre).reshape(size, 2, count, -1)  # [m, re/im, field, lat]
        for index, is_vector in enumerate(vector):
            if not is_vector:
                waves[1:, :, index] *= self.cosine
        rows = waves.transpose(2, 3, 1, 0).reshape(count * len(self.sine), 2 * size)
        return np.asarray(rows @ self._fourier).reshape(count, len(self.sine), -1)


def _legendre_over_cosine(sine: Real, cosine: Real) -> Real:
    """P_nm for m = 0 and P_nm / cos(lat) for m >= 1, as [m, n, lat]; finite at the poles."""
    size = TRUNCATION + 1
    epsilon = _epsilon()
    table = np.zeros((size, size, len(sine)))
    table[0, 0] = 1.0
    sectoral = np.full(len(sine), np.sqrt(1.5))  # P_11 / cos(lat)
    for m in range(1, size):
        table[m, m] = sectoral
        sectoral = sectoral * cosine * np.sqrt((2.0 * m + 3.0) / (2.0 * m + 2.0))
    for n in range(1, size):  # eps[n] P_n = sin(lat) P_{n-1} - eps[n-1] P_{n-2}, for m < n
        previous = epsilon[:n, n - 1, None] * table[:n, n - 2] if n > 1 else 0.0
        table[:n, n] = (sine * table[:n, n - 1] - previous) / epsilon[:n, n, None]
    return table

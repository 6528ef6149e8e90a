"""Spherical harmonics of the sample: orthonormal, exact derivatives, balanced pressure, single-valued poles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnzip.sample.harmonics import (
    EARTH_RADIUS,
    EARTH_ROTATION,
    TRUNCATION,
    WAVENUMBER,
    Basis,
    Coefficients,
    balanced_geopotential,
    random_coefficients,
    times_sine_latitude,
    wind_coefficients,
)


def single_wave(m: int, n: int, amplitude: complex) -> Coefficients:
    coefficients = np.zeros((TRUNCATION + 1, TRUNCATION + 1), dtype=np.complex128)
    coefficients[m, n] = amplitude
    return coefficients


def test_harmonics_are_orthonormal() -> None:
    nodes, weights = np.polynomial.legendre.leggauss(140)
    longitude = np.arange(0.0, 360.0, 1.0)
    basis = Basis(np.rad2deg(np.arcsin(nodes)), longitude)
    waves = [(0, 0), (0, 7), (3, 7), (3, 9), (40, 41), (120, 130)]
    fields = basis.synthesise([single_wave(m, n, 1.0) for m, n in waves], [False] * len(waves))
    products = np.einsum("ayx,byx,y->ab", fields, fields, weights) / (2.0 * len(longitude))
    np.testing.assert_allclose(products, np.diag([1.0 if m == 0 else 0.5 for m, _ in waves]), atol=1e-12)


def test_wind_is_the_derivative_of_the_streamfunction_and_pressure_balances_it() -> None:
    latitude, longitude = np.linspace(75.0, -75.0, 601), np.arange(0.0, 360.0, 1.0)
    streamfunction = single_wave(4, 7, 2e7 + 1e7j)
    eastward, northward = wind_coefficients(streamfunction)
    basis = Basis(latitude, longitude)
    fields = [streamfunction, eastward, northward, balanced_geopotential(streamfunction)]
    psi, u, v, phi = basis.synthesise(fields, [False, True, True, False])
    angle = np.deg2rad(latitude)
    np.testing.assert_allclose(
        -np.gradient(psi, angle, axis=0)[2:-2] / EARTH_RADIUS, u[2:-2], atol=2e-3 * np.abs(u).max()
    )
    slope = (
        (np.roll(psi, -1, axis=1) - np.roll(psi, 1, axis=1)) / np.deg2rad(2.0) / EARTH_RADIUS / np.cos(angle)[:, None]
    )
    np.testing.assert_allclose(slope, v, atol=2e-3 * np.abs(v).max())
    # del^2 Phi against div(f grad psi) = f del^2 psi + df/dy dpsi/dy
    sine, beta = np.sin(angle)[:, None], 2.0 * EARTH_ROTATION * np.cos(angle)[:, None] / EARTH_RADIUS
    vorticity = -7.0 * 8.0 / EARTH_RADIUS**2 * psi
    wanted = 2.0 * EARTH_ROTATION * sine * vorticity - beta * u
    laplacian = laplacian_on_sphere(phi, angle, np.deg2rad(1.0))
    inner = slice(5, -5)
    np.testing.assert_allclose(laplacian[inner], wanted[inner], atol=5e-3 * np.abs(wanted).max())


def laplacian_on_sphere(field: NDArray[Any], latitude: NDArray[Any], step: float) -> NDArray[Any]:
    cosine = np.cos(latitude)[:, None]
    meridional = np.gradient(cosine * np.gradient(field, latitude, axis=0), latitude, axis=0) / cosine
    zonal = (np.roll(field, -1, axis=1) - 2.0 * field + np.roll(field, 1, axis=1)) / (step * cosine) ** 2
    return np.asarray((meridional + zonal) / EARTH_RADIUS**2)


def test_random_fields_have_the_variance_asked_for() -> None:
    spectrum = np.where((WAVENUMBER >= 20) & (WAVENUMBER < 60), 1.0 / 40.0, 0.0)
    coefficients = random_coefficients(np.random.Generator(np.random.PCG64(5)), spectrum)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    field = Basis(np.rad2deg(np.arcsin(nodes)), np.arange(0.0, 360.0, 2.0)).synthesise([coefficients], [False])[0]
    assert (field**2 * weights[:, None]).sum() / 2.0 / field.shape[1] == pytest.approx(1.0, abs=0.1)


def test_multiplication_by_sine_of_latitude() -> None:
    coefficients = single_wave(5, 9, 1.0 - 2.0j)
    latitude = np.linspace(-90.0, 90.0, 13)
    basis = Basis(latitude, np.array([0.0, 50.0]))
    field, product = basis.synthesise([coefficients, times_sine_latitude(coefficients)], [False, False])
    np.testing.assert_allclose(product, np.sin(np.deg2rad(latitude))[:, None] * field, atol=1e-12)


def test_wind_over_the_pole_is_one_vector() -> None:
    coefficients = single_wave(1, 40, 1e6) + single_wave(1, 7, 2e6j) + single_wave(2, 9, 5e6)
    eastward, northward = wind_coefficients(coefficients)
    u, v = Basis(np.array([90.0]), np.arange(0.0, 360.0, 15.0)).synthesise([eastward, northward], [True, True])
    np.testing.assert_allclose(np.hypot(u, v), np.hypot(u[0, 0], v[0, 0]), rtol=1e-9)

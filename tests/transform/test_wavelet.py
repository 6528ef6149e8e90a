"""The CDF 9/7 wavelet: perfect reconstruction on any grid, and agreement with the published filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.coder.bands import band_edges
from nnzip.transform import wavelet

# Analysis filters of the CDF 9/7 wavelet (Cohen, Daubechies & Feauveau 1992; JPEG 2000, ISO/IEC 15444-1, table F.2),
# scaled to the DC gain sqrt(2) and the sign of a prediction error. Centred on even and on odd samples.
LOW = {0: 0.8526986790094, 1: 0.3774028556126, 2: -0.1106244044184, 3: -0.0238494650194, 4: 0.0378284555070}
HIGH = {0: 0.7884856164057, 1: -0.4180922732222, 2: -0.0406894176096, 3: 0.0645388826289}

FROZEN = (
    (
        -0.508634217,
        10.1245264,
        14.8912995,
        12.2056332,
        6.26795306,
        18.8404655,
        9.49206057,
        -1.64851963,
        -0.405440905,
        -5.60496673,
        -2.59976291,
        6.29668683,
        -6.29104498,
    ),
    (
        -0.198129556,
        10.2560993,
        14.8912995,
        12.2056332,
        5.85184005,
        19.9257611,
        -1.424044,
        -0.405440905,
        -5.60496673,
        -2.59976291,
        5.58675913,
        -1.9165056,
    ),
)
"""Coefficients of 0, 1, 8, 10, 13, 6 ... (n^3 modulo 17): 13 of an open axis, 12 of a closed one."""

LENGTHS = st.one_of(st.sampled_from((1, 2, 3, 7, 8, 9, 13, 31)), st.integers(1, 40))


def filtered(signal: np.ndarray, periodic: bool) -> np.ndarray:
    """One level by plain convolution: `signal` extended, low half first."""
    length = len(signal)

    def at(index: int) -> float:
        if periodic and length % 2 == 0:
            return float(signal[index % length])
        index = abs(index) % (2 * (length - 1))
        return float(signal[min(index, 2 * (length - 1) - index)])

    def convolved(taps: dict[int, float], centre: int) -> float:
        return sum(w * (at(centre) if k == 0 else at(centre - k) + at(centre + k)) for k, w in taps.items())

    low = [convolved(LOW, centre) for centre in range(0, length, 2)]
    high = [convolved(HIGH, centre) for centre in range(1, length, 2)]
    return np.array(low + high)


def random(shape: tuple[int, ...], dtype: str = "float64") -> NDArray[np.floating]:
    values: NDArray[np.floating] = np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)
    return values


@given(st.tuples(LENGTHS, LENGTHS, LENGTHS), st.tuples(*[st.booleans()] * 3), st.sampled_from(("float32", "float64")))
@settings(max_examples=80, deadline=None)
def test_inverse_reconstructs_any_shape(shape: tuple[int, ...], periodic: tuple[bool, ...], dtype: str) -> None:
    values = random(shape, dtype)
    kept = values.copy()
    depths = [wavelet.max_depth(length) for length in shape]
    coefficients = wavelet.forward(values, depths, periodic)
    assert coefficients.shape == values.shape
    assert coefficients.dtype == dtype
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(wavelet.inverse(coefficients, depths, periodic), values, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(values, kept)


def test_four_axes_are_reconstructed() -> None:
    values = random((9, 10, 11, 16))
    depths, periodic = (1, 0, 1, 2), (False, False, False, True)
    found = wavelet.inverse(wavelet.forward(values, depths, periodic), depths, periodic)
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-12)


def test_leading_dimensions_are_transformed_one_by_one() -> None:
    values = random((3, 4, 17, 20))
    together = wavelet.forward(values, (1, 2), (False, True))
    for index in np.ndindex(3, 4):
        np.testing.assert_array_equal(together[index], wavelet.forward(values[index], (1, 2), (False, True)))


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("length", [8, 9, 16, 21, 34])
def test_one_level_is_the_published_filter_bank(length: int, periodic: bool) -> None:
    signal = random((length,))
    np.testing.assert_allclose(wavelet.forward(signal, (1,), (periodic,)), filtered(signal, periodic), atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coefficients_are_those_of_every_release(dtype: str) -> None:
    """Archives are decoded by the inverse of this: FROZEN never changes."""
    signal = (np.arange(13) ** 3 % 17).astype(dtype)
    found = [wavelet.forward(signal, (1,), (False,)), wavelet.forward(signal[:12], (1,), (True,))]
    for coefficients, expected in zip(found, FROZEN, strict=True):
        np.testing.assert_allclose(coefficients, expected, rtol=0, atol=5e-6)


def test_deeper_levels_split_the_low_band() -> None:
    signal = random((45,))
    first = filtered(signal, False)
    second = filtered(first[:23], False)
    third = filtered(second[:12], False)
    expected = np.concatenate([third, second[12:], first[23:]])
    np.testing.assert_allclose(wavelet.forward(signal, (3,), (False,)), expected, atol=1e-10)


def test_axes_are_separable() -> None:
    values = random((12, 15, 18))
    by_axis = values
    for axis, (depth, closed) in enumerate(zip((1, 2, 2), (False, False, True), strict=True)):
        moved = wavelet.forward(np.moveaxis(by_axis, axis, -1), (depth,), (closed,))
        by_axis = np.moveaxis(moved, -1, axis)
    np.testing.assert_allclose(wavelet.forward(values, (1, 2, 2), (False, False, True)), by_axis, atol=1e-12)


def test_polynomials_of_degree_three_leave_no_detail() -> None:
    t = np.arange(64) / 64
    coefficients = wavelet.forward(1 - 2 * t + 3 * t**2 - t**3, (1,), (False,))
    assert np.abs(coefficients[36:60]).max() < 1e-9  # away from the ends


def test_a_periodic_axis_has_no_seam() -> None:
    """Rotating a periodic signal by a multiple of 2^depth rotates every band."""
    signal = random((48,))
    depth = 3
    rotated = wavelet.forward(np.roll(signal, 16), (depth,), (True,))
    plain = wavelet.forward(signal, (depth,), (True,))
    for start, stop in band_edges(48, depth):
        expected = np.roll(plain[start:stop], 16 * (stop - start) // 48)
        np.testing.assert_allclose(rotated[start:stop], expected, rtol=0, atol=1e-12)


@given(st.integers(1, 5000))
@settings(max_examples=60, deadline=None)
def test_bands_cover_an_axis(length: int) -> None:
    depth = wavelet.max_depth(length)
    edges = band_edges(length, depth)
    assert edges[0] == (0, math.ceil(length / 2**depth))
    assert edges[0][1] < wavelet.SHORTEST
    assert [start for start, _ in edges[1:]] == [stop for _, stop in edges[:-1]]
    assert edges[-1][1] == length


@pytest.mark.parametrize("depth", range(7))
def test_basis_functions_have_norms_near_one(depth: int) -> None:
    """Of every band, far from the ends."""
    length = 1 << 10
    for start, stop in band_edges(length, depth):
        one = np.zeros(length)
        one[(start + stop) // 2] = 1
        norm = float(np.linalg.norm(wavelet.inverse(one, (depth,), (False,))))
        assert 0.98 < norm < 1.05


def test_white_errors_of_coefficients_keep_their_energy() -> None:
    """Why one quantisation step serves all bands."""
    errors = random((32, 48, 64))
    values = wavelet.inverse(errors.copy(), (2, 3, 3), (False, False, True))
    assert float(np.square(values).mean() / np.square(errors).mean()) == pytest.approx(1, abs=0.15)

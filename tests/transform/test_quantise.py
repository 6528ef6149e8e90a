"""Quantisation: what rate-distortion optimisation must win, and what decoding makes of the integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.coder.bands import Bands, wavelet_bands
from nnzip.coder.contexts import Coefficients
from nnzip.coder.rounding import Rounding
from nnzip.coder.volumes import Layout, encode_volumes, plan_volume
from nnzip.transform import wavelet
from nnzip.transform.quantise import LAGRANGIAN, LARGEST_MAGNITUDE, SHIFT_UNIT, centroids, dequantise, quantise

Values = NDArray[np.float32]

DEPTHS = (1, 3, 3)
SHAPE = (8, 48, 56)
BANDS = wavelet_bands(SHAPE, DEPTHS)
LAYOUT = Layout(SHAPE, BANDS, (None,))


def coefficients(step: float) -> Values:
    """Wavelet coefficients of a smooth random field, in steps."""
    rng = np.random.default_rng(11)
    spectrum = np.fft.rfftn(rng.normal(size=SHAPE))
    wavenumbers = np.meshgrid(*(np.fft.fftfreq(n) for n in SHAPE[:2]), np.fft.rfftfreq(SHAPE[2]), indexing="ij")
    field = np.fft.irfftn(spectrum / (0.02 + sum(k**2 for k in wavenumbers)) ** 1.5, s=SHAPE, axes=(0, 1, 2))
    values = (field / field.std() / step).astype(np.float32)
    return wavelet.forward(values, DEPTHS, (False, False, False)).astype(np.float32)


def size(symbols: Coefficients) -> int:
    return sum(map(len, encode_volumes([plan_volume(symbols, BANDS, None)], LAYOUT)))


def shifts(values: Values, symbols: Coefficients) -> tuple[int, int]:
    return centroids(Rounding(values, LAGRANGIAN).away(symbols))


def cost(values: Values, symbols: Coefficients) -> float:
    """Squared error plus LAGRANGIAN times bits, with the centroids that would be stored."""
    decoded = dequantise(symbols.copy(), shifts(values, symbols))
    return float(np.square(decoded - values).sum(dtype=np.float64)) + LAGRANGIAN * 8 * size(symbols)


def dead_zone(values: Values, threshold: float) -> Coefficients:
    found: Coefficients = np.copysign(np.floor(np.abs(values) + (1 - threshold)), values).astype(np.int32)
    return found


@pytest.mark.parametrize("step", [0.02, 0.1, 0.4])
def test_optimised_rounding_beats_a_plain_dead_zone(step: float) -> None:
    values = coefficients(step)
    optimised = cost(values, quantise(values, BANDS).values)
    for threshold in (0.5, 0.58, 0.65):
        assert optimised < cost(values, dead_zone(values, threshold))


def test_errors_stay_near_half_a_step() -> None:
    values = coefficients(0.05)
    plan = quantise(values, BANDS)
    symbols = plan.values
    errors = np.abs(np.abs(values) - np.abs(symbols))
    assert errors.max() < 1.58 + 0.5
    assert errors[symbols != 0].max() < 1.5
    assert np.sqrt(np.square(errors).mean()) < 0.45
    assert (np.sign(symbols) * np.sign(values) >= 0).all()
    assert plan.bytes == pytest.approx(size(symbols), rel=0.01, abs=20)


def test_a_reference_changes_the_plan() -> None:
    values = coefficients(0.1)
    alone = quantise(values, BANDS)
    assert quantise(values, BANDS, alone.values).bytes < 0.95 * alone.bytes


def test_zeros_and_huge_values() -> None:
    bands: Bands = wavelet_bands((1, 2, 2), (0, 0, 0))
    values = np.array([[[0.0, -0.0], [3e38, -3e38]]], dtype=np.float32)
    symbols = quantise(values, bands).values
    assert symbols.dtype == np.int32
    assert symbols.ravel().tolist() == [0, 0, LARGEST_MAGNITUDE, -LARGEST_MAGNITUDE]


def test_centroids_of_a_known_distribution() -> None:
    """In whole multiples of SHIFT_UNIT."""
    values = np.array([0.9, -1.1, 1.3, -0.9, 2.2, -3.4, 0.1], dtype=np.float32)
    symbols = np.array([1, -1, 1, -1, 2, -3, 0], dtype=np.int32)
    one, more = shifts(values, symbols)
    assert one * SHIFT_UNIT == pytest.approx(0.05, abs=SHIFT_UNIT)
    assert more * SHIFT_UNIT == pytest.approx(0.3, abs=SHIFT_UNIT)
    assert shifts(values, np.zeros(7, dtype=np.int32)) == (0, 0)
    assert shifts(np.full(3, 9.0, dtype=np.float32), np.ones(3, dtype=np.int32)) == (round(0.5 / SHIFT_UNIT), 0)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.integers(-125, 125), st.integers(-125, 125))
@settings(max_examples=60, deadline=None)
def test_dequantised_values_are_symmetric_and_near(symbols: list[int], one: int, more: int) -> None:
    quantised = np.array(symbols, dtype=np.int32)
    values = dequantise(quantised.copy(), (one, more))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(np.signbit(values), quantised < 0)
    np.testing.assert_allclose(values, quantised, rtol=1e-6, atol=0.5 + 1e-6)
    assert (values[quantised == 0] == 0).all()
    positive = quantised > 0
    np.testing.assert_array_equal(dequantise(-quantised[positive], (one, more)), -values[positive])

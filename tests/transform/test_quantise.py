"""Quantisation: what rate-distortion optimisation must win, and what decoding makes of the integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nnzip.coder.bands import wavelet_bands
from nnzip.coder.coefficients import encode_coefficients, plan_coding
from nnzip.transform import wavelet
from nnzip.transform.quantise import LAGRANGIAN, centroids, dequantise, quantise

DEPTHS = (1, 3, 3)
SHAPE = (8, 48, 56)
BANDS = wavelet_bands(SHAPE, DEPTHS)


def coefficients(step: float) -> Tensor:
    """Wavelet coefficients of a smooth random field, in steps."""
    rng = np.random.default_rng(11)
    spectrum = np.fft.rfftn(rng.normal(size=SHAPE))
    wavenumbers = np.meshgrid(*(np.fft.fftfreq(n) for n in SHAPE[:2]), np.fft.rfftfreq(SHAPE[2]), indexing="ij")
    field = np.fft.irfftn(spectrum / (0.02 + sum(k**2 for k in wavenumbers)) ** 1.5, s=SHAPE, axes=(0, 1, 2))
    values = torch.from_numpy((field / field.std()).astype(np.float32))
    return wavelet.forward(values / step, DEPTHS, (False, False, False))


def cost(values: Tensor, symbols: Tensor) -> float:
    """Squared error plus LAGRANGIAN times bits, with the centroids that would be stored."""
    plan = plan_coding(symbols, BANDS)
    bits = 8 * len(encode_coefficients(symbols, BANDS, plan))
    decoded = dequantise(symbols, centroids(values, symbols))
    return float(torch.square(decoded - values).sum(dtype=torch.float64)) + LAGRANGIAN * bits


def dead_zone(values: Tensor, threshold: float) -> Tensor:
    return torch.floor(values.abs() + (1 - threshold)).copysign(values).to(torch.int32)


@pytest.mark.parametrize("step", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("threshold", [0.5, 0.58, 0.65])
def test_optimised_rounding_beats_a_plain_dead_zone(step: float, threshold: float) -> None:
    values = coefficients(step)
    symbols, _ = quantise(values, BANDS)
    assert cost(values, symbols) < cost(values, dead_zone(values, threshold))


def test_errors_stay_near_half_a_step() -> None:
    values = coefficients(0.05)
    symbols, plan = quantise(values, BANDS)
    errors = (values.abs() - symbols.abs()).abs()
    assert errors.max() < 1.58 + 0.5
    assert errors[symbols != 0].max() < 1.5
    assert errors.square().mean().sqrt() < 0.45
    assert (symbols.sign() * values.sign() >= 0).all()
    assert plan.bytes == pytest.approx(len(encode_coefficients(symbols, BANDS, plan)), rel=0.01, abs=4)


def test_a_reference_changes_the_plan() -> None:
    values = coefficients(0.1)
    reference, _ = quantise(values, BANDS)
    _, with_reference = quantise(values, BANDS, reference)
    _, without = quantise(values, BANDS)
    assert with_reference.bytes < 0.95 * without.bytes


def test_zeros_and_huge_values() -> None:
    bands = wavelet_bands((1, 2, 2), (0, 0, 0))
    values = torch.tensor([[[0.0, -0.0], [3e38, -3e38]]])
    symbols, _ = quantise(values, bands)
    assert symbols.dtype == torch.int32
    assert symbols.view(-1).tolist() == [0, 0, 2**30, -(2**30)]


def test_centroids_of_a_known_distribution() -> None:
    values = torch.tensor([0.9, -1.1, 1.3, -0.9, 2.2, -3.4, 0.1])
    symbols = torch.tensor([1, -1, 1, -1, 2, -3, 0], dtype=torch.int32)
    assert centroids(values, symbols) == pytest.approx((0.05, 0.3), abs=1e-6)
    assert centroids(values, torch.zeros(7, dtype=torch.int32)) == (0.0, 0.0)
    assert centroids(torch.full((3,), 9.0), torch.ones(3, dtype=torch.int32)) == (0.5, 0.0)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
@settings(max_examples=60, deadline=None)
def test_dequantised_values_are_symmetric_and_near(symbols: list[int], one: float, more: float) -> None:
    quantised = np.array(symbols, dtype=np.int32)
    values = dequantise(torch.from_numpy(quantised), (one, more)).numpy()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(np.signbit(values), quantised < 0)
    np.testing.assert_allclose(values, quantised, rtol=1e-6, atol=0.5 + 1e-6)
    assert (values[quantised == 0] == 0).all()
    positive = quantised > 0
    opposite = dequantise(torch.from_numpy(-quantised[positive]), (one, more))
    np.testing.assert_array_equal(opposite, -values[positive])

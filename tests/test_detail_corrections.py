"""Corrections: after them every point is within its allowance, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nnzip.detail.corrections import CorrectionsEncoder, decode_corrections
from nnzip.errors import CorruptArchiveError

SHAPE = (2, 3, 4, 5)
Values = NDArray[np.float64]
VALUES = hnp.arrays(np.float64, SHAPE, elements=st.floats(-1e30, 1e30, allow_subnormal=False))


def encoded(original: Values, decoded: Values, allowance: Values, bounds: Values) -> tuple[bytes, Values]:
    """The payload, given time by time, and the corrected values."""
    encoder = CorrectionsEncoder(bounds, original[0].size)
    for channel, time in np.ndindex(original.shape[:2]):
        place = (channel, time)
        encoder.add(channel, time * original[0, 0].size, original[place], decoded[place], allowance[place])
    data = encoder.encode()
    return data, corrected(data, decoded)


def corrected(data: bytes, decoded: Values) -> Values:
    found, values = decode_corrections(data, len(decoded), decoded[0].size), decoded.copy()
    for channel, target in enumerate(values):
        found.apply(channel, target)
    return values


@settings(max_examples=60, deadline=None)
@given(VALUES, st.floats(1e-6, 1e3), st.integers(0, 2**32 - 1))
def test_every_point_is_within_its_allowance(original: np.ndarray, bound: float, seed: int) -> None:
    decoded = original + np.random.default_rng(seed).normal(scale=2 * bound, size=SHAPE)
    allowance = np.full(SHAPE, bound) * np.random.default_rng(seed).choice([1.0, 0.1], size=SHAPE)
    _, fixed = encoded(original, decoded, allowance, np.full(2, bound))
    assert (np.abs(original - fixed) <= allowance).all()
    same = np.abs(original - decoded) <= allowance
    np.testing.assert_array_equal(fixed[same], decoded[same])


def test_nothing_to_correct_costs_nothing() -> None:
    original = np.ones(SHAPE)
    data, fixed = encoded(original, original + 0.5, np.ones(SHAPE), np.ones(2))
    assert data == b""
    np.testing.assert_array_equal(fixed, original + 0.5)


def test_missing_points_are_left_alone() -> None:
    original = np.ones(SHAPE)
    original[0, 0] = np.nan
    data, fixed = encoded(original, np.full(SHAPE, 9.0), np.ones(SHAPE), np.ones(2))
    assert (fixed[0, 0] == 9.0).all()
    assert np.abs(fixed[1:] - 1).max() <= 1
    assert data


def test_spikes_are_stored_exactly() -> None:
    original = np.zeros(SHAPE)
    original[1, 2, 3, 4] = 1e30
    data, fixed = encoded(original, np.zeros(SHAPE), np.full(SHAPE, 1e-30), np.full(2, 1e-30))
    np.testing.assert_array_equal(fixed, original)
    assert len(data) < 100


def test_sparse_corrections_cost_about_their_entropy() -> None:
    generator = np.random.default_rng(3)
    original = np.zeros((1, 20, 100, 100))
    decoded = original + 1.2 * (generator.random(original.shape) < 0.02) * generator.choice([-1, 1], original.shape)
    data, _ = encoded(original, decoded, np.ones(original.shape), np.ones(1))
    entropy = original.size * (-0.02 * np.log2(0.02) - 0.98 * np.log2(0.98) + 0.02) / 8
    assert len(data) < 1.08 * entropy + 60


def test_damage_is_reported() -> None:
    generator = np.random.default_rng(4)
    original = np.zeros((1, 4, 50, 50))
    decoded = generator.normal(size=original.shape)
    data, _ = encoded(original, decoded, np.ones(original.shape), np.ones(1))
    with pytest.raises(CorruptArchiveError):
        corrected(data[:-5], decoded)
    with pytest.raises(CorruptArchiveError, match="header"):
        corrected(b"\x05\0\0\0zzzzz", decoded)
    with pytest.raises(CorruptArchiveError):
        corrected(data, decoded[:, :1])

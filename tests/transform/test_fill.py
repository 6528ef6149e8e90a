"""Missing points: known values stay, the others lie between them, and what is filled is smooth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.tile.volumes import Arrangement, quantise_tile
from nnzip.transform.fill import fill_missing
from nnzip.transform.wavelet import max_depth
from tests.support.field_examples import smooth


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    st.floats(0, 1),
    st.sampled_from(("float32", "float64")),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_known_values_stay_and_others_lie_between(shape: tuple[int, ...], share: float, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, missing = (280 + rng.normal(size=shape)).astype(dtype), rng.random(shape) < share
    values[missing] = np.nan
    filled = fill_missing(values, missing)
    assert filled.dtype == values.dtype
    np.testing.assert_array_equal(filled[~missing], values[~missing])
    for plane, gone in zip(filled, missing, strict=True):
        if gone.all():
            assert not plane.any()
        else:
            known = plane[~gone]
            assert known.min() - 1e-3 <= plane.min() <= plane.max() <= known.max() + 1e-3


def test_nothing_missing_is_no_copy() -> None:
    values = smooth((2, 5, 6))
    assert fill_missing(values, np.zeros(values.shape, dtype=bool)) is values


@pytest.mark.parametrize("scale", [1e-40, 1e30])
def test_any_magnitude_is_filled(scale: float) -> None:
    values = np.full((1, 9, 9), scale, dtype=np.float32)
    missing = np.random.default_rng(0).random(values.shape) < 0.7
    np.testing.assert_allclose(fill_missing(np.where(missing, np.nan, values), missing), values, rtol=1e-5)


def test_an_ocean_costs_little_beside_the_field_without_its_continents() -> None:
    """Coded at one step: a filled hole takes fewer bytes than the values that were there."""
    values = smooth((1, 4, 48, 64))
    missing = np.zeros(values.shape, dtype=bool)
    missing[..., 10:34, 12:44] = True
    depths = (0, 0, max_depth(48), max_depth(64))
    arrangement = Arrangement((1, 4, 48, 64), depths, 1, False)

    def size(some: NDArray[np.floating]) -> float:
        scaled = ((some - 280) / 0.05).astype(np.float32)
        return quantise_tile(arrangement.forward(scaled), arrangement).bytes

    whole = size(values)
    assert size(fill_missing(np.where(missing, np.nan, values), missing)) < 0.93 * whole
    assert size(np.where(missing, np.float32(280), values)) > size(fill_missing(values, missing))

"""Integer interpolation: exact for any integers, and small differences for smooth ones."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder.bands import splits
from nnzip.transform import interpolation

ORDERS = list(permutations(range(3)))


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from(ORDERS),
    st.sampled_from((1, 1000, 1 << 30)),
)
@settings(max_examples=100, deadline=None)
def test_inverse_is_exact(shape: tuple[int, ...], order: tuple[int, ...], scale: int) -> None:
    values = np.random.default_rng(sum(shape)).integers(-scale, scale, shape)
    kept = values.copy()
    np.testing.assert_array_equal(interpolation.inverse(interpolation.forward(values, order), order), values)
    np.testing.assert_array_equal(values, kept)


def test_differences_of_linear_data_are_at_most_rounding() -> None:
    t, y, x = np.meshgrid(np.arange(9), np.arange(17), np.arange(33), indexing="ij")
    transformed = interpolation.forward(6 * t - 4 * y + 2 * x, (0, 1, 2))
    coarsest, _ = splits((9, 17, 33), (0, 1, 2))
    transformed[tuple(slice(0, size) for size in coarsest)] = 0
    inner = transformed[:, :-1, :-1]
    assert np.abs(inner).max() <= 64  # extrapolated ends; all else is exact
    assert np.count_nonzero(transformed) < 0.15 * transformed.size


def test_cubic_data_are_predicted_inside() -> None:
    x = np.arange(64, dtype=np.int64)
    values = (16 * x**3).reshape(1, 1, 64)
    transformed = interpolation.forward(values, (2, 1, 0))
    assert np.abs(transformed[0, 0, 34:61]).max() == 0


def test_short_axes_are_left_alone() -> None:
    values = np.arange(18).reshape(3, 2, 3)
    np.testing.assert_array_equal(interpolation.forward(values, (0, 1, 2)), values)
    assert splits((3, 2, 3), (0, 1, 2)) == ((3, 2, 3), [])


@pytest.mark.parametrize("smooth", [0, 1, 2])
def test_the_smoothest_axis_comes_first(smooth: int) -> None:
    noise = np.random.default_rng(1).integers(-1000, 1000, (20, 20, 20))
    values = np.moveaxis(np.cumsum(np.cumsum(noise, axis=0), axis=0) // 100, 0, smooth)
    order = interpolation.best_order(values)
    assert sorted(order) == [0, 1, 2]
    assert interpolation.best_order(values[:, :2])[2] == 1
    if smooth != 1:
        assert interpolation.best_order(values[:, :2])[0] == smooth

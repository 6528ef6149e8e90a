"""Least squares in integers: what a library finds, and exact whatever the order of the samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nnzip.coder import prediction

RIDGE = 1 << 11


def correlated(count: int, seed: int = 0, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Sums of four of the classes, and coefficients that depend on them."""
    rng = np.random.default_rng(seed)
    sums = np.zeros((prediction.INPUTS, count), dtype=np.float32)
    sums[[0, 2, 6, 7]] = rng.integers(-9, 10, (4, count))
    sums[2] += sums[0] // 2
    target = 0.5 * sums[0] - 0.25 * sums[2] + 0.8 * sums[7] + rng.normal(scale=noise, size=count)
    return sums, np.rint(target).astype(np.int32)


def test_equations_are_sums_of_products_of_small_integers() -> None:
    sums = np.zeros((prediction.INPUTS, 2), dtype=np.float32)
    sums[0], sums[7] = (3, 200), (-2, -56)
    found = prediction.equations(sums, np.array([1, -90], dtype=np.int32))
    # 1 + 3 + 2 < 2^4: times 16; 1 + 200 + 56 = 257 >= 2^8: times 16, divided by 2^(8 - 3) and rounded down
    rows = {0: (48, 100), 7: (-32, -28), prediction.INPUTS: (16, -45)}
    for i, first in rows.items():
        for j, second in rows.items():
            assert found[i, j] == sum(a * b for a, b in zip(first, second, strict=True))
    assert np.count_nonzero(found) == 9


def test_equations_do_not_depend_on_the_order() -> None:
    sums, values = correlated(5000)
    order = np.random.default_rng(1).permutation(5000)
    np.testing.assert_array_equal(
        prediction.equations(sums, values), prediction.equations(sums[:, order], values[order])
    )


@pytest.mark.parametrize("count", [30, 1000, 200_000])
@pytest.mark.parametrize("noise", [0.3, 4.0])
def test_weights_are_those_of_a_ridge_regression(count: int, noise: float) -> None:
    sums, values = correlated(count, noise=noise)
    equations = prediction.equations(sums, values)
    weights, left = prediction.solve(equations)
    system = equations.astype(np.float64)
    expected = np.linalg.solve(system[:-1, :-1] + RIDGE * np.eye(prediction.INPUTS), system[:-1, -1])
    np.testing.assert_allclose(weights / 2**prediction.FRACTION_BITS, expected, atol=0.02)
    rest = system[-1, -1] - expected @ system[:-1, -1]
    assert left == pytest.approx(64 * rest / system[-1, -1], abs=1.5)


def test_nothing_known_foretells_nothing() -> None:
    weights, left = prediction.solve(prediction.no_equations())
    assert not weights.any()
    assert left == 64
    silent = prediction.no_equations()
    silent[0, 0] = 100
    assert not prediction.solve(silent)[0].any()


def test_weights_are_limited() -> None:
    sums = np.zeros((prediction.INPUTS, 500), dtype=np.float32)
    sums[4] = np.resize([1, -1], 500)
    weights, _ = prediction.solve(prediction.equations(sums, (40 * sums[4]).astype(np.int32)))
    assert weights[4] == prediction.LARGEST_WEIGHT


def test_the_part_of_the_reference() -> None:
    sums, values = correlated(300)
    found = prediction.of_the_reference(prediction.equations(sums, values))
    assert not found[: prediction.REFERENCE].any()
    weights, _ = prediction.solve(found)
    assert set(np.flatnonzero(weights)) == {7}


def test_huge_sums_are_solved() -> None:
    """A subband of 2^30 coefficients: no overflow."""
    sums, values = correlated(4000)
    equations = prediction.equations(sums, values)
    np.testing.assert_allclose(prediction.solve(equations << 18)[0], prediction.solve(equations << 8)[0], atol=1)

"""The search for a quantisation step: it ends, never exceeds the budget, and gets close to it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnzip.transform.rates import LARGEST_STEP, SMALLEST_STEP, RateModel, search_step


def model(scale: float = 1.0, size: int = 20_000) -> RateModel:
    return RateModel((np.random.default_rng(0).laplace(0, scale, size) ** 3).astype(np.float32))


class Counted:
    """A size function that counts its calls."""

    def __init__(self, size: Callable[[float], float]) -> None:
        self._size, self.calls = size, 0

    def __call__(self, step: float) -> float:
        assert SMALLEST_STEP <= step <= LARGEST_STEP
        self.calls += 1
        return self._size(step)


def test_coarser_steps_take_fewer_bytes() -> None:
    sizes = [model().bytes(step) for step in np.geomspace(SMALLEST_STEP, LARGEST_STEP, 40)]
    assert all(np.diff(sizes) <= 0)
    assert sizes[0] > 20_000
    assert sizes[-1] < 1


def test_the_model_finds_the_step_of_a_size() -> None:
    for step in (1e-3, 0.1, 3.0):
        assert model().step_for(model().bytes(step)) == pytest.approx(step, rel=0.05)
    assert model().step_for(math.inf) == SMALLEST_STEP
    assert model().step_for(0) == LARGEST_STEP


def test_nothing_to_code_has_no_size() -> None:
    for empty in (np.zeros(9, np.float32), np.zeros(0, np.float32)):
        assert RateModel(empty).bytes(1e-3) == 0
        assert RateModel(empty).step_for(1) == SMALLEST_STEP


@given(
    st.floats(1, 1e7),
    st.floats(0.3, 3.0),
    st.floats(0.5, 1.3),
    st.floats(0, 300),
    st.sampled_from((0.2, 0.006)),
)
@example(24.0, 1.0, 0.5, 9.0, 0.006)
@example(127.0, 0.5, 0.5, 0.0, 0.2)  # the smallest step fits, and so does a coarser one that fills the budget
@settings(max_examples=100, deadline=None)
def test_a_budget_is_filled_and_never_exceeded(
    budget: float, factor: float, power: float, least: float, tolerance: float
) -> None:
    """Sizes that the model gets wrong by a factor, a power and a constant."""
    rates = model()
    size = Counted(lambda step: least + factor * rates.bytes(step) ** power)
    found = search_step(size, rates, budget, tolerance=tolerance)
    assert size.calls <= 10
    if size(LARGEST_STEP) > budget:
        assert found == LARGEST_STEP
    elif size(SMALLEST_STEP) <= budget:  # any step will do that comes within the tolerance
        assert found == pytest.approx(SMALLEST_STEP, rel=0.01) or budget * (1 - tolerance) <= size(found) <= budget
    else:
        assert budget * (1 - 2 * tolerance) - 3 <= size(found) <= budget  # a few bytes of the smallest budgets


@pytest.mark.parametrize("budget", [-5.0, 0.0, 1.0, 99.0])
def test_an_impossible_budget_gives_the_largest_step(budget: float) -> None:
    rates = model()
    size = Counted(lambda step: 100 + rates.bytes(step))
    assert search_step(size, rates, budget, tolerance=0.01) == LARGEST_STEP
    assert size.calls <= 10


@pytest.mark.parametrize("constant", [10.0, 1000.0])
def test_constant_data(constant: float) -> None:
    """All coefficients zero: the size is the same at every step."""
    size = Counted(lambda step: 50)
    found = search_step(size, RateModel(np.zeros(100, np.float32)), constant, tolerance=0.01)
    assert found == (LARGEST_STEP if constant < 50 else SMALLEST_STEP)
    assert size.calls <= 10


def test_sizes_that_jump() -> None:
    size = Counted(lambda step: 1000.0 if step < 0.5 else 100.0)
    found = search_step(size, model(), 500, tolerance=0.01)
    assert size.calls <= 10
    assert 0.5 <= found < 20


def test_a_good_start_saves_evaluations() -> None:
    rates = model()
    size = Counted(lambda step: 3 * rates.bytes(step))
    start = search_step(size, rates, 5000, tolerance=0.01)
    size.calls = 0
    assert search_step(size, rates, 5000, tolerance=0.01, start=start) == start
    assert size.calls == 1

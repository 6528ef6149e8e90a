"""A budget is shared at one step, whoever codes the tiles."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnzip.errors import UsageError
from nnzip.plan.budget import allot, require_size
from nnzip.request.target import Target

STEPS = (1e-5, 1e6)


def rate(size: float, detail: float) -> Callable[[float], float]:
    """Bytes that fall with the step, and are `size` at a step of 1."""
    return lambda step: size / step**detail


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0.1, 2)), min_size=1, max_size=20), st.floats(1, 1e6))
def test_tiles_share_a_step_and_the_budget(kinds: list[tuple[float, float]], budget: float) -> None:
    rates = [rate(*kind) for kind in kinds]
    sizes = allot(rates, budget, STEPS)
    assert budget - len(sizes) - 1e-6 * budget <= sum(sizes) <= budget * (1 + 1e-12)
    assert allot(rates[::-1], budget, STEPS)[::-1] == sizes
    if min(sizes) > 100 and sum(tile(STEPS[1]) for tile in rates) < budget < sum(tile(STEPS[0]) for tile in rates):
        steps = [(size / found) ** (1 / detail) for (size, detail), found in zip(kinds, sizes, strict=True)]
        assert max(steps) <= 1.2 * min(steps)


def test_a_budget_that_nothing_needs_is_shared() -> None:
    assert allot([lambda step: 10.0, lambda step: 30.0], 100, STEPS) == [25, 75]
    assert allot([], 100, STEPS) == []


def test_a_budget_that_is_too_small_is_shared() -> None:
    assert allot([lambda step: 10.0, lambda step: 30.0], 20, STEPS) == [5, 15]
    assert allot([lambda step: 10.0], -3, STEPS) == [0]


def test_an_archive_that_is_too_large() -> None:
    require_size(Target(ratio=10), 1000, 103)
    require_size(Target(max_error={}), 1000, 900)
    with pytest.raises(UsageError, match=r"ratio 10 is impossible: it leaves 100 B.*has 104 B, a ratio of 10: ask for"):
        require_size(Target(ratio=10), 1000, 104)
    with pytest.raises(UsageError, match="size of 50 B is impossible"):
        require_size(Target(size_bytes=50), 1000, 60)

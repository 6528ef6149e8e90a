"""Counts of promises add up in any order."""

from __future__ import annotations

import numpy as np
import pytest

from nnzip.promises.kept import CutBlock, Extreme, Kept


def extreme(step: int, value: float) -> Extreme:
    return np.array([[[step]]]), np.array([[[value]]])


def part(steps: tuple[int, int], values: tuple[float, float], place: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Kept:
    """One of two time steps of a block: where the original and the decoded values are largest."""
    return Kept(cut={place: CutBlock(2, 1, extreme(steps[0], values[0]), extreme(steps[1], values[1]))})


def counts(first: Kept, second: Kept) -> list[tuple[int, int, int]]:
    return [(kept.points, kept.violations, len(kept.cut)) for kept in (first + second, second + first)]


@pytest.mark.parametrize(
    ("earlier", "later", "moved"),
    [
        ((3.0, 3.0), (2.0, 2.9), 0),
        ((3.0, 3.0), (2.0, 3.1), 1),
        ((3.0, 3.0), (3.0, 3.0), 0),  # of equal values the first one counts, whichever part comes first
        ((3.0, 2.9), (3.0, 3.0), 1),
        ((2.0, 3.0), (3.0, 3.0), 1),
    ],
)
def test_a_block_is_counted_when_all_of_it_was_seen(
    earlier: tuple[float, float], later: tuple[float, float], moved: int
) -> None:
    assert counts(part((4, 4), earlier), part((5, 5), later)) == [(1, moved, 0)] * 2


def test_cells_without_values_do_not_count() -> None:
    missing = (-np.inf, -np.inf)
    assert counts(part((4, 4), missing), part((5, 5), missing)) == [(0, 0, 0)] * 2


def test_other_places_are_other_blocks() -> None:
    assert counts(part((4, 4), (1, 1)), part((5, 5), (1, 1), (0, 0, 1, 0))) == [(0, 0, 2)] * 2


def test_points_add_up_and_the_tightest_stays() -> None:
    assert Kept(3, 1, 0.5) + Kept(4, 2, 0.9) == Kept(7, 3, 0.9)

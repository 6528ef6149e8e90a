"""The context model: exact integers, causal, and equal to a plain computation one coefficient at a time."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.coder import linear_context as context
from nnzip.coder import phases
from nnzip.coder.entropy import TABLES
from nnzip.coder.linear_weights import FRACTION_BITS, WEIGHTS

Integers = NDArray[np.int32]


def expected_magnitudes(
    magnitudes: Integers, parents: Integers, parent_count: int, reference: Integers | None, phase: int
) -> dict[tuple[int, ...], int]:
    """Expected magnitude (times 2^FRACTION_BITS) of every position of `phase`, in Python integers."""

    def at(array: Integers, place: tuple[int, ...]) -> int:
        inside = all(0 <= p < n for p, n in zip(place, array.shape, strict=True))
        return int(array[place]) if inside else 0

    order = {parity: number for number, parity in enumerate(phases.PHASES)}
    weights = WEIGHTS[reference is not None][parent_count > 0][phase]
    found = {}
    for place in product(*map(range, magnitudes.shape)):
        if tuple(p % 2 for p in place) != phases.PHASES[phase]:
            continue
        total = 0
        for offset in product((-1, 0, 1), repeat=3):
            there = (place[0] + offset[0], place[1] + offset[1], place[2] + offset[2])
            moved = [axis for axis, d in enumerate(offset) if d]
            if order[(there[0] % 2, there[1] % 2, there[2] % 2)] < phase:
                feature = moved[0] if len(moved) == 1 else len(moved) + 1
                total += weights[feature] * at(magnitudes, there)
            if reference is not None and len(moved) <= 1:
                total += weights[6 + len(moved)] * at(reference, there)
        if parent_count:
            total += int(parents[place]) * weights[5] // parent_count
        found[place] = total
    return found


def table_of(expected: int) -> int:
    """The table whose range holds an expected magnitude, by floating point from the definition in the docstring."""
    mean = expected / 2**FRACTION_BITS
    odds = mean - 1 + np.sqrt(1 + mean**2)  # solves mean = o (o + 2) / (2 (o + 1))
    return 0 if expected == 0 else int(np.clip(np.floor(4 * (np.log2(odds) + 10) + 0.5), 1, TABLES - 1))


def random(shape: tuple[int, ...], seed: int = 0, largest: int = 9) -> Integers:
    values = np.random.default_rng(seed).integers(-largest, largest + 1, shape)
    return np.maximum(values, 0).astype(np.int32)


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(1, 8)),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from((1, 30, phases.LARGEST)),
)
@settings(max_examples=60, deadline=None)
def test_tables_equal_a_plain_computation(
    shape: tuple[int, ...], parent_count: int, with_reference: bool, largest: int
) -> None:
    magnitudes, parents = random(shape, 1, largest), random(shape, 2, largest) * min(parent_count, 1)
    reference = random(shape, 3, largest) if with_reference else None
    padded = np.zeros([n + 2 for n in shape], dtype=np.int32)
    padded_reference = None if reference is None else np.pad(reference, 1)
    for phase in range(8):
        here = phases.phase_slices(shape, phase)
        expected = expected_magnitudes(magnitudes, parents, parent_count, reference, phase)
        found = context.phase_tables(padded, parents, parent_count, padded_reference, phase)
        assert found.dtype == np.uint8
        for table, value in zip(found.tolist(), expected.values(), strict=True):
            lower = 0 if value == 0 else int(context.table_boundaries()[table - 1])
            upper = 1 if value == 0 else (*context.table_boundaries().tolist(), 1 << 31)[table]
            assert (table == 0) == (value == 0)
            assert lower <= value < upper
        padded[1:-1, 1:-1, 1:-1][here] = magnitudes[here]


@pytest.mark.parametrize("phase", range(8))
def test_a_phase_sees_only_earlier_phases(phase: int) -> None:
    """Whatever later phases hold, and the phase itself, its tables are the same."""
    shape = (6, 6, 6)
    before, after = np.zeros((8, 8, 8), dtype=np.int32), np.zeros((8, 8, 8), dtype=np.int32)
    for number in range(8):
        here = phases.phase_slices(shape, number)
        values = random(before[1:-1, 1:-1, 1:-1][here].shape, number)
        before[1:-1, 1:-1, 1:-1][here] = values
        after[1:-1, 1:-1, 1:-1][here] = values if number < phase else 500
    parents = np.zeros(shape, dtype=np.int32)
    np.testing.assert_array_equal(
        context.phase_tables(before, parents, 0, None, phase), context.phase_tables(after, parents, 0, None, phase)
    )


def test_known_offsets_count_all_pairs_once() -> None:
    """Of two neighbours in different phases exactly one sees the other; the first phase sees none."""
    counts = [len(phases.known_neighbours(phase)) for phase in range(8)]
    assert (counts[0], sum(counts), counts[-1]) == (0, 8 * 26 // 2, 26)


def test_phases_tile_a_subband() -> None:
    for shape in ((1, 1, 1), (1, 5, 4), (3, 2, 7)):
        covered = np.zeros(shape, dtype=int)
        for phase in range(8):
            covered[phases.phase_slices(shape, phase)] += 1
        assert (covered == 1).all()


def test_no_sum_can_overflow() -> None:
    for has_reference, has_parents, phase in product((0, 1), (0, 1), range(8)):
        neighbours = [0] * len(context.FEATURES)
        for offset in phases.known_neighbours(phase):
            moved = [axis for axis, d in enumerate(offset) if d]
            neighbours[moved[0] if len(moved) == 1 else len(moved) + 1] += 1
        neighbours[5], neighbours[6], neighbours[7] = 3 * has_parents, has_reference, 6 * has_reference
        weights = WEIGHTS[has_reference][has_parents][phase]
        total = sum(n * w for n, w in zip(neighbours, weights, strict=True)) * phases.LARGEST
        assert total < 2**31
        assert all(w == 0 for n, w in zip(neighbours, weights, strict=True) if n == 0)


def test_boundaries_are_half_way_between_tables() -> None:
    bounds = context.table_boundaries()
    assert bounds.dtype == np.int32
    assert len(bounds) == TABLES - 1
    assert (np.diff(bounds) >= 0).all()
    for expected in (40, 300, 4096, 50_000, 300_000):
        found = int(np.searchsorted(bounds, expected, side="right"))
        assert abs(found - table_of(expected)) <= (1 if expected < 100 else 0)


@pytest.mark.parametrize(
    ("value", "degree", "root"), [(1, 8, 1), (255, 8, 1), (256, 8, 2), (3**40, 8, 3**5), (99, 2, 9)]
)
def test_floor_root(value: int, degree: int, root: int) -> None:
    assert context.floor_root(value, degree) == root


def test_the_model_never_changes() -> None:
    """Weights and boundaries are part of the format: archives would no longer decode."""
    content = repr((FRACTION_BITS, WEIGHTS, phases.PHASES, context.table_boundaries().tolist()))
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == "efa90b3fa8024020"

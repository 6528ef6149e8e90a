"""The search for corrections misses no point that is outside its interval."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.promises.constraints import SameSide
from nnzip.promises.goals import BoxPromised
from nnzip.promises.intervals import Intervals
from nnzip.tile.corrections import Wrong, encode_corrections, read_corrections
from nnzip.tile.corrector import correct

SHAPE = (2, 5, 6, 7)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 300.0, 1e5]),
    st.sampled_from([1e-3, 0.02, 1.0]),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.booleans(),
)
def test_the_points_are_those_whose_intervals_are_broken(
    seed: int, offset: float, bound: float, dtype: str, with_guards: bool, with_promise: bool
) -> None:
    """Errors around the bound, in steps of the output type where that is coarse."""
    rng = np.random.default_rng(seed)
    original = (offset + rng.normal(size=SHAPE)).astype(dtype)
    original[rng.random(SHAPE) < 0.1] = np.nan
    known = original[np.isfinite(original)].astype(np.float64)
    detail = np.nan_to_num(original.astype(np.float64) + rng.uniform(-1.2 * bound, 1.2 * bound, SHAPE), nan=offset)
    guards = np.array([1e-3, 2e-3]) * bound if with_guards else np.zeros(2)
    limits = np.array([known.min() - 1, known.max() - 0.1 * bound])
    constraints = {"above": SameSide(">", float(np.float32(offset)), dtype)} if with_promise else {}
    promised = BoxPromised(bound, tuple(guards.tolist()), dtype, constraints)
    found = correct(original, detail, limits, promised, guards)
    if not with_promise:
        clipped, wanted = np.clip(detail, *limits), original.astype(np.float64)
        allowed = Intervals(wanted, bound, dtype)
        every = np.arange(wanted.size), wanted.ravel(), clipped.ravel()
        ends = allowed.low.ravel().astype(np.float64), allowed.high.ravel().astype(np.float64)
        guard = np.repeat(guards, wanted[0].size)
        assert found.data == encode_corrections([Wrong.of(*every, *ends, guard)], bound, SHAPE)
        assert found.promised == 0
    fixed = np.clip(detail, *limits)
    read_corrections(found.data, SHAPE).apply(fixed)
    output = fixed.astype(dtype).astype(np.float64)
    here = np.isfinite(original)
    assert (np.abs(output - original)[here] <= bound).all()
    if with_promise:
        output[~here] = np.nan
        assert promised.check(original.astype(np.float64), output)[0].violations == 0


def test_a_wrong_point_in_the_last_corner_is_found() -> None:
    original = np.zeros(SHAPE, dtype=np.float32)
    detail = np.zeros(SHAPE)
    detail[:, 4, 5, 6] = 2.0
    promised = BoxPromised(1.0, (0.0, 0.0), "float32")
    fixed = detail.copy()
    found = correct(original, detail, np.array([-9.0, 9.0]), promised, np.zeros(2))
    read_corrections(found.data, SHAPE).apply(fixed)
    assert np.flatnonzero(fixed != detail).tolist() == [209, 419]
    assert (np.abs(fixed) <= 1).all()

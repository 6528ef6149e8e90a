"""Intervals of the output type: whatever rounds into them keeps what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nnzip.errors import UsageError
from nnzip.plan.cutting import whole
from nnzip.promises.constraints import SameSide, Tolerance
from nnzip.promises.inside import COMPARE, Beyond
from nnzip.promises.intervals import Intervals, next_above, next_below, not_above, not_below

Values = NDArray[np.float64]
SHAPE = (2, 3, 2, 2)
FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)
SINGLE = st.floats(-1e6, 1e6, allow_subnormal=False, width=32)


@given(FINITE)
def test_neighbours_in_single_precision(value: float) -> None:
    at = np.array([value])
    above, below = next_above(at, "float32"), next_below(at, "float32")
    assert below < at < above
    assert not_below(at, "float32") >= at >= not_above(at, "float32")
    if float(np.float32(value)) == value:
        assert not_below(at, "float32") == at == not_above(at, "float32")
        assert above == np.nextafter(np.float32(value), np.float32(np.inf))
    else:
        assert above == not_below(at, "float32")
        assert np.nextafter(below.astype(np.float32), np.float32(np.inf)) == above


@settings(max_examples=200)
@given(hnp.arrays(np.float64, SHAPE, elements=FINITE), st.floats(1e-3, 1e3), st.floats(-1, 2), st.booleans())
def test_what_rounds_inside_keeps_the_tolerance(original: Values, tolerance: float, place: float, single: bool) -> None:
    dtype = "float32" if single else "float64"
    tolerance = max(tolerance, float(np.spacing(np.abs(original).max().astype(dtype))))
    allowed = Intervals(original, tolerance, dtype)
    inside = np.clip(allowed.low + place * (allowed.high.astype(np.float64) - allowed.low), allowed.low, allowed.high)
    assert (np.abs(inside.astype(dtype).astype(np.float64) - original) <= tolerance).all()
    wider = allowed.high.astype(np.float64) - allowed.low
    assert (wider >= 2 * tolerance - 4 * np.spacing((np.abs(original) + tolerance).astype(dtype))).all()


@settings(max_examples=200)
@given(
    hnp.arrays(np.float64, SHAPE, elements=SINGLE),
    st.sampled_from([">", ">=", "<", "<="]),
    st.one_of(st.just(None), FINITE, st.sampled_from([0.1, 303.15, 1e-5])),
    st.floats(0, 1),
)
def test_sides_of_thresholds_on_data_values(
    original: Values, comparison: str, other: float | None, place: float
) -> None:
    threshold = float(original.flat[0]) if other is None else other
    allowed = Intervals(original, 1.0, "float32")
    constraint = SameSide(comparison, threshold, "float32")
    constraint.narrow(allowed, original, original, 0.0)
    allowed.require_values()
    low, high = allowed.low.astype(np.float64), allowed.high.astype(np.float64)
    assert ((low <= original) & (original <= high)).all()
    decoded = np.clip(low + place * (high - low), low, high).astype(np.float32)
    compare: Any = COMPARE[comparison]
    single = original.astype(np.float32)
    for user in (threshold, np.float64(threshold), np.float32(threshold)):  # python floats become float32
        np.testing.assert_array_equal(compare(decoded, user), compare(single, user))
    kept = constraint.check(original, decoded.astype(np.float64))
    assert kept.violations == 0
    assert kept.points == compare(original, threshold).sum()


def test_a_point_on_the_wrong_side_is_a_violation() -> None:
    original = np.array([[[[1.0, 2.0, np.nan, 3.0]]]])
    kept = SameSide(">=", 2.0, "float32").check(original, np.array([[[[1.0, np.float32(1.9999999), 7.0, 3.0]]]]))
    assert (kept.points, kept.violations) == (2, 1)


def test_tolerances_count_points_and_the_tightest() -> None:
    original = np.array([[[[1.0, 2.0, np.nan, 3.0]]]])
    tolerance = Tolerance(0.5, Beyond(">", 1)).within(whole((1, 1, 1, 4)))
    kept = tolerance.check(original, np.array([[[[9.0, 2.25, 7.0, 3.0]]]]))
    assert (kept.points, kept.violations, kept.tightest) == (2, 0, 0.5)
    kept += tolerance.check(original, np.array([[[[9.0, 2.25, 7.0, 4.0]]]]))
    assert (kept.points, kept.violations, kept.tightest) == (4, 1, 2.0)
    allowed = Intervals(original, 1.0, "float32")
    tolerance.narrow(allowed, original, original, 0.0)
    np.testing.assert_array_equal(allowed.low, [[[[0.0, 1.5, np.nan, 2.5]]]])
    np.testing.assert_array_equal(allowed.high, [[[[2.0, 2.5, np.nan, 3.5]]]])


def test_an_exact_variable_keeps_every_tolerance() -> None:
    original = np.array([[[[1.0, 2.0, np.nan, 3.0]]]])
    tolerance = Tolerance(0.0, Beyond(">", 1)).within(whole((1, 1, 1, 4)))
    assert tolerance.check(original, original).violations == 0
    assert tolerance.check(original, original + 1e-12).violations == 2
    allowed = Intervals(original, 0.0, "float64")
    np.testing.assert_array_equal([allowed.low, allowed.high], [original, original])


def test_contradictions_are_reported_with_both_limits() -> None:
    allowed = Intervals(np.array([[[1.0]]]), 0.5, "float32")
    allowed.raise_low(np.array([[[2.0]]], dtype=np.float32), np.array([[[True]]]))
    with pytest.raises(UsageError, match=r"contradict each other at 1 points.*at least 2 and at most 1\.5"):
        allowed.require_values()

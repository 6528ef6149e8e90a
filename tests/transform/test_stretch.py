"""Stretched tails: exactly undone, monotone, and smaller errors in the tails at equal bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError
from nnzip.tile.budgeted import Scaling, encode_to_size
from nnzip.tile.decode import decode_tile
from nnzip.transform.stretch import (
    STEEPEST,
    Stretch,
    TailOptions,
    choose_stretch,
    pack_stretch,
    read_stretches,
)
from tests.support.field_examples import smooth

ROWS = np.array([0.0, 0.4, 1, 2.5, 4, 7, 9.99, 11])
LAST_ROW = 11

sides = st.tuples(st.floats(-5, 5), st.floats(1e-3, 10), st.floats(1, STEEPEST))
profiles = st.integers(0, 5).flatmap(
    lambda knots: st.tuples(
        st.lists(st.floats(-3, 3), min_size=knots, max_size=knots),
        st.lists(st.floats(0.01, 10), min_size=knots, max_size=knots),
    )
)
stretches = st.builds(
    lambda both, profile: Stretch(np.array([both]), np.array([profile])), st.tuples(sides, sides), profiles
)


def ramp(low: float = -40, high: float = 40, count: int = 2001) -> NDArray[np.float64]:
    """Ascending values [time, lat, 1], the same in every row."""
    return np.tile(np.linspace(low, high, count)[:, None, None], (1, ROWS.size, 1))


@given(stretches)
@settings(max_examples=200, deadline=None)
def test_shrinking_undoes_stretching(stretch: Stretch) -> None:
    values = ramp()
    stretch.apply(values, 0, ROWS, LAST_ROW)
    stretch.undo(values, 0, ROWS, LAST_ROW)
    np.testing.assert_allclose(values, ramp(), rtol=1e-12, atol=1e-9)


@given(stretches)
@settings(max_examples=200, deadline=None)
def test_order_is_kept_and_slopes_lie_between_one_and_those_asked_for(stretch: Stretch) -> None:
    """Where both sides overlap, their slopes multiply."""
    values = ramp()
    stretch.apply(values, 0, ROWS, LAST_ROW)
    slopes = np.diff(values, axis=0) / (80 / 2000)
    assert slopes.min() >= 1 - 1e-6
    assert slopes.max() <= stretch.sides[0, :, 2].prod() * (1 + 1e-6)


def test_stretching_by_hand() -> None:
    """Start 1, width 2, slope 5 above; start 2 (that is -2), width 1, slope 3 below."""
    stretch = Stretch(np.array([[[1.0, 2.0, 5.0], [2.0, 1.0, 3.0]]]), np.zeros((1, 2, 0)))
    values = np.array([0.0, 1, 2, 3, 4, -2, -2.5, -3, -4])[:, None, None]
    stretch.apply(values, 0, np.zeros(1), 0)
    expected = [0, 1, 2 + 4 * 1 / 4, 3 + 4 * 1, 4 + 4 * 2, -2, -2.5 - 2 * 0.25 / 2, -3 - 2 * 0.5, -4 - 2 * 1.5]
    np.testing.assert_allclose(values.ravel(), expected)


def test_local_stretches_follow_the_profile_between_knots() -> None:
    """Centre 0 to 10 and spread 1 to 3 from the first row to the last; the start is one spread above the centre."""
    stretch = Stretch(np.array([[[1.0, 0.5, 2.0], [0.0, 1.0, 1.0]]]), np.array([[[0.0, 10.0], [1.0, 3.0]]]))
    values = np.full((1, 3, 1), 20.0)
    stretch.apply(values, 0, np.array([0.0, 5, 10]), 10)
    starts, widths = np.array([1.0, 7, 13]), np.array([0.5, 1, 1.5])
    np.testing.assert_allclose(values.ravel(), 20 + (20 - starts - widths / 2))


def test_what_is_infinite_or_missing_raises_no_warning() -> None:
    stretch = Stretch(np.array([[[1.0, 2.0, 5.0], [1.0, 1.0, 3.0]]]), np.zeros((1, 2, 0)))
    values = np.array([np.inf, -np.inf, np.nan])[:, None, None]
    stretch.undo(values, 0, np.zeros(1), 0)
    assert not np.isfinite(values).any()


@pytest.mark.parametrize("local", [False, True])
def test_the_chosen_stretch_begins_at_the_quantiles_and_is_stored_exactly(local: bool) -> None:
    values = np.random.default_rng(0).normal(size=(2, 40, 12, 50)).astype(np.float32)
    known = np.ones(values.shape, dtype=bool)
    values[1, :, :3], known[1, :, :3] = 1e6, False
    stretch = choose_stretch(values, known, TailOptions(5, local=local))
    assert stretch.sides[:, :, 0] == pytest.approx(np.full((2, 2), 2.054), abs=0.1)  # normal quantile 0.98
    assert stretch.sides[:, :, 1] == pytest.approx(np.full((2, 2), 2.326 - 2.054), abs=0.1)
    assert (stretch.sides[:, :, 2] == 5).all()
    assert stretch.profile.shape == (2, 2, 12 if local else 0)
    (again,) = read_stretches([pack_stretch(stretch)], 2)
    np.testing.assert_array_equal(again.sides, stretch.sides)
    np.testing.assert_array_equal(again.profile, stretch.profile)


def test_a_local_profile_holds_means_and_deviations_of_the_rows() -> None:
    deviations = np.linspace(0.1, 2, 60)[:, None]
    values = 3 + deviations * np.random.default_rng(1).normal(size=(1, 50, 60, 80))
    stretch = choose_stretch(values.astype(np.float32), np.ones(values.shape, dtype=bool), TailOptions(5, local=True))
    np.testing.assert_allclose(stretch.profile[0, 0], 3, atol=0.05)
    np.testing.assert_allclose(stretch.profile[0, 1], np.linspace(0.1, 2, 17), rtol=0.1, atol=0.04)


@pytest.mark.parametrize(("lower", "upper", "slopes"), [(5.0, 95.0, [4, 4]), (None, 95.0, [4, 1]), (5.0, None, [1, 4])])
def test_a_side_alone(lower: float | None, upper: float | None, slopes: list[float]) -> None:
    values = smooth((1, 4, 16, 16)) - 280
    stretch = choose_stretch(values, np.ones(values.shape, dtype=bool), TailOptions(4, lower, upper))
    assert stretch.sides[0, :, 2].tolist() == slopes


def test_channels_that_are_not_meant_are_left_alone() -> None:
    values = smooth((3, 4, 16, 16)) - 280
    options = TailOptions(4, channels=frozenset({0, 2}))
    slopes = choose_stretch(values, np.ones(values.shape, dtype=bool), options).sides[:, :, 2]
    assert slopes.tolist() == [[4, 4], [1, 1], [4, 4]]


def test_percentiles_of_both_sides_may_differ() -> None:
    values = np.random.default_rng(2).normal(size=(1, 40, 30, 50)).astype(np.float32)
    sides = choose_stretch(values, np.ones(values.shape, dtype=bool), TailOptions(4, 5, 99)).sides
    assert sides[0, :, 0] == pytest.approx([2.054, 1.282], abs=0.05)  # quantiles 0.98 and 0.9


def test_sides_without_a_tail_are_left_alone() -> None:
    """Rain: nothing lies below its lower percentiles; channels without values or with one value have no tails."""
    rain = np.maximum(smooth((1, 8, 16, 16))[0] - 285, 0)
    values = np.stack([rain, np.zeros_like(rain), np.full_like(rain, 7)])
    known = np.ones(values.shape, dtype=bool)
    known[1] = False
    slopes = choose_stretch(values, known, TailOptions(4)).sides[:, :, 2]
    assert slopes.tolist() == [[4, 1], [1, 1], [1, 1]]


def coded(values: NDArray[np.float32], size: int, *tails: TailOptions) -> tuple[int, NDArray[np.floating]]:
    """Bytes and decoded values of a tile [channel, time, lat, lon] of this size, its tails stretched one by one."""
    known = np.isfinite(values)
    mean, scale = np.nanmean(values, axis=(1, 2, 3)), np.nanstd(values, axis=(1, 2, 3))
    standard = np.where(known, (values - mean[:, None, None, None]) / scale[:, None, None, None], 0).astype(np.float32)
    stretches, rows = [], np.arange(values.shape[2], dtype=np.float64)
    for tail in tails:
        stretches.append(choose_stretch(standard, known, tail))
        for channel, plane in enumerate(standard):
            stretches[-1].apply(plane, channel, rows, rows.size - 1)
    scaling = Scaling(mean.astype(np.float64), scale.astype(np.float64), tuple(stretches))
    data = encode_to_size(values, scaling, size, double=False, periodic=False)
    channels, times, lines, columns = values.shape
    return len(data), decode_tile(data, (channels, times, lines, columns))


def errors(values: NDArray[np.float32], size: int, *tails: TailOptions) -> list[float]:
    """Bytes, and the RMSE of all, of the highest and of the lowest 2 % of the values."""
    found, decoded = coded(values, size, *tails)
    low, high = np.nanquantile(values, [0.02, 0.98])
    parts = (np.isfinite(values), values > high, values < low)
    return [found, *(float(np.sqrt(np.square(decoded - values)[part].mean())) for part in parts)]


def test_tails_have_smaller_errors_at_equal_bytes() -> None:
    values = smooth((1, 16, 32, 48))
    plain = errors(values, 2500)
    both = errors(values, 2500, TailOptions(5, 2, 98))
    upper = errors(values, 2500, TailOptions(5, None, 98))
    assert max(plain[0], both[0], upper[0]) <= 2500
    assert both[2] < 0.6 * plain[2]
    assert both[3] < 0.6 * plain[3]
    assert upper[2] < both[2]
    assert upper[3] > 0.9 * plain[3]
    assert plain[1] < upper[1] < both[1] < 1.6 * plain[1]


def test_local_tails_keep_what_is_extreme_for_its_latitude() -> None:
    """A small dip where nothing varies much, beside large waves."""
    shape = (6, 48, 64)
    values = (smooth((1, *shape), seed=3) - 280) * np.linspace(0.02, 2, 48, dtype=np.float32)[:, None]
    t, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    dip = np.exp(-((y - 4) ** 2 + (x - 20 - 3 * t) ** 2) / 4)
    values[0] -= 4 * dip.astype(np.float32)
    core = dip > 0.8

    def error(*tails: TailOptions) -> float:
        return float(np.sqrt(np.square(coded(values, 2000, *tails)[1] - values)[0][core].mean()))

    local, anywhere = (error(TailOptions(10, 2, None, local=local)) for local in (True, False))
    assert local < 0.6 * min(anywhere, error())


def test_missing_values_do_not_count_and_the_range_is_kept() -> None:
    values = np.maximum(smooth((1, 8, 20, 24)) - 282, 0)
    values[0, :, 4:9, 5:15] = np.nan
    size, decoded = coded(values, 900, TailOptions(10, 2, 98), TailOptions(3, 5, 95, local=True))
    assert size <= 900
    assert np.isfinite(decoded).all()
    assert decoded.min() >= 0
    assert decoded.max() <= np.nanmax(values) * (1 + 1e-6)


def test_rows_of_a_tile_have_the_stretch_of_their_record() -> None:
    stretch = choose_stretch(
        smooth((2, 4, 33, 16)) - 280, np.ones((2, 4, 33, 16), dtype=bool), TailOptions(4, local=True)
    )
    part = stretch.within(slice(1, 2), range(8, 25), 32)
    values, rows = smooth((1, 4, 33, 16), 5)[0] - 280, np.arange(33, dtype=np.float64)
    whole, cut = values.copy(), values[:, 8:25].copy()
    stretch.apply(whole, 1, rows, 32)
    part.apply(cut, 0, rows[:17], 16)
    np.testing.assert_allclose(cut, whole[:, 8:25], atol=0.02 * np.abs(whole).max())


def test_stretches_come_back_and_damage_is_reported() -> None:
    values = smooth((2, 4, 16, 16)) - 280
    known = np.ones(values.shape, dtype=bool)
    stretches = [choose_stretch(values, known, TailOptions(4, local=local)) for local in (False, True)]
    packed = [pack_stretch(stretch) for stretch in stretches]
    for found, expected in zip(read_stretches(packed, 2), stretches, strict=True):
        np.testing.assert_array_equal(found.sides, expected.sides)
        np.testing.assert_array_equal(found.profile, expected.profile)
    impossible = np.frombuffer(packed[0], "<f2").copy()
    impossible[2] = 0.5  # a slope
    for damaged in ([packed[0][:-2]], packed * 5, [impossible.tobytes()], [b"\xff" * len(packed[0])]):
        with pytest.raises(CorruptArchiveError, match="damaged"):
            read_stretches(damaged, 2)

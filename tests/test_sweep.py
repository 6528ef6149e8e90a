"""The knee on curves drawn by hand, and sweeps of a small field."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import InputError, UsageError
from nnzip.progress import Progress
from nnzip.sweep import Goal, Point, SweepErrors, find_knees, knee, sweep


def waves(constant: bool = False) -> xr.Dataset:
    """Two variables, [time 3, latitude 12, longitude 16], one of them constant where asked for."""
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(3.0), np.add.outer(np.cos(np.linspace(-1, 1, 12)), np.sin(np.linspace(0, 6, 16))))
    values = (280 + 10 * smooth + 0.1 * rng.standard_normal(smooth.shape)).astype(np.float32)
    other = np.full_like(values, 7.0) if constant else values * 2
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {"t2m": (dims, values, {"units": "K"}), "flat": (dims, other, {"units": "Pa"})},
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(6, "h"),
            "latitude": ("latitude", np.linspace(60, 38, 12), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(16) * 2.0, {"units": "degrees_east"}),
        },
    )


def point(goal: Goal, ratio: float, error: float) -> Point:
    errors = {"t2m": SweepErrors(error * 40, error * 80, "K", error, 2 * error)}
    return Point(goal, ratio, 32 / ratio, int(1e6 / ratio), 0.5, error, errors)


def test_the_knee_of_a_broken_line_is_its_corner_on_either_side_of_the_chord() -> None:
    errors = [1e-4, 1e-3, 1e-2, 1e-1]
    assert knee(errors, [4, 8, 16, 1000]) == 2  # slow, then fast
    assert knee(errors, [4, 500, 700, 1000]) == 1  # fast, then slow


def test_the_knee_does_not_depend_on_order_or_scale() -> None:
    assert knee([1e-1, 1e-4, 1e-2, 1e-3], [1000, 4, 16, 8]) == 2
    assert knee([5e-4, 5e-3, 5e-2, 5e-1], [40, 80, 160, 10000]) == 2


def test_the_knee_of_a_parabola_in_logarithms_is_its_middle() -> None:
    """For y = x² on [0, 1] the distance from the chord is largest at x = 1/2."""
    x = np.linspace(0, 1, 11)
    assert knee((10 ** (3 * x - 4)).tolist(), (4 * 100 ** (x * x)).tolist()) == 5


@pytest.mark.parametrize(
    ("errors", "ratios"),
    [
        ([1e-3, 1e-2], [4, 40]),
        ([1e-3, 1e-2, 1e-1], [4, 40, 400]),
        ([1e-3, 1e-2, 1e-1], [4, 40.5, 400]),
        ([1e-2, 1e-2, 1e-2], [4, 5, 6]),
        ([1e-3, 1e-2, 1e-1], [9, 50, 9]),
        ([1e-3, 1e-2, 1e-1], [9, 8, 7]),
        ([], []),
    ],
)
def test_straight_flat_falling_and_short_curves_have_no_knee(errors: list[float], ratios: list[float]) -> None:
    assert knee(errors, ratios) is None


def test_bounds_and_ratios_have_a_knee_each_with_the_gain_on_both_sides() -> None:
    errors = (1e-4, 1e-3, 1e-2, 1e-1)
    bounds = [point(Goal(share=e), r, e) for e, r in zip(errors, (4, 8, 16, 1000), strict=True)]
    ratios = [point(Goal(ratio=r), r, e) for e, r in zip(errors, (10, 80, 100, 120), strict=True)]
    first, second = find_knees([*bounds, *ratios])
    assert (first.index, second.index) == (2, 5)
    assert first.gain_below == pytest.approx(2.0)
    assert first.gain_above == pytest.approx(62.5)
    assert second.gain_below == pytest.approx(8.0)
    assert second.gain_above == pytest.approx(math.sqrt(1.5))


def test_points_without_error_are_no_part_of_the_curve() -> None:
    exact = point(Goal(share=1e-6), 2.0, 0.0)
    others = [point(Goal(share=e), r, e) for e, r in zip((1e-3, 1e-2, 1e-1), (4, 5, 100), strict=True)]
    assert [found.index for found in find_knees([exact, *others])] == [2]


def test_a_goal_says_what_it_is_and_what_it_asks_for() -> None:
    assert [Goal(share=3e-4).text, Goal(share=0.1).text, Goal(ratio=300).text] == ["0.03 %", "10 %", "ratio 300"]
    assert Goal(share=3e-4).target().max_error == {None: "0.03%"}
    assert Goal(ratio=300).target().ratio == 300


def test_a_sweep_measures_every_goal_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[Point] = []
    moments: list[Progress] = []
    goals = [Goal(share=1e-3), Goal(share=1e-2)]
    result = sweep(waves(), goals, progress=moments.append, found=seen.append)
    assert list(result.points) == seen
    assert [found.goal for found in seen] == goals
    assert seen[0].ratio < seen[1].ratio
    assert seen[0].bits_per_value == pytest.approx(32 * seen[0].file_bytes / result.source_bytes)
    for found in seen:
        errors = found.errors["t2m"]
        assert errors.units == "K"
        assert errors.relative_max_error is not None
        assert 0 < errors.relative_max_error <= (found.goal.share or 0)
        assert errors.max_error == pytest.approx(errors.relative_max_error * result.ranges["t2m"])
        assert 0 < found.error < errors.relative_max_error * 1.01
    fractions = [moment.fraction for moment in moments]
    assert fractions == sorted(fractions)
    assert {moment.stage for moment in moments} == {"1 of 2", "2 of 2"}
    assert list(tmp_path.iterdir()) == []


def test_a_constant_has_no_relative_error() -> None:
    result = sweep(waves(constant=True), [Goal(share=1e-2)])
    flat = result.points[0].errors["flat"]
    assert (result.ranges["flat"], flat.max_error, flat.relative_rmse) == (0.0, 0.0, None)
    assert result.points[0].error == result.points[0].errors["t2m"].relative_rmse


def test_what_cannot_be_met_is_a_note_unless_nothing_can() -> None:
    result = sweep(waves(), [Goal(share=1e-9), Goal(share=1e-2)])
    assert [found.goal.share for found in result.points] == [1e-2]
    assert any("1e-07 % is left out" in note and "cannot be promised" in note for note in result.notes)
    with pytest.raises(UsageError, match="cannot be promised"):
        sweep(waves(), [Goal(share=1e-9)])


def test_errors_are_raised_and_the_directory_still_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupt(_: Point) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(waves(), [Goal(share=1e-1)], found=interrupt)
    with pytest.raises(UsageError, match="wind"):
        sweep(waves(), [Goal(share=1e-1)], variables=["wind"])
    with pytest.raises(InputError):
        sweep(waves() * np.inf, [Goal(share=1e-1)])
    assert list(tmp_path.iterdir()) == []

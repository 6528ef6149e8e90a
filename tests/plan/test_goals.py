"""From bounds that are asked for to numbers that decoders can keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnzip.errors import UsageError
from nnzip.plan.goals import GUARD, Survey, bounds, exact, rmse_of, rmse_of_psnr, rounding
from nnzip.request.units import Label

T = Label("t", "K")


def survey(*ranges: tuple[float, float], dtype: str = "float32") -> Survey:
    return Survey(tuple(low for low, _ in ranges), tuple(high for _, high in ranges), dtype)


@given(st.floats(0, 3e38), st.sampled_from(["float32", "float64"]))
def test_rounding_is_what_the_type_does(value: float, dtype: str) -> None:
    worst = rounding(value, dtype)
    stored = float(np.dtype(dtype).type(value))
    assert abs(stored - value) <= worst
    below = np.nextafter(np.dtype(dtype).type(value), np.dtype(dtype).type(0))
    assert worst <= 2 * float(np.spacing(below)) or value == 0
    assert math.isfinite(rounding(1e300, "float32"))


def test_guards_follow_the_levels() -> None:
    found = bounds([T], {"t": survey((0, 10), (0, 1000), (math.inf, -math.inf))}, {"t": 0.1})["t"]
    assert found.guards == (GUARD * 10, GUARD * 1000, 0.0)
    assert found.finest == pytest.approx(GUARD * 1000 + np.spacing(np.float32(1000.1)) / 2)
    assert not found.exact


def test_shares_are_of_the_range_of_all_levels() -> None:
    assert bounds([T], {"t": survey((0, 10), (-5, 15))}, {None: "1%"})["t"].number == pytest.approx(0.2)


def test_a_constant_is_exact() -> None:
    for dtype in ("float32", "float64"):
        found = bounds([T], {"t": survey((280.1, 280.1), dtype=dtype)}, {"t": "0.1%"})["t"]
        assert found == exact(survey((1, 1)))
        assert found.exact
    assert bounds([T], {"t": survey((280.1, 280.1))}, {})["t"].number == 0.05  # the community's tolerance


@pytest.mark.parametrize(
    ("dtype", "bound", "least"),
    [("float32", 1e-5, r"differ by 2e-05 K and float32 rounds by 1\.5e-05 K: ask for at least 3\.56e-05 K, or keep"),
     ("float64", 1e-6, r"differ by 2e-05 K and float64 rounds by 2\.8e-14 K: ask for at least 2\.02e-05 K")],
)  # fmt: skip
def test_a_bound_too_small_is_refused_with_the_numbers(dtype: str, bound: float, least: str) -> None:
    with pytest.raises(UsageError, match=rf"the bound {bound:g} K of t cannot be promised: .*{least}"):
        bounds([T], {"t": survey((290, 300), dtype=dtype)}, {"t": bound})


def test_the_least_that_is_named_can_be_kept() -> None:
    surveyed = {"t": survey((290, 300))}
    with pytest.raises(UsageError) as caught:
        bounds([T], surveyed, {"t": 1e-9})
    least = str(caught.value).split("at least ")[1].split(" K")[0]
    assert bounds([T], surveyed, {"t": float(least)})["t"].number == float(least)


def test_rmse_and_psnr() -> None:
    surveyed = {"t": survey((0, 100)), "c": survey((3, 3))}
    labels = [T, Label("c")]
    assert rmse_of(labels, surveyed, {None: "1%"}) == {"t": 1.0, "c": 0.0}
    assert rmse_of_psnr(labels, surveyed, 40) == {"t": pytest.approx(1.0), "c": 0.0}
    with pytest.raises(UsageError, match=r"the RMSE 1e-06 K of t is below float32's rounding, 7\.6e-06 K"):
        rmse_of_psnr(labels, surveyed, 160)

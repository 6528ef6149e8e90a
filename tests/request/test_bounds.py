"""Bounds as users write them."""

from __future__ import annotations

import pytest

from nnzip.errors import UsageError
from nnzip.request.bounds import describe_bounds, parse_bounds, resolve_bounds
from nnzip.request.units import Label, convert_value, threshold

T2M, Q = Label("t2m", "K"), Label("q", "1")


@pytest.mark.parametrize(
    ("units", "quantity", "expected"),
    [
        ("K", "0.1K", 0.1),
        ("K", "0.1 degC", 0.1),
        ("K", 0.25, 0.25),
        ("Pa", "0.5 hPa", 50.0),
        ("m", "0.1mm", 1e-4),
        ("m s**-1", "0.5m/s", 0.5),
        ("m s-1", "1.8 km/h", 0.5),
        ("m**2 s**-2", "10 m2/s2", 10.0),
        ("gpm", "1m", 1.0),
        ("K", "0.1%", 0.04),
        ("K", "0.1% of range", 0.04),
    ],
)
def test_quantities(units: str, quantity: str | float, expected: float) -> None:
    bounds = resolve_bounds([Label("x", units)], {"x": 40.0}, {"x": quantity})
    assert bounds["x"] == pytest.approx(expected)


def test_defaults_follow_the_community_and_the_units() -> None:
    labels = [Label("t2m", "K"), Label("msl", "hPa"), Label("tp", "mm"), Label("strange", "1"), Label("u", "K")]
    labels += [Label("var167", "K", frozenset({"air_temperature"}))]
    bounds = resolve_bounds(labels, {label.name: 10.0 for label in labels}, {})
    expected = {"t2m": 0.05, "msl": 0.01, "tp": 0.01, "strange": 0.01, "u": 0.01, "var167": 0.05}
    assert bounds == pytest.approx(expected)
    assert describe_bounds(labels[:4], {"tp": "1mm", "msl": 0.5}) == [
        "t2m 0.05 K", "msl 0.5 hPa", "tp 1mm", "strange 0.1 % of its range"
    ]  # fmt: skip


def test_one_bound_for_all_and_one_of_its_own() -> None:
    assert parse_bounds("t2m=0.1K, 1%") == {"t2m": "0.1K", None: "1%"}
    assert parse_bounds("") == {}
    bounds = resolve_bounds([T2M, Q], {"t2m": 50.0, "q": 2.0}, parse_bounds("t2m=0.1K,1%"))
    assert bounds == pytest.approx({"t2m": 0.1, "q": 0.02})


def test_a_share_of_the_range_of_a_constant_is_zero() -> None:
    labels = [T2M, Q, Label("x")]
    bounds = resolve_bounds(labels, {"t2m": 0.0, "q": 0.0, "x": 0.0}, {"t2m": "0.1K", "q": "1%"})
    assert bounds == {"t2m": 0.1, "q": 0.0, "x": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t2m=", "not of the form"),
        ("=0.1K", "not of the form"),
        ("t2m=1,t2m=2", "not of the form"),
        ("t2m=warm", "no number with units"),
        ("t2m=0.1 Pa", r"cannot be expressed in its units, K"),
        ("t2m=0.1 bogus", r"cannot be expressed in its units, K"),
        ("t2m=-0.1K", "not positive"),
        ("t2m=-1%", "not positive"),
        ("t2m=0", "not positive: it needs to be .--lossless is exact"),
        ("q=1", "no compressed variable 'q' to give a bound: there are t2m"),
    ],
)
@pytest.mark.parametrize("spread", [50.0, 0.0])
def test_nonsense_is_refused(text: str, message: str, spread: float) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_bounds([T2M], {"t2m": spread}, parse_bounds(text))


def test_an_rmse_is_asked_for_every_variable() -> None:
    with pytest.raises(UsageError, match=r"q has no RMSE: give one for it too \(q=0.1%\)"):
        resolve_bounds([T2M, Q], {"t2m": 1.0, "q": 1.0}, {"t2m": "0.1K"}, what="RMSE", with_tolerances=False)


def test_thresholds_are_values_not_differences() -> None:
    assert threshold("30 degC", T2M) == 303.15 == convert_value(30, "degC", T2M)
    assert threshold("-3e1", T2M) == -30
    assert threshold("20 mm", Label("tp", "m")) == 0.02
    with pytest.raises(UsageError, match="3 mm of t2m cannot be expressed in its units, K: use those"):
        threshold("3 mm", T2M)
    with pytest.raises(UsageError, match="cannot be expressed in its units, none"):
        threshold("3 mm", Label("x"))
    with pytest.raises(UsageError, match="the threshold 'warm' of t2m is no number"):
        threshold("warm", T2M)

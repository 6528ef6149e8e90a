"""Bounds as users write them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import UsageError
from nnzip.request.tolerance import parse_bounds, resolve_bounds


def dataset(**units: str) -> xr.Dataset:
    return xr.Dataset({name: ((), np.float32(0), {"units": unit}) for name, unit in units.items()})


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
    bounds = resolve_bounds(dataset(x=units), {"x": 40.0}, {"x": quantity})
    assert bounds["x"] == pytest.approx(expected)


def test_defaults_follow_the_community_and_the_units() -> None:
    source = dataset(t2m="K", msl="hPa", tp="mm", strange="1")
    bounds = resolve_bounds(source, dict.fromkeys(("t2m", "msl", "tp", "strange"), 10.0), {})
    assert bounds == pytest.approx({"t2m": 0.05, "msl": 0.01, "tp": 0.01, "strange": 0.01})


def test_one_bound_for_all_and_one_of_its_own() -> None:
    assert parse_bounds("t2m=0.1K, 1%") == {"t2m": "0.1K", None: "1%"}
    bounds = resolve_bounds(dataset(t2m="K", q="1"), {"t2m": 50.0, "q": 2.0}, parse_bounds("t2m=0.1K,1%"))
    assert bounds == pytest.approx({"t2m": 0.1, "q": 0.02})


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
        ("t2m=0", "not positive"),
        ("q=1", "no compressed variable 'q'"),
    ],
)
def test_nonsense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_bounds(dataset(t2m="K"), {"t2m": 50.0}, parse_bounds(text))

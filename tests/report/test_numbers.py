"""Numbers, units and places as they are printed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnzip.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.0123"), (0.0, "0"), (-1.5, "−1.50"), (123456.0, "123000"), (2.5e6, "2.50 × 10⁶"),
        (0.9999, "1.00"), (1.234e-5, "1.23 × 10⁻⁵"), (math.inf, "∞"), (None, "–"), (math.nan, "–"), (999.9, "1000"),
    ],
)  # fmt: skip
def test_three_significant_digits(value: float | None, text: str) -> None:
    assert numbers.number(value) == text


@given(st.floats(1e-300, 1e300))
def test_compact_numbers_fit_a_column_and_keep_three_digits(value: float) -> None:
    text = numbers.compact(value)
    assert len(text) <= 9
    assert float(text) == pytest.approx(value, rel=0.0051)
    assert numbers.compact(-value) == f"−{text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.5, "0.500"), (0.99312, "0.9931"), (0.9999971, "0.9999971"), (-0.2, "−0.200"), (None, "–")],
)
def test_correlations_keep_their_distance_from_one(value: float | None, text: str) -> None:
    assert numbers.correlation(value) == text


@pytest.mark.parametrize(
    ("units", "text"),
    [
        ("m s**-1", "m s⁻¹"), ("m**2 s**-2", "m² s⁻²"), ("kg m-2 s-1", "kg m⁻² s⁻¹"), ("W/m2", "W/m²"), ("K", "K"),
        ("1", ""), ("", ""), ("(0 - 1)", "(0 - 1)"), ("m^3", "m³"),
    ],
)  # fmt: skip
def test_units_get_real_exponents(units: str, text: str) -> None:
    assert numbers.units(units) == text


def test_quantities_stay_together_and_files_have_sizes() -> None:
    assert numbers.quantity(0.5, "m s**-1") == "0.500\u00a0m\u00a0s⁻¹"
    assert numbers.quantity(0.5, "K per 100 km") == "0.500\u00a0K per\u00a0100\u00a0km"
    assert numbers.quantity(0.5, "1") == "0.500"
    assert numbers.quantity(None, "K") == "–"
    assert [numbers.file_size(size) for size in (999, 15_500, 1_234_567)] == [
        "999\u00a0B",
        "15.5\u00a0kB",
        "1.23\u00a0MB",
    ]
    assert numbers.count(1234567) == "1\u202f234\u202f567"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (104720.25, "104720"),
        (-9.96, "−9.96"),
        (280.0, "280"),
        (1.5e-7, "1.5\u00a0×\u00a010⁻⁷"),
        (0.0, "0"),
        (100.0, "100"),
    ],
)
def test_values_of_the_data_have_no_trailing_zeros(value: float, text: str) -> None:
    assert numbers.value(value, "K") == f"{text}\u00a0K"
    assert numbers.value(value, "1") == text


def test_places_read_as_words() -> None:
    at: dict[str, str | float] = {
        "time": "2016-10-05 06:00",
        "level": "500 hPa",
        "latitude": -3.25,
        "longitude": 286.5,
        "number": 4.0,
    }
    assert numbers.place(at) == "2016-10-05 06:00, 500 hPa, 3.25°\u00a0S, 286.5°\u00a0E, number\u00a04"

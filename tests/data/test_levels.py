"""Levels by number or with units, in data of any origin."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.data.levels import select_levels
from nnzip.errors import UsageError


def stack(dim: str, values: list[float], **attrs: str) -> xr.Dataset:
    levels = xr.DataArray(values, dims=dim, attrs=attrs)
    return xr.Dataset({"t": ((dim, "x"), np.zeros((len(values), 2)))}, {dim: levels})


@pytest.mark.parametrize(
    ("wanted", "found"), [("500", [500]), (850, [850]), ("850, 500hPa", [500, 850]), ([500.0, 850], [500, 850])]
)
def test_levels_are_chosen_in_the_order_of_the_data(wanted: str, found: list[float]) -> None:
    data = stack("pressure_level", [500, 700, 850], units="hPa")
    assert select_levels(data, wanted)["pressure_level"].values.tolist() == found


def test_pressures_are_converted() -> None:
    assert select_levels(stack("plev", [50000, 85000], units="Pa"), "850hPa")["plev"].values.tolist() == [85000]


@pytest.mark.parametrize(
    ("dim", "attrs"),
    [("isobaricInhPa", {}), ("level", {}), ("depth", {}), ("k", {"axis": "Z"}), ("s", {"positive": "up"})],
)
def test_a_vertical_dimension_is_known_by_its_name_or_attributes(dim: str, attrs: dict[str, str]) -> None:
    assert select_levels(stack(dim, [1, 2], **attrs), 2).sizes[dim] == 1


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("300", "there is no level 300 in 'level', which has 500, 850 hPa"),
        ("high", "'high' is no level: write numbers as 500,850"),
        ("5km", "'5km' is no level"),
    ],
)
def test_a_level_that_is_not_there_is_refused(wanted: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        select_levels(stack("level", [500, 850], units="hPa"), wanted)


def test_data_without_levels_are_refused() -> None:
    with pytest.raises(UsageError, match="the data have no levels"):
        select_levels(stack("member", [1, 2]), 1)

"""Where points lie on the source grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.data.axes import SMALLEST_ROW_WEIGHT, SourceAxis, source_grid
from nnzip.errors import UsageError
from tests.support.field_examples import START, index_grid, make_grid

Axis = NDArray[np.float64]
GLOBES: tuple[Axis, ...] = (
    np.linspace(0, 350, 36),
    np.linspace(-180, 170, 36),
    np.linspace(350, 0, 36),
    np.linspace(5, 355, 36),
    (np.arange(1440) * 0.25 - 180).astype(np.float32).astype(np.float64),
    np.round(np.arange(640) * 0.5625, 2),  # spacings that differ by rounding
)
REGIONS: tuple[Axis, ...] = (
    np.linspace(50, 10, 33),
    np.linspace(-10, 30, 17),
    np.array([0.0, 1.0, 3.0, 7.0, 7.5]),
    np.array([170.0, 180.0, 190.0]),
)


def longitude(values: Axis) -> SourceAxis:
    return source_grid(np.zeros(1), np.zeros(1), values, (True, True, True)).longitude


@pytest.mark.parametrize("values", [*GLOBES, *REGIONS], ids=lambda v: f"{v[0]:g}_{v[-1]:g}_{v.size}")
def test_source_points_are_vertices(values: Axis) -> None:
    axis = longitude(values)
    assert axis.positions(values).tolist() == list(range(values.size))
    assert axis.positions(values.astype(np.float32)).tolist() == list(range(values.size))
    for turns in (-360, 360, 720):
        assert axis.positions(values + turns).tolist() == list(range(values.size))


@pytest.mark.parametrize("values", GLOBES)
def test_a_globe_closes(values: Axis) -> None:
    axis = longitude(values)
    assert axis.periodic
    last, first = values[-1], values[0] + 360 * np.sign(values[-1] - values[0])
    beyond = axis.positions(np.array([last + 0.25 * (first - last), last + 0.75 * (first - last), first]))
    np.testing.assert_allclose(beyond, [values.size - 0.75, values.size - 0.25, 0])


@pytest.mark.parametrize(
    "values",
    [
        np.arange(35) * 10.0,
        np.arange(37) * 10.0,
        np.arange(3) * 120.0,
        np.array([0.0, 50, 200, 300]),
        np.arange(1440) * 0.2499,
        *REGIONS,
    ],
)
def test_a_region_does_not_close(values: Axis) -> None:
    assert not longitude(values).periodic


@given(
    st.lists(st.floats(0.01, 10), min_size=1, max_size=30),
    st.booleans(),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_positions_and_coordinates_are_inverse(steps: list[float], descending: bool, shares: list[float]) -> None:
    values = np.cumsum([-50.0, *steps]) * (-1 if descending else 1)
    grid = source_grid(values, values, values, (True, False, False))
    wanted = np.array(shares) * (values.size - 1)
    for axis in range(3):
        found = grid.axes[axis].positions(grid.coordinates(axis, wanted))
        np.testing.assert_allclose(found, wanted, atol=1e-2)
        np.testing.assert_allclose(grid.coordinates(axis, found), grid.coordinates(axis, wanted), atol=0.1)


@pytest.mark.parametrize("values", GLOBES)
def test_positions_and_coordinates_are_inverse_round_the_globe(values: Axis) -> None:
    grid = source_grid(np.zeros(1), np.zeros(1), values, (True, True, True))
    wanted = np.linspace(0, values.size, 97)[:-1]
    np.testing.assert_allclose(grid.longitude.positions(grid.coordinates(2, wanted)), wanted, atol=1e-2)


def test_points_between_rows_that_are_unevenly_spaced() -> None:
    axis = SourceAxis("latitude", np.array([10.0, 8.0, 4.0]), True)
    assert axis.positions(np.array([9.0, 6.0, 4.0])).tolist() == [0.5, 1.5, 2.0]


def test_poles_and_cell_edges_take_the_nearest_row() -> None:
    axis = SourceAxis("latitude", np.linspace(89.5, -89.5, 180), True)
    assert axis.positions(np.array([90.0, -90.0])).tolist() == [0.0, 179.0]


def test_regional_longitudes_in_another_convention() -> None:
    axis = longitude(np.array([170.0, 180.0, 190.0]))
    assert axis.positions(np.array([-175.0, 175.0, 535.0])).tolist() == [1.5, 0.5, 0.5]


@pytest.mark.parametrize("wanted", [70.3, -10.1, np.nan, np.inf])
def test_points_outside_are_refused(wanted: float) -> None:
    axis = SourceAxis("latitude", np.array([10.0, 30.0, 50.0]), True)
    with pytest.raises(UsageError, match=r"latitude .* outside .* 10 to 50"):
        axis.positions(np.array([20.0, wanted]))


def test_a_globe_refuses_what_is_no_number() -> None:
    with pytest.raises(UsageError, match="longitude nan"):
        longitude(GLOBES[0]).positions(np.array([np.nan]))


def test_a_single_value_answers_for_itself() -> None:
    axis = SourceAxis("latitude", np.array([45.0]), True)
    assert axis.positions(np.array([45.0, 45.00001])).tolist() == [0.0, 0.0]
    with pytest.raises(UsageError, match=r"latitude 45\.5 is not the archive's only latitude, 45"):
        axis.positions(np.array([45.5]))
    assert SourceAxis("time", np.array([0.0]), False).positions(np.array([9.0])).tolist() == [0.0]


def test_grids_know_their_shape_and_their_segments() -> None:
    grid = make_grid(6, 5, 8, whole_globe=True)
    assert grid.shape == (6, 5, 8)
    assert grid.periodic == (False, False, True)
    part = grid.times(2, 4)
    assert part.time.values.tolist() == [START + 7200, START + 10800]
    assert part.shape == (2, 5, 8)
    assert part.longitude is grid.longitude


def test_row_weights_follow_the_area() -> None:
    grid = make_grid(1, 181, 8, whole_globe=True)
    weights = grid.row_weights()
    assert weights[90] == 1
    assert weights[30] == pytest.approx(np.sqrt(np.cos(np.deg2rad(60))))
    assert weights[0] == weights[-1] == SMALLEST_ROW_WEIGHT
    assert (index_grid(1, 9, 9).row_weights() == 1).all()

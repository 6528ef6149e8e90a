"""Static maps and cycles: which a series can tell apart, and that planted ones are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnzip.data.axes import DAY_SECONDS, SourceGrid, source_grid
from nnzip.field import cycles
from tests.support.field_examples import START, index_grid, make_grid

ALL = tuple(range(len(cycles.NAMES)))


def series(times: int, step: float) -> SourceGrid:
    return make_grid(times, 4, 6, whole_globe=True, step=step)


@pytest.mark.parametrize(
    ("times", "step", "expected"),
    [
        (7, 3600.0, ()),
        (24, 3600.0, (0,)),  # a single day tells no cycle from its trend
        (72, 3600.0, (0, 1, 2, 3, 4)),
        (20, 6 * 3600.0, (0, 1, 2)),
        (20, 12 * 3600.0, (0,)),
        (800, DAY_SECONDS, (0, 5, 6)),
        (36, 30 * DAY_SECONDS, (0, 5, 6)),
        (9, 360 * DAY_SECONDS, (0,)),
    ],
)
def test_chosen_functions_can_be_told_apart(times: int, step: float, expected: tuple[int, ...]) -> None:
    grid = series(times, step)
    assert cycles.choose_cycles(grid) == expected
    assert cycles.choose_cycles(_reversed_in_time(grid)) == expected


def test_without_coordinates_there_is_the_static_map() -> None:
    grid = index_grid(100, 4, 6)
    assert cycles.choose_cycles(grid) == (0,)
    functions = cycles.basis((0,), grid.time.values, grid.longitude.values)
    assert torch.equal(functions, torch.ones(1, 100, 6))


def test_functions_follow_local_solar_time() -> None:
    seconds = np.array([0.0, 6, 12, 18]) * 3600
    functions = cycles.basis(ALL, seconds, np.array([0.0, 90.0]))
    assert functions.shape == (7, 4, 2)
    assert functions.dtype == torch.float32
    torch.testing.assert_close(functions[0], torch.ones(4, 2))
    torch.testing.assert_close(functions[1, :, 0], torch.tensor([1.0, 0, -1, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(functions[1, :, 1], torch.tensor([0.0, -1, 0, 1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(functions[2, :, 0], torch.tensor([0.0, 1, 0, -1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(functions[3, :, 0], torch.tensor([1.0, -1, 1, -1]), atol=1e-6, rtol=0)


def test_functions_of_today_and_of_longitudes_in_either_convention_agree() -> None:
    seconds = START + 3600 * np.arange(24.0)
    east, west = np.array([200.0, 350.0]), np.array([-160.0, -10.0])
    torch.testing.assert_close(cycles.basis(ALL, seconds, east), cycles.basis(ALL, seconds, west), atol=1e-5, rtol=0)


def test_no_functions() -> None:
    functions = cycles.basis((), np.zeros(3), np.zeros(4))
    assert functions.shape == (0, 3, 4)
    values = torch.randn(2, 3, 5, 4)
    maps = cycles.fit_maps(values, functions)
    assert maps.shape == (2, 0, 5, 4)
    assert not cycles.evaluate(maps, functions).any()


@pytest.mark.parametrize("step", [3600.0, 3 * 3600.0])
def test_planted_maps_are_found(step: float) -> None:
    grid = series(round(10 * DAY_SECONDS / step), step)
    chosen = cycles.choose_cycles(grid)
    functions = cycles.basis(chosen, grid.time.values, grid.longitude.values)
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn((2, len(chosen), 4, 6), generator=generator)
    found = cycles.fit_maps(cycles.evaluate(maps, functions), functions)
    torch.testing.assert_close(found, maps, rtol=0, atol=0.02)  # the ridge shrinks them by up to 0.2 %


def test_noise_is_left_over() -> None:
    """What remains after the fit is the noise, whatever static map and diurnal cycle there were."""
    grid = series(240, 3600.0)
    functions = cycles.basis(cycles.choose_cycles(grid), grid.time.values, grid.longitude.values)
    generator = torch.Generator().manual_seed(1)
    maps = 10 * torch.randn((1, len(functions), 4, 6), generator=generator)
    noise = torch.randn((1, 240, 4, 6), generator=generator)
    values = cycles.evaluate(maps, functions) + noise
    remaining = values - cycles.evaluate(cycles.fit_maps(values, functions), functions)
    assert float(remaining.std()) == pytest.approx(float(noise.std()), rel=0.03)


def test_functions_that_the_times_confuse_stay_finite() -> None:
    """All times at the same hour: the diurnal cycle and the static map are the same thing."""
    seconds = START + DAY_SECONDS * np.arange(20.0)
    functions = cycles.basis((0, 1, 2), seconds, np.array([0.0, 45.0]))
    values = torch.full((1, 20, 3, 2), 5.0)
    maps = cycles.fit_maps(values, functions)
    assert float(maps.abs().max()) < 6
    torch.testing.assert_close(cycles.evaluate(maps, functions), values, rtol=0, atol=0.05)


def _reversed_in_time(grid: SourceGrid) -> SourceGrid:
    return source_grid(grid.time.values[::-1], grid.latitude.values, grid.longitude.values, (True, True, True))

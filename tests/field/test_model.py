"""A decoded field as a function: on the vertices, between them, across the seam, and inside its range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid
from nnzip.field import cycles, model, network
from nnzip.field.model import LEVELS, Field, Scaling, feature_levels, network_inputs
from nnzip.transform import wavelet
from tests.support.field_examples import index_grid, make_grid, vertices

WIDE = 1e9


def make_field(grid: SourceGrid, channels: int = 2, *, with_network: bool = False, seed: int = 0) -> Field:
    """A field with random weights."""
    generator = torch.Generator().manual_seed(seed)
    chosen = cycles.choose_cycles(grid)
    levels = LEVELS if with_network else 1
    shapes = network.layer_shapes(network_inputs(channels, chosen, grid), channels, (16,))
    ones = np.ones(channels)
    return Field(
        grid=grid,
        scaling=Scaling(280 * ones, 5 * ones, -WIDE * ones, WIDE * ones),
        features=torch.randn((channels, levels, *grid.shape), generator=generator),
        cycles=chosen,
        maps=torch.randn((channels, len(chosen), *grid.shape[1:]), generator=generator),
        weights=tuple(0.1 * torch.randn(s, generator=generator) for s in shapes) if with_network else (),
    )


def plain(field: Field) -> NDArray[np.float64]:
    """Values on the vertices, straight from the definition."""
    grid = field.grid
    functions = cycles.basis(field.cycles, grid.time.values, grid.longitude.values)
    base = field.features[:, 0] + torch.einsum("btx,cbyx->ctyx", functions, field.maps)
    if field.weights:
        extra = [torch.ones(grid.shape)]
        if grid.latitude.geographic:
            sine = torch.from_numpy(np.sin(np.deg2rad(grid.latitude.values))).float()
            extra.append(sine[None, :, None].expand(grid.shape))
        extra += [functions[field.cycles.index(i)][:, None].expand(grid.shape) for i in (1, 2) if i in field.cycles]
        inputs = torch.cat([base, field.features[:, 1:].flatten(0, 1), torch.stack(extra)])
        base = base + network.forward(field.weights, inputs.flatten(1)).reshape(base.shape)
    return base.double().numpy() * 5 + 280


GRIDS = {
    "globe": make_grid(60, 5, 8, whole_globe=True),
    "region": make_grid(12, 6, 7),
    "single time": make_grid(1, 5, 9),
    "indices": index_grid(9, 4, 5),
    "tiny": index_grid(1, 2, 2),
}


@pytest.mark.parametrize("with_network", [False, True])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_the_source_grid_is_decoded_by_definition(grid: SourceGrid, with_network: bool) -> None:
    field = make_field(grid, with_network=with_network)
    np.testing.assert_allclose(field.evaluate(*vertices(grid)), plain(field), rtol=0, atol=1e-3)


@pytest.mark.parametrize("with_network", [False, True])
def test_a_part_is_the_same_as_in_the_whole(with_network: bool) -> None:
    grid = GRIDS["globe"]
    field = make_field(grid, with_network=with_network)
    times, rows, columns = np.array([7.0, 3.0]), np.array([4.0]), np.array([7.0, 0.0, 5.0])
    whole = field.evaluate(*vertices(grid))
    expected = whole[:, [7, 3]][:, :, [4]][:, :, :, [7, 0, 5]]
    np.testing.assert_allclose(field.evaluate(times, rows, columns), expected, rtol=0, atol=1e-3)


def test_blocks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = GRIDS["globe"]
    field = make_field(grid, with_network=True)
    whole = field.evaluate(*vertices(grid))
    monkeypatch.setattr(model, "_BLOCK_POINTS", 100)
    np.testing.assert_allclose(field.evaluate(*vertices(grid)), whole, rtol=0, atol=1e-3)


def test_without_a_network_it_is_linear_between_vertices() -> None:
    grid = index_grid(4, 5, 6)
    field = make_field(grid)
    corners = plain(field)[:, 1:3, 2:4, 3:5]
    found = field.evaluate(np.array([1.25]), np.array([2.5]), np.array([3.1]))[:, 0, 0, 0]
    weights = np.einsum("i,j,k->ijk", [0.75, 0.25], [0.5, 0.5], [0.9, 0.1])
    np.testing.assert_allclose(found, (corners * weights).sum(axis=(1, 2, 3)), rtol=0, atol=1e-3)


@given(st.floats(0, 4), st.floats(0, 59))
@settings(max_examples=20, deadline=None)
def test_there_is_no_seam(row: float, time: float) -> None:
    """Just west and just east of the first meridian, and all the way there, values are close together."""
    grid = GRIDS["globe"]
    field = make_field(grid, with_network=True)
    columns = np.array([8 - 1e-5, 0.0, 1e-5])
    around = field.evaluate(np.array([time]), np.array([row]), columns)
    np.testing.assert_allclose(around[..., [0, 2]], around[..., [1, 1]], rtol=0, atol=2e-3)
    steps = np.linspace(6.5, 9.5, 301)
    path = field.evaluate(np.array([time]), np.array([row]), steps % 8)
    assert np.abs(np.diff(path, axis=-1)).max() < 0.01 * 300  # no jump: 0.01 of a cell at a time


def test_the_seam_is_halfway_between_last_and_first() -> None:
    grid = make_grid(1, 3, 8, whole_globe=True)
    field = make_field(grid)
    found = field.evaluate(np.zeros(1), np.arange(3.0), np.array([7.5]))[..., 0]
    np.testing.assert_allclose(found, plain(field)[..., [7, 0]].mean(axis=-1), rtol=0, atol=1e-3)


@pytest.mark.parametrize("wild", [1e30, torch.nan, torch.inf, -torch.inf])
def test_values_never_leave_the_stored_range(wild: float) -> None:
    field = make_field(GRIDS["region"])
    field.features[0, 0, 3, 2:4, 1] = wild
    narrow = replace(field.scaling, minimum=np.array([275.0, 0.0]), maximum=np.array([285.0, 281.0]))
    decoded = replace(field, scaling=narrow).evaluate(*vertices(field.grid))
    assert (decoded[0] >= 275).all()
    assert (decoded[0] <= 285).all()
    assert (decoded[1] <= 281).all()


def test_nothing_may_be_asked_for() -> None:
    field = make_field(GRIDS["region"], with_network=True)
    none, one = np.zeros(0), np.zeros(1)
    assert field.evaluate(none, one, one).shape == (2, 0, 1, 1)
    assert field.evaluate(one, none, one).shape == (2, 1, 0, 1)


def test_the_network_sees_what_it_is_made_for() -> None:
    for grid in GRIDS.values():
        field = make_field(grid, with_network=True)
        base, inputs = field.network_view(*vertices(grid))
        assert inputs.shape == (network_inputs(2, field.cycles, grid), base[0].numel())
        assert make_field(grid).network_view(*vertices(grid))[1].shape[0] == 0


def test_levels_add_up_to_the_whole() -> None:
    """Level 0 is everything; without the detail of levels 1 and 2 remains what coarser bands give."""
    shape, depths, closed = (8, 20, 32), (1, 2, 3), (False, False, True)
    coefficients = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weights = torch.linspace(0.5, 1, 20)
    levels = torch.stack(list(feature_levels(coefficients.clone(), depths, closed, weights, 3))) * weights[:, None]
    assert levels.shape == (3, *shape)
    torch.testing.assert_close(levels[0], wavelet.inverse(coefficients, depths, closed))
    coarse = coefficients.clone()
    coarse[4:] = 0
    coarse[:, 5:] = 0
    coarse[:, :, 8:] = 0
    expected = wavelet.inverse(coarse, depths, closed)
    torch.testing.assert_close(levels[0] - levels[1] - levels[2], expected, rtol=0, atol=1e-5)
    assert torch.equal(next(feature_levels(coefficients, depths, closed, weights, 1)) * weights[:, None], levels[0])

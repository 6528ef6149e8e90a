"""From a transformed segment to a payload of a given size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid
from nnzip.field.encoder import choose_transform, encode_segment, quantise_segment
from nnzip.field.payload import Network, read_field
from nnzip.field.preparation import Transformed, prepare, transform
from nnzip.transform.rates import LARGEST_STEP, SMALLEST_STEP
from tests.support.field_examples import make_grid, smooth, vertices

GRID = make_grid(12, 20, 24)
CPU = torch.device("cpu")


def transformed(values: NDArray[np.floating], grid: SourceGrid = GRID) -> Transformed:
    return transform(prepare(values, grid, [len(values)]), with_cycles=False)


def encode(source: Transformed, budget: float, start: float = 0.5) -> bytes:
    reports: list[float] = []
    found = encode_segment(source, budget, Network(), reports.append, fixed=90, start=start)
    assert reports == sorted(reports)
    assert found.header.step == pytest.approx(found.header.step)
    assert sum(found.header.streams) == pytest.approx(found.quantised.bytes, rel=0.01, abs=8)
    return found.data


@pytest.mark.parametrize("start", [SMALLEST_STEP, 0.3, LARGEST_STEP])
@pytest.mark.parametrize("budget", [500, 2000, 9000])
def test_a_budget_is_filled(budget: float, start: float) -> None:
    size = len(encode(transformed(smooth((2, *GRID.shape))), budget, start))
    assert 0.98 * budget <= size <= budget


def test_the_smallest_and_the_largest_payload() -> None:
    source = transformed(smooth((1, *GRID.shape)))
    smallest, largest = encode(source, 0), encode(source, 1e9)
    assert len(smallest) < 120
    assert len(encode(source, 50)) == len(smallest)
    assert len(largest) > 8000
    decoded = read_field(largest, GRID, 1, CPU).evaluate(*vertices(GRID))
    np.testing.assert_allclose(decoded[0], smooth((1, *GRID.shape))[0], rtol=0, atol=1e-3)


def test_constants_take_no_coefficients() -> None:
    source = transformed(np.full((1, *GRID.shape), 7.0, dtype=np.float32))
    assert len(encode(source, 1000)) < 120
    assert not quantise_segment(source, 0.1).channels[0].coefficients.any()


def test_channels_lend_their_context_to_the_next_one_of_their_variable() -> None:
    level = smooth((1, *GRID.shape))
    values = np.concatenate([level, level + 0.1 * smooth((1, *GRID.shape), 1)])
    alone = transform(prepare(values, GRID, [1, 1]), with_cycles=False)
    together = transform(prepare(values, GRID, [2]), with_cycles=False)
    assert quantise_segment(together, 0.1).bytes < 0.97 * quantise_segment(alone, 0.1).bytes


def test_the_time_axis_is_transformed_only_where_it_pays() -> None:
    slow = smooth((1, *GRID.shape))
    unrelated = np.concatenate([smooth((1, 1, 20, 24), seed) for seed in range(12)], axis=1)
    assert choose_transform(transformed(slow), 0.1).depths[0] > 0
    assert choose_transform(transformed(unrelated), 0.1).depths[0] == 0


def test_a_diurnal_cycle_is_noticed() -> None:
    grid = make_grid(96, 12, 16, whole_globe=True)
    hours = 2 * np.pi * (grid.time.values[:, None, None] / 86400 + grid.longitude.values / 360)
    coast = np.random.default_rng(0).normal(size=(1, 1, 12, 16))
    values = 0.2 * smooth((1, *grid.shape)) + 5 * coast * np.cos(hours)
    assert choose_transform(transformed(values.astype(np.float32), grid), 0.1).cycles == (0, 1, 2, 3, 4)
    assert choose_transform(transformed(smooth((1, *grid.shape)), grid), 0.1).cycles == ()

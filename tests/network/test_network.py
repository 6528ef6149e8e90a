"""The hash grid, the analytic inputs and the whole network against a straightforward evaluation, point by point."""

from __future__ import annotations

from itertools import product
from math import ceil, floor

import numpy as np
import pytest

from nnzip.network.grids import Floats, HashGrid, touched
from nnzip.network.inputs import PAIRS, SINGLE, count, inputs
from nnzip.network.network import Architecture, Domain, Network

DAY = 86400.0


def plain_features(grid: HashGrid, tables: list[Floats], point: list[float]) -> list[float]:
    """Features of a point of the unit cube from tiny-cuda-nn's tables [entry, feature], as its kernel has them."""
    found: list[float] = []
    for level, table in enumerate(tables):
        scale = np.float32(grid.base * grid.growth**level - 1)
        resolution, size = ceil(scale) + 1, len(table)
        cells = [floor(x * scale + 0.5) for x in point]
        shares = [x * scale + 0.5 - cell for x, cell in zip(point, cells, strict=True)]
        total = np.zeros(grid.features)
        for corner in product((0, 1), repeat=grid.axes):
            vertex = [cell + bit for cell, bit in zip(cells, corner, strict=True)]
            weight = np.prod([share if bit else 1 - share for share, bit in zip(shares, corner, strict=True)])
            if resolution**grid.axes <= size:
                index = sum(v * resolution**place for place, v in enumerate(vertex))
            else:
                index = 0
                for v, prime in zip(vertex, (1, 2654435761, 805459861), strict=False):
                    index ^= v * prime % 2**32
            total += weight * table[index % size]
        found += total.tolist()
    return found


def example(log2_size: int) -> Architecture:
    domain = Domain((10.0, 40.0, 0.0), (25.0, 30.0, 4 * DAY), (0.6, 0.4, 0.65), (15, 10, 96))
    static = HashGrid(2, 3, 2, log2_size, 7)
    return Architecture(domain, static, HashGrid(3, 3, 2, log2_size, 7), SINGLE + PAIRS, (16, 16), 3)


def filled(design: Architecture, dice: np.random.Generator) -> Network:
    features = tuple(
        dice.standard_normal((grid.features, *design.shape(grid, level))).astype(np.float32)
        for grid, level in design.levels
    )
    weights = tuple((dice.standard_normal((out, into)) / 4).astype(np.float32) for into, out in design.layers)
    return Network(design, features, weights, np.array([1, 2, 3], "f4"), np.array([1, 2, 0.5], "f4"))


def full_table(design: Architecture, number: int, features: Floats) -> Floats:
    """A level as tiny-cuda-nn holds it, [entry, feature]; vertices that the record does not touch are not a number."""
    grid, level = design.levels[number]
    if level.hashed:
        return features.T
    table = np.full((level.size, grid.features), np.nan, dtype=np.float32)
    shape = features.shape[1:]
    for place in np.ndindex(*shape):
        vertex = [at + 1 for at in reversed(place)]
        table[sum(v * level.resolution**axis for axis, v in enumerate(vertex))] = features[(slice(None), *place)]
    return table


@pytest.mark.parametrize("log2_size", [20, 9])
def test_values_are_those_of_every_point_by_itself(log2_size: int) -> None:
    dice = np.random.default_rng(1)
    design = example(log2_size)
    assert any(level.hashed for _, level in design.levels) == (log2_size == 9)
    network = filled(design, dice)
    time = np.sort(dice.uniform(0, 4 * DAY, 5))
    latitude, longitude = np.linspace(40, 30, 7), np.sort(dice.uniform(10, 25, 6))
    found = network.values(time, latitude, longitude)
    tables = [full_table(design, number, features) for number, features in enumerate(network.features)]
    for t, y, x in product(range(5), range(7), range(6)):
        point = [longitude[x], latitude[y], time[t]]
        encoded: list[float] = []
        for number, (grid, level) in enumerate(design.levels):
            one = HashGrid(grid.axes, 1, grid.features, grid.log2_size, round(level.scale) + 1)
            unit = [
                (design.domain.positions(axis, np.array([point[axis]]), level)[0] - 0.5) / level.scale
                for axis in range(grid.axes)
            ]
            encoded += plain_features(one, [tables[number]], unit)
        share = np.array([time[t] / (4 * DAY)])
        parts = inputs(design.inputs, time[t : t + 1], latitude[y : y + 1], longitude[x : x + 1], share)
        hidden = np.array([*encoded, *(float(part.squeeze()) for part in parts)])
        for layer in network.weights[:-1]:
            hidden = np.maximum(layer @ hidden, 0)
        expected = network.weights[-1] @ hidden * network.scale + network.mean
        np.testing.assert_allclose(found[:, t, y, x], expected, rtol=1e-4, atol=1e-4)


def test_blocks_and_parts_of_outputs_do_not_change_values() -> None:
    network = filled(example(20), np.random.default_rng(2))
    axes = np.linspace(0, 4 * DAY, 97), np.linspace(40, 30, 41), np.linspace(10, 25, 61)
    whole = network.values(*axes)
    np.testing.assert_allclose(network.values(*axes, slice(1, 2)), whole[1:2], rtol=1e-6)
    some = network.values(axes[0][50:53], axes[1][7:20], axes[2][60:])
    np.testing.assert_allclose(some, whole[:, 50:53, 7:20, 60:], rtol=1e-4, atol=1e-4)
    points = network.points(axes[0][[3, 90]], axes[1][[0, 40]], axes[2][[60, 1]])
    np.testing.assert_allclose(points, whole[:, [3, 90], [0, 40], [60, 1]], rtol=1e-4, atol=1e-4)


def test_values_are_continuous_between_points() -> None:
    network = filled(example(20), np.random.default_rng(3))
    time = np.linspace(DAY, DAY + 60, 3)
    values = network.values(time, np.array([35.0]), np.array([15.0, 15.0001]))
    assert np.ptp(values, axis=(1, 3)).max() < 0.05


def test_tables_are_tiny_cuda_nn_s() -> None:
    """Sizes by hand: 2^l * 16 - 1 cells, one more vertex, rounded up to 8, at most 2^14 entries."""
    grid = HashGrid(3, 4, 2, 14, 16)
    assert [level.resolution for level in grid.table] == [16, 32, 64, 128]
    assert [level.size for level in grid.table] == [4096, 16384, 16384, 16384]
    assert [level.hashed for level in grid.table] == [False, True, True, True]
    assert HashGrid(2, 1, 2, 14, 5).table[0].size == 32
    hashed = HashGrid(3, 2, 2, 14, 16).table[1]
    vertex = [np.array([7]), np.array([11]), np.array([13])]
    expected = (7 ^ (11 * 2654435761 % 2**32) ^ (13 * 805459861 % 2**32)) % 16384
    assert hashed.index(vertex).item() == expected


def test_a_level_as_fine_as_the_data_has_a_vertex_for_each_point() -> None:
    assert touched(10.0) == 11
    assert touched(10.5) == 12
    assert touched(0.0) == 2


def test_the_sun_is_high_at_noon_and_down_at_midnight() -> None:
    noon = np.array([171 * DAY + DAY / 2])  # 21 June at Greenwich
    high, low = (inputs(("sun",), noon, np.array([23.44]), np.array([x]), np.zeros(1))[0].item() for x in (0.0, 180.0))
    assert high > 0.999
    assert low == 0
    assert count(SINGLE + PAIRS) == 12

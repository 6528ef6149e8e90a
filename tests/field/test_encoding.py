"""Grid encoding against a plain evaluation of tiny-cuda-nn's arithmetic, one point and eight corners at a time."""

from __future__ import annotations

from itertools import product
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.field.encoding import GridLevel, flat_table, inputs_for, interpolate, level_for

OPEN = (False, False, False)


def entry_of(vertex: tuple[int, ...], resolution: int, entries: int) -> int:
    """grid_index() and coherent_prime_hash() of tiny-cuda-nn's grid.h in Python integers."""
    index, stride = 0, 1
    for position in vertex:
        if stride > entries:
            break
        index += position * stride
        stride *= resolution
    if entries < stride:
        index = 0
        for position, prime in zip(vertex, (1, 2654435761, 805459861, 3674653429), strict=False):
            index ^= (position * prime) & 0xFFFFFFFF
    return index % entries


def encode(point: tuple[float, ...], table: NDArray[np.float64], resolution: int) -> NDArray[np.float64]:
    """kernel_grid() for one point of the unit cube: features of all corners, weighted linearly."""
    scale = resolution - 1.0
    positions = [x * scale + 0.5 for x in point]
    cells = [floor(position) for position in positions]
    total = np.zeros(table.shape[1])
    for corner in product((0, 1), repeat=len(point)):
        weight = 1.0
        for position, cell, side in zip(positions, cells, corner, strict=True):
            weight *= position - cell if side else 1 - (position - cell)
        vertex = tuple(cell + side for cell, side in zip(cells, corner, strict=True))
        total += weight * table[entry_of(vertex, resolution, len(table))]
    return total


def on_product_grid(
    axes: list[NDArray[np.float64]], table: NDArray[np.float64], level: GridLevel
) -> NDArray[np.float64]:
    """`encode` at every combination of positions along (time,) lat, lon: [feature, ...]."""
    inputs = [inputs_for(positions, level) for positions in axes]
    found = np.empty((table.shape[1], *(len(positions) for positions in axes)))
    for index in np.ndindex(found.shape[1:]):
        point = tuple(float(axis[i]) for axis, i in zip(inputs, index, strict=True))
        found[(slice(None), *index)] = encode(point[::-1], table, level.resolution)
    return found


def random(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def positions_on(sizes: tuple[int, ...], count: int = 4) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(4)
    return [np.append(rng.uniform(0, size - 1, count), [0.0, size - 1.0]) for size in sizes]


def interpolated(features: torch.Tensor, axes: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    times = axes[0] if len(axes) == 3 else None
    return np.asarray(interpolate(features, times, axes[-2], axes[-1], OPEN).numpy())


@pytest.mark.parametrize("sizes", [(5, 7), (9, 4), (4, 5, 7), (2, 9, 3), (1, 2, 2)])
def test_a_dense_level_is_tiny_cuda_nns(sizes: tuple[int, ...]) -> None:
    features = random((2, *sizes))
    level = level_for(sizes, 19)
    assert not level.hashed
    axes = positions_on(sizes)
    expected = on_product_grid(axes, flat_table(features, level).double().numpy(), level)
    np.testing.assert_allclose(interpolated(features, axes), expected, atol=2e-5)


@pytest.mark.parametrize("sizes", [(9, 8), (6, 7, 8)])
def test_a_hashed_level_is_tiny_cuda_nns(sizes: tuple[int, ...]) -> None:
    """Features that come from a hash table: vertices that share an entry agree."""
    level = level_for(sizes, 6)
    assert level.hashed
    table = random((level.entries, 2))
    vertices = np.stack(np.meshgrid(*(np.arange(1, n + 1) for n in sizes), indexing="ij"), axis=-1)[..., ::-1]
    features = table[torch.from_numpy(level.index(vertices))].movedim(-1, 0).contiguous()
    axes = positions_on(sizes)
    expected = on_product_grid(axes, table.double().numpy(), level)
    np.testing.assert_allclose(interpolated(features, axes), expected, atol=2e-5)
    made = flat_table(features, level)
    touched = np.unique(level.index(vertices))
    torch.testing.assert_close(made[touched], table[touched])


def test_shared_entries_hold_the_mean() -> None:
    level = GridLevel(4, 3, 2)
    features = random((1, 2, 2))
    entries = [entry_of((column + 1, row + 1), 4, 8) for row in range(2) for column in range(2)]
    made = flat_table(features, level).flatten()
    for entry in set(entries):
        members = [value for value, e in zip(features.flatten().tolist(), entries, strict=True) if e == entry]
        assert float(made[entry]) == pytest.approx(np.mean(members))


@given(st.integers(2, 70), st.integers(3, 14), st.integers(2, 3), st.data())
@settings(max_examples=100, deadline=None)
def test_entries_are_tiny_cuda_nns(resolution: int, log2_size: int, dimensions: int, data: st.DataObject) -> None:
    level = GridLevel(resolution, log2_size, dimensions)
    assert level.entries == min(-(-(resolution**dimensions) // 8) * 8, 1 << log2_size)
    vertex = tuple(data.draw(st.integers(0, resolution - 1)) for _ in range(dimensions))
    assert int(level.index(np.array([vertex]))[0]) == entry_of(vertex, resolution, level.entries)


def test_scales_follow_tiny_cuda_nn() -> None:
    """Level 0 of base resolution n: scale n - 1, and ceil(scale) + 1 = n vertices."""
    level = GridLevel(16, 19, 3)
    assert level.scale == 15.0
    assert inputs_for(np.array([0.0, 14.5]), level) == pytest.approx([0.5 / 15, 1.0])


def test_vertices_are_copied_exactly() -> None:
    features = random((2, 3, 4, 5))
    whole = [np.arange(n, dtype=np.float64) for n in (3, 4, 5)]
    np.testing.assert_array_equal(interpolated(features, whole), features.numpy())
    some = [np.array([2.0, 0.0]), np.array([1.0]), np.array([4.0, 4.0, 1.0])]
    expected = features.numpy()[:, [2, 0]][:, :, [1]][:, :, :, [4, 4, 1]]
    np.testing.assert_array_equal(interpolated(features, some), expected)


def test_a_closed_axis_goes_from_the_last_vertex_to_the_first() -> None:
    features = random((1, 2, 3, 8))
    closing = torch.cat([features, features[..., :1]], dim=-1)
    times, rows = np.array([0.5]), np.array([0.0, 1.3])
    columns = np.array([6.5, 7.0, 7.25, 7.999])
    closed = interpolate(features, times, rows, columns, (False, False, True))
    torch.testing.assert_close(closed, interpolate(closing, times, rows, columns, OPEN))


def test_leading_dimensions_are_kept_and_nothing_may_be_asked() -> None:
    features = random((3, 2, 4, 5, 6))
    none = np.zeros(0)
    found = interpolate(features, np.array([1.5]), np.array([0.0]), none, OPEN)
    assert found.shape == (3, 2, 1, 1, 0)
    maps = interpolate(features[:, :, 0], None, np.array([0.5]), np.array([2.0]), OPEN)
    torch.testing.assert_close(maps[..., 0, 0], features[:, :, 0, :2, 2].mean(dim=-1))

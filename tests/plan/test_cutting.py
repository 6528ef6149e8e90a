"""Cutting: every value lies in one tile, tiles are small enough, and numbers, boxes and slabs agree."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.errors import UsageError
from nnzip.plan import cutting
from nnzip.plan.cutting import Box, Limits, Shape, Sizes

SHAPES = st.tuples(st.integers(1, 200), st.integers(1, 9000), st.integers(2, 1801), st.integers(2, 3600))
SIZES = st.tuples(*(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple) for _ in range(4)))
LIMITS = st.tuples(*(st.one_of(st.none(), st.integers(1, 300)) for _ in range(4)))


@settings(max_examples=60, deadline=None)
@given(SHAPES, LIMITS)
def test_pieces_cover_the_axes_within_the_limits(shape: Shape, limits: Limits) -> None:
    sizes = cutting.cut(shape, limits)
    assert tuple(map(sum, sizes)) == shape
    assert prod(map(max, sizes)) <= (2 if cutting.tile_count(sizes) == 1 else 1) * cutting.TILE_VALUES
    for axis, (lengths, limit) in enumerate(zip(sizes, limits, strict=True)):
        assert max(lengths) <= (limit or max(lengths))
        if axis > 1 and (limit or 8) >= 8:
            assert not any(length % 8 for length in lengths[:-1])  # previews of tiles join
        else:
            assert max(lengths) - min(lengths) <= 1
    assert limits[1] is not None or max(sizes[1]) * shape[2] * shape[3] <= max(1 << 26, shape[2] * shape[3])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 240, 33, 49), (1, 240, 33, 49)),  # small: one tile
        ((1, 1, 1801, 3600), (1, 1, 1801, 3600)),  # 2^22 to 2^23 values: one tile
        ((1, 48, 721, 1440), (1, 48, 248, 288)),  # maps are cut before the record is
        ((8, 48, 121, 240), (8, 48, 121, 80)),
        ((37, 40, 121, 240), (37, 40, 64, 40)),  # levels stay together
        ((1, 8760, 721, 1440), (1, 64, 248, 240)),  # a map decodes 64 times as much as it holds
        ((1, 8760, 33, 49), (1, 2190, 33, 49)),
    ],
)
def test_defaults(shape: Shape, expected: tuple[int, ...]) -> None:
    assert tuple(map(max, cutting.cut(shape))) == expected


@settings(max_examples=30, deadline=None)
@given(st.tuples(*(st.integers(1, 9) for _ in range(4))), st.integers(1, 40))
def test_no_cheaper_cut(shape: Shape, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "TILE_VALUES", most)
        patch.setattr(cutting, "_ALIGNED", 1)
        sizes = cutting.cut(shape)

    def cost(counts: tuple[int, ...]) -> float:
        return sum(w * (k - 1) / n for w, k, n in zip(cutting._WEIGHTS, counts, shape, strict=True))

    if prod(shape) <= 2 * most:
        assert cutting.tile_count(sizes) == 1
        return
    every = np.ndindex(*shape)
    fits = [k for k in ([i + 1 for i in index] for index in every)
            if prod(-(-n // c) for n, c in zip(shape, k, strict=True)) <= most]  # fmt: skip
    assert cost(tuple(map(len, sizes))) == pytest.approx(min(cost(tuple(k)) for k in fits))


def test_a_cut_of_a_long_record_takes_no_time() -> None:
    sizes = cutting.cut((137, 87600, 1801, 3600))  # a search over every way to cut would not end
    assert prod(map(max, sizes)) <= cutting.TILE_VALUES


@given(SIZES)
def test_numbers_boxes_and_slabs(sizes: Sizes) -> None:
    shape = tuple(map(sum, sizes))
    numbers = np.full(shape, -1)
    for number in range(cutting.tile_count(sizes)):
        box = cutting.tile_box(sizes, number)
        assert numbers[box.slices].shape == box.shape
        assert (numbers[box.slices] == -1).all()
        numbers[box.slices] = number
    assert (numbers >= 0).all()
    firsts = [numbers[:, time].min() for time in range(shape[1])]
    assert firsts == sorted(firsts)  # time is outermost
    with pytest.raises(IndexError):
        cutting.tile_box(sizes, cutting.tile_count(sizes))


@given(SIZES, st.data())
def test_tiles_touched_by_a_selection(sizes: Sizes, data: st.DataObject) -> None:
    shape = tuple(map(sum, sizes))
    numbers = np.empty(shape, dtype=int)
    for number in range(cutting.tile_count(sizes)):
        numbers[cutting.tile_box(sizes, number).slices] = number
    chosen = [data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=4)) for size in shape]
    chosen[1] = list(range(min(chosen[1]), max(chosen[1]) + 1))
    expected = np.unique(numbers[np.ix_(*chosen)]).tolist()
    selection: list[Iterable[int]] = [
        np.array(chosen[0]),
        range(chosen[1][0], chosen[1][-1] + 1),
        chosen[2],
        np.array(chosen[3]),
    ]
    assert cutting.tiles_touched(sizes, selection) == expected
    assert cutting.tiles_touched(sizes, [[], *selection[1:]]) == []


@given(SIZES, st.integers(1, 3000))
def test_slabs_hold_every_tile_once(sizes: Sizes, most: int) -> None:
    found = list(cutting.slabs(sizes, most))
    tile = prod(map(max, sizes))
    for box, numbers in found:
        assert prod(box.shape) <= max(most, tile)
        assert prod(box.shape) == sum(prod(cutting.tile_box(sizes, number).shape) for number in numbers)
        for number in numbers:
            inside = cutting.tile_box(sizes, number).from_start(box)
            assert all(0 <= part.start < part.stop <= len(axis) for part, axis in zip(inside, box, strict=True))
    assert sorted(number for _, numbers in found for number in numbers) == list(range(cutting.tile_count(sizes)))


def test_slabs_read_maps_whole_while_they_fit() -> None:
    sizes = ((2, 2), (5, 5), (3, 3), (4, 4))
    assert next(cutting.slabs(sizes, 500))[0] == Box(range(2), range(5), range(6), range(8))
    assert next(cutting.slabs(sizes, 1000))[0].shape == (4, 5, 6, 8)
    assert next(cutting.slabs(sizes, 100))[0].shape == (2, 5, 3, 4)
    assert next(cutting.slabs(sizes, 10**6))[0] == cutting.whole((4, 10, 6, 8))


@given(SIZES)
def test_brief_sizes(sizes: Sizes) -> None:
    shape = tuple(map(sum, sizes))
    short = cutting.brief(sizes) or ((),) * 4
    assert tuple(lengths or (size,) for lengths, size in zip(short, shape, strict=True)) == sizes
    if cutting.tile_count(sizes) == 1:
        assert cutting.brief(sizes) == ()


def test_wishes_by_dimension_or_axis() -> None:
    levels = {"number": 5, "level": 37}
    where = ("valid_time", "lat", "lon")
    assert cutting.axis_limits({}, levels, *where) == (None, None, None, None)
    assert cutting.axis_limits({"time": 48, "lat": 3}, levels, *where) == (None, 48, 3, None)
    assert cutting.axis_limits({"valid_time": 4, "time": 48, "longitude": 2}, {}, *where) == (None, 4, None, 2)
    assert cutting.axis_limits({"level": 10}, levels, *where)[0] == 10
    assert cutting.axis_limits({"number": 2}, levels, *where)[0] == 74
    assert cutting.axis_limits({"level": 99, "number": 2}, levels, *where)[0] == 74
    assert cutting.axis_limits({"level": 10, "number": 2}, levels, *where)[0] == 10
    cutting.check_tile({"level": 3, "time": 2}, ["level", "lat", "lon"])
    with pytest.raises(
        UsageError, match=r"--tile hight=3: no compressed variable has a dimension 'hight'; there are l"
    ):
        cutting.check_tile({"hight": 3}, ["level", "lat", "lon"])

"""Maxima and minima of calendar blocks stay where they are, however the record is cut into parts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.data.times import block_numbers
from nnzip.plan.cutting import Box, Sizes, cut, tile_box, tile_count, whole
from nnzip.promises.intervals import Intervals
from nnzip.promises.kept import Kept
from nnzip.promises.peaks import BlockPeaks

Values = NDArray[np.float64]
CELLS = (2, 3)


def record(kind: str, times: int, seed: int) -> Values:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(2, times, *CELLS))
    if kind == "ties":
        values = np.round(values)
    elif kind == "dry":
        values = np.maximum(values - 1, 0)
    elif kind == "missing":
        values[generator.random(values.shape) < 0.4] = np.nan
        values[0, :, 0, 0] = np.nan
    return values.astype(np.float32).astype(np.float64)


def first_peaks(values: Values, blocks: NDArray[np.int64], largest: bool) -> list[NDArray[np.int64]]:
    """Place of the first extreme of every block and cell; -1 without values."""
    sign = 1 if largest else -1
    found = []
    for block in np.unique(blocks):
        part = np.where(np.isnan(values), -np.inf, sign * values)[:, blocks == block]
        found.append(np.where(np.isfinite(part).any(axis=1), part.argmax(axis=1), -1))
    return found


def boxes(sizes: Sizes) -> list[Box]:
    return [tile_box(sizes, number) for number in range(tile_count(sizes))]


def peaks_of(values: Values, blocks: NDArray[np.int64], largest: bool) -> BlockPeaks:
    channels, times, rows, columns = values.shape
    shape = (channels, times, rows, columns)
    return BlockPeaks(blocks, lambda *box: values[Box(*box).slices], shape, largest, "float32")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["noise", "ties", "dry", "missing"]),
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.data(),
    st.booleans(),
    st.sampled_from([0.0, 1e-5, 0.01]),
    st.sampled_from([0.1, 1.0]),
    st.integers(0, 10_000),
)
def test_any_value_inside_the_intervals_keeps_the_peaks(
    kind: str,
    lengths: list[int],
    data: st.DataObject,
    largest: bool,
    guard: float,
    tolerance: float,
    seed: int,
) -> None:
    """Tiles cut the record in time, space and channels, and know nothing of each other."""
    blocks = np.repeat(np.arange(len(lengths)), lengths)
    original = record(kind, blocks.size, seed)
    generator = np.random.default_rng(seed)
    decoded = original + generator.normal(scale=0.5 * tolerance, size=original.shape)
    channels, times, rows, columns = original.shape
    longest = [data.draw(st.integers(1, size)) for size in original.shape]
    sizes = cut((channels, times, rows, columns), (longest[0], longest[1], longest[2], longest[3]))
    sides = {side: peaks_of(original, blocks, side) for side in (largest, True)}
    kept, corrected = dict.fromkeys(sides, Kept()), np.empty_like(original)
    for box in data.draw(st.permutations(boxes(sizes))):
        held = {side: pickle.loads(pickle.dumps(peaks.within(box))) for side, peaks in sides.items()}
        here, before = original[box.slices], decoded[box.slices]
        allowed = Intervals(here, tolerance, "float32")
        for peaks in held.values():
            peaks.narrow(allowed, here, before, np.full(len(here), guard))
        allowed.require_values()
        low, high = allowed.low.astype(np.float64), allowed.high.astype(np.float64)
        assert ((low <= here) & (here <= high) | np.isnan(here)).all()
        outside = (before < low + guard) | (before > high - guard)
        anywhere = low + generator.random(low.shape) * (high - low)
        fixed = np.where(outside, np.clip(anywhere, low, high), before).astype(np.float32)
        corrected[box.slices] = fixed
        for side, peaks in held.items():
            kept[side] += peaks.check(here, corrected[box.slices])
    known = np.where(np.isnan(original), np.nan, corrected)
    for side in sides:
        assert kept[side].violations == 0
        assert not kept[side].cut
        wanted, found = (first_peaks(values, blocks, side) for values in (original, known))
        np.testing.assert_array_equal(np.array(wanted), np.array(found))
        concerned = sum(int((place >= 0).sum()) for place, n in zip(wanted, lengths, strict=True) if n > 1)
        assert kept[side].points == concerned


@given(st.permutations(range(5)), st.integers(1, 5))
def test_a_moved_peak_is_a_violation_also_across_boxes_in_any_order(order: list[int], together: int) -> None:
    blocks = np.array([0, 0, 0, 1, 1])
    original = np.array([1.0, 3.0, 2.0, 6.0, 6.0]).reshape(1, 5, 1, 1)
    decoded = np.array([1.0, 2.5, 2.6, 6.0, 6.0]).reshape(1, 5, 1, 1)
    peaks = peaks_of(original, blocks, True)
    every = boxes(cut((1, 5, 1, 1), (None, together, None, None)))
    kept = Kept()
    for number in order:
        if number < len(every):
            box = every[number]
            kept += peaks.within(box).check(original[box.slices], decoded[box.slices])
    assert (kept.points, kept.violations, len(kept.cut)) == (2, 1, 0)


def test_a_whole_block_needs_few_corrections() -> None:
    original = np.arange(24.0).reshape(1, 24, 1, 1)
    decoded = original - 0.9 * (original == 23)
    peaks = peaks_of(original, np.zeros(24, np.int64), True).within(whole((1, 24, 1, 1)))
    allowed = Intervals(original, 1.0, "float32")
    peaks.narrow(allowed, original, decoded, 0.001)
    assert ((decoded >= allowed.low + 0.001) & (decoded <= allowed.high - 0.001)).all()


def test_each_cut_block_is_read_once() -> None:
    values, read = record("noise", 24, 0), []

    def reader(*box: range) -> NDArray[np.floating]:
        read.append(len(box[1]))
        return values[Box(*box).slices]

    peaks = BlockPeaks(np.arange(24) // 4, reader, (2, 24, *CELLS), True, "float32")
    for box in boxes(((2,), (6, 6, 6, 6), (1, 1), (1, 2))):
        peaks.within(box)
    assert read == [4, 4]  # the second and the fifth block
    for box in boxes(((2,), (4,) * 6, (1, 1), (3,))):
        peaks.within(box)
    assert len(read) == 2


def test_blocks_follow_the_calendar() -> None:
    times = np.array(["2020-02-28T23", "2020-02-29T00", "2020-03-01T05", "2021-03-01T05"], dtype="datetime64[ns]")
    for block, expected in (("day", [0, 1, 2, 3]), ("month", [0, 0, 1, 2]), ("year", [0, 0, 0, 1])):
        numbers = block_numbers(times, block)
        np.testing.assert_array_equal(np.unique(numbers, return_inverse=True)[1], expected)


def test_blocks_of_other_calendars() -> None:
    cftime = pytest.importorskip("cftime")

    times = np.array(
        [
            cftime.Datetime360Day(2000, 2, 30, 18),
            cftime.Datetime360Day(2000, 3, 1),
            cftime.Datetime360Day(2000, 3, 1, 6),
        ]
    )
    numbers = block_numbers(times, "day")
    assert numbers[0] < numbers[1] == numbers[2]
    assert block_numbers(times, "month")[0] < block_numbers(times, "month")[1]

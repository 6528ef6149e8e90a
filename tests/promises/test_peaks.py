"""Maxima and minima of calendar blocks stay where they are, however the record is cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.data.times import block_numbers
from nnzip.promises.constraints import Part
from nnzip.promises.intervals import Intervals
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


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["noise", "ties", "dry", "missing"]),
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.integers(1, 7),
    st.booleans(),
    st.sampled_from([0.0, 1e-5, 0.01]),
    st.sampled_from([0.1, 1.0]),
    st.integers(0, 10_000),
)
def test_any_value_inside_the_intervals_keeps_the_peaks(
    kind: str, lengths: list[int], together: int, largest: bool, guard: float, tolerance: float, seed: int
) -> None:
    blocks = np.repeat(np.arange(len(lengths)), lengths)
    original = record(kind, blocks.size, seed)
    generator = np.random.default_rng(seed)
    decoded = original + generator.normal(scale=0.5 * tolerance, size=original.shape)
    peaks = [
        BlockPeaks(blocks, lambda times: original[:, times], largest=side, dtype="float32") for side in (largest, True)
    ]
    checks = [peak.checker() for peak in peaks]
    corrected = np.empty_like(original)
    for start in range(0, blocks.size, together):
        for channel in range(2):
            inside = slice(start, start + together)
            part = Part(channel, start, original[channel, inside])
            allowed = Intervals(part.original, tolerance, "float32")
            for peak in peaks:
                peak.narrow(allowed, part, decoded[channel, inside], guard)
            allowed.require_values()
            low, high = allowed.low.astype(np.float64), allowed.high.astype(np.float64)
            assert ((low <= part.original) & (part.original <= high) | np.isnan(part.original)).all()
            outside = (decoded[channel, inside] < low + guard) | (decoded[channel, inside] > high - guard)
            anywhere = low + generator.random(low.shape) * (high - low)
            fixed = np.where(outside, np.clip(anywhere, low, high), decoded[channel, inside]).astype(np.float32)
            corrected[channel, inside] = fixed
            for check in checks:
                check.add(part, corrected[channel, inside])
    assert [check.kept.violations for check in checks] == [0, 0]
    for side in (largest, True):
        wanted, found = (
            first_peaks(v, blocks, side) for v in (original, np.where(np.isnan(original), np.nan, corrected))
        )
        np.testing.assert_array_equal(wanted, found)
    wanted = first_peaks(original, blocks, largest)
    concerned = sum(int((place >= 0).sum()) for place, length in zip(wanted, lengths, strict=True) if length > 1)
    assert checks[0].kept.points == concerned


def test_a_moved_peak_is_a_violation_also_across_parts() -> None:
    blocks = np.array([0, 0, 0, 1, 1])
    original = np.array([1.0, 3.0, 2.0, 5.0, 6.0]).reshape(1, 5, 1, 1)
    decoded = np.array([1.0, 2.5, 2.6, 5.0, 6.0]).reshape(1, 5, 1, 1)
    peaks = BlockPeaks(blocks, lambda times: original[:, times], largest=True, dtype="float32")
    for together in (1, 2, 5):
        check = peaks.checker()
        for start in range(0, 5, together):
            inside = slice(start, start + together)
            check.add(Part(0, start, original[0, inside]), decoded[0, inside])
        assert (check.kept.points, check.kept.violations) == (2, 1)


def test_a_whole_block_needs_few_corrections() -> None:
    original = np.arange(24.0).reshape(24, 1, 1)
    decoded = original - 0.9 * (original == 23)
    peaks = BlockPeaks(np.zeros(24, np.int64), lambda times: original[None, times], largest=True, dtype="float32")
    allowed = Intervals(original, 1.0, "float32")
    peaks.narrow(allowed, Part(0, 0, original), decoded, 0.001)
    assert ((decoded >= allowed.low + 0.001) & (decoded <= allowed.high - 0.001)).all()


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

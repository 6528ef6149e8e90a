"""Maxima of every cell and calendar block that stay where they are: a level that only the maximum may reach.

For minima all values change their sign. Of equal values the first one is the maximum, as for numpy.argmax. Where a
block lies within one box the level follows what the box decodes to, so that at most a few points need a correction. A
block that is cut by the borders of boxes is read before, and its level lies between its two largest values: each box
keeps it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.plan.cutting import Box, Shape
from nnzip.promises.constraints import Guard
from nnzip.promises.inside import Values
from nnzip.promises.intervals import Intervals, next_above, next_below, not_below
from nnzip.promises.kept import CutBlock, Extreme, Kept
from nnzip.promises.percentiles import Read

_PIECE_VALUES = 1 << 22  # read in one go
_REMEMBERED_CELLS = 1 << 24  # of cut blocks


@dataclass(frozen=True)
class Peak:
    """Per cell [channel, lat, lon]: time step of the maximum, -1 where nothing is finite, and a level that the maximum
    reaches, earlier values do not and later ones do not exceed."""

    step: NDArray[np.int32]
    level: NDArray[np.floating]


@dataclass(frozen=True)
class Block:
    """A block of more than one time step of the record: [start, stop)."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class BlockPeaks:
    """`numbers` [time] of blocks, ascending or descending; `read` gives original values of the record of `shape`."""

    numbers: NDArray[np.int64]
    read: Read
    shape: Shape
    largest: bool
    dtype: str
    _remembered: dict[tuple[int, range], Peak] = field(default_factory=dict, repr=False, compare=False)

    def within(self, box: Box) -> BoxPeaks:
        """Reads the blocks that the box cuts, whole maps of them; those of the last blocks are remembered."""
        blocks = [block for block in self._blocks() if block.start < box.times.stop and block.stop > box.times.start]
        _, _, rows, columns = box.slices
        cut = {}
        for block in blocks:
            if block.start < box.times.start or block.stop > box.times.stop:
                peak = self._peak_of_maps(block, box.channels)
                cut[block.number] = Peak(peak.step[:, rows, columns].copy(), peak.level[:, rows, columns].copy())
        return BoxPeaks(box, tuple(blocks), cut, 1.0 if self.largest else -1.0, self.dtype)

    def _blocks(self) -> list[Block]:
        breaks = (np.flatnonzero(np.diff(self.numbers)) + 1).tolist()
        ends = zip([0, *breaks], [*breaks, self.numbers.size], strict=True)
        return [Block(number, start, stop) for number, (start, stop) in enumerate(ends) if stop - start > 1]

    def _peak_of_maps(self, block: Block, channels: range) -> Peak:
        """Levels halfway between the two largest values of a block in every cell of some channels."""
        remembered, key = self._remembered, (block.number, channels)
        if key not in remembered:
            found = self._read_peak(block, channels)
            while len(remembered) > 1 and (len(remembered) + 1) * found.step.size > _REMEMBERED_CELLS:
                del remembered[next(iter(remembered))]
            remembered[key] = found
        return remembered[key]

    def _read_peak(self, block: Block, channels: range) -> Peak:
        sign, (_, _, rows, columns) = 1.0 if self.largest else -1.0, self.shape
        shape = (len(channels), rows, columns)
        longest = max(_PIECE_VALUES // int(np.prod(shape)), 1)
        step, largest, second = np.zeros(shape, np.int64), np.full(shape, -np.inf), np.full(shape, -np.inf)
        for first in range(block.start, block.stop, longest):
            times = range(first, min(first + longest, block.stop))
            values = sign * self.read(channels, times, range(rows), range(columns)).astype(np.float64)
            place, top, next_one = _two_largest(np.moveaxis(values, 1, 0))
            beaten = top > largest
            second = np.maximum(np.where(beaten, largest, second), np.where(beaten, next_one, top))
            step, largest = np.where(beaten, first + place, step), np.maximum(largest, top)
        return _peak(step, largest, second, second / 2 + largest / 2, self.dtype)


@dataclass(frozen=True)
class BoxPeaks:
    """The blocks that overlap the times of a box, `cut` the peaks of those it holds in part; `sign` -1 for minima."""

    box: Box
    blocks: tuple[Block, ...]
    cut: Mapping[int, Peak]
    sign: float
    dtype: str

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: Guard) -> None:
        for block in self.blocks:
            times = self._times(block)
            low, high = self._part(block, allowed.low), self._part(block, allowed.high)
            low, high = (low, high) if self.sign > 0 else (-high, -low)
            if block.number in self.cut:
                peak = self.cut[block.number]
            else:
                first, second = (self.sign * self._part(block, values) for values in (original, decoded))
                peak = self._followed(first, second, low, high, np.reshape(guard, (-1, 1, 1)), times.start)
            steps, some = np.arange(times.start, times.stop)[:, None, None, None], peak.step >= 0
            low = np.where(steps == peak.step, np.maximum(low, peak.level), low)
            high = np.where(some & (steps > peak.step), np.minimum(high, peak.level), high)
            below = next_below(peak.level, self.dtype)
            high = np.where(some & (steps < peak.step), np.minimum(high, below), high)
            self._part(block, allowed.low)[...] = low if self.sign > 0 else -high
            self._part(block, allowed.high)[...] = high if self.sign > 0 else -low

    def check(self, original: Values, decoded: Values) -> Kept:
        kept, start = Kept(), (self.box.channels.start, self.box.rows.start, self.box.columns.start)
        for block in self.blocks:
            first, second = (self._first_peak(block, values) for values in (original, decoded))
            seen = CutBlock(block.stop - block.start, len(self._times(block)), first, second)
            kept += Kept(cut={(block.number, *start): seen})
        return kept

    def _times(self, block: Block) -> range:
        """Time steps of the record that the block and the box share."""
        return range(max(block.start, self.box.times.start), min(block.stop, self.box.times.stop))

    def _part(self, block: Block, values: NDArray[Any]) -> NDArray[Any]:
        """The block's values [time, channel, lat, lon] of the box, a view."""
        times, first = self._times(block), self.box.times.start
        return np.moveaxis(values[:, times.start - first : times.stop - first], 1, 0)

    def _first_peak(self, block: Block, values: Values) -> Extreme:
        """The first extreme of the part of a block that lies in the box."""
        part = self._part(block, values)
        finite = np.where(np.isnan(part), -np.inf, self.sign * part)
        place = finite.argmax(axis=0)
        return self._times(block).start + place, np.take_along_axis(finite, place[None], axis=0)[0]

    def _followed(
        self,
        original: Values,
        decoded: Values,
        low: NDArray[np.floating],
        high: NDArray[np.floating],
        guard: Values,
        first: int,
    ) -> Peak:
        """The level between the two largest values that fewest decoded values are on the wrong side of: above all that
        compete, moved into their intervals, where that is possible."""
        step, largest, second = _two_largest(original)
        place = step[None]
        moved = np.where(np.isnan(original), -np.inf, np.clip(decoded, low, high))
        peak = np.take_along_axis(moved, place, axis=0)[0]
        np.put_along_axis(moved, place, -np.inf, axis=0)
        before = np.arange(len(original))[:, None, None, None] < place
        earlier = np.where(before, moved, -np.inf).max(axis=0)
        later = np.where(before, -np.inf, moved).max(axis=0)
        needed = np.maximum(next_above(earlier + guard, self.dtype).astype(np.float64), later + guard)
        level = np.where(needed <= peak - guard, needed / 2 + (peak - guard) / 2, needed)
        return _peak(first + step, largest, second, level, self.dtype)


def _peak(step: NDArray[np.int64], largest: Values, second: Values, level: Values, dtype: str) -> Peak:
    """With the level moved to where the original values fulfil it, so that no other promise contradicts it."""
    level = np.where(level > second, level, next_above(second, dtype))
    level = np.where(np.isfinite(second), np.minimum(level, largest), -np.inf)
    return Peak(np.where(np.isfinite(largest), step, -1).astype(np.int32), not_below(level, dtype))


def _two_largest(values: Values) -> tuple[NDArray[np.int64], Values, Values]:
    """Along the first axis: place of the first largest value, it, and the next one; -inf where there is none."""
    finite = np.where(np.isnan(values), -np.inf, values)
    step = finite.argmax(axis=0)
    largest = np.take_along_axis(finite, step[None], axis=0)[0]
    np.put_along_axis(finite, step[None], -np.inf, axis=0)
    return step, largest, finite.max(axis=0)

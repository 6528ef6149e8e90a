"""Maxima of every cell and calendar block that stay where they are: a level that only the maximum may reach.

For minima all values change their sign. Of equal values the first one is the maximum, as for numpy.argmax. Where a
block lies within one tile the level follows what the tile decodes to, so that at most a few points need a correction;
a block cut by the borders of tiles is read before, and its level lies between its two largest values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.promises.constraints import Check, Held, Part, Values
from nnzip.promises.intervals import Intervals, next_above, next_below, not_below
from nnzip.promises.kept import CutBlock, Extreme, Kept

_PIECE_VALUES = 1 << 22  # read in one go
_REMEMBERED_VALUES = 1 << 24  # cells of cut blocks


@dataclass(frozen=True)
class _Peak:
    """Per cell: time step of the maximum, -1 where nothing is finite, and a level that the maximum reaches, earlier
    values do not and later ones do not exceed."""

    step: NDArray[np.int32]
    level: NDArray[np.floating]


class BlockPeaks:
    """`blocks` [time]: ascending or descending numbers; `read(times)`: original values [channel, time, lat, lon]."""

    def __init__(
        self, blocks: NDArray[np.int64], read: Callable[[slice], NDArray[np.floating]], *, largest: bool, dtype: str
    ) -> None:
        self.breaks = np.flatnonzero(np.diff(blocks)) + 1
        self._starts = np.concatenate(([0], self.breaks))
        self._stops = np.concatenate((self.breaks, [blocks.size]))
        self._read, self._sign, self._dtype = read, 1.0 if largest else -1.0, dtype
        self._cut: dict[int, _Peak] = {}
        self._at_ends: dict[int, _Peak] = {}  # of blocks that can no longer be read, as they reach further

    def narrow(self, allowed: Intervals, part: Part, decoded: Values, guard: float) -> None:
        for block, inside in self.overlapping(part.start, len(decoded)):
            low, high = allowed.low[inside], allowed.high[inside]
            low, high = (low, high) if self._sign > 0 else (-high, -low)
            times = np.arange(part.start + inside.start, part.start + inside.stop)[:, None, None]
            if times.size == self.length(block):
                values = self._sign * part.original[inside], self._sign * decoded[inside]
                peak = self._followed(*values, low, high, guard, int(times[0, 0, 0]))
            else:
                cut = self._peaks_of_cut(block)
                peak = _Peak(cut.step[part.channel], cut.level[part.channel])
            some = peak.step >= 0
            np.maximum(low, peak.level, out=low, where=times == peak.step)
            np.minimum(high, peak.level, out=high, where=some & (times > peak.step))
            np.minimum(high, next_below(peak.level, self._dtype), out=high, where=some & (times < peak.step))
            allowed.low[inside], allowed.high[inside] = (low, high) if self._sign > 0 else (-high, -low)

    def checker(self) -> Check:
        return _PeakCheck(self)

    def within(self, held: Held) -> BlockPeaks:
        """Reads the blocks that the held time steps cut, the others when they are needed."""
        part = copy(self)
        part._read, part._cut = held.read, {}
        start, count = held.start, held.values.shape[1]
        part._at_ends = {
            block: self._peaks_of_cut(block)
            for block, inside in self.overlapping(start, count)
            if inside.stop - inside.start < self.length(block)
        }
        return part

    def length(self, block: int) -> int:
        """Time steps of a block."""
        return int(self._stops[block] - self._starts[block])

    def overlapping(self, start: int, count: int) -> Iterator[tuple[int, slice]]:
        """Blocks of more than one time that overlap `count` times from `start`: number, and times from there on."""
        stop = start + count
        for block in np.flatnonzero((self._starts < stop) & (self._stops > start)).tolist():
            first, last = int(self._starts[block]), int(self._stops[block])
            if last - first > 1:
                yield block, slice(max(first, start) - start, min(last, stop) - start)

    def first_peak(self, values: Values, start: int) -> Extreme:
        """The first extreme along the time of [time, lat, lon], which begins at the time step `start`."""
        finite = np.where(np.isnan(values), -np.inf, self._sign * values)
        place = finite.argmax(axis=0)
        return start + place, np.take_along_axis(finite, place[None], axis=0)[0]

    def _followed(
        self,
        original: Values,
        decoded: Values,
        low: NDArray[np.floating],
        high: NDArray[np.floating],
        guard: float,
        first: int,
    ) -> _Peak:
        """The level between the two largest values that fewest decoded values are on the wrong side of: above all that
        compete, moved into their intervals, where that is possible."""
        step, largest, second = _two_largest(original)
        place = step[None]
        moved = np.where(np.isnan(original), -np.inf, np.clip(decoded, low, high))
        peak = np.take_along_axis(moved, place, axis=0)[0]
        np.put_along_axis(moved, place, -np.inf, axis=0)
        before = np.arange(len(original))[:, None, None] < place
        earlier = np.where(before, moved, -np.inf).max(axis=0)
        later = np.where(before, -np.inf, moved).max(axis=0)
        needed = np.maximum(next_above(earlier + guard, self._dtype).astype(np.float64), later + guard)
        level = np.where(needed <= peak - guard, needed / 2 + (peak - guard) / 2, needed)
        return self._peak(first + step, largest, second, level)

    def _peak(self, step: NDArray[np.int64], largest: Values, second: Values, level: Values) -> _Peak:
        """With the level moved to where the original values fulfil it, so that no other promise contradicts it."""
        level = np.where(level > second, level, next_above(second, self._dtype))
        level = np.where(np.isfinite(second), np.minimum(level, largest), -np.inf)
        return _Peak(np.where(np.isfinite(largest), step, -1).astype(np.int32), not_below(level, self._dtype))

    def _peaks_of_cut(self, block: int) -> _Peak:
        """Levels [channel, lat, lon] halfway between the two largest values of a block; those of the last blocks are
        remembered."""
        if block in self._at_ends:
            return self._at_ends[block]
        if block not in self._cut:
            found = self._read_peak(int(self._starts[block]), int(self._stops[block]))
            while len(self._cut) > 1 and (len(self._cut) + 1) * found.step.size > _REMEMBERED_VALUES:
                del self._cut[next(iter(self._cut))]
            self._cut[block] = found
        return self._cut[block]

    def _read_peak(self, start: int, stop: int) -> _Peak:
        """The peak of a block [channel, lat, lon], read piece by piece."""
        sample = self._read(slice(start, start + 1))
        longest = max(_PIECE_VALUES // sample.size, 1)
        shape = (sample.shape[0], *sample.shape[2:])
        step, largest, second = np.zeros(shape, np.int64), np.full(shape, -np.inf), np.full(shape, -np.inf)
        for first in range(start, stop, longest):
            values = self._sign * self._read(slice(first, min(first + longest, stop))).astype(np.float64)
            place, top, next_one = _two_largest(np.moveaxis(values, 1, 0))
            beaten = top > largest
            second = np.maximum(np.where(beaten, largest, second), np.where(beaten, next_one, top))
            step, largest = np.where(beaten, first + place, step), np.maximum(largest, top)
        return self._peak(step, largest, second, second / 2 + largest / 2)


class _PeakCheck:
    """Compares where the original and the decoded values are largest, block by block, across the parts of a block."""

    def __init__(self, peaks: BlockPeaks) -> None:
        self._peaks, self.kept = peaks, Kept()

    def add(self, part: Part, decoded: Values) -> None:
        for block, inside in self._peaks.overlapping(part.start, len(decoded)):
            first, count = part.start + inside.start, inside.stop - inside.start
            original, found = (self._peaks.first_peak(values[inside], first) for values in (part.original, decoded))
            seen = CutBlock(self._peaks.length(block), count, original, found)
            self.kept += Kept(cut={(part.channel, block): seen})


def _two_largest(values: Values) -> tuple[NDArray[np.int64], Values, Values]:
    """Along the first axis: place of the first largest value, it, and the next one; -inf where there is none."""
    finite = np.where(np.isnan(values), -np.inf, values)
    step = finite.argmax(axis=0)
    largest = np.take_along_axis(finite, step[None], axis=0)[0]
    np.put_along_axis(finite, step[None], -np.inf, axis=0)
    return step, largest, finite.max(axis=0)

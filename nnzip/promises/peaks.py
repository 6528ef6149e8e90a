"""Maxima of every cell and calendar block that stay where they are: a level that only the maximum may reach.

For minima all values change their sign. Of equal values the first one is the maximum, as for numpy.argmax. Where a
block lies within one tile the level follows what the tile decodes to, so that at most a few points need a correction;
a block cut by the borders of tiles is read before, and its level lies between its two largest values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.promises.constraints import Check, Kept, Part, Values
from nnzip.promises.intervals import Intervals, next_above, next_below, not_below

_PIECE_VALUES = 1 << 22  # read in one go
_REMEMBERED_VALUES = 1 << 24  # cells of cut blocks


_Extreme = tuple[NDArray[np.int64], Values]  # per cell: time step, value times the sign


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

    def narrow(self, allowed: Intervals, part: Part, decoded: Values, guard: float) -> None:
        for block, inside in self.overlapping(part.start, len(decoded)):
            low, high = allowed.low[inside], allowed.high[inside]
            low, high = (low, high) if self._sign > 0 else (-high, -low)
            times = np.arange(part.start + inside.start, part.start + inside.stop)[:, None, None]
            if times.size == self._stops[block] - self._starts[block]:
                values = self._sign * part.original[inside], self._sign * decoded[inside]
                peak = self._followed(*values, low, high, guard, int(times[0, 0, 0]))
            else:
                peak = self._peak_of_cut(block, part.channel)
            some = peak.step >= 0
            np.maximum(low, peak.level, out=low, where=times == peak.step)
            np.minimum(high, peak.level, out=high, where=some & (times > peak.step))
            np.minimum(high, next_below(peak.level, self._dtype), out=high, where=some & (times < peak.step))
            allowed.low[inside], allowed.high[inside] = (low, high) if self._sign > 0 else (-high, -low)

    def checker(self) -> Check:
        return _PeakCheck(self)

    def overlapping(self, start: int, count: int) -> Iterator[tuple[int, slice]]:
        """Blocks of more than one time that overlap `count` times from `start`: number, and times from there on."""
        stop = start + count
        for block in np.flatnonzero((self._starts < stop) & (self._stops > start)).tolist():
            first, last = int(self._starts[block]), int(self._stops[block])
            if last - first > 1:
                yield block, slice(max(first, start) - start, min(last, stop) - start)

    def first_peak(self, values: Values) -> tuple[NDArray[np.int64], Values]:
        """Place of the first extreme along the time of [time, lat, lon] and its value times the sign; -inf: missing."""
        finite = np.where(np.isnan(values), -np.inf, self._sign * values)
        place = finite.argmax(axis=0)
        return place, np.take_along_axis(finite, place[None], axis=0)[0]

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

    def _peak_of_cut(self, block: int, channel: int) -> _Peak:
        """A level halfway between the two largest values of a block; those of the last blocks are remembered."""
        if block not in self._cut:
            found = self._read_peak(int(self._starts[block]), int(self._stops[block]))
            while len(self._cut) > 1 and (len(self._cut) + 1) * found.step.size > _REMEMBERED_VALUES:
                del self._cut[next(iter(self._cut))]
            self._cut[block] = found
        return _Peak(self._cut[block].step[channel], self._cut[block].level[channel])

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
        self._peaks, self._done = peaks, Kept()
        self._open: dict[int, tuple[int, list[_Extreme]]] = {}  # by channel: block, its extremes so far on both sides

    def add(self, part: Part, decoded: Values) -> None:
        for block, inside in self._peaks.overlapping(part.start, len(decoded)):
            both: list[_Extreme] = []
            for values in (part.original[inside], decoded[inside]):
                place, largest = self._peaks.first_peak(values)
                both.append((part.start + inside.start + place, largest))
            number, before = self._open.get(part.channel, (block, both))
            if number == block:
                both = [_later(old, new) for old, new in zip(before, both, strict=True)]
            else:
                self._done += _compared(before)
            self._open[part.channel] = (block, both)

    @property
    def kept(self) -> Kept:
        return sum((_compared(both) for _, both in self._open.values()), self._done)


def _later(first: _Extreme, second: _Extreme) -> _Extreme:
    """The extreme of a part and a later one."""
    return np.where(second[1] > first[1], second[0], first[0]), np.maximum(first[1], second[1])


def _compared(both: list[_Extreme]) -> Kept:
    (step, largest), (found, _) = both
    finite = np.isfinite(largest)
    return Kept(int(finite.sum()), int(((step != found) & finite).sum()))


def _two_largest(values: Values) -> tuple[NDArray[np.int64], Values, Values]:
    """Along the first axis: place of the first largest value, it, and the next one; -inf where there is none."""
    finite = np.where(np.isnan(values), -np.inf, values)
    step = finite.argmax(axis=0)
    largest = np.take_along_axis(finite, step[None], axis=0)[0]
    np.put_along_axis(finite, step[None], -np.inf, axis=0)
    return step, largest, finite.max(axis=0)

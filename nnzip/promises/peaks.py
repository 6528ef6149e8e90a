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

from nnzip.promises.constraints import Kept, Values
from nnzip.promises.intervals import Intervals, Points, next_above, next_below, not_below

_PIECE_VALUES = 1 << 24


@dataclass(frozen=True)
class _Peak:
    """Per cell [channel, lat, lon]: time step of the maximum, -1 where nothing is finite, and a level that the maximum
    reaches, earlier values do not and later ones do not exceed."""

    step: NDArray[np.int64]
    level: Values


class BlockPeaks:
    """`blocks` [time]: ascending or descending numbers; `read(times)`: original values [channel, time, lat, lon]."""

    def __init__(
        self, blocks: NDArray[np.int64], read: Callable[[slice], NDArray[np.floating]], *, largest: bool, dtype: str
    ) -> None:
        borders = np.flatnonzero(np.diff(blocks)) + 1
        self._starts = np.concatenate(([0], borders))
        self._stops = np.concatenate((borders, [blocks.size]))
        self._read, self._sign, self._dtype = read, 1.0 if largest else -1.0, dtype
        self._cut: dict[int, _Peak] = {}

    def narrow(self, allowed: Intervals, original: Values, decoded: Values, guard: float, start: int) -> None:
        for block, part, whole in self._blocks(start, original.shape[1]):
            low, high = self._signed(allowed, part)
            if whole:
                values = self._sign * original[:, part]
                peak = self._followed(values, self._sign * decoded[:, part], low, high, guard, start + part.start)
            else:
                peak = self._peak_of_cut(block)
            here, earlier, later = _places(peak, range(start + part.start, start + part.stop))
            level = peak.level[:, None]
            np.maximum(low, level, out=low, where=here)
            np.minimum(high, level, out=high, where=later)
            np.minimum(high, next_below(level, self._dtype), out=high, where=earlier)
            self._put(allowed, part, low, high)

    def check(self, original: Values, decoded: Values, start: int) -> Kept:
        kept = Kept()
        for block, part, whole in self._blocks(start, original.shape[1]):
            values, found = self._sign * original[:, part], self._sign * decoded[:, part]
            if whole:
                finite = np.isfinite(values).any(axis=1)
                moved = _first_peak(values) != _first_peak(np.where(np.isnan(values), np.nan, found))
                kept += Kept(int(finite.sum()), int((moved & finite).sum()))
            else:
                peak = self._peak_of_cut(block)
                here, earlier, later = _places(peak, range(start + part.start, start + part.stop))
                level = peak.level[:, None]
                wrong = (here & (found < level)) | (earlier & (found >= level)) | (later & (found > level))
                kept += Kept(int(here.sum()), int(wrong.sum()))
        return kept

    def _blocks(self, start: int, count: int) -> Iterator[tuple[int, slice, bool]]:
        """Blocks of more than one time that a tile overlaps: number, times in the tile, whether it holds them all."""
        stop = start + count
        for block in np.flatnonzero((self._starts < stop) & (self._stops > start)).tolist():
            first, last = int(self._starts[block]), int(self._stops[block])
            if last - first > 1:
                yield block, slice(max(first, start) - start, min(last, stop) - start), start <= first and last <= stop

    def _signed(self, allowed: Intervals, part: slice) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        low, high = allowed.low[:, part], allowed.high[:, part]
        return (low, high) if self._sign > 0 else (-high, -low)

    def _put(self, allowed: Intervals, part: slice, low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
        if self._sign < 0:
            low, high = -high, -low
        allowed.low[:, part], allowed.high[:, part] = low, high

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
        place = step[:, None]
        moved = np.where(np.isnan(original), -np.inf, np.clip(decoded, low, high))
        peak = np.take_along_axis(moved, place, axis=1)[:, 0]
        np.put_along_axis(moved, place, -np.inf, axis=1)
        before = np.arange(original.shape[1])[:, None, None] < place
        earlier = np.where(before, moved, -np.inf).max(axis=1)
        later = np.where(before, -np.inf, moved).max(axis=1)
        needed = np.maximum(next_above(earlier + guard, self._dtype).astype(np.float64), later + guard)
        level = np.where(needed <= peak - guard, needed / 2 + (peak - guard) / 2, needed)
        return self._peak(step, largest, second, level, first)

    def _peak(self, step: NDArray[np.int64], largest: Values, second: Values, level: Values, first: int = 0) -> _Peak:
        """With the level moved to where the original values fulfil it, so that no other promise contradicts it."""
        level = np.where(level > second, level, next_above(second, self._dtype))
        level = not_below(np.minimum(level, largest), self._dtype).astype(np.float64)
        return _Peak(np.where(np.isfinite(largest), first + step, -1), level)

    def _peak_of_cut(self, block: int) -> _Peak:
        """The level between the two largest values of a block; the last two blocks are remembered."""
        if block not in self._cut:
            while len(self._cut) > 1:
                del self._cut[next(iter(self._cut))]
            self._cut[block] = self._read_peak(int(self._starts[block]), int(self._stops[block]))
        return self._cut[block]

    def _read_peak(self, start: int, stop: int) -> _Peak:
        """The peak of a block, read piece by piece."""
        sample = self._read(slice(start, start + 1))
        longest = max(_PIECE_VALUES // sample.size, 1)
        shape = (sample.shape[0], *sample.shape[2:])
        step, largest, second = np.zeros(shape, np.int64), np.full(shape, -np.inf), np.full(shape, -np.inf)
        for first in range(start, stop, longest):
            values = self._sign * self._read(slice(first, min(first + longest, stop))).astype(np.float64)
            place, top, next_one = _two_largest(values)
            beaten = top > largest
            second = np.maximum(np.where(beaten, largest, second), np.where(beaten, next_one, top))
            step, largest = np.where(beaten, first + place, step), np.maximum(largest, top)
        level = np.where(np.isfinite(second), second / 2 + largest / 2, -np.inf)
        return self._peak(step, largest, second, level)


def _two_largest(values: Values) -> tuple[NDArray[np.int64], Values, Values]:
    """Along the time of [channel, time, lat, lon]: place of the first largest value, it, the next one; -inf: none."""
    finite = np.where(np.isnan(values), -np.inf, values)
    step = finite.argmax(axis=1)
    largest = np.take_along_axis(finite, step[:, None], axis=1)[:, 0]
    np.put_along_axis(finite, step[:, None], -np.inf, axis=1)
    return step, largest, finite.max(axis=1)


def _first_peak(values: Values) -> NDArray[np.int64]:
    """Place of the first largest value along the time of [channel, time, lat, lon], passing over NaN."""
    return np.asarray(np.where(np.isnan(values), -np.inf, values).argmax(axis=1))


def _places(peak: _Peak, times: range) -> tuple[Points, Points, Points]:
    """Where the maximum is among `times`, what is earlier and what is later; all False where there is none."""
    steps = np.arange(times.start, times.stop)[:, None, None]
    step = peak.step[:, None]
    return steps == step, (steps < step) & (step >= 0), (steps > step) & (step >= 0)

"""How a tile under an error bound is coded, tried on the tile or on a sample of it without coding anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from math import inf

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import volumes
from nnzip.coder.arrays import Device
from nnzip.promises.goals import BoxPromised
from nnzip.tile.base import Base
from nnzip.tile.corrections import UNIT
from nnzip.tile.corrector import Corrected, correct
from nnzip.tile.fixes import MOST_UNITS
from nnzip.tile.header import Shape
from nnzip.tile.rest import Transformed
from nnzip.tile.samples import outer_limits, sample
from nnzip.tile.volumes import TIME, plan_interpolation
from nnzip.tile.ways import Way, leaders, ways
from nnzip.transform import interpolation
from nnzip.transform.cycles import Cycle

MULTIPLES = (1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 10.0)
"""Quantisation steps of the wavelet that are tried, in bounds."""
FINER = (1.2, 0.85, 0.6, 0.4)
"""Tried too where promises ask for less than the bound at many points."""

_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_INTEGER = 2.0**30
_TELLING = 3072  # bytes of a sample from which on it stands for the tile

_COARSE = 3.2  # bounds: at steps from here on another way may be best than at the first step
_BLOCK = 30  # bytes of the header of corrections
_SIMILAR = 1.6  # times as many points: these lie together alike
_SHARES = 0.6, 1.3  # what corrections take of what points anywhere would: further off are chances of few points


@dataclass(frozen=True)
class Choice:
    """How a tile is coded: by the wavelet in a `way` with a step of `multiple` bounds, above the `base` and without the
    `cycle`; or (None) by integer interpolation along the axis `leading`, latitude and longitude."""

    way: Way | None
    multiple: float = MULTIPLES[1]
    leading: int = TIME
    cycle: bool = False
    base: bool = False


@dataclass(frozen=True)
class BoundedTile:
    """A tile to be coded: `original` [channel, time, lat, lon] (NaN: missing), `filled` without missing points,
    limits [2]. With a lattice, `promised` is about values before they are moved to it."""

    original: NDArray[np.floating]
    filled: NDArray[np.floating]
    promised: BoxPromised
    limits: NDArray[np.float64]
    periodic: bool
    device: Device
    cycle: Cycle | None = None
    lattice: bytes = b""
    effort: str = "normal"
    base: Base | None = None

    @property
    def shape(self) -> Shape:
        channels, times, rows, columns = self.original.shape
        return channels, times, rows, columns

    @cached_property
    def means(self) -> NDArray[np.float32]:
        """Of the channels [channel]."""
        return np.array([channel.mean(dtype=np.float64) for channel in self.filled]).astype(np.float32)

    def sample(self, times_as_many: float) -> BoundedTile:
        """A part that stands for all of it where coding is tried: see `samples.sample`."""
        where = sample(self.shape, self.effort, times_as_many)
        if where is None:
            return self
        plain = replace(self.promised, constraints={})
        cycle = None if self.cycle is None else self.cycle.shifted(where[1].start, where[3].start)
        base = None if self.base is None else self.base.within(where)
        within = replace(self, original=self.original[where], filled=self.filled[where], lattice=b"")
        return replace(within, promised=plain, periodic=False, cycle=cycle, base=base)

    def corrected(self, decoded: NDArray[np.float64], guards: NDArray[np.float64]) -> Corrected:
        """Corrections of decoded values: see `corrector.correct`."""
        quick = self.effort == "fast"
        return correct(self.original, decoded, self.limits, self.promised, guards, self.device, quick=quick)

    def above_base(self, base: Base) -> BoundedTile:
        """What is left above the base, promises beyond the bound left out."""
        above = self.filled.astype(np.float64)
        base.add(above, base.functions(self.shape), sign=-1)
        filled = above.astype(np.float32)
        original = np.where(np.isnan(self.original), np.nan, filled)
        plain, limits = replace(self.promised, constraints={}), outer_limits(original)
        tile = replace(self, original=original, filled=filled, promised=plain, limits=limits)
        return replace(tile, lattice=b"", base=None)

    def transformed(self, way: Way, step: float, *, with_cycle: bool) -> Transformed:
        """Wavelet coefficients, in units of `step`."""
        units = in_units(self.filled, self.means, step)
        arrangement = way.arrangement(self.shape, periodic=self.periodic)
        return Transformed(units, arrangement, self.cycle if with_cycle else None, self.device)

    @property
    def integer_step(self) -> float | None:
        """Of the interpolation; None where no step keeps the bound (values too large for their integers)."""
        largest = float(np.abs(self.limits).max())
        spacing = float(np.spacing(np.array(largest + self.promised.bound, dtype=self.promised.dtype)))
        step = float(2 * (self.promised.bound - spacing / 2))
        return step if step > 0 and largest / step < _LARGEST_INTEGER else None

    def integers(self, leading: int, step: float) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
        """Values in multiples of a step, and the order of the interpolation's axes for them."""
        found = np.rint(self.filled / np.float64(step)).astype(np.int64)
        return found, interpolation.best_order(found[0] if leading == TIME else found[:, 0])


def choose(tile: BoundedTile) -> tuple[Choice, float]:
    """The best choice and the bytes that it should take, from a sample, which grows until the bound leaves enough of it
    to tell."""
    for growth in count():
        part = tile.sample(4.0**growth / 2)
        choice, size = _best(part, part.shape[TIME] / tile.shape[TIME])
        if size >= _TELLING or part is tile:
            break
    return choice, size * tile.original.size / part.original.size


def _best(tile: BoundedTile, share: float) -> tuple[Choice, float]:
    """The choice that should take the fewest bytes, and these, for a sample with this share of the times."""
    base = tile.base
    if base is not None:  # trials above it know no promises beyond the bound
        tile = replace(tile, promised=replace(tile.promised, constraints={}))
    trials = _Trials(tile if base is None else tile.above_base(base), share)
    best = min((Choice(way) for way in ways(tile.shape)), key=trials.bytes)
    best = _best_multiple(trials, best)
    if best.multiple >= _COARSE:  # where it is worth asking again, and cheap
        best = min((replace(best, way=way) for way in ways(tile.shape)), key=trials.bytes)
    if tile.cycle is not None:
        best = min(best, replace(best, cycle=True), key=trials.bytes)
    size = trials.bytes(best)
    if base is not None:
        without = _Trials(tile, share)
        alone = min((replace(best, cycle=cycle) for cycle in {tile.cycle is not None, False}), key=without.bytes)
        best, size = replace(best, base=True), size + len(base.pack())
        if without.bytes(alone) < size:
            best, size = alone, without.bytes(alone)
    for leading in leaders(tile.shape):
        other = _interpolated_bytes(tile, leading)
        if other < size:
            best, size = Choice(None, leading=leading), other
    return best, size


def _best_multiple(trials: _Trials, first: Choice) -> Choice:
    """The step that makes detail plus corrections smallest: from the first two on, while it gets better."""
    best = min((replace(first, multiple=multiple) for multiple in MULTIPLES[1:3]), key=trials.bytes)
    others: tuple[float, ...] = MULTIPLES[3:]
    if best.multiple == MULTIPLES[1]:
        others = MULTIPLES[:1] + (FINER if trials.tile.promised.constraints else ())
    for multiple in others:
        following = replace(best, multiple=multiple)
        if trials.bytes(following) >= trials.bytes(best):
            break
        best = following
    return best


class _Trials:
    """What wavelet choices should take; nothing is tried twice."""

    def __init__(self, tile: BoundedTile, share: float) -> None:
        self.tile, self._times = tile, share
        self._transformed: tuple[tuple[Way, bool], Transformed] | None = None
        self._bytes: dict[Choice, float] = {}
        self._share, self._coded_for = 1.0, 0
        self._means = tile.means.astype(np.float64)
        self._known = in_units(tile.original, tile.means, tile.promised.bound)

    def bytes(self, choice: Choice) -> float:
        """Expected bytes of the streams and the corrections."""
        if choice not in self._bytes:
            found = self._of(choice).quantised(choice.multiple)
            values = found.inverse()
            values *= np.float32(choice.multiple)
            means = 4 * len(values)  # bytes in the header
            self._bytes[choice] = found.bytes_in(self._times) + means + self._corrections(values)
        return self._bytes[choice]

    def _of(self, choice: Choice) -> Transformed:
        """In units of the bound; only the last one is kept."""
        if choice.way is None:
            raise ValueError("an interpolation has no wavelet coefficients")
        key = choice.way, choice.cycle
        if self._transformed is None or self._transformed[0] != key:
            made = self.tile.transformed(choice.way, self.tile.promised.bound, with_cycle=choice.cycle)
            self._transformed = key, made
        return self._transformed[1]

    def _corrections(self, units: NDArray[np.float32]) -> float:
        """Expected bytes of the corrections where `units`, in bounds and without the means, are decoded.

        Coded for the first one, and again where points are many times as many or as few; for others the same share of
        what points anywhere would take, as those of a tile lie together.
        """
        if self.tile.promised.constraints:
            return self._coded(units)
        counts = self._wrong(units)
        wrong, anywhere = int(counts.sum()), _bits_of_points(counts, units.size) / 8
        if not wrong:
            return 0.0
        if not wrong / _SIMILAR <= self._coded_for <= wrong * _SIMILAR:
            share = (self._coded(units) - _BLOCK) / anywhere
            self._coded_for, self._share = wrong, min(max(share, _SHARES[0]), _SHARES[1])
        return _BLOCK + self._share * anywhere

    def _coded(self, units: NDArray[np.float32]) -> int:
        """Bytes of the corrections."""
        tile = self.tile
        decoded = units * np.float64(tile.promised.bound) + self._means[:, None, None, None]
        return len(tile.corrected(decoded, np.array(tile.promised.guards)).data)

    def _wrong(self, units: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many points are corrected by so many units [unit]."""
        tile, bound = self.tile, self.tile.promised.bound
        counts = np.zeros(MOST_UNITS + 1, dtype=np.int64)
        for values, known, mean, guard in zip(units, self._known, self._means, tile.promised.guards, strict=True):
            low, high = np.clip((tile.limits - mean) / bound, -_LARGEST, _LARGEST).astype(np.float32)
            away = np.clip(values, low, high)
            away -= known
            errors = np.abs(away, out=away)[away > np.float32(1 - guard / bound)]
            counts += np.bincount(_units(errors), minlength=counts.size)
        return counts


def in_units(values: NDArray[np.floating], means: NDArray[np.float32], unit: float) -> NDArray[np.float32]:
    """Differences of [channel, time, lat, lon] from the means [channel], in multiples of a unit; computed in float64,
    map by map, as a processor's cache holds a map."""
    found = np.empty(values.shape, dtype=np.float32)
    for channel, mean in enumerate(means.astype(np.float64)):
        for before, after in zip(values[channel], found[channel], strict=True):
            np.divide(np.subtract(before, mean, dtype=np.float64), unit, out=after, casting="same_kind")
    return found


def _units(errors: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many units correct these errors, in bounds."""
    found: NDArray[np.int64] = np.clip(np.ceil((errors - 1) / np.float32(UNIT)), 1, MOST_UNITS).astype(np.int64)
    return found


def _bits_of_points(counts: NDArray[np.int64], size: int) -> float:
    """Bits of points anywhere among `size`, so many with each number of units, and of their signs."""
    wrong = int(counts.sum())
    shares = np.append(counts[counts > 0], max(size - wrong, 1)) / size
    return wrong - size * float((shares * np.log2(shares)).sum())


def _interpolated_bytes(tile: BoundedTile, leading: int) -> float:
    step = tile.integer_step
    if step is None:
        return inf
    integers, order = tile.integers(leading, step)
    return volumes.expected_bytes(plan_interpolation(integers, order, leading, tile.device))

"""Values that lie on a lattice, origin + step * integer, as packed data and decoded GRIB do.

Where the step of every map [lat, lon] is known, decoded values are moved to the nearest lattice point: an error bound E
then allows errors below (floor(E / step) + 1/2) * step before that, and below half a step the values are exact.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError

_MOST_VALUES = 1 << 20  # of which a lattice is looked for; it is checked on all
_FEW_VALUES = 1 << 12  # whose smallest gap tells at once that no lattice of theirs would help
_FEWEST_STEPS = 8  # lattice steps, in units of the values' own precision, below which it is only that precision
_PHASES = 1 << 16
_SMALL_GAPS = 4096  # of which the common divisor is taken
_SMALLEST_GAIN = 1.03  # of the allowed error
ONE_LATTICE = 16
"""Bytes of one lattice for all maps."""

Numbers = NDArray[np.float64]
Values = NDArray[np.floating]


@dataclass(frozen=True)
class Lattice:
    """`steps` > 0 and `origins` within a step, float64 [channel, time] or [1, 1] for all maps."""

    steps: Numbers
    origins: Numbers

    def snap(self, values: Numbers) -> None:
        """Move `values` [channel, time, lat, lon] to the nearest lattice points, in place."""
        steps, origins = self.steps[:, :, None, None], self.origins[:, :, None, None]
        with np.errstate(over="ignore"):  # a damaged lattice
            values -= origins
            values /= steps
            np.rint(values, out=values)
            values *= steps
            values += origins

    def part(self, channels: slice, times: slice) -> Lattice:
        """The lattice of some channels and times."""
        if self.steps.size == 1:
            return self
        return Lattice(self.steps[channels, times], self.origins[channels, times])

    def allowed(self, bound: float, precision: float) -> Numbers:
        """Largest error of every map before `snap` that keeps `bound` after it; `precision` of the values."""
        whole = np.floor((bound - precision - self.steps / _PHASES) / self.steps)
        return np.where(whole >= 0, (whole + 0.5) * self.steps, 0.0)

    def pack(self) -> bytes:
        """Little-endian: float64 step and origin of all maps; or the float64 step of the first one, and deflated the
        binary exponents int8 [map] of all, relative to it, and the origins uint16 [map] in 2^-16 steps, first all low
        bytes; and a byte 0 where that would be as long as the former."""
        if self.steps.size == 1:
            return np.array([self.steps.flat[0], self.origins.flat[0]], dtype="<f8").tobytes()
        exponents = np.rint(np.log2(self.steps / self.steps.flat[0])).astype(np.int8)
        phases = np.rint(self.origins / self.steps * _PHASES).astype("<u2")
        content = exponents.tobytes() + phases.ravel().view(np.uint8).reshape(-1, 2).T.tobytes()
        packed = np.array([self.steps.flat[0]], dtype="<f8").tobytes() + zlib.compress(content, 9, wbits=-15)
        return packed + b"\0" if len(packed) == ONE_LATTICE else packed


def read_lattice(data: bytes, channels: int, times: int) -> Lattice | None:
    """Inverse of `Lattice.pack`; None from no bytes. Raises CorruptArchiveError."""
    if not data:
        return None
    if len(data) == ONE_LATTICE:
        step, origin = np.frombuffer(data, dtype="<f8").reshape(2, 1, 1)
    else:
        count = channels * times
        inflater = zlib.decompressobj(wbits=-15)
        try:
            content = inflater.decompress(data[8:], 3 * count + 1)
            base = np.frombuffer(data[:8], dtype="<f8")[0]
        except (zlib.error, ValueError, IndexError) as error:
            raise CorruptArchiveError(f"a tile's lattice cannot be read: {error}") from error
        if len(content) != 3 * count:
            raise CorruptArchiveError(f"a tile's lattice has {len(content)} B instead of {3 * count}")
        padding = b"\0" if len(data) == ONE_LATTICE + 1 and inflater.unused_data else b""
        if not inflater.eof or inflater.unused_data != padding:
            raise CorruptArchiveError("a tile's lattice does not end where its deflated bytes do")
        exponents = np.frombuffer(content[:count], dtype=np.int8).reshape(channels, times)
        phases = np.frombuffer(content[count:], dtype=np.uint8).reshape(2, count).T.copy().view("<u2")
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            step = np.ldexp(base, exponents.astype(np.int64))
            origin = phases.reshape(channels, times) / _PHASES * step
    step, origin = step.astype(np.float64), origin.astype(np.float64)
    if not (np.isfinite(step).all() and np.isfinite(origin).all() and (step > 0).all()):
        raise CorruptArchiveError("a tile's lattice is not made of positive steps")
    return Lattice(step, origin)


def find_lattice(values: Values, bound: float) -> Lattice | None:
    """The lattice of `values` [channel, time, lat, lon] (NaN: missing), where it allows larger errors under `bound`.

    First one for all maps is looked for, then one for each, with steps that differ by powers of two. Cost: sorting a
    part of the values.
    """
    channels, times = values.shape[:2]
    gaps = np.diff(np.unique(_some(values[0, 0], _FEW_VALUES)).astype(np.float64))
    if gaps.size and gaps.min() < 2 * (_SMALLEST_GAIN - 1) * bound:  # no step is larger than any gap
        return None
    single = _of_map(values)
    if single is not None and np.isfinite(single[0]) and _helps(np.array([single[0]]), bound):
        found = Lattice(np.full((1, 1), single[0]), np.full((1, 1), single[1]))
        return found if _fits(found, values) else None
    first = next((each for plane in values[0] if (each := _of_map(plane)) is None or np.isfinite(each[0])), None)
    if first is None or not _helps(np.array([first[0]]), bound):
        return None
    maps = [_of_map(plane) for channel in values for plane in channel]
    if any(plane is None for plane in maps):
        return None
    steps, origins = np.array(maps, dtype=np.float64).T.reshape(2, channels, times)
    constant = np.isinf(steps)
    steps[constant] = steps[~constant].flat[0] if (~constant).any() else 1.0
    octaves = np.log2(steps / steps.flat[0])
    if np.abs(octaves - np.rint(octaves)).max() > 1e-6 or np.abs(octaves).max() > 100:
        return None
    steps = np.ldexp(steps.flat[0], np.rint(octaves).astype(np.int64))
    several = read_lattice(Lattice(steps, np.mod(origins, steps)).pack(), channels, times)
    return several if several is not None and _helps(several.steps, bound) and _fits(several, values) else None


def _helps(steps: Numbers, bound: float) -> bool:
    finite = steps[np.isfinite(steps)]
    if not finite.size:
        return False
    lattice = Lattice(finite.reshape(1, -1), np.zeros((1, finite.size)))
    return bool(np.median(lattice.allowed(bound, 0.0)) >= _SMALLEST_GAIN * bound)


def _fits(lattice: Lattice, values: Values) -> bool:
    """Whether all values lie on the lattice, as exactly as their type and `pack` can say."""
    snapped: Numbers = values.astype(np.float64)
    lattice.snap(snapped)
    known = np.isfinite(values)
    away = np.abs(np.where(known, snapped - values, 0.0)).max(axis=(2, 3))
    return bool((away <= _precision(values[known]) + lattice.steps / _PHASES).all())


def _of_map(values: Values) -> tuple[float, float] | None:
    """Step and origin of one lattice for all values; an infinite step where they are all the same."""
    known = values[np.isfinite(values)]
    if not known.size:
        return np.inf, 0.0
    points = np.unique(_some(known, _MOST_VALUES)).astype(np.float64)
    if points.size < 2:
        return np.inf, float(points[0])
    precision, gaps = _precision(known), np.diff(points)
    step = _common_divisor(gaps, precision)
    if step < _FEWEST_STEPS * precision:
        return None
    for most in (4, 64, np.inf):  # counts of steps are certain for small gaps first, which make the step more precise
        near = gaps[gaps < most * step]
        counts = np.rint(near / step)
        if not near.size or np.abs(near - counts * step).max() > 2 * precision + 0.1 * step:
            return None
        step = float(near.sum() / counts.sum())
    places = np.concatenate([[0.0], np.cumsum(np.rint(gaps / step))])
    step = float((points[-1] - points[0]) / places[-1])
    origin = float(np.mean(points - places * step))
    if np.abs(points - origin - places * step).max() > 2 * precision:
        return None
    return step, origin % step


def _some(values: Values, most: int) -> Values:
    """About so many of the values that are known, evenly spread."""
    some = values.reshape(-1)[:: max(values.size // most, 1)]
    return some[np.isfinite(some)]


def _common_divisor(gaps: Numbers, precision: float) -> float:
    """The approximate greatest common divisor of the smallest gaps (Euclid)."""
    divisor = float(gaps.min())
    for gap in np.unique(np.sort(gaps)[:_SMALL_GAPS]).tolist():
        first, second = gap, divisor
        while second > 4 * precision + 0.05 * divisor:
            first, second = second, abs(first - second * round(first / second))
        divisor = min(divisor, first)
    return divisor


def _precision(values: Values) -> float:
    """Spacing of the numbers around the largest of the values; float64 values may be float32 numbers."""
    if not values.size:
        return 0.0
    largest = np.abs(values).max()
    narrow = values.dtype == np.float32 or bool((values == values.astype(np.float32)).all())
    return float(np.spacing(np.float32(largest) if narrow else largest))

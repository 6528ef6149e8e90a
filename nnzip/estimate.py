"""Time, size and memory of a compression before it starts, from a small sample of the data that is coded and timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.compress_network import estimate_network
from nnzip.data.grouping import plan_groups
from nnzip.data.opening import Data, opened
from nnzip.executor import ALONE
from nnzip.goals import TileGoals
from nnzip.jobs import Job, code
from nnzip.parts import Part, plan_parts, source_bytes
from nnzip.plan.cutting import SLAB_VALUES
from nnzip.progress import Estimate
from nnzip.promises.resolve import resolve
from nnzip.request.options import NETWORK, Options, options_of
from nnzip.request.promises import RegionTolerance
from nnzip.request.target import Target
from nnzip.survey import survey
from nnzip.tile.samples import SAMPLES

_MOST, _SHARE = (1 << 17, 1 << 19), 8  # values of a sample per variable: one in 8, the more for one in 64, but
_TINY = 1 << 13  # no fewer than these, which show what a tile takes whatever its size
_TIMES = 48  # of a sample, where all rows and columns do not leave more
_PER_SAMPLE = 1 << 23  # values of the data for each sample of a quick estimate, for a few per cent of the time
_TRIAL = {True: 2.3, False: 1.0}  # seconds of the choice of a coding over those of the coding; True: under a bound
_CACHED, _BEYOND = 1 << 20, {True: 2e-7, False: 0.0}  # seconds for each value of a tile that caches do not hold
_START = 0.15  # seconds of the opening, the manifest and the last check
_READING = 4e-8, 1e-6  # seconds per value: usual for maps too large to try, and most, where one is read with all others
_Middle = tuple[float, float, float]  # of a sample, as shares of times, rows and columns
_MIDDLES: Mapping[bool, tuple[_Middle, ...]] = {
    True: ((0.5, 0.25, 0.5), (0.5, 0.75, 0.5), (0.5, 0.5, 0.5)),
    False: ((0.5, 0.5, 0.5), (0.2, 0.5, 0.5), (0.8, 0.5, 0.5)),
}  # of maps with at least so many rows, and of others:
_LARGE_MAP = 180
_TILE_COPIES = 15  # of a tile's values as float32 while it is coded
_BASE_BYTES = 200_000_000  # of the program and its libraries


def estimate(data: Data, options: Options | Target | None = None, *, jobs: int = 1, quick: bool = False) -> Estimate:
    """What `compress` takes for the same `data` and `options` with so many `jobs`.

    Time and size are usually right within a factor of 1.5. Samples of at most 2^19 values of each variable, at three
    places, are coded with the same goals, regions left out. `quick`: of so few variables that this takes a few per cent
    of the compression's time, or some tenths of a second; where that leaves some out, the size is only known if it is
    the target. Raises what `compress` raises for requests that make no sense.
    """
    options = options_of(options)
    with opened(data) as dataset:
        if options.mode == NETWORK:
            return estimate_network(dataset, options, jobs)
        return _estimate(dataset, options, jobs, quick)


def _estimate(dataset: xr.Dataset, options: Options, jobs: int, quick: bool) -> Estimate:
    _, _, parts = plan_parts(dataset, options)
    most = source_bytes(parts) // 4 // _PER_SAMPLE if quick else 3 * len(parts)
    chosen = parts[:: -(-len(parts) // max(most, 1))]
    glances = {part.layout.name: _Glance.of(part) for part in chosen}
    middles = _MIDDLES[max(part.shape[2] for part in parts) >= _LARGE_MAP][: max(most // len(parts), 1)]
    costs = _coded(chosen, glances, options, middles)
    missing = _Cost.mean(list(costs.values()) or [_USUAL])
    read = fmean(glance.seconds for glance in glances.values())
    limit, tiles = options.target.file_bytes(source_bytes(parts)), sum(part.tiles for part in parts)
    workers = min(jobs, tiles)
    coding, size, reading = {}, 0.0, _START
    for part in parts:
        name, values = part.layout.name, prod(part.shape)
        cost, once = costs.get(name, missing), glances[name].seconds if name in glances else read
        coding[name] = (cost.of(part, options) + once * values) / workers
        reading += (once + cost.survey) * values / workers
        size += cost.bytes * values
    largest = [prod(map(max, part.sizes)) for part in parts]
    slab = max(min(max(tile, SLAB_VALUES), prod(part.shape)) for tile, part in zip(largest, parts, strict=True))
    return Estimate(
        tiles=tiles,
        memory_bytes=_BASE_BYTES + 4 * (slab + _TILE_COPIES * max(largest) * workers),
        source_bytes=source_bytes(parts),
        file_bytes=limit or (round(size) if costs and len(chosen) == len(parts) else None),
        reading=reading,
        coding=coding,
    )


@dataclass(frozen=True)
class _Cost:
    """Of a variable: bytes per value, seconds per value for looking at it first, per tile whatever its size, and per
    value that a coding is both tried on and used for."""

    bytes: float
    survey: float
    tile: float
    value: float

    @classmethod
    def mean(cls, costs: Sequence[_Cost]) -> _Cost:
        """Of several."""
        return cls(
            *(fmean(numbers) for numbers in zip(*((c.bytes, c.survey, c.tile, c.value) for c in costs), strict=True))
        )

    def of(self, part: Part, options: Options) -> float:
        """Seconds for all tiles of a variable."""
        each, enough = prod(part.shape) / part.tiles, SAMPLES[options.effort]
        bounded = options.target.limits_errors
        trial, beyond = _TRIAL[bounded], _BEYOND[bounded] * max(each - _CACHED, 0)
        tried = each if each <= 2 * enough else enough
        return part.tiles * (self.tile + beyond + self.value * (each + trial * tried) / (1 + trial))


_USUAL = _Cost(0.0, 2e-8, 0.05, 1.2e-6)  # where a sample holds no value


@dataclass(frozen=True)
class _Glance:
    """Range of some maps of a variable, per channel (infinite where it is not known), and seconds per value of reading
    one."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seconds: float

    @classmethod
    def of(cls, part: Part) -> _Glance:
        channels, times, rows, columns = part.shape
        low, high, seconds = np.full(channels, np.inf), np.full(channels, -np.inf), _READING[1]
        if channels * rows * columns > SLAB_VALUES:
            return cls(low, high, _READING[0])
        for time in {0, times // 2, times - 1}:
            started = perf_counter()
            values = part.read_box(range(channels), range(time, time + 1), range(rows), range(columns))
            seconds = min(seconds, (perf_counter() - started) / values.size)
            low = np.fmin(low, np.fmin.reduce(values, axis=(1, 2, 3)))
            high = np.fmax(high, np.fmax.reduce(values, axis=(1, 2, 3)))
        return cls(low, high, seconds)


class _Sample(NamedTuple):
    """A small part of a variable, its coding as one tile, and the seconds that its survey took."""

    piece: Part
    job: Job
    survey: float


def _coded(
    parts: Sequence[Part], glances: Mapping[str, _Glance], options: Options, middles: Sequence[_Middle]
) -> dict[str, _Cost]:
    """Cost of each variable of which one of the samples holds a value."""
    most = min(max(*(prod(part.shape) // 64 for part in parts), _MOST[0]), _MOST[1])
    samples = [_sampled(parts, glances, options, most, middle) for middle in middles]
    every = [sample for found in samples for sample in found]
    if not every:
        return {}
    first = every[0]
    tiny = next(iter(_sampled([first.piece], glances, options, _TINY, (0.5, 0.5, 0.5))), first).job
    _timed(tiny)  # loads what coding needs
    fixed, found = _timed(tiny)[0], [_timed(sample.job) for sample in every]
    fixed -= min(tiny.values * max(found[0][0] - fixed, 0) / max(first.job.values - tiny.values, 1), fixed / 2)
    costs: dict[str, list[_Cost]] = {}
    for sample, (seconds, size) in zip(every, found, strict=True):
        values, slope = sample.job.values, max(seconds - fixed, seconds / 4)
        cost = _Cost(size / values, sample.survey / values, min(fixed, seconds), slope / values)
        costs.setdefault(sample.piece.layout.name, []).append(cost)
    return {name: _Cost.mean(several) for name, several in costs.items()}


def _sampled(
    parts: Sequence[Part], glances: Mapping[str, _Glance], options: Options, most: int, middle: _Middle
) -> list[_Sample]:
    """Of each variable that holds a value there, at most about so many values."""
    cropped = parts[0].dataset.isel(_window(parts, most, middle))
    names = [part.layout.name for part in parts if bool(cropped[part.layout.name].load().notnull().any())]
    if not names:
        return []
    groups, _ = plan_groups(cropped, names)
    pieces = [Part.of(cropped, group, layout, {}) for group in groups for layout in group.variables]
    surveys, seconds = [], []
    for piece in pieces:
        started = perf_counter()
        found = survey(piece, ALONE, with_rates=options.target.limits_size)
        seconds.append(perf_counter() - started)
        glance = glances[piece.layout.name]
        surveys.append(replace(found, low=np.fmin(found.low, glance.low), high=np.fmax(found.high, glance.high)))
    ranges = {piece.layout.name: found.range for piece, found in zip(pieces, surveys, strict=True)}
    goals = resolve(cropped, groups, ranges, _about(options, names))
    room = options.target.file_bytes(source_bytes(pieces))
    jobs = TileGoals(pieces, surveys, goals, room).jobs(options.effort, "cpu")
    return [_Sample(*found) for found in zip(pieces, jobs, seconds, strict=True)]


def _about(options: Options, names: Sequence[str]) -> Options:
    """What is asked of these variables, without regions, which may lie outside the sample."""
    named = {None, *names}
    bounds, rmse = (
        None if wanted is None else {name: quantity for name, quantity in wanted.items() if name in named}
        for wanted in (options.target.max_error, options.target.rmse)
    )
    promises = tuple(p for p in options.promises if not isinstance(p, RegionTolerance) and p.variable in named)
    return replace(options, target=replace(options.target, max_error=bounds, rmse=rmse), promises=promises)


def _window(parts: Sequence[Part], most: int, middle: _Middle) -> dict[str, slice]:
    """The sample's part of each dimension."""
    window: dict[str, slice] = {}
    for part in parts:
        channels, times, rows, columns = part.shape
        enough = min(max(prod(part.shape) // _SHARE, _TINY), most) / channels
        together = min(times, max(_TIMES, round(enough / (rows * columns))))
        side = min((enough / (together * rows * columns)) ** 0.5, 1.0)
        wished = together, rows * side, columns * side
        for dim, size, length, share in zip(part.group.dims, part.shape[1:], wished, middle, strict=True):
            if dim is not None:
                points = min(max(round(length), 16), size)
                start = min(max(round(share * size - points / 2), 0), size - points)
                window.setdefault(dim, slice(start, start + points))
    return window


def _timed(job: Job) -> tuple[float, int]:
    """Seconds and bytes of the coding of a job."""
    started = perf_counter()
    size = sum(len(done.data) for done in code(job))
    return perf_counter() - started, size

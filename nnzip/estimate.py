"""Time, size and memory of a compression before it starts, from a small sample of the data that is coded and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from statistics import fmean
from time import perf_counter

import numpy as np
import xarray as xr

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
from nnzip.survey import Survey, survey
from nnzip.tile.samples import SAMPLES

_MOST, _SHARE = 1 << 17, 16  # values of a sample per variable: one in 16, but no fewer than of a small tile
_TIMES = 48  # of a sample, where all rows and columns do not leave more
_PER_SAMPLE = 1 << 23  # values of the data for each sample of a quick estimate, for a few per cent of the time
_SMALL, _SMALL_SHARE = 1 << 15, 0.75  # values of a small tile, and how much of its time others take whatever their size
_TRIAL = {True: 4.0, False: 1.0}  # seconds of the choice of a coding over those of the coding; True: under a bound
_READING = 4e-8, 1e-6  # seconds per value: usual without a sample, and most, where a map is read with all others
_USUAL = {True: 1.3e-6, False: 0.6e-6}  # seconds per value without a sample; True: under a bound
_USUAL_TILE = 0.1  # seconds per tile without a sample
_SORTED, _SORTING = 1 << 18, 0.03  # numbers, and the seconds in which the machine of `_USUAL` sorts them
_LARGE_MAP, _PLACES = 180, (0.25, 0.75, 0.5)  # rows from which a sample has parts at these shares of them
_TILE_COPIES = 15  # of a tile's values as float32 while it is coded
_BASE_BYTES = 200_000_000  # of the program and its libraries


def estimate(data: Data, options: Options | Target | None = None, *, jobs: int = 1, quick: bool = False) -> Estimate:
    """What `compress` takes for the same `data` and `options` with so many `jobs`.

    Time and size are usually right within a factor of 1.5. A sample of at most 2^17 values per variable from the middle
    is coded with the same goals, regions left out. `quick`: of so few variables that this takes a few per cent of the
    compression's time; where that leaves some out, the size is only known if it is the target. Raises what `compress`
    raises for requests that make no sense.
    """
    options = options_of(options)
    with opened(data) as dataset:
        if options.mode == NETWORK:
            return estimate_network(dataset, options, jobs)
        return _estimate(dataset, options, jobs, quick)


def _estimate(dataset: xr.Dataset, options: Options, jobs: int, quick: bool) -> Estimate:
    _, _, parts = plan_parts(dataset, options)
    most = source_bytes(parts) // 4 // _PER_SAMPLE if quick else len(_PLACES) * len(parts)
    chosen = parts[:: -(-len(parts) // most)] if most else []
    costs = _coded(dataset, chosen, options, _PLACES[: max(most // len(parts), 1)]) if chosen else {}
    missing = _Cost.mean(list(costs.values())) if costs else None
    limit, tiles = options.target.file_bytes(source_bytes(parts)), sum(part.tiles for part in parts)
    workers = min(jobs, tiles)
    slowness = 1.0 if missing else _slowness()
    coding, size, reading = {}, 0.0, 0.0
    for part in parts:
        read = _reading(part) if costs else _READING[0] * slowness
        cost, values = costs.get(part.layout.name, missing), prod(part.shape)
        usual = _USUAL[options.target.limits_errors] * values + _USUAL_TILE * part.tiles
        taken = slowness * usual if cost is None else cost.of(part, options)
        coding[part.layout.name] = (taken + read * values) / workers
        reading += read * values / workers
        size += 0 if cost is None else cost.bytes * values
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
    """Of a variable: bytes per value, seconds per tile whatever its size, and seconds per value that a coding is both
    tried on and used for."""

    bytes: float
    tile: float
    value: float

    @classmethod
    def mean(cls, costs: Sequence[_Cost]) -> _Cost:
        """Of several."""
        return cls(*(fmean(numbers) for numbers in zip(*((c.bytes, c.tile, c.value) for c in costs), strict=True)))

    def of(self, part: Part, options: Options) -> float:
        """Seconds for all tiles of a variable."""
        each, enough = prod(part.shape) / part.tiles, SAMPLES[options.effort]
        trial = _TRIAL[options.target.limits_errors]
        tried = each if each <= 2 * enough else enough
        return part.tiles * (self.tile + self.value * (each + trial * tried) / (1 + trial))


def _coded(dataset: xr.Dataset, parts: Sequence[Part], options: Options, where: Sequence[float]) -> dict[str, _Cost]:
    """Cost of each variable of which the sample holds a value; `where`: places of its parts in large maps."""
    large = max(part.shape[2] for part in parts) >= _LARGE_MAP
    places = [_sampled(dataset, parts, options, _MOST, place) for place in (where if large else (0.5,))]
    if not any(places):
        return {}
    small = _sampled(dataset, parts[:1], options, _SMALL, 0.5)
    least = next(job for jobs in (small, *places) for job in jobs.values())
    _timed(least)  # loads what coding needs
    fixed = _SMALL_SHARE * _timed(least)[0]
    costs: dict[str, list[_Cost]] = {}
    for name, job in (item for jobs in places for item in jobs.items()):
        seconds, size = _timed(job)
        slope = max(seconds - fixed, seconds / 4) / job.values
        costs.setdefault(name, []).append(_Cost(size / job.values, min(fixed, seconds), slope))
    return {name: _Cost.mean(found) for name, found in costs.items()}


def _sampled(dataset: xr.Dataset, parts: Sequence[Part], options: Options, most: int, place: float) -> dict[str, Job]:
    """A small tile of each variable that holds a value there, of at most about so many values; `place`: its middle, as
    a share of the rows.
    """
    cropped = dataset.isel(_window(parts, most, place))
    names = [part.layout.name for part in parts if bool(cropped[part.layout.name].load().notnull().any())]
    if not names:
        return {}
    groups, _ = plan_groups(cropped, names)
    pieces = {layout.name: Part.of(cropped, group, layout, {}) for group in groups for layout in group.variables}
    whole = {part.layout.name: part for part in parts}
    surveys = {name: _surveyed(piece, whole[name], options) for name, piece in pieces.items()}
    goals = resolve(cropped, groups, {name: found.range for name, found in surveys.items()}, _about(options, names))
    room = options.target.file_bytes(source_bytes(list(pieces.values())))
    tiles = TileGoals(list(pieces.values()), list(surveys.values()), goals, room)
    return dict(zip(pieces, tiles.jobs(options.effort, "cpu"), strict=True))


def _about(options: Options, names: Sequence[str]) -> Options:
    """What is asked of these variables, without regions, which may lie outside the sample."""
    named = {None, *names}
    bounds, rmse = (
        None if wanted is None else {name: quantity for name, quantity in wanted.items() if name in named}
        for wanted in (options.target.max_error, options.target.rmse)
    )
    promises = tuple(p for p in options.promises if not isinstance(p, RegionTolerance) and p.variable in named)
    return replace(options, target=replace(options.target, max_error=bounds, rmse=rmse), promises=promises)


def _surveyed(piece: Part, whole: Part, options: Options) -> Survey:
    """Survey of a piece, with the range of some maps of the whole."""
    found = survey(piece, ALONE, with_rates=options.target.limits_size)
    channels, times, rows, columns = whole.shape
    if channels * rows * columns > SLAB_VALUES:
        return found
    low, high = found.low, found.high
    for time in {0, times // 2, times - 1}:
        values = whole.read_box(range(channels), range(time, time + 1), range(rows), range(columns))
        low = np.fmin(low, np.fmin.reduce(values, axis=(1, 2, 3)))
        high = np.fmax(high, np.fmax.reduce(values, axis=(1, 2, 3)))
    return replace(found, low=low, high=high)


def _window(parts: Sequence[Part], most: int, place: float) -> dict[str, slice]:
    """The sample's part of each dimension: in the middle of times and columns, the rows around `place`."""
    window: dict[str, slice] = {}
    for part in parts:
        channels, times, rows, columns = part.shape
        enough = min(max(prod(part.shape) // _SHARE, _SMALL), most) / channels
        together = min(times, max(_TIMES, round(enough / (rows * columns))))
        side = min((enough / (together * rows * columns)) ** 0.5, 1.0)
        wished = together, rows * side, columns * side
        middles = 0.5, place, 0.5
        for dim, size, length, middle in zip(part.group.dims, part.shape[1:], wished, middles, strict=True):
            if dim is not None:
                points = min(max(round(length), 16), size)
                start = min(max(round(middle * size - points / 2), 0), size - points)
                window.setdefault(dim, slice(start, start + points))
    return window


def _reading(part: Part) -> float:
    """Seconds per value of the reading of one map."""
    channels, times, rows, columns = part.shape
    if channels * rows * columns > SLAB_VALUES:
        return _READING[0]
    started = perf_counter()
    part.read_box(range(channels), range(times // 3, times // 3 + 1), range(rows), range(columns))
    return min((perf_counter() - started) / (channels * rows * columns), _READING[1])


def _slowness() -> float:
    """How many times longer this machine, busy as it is, takes than that of `_USUAL`."""
    numbers = np.random.default_rng(0).random(_SORTED)
    started = perf_counter()
    np.argsort(numbers, kind="stable")
    return (perf_counter() - started) / _SORTING


def _timed(job: Job) -> tuple[float, int]:
    """Seconds and bytes of the coding of a job."""
    started = perf_counter()
    size = sum(len(done.data) for done in code(job))
    return perf_counter() - started, size

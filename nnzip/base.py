"""The base of a variable: maps of the mean and the daily cycle of every cell, in long records of their seasons too,
fitted to tiles spread over the record and kept once for all. Only where a trial shows that it saves more than it costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from msgspec.structs import replace

from nnzip.container.manifest import BaseEntry
from nnzip.data.axes import DAY_SECONDS
from nnzip.executor import Workers
from nnzip.jobs import CodedBase
from nnzip.parts import Part, Run, even
from nnzip.plan.cutting import Box
from nnzip.promises.goals import BoxPromised, Goals, Promised
from nnzip.request.options import AUTO, Options
from nnzip.tile.bounded import encode_bounded, expected_sizes
from nnzip.tile.decode import Maps
from nnzip.transform.cycles import Cycle, fit_maps
from nnzip.transform.fill import fill_missing

_FEWEST_PIECES = 3  # of time
_MOST_PIECES = 24  # of time that maps are fitted to
_MOST_VALUES = 1 << 25  # of all maps of a variable, which are in memory together
_LONG = 180 * 86400.0  # seconds from which on a record has seasons
_YEAR = 365.2425 * 86400.0  # seconds
_RIDGE = 1e-3
_LARGEST = 1e30  # value of a map
_BOUND_SHARES = 2.5, 0.5  # bound of the maps in that of the values: by the root of the number of times, and at most
_TRIED = (1 / 6, 1 / 2, 5 / 6)  # tiles, at these shares of the times and of the places
_LEAST_SAVED = 0.01


@dataclass(frozen=True)
class VariableBase:
    """The coded maps of every place, and what the archive says about them."""

    entry: BaseEntry
    places: tuple[bytes, ...]

    def of_tile(self, part: Part, tile: int) -> CodedBase | None:
        """None where the times of a tile are uneven."""
        cycle = _cycle(part, tile, self.entry.harmonics)
        weights = _weights(part, tile, seasonal=self.entry.seasonal)
        return None if cycle is None else CodedBase(self.places[tile % part.places], self.entry.count, cycle, weights)


def find_base(part: Part, goals: Goals, options: Options, workers: Workers) -> VariableBase | None:
    """The base of a variable under a bound; None where it does not pay. Reads up to 24 tiles of every place. Memory:
    the maps, of at most 2^25 values, twice."""
    promised = goals.promised.get(part.layout.name)
    if options.mode != AUTO or promised is None or not promised.bound or len(part.sizes[1]) < _FEWEST_PIECES:
        return None
    times = part.grid.time
    seasonal = times.geographic and float(np.ptp(times.values)) >= _LONG
    entry = BaseEntry(_harmonics(part), seasonal)
    if entry.count * part.shape[0] * part.shape[2] * part.shape[3] > _MOST_VALUES:
        return None
    maps = _fit(part, entry, workers)
    if not float(np.abs(maps).max()) < _LARGEST:
        return None
    share = min(_BOUND_SHARES[0] / part.shape[1] ** 0.5, _BOUND_SHARES[1])  # an error in a map is one at all times
    bound = BoxPromised(share * promised.bound, (0.0,) * entry.count, "float32")
    places = []
    for place in range(part.places):
        channels, _, rows, columns = part.box(place).slices
        kept = np.ascontiguousarray(maps[:, channels, rows, columns])
        places.append(encode_bounded(kept, bound, periodic=part.periodic(place), effort=options.effort).data)
    del maps
    return _judged(part, VariableBase(entry, tuple(places)), promised, options.effort)


def _harmonics(part: Part) -> int:
    """Of the day, that the times of a record show."""
    steps = np.diff(part.grid.time.values)
    if not (part.grid.time.geographic and part.grid.longitude.geographic) or not even(steps):
        return 0
    cycle = Cycle.of_steps(0.0, 2 * np.pi / DAY_SECONDS * float(steps[0]), 0.0)
    return 0 if cycle is None else cycle.harmonics


def _cycle(part: Part, tile: int, harmonics: int) -> Cycle | None:
    if not harmonics:
        return Cycle(0.0, 0.0, 0.0, 0)
    angles = part.day_angles(tile)
    return None if angles is None else Cycle(*angles, harmonics)


def _weights(part: Part, tile: int, *, seasonal: bool) -> tuple[float, ...]:
    """1, and with seasons cosine and sine of the year in the middle of a tile."""
    if not seasonal:
        return (1.0,)
    times = part.grid.time.values[part.box(tile).slices[1]]
    angle = 2 * np.pi * float(times[0] + times[-1]) / 2 / _YEAR
    return 1.0, float(np.float32(np.cos(angle))), float(np.float32(np.sin(angle)))


def _fit(part: Part, entry: BaseEntry, workers: Workers) -> Maps:
    """Maps [function, channel, lat, lon]: the seasons of what the tiles of a place have in the least squares."""
    pieces = len(part.sizes[1])
    chosen = {round(place) for place in np.linspace(0, pieces - 1, min(pieces, _MOST_PIECES)).tolist()}
    gram = np.zeros((entry.weights, entry.weights))
    moments = np.zeros((entry.weights, entry.functions, *(part.shape[axis] for axis in (0, 2, 3))), dtype=np.float32)
    runs = (
        (run, {tile: _cycle(part, tile, entry.harmonics) for tile in run.boxes})
        for run in part.runs(workers.count, chosen)
    )
    for tile, box, maps in workers.results(_tile_maps, runs):
        weights = np.array(_weights(part, tile, seasonal=entry.seasonal))
        if tile % part.places == 0:
            gram += len(box.times) * np.outer(weights, weights)
        channels, _, rows, columns = box.slices
        for moment, weight in zip(moments, weights, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                moment[:, channels, rows, columns] += np.float32(len(box.times) * weight) * maps
    gram += np.diag([0.0] + [_RIDGE * gram[0, 0]] * (entry.weights - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        solved = np.linalg.inv(gram).astype(np.float32) @ moments.reshape(entry.weights, -1)
    return solved.reshape(-1, *moments.shape[2:])


def _tile_maps(job: tuple[Run, dict[int, Cycle | None]]) -> Iterator[tuple[int, Box, Maps]]:
    """Mean and daily cycle [function, channel, lat, lon] of the tiles of a run."""
    run, cycles = job
    for tile, box, values in run.read():
        cycle = cycles[tile]
        if cycle is None:
            continue
        filled = fill_missing(values, np.isnan(values))
        with np.errstate(over="ignore", invalid="ignore"):  # of values too large for maps
            means = filled.mean(axis=(1, 2, 3), dtype=np.float64, keepdims=True)
            rest = (filled - means).astype(np.float32)
            maps = fit_maps(rest, cycle.functions(rest.shape[1], rest.shape[3]))
            maps[:, 0] += means[:, 0].astype(np.float32)
        yield tile, box, maps.swapaxes(0, 1)


def _judged(part: Part, base: VariableBase, promised: Promised, effort: str) -> VariableBase | None:
    """The base with what it explains and saves, measured on some tiles; None where it saves next to nothing."""
    without = above = squares = left = 0.0
    tried = 0
    for share in _TRIED:
        tile = int(share * len(part.sizes[1])) * part.places + int(share * part.places)
        box, coded = part.box(tile), base.of_tile(part, tile)
        if coded is None:
            continue
        values, decoded = part.read_box(*box), coded.decoded(box.shape)
        sizes = expected_sizes(
            values,
            promised.within(box),
            periodic=part.periodic(tile),
            cycle=part.cycle(tile),
            base=decoded,
            effort=effort,
        )
        without, above, tried = without + sizes[0], above + sizes[1], tried + values.size
        squares += float(np.nansum((values - np.nanmean(values)).astype(np.float64) ** 2))
        rest = values.astype(np.float64)
        decoded.add(rest, decoded.functions(box.shape), sign=-1)
        left += float(np.nansum(rest**2))
    if not tried:
        return None
    whole = without / tried * prod(part.shape)
    saved = 1 - (above / without + sum(map(len, base.places)) / whole)
    if saved < _LEAST_SAVED:
        return None
    entry = replace(base.entry, explained=float(f"{max(1 - left / squares, 0.0):.3g}"), saved=float(f"{saved:.2g}"))
    return VariableBase(entry, base.places)

"""The record of a group of variables as a network learns it: random blocks, read as they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnzip.evaluate.weights import latitude_weights
from nnzip.parts import Part
from nnzip.request.promises import TailTolerance
from nnzip.survey import Survey

_POOL = 1 << 25  # values that are held at once
_RUNS = 16  # pieces of time that the pool is made of
_BATCH = 1 << 16  # values of a batch
_FEWEST_TIMES, _FEWEST_ROWS = 16, 8
_START = 1 << 23  # values of the first guess
_STALE = 4  # times that a pool is seen before a part of it is read anew

Values = NDArray[np.float32]
Points = NDArray[np.int64]
Batch = tuple[Points, Points | None, Values, Values]
_Tail = tuple[float | None, float | None, float]


class Record:
    """Values of all channels of `parts`, which share a grid, in units of `scale` [output] around their mean.

    Weights are the area of points times the `importance` [output], more in the tails, zero where missing. Memory: four
    times the pool."""

    def __init__(
        self,
        parts: Sequence[Part],
        surveys: Sequence[Survey],
        scale: Values,
        importance: NDArray[np.float64],
        tails: Mapping[str, Sequence[TailTolerance]],
        seed: int,
    ) -> None:
        self._parts, self._dice = parts, np.random.default_rng(seed)
        self.mean = np.concatenate([found.mean for found in surveys]).astype(np.float32)
        self.scale, self.importance = scale, importance
        grid = parts[0].grid
        self.axes = grid.time.values, grid.latitude.values, grid.longitude.vertices
        self._area = np.ones(self.axes[1].size)
        if grid.latitude.geographic:
            self._area = latitude_weights(grid.latitude.values)
        self._held = min(max(_POOL // (self.mean.size * self._map), _RUNS), self.axes[0].size)
        self._run = -(-self._held // _RUNS)
        self._whole = self._held == self.axes[0].size
        self._drawn = 0
        self._tails: list[_Tail] = [(None, None, 1.0)] * self.mean.size
        if self._whole:
            self._times = np.arange(self._held)
            self._values, self._weights = self._read(range(self._held))
        else:
            runs = [self._random_run() for _ in range(-(-self._held // self._run))]
            self._times = np.concatenate([np.array(run) for run in runs])
            read = [self._read(run) for run in runs]
            self._values = np.concatenate([values for values, _ in read], axis=1)
            self._weights = np.concatenate([weights for _, weights in read], axis=1)
        self._tails = self._thresholds(tails)
        self._add_tails(self._values, self._weights)

    @property
    def _map(self) -> int:
        return self.axes[1].size * self.axes[2].size

    @property
    def roughness(self) -> NDArray[np.float64]:
        """Root mean square difference of neighbours along (longitude, latitude, time)."""
        found = []
        for axis in (3, 2, 1):
            here, there = (np.moveaxis(self._values, axis, 0)[some] for some in (slice(1, None), slice(None, -1)))
            known = np.moveaxis(self._weights, axis, 0)
            weight = np.minimum(known[1:], known[:-1])
            if axis == 1:
                weight = weight * (np.diff(self._times) == 1)[:, None, None, None]
            total = float(weight.sum(dtype=np.float64))
            square = float((np.square(here - there) * weight).sum(dtype=np.float64))
            found.append((square / total) ** 0.5 if total else 0.0)
        return np.array(found)

    def draw(self, dice: np.random.Generator) -> Batch:
        """Random times, and of large maps random rows."""
        self._refresh()
        rows, row = None, self.axes[2].size * self.mean.size
        times = min(max(_BATCH // (row * self.axes[1].size), _FEWEST_TIMES), self._held)
        count = min(max(_BATCH // (row * times), _FEWEST_ROWS), self.axes[1].size)
        if count < self.axes[1].size:
            rows = np.sort(dice.choice(self.axes[1].size, count, replace=False))
        chosen = np.sort(dice.choice(self._held, times, replace=False))
        self._drawn += times * count * row
        return self._batch(chosen, rows)

    def start(self) -> list[Batch]:
        """Evenly spaced blocks."""
        most = max(_START // (self.mean.size * self._map), 1)
        chosen = (
            np.arange(self._held) if most >= self._held else np.sort(self._dice.choice(self._held, most, replace=False))
        )
        each = max(4 * _BATCH // (self.mean.size * self._map), 1)
        return [self._batch(chosen[k : k + each], None) for k in range(0, chosen.size, each)]

    def _batch(self, places: Points, rows: Points | None) -> Batch:
        where = (slice(None), places) if rows is None else (slice(None), places[:, None], rows)
        return self._times[places], rows, self._values[where], self._weights[where]

    def _refresh(self) -> None:
        """Read a part of the record anew, once the pool has been seen often enough."""
        if self._whole or self._drawn < _STALE * self._values.size / _RUNS:
            return
        self._drawn = 0
        place = int(self._dice.integers(self._held // self._run)) * self._run
        run = self._random_run()
        here = slice(place, place + len(run))
        self._times[here] = run
        self._values[:, here], self._weights[:, here] = self._read(run)
        self._add_tails(self._values[:, here], self._weights[:, here])

    def _random_run(self) -> range:
        first = int(self._dice.integers(self.axes[0].size - self._run + 1))
        return range(first, first + self._run)

    def _read(self, times: range) -> tuple[Values, Values]:
        """Values and weights [output, time, lat, lon]."""
        read = []
        for part in self._parts:
            channels, _, rows, columns = part.shape
            read.append(part.read_box(range(channels), times, range(rows), range(columns)))
        values = np.concatenate(read).astype(np.float64)
        wrapped = self.axes[2].size - values.shape[3]
        values = (values - self.mean[:, None, None, None]) / self.scale[:, None, None, None]
        values = np.concatenate([values, values[..., :wrapped]], axis=3)
        known = np.isfinite(values)
        weights = known * self._area[:, None] * self.importance[:, None, None, None]
        share = prod(known.shape) / max(float(known.sum()), 1.0)
        return np.where(known, values, 0).astype(np.float32), (weights * share).astype(np.float32)

    def _thresholds(self, tails: Mapping[str, Sequence[TailTolerance]]) -> list[_Tail]:
        """Of every output: where the tails begin, in units of the scale, and the factor of the error there."""
        found: list[_Tail] = []
        for part in self._parts:
            wanted = list(tails.get(part.layout.name, ()))
            for _ in range(part.shape[0]):
                known = self._values[len(found)][self._weights[len(found)] > 0]
                lower = upper = None
                factor = 1.0
                for tail in wanted:
                    factor = min(factor, tail.factor)
                    lower = lower if tail.lower is None else float(np.percentile(known, tail.lower))
                    upper = upper if tail.upper is None else float(np.percentile(known, tail.upper))
                found.append((lower, upper, factor))
        return found

    def _add_tails(self, values: Values, weights: Values) -> None:
        """An error in the tails counts as much as one so many times larger elsewhere."""
        for output, (lower, upper, factor) in enumerate(self._tails):
            beyond = np.zeros(values.shape[1:], dtype=np.bool_)
            if lower is not None:
                beyond |= values[output] < lower
            if upper is not None:
                beyond |= values[output] > upper
            weights[output][beyond] *= factor**-2

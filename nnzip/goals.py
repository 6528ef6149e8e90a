"""From the goals of an archive to the goal of each tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nnzip.base import VariableBase
from nnzip.container.manifest import tile_member
from nnzip.container.zip import MEMBER_BYTES
from nnzip.evaluate.weights import latitude_weights
from nnzip.jobs import Job
from nnzip.parts import Part
from nnzip.plan.budget import Rate, allot
from nnzip.plan.cutting import Box
from nnzip.promises.goals import BoxPromised, Goals
from nnzip.survey import Survey, TileSurvey
from nnzip.tile.budgeted import Scaling
from nnzip.tile.encode import Goal, Rmse, Size
from nnzip.tile.scaling import scaling_of
from nnzip.transform.rates import LARGEST_STEP, SMALLEST_STEP
from nnzip.transform.stretch import Stretch, TailOptions, choose_stretch

_HEADER = 90  # bytes of a tile beside its streams
_SAMPLE_VALUES = 1 << 24  # that quantiles are taken from


class TileGoals:
    """Goals of all tiles, of which `parts` and `surveys` hold a variable each; `room`: bytes for all of them where the
    size is the target."""

    def __init__(self, parts: Sequence[Part], surveys: Sequence[Survey], goals: Goals, room: float) -> None:
        self._parts, self._surveys, self._goals = parts, surveys, goals
        comparable = [] if goals.target.lossless else surveys
        self._scalings = [scaling_of(found.mean, found.variance, found.low, found.high) for found in comparable]
        self._stretches = [self._chosen_stretches(variable) for variable in range(len(parts))]
        self._sizes = self._allotted(room) if goals.target.limits_size else {}

    def of_tile(self, variable: int, tile: int) -> Goal:
        """What a tile is to reach."""
        part, goals = self._parts[variable], self._goals
        name, box = part.layout.name, part.box(tile)
        if name in goals.promised:
            return goals.promised[name].within(box)
        if goals.rmse.get(name) == 0:
            return BoxPromised(0.0, (0.0,) * len(box.channels), part.layout.dtype)
        scaling = self._scaling(variable, tile)
        if name not in goals.rmse:
            return Size(self._sizes[variable, tile], scaling)
        latitude = part.grid.latitude
        even = goals.target.psnr is not None or not latitude.geographic
        weights = np.ones(latitude.values.size) if even else latitude_weights(latitude.values)
        return Rmse(goals.rmse[name], weights[box.slices[2]], scaling)

    def jobs(
        self, effort: str, device: str, count: int = 1, bases: Sequence[VariableBase | None] = ()
    ) -> Iterator[Job]:
        """Every tile of every variable, in runs for so many workers; `bases`: of the variables."""
        for variable, part in enumerate(self._parts):
            latitude = part.grid.latitude
            weights = latitude_weights(latitude.values) if latitude.geographic else 0 * latitude.values + 1
            dtype, periodic = part.layout.dtype, part.periodic(0)
            for run in part.runs(count):
                goals = {tile: self.of_tile(variable, tile) for tile in run.boxes}
                cycles = {tile: part.cycle(tile) for tile in run.boxes}
                base = bases[variable] if bases else None
                found = {tile: None if base is None else base.of_tile(part, tile) for tile in run.boxes}
                yield Job(variable, run, goals, cycles, found, dtype, periodic, weights, effort, device)

    def _scaling(self, variable: int, tile: int) -> Scaling:
        part, box = self._parts[variable], self._parts[variable].box(tile)
        mean, scale = (numbers[box.slices[0]] for numbers in self._scalings[variable])
        stretches = tuple(
            stretch.within(box.slices[0], box.rows, part.shape[2] - 1) for stretch in self._stretches[variable]
        )
        return Scaling(mean, scale, stretches, part.rows(tile), part.edges)

    def _allotted(self, room: float) -> dict[tuple[int, int], float]:
        """Bytes of every tile: at one step, relative to the scales, for all."""
        tiles = [(variable, tile) for variable, part in enumerate(self._parts) for tile in range(part.tiles)]
        fixed = sum(MEMBER_BYTES + 2 * len(tile_member(*tile)) + _HEADER for tile in tiles)
        rates = [self._rate(*tile) for tile in tiles]
        shares = allot(rates, max(room - fixed, 0.0), (SMALLEST_STEP, LARGEST_STEP))
        return {tile: share + _HEADER for tile, share in zip(tiles, shares, strict=True)}

    def _rate(self, variable: int, tile: int) -> Rate:
        found: TileSurvey = self._surveys[variable].tiles[tile]
        scales = self._scalings[variable][1][self._parts[variable].box(tile).slices[0]]
        models = list(zip(found.rates, scales.tolist(), strict=False))
        return lambda step: found.share * sum(model.bytes(step * scale) for model, scale in models)

    def _chosen_stretches(self, variable: int) -> tuple[Stretch, ...]:
        tails = self._goals.tails.get(self._parts[variable].layout.name, ())
        if not tails:
            return ()
        values = _sample(self._parts[variable])
        known = np.isfinite(values)
        mean, scale = (numbers[:, None, None, None] for numbers in self._scalings[variable])
        standard = np.where(known, (values - mean) / scale, 0).astype(np.float32)
        stretches, places = [], np.arange(values.shape[2], dtype=np.float64)
        for tail in tails:
            options = TailOptions(1 / tail.factor, tail.lower, tail.upper, tail.local)
            stretches.append(choose_stretch(standard, known, options))
            for channel, plane in enumerate(standard):
                stretches[-1].apply(plane, channel, places, places.size - 1)
        return tuple(stretches)


def _sample(part: Part) -> NDArray[np.floating]:
    """Values of a variable [channel, time, lat, lon] at evenly spaced times."""
    channels, times, rows, columns = part.shape
    most = max(_SAMPLE_VALUES // (channels * rows * columns), 1)
    chosen = sorted({round(place) for place in np.linspace(0, times - 1, min(most, times)).tolist()})
    boxes = (Box(range(channels), range(time, time + 1), range(rows), range(columns)) for time in chosen)
    return np.concatenate([part.read_box(*box) for box in boxes], axis=1)

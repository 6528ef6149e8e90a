"""The coordinate network: hash grids and analytic inputs into a multilayer perceptron without biases.

    value(time, lat, lon) = mean + scale * MLP(static grid(lon, lat), grid(lon, lat, time), analytic inputs)

Evaluated in float32 with numpy on products of axes: each touched vertex is read once, and features are interpolated
along one axis after the other, in blocks that fit a processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from nnzip.network.grids import Coordinates, Floats, HashGrid, Hats, Level, touched
from nnzip.network.inputs import count, inputs

_BELOW = 1 - 1e-7
_BLOCK = 1 << 14  # points that are evaluated at once


@dataclass(frozen=True)
class Domain:
    """Where the record lies: `first` and `last` of (longitude, latitude, time), in degrees and seconds since 1970 or
    counts of points; `extents`: the part of the grids' unit cube that this range has along each axis; `steps` between
    the record's points: no level has more cells than these along an axis."""

    first: tuple[float, float, float]
    last: tuple[float, float, float]
    extents: tuple[float, float, float]
    steps: tuple[int, int, int]

    def share(self, axis: int, values: Coordinates) -> Coordinates:
        """0 at the first, 1 at the last one; also beyond them."""
        span = self.last[axis] - self.first[axis]
        return np.clip((values - self.first[axis]) / span, 0, 1) if span else np.zeros(values.shape)

    def cells(self, axis: int, level: Level) -> float:
        """Of a level, that the record has along an axis."""
        return min(self.extents[axis] * level.scale, float(self.steps[axis]))

    def positions(self, axis: int, values: Coordinates, level: Level) -> Coordinates:
        """Between a level's vertices, from 1 on; the end stays below its vertex, whose upper neighbour is not there."""
        return 1 + self.share(axis, values) * self.cells(axis, level) * _BELOW


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network. `static` has two axes, `dynamic` three; `widths`: of the hidden layers; `outputs`: channels
    of all variables together."""

    domain: Domain
    static: HashGrid
    dynamic: HashGrid
    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    outputs: int

    @property
    def grids(self) -> tuple[HashGrid, HashGrid]:
        return self.static, self.dynamic

    @property
    def levels(self) -> list[tuple[HashGrid, Level]]:
        """Of the static grid, then of the dynamic one, coarse to fine."""
        return [(grid, level) for grid in self.grids for level in grid.table]

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of every layer of the perceptron."""
        first = sum(grid.levels * grid.features for grid in self.grids) + count(self.inputs)
        return list(pairwise([first, *self.widths, self.outputs]))

    @property
    def features(self) -> int:
        """Of all levels."""
        return sum(grid.features * prod(self.shape(grid, level)) for grid, level in self.levels)

    def shape(self, grid: HashGrid, level: Level) -> tuple[int, ...]:
        """Shape of a level's features: entries, or touched vertices [.., axis 1, axis 0]."""
        if level.hashed:
            return (level.size,)
        return tuple(touched(self.domain.cells(axis, level)) for axis in reversed(range(grid.axes)))


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network in its canonical layout: `features` of every level (grids.py), `weights` [output, input] of
    every layer, `mean` and `scale` [output]; all float32."""

    architecture: Architecture
    features: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    mean: Floats
    scale: Floats

    def values(
        self, time: Coordinates, latitude: Coordinates, longitude: Coordinates, outputs: slice = slice(None)
    ) -> Floats:
        """Values [output, time, lat, lon] at the points of a product grid, in the variables' units."""
        result = np.empty((self.mean[outputs].size, time.size, latitude.size, longitude.size), dtype=np.float32)
        rows = max(min(_BLOCK // longitude.size, latitude.size), 1)
        times = max(_BLOCK // (longitude.size * rows), 1)
        for start in range(0, latitude.size, rows):
            here = slice(start, start + rows)
            block = _Columns(self, latitude[here], longitude)
            for first in range(0, time.size, times):
                some = slice(first, first + times)
                result[:, some, here] = block.values(time[some])[outputs]
        return result

    def points(self, time: Coordinates, latitude: Coordinates, longitude: Coordinates) -> Floats:
        """Values [output, point] at scattered points; one by one, for stations and tracks."""
        axes = zip(time, latitude, longitude, strict=True)
        found = [self.values(np.array([t]), np.array([y]), np.array([x])).ravel() for t, y, x in axes]
        return np.array(found, dtype=np.float32).reshape(-1, self.mean.size).T


class _Columns:
    """Rows and columns of a product grid: their interpolation serves all times."""

    def __init__(self, network: Network, latitude: Coordinates, longitude: Coordinates) -> None:
        self._network, self._latitude, self._longitude = network, latitude, longitude
        design = network.architecture
        axes = list(enumerate((longitude, latitude)))
        self._hats = [
            tuple(Hats.at(design.domain.positions(axis, values, level)) for axis, values in axes)
            for _, level in design.levels
        ]
        maps = [
            interpolate(level.gather(features, [hats.vertices for hats in two]), two)
            for (grid, level), features, two in zip(design.levels, network.features, self._hats, strict=True)
            if grid.axes == 2
        ]
        self._static = [np.concatenate(maps)[:, None]] if maps else []

    def values(self, time: Coordinates) -> Floats:
        """Values [output, time, lat, lon]."""
        network, design = self._network, self._network.architecture
        moving = []
        for (grid, level), features, two in zip(design.levels, network.features, self._hats, strict=True):
            if grid.axes == 3:
                hats = (*two, Hats.at(design.domain.positions(2, time, level)))
                moving.append(interpolate(level.gather(features, [each.vertices for each in hats]), hats))
        parts = [*self._static, *moving]
        share = design.domain.share(2, time)
        parts += [part[None] for part in inputs(design.inputs, time, self._latitude, self._longitude, share)]
        hidden = first_layer(parts, network.weights[0], (time.size, self._latitude.size, self._longitude.size))
        for layer in network.weights[1:]:
            hidden = layer @ np.maximum(hidden, 0, out=hidden)
        hidden *= network.scale[:, None]
        hidden += network.mean[:, None]
        return hidden.reshape(-1, time.size, self._latitude.size, self._longitude.size)


def first_layer(parts: Sequence[Floats], weights: Floats, shape: tuple[int, int, int]) -> Floats:
    """The first matrix times inputs [input, time, lat, lon], each of which may have one time, row or column for all:
    what repeats is multiplied once. Returns [output, point]."""
    alike, start = dict[tuple[int, ...], tuple[list[Floats], list[Floats]]](), 0
    for part in parts:
        columns, some = alike.setdefault(part.shape[1:], ([], []))
        columns.append(weights[:, start : start + len(part)])
        some.append(part.reshape(len(part), -1))
        start += len(part)
    total = np.zeros((len(weights), 1, 1, 1), dtype=np.float32)
    for kind in sorted(alike, key=prod):
        columns, some = alike[kind]
        found = (np.concatenate(columns, axis=1) @ np.concatenate(some)).reshape(-1, *kind)
        total = np.add(found, total, out=found if kind == shape else None)
    if total.shape[1:] != shape:
        total = np.array(np.broadcast_to(total, (len(weights), *shape)))
    return total.reshape(len(weights), -1)


def interpolate(values: Floats, hats: Sequence[Hats]) -> Floats:
    """Features [feature, .., axis 1, axis 0] at vertices -> the same at points."""
    found = values
    for place in reversed(range(len(hats))):
        matrix = hats[place].matrix
        if place == 0:
            found = (found.reshape(-1, found.shape[-1]) @ matrix.T).reshape(*found.shape[:-1], -1)
        else:
            at = found.ndim - 1 - place
            flat = found.reshape(*found.shape[: at + 1], -1)
            found = (matrix @ flat).reshape(*found.shape[:at], -1, *found.shape[at + 1 :])
    return found

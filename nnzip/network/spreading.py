"""From a level's vertices to points of the record, and back: linear interpolation along one axis after the other, in
PyTorch, and its adjoint, which brings gradients of points to vertices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.network.grids import Coordinates, Hats, Level, touched
from nnzip.network.network import Domain

Points = NDArray[np.int64]

_SAME = 1e-3  # of a hat: points so near their vertices need no interpolation


class Axis:
    """Some points of an axis at a level: the `vertices` that they touch, their `index` among all (all: a slice), and
    hats `matrix` [point, vertex]; `same`: each point is at a vertex."""

    def __init__(self, hats: Hats, index: slice | Tensor, device: torch.device) -> None:
        self.vertices, self.index = hats.vertices, index
        self.matrix = torch.from_numpy(hats.matrix).to(device)
        self.same = hats.matrix.shape[0] == hats.matrix.shape[1] and bool(np.diagonal(hats.matrix).min() > 1 - _SAME)

    def take(self, values: Tensor, dim: int) -> Tensor:
        """Their vertices, of all along `dim`."""
        return values if isinstance(self.index, slice) else values.index_select(dim, self.index)


class LevelAxes:
    """The `axes` (time, latitude, longitude) of the record at a level of so many `dims`, two or three."""

    def __init__(
        self, domain: Domain, dims: int, level: Level, axes: Sequence[Coordinates], device: torch.device
    ) -> None:
        self._level, self._device = level, device
        self._positions = [domain.positions(axis, axes[2 - axis], level) for axis in range(dims)]
        self._sizes = [touched(domain.cells(axis, level)) for axis in range(dims)]
        self._all: dict[int, Axis] = {}

    def spread(self, times: Points, rows: Points | None) -> Spread:
        """At a product of times, rows (None: all) and all columns."""
        picked = (None, rows, times)[: len(self._positions)]
        return Spread(self._level, [self._axis(*each) for each in enumerate(picked)], self._device)

    def _axis(self, place: int, points: Points | None) -> Axis:
        if points is not None:
            hats = Hats.at(self._positions[place][points])
            whole = self._level.hashed or hats.vertices.size == self._sizes[place]
            index = slice(None) if whole else torch.from_numpy(hats.vertices - 1).to(self._device)
            return Axis(hats, index, self._device)
        if place not in self._all:
            hats = Hats.at(self._positions[place])
            if not self._level.hashed:
                matrix = np.zeros((len(hats.matrix), self._sizes[place]), dtype=np.float32)
                matrix[:, hats.vertices - 1] = hats.matrix
                hats = Hats(np.arange(1, self._sizes[place] + 1), matrix)
            self._all[place] = Axis(hats, slice(None), self._device)
        return self._all[place]


class Spread:
    """A level at the points of a batch; `axes`: columns, rows and, of a dynamic level, times."""

    def __init__(self, level: Level, axes: Sequence[Axis], device: torch.device) -> None:
        self._columns, self._rows = axes[:2]
        self._times = axes[2] if len(axes) == 3 else None
        self._inner = tuple(axis.vertices.size for axis in reversed(axes))
        self._entries: Tensor | None = None
        if level.hashed:
            self._entries = torch.from_numpy(level.index([axis.vertices for axis in axes]).ravel()).to(device)

    def instants(self, values: Tensor) -> Tensor:
        """Features of the level -> [feature, time (1 of a static level), row vertex, column vertex]."""
        if self._entries is not None:
            values = values[:, self._entries].reshape(-1, *self._inner)
        else:
            if self._times is not None:
                values = self._times.take(values, 1)
            values = self._rows.take(values, -2)
        if self._times is None:
            return values[:, None]
        found = torch.matmul(self._times.matrix, values.flatten(2))
        return found.reshape(*found.shape[:2], *values.shape[2:])

    def add_instants(self, gradient: Tensor, total: Tensor) -> None:
        """The adjoint of `instants`, added to the `total` of the level's features."""
        if self._times is None:
            gradient = gradient[:, 0]
        else:
            found = torch.matmul(self._times.matrix.T, gradient.flatten(2))
            gradient = found.reshape(*found.shape[:2], *gradient.shape[2:])
        if self._entries is not None:
            total.index_add_(1, self._entries, gradient.flatten(1))
            return
        where: tuple[slice | Tensor, ...] = (slice(None), self._rows.index)
        if self._times is not None:
            times, rows = self._times.index, self._rows.index
            if isinstance(times, Tensor) and isinstance(rows, Tensor):
                times = times[:, None]
            where = slice(None), times, rows
        total[where] += gradient

    def maps(self, values: Tensor, out: Tensor) -> None:
        """[feature, time, row vertex, column vertex] -> `out` [feature, time, row, column]."""
        if not self._rows.same:
            values = torch.matmul(self._rows.matrix, values)
        if self._columns.same:
            out.copy_(values)
        else:
            torch.mm(values.reshape(-1, values.shape[-1]), self._columns.matrix.T, out=out.view(-1, out.shape[-1]))

    def vertices(self, gradient: Tensor) -> Tensor:
        """The adjoint of `maps`."""
        if not self._columns.same:
            gradient = torch.matmul(gradient, self._columns.matrix)
        return gradient if self._rows.same else torch.matmul(self._rows.matrix.T, gradient)

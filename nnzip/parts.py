"""The variables of an archive, each cut into tiles, and what is read of them at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.axes import DAY_SECONDS, SourceGrid, source_grid
from nnzip.data.grouping import Group, Picked, VariableLayout, pick, plan_groups, read_box
from nnzip.plan.cutting import Box, Shape, Sizes, axis_limits, cut, slabs, tile_box, tile_count
from nnzip.promises.resolve import check
from nnzip.request.options import Options
from nnzip.transform.cycles import FEWEST_TIMES, Cycle

_UNEVEN = 1e-3  # of a step


@dataclass(frozen=True)
class Part:
    """A variable to be compressed, and how it is cut: its part of the archive."""

    dataset: xr.Dataset
    group: Group
    layout: VariableLayout
    sizes: Sizes

    @classmethod
    def of(cls, dataset: xr.Dataset, group: Group, layout: VariableLayout, tile: Mapping[str, int]) -> Part:
        """`tile`: largest lengths of a tile by dimension or axis."""
        shape = (layout.channels, *group.shape[1:])
        limits = axis_limits(tile, dict(zip(layout.channel_dims, layout.channel_shape, strict=True)), *group.dims)
        return cls(dataset, group, layout, cut((shape[0], shape[1], shape[2], shape[3]), limits))

    @property
    def shape(self) -> Shape:
        """(channels, times, latitudes, longitudes)."""
        channels, times, rows, columns = (sum(lengths) for lengths in self.sizes)
        return channels, times, rows, columns

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return tile_count(self.sizes)

    @cached_property
    def grid(self) -> SourceGrid:
        """The axes of the variable."""
        group = self.group
        known = (group.time.geographic, group.latitude.geographic, group.longitude.geographic)
        return source_grid(group.time.values, group.latitude.values, group.longitude.values, known)

    def as_read(self) -> Part:
        """The part with an output of the type that xarray gives: packed values are exact in float64 alone."""
        wide = self.dataset[self.layout.name].dtype == np.float64
        return replace(self, layout=replace(self.layout, dtype="float64")) if wide else self

    def box(self, tile: int) -> Box:
        """The values of a tile."""
        return tile_box(self.sizes, tile)

    def periodic(self, tile: int) -> bool:
        """Whether a tile goes round the globe."""
        return self.grid.longitude.periodic and len(self.sizes[3]) == 1

    def cycle(self, tile: int) -> Cycle | None:
        """The cycle of the solar day in a tile, where its times are even and show it."""
        times, angles = self.grid.time.values[self.box(tile).slices[1]], self.day_angles(tile)
        if angles is None or times.size < FEWEST_TIMES or abs(times[-1] - times[0]) < 2 * DAY_SECONDS:
            return None
        return Cycle.of_steps(*angles)

    def day_angles(self, tile: int) -> tuple[float, float, float] | None:
        """Angle of the solar day at the first point of a tile, and its steps along time and longitude, in radians; None
        where the times are uneven."""
        box, grid = self.box(tile), self.grid
        times, longitudes = grid.time.values[box.slices[1]], grid.longitude.values[box.slices[3]]
        steps, columns = np.diff(times), np.diff(longitudes)
        if not (grid.time.geographic and grid.longitude.geographic) or not even(steps):
            return None
        step = float(steps[0]) if steps.size else 0.0
        column = float(np.median(columns)) if columns.size else 0.0
        turn = 2 * np.pi / DAY_SECONDS
        first = turn * (times[0] % DAY_SECONDS) + np.deg2rad(longitudes[0])
        return float(first), turn * step, float(np.deg2rad(column))

    @property
    def edges(self) -> int:
        """1 where tiles follow each other along latitude, 2 along longitude, 3 both."""
        return (len(self.sizes[2]) > 1) + 2 * (len(self.sizes[3]) > 1)

    def rows(self, tile: int) -> bytes:
        """Latitude of a tile's first row and step between rows, float32; empty where the rows are no latitudes."""
        if not self.grid.latitude.geographic:
            return b""
        latitudes = self.grid.latitude.values[self.box(tile).slices[2]]
        step = (latitudes[-1] - latitudes[0]) / max(latitudes.size - 1, 1)
        return np.array([latitudes[0], step], dtype="<f4").tobytes()

    @property
    def places(self) -> int:
        """Number of the tiles of one piece of time: tile T is at place T % places."""
        return len(self.sizes[0]) * len(self.sizes[2]) * len(self.sizes[3])

    def runs(self, count: int, times: Collection[int] | None = None) -> Iterator[Run]:
        """All tiles in their order of reading, or those of some pieces of `times`; of those of a slab each of `count`
        workers reads its share at once."""
        for _, together in slabs(self.sizes):
            numbers = [number for number in together if times is None or number // self.places in times]
            if not numbers:
                continue
            share = -(-len(numbers) // count)
            for start in range(0, len(numbers), share):
                boxes = {number: self.box(number) for number in numbers[start : start + share]}
                yield Run.of(self, boxes)

    def read_box(self, channels: range, times: range, rows: range, columns: range) -> NDArray[np.floating]:
        """Values of a box. Raises InputError."""
        return read_box(self.dataset, self.group, self.layout, channels, times, rows, columns)


@dataclass(frozen=True)
class Run:
    """Tiles that are read at once, by number, each with its box of the variable; `start` is the first of all of these
    boxes. Pickles without values where these lie in files.
    """

    picked: Picked
    start: Box
    boxes: dict[int, Box]

    @classmethod
    def of(cls, part: Part, boxes: dict[int, Box]) -> Run:
        axes = zip(*boxes.values(), strict=True)
        around = Box(*(range(min(a.start for a in axis), max(a.stop for a in axis)) for axis in axes))
        return cls(pick(part.dataset, part.group, part.layout, *around), around, boxes)

    def read(self) -> Iterator[tuple[int, Box, NDArray[np.floating]]]:
        """Tiles with their boxes and values [channel, time, lat, lon] (NaN: missing). Raises InputError."""
        values = self.picked.read()
        for number, box in self.boxes.items():
            yield number, box, values[box.from_start(self.start).slices]


def even(steps: NDArray[np.float64]) -> bool:
    """Whether the steps of an axis are alike."""
    return not steps.size or bool(np.ptp(steps) <= _UNEVEN * abs(steps[0]))


def plan_parts(dataset: xr.Dataset, options: Options) -> tuple[list[Group], list[str], list[Part]]:
    """The groups and parts of the variables to be compressed, and the names of those that are kept losslessly.

    Raises what `plan_groups` and `promises.resolve.check` raise.
    """
    groups, lossless = plan_groups(dataset, options.variables)
    check(dataset, groups, options)
    parts = [Part.of(dataset, group, layout, options.tile) for group in groups for layout in group.variables]
    return groups, lossless, parts


def source_bytes(parts: Sequence[Part]) -> int:
    """Bytes of the compressed variables as float32."""
    return 4 * sum(prod(part.shape) for part in parts)

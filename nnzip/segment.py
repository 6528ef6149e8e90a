"""One segment of a group: its layers as members of the archive, and its entry in the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.container.manifest import SegmentEntry
from nnzip.data.axes import SourceGrid
from nnzip.data.grouping import Group
from nnzip.field.device import memory_errors
from nnzip.field.fit import FitOptions, Report, fit_field
from nnzip.field.quality import fit_field_to_rmse
from nnzip.plan.budget import tiles
from nnzip.tile.bounded import compress_bounded
from nnzip.tile.corrector import Bounds


@dataclass(frozen=True)
class Segment:
    """What is to be coded: `values` [channel, time, lat, lon] (NaN: missing) on `grid`, number = (group, segment)."""

    values: NDArray[np.floating]
    grid: SourceGrid
    group: Group
    number: tuple[int, int]
    start: int
    stop: int

    @property
    def runs(self) -> list[int]:
        """Channels of every variable."""
        return [layout.channels for layout in self.group.variables]


@dataclass(frozen=True)
class Coded:
    """A segment's entry in the manifest, and the members it names.

    `promised`: bytes of its corrections that promises beyond the bound take, per variable of the group.
    """

    entry: SegmentEntry
    members: Mapping[str, bytes]
    promised: Sequence[int] = ()

    @property
    def bytes(self) -> int:
        """Size of the members."""
        return sum(map(len, self.members.values()))


def field_name(group: int, segment: int) -> str:
    """Member that holds the field of a segment."""
    return f"f{group}.{segment}"


@memory_errors()
def code_within_budget(segment: Segment, budget: float, options: FitOptions, report: Report) -> Coded:
    """The field alone, in at most `budget` bytes."""
    return _field_alone(segment, fit_field(segment.values, segment.grid, segment.runs, budget, options, report))


def code_to_rmse(
    segment: Segment, rmse: Sequence[float], row_weights: NDArray[np.float64], options: FitOptions, report: Report
) -> Coded:
    """The field alone, of these RMSE: one per variable of the group, weighted by `row_weights` [lat]."""
    payload = fit_field_to_rmse(segment.values, segment.grid, segment.runs, rmse, row_weights, options, report)
    return _field_alone(segment, payload)


@memory_errors()
def code_within_bounds(
    segment: Segment, bounds: Sequence[Bounds], options: FitOptions, report: Report, *, with_field: bool
) -> Coded:
    """Field, detail and corrections that hold `bounds`, one per variable of the group."""
    grid, start, stop = segment.grid, segment.start, segment.stop
    layers = compress_bounded(
        segment.values, grid, segment.group, bounds, start, options, report, with_field=with_field
    )
    stem = f"{segment.number[0]}.{segment.number[1]}"
    details = {f"d{stem}.{i}": data for i, data in enumerate(layers.details)}
    corrections = {f"c{stem}.{i}": data for i, data in enumerate(layers.corrections)}
    field = {field_name(*segment.number): layers.field} if layers.field else {}
    entry = SegmentEntry(
        stop=stop,
        start=start,
        field=next(iter(field), None),
        tiles=tuple(end for _, end in tiles(stop - start, grid.shape[1] * grid.shape[2])),
        detail=tuple(details),
        corrections=tuple(name if data else "" for name, data in corrections.items()),
    )
    members = {**field, **details, **{name: data for name, data in corrections.items() if data}}
    return Coded(entry, members, layers.promised)


def _field_alone(segment: Segment, payload: bytes) -> Coded:
    name = field_name(*segment.number)
    return Coded(SegmentEntry(stop=segment.stop, start=segment.start, field=name), {name: payload})

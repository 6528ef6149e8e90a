"""One segment of a group: its layers as members of the archive, and its entry in the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.archive.manifest import SegmentEntry
from nnzip.bounded import compress_bounded
from nnzip.budget import tiles
from nnzip.corrector import Bounds
from nnzip.data.grouping import Group
from nnzip.field.axes import SourceGrid
from nnzip.field.device import memory_errors
from nnzip.field.fit import FitOptions, Report, fit_field
from nnzip.field.quality import fit_field_to_rmse


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
def code_within_budget(
    values: NDArray[np.floating],
    grid: SourceGrid,
    group: Group,
    number: tuple[int, int],
    entry: SegmentEntry,
    budget: float,
    options: FitOptions,
    report: Report,
) -> Coded:
    """The field alone, in at most `budget` bytes; `number` = (group, segment)."""
    runs = [layout.channels for layout in group.variables]
    payload = fit_field(values, grid, runs, budget, options, report)
    name = field_name(*number)
    return Coded(SegmentEntry(stop=entry.stop, start=entry.start, field=name), {name: payload})


def code_to_rmse(
    values: NDArray[np.floating],
    grid: SourceGrid,
    group: Group,
    number: tuple[int, int],
    entry: SegmentEntry,
    rmse: Sequence[float],
    row_weights: NDArray[np.float64],
    options: FitOptions,
    report: Report,
) -> Coded:
    """The field alone, of these RMSE: one per variable of the group, weighted by `row_weights` [lat]."""
    runs = [layout.channels for layout in group.variables]
    payload = fit_field_to_rmse(values, grid, runs, rmse, row_weights, options, report)
    name = field_name(*number)
    return Coded(SegmentEntry(stop=entry.stop, start=entry.start, field=name), {name: payload})


@memory_errors()
def code_within_bounds(
    values: NDArray[np.floating],
    grid: SourceGrid,
    group: Group,
    number: tuple[int, int],
    entry: SegmentEntry,
    bounds: Sequence[Bounds],
    options: FitOptions,
    report: Report,
    *,
    with_field: bool,
) -> Coded:
    """Field, detail and corrections that hold `bounds`, one per variable of the group."""
    layers = compress_bounded(values, grid, group, bounds, entry.start, options, report, with_field=with_field)
    stem = f"{number[0]}.{number[1]}"
    details = {f"d{stem}.{i}": data for i, data in enumerate(layers.details)}
    corrections = {f"c{stem}.{i}": data for i, data in enumerate(layers.corrections)}
    field = {field_name(*number): layers.field} if layers.field else {}
    coded = SegmentEntry(
        stop=entry.stop,
        start=entry.start,
        field=next(iter(field), None),
        tiles=tuple(stop for _, stop in tiles(entry.stop - entry.start, grid.shape[1] * grid.shape[2])),
        detail=tuple(details),
        corrections=tuple(name if data else "" for name, data in corrections.items()),
    )
    members = {**field, **details, **{name: data for name, data in corrections.items() if data}}
    return Coded(coded, members, layers.promised)

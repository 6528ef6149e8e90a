"""Code the segments of a group, check what they decode to, and write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import msgspec
import xarray as xr

from nnzip.archive.container import ArchiveWriter, archive_size, deflated_size
from nnzip.archive.manifest import AchievedErrors, GroupEntry, Manifest, MaskEntry
from nnzip.budget import Allowance
from nnzip.comparison import compare
from nnzip.data.grouping import Group, stack
from nnzip.describe import Survey
from nnzip.field.fit import FitOptions
from nnzip.goals import Goals
from nnzip.progress import ProgressCallback, SegmentReports
from nnzip.reader import group_grid
from nnzip.result import Findings
from nnzip.segment import Coded


@dataclass(frozen=True)
class Coder:
    """Everything the coding of an archive's groups needs; `values` that are not missing share `time_budget` seconds."""

    dataset: xr.Dataset
    manifest: Manifest
    goals: Goals
    options: FitOptions
    time_budget: float | None
    values: int
    allowance: Allowance
    findings: Findings
    reports: SegmentReports
    writer: ArchiveWriter

    @classmethod
    def of(
        cls,
        dataset: xr.Dataset,
        manifest: Manifest,
        groups: Sequence[Group],
        surveys: Sequence[Survey],
        goals: Goals,
        options: FitOptions,
        time_budget: float | None,
        writer: ArchiveWriter,
        progress: ProgressCallback | None,
    ) -> Coder:
        """With nothing coded so far."""
        values = sum(found.finite for found in surveys)
        masks = sum(len(found.mask) for found in surveys)
        limit = goals.wishes.target.file_bytes(manifest.source.bytes)
        allowance = Allowance(limit - masks - _overhead(manifest, writer.size_so_far()), values)
        findings = Findings.of(manifest, goals.bounds)
        reports = SegmentReports(dataset, progress, sum(prod(group.shape) for group in groups))
        return cls(dataset, manifest, goals, options, time_budget, values, allowance, findings, reports, writer)

    def code(self, index: int, group: Group, found: Survey) -> GroupEntry:
        """Group number `index`, segment by segment: the memory of one."""
        entry = self.manifest.groups[index]
        grid, coded_segments = group_grid(group), []
        for number, (segment, finite) in enumerate(zip(entry.segments, found.finite_by_segment, strict=True)):
            data = stack(self.dataset, group, slice(segment.start, segment.stop))
            seconds = None if self.time_budget is None else self.time_budget * finite / max(self.values, 1)
            coded = self.goals.code(
                data,
                grid.times(segment.start, segment.stop),
                group,
                (index, number),
                segment,
                self.allowance.share(finite),
                replace(self.options, seconds=seconds),
                self.reports.for_segment(group, data.size),
            )
            for layout, extra in zip(group.variables, coded.promised, strict=False):
                self.findings.promise_bytes[layout.name] += extra
            compare(self.manifest, entry, group, grid, coded, data, self.options.device.type, self.findings)
            self.allowance.spend(finite, coded.bytes)
            if found.mask and not number:
                coded, entry = _followed_by_mask(coded, entry, found.mask)
            for name, member in coded.members.items():
                self.writer.add(name, member)
            coded_segments.append(coded.entry)
        return msgspec.structs.replace(entry, segments=tuple(coded_segments))


def _overhead(manifest: Manifest, members: int) -> int:
    """Bytes of everything but the layers, with made-up errors of the usual number of digits."""
    likely = AchievedErrors(1.23456e-3, 12.3456, -1.23456e-4)
    complete = msgspec.structs.replace(manifest, errors=dict.fromkeys(manifest.variables, likely))
    names = [segment.field or "" for group in manifest.groups for segment in group.segments]
    return members + archive_size(dict.fromkeys(names, 0), deflated_size(complete)) - archive_size({}, 0)


def _followed_by_mask(coded: Coded, entry: GroupEntry, mask: bytes) -> tuple[Coded, GroupEntry]:
    """The mask of a group behind the first layer of its first segment: a member less."""
    first, layer = next(iter(coded.members.items()))
    place = MaskEntry(length=len(mask), offset=len(layer), member=first)
    members = {**coded.members, first: layer + mask}
    return replace(coded, members=members), msgspec.structs.replace(entry, mask=place)

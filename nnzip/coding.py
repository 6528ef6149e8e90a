"""Code the segments of an archive, several at once if wanted, check what they decode to, and write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from math import prod

import msgspec
import xarray as xr

from nnzip.comparison import compare
from nnzip.container.manifest import AchievedErrors, GroupEntry, Manifest, MaskEntry, SegmentEntry
from nnzip.container.zip import ArchiveWriter, archive_size, deflated_size
from nnzip.data.grouping import Group, stack
from nnzip.describe import Survey
from nnzip.field.fit import FitOptions, Report
from nnzip.goals import Goals
from nnzip.plan.budget import Allowance
from nnzip.progress import ProgressCallback, SegmentReports
from nnzip.reader import group_grid
from nnzip.result import Findings
from nnzip.segment import Coded, Segment
from nnzip.workers import results_in_order


@dataclass(frozen=True)
class Job:
    """A segment to be coded, with all that this needs: it may go to another process. `manifest`: with its group
    alone; `budget`: bytes that it may take where the size is the target."""

    goals: Goals
    segment: Segment
    manifest: Manifest
    budget: float
    options: FitOptions


def code_segment(job: Job, report: Report) -> tuple[Coded, Findings]:
    """The layers of a segment, and what they decode to."""
    coded = job.goals.code(job.segment, job.budget, job.options, report)
    findings = compare(job.segment, coded, job.manifest, job.goals.bounds, job.options.device)
    for layout, extra in zip(job.segment.group.variables, coded.promised, strict=False):
        findings.promise_bytes[layout.name] += extra
    return coded, findings


class Coder:
    """Codes the groups of an archive; their values that are not missing share `time_budget` seconds of training."""

    def __init__(
        self,
        dataset: xr.Dataset,
        manifest: Manifest,
        groups: Sequence[Group],
        surveys: Sequence[Survey],
        goals: Goals,
        options: FitOptions,
        time_budget: float | None,
        writer: ArchiveWriter,
        progress: ProgressCallback | None,
    ) -> None:
        self._dataset, self._manifest, self._groups, self._surveys = dataset, manifest, groups, surveys
        self._goals, self._options, self._time_budget, self._writer = goals, options, time_budget, writer
        self._values = sum(found.finite for found in surveys)
        masks = sum(len(found.mask) for found in surveys)
        limit = goals.wishes.target.file_bytes(manifest.source.bytes)
        self._allowance = Allowance(limit - masks - _overhead(manifest, writer.size_so_far()), self._values)
        self._reports = SegmentReports(dataset, progress, sum(prod(group.shape) for group in groups))
        self.findings = Findings.of(manifest.variables, goals.bounds)

    def code(self, processes: int) -> list[GroupEntry]:
        """All groups, segment by segment, as many at once as there are processes: each takes the memory of one."""
        segments = sum(len(entry.segments) for entry in self._manifest.groups)
        work = results_in_order(code_segment, self._jobs(), min(processes, segments), self._options.device)
        with closing(work) as results:
            return [
                self._written(entry, found.mask, islice(results, len(entry.segments)))
                for entry, found in zip(self._manifest.groups, self._surveys, strict=True)
            ]

    def _jobs(self) -> Iterator[tuple[Job, Report]]:
        for index, (group, found) in enumerate(zip(self._groups, self._surveys, strict=True)):
            for number, finite in enumerate(found.finite_by_segment):
                job = self._job(group, (index, number), finite)
                report = self._reports.for_segment(group, job.segment.values.size)
                yield job, report
                del job  # before the next one is read

    def _job(self, group: Group, number: tuple[int, int], finite: int) -> Job:
        entry = self._manifest.groups[number[0]]
        start, stop = entry.segments[number[1]].start, entry.segments[number[1]].stop
        values = stack(self._dataset, group, slice(start, stop))
        segment = Segment(values, group_grid(group).times(start, stop), group, number, start, stop)
        seconds = None if self._time_budget is None else self._time_budget * finite / max(self._values, 1)
        alone = msgspec.structs.replace(self._manifest, groups=(msgspec.structs.replace(entry, segments=()),))
        options = replace(self._options, seconds=seconds)
        return Job(self._goals.of_segment(segment), segment, alone, self._allowance.begin(finite), options)

    def _written(self, entry: GroupEntry, mask: bytes, results: Iterator[tuple[Coded, Findings]]) -> GroupEntry:
        """The entry of a group whose segments are written; the mask goes with the first of them."""
        segments: list[SegmentEntry] = []
        for coded, findings in results:
            self.findings.merge(findings)
            self._allowance.end(coded.bytes)
            if mask and not segments:
                coded, entry = _followed_by_mask(coded, entry, mask)
            for name, member in coded.members.items():
                self._writer.add(name, member)
            segments.append(coded.entry)
        return msgspec.structs.replace(entry, segments=tuple(segments))


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

"""The write recipe: survey the data, resolve the goals, code tile by tile, write, check."""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from os import PathLike
from pathlib import Path

import xarray as xr

from nnzip.coder.native.library import compiler_problem
from nnzip.container.manifest import tile_member
from nnzip.container.reader import ArchiveReader
from nnzip.container.writer import ArchiveWriter
from nnzip.data.grouping import lossless_reason, plan_groups
from nnzip.describe import Description
from nnzip.errors import UsageError
from nnzip.evaluate.weights import latitude_weights
from nnzip.executor import overlapped, processes, results_in_order
from nnzip.findings import Findings
from nnzip.goals import TileGoals
from nnzip.jobs import Job, code, encode
from nnzip.jobs import check as check_tile
from nnzip.plan.budget import RATIO_TOLERANCE, require_size
from nnzip.plan.cutting import axis_limits
from nnzip.progress import ProgressCallback, report_to
from nnzip.promises.resolve import check, resolve
from nnzip.request.options import Options
from nnzip.request.target import Target
from nnzip.result import CompressionResult, result_of
from nnzip.survey import Part, source_bytes, survey


def compress(
    dataset: xr.Dataset,
    path: str | PathLike[str],
    options: Options | Target,
    *,
    overwrite: bool = False,
    device: str = "auto",
    jobs: int = 1,
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
) -> CompressionResult:
    """Compress `dataset` into the archive `path` as `options` say; a target alone leaves the rest as it is by default.

    `jobs`: processes that code tiles; more than one needs `if __name__ == "__main__":` around a script's work.
    `executor`: does the work instead (any `concurrent.futures.Executor`). The archive is the same however many work.

    Raises UsageError (unknown variable, impossible target, output exists), InputError (nothing to compress, infinite
    values), UnavailableError (no such device), VerificationError (a promise does not hold) and ResourceError; then
    nothing is written. Reads the data twice. Memory: two slabs (plan/cutting.py) and, for each job, about 15 tiles.
    """
    started, report = clock.monotonic(), report_to(progress)
    if jobs < 1:
        raise UsageError(f"{jobs} jobs: there is at least one")
    options = Options(options) if isinstance(options, Target) else options
    with ArchiveWriter(path, overwrite) as writer:
        groups, lossless = plan_groups(dataset, options.variables)
        check(dataset, groups, options)
        parts = [_part(dataset, group, layout, options) for group in groups for layout in group.variables]
        surveys = []
        for number, part in enumerate(parts):
            report("reading", 0.1 * number / len(parts))
            surveys.append(survey(part, with_rates=options.target.limits_size))
        names = [part.layout.name for part in parts]
        goals = resolve(dataset, groups, dict(zip(names, (found.range for found in surveys), strict=True)), options)
        description = Description(dataset, parts, surveys, lossless, goals, options)
        limit = options.target.file_bytes(source_bytes(parts))
        room = limit - writer.size_with(description.manifest(), description.arrays)
        tile_goals = TileGoals(parts, surveys, goals, room)
        findings = {name: Findings(tuple(getattr(goals.promised.get(name), "constraints", ()))) for name in names}
        with nullcontext(executor) if executor is not None else processes(jobs) as workers:
            done = 0
            work = _jobs(parts, tile_goals, options.effort, device)
            results = (
                overlapped(encode, check_tile, work)
                if workers is None
                else results_in_order(code, work, workers, 2 * jobs)
            )
            for result in results:
                writer.add(tile_member(result.variable, result.tile), result.data)
                findings[names[result.variable]].add(result)
                done += result.errors.values
                report("coding", 0.1 + 0.9 * 4 * done / source_bytes(parts))
        for name, found in findings.items():
            goals.require(name, found.errors, found.kept)
        manifest = description.manifest(findings)
        require_size(options.target, source_bytes(parts), writer.size_with(manifest, description.arrays))
        size = writer.finish(manifest, description.arrays)
    ArchiveReader(path).close()  # everything a reader checks when it opens the file
    notes = [*_notes(dataset, lossless, size, limit)]
    for name, found in findings.items():
        notes += goals.notes(name, dataset[name], found.errors, found.kept)
    sizes = source_bytes(parts), size
    return result_of(dataset, Path(path), sizes, findings, clock.monotonic() - started, notes)


def _part(dataset: xr.Dataset, group, layout, options: Options) -> Part:  # type: ignore[no-untyped-def]
    channels = dict(zip(layout.channel_dims, layout.channel_shape, strict=True))
    return Part.of(dataset, group, layout, axis_limits(options.tile, channels, *group.dims))


def _jobs(parts: Sequence[Part], goals: TileGoals, effort: str, device: str) -> Iterator[Job]:
    """Every tile of every variable, read slab by slab."""
    for variable, part in enumerate(parts):
        latitude = part.grid.latitude
        weights = latitude_weights(latitude.values) if latitude.geographic else 0 * latitude.values + 1
        for tile, values in part.read():
            box = part.box(tile)
            yield Job(
                variable,
                tile,
                values,
                goals.of_tile(variable, tile),
                part.layout.dtype,
                part.periodic(tile),
                part.cycle(tile),
                weights[box.slices[2]],
                tuple(axis.start for axis in box),
                effort,
                device,
            )


def _notes(dataset: xr.Dataset, lossless: Sequence[str], size: int, limit: int) -> Iterator[str]:
    for name in lossless:
        yield f"{name} is kept losslessly: {lossless_reason(dataset, name) or 'other variables refer to it'}"
    if size < limit * (1 - RATIO_TOLERANCE):
        yield f"the data need only {size} B of the {limit} B asked for"
    without_kernel = compiler_problem()
    if without_kernel:
        yield without_kernel

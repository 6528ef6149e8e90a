"""The write recipe: survey the data, resolve the goals, code tile by tile, write, check."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import xarray as xr

from nnzip.base import find_base
from nnzip.coder.native.library import compiler_problem
from nnzip.compress_network import compress_network
from nnzip.container.manifest import base_member, tile_member
from nnzip.container.reader import ArchiveReader
from nnzip.container.writer import ArchiveWriter
from nnzip.data.atomic import require_distinct
from nnzip.data.bytefile import PathText, place
from nnzip.data.grouping import why_lossless
from nnzip.data.opening import Data, opened, resolve_paths, sources_of
from nnzip.data.opening import stored_bytes as size_of
from nnzip.describe import Description
from nnzip.estimate import estimate
from nnzip.executor import Workers, overlapped
from nnzip.findings import Findings
from nnzip.goals import TileGoals
from nnzip.jobs import Done, Job, Piece, check_piece, code, code_piece, coders, encode_piece, pieces
from nnzip.parts import Part, plan_parts, source_bytes
from nnzip.plan.budget import RATIO_TOLERANCE, require_size
from nnzip.progress import Pace, ProgressCallback
from nnzip.promises.goals import Goals
from nnzip.promises.resolve import resolve
from nnzip.request.options import NETWORK, Options, options_of
from nnzip.request.target import Target
from nnzip.result import CompressionResult, result_of
from nnzip.survey import survey
from nnzip.tile.bounded import Coded

if TYPE_CHECKING:
    from distributed import Client

_CHECK = 0.2  # of the time of a tile


def compress(
    data: Data,
    path: PathText,
    options: Options | Target | None = None,
    *,
    overwrite: bool = False,
    device: str = "auto",
    jobs: int = 1,
    executor: Executor | Client | None = None,
    stored_bytes: int = 0,
    progress: ProgressCallback | None = None,
) -> CompressionResult:
    """Compress `data` into the archive `path` as `options` say; a target alone leaves the rest as it is by default, and
    the target of that is the community's tolerances.

    `data`: a dataset, a named array, or a path, a pattern or several of them as for `open_dataset`.
    `jobs`: threads that code tiles; more than 8, and any without the native kernel, are processes, which need
    `if __name__ == "__main__":` around a script's work.
    `executor`: does the work instead, a `dask.distributed.Client` or any `concurrent.futures.Executor`. The archive is
    the same whoever works.
    `stored_bytes`: size of the files that the whole dataset came from, for the ratio to them (that of paths is known);
    not said where variables are left out.

    Raises TypeError for arguments of other types, UsageError (unknown variable, impossible target, output exists),
    InputError (nothing to compress, infinite values), UnavailableError (no such device, no cluster), VerificationError
    (a promise does not hold) and ResourceError; then nothing is written.

    Reads the data twice. Memory: a slab (plan/cutting.py), shared by the jobs, and for each job about 15 tiles.
    """
    options = options_of(options)
    with opened(data) as dataset, coders(jobs, executor) as team:
        require_distinct(sources_of(dataset), path)
        if not isinstance(data, xr.Dataset | xr.DataArray):
            require_distinct(resolve_paths(data), path)
            stored_bytes = stored_bytes or size_of(data)
        if options.mode == NETWORK:
            return compress_network(dataset, path, options, overwrite, device, team, stored_bytes, progress)
        return _compress(dataset, path, options, overwrite, device, team, stored_bytes, progress)


def _compress(
    dataset: xr.Dataset,
    path: PathText,
    options: Options,
    overwrite: bool,
    device: str,
    team: Workers,
    stored_bytes: int,
    progress: ProgressCallback | None,
) -> CompressionResult:
    started = clock.monotonic()
    with ArchiveWriter(path, overwrite) as writer:
        groups, lossless, parts = plan_parts(dataset, options)
        pace = Pace(progress, partial(estimate, dataset, options, jobs=team.count, quick=True))
        surveys = [survey(part, team, with_rates=options.target.limits_size, read=pace.read) for part in parts]
        names = [part.layout.name for part in parts]
        goals = resolve(dataset, groups, dict(zip(names, (found.range for found in surveys), strict=True)), options)
        stored_bytes = stored_bytes if len(parts) + len(lossless) == len(dataset.data_vars) else 0
        parts = [part.as_read() if goals.exact(name) else part for part, name in zip(parts, names, strict=True)]
        bases = [find_base(part, goals, options, team) for part in parts]
        description = Description(dataset, parts, surveys, lossless, goals, options, stored_bytes, bases)
        limit = options.target.file_bytes(source_bytes(parts))
        room = limit - writer.size_with(description.manifest(), description.arrays)
        tile_goals = TileGoals(parts, surveys, goals, room)
        for variable, base in enumerate(bases):
            for number, data in enumerate(() if base is None else base.places):
                writer.add(base_member(variable, number), data)
        tile_jobs = tile_goals.jobs(options.effort, device, team.count, bases)
        findings = coded(writer, parts, tile_jobs, goals, team, pace)
        manifest = description.manifest(findings)
        require_size(options.target, source_bytes(parts), writer.size_with(manifest, description.arrays))
        size = writer.finish(manifest, description.arrays)
    ArchiveReader(path).close()  # everything a reader checks when it opens the file
    notes = [*_notes(dataset, lossless, size, limit)]
    for name, found in findings.items():
        notes += goals.notes(name, dataset[name], found.errors, found.kept)
    sizes = source_bytes(parts), stored_bytes, size
    return result_of(dataset, place(path), sizes, findings, clock.monotonic() - started, notes)


def coded(
    writer: ArchiveWriter,
    parts: Sequence[Part],
    jobs: Iterable[Job],
    goals: Goals,
    team: Workers,
    pace: Pace,
    member: Callable[[int, int], str] = tile_member,
) -> dict[str, Findings]:
    """Write every tile of `parts`, as the `member` of its variable and number; what decoding them found, by variable.

    Raises VerificationError.
    """
    names = [part.layout.name for part in parts]
    findings = {name: Findings(tuple(getattr(goals.promised.get(name), "constraints", ()))) for name in names}

    def tell(variable: int, tile: int, data: bytes, share: float) -> None:
        part = parts[variable]
        values = share * prod(part.box(tile).shape)
        pace.coded(names[variable], values / prod(part.shape), round(4 * values), round(share * len(data)))

    def encode(piece: Piece) -> Coded:
        found = encode_piece(piece)
        tell(piece.job.variable, piece.tile, found.data, 1 - _CHECK)
        return found

    pace.begin_coding()
    alone = team.executor is None
    for result in _coded(jobs, team, encode):
        writer.add(member(result.variable, result.tile), result.data)
        findings[names[result.variable]].add(result)
        tell(result.variable, result.tile, result.data, _CHECK if alone else 1)
    for name, found in findings.items():
        goals.require(name, found.errors, found.kept)
    return findings


def _coded(jobs: Iterable[Job], team: Workers, encode: Callable[[Piece], Coded]) -> Iterator[Done]:
    """Tiles coded and compared, in their order; where nobody else works by `encode`."""
    if team.executor is None:  # a thread checks a tile while the next one is coded
        return overlapped(encode, check_piece, pieces(jobs))
    if team.share_memory:  # tiles are read here, one after another, as the libraries of files want it
        return team.results(code_piece, pieces(jobs))
    return team.results(code, jobs)


def _notes(dataset: xr.Dataset, lossless: Sequence[str], size: int, limit: int) -> Iterator[str]:
    for name in lossless:
        yield f"{name} is kept losslessly: {why_lossless(dataset, name)}"
    if size < limit * (1 - RATIO_TOLERANCE):
        yield f"the data need only {size} B of the {limit} B asked for"
    without_kernel = compiler_problem()
    if without_kernel:
        yield without_kernel

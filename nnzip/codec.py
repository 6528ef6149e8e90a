"""The main path: compress a dataset into an archive, decompress it, verify it.

An archive has three layers per group of variables and segment of time: field, detail, corrections.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nnzip
from nnzip.ahead import decoded_ahead
from nnzip.coding import Coder
from nnzip.container.limits import ARRAYS_MEMBER
from nnzip.container.zip import ArchiveWriter, deflated_size
from nnzip.data.grouping import lossless_reason, plan_groups
from nnzip.data.selection import subset
from nnzip.data.target_grid import grid_of, regular_grid
from nnzip.data.writing import write_dataset
from nnzip.describe import describe, survey
from nnzip.errors import UsageError
from nnzip.field.device import resolve_device
from nnzip.field.fit import FitOptions
from nnzip.goals import RATIO_TOLERANCE, Wishes
from nnzip.progress import Progress, ProgressCallback
from nnzip.promise import bound_notes
from nnzip.reader import Archive
from nnzip.request.extremes import Extremes
from nnzip.request.promises import Request
from nnzip.request.target import Target
from nnzip.result import CompressionResult

EFFORTS = {"fast": 0, "normal": 800, "best": 4000}
"""Training steps of the network per segment; "fast" leaves it out."""


def compress(
    dataset: xr.Dataset,
    path: str | PathLike[str],
    target: Target,
    *,
    variables: Sequence[str] | None = None,
    effort: str = "normal",
    time_budget: float | None = None,
    seed: int = 0,
    device: str = "auto",
    with_field: bool = True,
    promises: Sequence[Request | str] = (),
    extremes: Sequence[Extremes | str] = (),
    overwrite: bool = False,
    jobs: int = 1,
    progress: ProgressCallback | None = None,
) -> CompressionResult:
    """Compress `dataset` into the archive `path`: within the errors asked for, or at most the size asked for and at
    least 97 % of it where that helps.

    `time_budget`: seconds that training may take; `with_field=False` leaves the field out of a bounded archive;
    `promises` go beyond the bounds, as objects or text such as "extremes p99:0.1" (promises/requests.py);
    `extremes`: what shall have a smaller error than the rest of an archive of a given ratio or size, as objects or
    text such as "p99:0.1" (extremes.py); `jobs`: segments that are coded at once, each in a process of its own and on a
    GPU of its own where there are several. More than one needs `if __name__ == "__main__":` around a script's work, as
    each process imports the script. With a bound or an RMSE the archive is the same, as far as sums over other numbers
    of threads round alike (OMP_NUM_THREADS=1 makes sure); with a size it depends on `jobs`.

    Raises UsageError (unknown variable, impossible target, output exists), InputError (nothing to compress, infinite
    values), UnavailableError (no such device), VerificationError (a bound does not hold) and ResourceError; then
    nothing is written. Reads the data twice. Cost on one core: about 5 s per million values; memory about 4 times the
    float32 data of a segment (budget.SEGMENT_VALUES), for each of the jobs.
    """
    started = clock.monotonic()
    _require_jobs(jobs)
    options = _fit_options(effort, seed, device)
    wishes = Wishes.of(target, promises, extremes, with_field)
    with ArchiveWriter(path, overwrite) as writer:
        groups, lossless = plan_groups(dataset, variables)
        wishes.check(dataset, groups)
        surveys = [survey(dataset, group) for group in groups]
        goals = wishes.resolve(dataset, groups, surveys)
        configuration = {**wishes.configuration(), "effort": effort, "seed": seed}
        manifest, arrays = describe(dataset, groups, surveys, lossless, goals.bounds, configuration)
        if arrays:
            writer.add(ARRAYS_MEMBER, arrays)
        coder = Coder(dataset, manifest, groups, surveys, goals, options, time_budget, writer, progress)
        entries = coder.code(jobs)
        goals.require(coder.findings)
        manifest = coder.findings.added_to(manifest, entries)
        limit = target.file_bytes(manifest.source.bytes)
        goals.require_size(manifest.source.bytes, writer.size_so_far() + deflated_size(manifest), limit)
        size = writer.finish(manifest)
    notes = (*_notes(dataset, lossless, size, limit), *bound_notes(dataset, goals.bounds, coder.findings))
    seconds = clock.monotonic() - started
    return coder.findings.result(dataset, Path(path), (manifest.source.bytes, size), seconds, notes)


def open_archive(path: str | PathLike[str], device: str = "auto", layer: str = "all") -> Archive:
    """Open an archive for lazy reading; see `Archive`."""
    return Archive(path, device, layer)


def decompress(
    path: str | PathLike[str],
    output: str | PathLike[str],
    *,
    variables: Sequence[str] | None = None,
    time: str | None = None,
    bbox: str | Sequence[float] | None = None,
    grid: float | None = None,
    like: str | PathLike[str] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    layer: str = "all",
    jobs: int = 1,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write an archive, or a part of it, as NetCDF or Zarr (by the suffix of `output`), on its own grid or another.

    `time`: "2016-10-05", "2016-10-05T06" or "A/B"; `bbox`: "south,north,west,east"; `grid`: degrees; `like`: a file
    whose latitudes and longitudes to use; `jobs`: processes that decode tiles of an archive with an error bound ahead
    of the writing, as in `compress`. Raises UsageError for a selection outside the data or an existing output,
    CorruptArchiveError, ResourceError. Memory: a few times a segment, for each of the jobs.
    """
    _require_jobs(jobs)
    report = progress or (lambda _: None)
    report(Progress("decoding", 0.0, None, {}))
    with Archive(path, device, layer) as archive:
        if grid is None and like is None:
            dataset = archive.select(variables, time, bbox)
        else:
            latitude, longitude = grid_of(like) if grid is None and like is not None else _regular_grid(archive, grid)
            dataset = subset(archive.regrid(latitude, longitude, variables), None, time, bbox)
        dataset = dataset.assign_attrs(history=_history(dataset, Path(path)))
        report(Progress("decoding", 0.1, None, {}))
        with decoded_ahead(archive, path, dataset, jobs, device):
            written = write_dataset(dataset, output, overwrite)
    report(Progress("decoding", 1.0, None, {}))
    return written


def _require_jobs(jobs: int) -> None:
    if jobs < 1:
        raise UsageError(f"{jobs} jobs: there is at least one")


def _fit_options(effort: str, seed: int, device: str) -> FitOptions:
    if effort not in EFFORTS:
        raise UsageError(f"there is no effort {effort!r}: choose {', '.join(EFFORTS)}")
    return FitOptions(EFFORTS[effort], seed=seed, device=resolve_device(device))


def _notes(dataset: xr.Dataset, lossless: Sequence[str], size: int, limit: int) -> tuple[str, ...]:
    notes = [
        f"{name} is kept losslessly: {lossless_reason(dataset, name) or 'other variables refer to it'}"
        for name in lossless
    ]
    if size < limit * (1 - RATIO_TOLERANCE):
        notes.append(f"the data need only {size} B of the {limit} B asked for")
    return tuple(notes)


def _regular_grid(archive: Archive, spacing: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if spacing is None or not spacing > 0:
        raise UsageError(f"a grid of {spacing} degrees: the spacing is a positive number")
    for grid in archive.grids:
        if grid.latitude.geographic and grid.longitude.geographic:
            return regular_grid(grid.latitude.values, grid.longitude.values, spacing, grid.longitude.periodic)
    raise UsageError("the archive has no variable on regular latitudes and longitudes: leave out --grid")


def _history(dataset: xr.Dataset, path: Path) -> str:
    """The dataset's history with a line of ours on top, as CF recommends."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    line = f"{now} nnzip {nnzip.__version__} decompressed {path.name} (lossy: see nnzip_rmse of each variable)"
    before = dataset.attrs.get("history")
    return line if before is None else f"{line}\n{before}"

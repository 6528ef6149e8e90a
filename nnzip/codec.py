"""The main path: compress a dataset into an archive, decompress it, verify it.

An archive has three layers per group of variables and segment of time: field, detail, corrections.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nnzip
from nnzip.archive.container import ArchiveWriter, archive_size, deflated_size
from nnzip.archive.limits import ARRAYS_MEMBER
from nnzip.archive.manifest import AchievedErrors, GroupEntry, KeptPromise, Manifest, MaskEntry, SegmentEntry
from nnzip.budget import Allowance, Target
from nnzip.comparison import area_weights, compare
from nnzip.data.grouping import lossless_reason, plan_groups, stack
from nnzip.data.selection import subset
from nnzip.data.target_grid import grid_of, regular_grid
from nnzip.data.writing import write_dataset
from nnzip.describe import describe, survey
from nnzip.errors import UsageError, VerificationError
from nnzip.extremes import Extremes, parse_extremes, require_variables, tail_options
from nnzip.field.device import resolve_device
from nnzip.field.fit import FitOptions
from nnzip.metrics.accumulate import ErrorStatistics
from nnzip.progress import Progress, ProgressCallback, SegmentReports, units_of
from nnzip.promise import bound_notes, kept_promises, promise, require_bounds, require_rmse, rmse_targets
from nnzip.promises.requests import Request, parse_promise
from nnzip.promises.resolve import check_requests
from nnzip.reader import Archive, group_grid
from nnzip.segment import Coded, code_to_rmse, code_within_bounds, code_within_budget

EFFORTS = {"fast": 0, "normal": 800, "best": 4000}
"""Training steps of the network per segment; "fast" leaves it out."""

RATIO_TOLERANCE = 0.03


@dataclass(frozen=True)
class VariableErrors:
    """Errors of a decoded variable in its own units; `rmse` and `bias` are area-weighted."""

    rmse: float
    max_error: float
    bias: float
    units: str


@dataclass(frozen=True)
class VariablePromise:
    """A promise beyond the bound of a variable, as option and text; see `promises.constraints.Kept`."""

    promise: str
    points: int
    violations: int
    tightest: float


@dataclass(frozen=True)
class CompressionResult:
    """What `compress` did; `source_bytes` are the compressed variables as float32, `file_bytes` the whole file.

    `promises` beyond the bounds, by variable, took `promise_bytes` of the corrections.
    """

    path: Path
    ratio: float
    file_bytes: int
    source_bytes: int
    errors: dict[str, VariableErrors]
    promises: dict[str, list[VariablePromise]]
    promise_bytes: dict[str, int]
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """What `verify` found in order: members and bytes read; decoded and missing values per variable."""

    path: Path
    members: int
    bytes: int
    values: dict[str, int]
    missing: dict[str, int]
    seconds: float


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
    progress: ProgressCallback | None = None,
) -> CompressionResult:
    """Compress `dataset` into the archive `path`: within the errors asked for, or at most the size asked for and at
    least 97 % of it where that helps.

    `time_budget`: seconds that training may take; `with_field=False` leaves the field out of a bounded archive;
    `promises` go beyond the bounds, as objects or text such as "extremes p99:0.1" (promises/requests.py);
    `extremes`: what shall have a smaller error than the rest of an archive of a given ratio or size, as objects or
    text such as "p99:0.1" (extremes.py). Raises UsageError (unknown variable, impossible target, output exists),
    InputError (nothing to compress, infinite values), UnavailableError (no such device), VerificationError (a bound
    does not hold) and ResourceError; then nothing is written. Reads the data twice. Cost on one core: about 5 s per
    million values; memory about 4 times the float32 data of a segment (budget.SEGMENT_VALUES).
    """
    started = clock.monotonic()
    if extremes and not target.limits_size:
        raise UsageError("extremes go with a ratio or a size: with a bound, promise them a share of it (promises)")
    options = _fit_options(effort, seed, device)
    requests = _requests(promises, target)
    tails = [parse_extremes(kept) if isinstance(kept, str) else kept for kept in extremes]
    with ArchiveWriter(path, overwrite) as writer:
        groups, lossless = plan_groups(dataset, variables)
        check_requests(dataset, groups, requests)
        require_variables(tails, groups)
        surveys = [survey(dataset, group) for group in groups]
        bounds = {} if target.max_error is None else promise(dataset, groups, surveys, target.max_error, requests)
        rmse = rmse_targets(dataset, groups, surveys, target)
        configuration = _configuration(target, effort, seed, tails)
        manifest, arrays = describe(dataset, groups, surveys, lossless, bounds, configuration)
        if arrays:
            writer.add(ARRAYS_MEMBER, arrays)
        limit = target.file_bytes(manifest.source.bytes)
        values = sum(found.finite for found in surveys)
        masks = sum(len(found.mask) for found in surveys)
        allowance = Allowance(limit - masks - _overhead(manifest, writer.size_so_far()), values)
        statistics = {name: ErrorStatistics() for name in manifest.variables}
        promised = {name: bounds[name].promises if name in bounds else () for name in manifest.variables}
        checks = {name: [found.constraint.checker() for found in promised[name]] for name in promised}
        promise_bytes = dict.fromkeys(manifest.variables, 0)
        reports = SegmentReports(dataset, progress, sum(prod(group.shape) for group in groups))
        entries: list[GroupEntry] = []
        for index, (group, found, entry) in enumerate(zip(groups, surveys, manifest.groups, strict=True)):
            coded_segments = []
            for number, (segment, finite) in enumerate(zip(entry.segments, found.finite_by_segment, strict=True)):
                data = stack(dataset, group, slice(segment.start, segment.stop))
                grid = group_grid(group)
                part = (data, grid.times(segment.start, segment.stop), group, (index, number), segment)
                seconds = None if time_budget is None else time_budget * finite / max(values, 1)
                limited = replace(options, seconds=seconds, tails=tail_options(tails, group))
                report = reports.for_segment(group, data.size)
                if target.limits_size:
                    coded = code_within_budget(*part, allowance.share(finite), limited, report)
                elif rmse:
                    wanted = [rmse[layout.name] for layout in group.variables]
                    weights = area_weights(group) if target.psnr is None else np.ones(group.shape[2])
                    coded = code_to_rmse(*part, wanted, weights, limited, report)
                else:
                    wanted_bounds = [bounds[layout.name] for layout in group.variables]
                    coded = code_within_bounds(*part, wanted_bounds, limited, report, with_field=with_field)
                    for layout, extra in zip(group.variables, coded.promised, strict=True):
                        promise_bytes[layout.name] += extra
                compare(manifest, entry, group, grid, coded, data, options.device.type, statistics, checks)
                if found.mask and not number:
                    coded, entry = _followed_by_mask(coded, entry, found.mask)
                for name, member in coded.members.items():
                    writer.add(name, member)
                allowance.spend(finite, coded.bytes - (0 if number else len(found.mask)))
                coded_segments.append(coded.entry)
            entries.append(msgspec.structs.replace(entry, segments=tuple(coded_segments)))
        errors = {name: _achieved(found) for name, found in statistics.items()}
        kept = {name: kept_promises(promised[name], checks[name]) for name in manifest.variables}
        described = {
            name: msgspec.structs.replace(variable, promises=kept[name], promise_bytes=promise_bytes[name])
            for name, variable in manifest.variables.items()
        }
        manifest = msgspec.structs.replace(manifest, groups=tuple(entries), errors=errors, variables=described)
        require_bounds(bounds, statistics, kept)
        require_rmse(target, rmse, statistics)
        if target.limits_size:
            _require_size(target, manifest.source.bytes, writer.size_so_far() + deflated_size(manifest), limit)
        size = writer.finish(manifest)
    return CompressionResult(
        path=Path(path),
        ratio=manifest.source.bytes / size,
        file_bytes=size,
        source_bytes=manifest.source.bytes,
        errors={name: _errors(dataset, name, found) for name, found in statistics.items()},
        promises={name: [_kept(entry) for entry in found] for name, found in kept.items() if found},
        promise_bytes={name: size for name, size in promise_bytes.items() if kept[name]},
        seconds=clock.monotonic() - started,
        notes=(*_notes(dataset, lossless, size, limit), *bound_notes(dataset, bounds, kept)),
    )


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
    progress: ProgressCallback | None = None,
) -> Path:
    """Write an archive, or a part of it, as NetCDF or Zarr (by the suffix of `output`), on its own grid or another.

    `time`: "2016-10-05", "2016-10-05T06" or "A/B"; `bbox`: "south,north,west,east"; `grid`: degrees; `like`: a file
    whose latitudes and longitudes to use. Raises UsageError for a selection outside the data or an existing
    output, CorruptArchiveError, ResourceError. Memory: a few times a segment.
    """
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
        written = write_dataset(dataset, output, overwrite)
    report(Progress("decoding", 1.0, None, {}))
    return written


def verify(
    path: str | PathLike[str], *, device: str = "auto", progress: ProgressCallback | None = None
) -> Verification:
    """Read every member (checksums), decode every layer and look at every value.

    Raises CorruptArchiveError for damage and VerificationError for decoded values that contradict the manifest.
    """
    started = clock.monotonic()
    report = progress or (lambda _: None)
    with Archive(path, device) as archive:
        sizes = archive.reader.sizes()
        for number, member in enumerate(sorted(sizes)):
            archive.reader.read(member)
            report(Progress("verifying", 0.5 * number / len(sizes), None, {}))
        values, missing = dict.fromkeys(archive.manifest.variables, 0), dict.fromkeys(archive.manifest.variables, 0)
        for index, entry in enumerate(archive.manifest.groups):
            for segment in entry.segments:
                _verify_segment(archive, index, segment, values, missing)
                report(
                    Progress(
                        "verifying",
                        0.5 + 0.5 * (index + segment.stop / entry.segments[-1].stop) / len(archive.groups),
                        None,
                        {},
                    )
                )
    return Verification(Path(path), len(sizes), sum(sizes.values()), values, missing, clock.monotonic() - started)


def _fit_options(effort: str, seed: int, device: str) -> FitOptions:
    if effort not in EFFORTS:
        raise UsageError(f"there is no effort {effort!r}: choose {', '.join(EFFORTS)}")
    return FitOptions(EFFORTS[effort], seed=seed, device=resolve_device(device))


def _requests(promises: Sequence[Request | str], target: Target) -> list[Request]:
    """Promises as objects. Raises UsageError for malformed ones, and where there is no bound to go beyond."""
    requests = [parse_promise(request) if isinstance(request, str) else request for request in promises]
    if requests and target.max_error is None:
        raise UsageError(
            f"{str(requests[0])!r} needs an error bound: ask for a largest error (--max-error) instead of a ratio or "
            "size, which bound nothing"
        )
    return requests


def _kept(entry: KeptPromise) -> VariablePromise:
    return VariablePromise(entry.promise, entry.points, entry.violations, entry.tightest)


def _configuration(target: Target, effort: str, seed: int, extremes: Sequence[Extremes]) -> dict[str, Any]:
    wanted: dict[str, Any] = {"ratio": target.ratio, "size": target.size_bytes, "psnr": target.psnr}
    for key, quantities in (("max_error", target.max_error), ("rmse", target.rmse)):
        if quantities is not None:
            wanted[key] = {name or "all": value for name, value in quantities.items()} or "community tolerances"
    if extremes:
        wanted["extremes"] = [str(kept) for kept in extremes]
    given = {key: value for key, value in wanted.items() if value is not None}
    return {**given, "effort": effort, "seed": seed}


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


def _require_size(target: Target, source_bytes: int, size: int, limit: int) -> None:
    """Raise UsageError when the smallest archive that is possible exceeds the target."""
    if size > limit * (1 + RATIO_TOLERANCE):
        wanted = f"ratio {target.ratio:g}" if target.ratio is not None else f"size of {target.size_bytes} B"
        raise UsageError(
            f"the {wanted} is impossible: it leaves {limit} B, and the smallest archive of these data (metadata, "
            f"coordinates, masks and an empty field) has {size} B, a ratio of {source_bytes / size:.0f}: ask for less"
        )


def _achieved(found: ErrorStatistics) -> AchievedErrors:
    return AchievedErrors(found.rmse(), found.max_error, found.bias())


def _errors(dataset: xr.Dataset, name: str, found: ErrorStatistics) -> VariableErrors:
    return VariableErrors(found.rmse(), found.max_error, found.bias(), units_of(dataset, name))


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


def _verify_segment(
    archive: Archive, index: int, segment: SegmentEntry, values: dict[str, int], missing: dict[str, int]
) -> None:
    """Decode a segment time by time; the decoders themselves refuse damaged layers."""
    grid = archive.grids[index]
    rows, columns = (np.arange(n, dtype=np.float64) for n in grid.shape[1:])
    for number, (layout, _) in enumerate(archive.groups[index].parts()):
        for step in range(segment.start, segment.stop):
            decoded = archive.layers.values(index, number, (np.array([step], dtype=np.float64), rows, columns))
            if np.isinf(decoded).any():
                raise VerificationError(
                    f"{layout.name} decodes to infinite values at time step {step}: compress it again"
                )
            values[layout.name] += decoded.size
            missing[layout.name] += int(np.isnan(decoded).sum())

"""The append recipe: later time steps become further tiles of an archive; the tiles that are there stay as they are."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nnzip.base import VariableBase
from nnzip.compress import coded
from nnzip.container.manifest import Manifest, base_member, tile_member
from nnzip.container.reader import MANIFEST_MEMBER, ArchiveReader
from nnzip.container.writer import ArchiveWriter
from nnzip.data.bytefile import PathText, place
from nnzip.data.conventions import format_value, time_axis, time_coordinate
from nnzip.data.grouping import Group, lossless_reason, plan_groups
from nnzip.data.opening import Data, opened
from nnzip.describe import Description
from nnzip.errors import InputError, UsageError
from nnzip.estimate import estimate
from nnzip.goals import TileGoals
from nnzip.jobs import coders
from nnzip.joined import joined
from nnzip.parts import Part, source_bytes
from nnzip.plan.budget import require_size
from nnzip.plan.cutting import axis_limits, continued, tile_count
from nnzip.progress import Pace, ProgressCallback
from nnzip.promises.resolve import check, resolve
from nnzip.read import Archive
from nnzip.request.options import NETWORK, Options
from nnzip.request.target import Target
from nnzip.result import CompressionResult, result_of
from nnzip.survey import survey

if TYPE_CHECKING:
    from distributed import Client


def append(
    path: PathText,
    data: Data,
    *,
    device: str = "auto",
    jobs: int = 1,
    executor: Executor | Client | None = None,
    progress: ProgressCallback | None = None,
) -> CompressionResult:
    """Add the time steps of `data`, later than all that are there, to the archive `path`; the rest as for `compress`.

    The new tiles keep what the archive was asked for: its bounds, as numbers, and its promises; a ratio, an RMSE or a
    PSNR is that of the new data by themselves. Variables without time stay as they are.

    The archive is written anew beside its place and replaced when that is complete: interrupted, the old one is intact.
    Sizes of the result are those of the whole archive, errors those of the new data. Raises InputError for data that do
    not continue the archive, UsageError for one without time or of a fixed size, and what `compress` raises.
    """
    started = clock.monotonic()
    with opened(data) as dataset, Archive(path, device) as archive, coders(jobs, executor) as team:
        manifest = archive.manifest
        more = _continuation(archive, dataset)
        fields = more[[name for name in more.data_vars if name in manifest.variables]]
        options = _options(archive, list(map(str, fields.data_vars)))
        groups, lossless = plan_groups(fields)
        parts = _parts(manifest, fields, groups, lossless, options)
        check(fields, groups, options)
        pace = Pace(progress, partial(estimate, fields, options, jobs=team.count, quick=True))
        surveys = [survey(part, team, with_rates=options.target.limits_size, read=pace.read) for part in parts]
        ranges = {part.layout.name: found.range for part, found in zip(parts, surveys, strict=True)}
        goals = resolve(fields, groups, ranges, options)
        description = Description(fields, parts, surveys, [], goals, options)
        with ArchiveWriter(path, overwrite=True) as writer:
            for name in archive.reader.sizes():
                if name != MANIFEST_MEMBER:
                    writer.add(name, archive.reader.read(name))
            whole = joined(archive, more, description.manifest(), description.arrays)
            before, limit = archive.reader.file_bytes, options.target.file_bytes(source_bytes(parts))
            tiles = TileGoals(parts, surveys, goals, limit - (writer.size_with(*whole) - before))
            bases = [_base(archive, part) for part in parts]
            tile_jobs = tiles.jobs(options.effort, device, team.count, bases)
            findings = coded(writer, parts, tile_jobs, goals, team, pace, _member(manifest, parts))
            weights = {name: found.errors.weight for name, found in findings.items()}
            whole = joined(archive, more, description.manifest(findings), description.arrays, weights)
            require_size(options.target, source_bytes(parts), writer.size_with(*whole) - before)
            ArchiveReader(path, identity=archive.reader.identity).close()  # did somebody else append meanwhile?
            size = writer.finish(*whole)
    ArchiveReader(path).close()  # everything a reader checks when it opens the file
    notes = []
    for name, found in findings.items():
        notes += goals.notes(name, fields[name], found.errors, found.kept)
    sizes = whole[0].source.bytes, whole[0].source.stored, size
    return result_of(fields, place(path), sizes, findings, clock.monotonic() - started, notes)


def _continuation(archive: Archive, dataset: xr.Dataset) -> xr.Dataset:
    """What depends on time, in the archive's order.

    Raises InputError where that does not continue the archive, UsageError where nothing can.
    """
    manifest, there, path = archive.manifest, archive.dataset(), archive.reader.path
    times = [grid.time for grid in manifest.grids if grid.time is not None]
    if not times:
        raise UsageError(f"{path} has no time dimension: nothing can be appended to it")
    for name in [*there.coords, *there.data_vars]:
        old = there.variables[name]
        new, growing = dataset.variables.get(name), bool(set(times) & set(old.dims))
        if new is None and (growing or old.dims == (name,)):
            raise InputError(f"the new data lack {name!r}, which {path} has")
        if new is not None and growing:
            lengths = [(dim, 0 if dim in times else size) for dim, size in old.sizes.items()]
            if lengths != [(dim, 0 if dim in times else size) for dim, size in new.sizes.items()]:
                raise InputError(f"{name!r} has the shape {dict(new.sizes)}, that of {path} has {dict(old.sizes)}")
        elif new is not None and name not in manifest.variables and not xr.DataArray(old).equals(xr.DataArray(new)):
            raise InputError(f"{name!r} is not that of {path}: append data on the same grid")
    unknown = [name for name in dataset.data_vars if name not in there.variables]
    if unknown and "variables" not in manifest.configuration:
        raise InputError(f"the new data have {unknown[0]!r}, which {path} lacks: leave it out")
    for dim in dict.fromkeys(times):
        _require_later(there, dataset, dim, str(path))
    return dataset[[name for name, old in there.data_vars.items() if set(times) & set(old.dims)]]


def _require_later(there: xr.Dataset, new: xr.Dataset, dim: str, path: str) -> None:
    before, after = time_axis(there, dim), time_axis(new, dim)
    if before.geographic and not (after.geographic and (np.diff(after.values) > 0).all()):
        raise InputError(f"the coordinate {dim!r} of the new data does not hold times in ascending order")
    if before.geographic and after.values[0] <= before.values[-1]:
        dates = [time_coordinate(each, dim) for each in (there, new)]
        last, first = (np.atleast_1d(d.to_numpy())[at] for d, at in zip(dates, (-1, 0), strict=True) if d is not None)
        raise InputError(
            f"the new data begin at {format_value(first)}, and {path} ends at {format_value(last)}: append later times"
        )


def _options(archive: Archive, names: Sequence[str]) -> Options:
    """What the new part is asked for: bounds as numbers, so that they do not depend on the new data."""
    manifest = archive.manifest
    asked = Options.from_dict(manifest.configuration)
    target = asked.target
    if asked.mode == NETWORK:
        raise UsageError(f"{archive.reader.path} is one network for its whole record: compress everything again")
    if target.size_bytes is not None:
        raise UsageError(
            f"{archive.reader.path} was made to have {target.size_bytes} B, which more data would not keep: compress "
            "everything again, within bounds or to a ratio"
        )
    if target.max_error is not None:
        target = Target(max_error={name: manifest.variables[name].bound or 0.0 for name in names})
    promises = tuple(promise for promise in asked.promises if promise.variable in (None, *names))
    return replace(asked, target=target, variables=None, promises=promises)


def _parts(
    manifest: Manifest, fields: xr.Dataset, groups: Sequence[Group], lossless: Sequence[str], options: Options
) -> list[Part]:
    """The variables of the new part, cut like the tiles that are there. Raises InputError."""
    for name in lossless:
        raise InputError(
            f"{name} of the new data cannot be compressed as in the archive: {lossless_reason(fields, name)}"
        )
    parts = []
    for group in groups:
        for layout in group.variables:
            entry = manifest.variables[layout.name]
            axes = tuple(dim for dim in group.dims if dim is not None)
            if (axes, layout.dtype) != (manifest.grids[entry.grid].dims, entry.dtype):
                raise InputError(
                    f"{layout.name} of the new data is {layout.dtype} on {axes}, in the archive it is {entry.dtype} on "
                    f"{manifest.grids[entry.grid].dims}"
                )
            channels = dict(zip(layout.channel_dims, layout.channel_shape, strict=True))
            longest = axis_limits(options.tile, channels, *group.dims)[1]
            sizes = continued(manifest.pieces(entry), group.shape[1], longest)
            parts.append(Part(fields, group, layout, sizes))
    return parts


def _base(archive: Archive, part: Part) -> VariableBase | None:
    """The base that a variable of the archive has."""
    manifest = archive.manifest
    number = list(manifest.variables).index(part.layout.name)
    entry = manifest.variables[part.layout.name].base
    if entry is None:
        return None
    return VariableBase(entry, tuple(archive.reader.read(base_member(number, place)) for place in range(part.places)))


def _member(manifest: Manifest, parts: Sequence[Part]) -> Callable[[int, int], str]:
    """Names of the new tiles: their numbers follow those that are there."""
    numbers = {name: number for number, name in enumerate(manifest.variables)}
    places = [numbers[part.layout.name] for part in parts]
    counts = [tile_count(manifest.pieces(manifest.variables[part.layout.name])) for part in parts]
    return lambda variable, tile: tile_member(places[variable], counts[variable] + tile)

"""The write recipe of `--mode network`: one coordinate network for all variables of a grid, and nothing else.

The network is trained on the whole record (learning.py, network/), coded, decoded as a reader does, and compared with
every value of the record.
"""

from __future__ import annotations

import os
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.container.manifest import network_member
from nnzip.container.reader import ArchiveReader
from nnzip.container.writer import ArchiveWriter
from nnzip.container.zip import MEMBER_BYTES
from nnzip.data.bytefile import PathText, place
from nnzip.data.grouping import plan_groups, why_lossless
from nnzip.describe import Description
from nnzip.errors import UnavailableError, UsageError
from nnzip.evaluate.errors import ErrorStatistics
from nnzip.evaluate.weights import latitude_weights
from nnzip.executor import ALONE, Workers
from nnzip.findings import Findings
from nnzip.jobs import Done
from nnzip.learning import Record
from nnzip.network.coding import decode_network
from nnzip.network.network import Architecture
from nnzip.network.sizing import design
from nnzip.parts import Part, plan_parts, source_bytes
from nnzip.plan.budget import RATIO_TOLERANCE, require_size
from nnzip.progress import CHECKED, Estimate, ProgressCallback, TrainingPace
from nnzip.promises.goals import Goals
from nnzip.promises.resolve import resolve
from nnzip.request.options import Options
from nnzip.result import CompressionResult, result_of
from nnzip.survey import Survey, survey
from nnzip.tile.scaling import scaling_of

if TYPE_CHECKING:
    from nnzip.network.training import Training

STEPS = {"fast": 400, "normal": 1200, "best": 4000}
"""Steps of training, by effort."""

_SAMPLED = 1 << 21  # values of a variable whose range and mean an estimate is made from
_TRAINING_BYTES = 1_500_000_000

_SMALLEST = 400  # bytes of a network
_TRIES = 4  # at an RMSE


def compress_network(
    dataset: xr.Dataset,
    path: PathText,
    options: Options,
    overwrite: bool,
    device: str,
    team: Workers,
    stored_bytes: int,
    progress: ProgressCallback | None,
) -> CompressionResult:
    """As `compress`, into an archive of networks; the `team` surveys the record. Raises UnavailableError without torch.

    Memory: about 1.5 GB, however long the record.
    """
    started, pace = clock.monotonic(), TrainingPace(progress)
    _require_torch()
    with ArchiveWriter(path, overwrite) as writer:
        groups, lossless, parts = plan_parts(dataset, options)
        surveys = []
        for number, part in enumerate(parts):
            pace.say("reading", 0.05 * number / len(parts))
            surveys.append(survey(part, team, with_rates=False))
        names = [part.layout.name for part in parts]
        goals = resolve(dataset, groups, dict(zip(names, (found.range for found in surveys), strict=True)), options)
        stored_bytes = stored_bytes if len(parts) + len(lossless) == len(dataset.data_vars) else 0
        description = Description(dataset, parts, surveys, lossless, goals, options, stored_bytes)
        subjects = _subjects(parts, surveys, goals)
        fixed = writer.size_with(description.manifest(), description.arrays)
        room = _room(options, source_bytes(parts), fixed, len(subjects))
        findings = {name: Findings(()) for name in names}
        size_wanted = options.target.file_bytes(source_bytes(parts)) if options.target.limits_size else None
        pace.begin(partial(_network_estimate, parts, size_wanted), source_bytes(parts) // 4)
        for grid, subject in enumerate(subjects):
            found = subject.trained(options, room, device, team.count, pace)
            writer.add(network_member(grid), found.data)
            for name, errors in found.errors.items():
                findings[name].add(Done(names.index(name), 0, b"", errors, (), 0))
        for name, found_errors in findings.items():
            goals.require(name, found_errors.errors, found_errors.kept)
        manifest = description.manifest(findings)
        require_size(options.target, source_bytes(parts), writer.size_with(manifest, description.arrays))
        size = writer.finish(manifest, description.arrays)
    ArchiveReader(path).close()
    limit = options.target.file_bytes(source_bytes(parts))
    notes = [f"{name} is kept losslessly: {why_lossless(dataset, name)}" for name in lossless]
    if size < limit * (1 - RATIO_TOLERANCE):
        notes.append(f"the network took {size} B of the {limit} B asked for")
    sizes = source_bytes(parts), stored_bytes, size
    return result_of(dataset, place(path), sizes, findings, clock.monotonic() - started, notes)


@dataclass(frozen=True)
class _Found:
    """A coded network, and the errors of each variable."""

    data: bytes
    errors: dict[str, ErrorStatistics]


@dataclass(frozen=True)
class _Subject:
    """The variables of one grid, which share a network."""

    parts: tuple[Part, ...]
    surveys: tuple[Survey, ...]
    goals: Goals
    all_values: int

    @property
    def values(self) -> int:
        return source_bytes(self.parts) // 4

    @property
    def share(self) -> float:
        """Of the values of the whole archive."""
        return self.values / self.all_values

    def trained(self, options: Options, room: float | None, device: str, jobs: int, pace: TrainingPace) -> _Found:
        """The network of these variables in their share of `room` bytes, or at the RMSE that each is to reach."""
        training, architecture, record = self.training(options, room, device, jobs)
        pace.next(self.values, partial(self._stage, record))
        training.tell = pace.tell
        for _ in range(_TRIES):
            found = training.run(architecture)
            errors = self._errors(found.data, architecture.outputs, pace)
            excess = self._excess(errors)
            if excess <= 1:
                break
            training.goal = replace(training.goal, error=0.97 * (training.goal.error or 1.0) / excess**2)
        else:
            raise UsageError(
                f"a network of this size does not reach the RMSE asked for, it has {excess:.3g} times as much: ask "
                "for more, or leave out --mode network"
            )
        return _Found(found.data, errors)

    def training(
        self, options: Options, room: float | None, device: str, jobs: int
    ) -> tuple[Training, Architecture, Record]:
        """How to train the network, its sizes, and what it learns."""
        from nnzip.network.training import Goal, Training

        scale = np.concatenate([scaling_of(s.mean, s.variance, s.low, s.high)[1] for s in self.surveys])
        wanted = [self.goals.rmse.get(part.layout.name, 0.0) for part in self.parts]
        importance, goal = np.ones(scale.size), Goal(bytes=None if room is None else room * self.share)
        if room is None:
            _require_lossy(self.parts, wanted)
            counts = [part.shape[0] for part in self.parts]
            importance = np.square(scale / np.repeat(wanted, counts))
            goal = Goal(error=0.95 / float(importance.mean()))
        likely = goal.bytes or _likely_room(self.values, importance)
        importance /= importance.mean()
        record = Record(self.parts, self.surveys, scale.astype(np.float32), importance, self.goals.tails, options.seed)
        grid = self.parts[0].grid
        geographic = grid.time.geographic, grid.latitude.geographic, grid.longitude.geographic
        architecture = design(record.axes, geographic, scale.size, likely, record.roughness)
        training = Training(
            record,
            record.mean,
            record.scale,
            goal,
            STEPS[options.effort],
            seconds=float("inf") if options.time_budget is None else options.time_budget * self.share,
            seed=options.seed,
            device=_torch_device(device),
            jobs=min(jobs, os.cpu_count() or 1),
        )
        return training, architecture, record

    def _stage(self, record: Record, error: float) -> str:
        """ "training: loss 0.01, RMSE of t2m 0.5 K"."""
        first = self.parts[0]
        units = first.dataset[first.layout.name].attrs.get("units", "")
        rmse = (error / record.importance[0]) ** 0.5 * float(record.scale[0])
        return f"training: loss {error:.3g}, RMSE of {first.layout.name} {rmse:.3g} {units}".rstrip()

    def _excess(self, errors: dict[str, ErrorStatistics]) -> float:
        """The largest RMSE as a share of what is asked for; 0 where none is."""
        plain = self.goals.target.psnr is not None
        shares = [
            (each.plain_rmse() if plain else each.rmse()) / self.goals.rmse[name]
            for name, each in errors.items()
            if name in self.goals.rmse
        ]
        return max(shares, default=0.0)

    def _errors(self, data: bytes, outputs: int, pace: TrainingPace) -> dict[str, ErrorStatistics]:
        """Of every variable, over the whole record, as a reader decodes it."""
        network, first, found = decode_network(data, outputs).network(), 0, {}
        for part in self.parts:
            statistics, grid = ErrorStatistics(), part.grid
            weights = np.ones(grid.latitude.values.size)
            if grid.latitude.geographic:
                weights = latitude_weights(grid.latitude.values)
            for _, box, values in (tile for run in part.runs(1) for tile in run.read()):
                axes = [axis.values[some] for axis, some in zip(grid.axes, box.slices[1:], strict=True)]
                outputs_here = slice(first + box.channels.start, first + box.channels.stop)
                decoded = network.values(axes[0], axes[1], axes[2], outputs_here).astype(part.layout.dtype)
                decoded[np.isnan(values)] = np.nan
                for channel, original in enumerate(values.astype(np.float64)):
                    start = (box.channels.start + channel, *(axis.start for axis in box[1:]))
                    both = original[None], decoded[channel : channel + 1].astype(np.float64)
                    statistics.add(*both, weights[box.slices[2], None], start)
                pace.checked(values.size)
            found[part.layout.name] = statistics
            first += part.shape[0]
        return found


def _subjects(parts: Sequence[Part], surveys: Sequence[Survey], goals: Goals) -> list[_Subject]:
    """One for each grid, in the order of the manifest."""
    found = []
    for dims in dict.fromkeys(part.group.dims for part in parts):
        here = [place for place, part in enumerate(parts) if part.group.dims == dims]
        some = tuple(parts[k] for k in here), tuple(surveys[k] for k in here)
        found.append(_Subject(*some, goals, source_bytes(parts) // 4))
    return found


def _room(options: Options, source: int, fixed: int, networks: int) -> float | None:
    """Bytes for all networks together; None where an error is the goal. Raises UsageError where there are too few."""
    if not options.target.limits_size:
        return None
    members = sum(MEMBER_BYTES + 2 * len(network_member(grid)) for grid in range(networks))
    limit, least = options.target.file_bytes(source), fixed + members + _SMALLEST * networks
    if limit < least:
        raise UsageError(
            f"{limit} B are too few for a network of these data: the smallest archive (metadata, coordinates, masks, "
            f"a network of {_SMALLEST} B) has {least} B, a ratio of {source / least:.0f}: ask for less"
        )
    return float(limit - fixed - members)


def _likely_room(values: int, importance: NDArray[np.float64]) -> float:
    """Bytes that a network needs about for an error: a tenth of a bit for each value and halving of the error."""
    halvings = max(float(np.log2(importance).mean()) / 2, 0.5)
    return max(values * 0.1 * halvings / 8, _SMALLEST)


def _require_lossy(parts: Sequence[Part], wanted: Sequence[float]) -> None:
    for part, rmse in zip(parts, wanted, strict=True):
        if rmse == 0:
            raise UsageError(f"a network cannot keep {part.layout.name} exactly: leave out --mode network")


def _require_torch() -> None:
    try:
        import torch
    except ImportError:
        raise UnavailableError("--mode network trains with torch, which is missing: pip install 'nnzip[gpu]'") from None
    del torch


def _torch_device(name: str) -> str:
    """A GPU where there is one; `cuda` insists. Raises UnavailableError."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("no CUDA device can be used: take --device cpu; `nnzip doctor` says what is missing")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def estimate_network(dataset: xr.Dataset, options: Options, jobs: int, device: str = "auto") -> Estimate:
    """What `compress_network` takes, from a few steps of the training and means of a part of the record; reads no more
    than that and the pool that the training begins with. Raises what `compress_network` raises.
    """
    _require_torch()
    started = clock.monotonic()
    groups, _, parts = plan_parts(dataset, options)
    surveys = [survey(_piece(part), ALONE, with_rates=False) for part in parts]
    ranges = {part.layout.name: found.range for part, found in zip(parts, surveys, strict=True)}
    goals, size = resolve(dataset, groups, ranges, options), options.target.file_bytes(source_bytes(parts))
    coding, values = {}, source_bytes(parts) // 4
    read = values / max(sum(prod(_piece(part).shape) for part in parts), 1) * (clock.monotonic() - started)
    for subject in _subjects(parts, surveys, goals):
        room = float(size) if options.target.limits_size else None
        training, architecture, _ = subject.training(options, room, device, jobs)
        seconds = min(training.seconds_needed(architecture), training.seconds)
        coding[", ".join(part.layout.name for part in subject.parts)] = seconds + subject.values / CHECKED
    return _network_estimate(parts, size if options.target.limits_size else None, read, coding)


def _network_estimate(
    parts: Sequence[Part], file_bytes: int | None, reading: float, coding: Mapping[str, float]
) -> Estimate:
    """Of networks for these variables: seconds of the reading before the training, and of the trainings."""
    return Estimate(0, _TRAINING_BYTES, source_bytes(parts), file_bytes, reading, coding)


def _piece(part: Part) -> Part:
    """Some times in the middle."""
    _, times, rows, columns = part.shape
    count = min(max(_SAMPLED // (part.shape[0] * rows * columns), 1), times)
    first, dim = (times - count) // 2, part.group.dims[0]
    if dim is None:
        return part
    cropped = part.dataset.isel({dim: slice(first, first + count)})
    groups, _ = plan_groups(cropped, [part.layout.name])
    return Part.of(cropped, groups[0], groups[0].variables[0], {})

"""The unit of work of `compress`: one tile coded, decoded as a reader does, and compared with the original. Pure and
picklable: a process, a thread or a cluster may do it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.devices import resolve_device
from nnzip.evaluate.errors import ErrorStatistics
from nnzip.promises.goals import BoxPromised
from nnzip.promises.kept import Kept
from nnzip.tile.bounded import Coded
from nnzip.tile.decode import decode_tile
from nnzip.tile.encode import Goal, encode_tile
from nnzip.transform.cycles import Cycle


@dataclass(frozen=True)
class Job:
    """A tile to be coded: `values` [channel, time, lat, lon] (NaN: missing), which begin at `start` of the variable.

    `weights` [lat]: of the rows in means over the area.
    """

    variable: int
    tile: int
    values: NDArray[np.floating]
    goal: Goal
    dtype: str
    periodic: bool
    cycle: Cycle | None
    weights: NDArray[np.float64]
    start: tuple[int, ...]
    effort: str
    device: str


@dataclass(frozen=True)
class Done:
    """A coded tile, and what it decodes to: errors, and what became of the promises beyond the bound, which took
    `promised` of its bytes."""

    variable: int
    tile: int
    data: bytes
    errors: ErrorStatistics
    kept: tuple[Kept, ...]
    promised: int


def code(job: Job) -> Done:
    """Code a tile and compare. Memory: about 15 times the values as float32."""
    return check(job, encode(job))


def encode(job: Job) -> Coded:
    """Code a tile."""
    device = resolve_device(job.device)
    return encode_tile(
        job.values, job.goal, job.dtype, periodic=job.periodic, cycle=job.cycle, effort=job.effort, device=device
    )


def check(job: Job, coded: Coded) -> Done:
    """Decode a tile as a reader does, and compare."""
    device = resolve_device(job.device)
    channels, times, rows, columns = job.values.shape
    decoded = decode_tile(coded.data, (channels, times, rows, columns), device).astype(np.float64)
    original = job.values.astype(np.float64)
    decoded[np.isnan(original)] = np.nan
    errors = ErrorStatistics()
    for channel in range(channels):
        here = slice(channel, channel + 1)
        start = (job.start[0] + channel, *job.start[1:])
        errors.add(original[here], decoded[here], job.weights[:, None], start)
    kept = job.goal.check(original, decoded) if isinstance(job.goal, BoxPromised) else []
    return Done(job.variable, job.tile, coded.data, errors, tuple(kept), coded.promised)

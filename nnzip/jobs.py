"""The unit of work of `compress`: tiles read, coded, decoded as a reader does, and compared with the original. Pure and
picklable: a process, a thread or a cluster may do it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.devices import resolve_device
from nnzip.evaluate.errors import ErrorStatistics
from nnzip.plan.cutting import Box
from nnzip.promises.goals import BoxPromised
from nnzip.promises.kept import Kept
from nnzip.survey import Run
from nnzip.tile.bounded import Coded
from nnzip.tile.decode import decode_tile
from nnzip.tile.encode import Goal, encode_tile
from nnzip.transform.cycles import Cycle


@dataclass(frozen=True)
class Job:
    """Tiles to be coded: a run of them, and by number their goals and the cycles of those that have one.

    `weights` [lat]: of all rows of the variable in means over the area.
    """

    variable: int
    run: Run
    goals: dict[int, Goal]
    cycles: dict[int, Cycle | None]
    dtype: str
    periodic: bool
    weights: NDArray[np.float64]
    effort: str
    device: str

    @property
    def values(self) -> int:
        """Number of values."""
        return sum(prod(box.shape) for box in self.run.boxes.values())


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


def code(job: Job) -> Iterator[Done]:
    """Read tiles, code each and compare, in a thread while the next one is coded.

    Memory: the run, and about 20 times the values of a tile as float32.
    """
    with ThreadPoolExecutor(1) as thread:
        pending: Future[Done] | None = None
        for tile, box, values in job.run.read():
            coded = _encoded(job, tile, values)
            if pending is not None:
                yield pending.result()
            pending = thread.submit(_checked, job, tile, box, values, coded)
            del values, coded
        if pending is not None:
            yield pending.result()


def _encoded(job: Job, tile: int, values: NDArray[np.floating]) -> Coded:
    return encode_tile(
        values,
        job.goals[tile],
        job.dtype,
        periodic=job.periodic,
        cycle=job.cycles[tile],
        effort=job.effort,
        device=resolve_device(job.device),
    )


def _checked(job: Job, tile: int, box: Box, values: NDArray[np.floating], coded: Coded) -> Done:
    """Decode as a reader does, and compare."""
    goal = job.goals[tile]
    decoded = decode_tile(coded.data, box.shape, resolve_device(job.device)).astype(np.float64)
    original = values.astype(np.float64)
    decoded[np.isnan(original)] = np.nan
    errors, weights = ErrorStatistics(), job.weights[box.slices[2]]
    channel, *start = (axis.start for axis in box)
    for number in range(len(original)):
        here = slice(number, number + 1)
        errors.add(original[here], decoded[here], weights[:, None], (channel + number, *start))
    kept = goal.check(original, decoded) if isinstance(goal, BoxPromised) else []
    return Done(job.variable, tile, coded.data, errors, tuple(kept), coded.promised)

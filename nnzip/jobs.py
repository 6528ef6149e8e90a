"""The unit of work of `compress`: tiles read, coded, decoded as a reader does, and compared with the original. Pure and
picklable: a process, a thread or a cluster may do it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.devices import resolve_device
from nnzip.coder.native.kernel import shipped_kernel
from nnzip.evaluate.pieces import block_slices
from nnzip.evaluate.sums import ErrorSums
from nnzip.executor import Workers, workers
from nnzip.parts import Run
from nnzip.plan.cutting import Box, Shape
from nnzip.promises.goals import BoxPromised
from nnzip.promises.kept import Kept
from nnzip.tile.base import Base
from nnzip.tile.bounded import Coded
from nnzip.tile.decode import decode_maps, decode_tile
from nnzip.tile.encode import Goal, encode_tile
from nnzip.transform.cycles import Cycle

_BLOCK = 1 << 16
"""Values that are compared together: a processor's cache holds them."""

_MOST_THREADS = 8
"""That the native kernel keeps busy, which works without Python's lock."""


@dataclass(frozen=True)
class CodedBase:
    """The base of a tile: coded `maps`, so many as `count`, and how the tile combines them."""

    maps: bytes
    count: int
    cycle: Cycle
    weights: tuple[float, ...]

    def decoded(self, shape: Shape) -> Base:
        """For a tile of this shape."""
        return Base(self.cycle, self.weights, decode_maps(self.maps, self.count, shape))


@dataclass(frozen=True)
class Job:
    """Tiles to be coded: a run of them, and by number their goals and the cycles and bases of those that have one.

    `weights` [lat]: of all rows of the variable in means over the area.
    """

    variable: int
    run: Run
    goals: dict[int, Goal]
    cycles: dict[int, Cycle | None]
    bases: dict[int, CodedBase | None]
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
    errors: ErrorSums
    kept: tuple[Kept, ...]
    promised: int


@dataclass(frozen=True)
class Piece:
    """A tile of a job, read: `values` [channel, time, lat, lon]."""

    job: Job
    tile: int
    box: Box
    values: NDArray[np.floating]

    @cached_property
    def base(self) -> Base | None:
        """Of the tile, where it has one."""
        coded = self.job.bases[self.tile]
        return None if coded is None else coded.decoded(self.box.shape)


def coders(jobs: int, executor: Any = None) -> AbstractContextManager[Workers]:
    """Who does `jobs` at once: see `executor.workers`; threads where they would not wait for Python's lock."""
    return workers(jobs, executor, threads=jobs <= _MOST_THREADS and shipped_kernel() is not None)


def code(job: Job) -> Iterator[Done]:
    """Read tiles, code each and compare. Memory: the run, and about 15 times the values of a tile as float32."""
    for piece in pieces([job]):
        yield from code_piece(piece)


def code_piece(piece: Piece) -> Iterator[Done]:
    """Code a tile and compare."""
    yield check_piece(piece, encode_piece(piece))


def pieces(jobs: Iterable[Job]) -> Iterator[Piece]:
    """The tiles of jobs, one after another."""
    for job in jobs:
        for tile, box, values in job.run.read():
            yield Piece(job, tile, box, values)


def encode_piece(piece: Piece) -> Coded:
    """Code a tile."""
    job = piece.job
    return encode_tile(
        piece.values,
        job.goals[piece.tile],
        job.dtype,
        periodic=job.periodic,
        cycle=job.cycles[piece.tile],
        base=piece.base,
        effort=job.effort,
        device=resolve_device(job.device),
    )


def check_piece(piece: Piece, coded: Coded) -> Done:
    """Decode a tile as a reader does, and compare."""
    job, box, original = piece.job, piece.box, piece.values
    maps = None if piece.base is None else piece.base.maps
    decoded = decode_tile(coded.data, box.shape, resolve_device(job.device), maps)
    missing = np.isnan(original)
    if missing.any():
        decoded = np.where(missing, decoded.dtype.type(np.nan), decoded)
    errors, weights = ErrorSums(), job.weights[box.slices[2], None]
    for block in block_slices(box.shape, _BLOCK):
        start = tuple(axis.start + part.start for axis, part in zip(box, block, strict=True))
        errors.add(original[block], decoded[block], weights[block[2]], start)
    goal = job.goals[piece.tile]
    kept = []
    if isinstance(goal, BoxPromised) and goal.constraints:
        kept = goal.check(original.astype(np.float64), decoded.astype(np.float64))
    return Done(job.variable, piece.tile, coded.data, errors, tuple(kept), coded.promised)

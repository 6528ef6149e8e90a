"""Errors by place and by time: where and when the decoded data are off, gathered block by block for maps and curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.evaluate.errors import Floats

MAX_CELLS = 1 << 18  # of a map: finer grids are gathered in squares of cells, about 720 x 360 of them


@dataclass(frozen=True)
class ErrorMaps:
    """Errors of one variable, in its units; NaN where nothing is finite.

    rmse, largest [row, column]: over all times and levels, in squares of `block` x `block` cells in the data's own
    order. time_rmse (weighted by area), time_largest [time]: over all levels and cells; empty without a time.
    """

    rmse: Floats
    largest: Floats
    block: int
    time_rmse: Floats
    time_largest: Floats


class ErrorsByPlace:
    """Gathers `ErrorMaps`; memory grows with the map and the number of times, not with the data.

    shape: (times, rows, columns); axes: places of time (None without one), latitude and longitude among the
    dimensions of the arrays to come.
    """

    def __init__(self, shape: tuple[int, int, int], axes: tuple[int | None, int, int]) -> None:
        times, rows, columns = shape
        self._axes, self._block = axes, block_size(rows, columns, MAX_CELLS)
        plane = (-(-rows // self._block), -(-columns // self._block))
        self._squares, self._counts, self._largest = np.zeros(plane), np.zeros(plane), np.full(plane, -1.0)
        count = times if axes[0] is not None else 0
        self._time = {name: np.zeros(count) for name in ("squares", "weights")}
        self._time_largest = np.full(count, -1.0)

    def add(self, original: Floats, decoded: Floats, weights: Floats, offset: tuple[int, ...]) -> None:
        """Add a block of both sides that holds whole maps; `offset`: its first index along every dimension."""
        time, row, column = self._axes
        leading = () if time is None else (time,)
        with np.errstate(invalid="ignore"):  # infinite on both sides
            error = np.abs(np.moveaxis(decoded - original, (*leading, row, column), (*range(len(leading)), -2, -1)))
        valid = np.isfinite(error)
        error = np.where(valid, error, 0.0)
        square, largest = error * error, np.where(valid, error, -1.0)
        others = tuple(range(error.ndim - 2))
        self._squares += blocks(square.sum(others), self._block).sum(-1)
        self._counts += blocks(valid.sum(others).astype(np.float64), self._block).sum(-1)
        worst = largest.max(others) if others else largest
        self._largest = np.maximum(self._largest, blocks(worst, self._block, fill=-1.0).max(-1))
        if time is None:
            return
        area = np.broadcast_to(weights.reshape(-1, 1), error.shape[-2:])
        steps = slice(offset[time], offset[time] + error.shape[0])
        rest = tuple(range(1, error.ndim))
        self._time["squares"][steps] += (square * area).sum(rest)
        self._time["weights"][steps] += (valid * area).sum(rest)
        self._time_largest[steps] = np.maximum(self._time_largest[steps], largest.max(rest))

    def merge(self, other: ErrorsByPlace) -> None:
        """Add what was gathered from other values of the same variable."""
        self._squares += other._squares
        self._counts += other._counts
        self._largest = np.maximum(self._largest, other._largest)
        for name, sums in other._time.items():
            self._time[name] += sums
        self._time_largest = np.maximum(self._time_largest, other._time_largest)

    def result(self) -> ErrorMaps:
        """The maps and curves of everything added."""
        return ErrorMaps(
            rmse=_root(self._squares, self._counts),
            largest=_known(self._largest),
            block=self._block,
            time_rmse=_root(self._time["squares"], self._time["weights"]),
            time_largest=_known(self._time_largest),
        )


def block_size(rows: int, columns: int, cells: int) -> int:
    """The smallest side of square blocks that leaves at most `cells` of them, about."""
    return max(1, int(np.ceil(np.sqrt(rows * columns / cells) - 0.05)))


def blocks(field: Floats, block: int, fill: float = 0.0) -> Floats:
    """[row, column] -> [row block, column block, cells], padded with `fill`."""
    rows, columns = (-(-size // block) * block for size in field.shape)
    padded = np.full((rows, columns), fill)
    padded[: field.shape[0], : field.shape[1]] = field
    cells = padded.reshape(rows // block, block, columns // block, block).transpose(0, 2, 1, 3)
    return cells.reshape(rows // block, columns // block, block * block)


def _root(squares: Floats, weights: Floats) -> Floats:
    counted: NDArray[np.bool_] = weights > 0
    return np.where(counted, np.sqrt(squares / np.where(counted, weights, 1.0)), np.nan)


def _known(largest: Floats) -> Floats:
    return np.where(largest >= 0, largest, np.nan)

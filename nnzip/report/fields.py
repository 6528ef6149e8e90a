"""The fields that the report draws: of a few times of each variable, and of the errors over all times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nnzip.data.grids import Grid, coordinate_label, require_grid
from nnzip.evaluate.error_maps import block_size
from nnzip.evaluate.errors import Floats
from nnzip.evaluate.scores import VariableScores
from nnzip.report import numbers
from nnzip.report.raster import Extent, block_extreme, block_mean

STEPS = 5  # times to choose from in a report
_DOTS = 3_600_000  # of all images of a report: half a byte each, of noise, in the file, which should stay below 3 MB
_MOST, _FEWEST = 260_000, 30_000  # dots of one image


@dataclass(frozen=True)
class MapField:
    """One field for three maps: arrays [row, column], north first; error is decoded minus original.

    extent: west, east, south, north edges of the cells in degrees, or column and row numbers in index space (geographic
    False). worst: x, y of the largest error of this field. block: how many cells per side one map cell stands for.
    when: time and level in words.
    """

    original: Floats
    decoded: Floats
    error: Floats
    extent: Extent
    geographic: bool
    worst: tuple[float, float]
    block: int
    when: str


def image_plan(images_per_step: int, images_beside: int, cells: int, times: int) -> tuple[int, int]:
    """(steps of each variable, dots of each image) with which a report of so many images stays small. cells, times:
    the most that a variable has.
    """
    for steps in (min(count, times) for count in range(STEPS, 0, -2)):
        dots = _DOTS // max(1, steps * images_per_step + images_beside)
        if dots >= min(_FEWEST, cells):
            break
    return steps, min(dots, _MOST)


def chosen_steps(original: xr.DataArray, worst: VariableScores, count: int) -> tuple[list[int], int]:
    """Up to `count` indices of time in order: that of the largest error, the others evenly spread; and which of them
    holds the largest error. [0], 0 without a time.
    """
    time = require_grid(original).time
    if time is None:
        return [0], 0
    size, largest = original.sizes[time], worst.max_error_index[time]
    spread = np.linspace(0, size - 1, min(count, size)).round().astype(int)
    spread[np.argmin(np.abs(spread - largest))] = largest
    found = sorted(set(map(int, spread)))
    return found, found.index(largest)


def step_fields(
    original: xr.DataArray, decoded: xr.DataArray, worst: VariableScores, steps: Sequence[int], dots: int
) -> list[MapField]:
    """The fields at these times on the level of the largest error of `worst`, in at most `dots` squares of cells; loads
    only those of each side. Dimensions are matched by name.
    """
    grid = require_grid(original)
    plane = (grid.latitude, grid.longitude)
    level = {dim: index for dim, index in worst.max_error_index.items() if dim not in (*plane, grid.time)}
    first, second = (_stack(array.isel(level), grid, steps) for array in (original, decoded))
    y, x = coordinates(grid)
    block = block_size(first.shape[1], first.shape[2], dots)
    found = []
    for number, step in enumerate(steps):
        at = ({} if grid.time is None else {grid.time: step}) | level
        order = [dim for dim in map(str, original.dims) if dim in at]
        when = ", ".join(numbers.coordinate(dim, coordinate_label(original, dim, at[dim])) for dim in order)
        found.append(_field(first[number], second[number], (y, x), block, grid.geographic, when))
    return found


def coordinates(grid: Grid) -> tuple[Floats, Floats]:
    """y of the rows, x of the columns: degrees, or in index space numbers that put row 0 on top."""
    if grid.geographic:
        return grid.latitudes, grid.longitudes
    return np.arange(grid.latitudes.size, dtype=np.float64)[::-1], np.arange(grid.longitudes.size, dtype=np.float64)


def upright(field: Floats, y: Floats, x: Floats) -> Floats:
    """A field [row, column] with north first and west on the left."""
    return field[:: -1 if y[0] < y[-1] else 1, :: -1 if x[0] > x[-1] else 1]


def edges(values: Floats) -> tuple[float, float]:
    """Outer edges of the cells, lower first."""
    low, high = float(values.min()), float(values.max())
    half = (high - low) / (values.size - 1) / 2
    return low - half, high + half


def _stack(array: xr.DataArray, grid: Grid, steps: Sequence[int]) -> Floats:
    """[step, row, column] as float64."""
    if grid.time is None:
        values = array.transpose(grid.latitude, grid.longitude).values[None]
    else:
        values = array.isel({grid.time: list(steps)}).transpose(grid.time, grid.latitude, grid.longitude).values
    return np.asarray(values, dtype=np.float64)


def _field(
    first: Floats, second: Floats, axes: tuple[Floats, Floats], block: int, geographic: bool, when: str
) -> MapField:
    y, x = axes
    valid = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(valid, first, np.nan), np.where(valid, second, np.nan)
    error = second - first
    row, column = np.unravel_index(int(np.argmax(np.where(valid, np.abs(error), -1.0))), error.shape)
    original, decoded, error = (upright(field, y, x) for field in (first, second, error))
    return MapField(
        original=block_mean(original, block),
        decoded=block_mean(decoded, block),
        error=block_extreme(error, block),
        extent=(*edges(x), *edges(y)),
        geographic=geographic,
        worst=(float(x[column]), float(y[row])),
        block=block,
        when=when,
    )

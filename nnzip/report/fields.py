"""The horizontal field the report shows of each variable: the one that holds its largest error, as numpy arrays for
drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grids import coordinate_label, require_grid
from nnzip.evaluate.scores import VariableScores
from nnzip.report import numbers

Floats = NDArray[np.float64]
MAX_COLUMNS = 720  # a map is drawn about 450 px wide; two dots per pixel is enough, and keeps the file small


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
    extent: tuple[float, float, float, float]
    geographic: bool
    worst: tuple[float, float]
    block: int
    when: str


def worst_field(original: xr.DataArray, decoded: xr.DataArray, scores: VariableScores) -> MapField:
    """The field that holds the largest error of `scores`; loads only that field of each side. Dimensions are matched by
    name. Several decoded datasets are compared by the field of one of them.
    """
    grid = require_grid(original)
    plane = (grid.latitude, grid.longitude)
    leading = {dim: index for dim, index in scores.max_error_index.items() if dim not in plane}
    first = np.asarray(original.isel(leading).transpose(*plane).values, dtype=np.float64)
    second = np.asarray(decoded.isel(leading).transpose(*plane).values, dtype=np.float64)
    valid = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(valid, first, np.nan), np.where(valid, second, np.nan)
    if grid.geographic:
        y, x = grid.latitudes, grid.longitudes
    else:
        y, x = np.arange(first.shape[0], dtype=np.float64)[::-1], np.arange(first.shape[1], dtype=np.float64)
    size = np.abs(second - first)
    row, column = np.unravel_index(int(np.argmax(np.where(valid, size, -1.0))), size.shape)
    block = -(-max(first.shape[1], first.shape[0] * 2) // MAX_COLUMNS)
    flip_rows, flip_columns = bool(y[0] < y[-1]), bool(x[0] > x[-1])
    maps = [field[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1] for field in (first, second, second - first)]
    return MapField(
        original=_block_mean(maps[0], block),
        decoded=_block_mean(maps[1], block),
        error=_block_extreme(maps[2], block),
        extent=(*edges(x), *edges(y)),
        geographic=grid.geographic,
        worst=(float(x[column]), float(y[row])),
        block=block,
        when=", ".join(numbers.coordinate(dim, coordinate_label(original, dim, i)) for dim, i in leading.items()),
    )


def edges(values: Floats) -> tuple[float, float]:
    """Outer edges of the cells, lower first."""
    low, high = float(values.min()), float(values.max())
    half = (high - low) / (values.size - 1) / 2
    return low - half, high + half


def _blocks(field: Floats, block: int) -> Floats:
    """[row, column] -> [row block, column block, cells], padded with NaN."""
    rows, columns = (-(-size // block) * block for size in field.shape)
    padded = np.full((rows, columns), np.nan)
    padded[: field.shape[0], : field.shape[1]] = field
    cells = padded.reshape(rows // block, block, columns // block, block).transpose(0, 2, 1, 3)
    return cells.reshape(rows // block, columns // block, block * block)


def _block_mean(field: Floats, block: int) -> Floats:
    """Mean of the finite cells of every block."""
    cells = _blocks(field, block)
    counts = np.isfinite(cells).sum(axis=-1)
    return np.where(counts > 0, np.nansum(cells, axis=-1) / np.maximum(counts, 1), np.nan)


def _block_extreme(field: Floats, block: int) -> Floats:
    """The value of largest magnitude of every block, so that drawing small never hides an error."""
    cells = _blocks(field, block)
    place = np.argmax(np.where(np.isfinite(cells), np.abs(cells), -1.0), axis=-1)
    return np.asarray(np.take_along_axis(cells, place[..., None], axis=-1)[..., 0])

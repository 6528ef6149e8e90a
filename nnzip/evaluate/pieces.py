"""Both sides of an evaluation in pieces that one worker compares, block by block."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby

import numpy as np
import xarray as xr

from nnzip.data.conventions import read_values, sliced
from nnzip.data.grids import Grid, require_grid
from nnzip.evaluate.error_maps import ErrorsByPlace
from nnzip.evaluate.errors import ErrorStatistics, lossless_bytes
from nnzip.evaluate.weights import area_weights

BLOCK_VALUES = 1 << 22  # values in memory at a time: 32 MiB as float64, about ten such arrays while they are scored
LOSSLESS_VALUES = 1 << 25  # per variable: beyond it the baseline is measured on evenly spaced blocks
PIECE_MAPS = 64  # of a file, which has no tiles

Block = tuple[slice, ...]


@dataclass(frozen=True)
class Piece:
    """A part of a variable on both sides, not read yet, in blocks: the first index of each, its slices of the part, and
    whether it is measured; `weights` broadcast against them."""

    name: str
    original: xr.Variable
    decoded: xr.Variable
    blocks: list[tuple[tuple[int, ...], Block, bool]]
    weights: np.typing.NDArray[np.float64]
    places: ErrorsByPlace


@dataclass(frozen=True)
class Found:
    """Errors of a block, the bytes of the lossless baseline where they were measured, and with the last block of a
    piece the errors of all by place."""

    name: str
    errors: ErrorStatistics
    lossless: int | None
    places: ErrorsByPlace | None


def pieces(original: xr.Dataset, decoded: xr.Dataset, names: Sequence[str]) -> Iterator[Piece]:
    """Every variable in blocks along time and channels; those that begin in one piece of time, as an archive is cut,
    belong together: their tiles are decoded once."""
    for name in names:
        first, second, grid = original[name].variable, decoded[name].variable, require_grid(original[name])
        leading = [dim for dim in (grid.time, *grid.channels) if dim is not None]
        budget = max(1, BLOCK_VALUES // (first.sizes[grid.latitude] * first.sizes[grid.longitude]))
        stride, weights = math.ceil(first.size / LOSSLESS_VALUES), _broadcast_weights(original[name], grid)
        length = second.encoding.get("preferred_chunks", {}).get(grid.time, PIECE_MAPS)
        tiles = [length] * first.shape[0] if isinstance(length, int) else length
        numbered = enumerate(block_slices([first.sizes[dim] for dim in leading], budget))
        for _, members in groupby(numbered, partial(_piece_of, list(accumulate(tiles)))):
            blocks = list(members)
            begin = {dim: min(block[k].start for _, block in blocks) for k, dim in enumerate(leading)}
            end = {dim: max(block[k].stop for _, block in blocks) for k, dim in enumerate(leading)}
            here = {dim: slice(begin[dim], end[dim]) for dim in leading}
            found = []
            for number, block in blocks:
                inside = dict(zip(leading, block, strict=True))
                offset = tuple(inside[dim].start if dim in inside else 0 for dim in first.dims)
                cut = {dim: slice(part.start - begin[dim], part.stop - begin[dim]) for dim, part in inside.items()}
                found.append(
                    (offset, tuple(cut.get(dim, slice(None)) for dim in map(str, first.dims)), number % stride == 0)
                )
            places = by_place(original[name])
            yield Piece(name, sliced(first, here), sliced(second, here), found, weights, places)


def _piece_of(stops: list[int], numbered: tuple[int, Block]) -> int:
    """The number of the piece, by where it stops, in which a block begins."""
    return bisect_right(stops, numbered[1][0].start) if numbered[1] else 0


def compare(piece: Piece) -> Iterator[Found]:
    """Every block of a piece."""
    for number, (offset, block, measured) in enumerate(piece.blocks, start=1):
        first = read_values(piece.original[block], piece.name)
        wide, second = first.astype(np.float64), read_values(piece.decoded[block], piece.name).astype(np.float64)
        errors = ErrorStatistics()
        errors.add(wide, second, piece.weights, offset)
        piece.places.add(wide, second, piece.weights, offset)
        places = piece.places if number == len(piece.blocks) else None
        yield Found(piece.name, errors, lossless_bytes(first) if measured else None, places)


def block_slices(sizes: Sequence[int], budget: int) -> Iterator[Block]:
    """Cuts an array of these sizes into blocks of at most `budget` elements (at least one), the first dimension
    first.
    """
    if not sizes:
        yield ()
        return
    inner = math.prod(sizes[1:])
    step = max(1, budget // inner)
    for start in range(0, sizes[0], step):
        outer = slice(start, min(start + step, sizes[0]))
        rest = [tuple(slice(0, size) for size in sizes[1:])] if inner <= budget else block_slices(sizes[1:], budget)
        for inner_block in rest:
            yield outer, *inner_block


def by_place(array: xr.DataArray) -> ErrorsByPlace:
    """An empty gatherer for this variable."""
    grid, dims = require_grid(array), list(map(str, array.dims))
    sizes = (
        1 if grid.time is None else array.sizes[grid.time],
        array.sizes[grid.latitude],
        array.sizes[grid.longitude],
    )
    time = None if grid.time is None else dims.index(grid.time)
    return ErrorsByPlace(sizes, (time, dims.index(grid.latitude), dims.index(grid.longitude)))


def _broadcast_weights(array: xr.DataArray, grid: Grid) -> np.typing.NDArray[np.float64]:
    """Cell areas shaped to broadcast against the array's own dimension order."""
    shape = [array.sizes[dim] if dim == grid.latitude else 1 for dim in array.dims]
    return np.asarray(area_weights(array).values.reshape(shape))

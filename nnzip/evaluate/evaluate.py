"""One evaluation of a decoded dataset against its original: every metric of every variable, in one pass over the
data.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nnzip.data.conventions import read_values, sliced
from nnzip.data.grids import Grid, coordinate_label, require_grid
from nnzip.errors import InputError
from nnzip.evaluate.errors import QUANTILES, ErrorStatistics, lossless_bytes
from nnzip.evaluate.matching import align_decoded, comparable_variables, is_comparable, label
from nnzip.evaluate.scores import Evaluation, VariableScores
from nnzip.evaluate.structure import StructureScores, structure_scores
from nnzip.evaluate.weights import area_weights
from nnzip.executor import workers

if TYPE_CHECKING:
    from distributed import Client

BLOCK_VALUES = 1 << 22  # values in memory at a time: 32 MiB as float64, about ten such arrays while they are scored
LOSSLESS_VALUES = 1 << 25  # per variable: beyond it the baseline is measured on evenly spaced blocks
PIECE_MAPS = 64  # that are compared together where a file has no tiles
FLOAT32_BYTES = 4

Block = tuple[slice, ...]


def evaluate(
    original: xr.Dataset,
    decoded: xr.Dataset,
    *,
    variables: Sequence[str] | None = None,
    file_bytes: int | None = None,
    source_bytes: int | None = None,
    stored_bytes: int | None = None,
    parts: Mapping[str, int] | None = None,
    structure: bool = True,
    executor: Executor | Client | None = None,
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Scores of the decoded dataset, both sides read lazily in blocks along time so that memory stays bounded.

    variables: which to score; None scores every floating variable with a horizontal grid that both sides hold.
    file_bytes: size of the compressed file; without it there is no ratio and there are no bits per value.
    source_bytes: float32 bytes of everything in that file; None counts the gridded float variables that both sides
    hold. stored_bytes (of the original's files) and parts (bytes of the file by part) are passed on. structure: also
    spectrum, gradients, autocorrelation and DSSIM, on a sample of fields. executor: compares blocks, as in `compress`;
    the scores are the same. progress: called with the finished fraction.

    Raises UsageError for unknown variables; InputError, naming both, when a variable is missing, grids or coordinates
    differ, or nothing finite is left to compare.
    """
    names = comparable_variables(original, decoded, variables)
    aligned = align_decoded(original, decoded, names)
    statistics = {name: ErrorStatistics() for name in names}
    lossless = {name: _Lossless() for name in names}
    total, done = sum(original[name].size for name in names), 0
    with workers(1, executor) as team:
        for found in team.results(_compare, _pieces(original, aligned, names)):
            statistics[found.name].merge(found.errors)
            lossless[found.name].add(found.lossless, found.errors.values)
            done += found.errors.values
            if progress is not None:
                progress(0.9 * done / total)
    if source_bytes is None:
        source_bytes = FLOAT32_BYTES * sum(original[name].size for name in _compressed(original, decoded, statistics))
    scored = [name for name in names if statistics[name].compared > 0]
    scores = []
    for number, name in enumerate(scored):
        looks = structure_scores(original[name], aligned[name]) if structure else None
        file_ratio = source_bytes / file_bytes if file_bytes else None
        scores.append(_scores(original[name], statistics[name], lossless[name].total_bytes(), looks, file_ratio))
        if progress is not None:
            progress(0.9 + 0.1 * (number + 1) / len(scored))
    notes = [_nothing_finite(original, decoded, name, statistics[name]) for name in names if name not in scored]
    if variables is None:
        notes += [f"{name} is not in {label(decoded, 'the decoded dataset')}" for name in _left_out(original, decoded)]
    by_part = dict(parts) if parts else None
    return Evaluation(tuple(scores), source_bytes, file_bytes, by_part, tuple(notes), stored_bytes)


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


@dataclass
class _Lossless:
    """Bytes of the lossless baseline on the blocks measured so far, of all values seen."""

    compressed: int = 0
    measured: int = 0
    seen: int = 0

    def add(self, compressed: int | None, values: int) -> None:
        """A block; `compressed`: its bytes, if it was measured."""
        self.seen += values
        if compressed is not None:
            self.compressed += compressed
            self.measured += values

    def total_bytes(self) -> int:
        return round(self.compressed * self.seen / self.measured)


@dataclass(frozen=True)
class _Piece:
    """A part of a variable on both sides, not read yet, in blocks: the first index of each, its slices of the part, and
    whether it is measured; `weights` broadcast against them."""

    name: str
    original: xr.Variable
    decoded: xr.Variable
    blocks: list[tuple[tuple[int, ...], Block, bool]]
    weights: np.typing.NDArray[np.float64]


@dataclass(frozen=True)
class _Found:
    """Errors of a block, and the bytes of the lossless baseline where they were measured."""

    name: str
    errors: ErrorStatistics
    lossless: int | None


def _pieces(original: xr.Dataset, decoded: xr.Dataset, names: Sequence[str]) -> Iterator[_Piece]:
    """Every variable in blocks along time and channels; those that begin in one piece of time, as an archive is cut,
    belong together: their tiles are decoded once."""
    for name in names:
        first, second, grid = original[name].variable, decoded[name].variable, require_grid(original[name])
        leading = [dim for dim in (grid.time, *grid.channels) if dim is not None]
        budget = max(1, BLOCK_VALUES // (first.sizes[grid.latitude] * first.sizes[grid.longitude]))
        stride, weights = math.ceil(first.size / LOSSLESS_VALUES), _broadcast_weights(original[name], grid)
        tiles = second.encoding.get("preferred_chunks", {}).get(grid.time) or [PIECE_MAPS] * first.shape[0]
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
            yield _Piece(name, sliced(first, here), sliced(second, here), found, weights)


def _piece_of(stops: list[int], numbered: tuple[int, Block]) -> int:
    """The number of the piece, by where it stops, in which a block begins."""
    return bisect_right(stops, numbered[1][0].start) if numbered[1] else 0


def _compare(piece: _Piece) -> Iterator[_Found]:
    for offset, block, measured in piece.blocks:
        first = read_values(piece.original[block], piece.name)
        second = read_values(piece.decoded[block], piece.name).astype(np.float64)
        errors = ErrorStatistics()
        errors.add(first.astype(np.float64), second, piece.weights, offset)
        yield _Found(piece.name, errors, lossless_bytes(first) if measured else None)


def _broadcast_weights(array: xr.DataArray, grid: Grid) -> np.typing.NDArray[np.float64]:
    """Cell areas shaped to broadcast against the array's own dimension order."""
    shape = [array.sizes[dim] if dim == grid.latitude else 1 for dim in array.dims]
    return np.asarray(area_weights(array).values.reshape(shape))


def _left_out(original: xr.Dataset, decoded: xr.Dataset) -> list[str]:
    return [str(name) for name, array in original.data_vars.items() if is_comparable(array) and name not in decoded]


def _nothing_finite(original: xr.Dataset, decoded: xr.Dataset, name: str, gathered: ErrorStatistics) -> str:
    """The note about a variable without finite values; InputError when the original has some and the decoded has
    none.
    """
    if gathered.missing < gathered.values:
        raise InputError(
            f"variable {name!r} has {gathered.values - gathered.missing} finite values in "
            f"{label(original, 'the original')} but none of them is finite in {label(decoded, 'the decoded dataset')}"
        )
    if gathered.mismatch:
        return (
            f"{name} has no finite value in the original, but {gathered.mismatch} positions differ in the decoded data"
        )
    return f"{name} has no finite value: nothing to score; its missing values are identical"


def _compressed(original: xr.Dataset, decoded: xr.Dataset, statistics: Mapping[str, ErrorStatistics]) -> list[str]:
    """Names of all gridded float variables both sides hold, except those found without any finite value."""
    both = [str(name) for name, array in original.data_vars.items() if is_comparable(array) and name in decoded]
    return [name for name in both if name not in statistics or statistics[name].missing < statistics[name].values]


def _scores(
    array: xr.DataArray,
    gathered: ErrorStatistics,
    lossless: int,
    structure: StructureScores | None,
    file_ratio: float | None,
) -> VariableScores:
    index = dict(zip(map(str, array.dims), gathered.max_error_index, strict=True))
    psnr = gathered.psnr()
    return VariableScores(
        name=str(array.name),
        long_name=str(array.attrs.get("long_name", array.attrs.get("standard_name", ""))),
        units=str(array.attrs.get("units", "")) or "1",
        sizes={str(dim): size for dim, size in array.sizes.items()},
        dtype=str(array.dtype),
        values=gathered.values,
        missing=gathered.missing,
        missing_mismatch=gathered.mismatch,
        minimum=gathered.minimum,
        maximum=gathered.maximum,
        weighting="cell area" if require_grid(array).geographic else "uniform",
        rmse=gathered.rmse(),
        rmse_unweighted=gathered.plain_rmse(),
        mae=gathered.mae(),
        bias=gathered.bias(),
        max_error=gathered.max_error,
        max_error_at={dim: coordinate_label(array, dim, i) for dim, i in index.items()},
        max_error_index=index,
        psnr=psnr if psnr is not None and math.isfinite(psnr) else None,
        error_quantiles={str(fraction): gathered.quantile(fraction) for fraction in QUANTILES},
        correlation=gathered.correlation(),
        source_bytes=FLOAT32_BYTES * gathered.values,
        lossless_bytes=lossless,
        ratio=file_ratio,
        bits_per_value=32 / file_ratio if file_ratio else None,
        structure=structure,
        histogram=gathered.histogram(),
    )

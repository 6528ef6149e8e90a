"""One evaluation of a decoded dataset against its original: every metric of every variable, in one pass over the
data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr

from nnzip.data.grids import coordinate_label, require_grid
from nnzip.errors import InputError
from nnzip.evaluate.error_maps import ErrorMaps
from nnzip.evaluate.errors import QUANTILES, ErrorStatistics
from nnzip.evaluate.matching import align_decoded, comparable_variables, is_comparable, label
from nnzip.evaluate.pieces import by_place, compare, pieces
from nnzip.evaluate.scores import Evaluation, VariableScores
from nnzip.evaluate.structure import StructureScores, structure_scores
from nnzip.executor import workers

if TYPE_CHECKING:
    from distributed import Client

FLOAT32_BYTES = 4


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
    spectrum, gradients, autocorrelation and DSSIM, on a sample of fields. executor: compares the blocks, as in
    `compress`; the scores are the same. progress: called with the finished fraction.

    Raises UsageError for unknown variables; InputError, naming both, when a variable is missing, grids or coordinates
    differ, or nothing finite is left to compare.
    """
    names = comparable_variables(original, decoded, variables)
    aligned = align_decoded(original, decoded, names)
    statistics = {name: ErrorStatistics() for name in names}
    lossless = {name: _Lossless() for name in names}
    places = {name: by_place(original[name]) for name in names}
    total, done = sum(original[name].size for name in names), 0
    with workers(1, executor) as team:
        for found in team.results(compare, pieces(original, aligned, names)):
            statistics[found.name].merge(found.errors)
            lossless[found.name].add(found.lossless, found.errors.values)
            if found.places is not None:
                places[found.name].merge(found.places)
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
        gathered = (statistics[name], lossless[name].total_bytes(), places[name].result())
        scores.append(_scores(original[name], *gathered, looks, file_ratio))
        if progress is not None:
            progress(0.9 + 0.1 * (number + 1) / len(scored))
    notes = [_nothing_finite(original, decoded, name, statistics[name]) for name in names if name not in scored]
    if variables is None:
        notes += [f"{name} is not in {label(decoded, 'the decoded dataset')}" for name in _left_out(original, decoded)]
    by_part = dict(parts) if parts else None
    return Evaluation(tuple(scores), source_bytes, file_bytes, by_part, tuple(notes), stored_bytes)


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
    maps: ErrorMaps,
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
        maps=maps,
    )

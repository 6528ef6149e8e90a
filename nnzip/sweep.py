"""Ratio against error: compress one dataset to several targets, and find the knee of the curve."""

from __future__ import annotations

import math
import tempfile
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from nnzip.compress import compress
from nnzip.data.conventions import blocks, read_values
from nnzip.errors import UsageError
from nnzip.progress import Progress, ProgressCallback
from nnzip.request.options import Options
from nnzip.request.target import Target
from nnzip.result import CompressionResult

SHARES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Error bounds of a sweep, as shares of each variable's range, where the user names none."""
STRAIGHT = 0.02
"""Distance from the chord, in the unit square, below which a curve counts as straight and has no knee."""


@dataclass(frozen=True)
class Goal:
    """One target: the largest error as a `share` of each variable's range, or a `ratio`; one of them."""

    share: float | None = None
    ratio: float | None = None

    @property
    def text(self) -> str:
        """ "0.1 %" or "ratio 300"."""
        return f"ratio {self.ratio:g}" if self.share is None else f"{100 * self.share:.6g} %"

    def target(self) -> Target:
        """For `compress`."""
        return Target(ratio=self.ratio, max_error=None if self.share is None else f"{100 * self.share:.12g}%")


@dataclass(frozen=True)
class SweepErrors:
    """Errors of a variable in its units, and as shares of its range (None for a constant); `rmse` is area-weighted."""

    rmse: float
    max_error: float
    units: str
    relative_rmse: float | None
    relative_max_error: float | None


@dataclass(frozen=True)
class Point:
    """The result of one target. `error`: root mean square over the variables of RMSE over range."""

    goal: Goal
    ratio: float
    bits_per_value: float
    file_bytes: int
    seconds: float
    error: float
    errors: dict[str, SweepErrors]


@dataclass(frozen=True)
class Knee:
    """`index`: of a point among all. Gains: factor of the ratio for ten times the error, below and above the knee."""

    index: int
    gain_below: float
    gain_above: float


@dataclass(frozen=True)
class Sweep:
    """Points in the order of their targets; a knee for bounds and one for ratios, where there is one.

    `ranges`: largest minus smallest value per variable, in its units; `source_bytes`: all values as float32;
    `stored_bytes`: the source's files, where known.
    """

    points: tuple[Point, ...]
    knees: tuple[Knee, ...]
    ranges: dict[str, float]
    source_bytes: int
    notes: tuple[str, ...]
    stored_bytes: int | None = None

    def stored_ratio(self, point: Point) -> float | None:
        """The source's files over the archive."""
        return self.stored_bytes / point.file_bytes if self.stored_bytes else None


def sweep(
    dataset: xr.Dataset,
    goals: Sequence[Goal],
    *,
    variables: Sequence[str] | None = None,
    effort: str = "fast",
    device: str = "auto",
    stored_bytes: int | None = None,
    progress: ProgressCallback | None = None,
    found: Callable[[Point], None] | None = None,
) -> Sweep:
    """Compress `dataset` to every goal, one after the other, and keep only the numbers.

    `stored_bytes` (of the source's files) is passed on; `found` is called with each new point. A goal that these data
    cannot meet becomes a note. Raises UsageError where none can be met, and whatever `compress` raises otherwise. The
    archives lie in a temporary directory, one at a time.
    """
    names = None if variables is None else tuple(variables)
    points: list[Point] = []
    notes: dict[str, None] = {}
    ranges: dict[str, float] = {}
    refusal: UsageError | None = None
    source_bytes = 0
    with tempfile.TemporaryDirectory(prefix="nnzip-sweep-") as directory:
        for number, goal in enumerate(goals):
            try:
                result = compress(
                    dataset,
                    Path(directory) / "sweep.nnz",
                    Options(goal.target(), names, effort=effort),
                    device=device,
                    overwrite=True,
                    progress=_part(progress, number, len(goals)),
                )
            except UsageError as error:
                refusal = error
                notes[f"{goal.text} is left out: {error}"] = None
                continue
            ranges = ranges or {name: value_range(dataset[name]) for name in result.errors}
            source_bytes = result.source_bytes
            points.append(_point(goal, result, ranges))
            notes |= dict.fromkeys(result.notes)
            if found is not None:
                found(points[-1])
    if refusal is not None and not points:
        raise refusal
    return Sweep(tuple(points), find_knees(points), ranges, source_bytes, tuple(notes), stored_bytes)


def curves(points: Sequence[Point]) -> list[list[int]]:
    """Indices of the points of error bounds and of those of ratios, each in the order of the ratio reached."""
    kinds = [[i for i, point in enumerate(points) if (point.goal.share is None) == ratios] for ratios in (False, True)]
    return [sorted(kind, key=lambda i: points[i].ratio) for kind in kinds if kind]


def find_knees(points: Sequence[Point]) -> tuple[Knee, ...]:
    """The knee of each of the two curves that has one; points without an error are left out."""
    knees = []
    for curve in curves(points):
        chosen = [i for i in curve if points[i].error > 0]
        errors, ratios = [points[i].error for i in chosen], [points[i].ratio for i in chosen]
        place = knee(errors, ratios)
        if place is not None:
            last, first = errors.index(max(errors)), errors.index(min(errors))
            below, above = (_gain(errors, ratios, *ends) for ends in ((first, place), (place, last)))
            knees.append(Knee(chosen[place], below, above))
    return tuple(knees)


def knee(errors: Sequence[float], ratios: Sequence[float]) -> int | None:
    """Index of the point farthest from the chord of the curve of log(ratio) against log(error).

    The knee of Satopaa, Albrecht, Irwin and Raghavan (2011), "Finding a 'Kneedle' in a haystack",
    doi:10.1109/ICDCSW.2011.20, without smoothing: both logarithms are scaled to [0, 1], so that the chord is the
    diagonal and y - x is sqrt(2) times the distance from it. Curves on either side of the chord count. None for fewer
    than three points, for ratios that do not grow with the error, and for curves straighter than STRAIGHT.
    """
    if len(errors) < 3:
        return None
    x, y = np.log(errors), np.log(ratios)
    first, last = int(x.argmin()), int(x.argmax())
    width, height = x[last] - x[first], y[last] - y[first]
    if width <= 0 or height <= 0:
        return None
    distance = np.abs((y - y[first]) / height - (x - x[first]) / width) / math.sqrt(2)
    return int(distance.argmax()) if distance.max() > STRAIGHT else None


def _gain(errors: Sequence[float], ratios: Sequence[float], start: int, stop: int) -> float:
    """Factor of the ratio per factor ten of the error between two points."""
    if not errors[stop] > errors[start]:
        return math.nan
    return float((ratios[stop] / ratios[start]) ** (1 / math.log10(errors[stop] / errors[start])))


def value_range(array: xr.DataArray) -> float:
    """Largest minus smallest finite value, read block by block; 0 without any."""
    low, high = math.inf, -math.inf
    for block in blocks(array):
        values = read_values(block, str(array.name))
        finite = np.isfinite(values)
        low = min(low, float(values.min(where=finite, initial=np.inf)))
        high = max(high, float(values.max(where=finite, initial=-np.inf)))
    return max(high - low, 0.0)


def _point(goal: Goal, result: CompressionResult, ranges: dict[str, float]) -> Point:
    errors = {}
    for name, measured in result.errors.items():
        spread = ranges[name]
        relative = (measured.rmse / spread, measured.max_error / spread) if spread > 0 else (None, None)
        errors[name] = SweepErrors(measured.rmse, measured.max_error, measured.units, *relative)
    shares = [each.relative_rmse for each in errors.values() if each.relative_rmse is not None]
    error = math.hypot(*shares) / math.sqrt(len(shares)) if shares else 0.0
    return Point(goal, result.ratio, 32 / result.ratio, result.file_bytes, result.seconds, error, errors)


def _part(progress: ProgressCallback | None, number: int, count: int) -> ProgressCallback | None:
    """A callback for one compression out of `count`: all that follow are taken to need as long."""
    if progress is None:
        return None
    started = clock.monotonic()

    def part(moment: Progress) -> None:
        left = moment.seconds_left
        if left is not None:
            left += (count - number - 1) * (clock.monotonic() - started + left)
        stage, fraction = f"{number + 1} of {count}", (number + moment.fraction) / count
        progress(replace(moment, stage=stage, fraction=fraction, seconds_left=left))

    return part

"""Ratio against error: one dataset compressed to a range of targets, and the knee of the curve they make."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from nnzip.codec import compress
from nnzip.data.grouping import plan_groups
from nnzip.describe import survey
from nnzip.errors import UsageError
from nnzip.progress import Progress, ProgressCallback
from nnzip.request.target import Target
from nnzip.result import CompressionResult

SHARES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Error bounds of a sweep, as shares of each variable's range, where the user names none."""
STRAIGHT = 0.02
"""Distance from the chord, in the unit square, below which a curve counts as straight and has no knee."""
_FLOAT32_BITS = 32


@dataclass(frozen=True)
class Goal:
    """One target of a sweep: `share` of each variable's range that no error may exceed, or a `ratio`; one of them."""

    share: float | None = None
    ratio: float | None = None

    @property
    def text(self) -> str:
        """ "0.1 %" or "ratio 300"."""
        return f"ratio {self.ratio:g}" if self.share is None else f"{100 * self.share:.6g} %"

    def target(self) -> Target:
        """What `compress` is asked for."""
        if self.share is None:
            return Target(ratio=self.ratio)
        return Target(max_error={None: f"{100 * self.share:.12g}%"})


@dataclass(frozen=True)
class SweepErrors:
    """Errors of a variable in its own units, measured on the decoded file, and as shares of its range (None for a
    constant). `rmse` is area-weighted.
    """

    rmse: float
    max_error: float
    units: str
    relative_rmse: float | None
    relative_max_error: float | None


@dataclass(frozen=True)
class Point:
    """What one target led to. `error`: root mean square over the variables of RMSE over range."""

    goal: Goal
    ratio: float
    bits_per_value: float
    file_bytes: int
    seconds: float
    error: float
    errors: dict[str, SweepErrors]


@dataclass(frozen=True)
class Knee:
    """The knee of the curve through some of the points. `index`: its place among all of them; `gain_below` and
    `gain_above`: by how much the ratio grows with ten times the error, on average below and above the knee.
    """

    index: int
    gain_below: float
    gain_above: float


@dataclass(frozen=True)
class Sweep:
    """Points in the order of their targets, bounds before ratios; the knee of each of the two curves that has one.

    `ranges`: largest minus smallest value per variable, in its units; `source_bytes`: its values as float32.
    """

    points: tuple[Point, ...]
    knees: tuple[Knee, ...]
    ranges: dict[str, float]
    source_bytes: int
    notes: tuple[str, ...]


def sweep(
    dataset: xr.Dataset,
    goals: Sequence[Goal],
    *,
    variables: Sequence[str] | None = None,
    effort: str = "fast",
    seed: int = 0,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    found: Callable[[Point], None] | None = None,
) -> Sweep:
    """Compress `dataset` to every goal, one after the other, and keep nothing but the numbers.

    `found` is called with each point when it is known. A goal that these data cannot meet becomes a note. Raises
    UsageError where none can be met, and what `compress` raises otherwise. The archives lie in a temporary directory,
    one at a time, which is always removed. Reads the data once, and twice more for every goal.
    """
    ranges = _ranges(dataset, variables)
    points: list[Point] = []
    notes: dict[str, None] = {}
    refusal: UsageError | None = None
    source_bytes = 0
    with tempfile.TemporaryDirectory(prefix="nnzip-sweep-") as directory:
        for number, goal in enumerate(goals):
            try:
                result = compress(
                    dataset,
                    Path(directory) / "sweep.nnz",
                    goal.target(),
                    variables=variables,
                    effort=effort,
                    seed=seed,
                    device=device,
                    overwrite=True,
                    progress=_share(progress, number, len(goals)),
                )
            except UsageError as error:
                refusal = error
                notes[f"{goal.text} is left out: {error}"] = None
                continue
            source_bytes = result.source_bytes
            points.append(_point(goal, result, ranges))
            notes |= dict.fromkeys(result.notes)
            if found is not None:
                found(points[-1])
    if refusal is not None and not points:
        raise refusal
    return Sweep(tuple(points), find_knees(points), ranges, source_bytes, tuple(notes))


def find_knees(points: Sequence[Point]) -> tuple[Knee, ...]:
    """The knee among the points of bounds and the one among the points of ratios, where there is one."""
    knees = []
    for bounded in (True, False):
        chosen = [i for i, point in enumerate(points) if (point.goal.share is not None) == bounded and point.error > 0]
        errors, ratios = [points[i].error for i in chosen], [points[i].ratio for i in chosen]
        place = knee(errors, ratios)
        if place is not None:
            below = _gain(errors, ratios, min(errors), errors[place])
            above = _gain(errors, ratios, errors[place], max(errors))
            knees.append(Knee(chosen[place], below, above))
    return tuple(knees)


def knee(errors: Sequence[float], ratios: Sequence[float]) -> int | None:
    """Index of the point farthest from the chord of the curve of log(ratio) against log(error).

    This is the knee of Satopaa, Albrecht, Irwin and Raghavan (2011), "Finding a 'Kneedle' in a haystack",
    doi:10.1109/ICDCSW.2011.20, without smoothing: both logarithms are scaled to [0, 1], so that the chord is the
    diagonal and y - x is sqrt(2) times the distance from it. Curves on either side of the chord count. None for fewer
    than three points, for ratios that do not grow with the error, and for curves straighter than STRAIGHT.
    """
    x, y = ([math.log(value) for value in values] for values in (errors, ratios))
    if len(x) < 3:
        return None
    first, last = min(range(len(x)), key=x.__getitem__), max(range(len(x)), key=x.__getitem__)
    width, height = x[last] - x[first], y[last] - y[first]
    if width <= 0 or height <= 0:
        return None
    distances = [abs((b - y[first]) / height - (a - x[first]) / width) for a, b in zip(x, y, strict=True)]
    farthest = max(range(len(x)), key=distances.__getitem__)
    return farthest if distances[farthest] / math.sqrt(2) > STRAIGHT else None


def _gain(errors: Sequence[float], ratios: Sequence[float], start: float, stop: float) -> float:
    """Factor of the ratio per factor ten of the error between the points whose errors are `start` and `stop`."""
    if not stop > start:
        return math.nan
    growth = ratios[errors.index(stop)] / ratios[errors.index(start)]
    return float(growth ** (1 / math.log10(stop / start)))


def _ranges(dataset: xr.Dataset, variables: Sequence[str] | None) -> dict[str, float]:
    """Largest minus smallest value of every variable that will be compressed."""
    ranges = {}
    for group in plan_groups(dataset, variables)[0]:
        read = survey(dataset, group)
        for layout, part in group.parts():
            spread = float(read.high[part].max() - read.low[part].min())
            ranges[layout.name] = spread if math.isfinite(spread) else 0.0
    return ranges


def _point(goal: Goal, result: CompressionResult, ranges: Mapping[str, float]) -> Point:
    errors = {}
    for name, measured in result.errors.items():
        spread = ranges[name]
        relative = (measured.rmse / spread, measured.max_error / spread) if spread > 0 else (None, None)
        errors[name] = SweepErrors(measured.rmse, measured.max_error, measured.units, *relative)
    return Point(
        goal=goal,
        ratio=result.ratio,
        bits_per_value=_FLOAT32_BITS / result.ratio,
        file_bytes=result.file_bytes,
        seconds=result.seconds,
        error=_root_mean_square(found.relative_rmse for found in errors.values() if found.relative_rmse is not None),
        errors=errors,
    )


def _root_mean_square(values: Iterable[float]) -> float:
    squares = [value * value for value in values]
    return math.sqrt(sum(squares) / len(squares)) if squares else 0.0


def _share(progress: ProgressCallback | None, number: int, goals: int) -> ProgressCallback | None:
    """A callback for one compression out of `goals`: it moves its part of the whole."""
    if progress is None:
        return None

    def report(moment: Progress) -> None:
        progress(Progress(f"{number + 1} of {goals}", (number + moment.fraction) / goals, moment.loss, moment.errors))

    return report

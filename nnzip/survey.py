"""The first reading of the data: ranges, missing positions and rates of every tile, before anything is coded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.mask import MaskEncoder
from nnzip.errors import InputError
from nnzip.executor import Workers
from nnzip.parts import Part, Run
from nnzip.plan import goals
from nnzip.plan.cutting import Box
from nnzip.tile.samples import sample
from nnzip.tile.scaling import require_float32
from nnzip.tile.ways import ways
from nnzip.transform.fill import fill_missing
from nnzip.transform.rates import RateModel

_DIGEST_BYTES = 8
_BLOCK = 1 << 16  # values of which deviations are taken at once: a processor's cache holds them


@dataclass(frozen=True)
class TileSurvey:
    """`finite`: number of values that are not missing; `mask`: the coded missing positions, empty where there are none;
    `rates`: per channel, of a sample, and `share`: how many values each of the sample stands for."""

    finite: int
    mask: bytes
    rates: tuple[RateModel, ...]
    share: float


@dataclass(frozen=True)
class _Reading:
    """What is found in a tile of the channels `box.channels`; per channel its smallest and largest value, and the
    number, mean and squared deviations of those that are not missing."""

    number: int
    box: Box
    tile: TileSurvey
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    moments: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    digest: bytes


@dataclass(frozen=True)
class Survey:
    """A variable's tiles by number, and per channel its smallest and largest value (infinite where there is none), mean
    and variance."""

    tiles: tuple[TileSurvey, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    dtype: str
    digest: bytes

    @property
    def range(self) -> goals.Survey:
        """What goals are made from."""
        return goals.Survey(tuple(self.low.tolist()), tuple(self.high.tolist()), self.dtype)

    @property
    def finite(self) -> int:
        """Number of values that are not missing."""
        return sum(tile.finite for tile in self.tiles)


def survey(part: Part, workers: Workers, *, with_rates: bool, read: Callable[[int], None] | None = None) -> Survey:
    """Read a variable once. `with_rates`: also look at what tiles will cost, for a budget; `read`: is told how many
    values have been read each time.

    Raises InputError for infinities. Memory: a slab.
    """
    channels = part.shape[0]
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    moments = _Moments(channels)
    tiles: dict[int, TileSurvey] = {}
    work = partial(_read, part.layout.name, part.grid.row_weights(), part.periodic(0), with_rates)
    for found in workers.results(work, part.runs(workers.count)):
        here = found.box.slices[0]
        low[here], high[here] = np.minimum(low[here], found.low), np.maximum(high[here], found.high)
        moments.merge(here, *found.moments)
        digest.update(found.digest)
        tiles[found.number] = found.tile
        if read is not None:
            read(prod(found.box.shape))
    ordered = tuple(tiles[number] for number in range(part.tiles))
    return Survey(ordered, low, high, moments.mean, moments.variance, part.layout.dtype, digest.digest())


def _read(name: str, weights: NDArray[np.float64], periodic: bool, with_rates: bool, run: Run) -> Iterator[_Reading]:
    """Look at the tiles of a run; `weights`: of all rows."""
    for number, box, values in run.read():
        values = np.ascontiguousarray(values)
        missing = np.isnan(values)
        low = np.fmin.reduce(values, axis=(1, 2, 3), initial=np.inf).astype(np.float64)
        high = np.fmax.reduce(values, axis=(1, 2, 3), initial=-np.inf).astype(np.float64)
        if (low == -np.inf).any() or (high == np.inf).any():
            raise InputError(_infinities(name, values, box))
        if with_rates:
            require_float32(low, high)
        digest = hashlib.blake2b(values.data, digest_size=_DIGEST_BYTES).digest()
        tile = _survey_tile(weights[box.slices[2]], periodic, values, missing, with_rates)
        yield _Reading(number, box, tile, low, high, _moments(values, missing), digest)


def _survey_tile(
    row_weights: NDArray[np.float64],
    periodic: bool,
    values: NDArray[np.floating],
    missing: NDArray[np.bool_],
    with_rates: bool,
) -> TileSurvey:
    finite, mask = int(missing.size - missing.sum()), b""
    if finite < missing.size:
        masks = MaskEncoder()
        masks.add(missing)
        mask = masks.encode(periodic)
    if not with_rates or not finite:
        return TileSurvey(finite, mask, (), 0.0)
    channels, times, rows, columns = values.shape
    where = sample((channels, times, rows, columns)) or (slice(None),) * 4
    known = ~missing[where]
    filled = fill_missing(values[where], missing[where]).astype(np.float64)
    means = [channel[some].mean() if some.any() else 0.0 for channel, some in zip(filled, known, strict=True)]
    centred = (filled - np.array(means)[:, None, None, None]).astype(np.float32)
    weighted = centred * row_weights[where[2]].astype(np.float32)[:, None]
    channels, times, rows, columns = weighted.shape
    way = next(ways((channels, times, rows, columns)))
    coefficients = way.arrangement((channels, times, rows, columns), periodic=False).forward(weighted)
    rates = tuple(RateModel(channel) for channel in coefficients)
    return TileSurvey(finite, mask, rates, finite / max(int(known.sum()), 1))


def _moments(
    values: NDArray[np.floating], missing: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Per channel the number of known values, their mean and the sum of their squared deviations."""
    found = np.zeros((3, len(values)))
    some = missing.any()
    for channel, numbers in enumerate(values):
        known = numbers[~missing[channel]] if some else numbers.reshape(-1)
        mean = known.mean(dtype=np.float64) if known.size else 0.0
        squares = 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float32, which `tile.scaling` refuses
            for start in range(0, known.size, _BLOCK):
                away = np.subtract(known[start : start + _BLOCK], mean, dtype=np.float64)
                squares += float(np.square(away, out=away).sum())
        found[:, channel] = known.size, mean, squares
    return found[0], found[1], found[2]


class _Moments:
    """Mean and variance per channel, merged tile by tile (Chan, Golub & LeVeque 1983)."""

    def __init__(self, channels: int) -> None:
        self._count, self.mean, self._squares = (np.zeros(channels) for _ in range(3))

    def merge(
        self,
        here: slice,
        count: NDArray[np.float64],
        mean: NDArray[np.float64],
        squares: NDArray[np.float64],
    ) -> None:
        """Add a tile of the channels `here`."""
        total = np.maximum(self._count[here] + count, 1)
        step = mean - self.mean[here]
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares[here] += squares + step**2 * self._count[here] * count / total
        self.mean[here] += step * count / total
        self._count[here] += count

    @property
    def variance(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._squares / np.maximum(self._count, 1)
        return found


def _infinities(name: str, values: NDArray[np.floating], box: Box) -> str:
    infinite = np.isinf(values)
    _, time, row, column = (int(n) for n in np.argwhere(infinite)[0])
    return (
        f"{name} holds {int(infinite.sum())} infinite values, the first at time step "
        f"{box.times.start + time}, row {box.rows.start + row}, column {box.columns.start + column}: mark them as "
        "missing (dataset.where(numpy.isfinite(dataset)))"
    )

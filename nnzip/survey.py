"""The first reading of the data: ranges, missing positions and rates of every tile, before anything is coded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.coder.mask import MaskEncoder
from nnzip.data.axes import DAY_SECONDS, SourceGrid, source_grid
from nnzip.data.grouping import Group, Picked, VariableLayout, pick, read_box
from nnzip.errors import InputError
from nnzip.executor import Workers
from nnzip.plan import goals
from nnzip.plan.cutting import Box, Shape, Sizes, axis_limits, cut, slabs, tile_box, tile_count
from nnzip.tile.samples import sample
from nnzip.tile.scaling import require_float32
from nnzip.tile.ways import ways
from nnzip.transform.cycles import FEWEST_TIMES, Cycle
from nnzip.transform.fill import fill_missing
from nnzip.transform.rates import RateModel

_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Part:
    """A variable to be compressed, and how it is cut: its part of the archive."""

    dataset: xr.Dataset
    group: Group
    layout: VariableLayout
    sizes: Sizes

    @classmethod
    def of(cls, dataset: xr.Dataset, group: Group, layout: VariableLayout, tile: Mapping[str, int]) -> Part:
        """`tile`: largest lengths of a tile by dimension or axis."""
        shape = (layout.channels, *group.shape[1:])
        limits = axis_limits(tile, dict(zip(layout.channel_dims, layout.channel_shape, strict=True)), *group.dims)
        return cls(dataset, group, layout, cut((shape[0], shape[1], shape[2], shape[3]), limits))

    @property
    def shape(self) -> Shape:
        """(channels, times, latitudes, longitudes)."""
        channels, times, rows, columns = (sum(lengths) for lengths in self.sizes)
        return channels, times, rows, columns

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return tile_count(self.sizes)

    @cached_property
    def grid(self) -> SourceGrid:
        """The axes of the variable."""
        group = self.group
        known = (group.time.geographic, group.latitude.geographic, group.longitude.geographic)
        return source_grid(group.time.values, group.latitude.values, group.longitude.values, known)

    def as_read(self) -> Part:
        """The part with an output of the type that xarray gives: packed values are exact in float64 alone."""
        wide = self.dataset[self.layout.name].dtype == np.float64
        return replace(self, layout=replace(self.layout, dtype="float64")) if wide else self

    def box(self, tile: int) -> Box:
        """The values of a tile."""
        return tile_box(self.sizes, tile)

    def periodic(self, tile: int) -> bool:
        """Whether a tile goes round the globe."""
        return self.grid.longitude.periodic and len(self.sizes[3]) == 1

    def cycle(self, tile: int) -> Cycle | None:
        """The cycle of the solar day in a tile, where its times are even and show it."""
        box, grid = self.box(tile), self.grid
        times, longitudes = grid.time.values[box.slices[1]], grid.longitude.values[box.slices[3]]
        if not (grid.time.geographic and grid.longitude.geographic) or times.size < FEWEST_TIMES:
            return None
        steps, columns = np.diff(times), np.diff(longitudes)
        column = float(np.median(columns)) if columns.size else 0.0
        if np.ptp(steps) > 1e-3 * abs(steps[0]) or abs(times[-1] - times[0]) < 2 * DAY_SECONDS:
            return None
        turn = 2 * np.pi / DAY_SECONDS
        first = turn * (times[0] % DAY_SECONDS) + np.deg2rad(longitudes[0])
        return Cycle.of_steps(float(first), turn * float(steps[0]), float(np.deg2rad(column)))

    @property
    def edges(self) -> int:
        """1 where tiles follow each other along latitude, 2 along longitude, 3 both."""
        return (len(self.sizes[2]) > 1) + 2 * (len(self.sizes[3]) > 1)

    def rows(self, tile: int) -> bytes:
        """Latitude of a tile's first row and step between rows, float32; empty where the rows are no latitudes."""
        if not self.grid.latitude.geographic:
            return b""
        latitudes = self.grid.latitude.values[self.box(tile).slices[2]]
        step = (latitudes[-1] - latitudes[0]) / max(latitudes.size - 1, 1)
        return np.array([latitudes[0], step], dtype="<f4").tobytes()

    def runs(self, count: int) -> Iterator[Run]:
        """All tiles in their order of reading; of those of a slab each of `count` workers reads its share at once."""
        for _, numbers in slabs(self.sizes):
            share = -(-len(numbers) // count)
            for start in range(0, len(numbers), share):
                boxes = {number: self.box(number) for number in numbers[start : start + share]}
                yield Run.of(self, boxes)

    def read_box(self, channels: range, times: range, rows: range, columns: range) -> NDArray[np.floating]:
        """Values of a box. Raises InputError."""
        return read_box(self.dataset, self.group, self.layout, channels, times, rows, columns)


@dataclass(frozen=True)
class Run:
    """Tiles that are read at once, by number, each with its box of the variable; `start` is the first of all of these
    boxes. Pickles without values where these lie in files.
    """

    picked: Picked
    start: Box
    boxes: dict[int, Box]

    @classmethod
    def of(cls, part: Part, boxes: dict[int, Box]) -> Run:
        axes = zip(*boxes.values(), strict=True)
        around = Box(*(range(min(a.start for a in axis), max(a.stop for a in axis)) for axis in axes))
        return cls(pick(part.dataset, part.group, part.layout, *around), around, boxes)

    def read(self) -> Iterator[tuple[int, Box, NDArray[np.floating]]]:
        """Tiles with their boxes and values [channel, time, lat, lon] (NaN: missing). Raises InputError."""
        values = self.picked.read()
        for number, box in self.boxes.items():
            yield number, box, values[box.from_start(self.start).slices]


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
        known = np.isfinite(values)
        missing = np.isnan(values)
        if not (known | missing).all():
            raise InputError(_infinities(name, values, box))
        low = np.where(known, values, np.inf).min(axis=(1, 2, 3)).astype(np.float64)
        high = np.where(known, values, -np.inf).max(axis=(1, 2, 3)).astype(np.float64)
        if with_rates:
            require_float32(low, high)
        digest = hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=_DIGEST_BYTES).digest()
        tile = _survey_tile(weights[box.slices[2]], periodic, values, missing, with_rates)
        yield _Reading(number, box, tile, low, high, _moments(values, known), digest)


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
    values: NDArray[np.floating], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Per channel the number of known values, their mean and the sum of their squared deviations."""
    count = known.sum(axis=(1, 2, 3)).astype(np.float64)
    mean = values.sum(axis=(1, 2, 3), dtype=np.float64, where=known) / np.maximum(count, 1)
    away = np.where(known, values - mean[:, None, None, None], 0)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float32, which `tile.scaling` refuses
        return count, mean, np.square(away, dtype=np.float64).sum(axis=(1, 2, 3))


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


def source_bytes(parts: Sequence[Part]) -> int:
    """Bytes of the compressed variables as float32."""
    return 4 * sum(prod(part.shape) for part in parts)

"""One tile at a given size or a given RMSE: detail alone, without corrections.

Values are standardised, their tails stretched where they shall be finer than the rest, rows weighted by area, and the
quantisation step is searched for: until the tile fills its bytes, or until its RMSE is the one asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, log

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.tile import header as kinds
from nnzip.tile.decode import Reconstruction
from nnzip.tile.header import Shape, TileHeader, pack, row_weights
from nnzip.tile.rest import Cycled, Transformed
from nnzip.tile.samples import outer_limits, sample
from nnzip.tile.volumes import TIME
from nnzip.tile.ways import Way, ways
from nnzip.transform.cycles import Cycle
from nnzip.transform.fill import fill_missing
from nnzip.transform.rates import LARGEST_STEP, SMALLEST_STEP, RateModel, search_step
from nnzip.transform.stretch import Stretch, pack_stretch

_ATTEMPTS = 4
_TOLERANCE, _CLOSE_BYTES = 0.006, 4  # how near a search comes to a size: a share of it, but not nearer than some bytes
_MARGIN = 0.002  # of the size left free after every attempt that missed
_HEADER = 80  # bytes, at first
_FIRST_STEP = 4.0  # in RMSE: a uniform quantiser of step s without a dead zone has the RMSE s / sqrt(12)
_CLOSE = 0.995  # an RMSE from here to 1 of the target is good enough
_MOST_STEPS = 10
_EXPONENT = 0.8  # RMSE goes about with this power of the step
_LARGEST_CHANGE = 8.0


@dataclass(frozen=True)
class Scaling:
    """How values become comparable: (value - mean) / scale per channel, float32 numbers in float64 [channel], then the
    stretches of the tails for these rows; `rows` and `edges`: see `header.TileHeader`."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    stretches: tuple[Stretch, ...] = ()
    rows: bytes = b""
    edges: int = 0


@dataclass(frozen=True)
class _Standard:
    """A tile ready for the wavelet: `values` [channel, time, lat, lon] float32, standardised and weighted."""

    head: TileHeader
    values: NDArray[np.float32]
    cycle: Cycle | None
    device: Device

    @property
    def shape(self) -> Shape:
        channels, times, rows, columns = self.values.shape
        return channels, times, rows, columns

    def transformed(self, way: Way, *, with_cycle: bool) -> Transformed:
        arrangement = way.arrangement(self.shape, periodic=self.head.periodic, edges=self.head.edges)
        return Transformed(self.values, arrangement, self.cycle if with_cycle else None, self.device)


def encode_to_size(
    values: NDArray[np.floating],
    scaling: Scaling,
    size: float,
    *,
    double: bool,
    periodic: bool,
    cycle: Cycle | None = None,
    effort: str = "normal",
    device: Device = None,
) -> bytes:
    """Code `values` [channel, time, lat, lon] (NaN: missing) in at most `size` bytes, with the smallest error; where
    that is below the smallest tile, in as few as possible. Cost: about six times that of coding the tile once."""
    standard = _standardised(values, scaling, double=double, periodic=periodic, cycle=cycle, device=device)
    part = _sampled(standard, effort)
    share = part.values.size / standard.values.size
    model = RateModel(part.transformed(next(ways(part.shape)), with_cycle=False).coefficients)
    step = model.step_for(size * share)
    transformed = _best_transformed(standard, part, step)
    model, sizes = RateModel(transformed.coefficients), _Sizes(transformed)
    best, fixed = b"", float(_HEADER)
    for attempt in range(_ATTEMPTS):
        room = size - fixed
        tolerance = max(_TOLERANCE, _CLOSE_BYTES / max(room, 1.0))
        step = search_step(sizes.size, model, room, tolerance=tolerance, start=step)
        found = sizes.quantised(step)
        data = _packed(standard, found, step)
        free = size - len(data)
        best = data if free >= 0 and len(data) > len(best) else best
        if 0 <= free <= 1.5 * tolerance * size or step <= SMALLEST_STEP or step >= LARGEST_STEP:
            break
        fixed = len(data) - found.bytes + _MARGIN * attempt * size
    return best or _packed(standard, sizes.quantised(LARGEST_STEP), LARGEST_STEP)


def encode_to_rmse(
    values: NDArray[np.floating],
    scaling: Scaling,
    rmse: float,
    weights: NDArray[np.float64],
    *,
    double: bool,
    periodic: bool,
    cycle: Cycle | None = None,
    effort: str = "normal",
    device: Device = None,
) -> bytes:
    """Code `values` [channel, time, lat, lon] (NaN: missing) so that their RMSE is at most `rmse` in their units.

    `weights` [lat]: of the rows. Takes as few bytes as it can; comes as near as float32 allows.

    Cost: about ten times that of coding the tile once.
    """
    scale = float(np.float32(np.clip(rmse, np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max)))
    alike = replace(scaling, scale=np.full(len(values), scale))
    standard = _standardised(values, alike, double=double, periodic=periodic, cycle=cycle, device=device)
    transformed = _best_transformed(standard, _sampled(standard, effort), _FIRST_STEP)
    known = np.isfinite(values)
    total = float((known.sum(axis=(0, 1, 3)) * weights).sum())

    def attempt(step: float) -> tuple[bytes, float, bool]:
        found = transformed.quantised(step)
        head = _head(standard, found, step)
        low, high = head.smallest_largest
        decoded = np.clip(Reconstruction(head).values(found.inverse()), low, high).astype(head.dtype)
        error = np.where(known, decoded - values, 0.0)
        squares = float((np.square(error, dtype=np.float64).sum(axis=(0, 1, 3)) * weights).sum())
        return _packed(standard, found, step), (squares / max(total, 1e-300)) ** 0.5, found.silent

    return _search_rmse(attempt, rmse)


def _search_rmse(attempt: Callable[[float], tuple[bytes, float, bool]], target: float) -> bytes:
    """The tile at the largest step found whose RMSE is at most the target; else at the smallest step tried."""
    bracket, step = _Bracket(target), _FIRST_STEP
    best, best_error = b"", float("inf")
    for _ in range(_MOST_STEPS):
        data, error, silent = attempt(step)
        better = len(data) < len(best) if best_error <= target else error < best_error
        if (
            not best
            or (error <= target and (better or best_error > target))
            or (error > target and better and best_error > target)
        ):
            best, best_error = data, error
        following = bracket.next(step, error, silent)
        if following == step or following < SMALLEST_STEP:
            break
        step = following
    return best


class _Bracket:
    """Steps tried so far: the largest that met the target, the smallest that did not."""

    def __init__(self, target: float) -> None:
        self._target = target
        self._feasible = 0.0
        self._beyond = float("inf")
        self._tried: list[tuple[float, float]] = []

    def next(self, step: float, rmse: float, silent: bool) -> float:
        """The step to try after this one gave that RMSE; the same where it is good enough."""
        if rmse <= self._target:
            self._feasible = max(self._feasible, step)
            if rmse >= _CLOSE * self._target or silent:
                return step
        else:
            self._beyond = min(self._beyond, step)
        self._tried.append((log(step), log(max(rmse, 1e-300))))
        wanted = log(max(self._target, 1e-300) * (1 + _CLOSE) / 2) - self._tried[-1][1]
        limit = log(_LARGEST_CHANGE)
        following = step * exp(min(max(wanted / self._exponent(), -limit), limit))
        if self._feasible < following < self._beyond:
            return following
        return (self._feasible * self._beyond) ** 0.5 if self._feasible else step / 2

    def _exponent(self) -> float:
        """Slope of the logarithm of the RMSE between the last two steps."""
        if len(self._tried) < 2 or self._tried[-1][0] == self._tried[-2][0]:
            return _EXPONENT
        (x0, y0), (x1, y1) = self._tried[-2:]
        return min(max((y1 - y0) / (x1 - x0), 0.2), 1.5)


class _Sizes:
    """Sizes at the steps tried so far; of the quantised tiles, which are large, only the last one is kept."""

    def __init__(self, transformed: Transformed) -> None:
        self._transformed = transformed
        self._sizes: dict[float, float] = {}
        self._last: tuple[float, Cycled] | None = None

    def size(self, step: float) -> float:
        """Expected bytes of the streams."""
        return self._sizes[step] if step in self._sizes else self.quantised(step).bytes

    def quantised(self, step: float) -> Cycled:
        """The tile at `step`."""
        if self._last is None or self._last[0] != step:
            self._last = None
            self._last = (step, self._transformed.quantised(step))
            self._sizes[step] = self._last[1].bytes
        return self._last[1]


def _standardised(
    values: NDArray[np.floating],
    scaling: Scaling,
    *,
    double: bool,
    periodic: bool,
    cycle: Cycle | None,
    device: Device,
) -> _Standard:
    channels, times, rows, columns = values.shape
    limits = outer_limits(values).astype("<f4").tobytes()
    head = TileHeader(
        shape=(channels, times, rows, columns),
        limits=limits,
        coding=kinds.WAVELET,
        means=scaling.mean.astype("<f4").tobytes(),
        scales=scaling.scale.astype("<f4").tobytes(),
        rows=scaling.rows,
        stretches=tuple(pack_stretch(stretch) for stretch in scaling.stretches),
        double=double,
        periodic=periodic,
        edges=scaling.edges,
    )
    missing = np.isnan(values)
    standard = np.empty(values.shape, dtype=np.float32)
    places = np.arange(rows, dtype=np.float64)
    for channel, (mean, scale) in enumerate(zip(head.channel_means, head.channel_scales, strict=True)):
        standard[channel] = (np.where(missing[channel], mean, values[channel]) - mean) / scale
        for stretch in scaling.stretches:
            stretch.apply(standard[channel], channel, places, rows - 1)
    filled = fill_missing(standard, missing)
    return _Standard(head, filled * row_weights(scaling.rows, rows).astype(np.float32)[:, None], cycle, device)


def _sampled(standard: _Standard, effort: str) -> _Standard:
    where = sample(standard.shape, effort)
    if where is None:
        return standard
    head = msgspec.structs.replace(standard.head, periodic=False)
    cycle = None if standard.cycle is None else standard.cycle.shifted(where[1].start, where[3].start)
    return replace(standard, values=standard.values[where], head=head, cycle=cycle)


def _best_transformed(standard: _Standard, part: _Standard, step: float) -> Transformed:
    """The way that takes the fewest bytes at this step on a part, without and with the cycle; at equal steps errors are
    about equal."""
    sizes, share = {}, part.shape[TIME] / standard.shape[TIME]
    for way in ways(standard.shape):
        sizes[way, False] = part.transformed(way, with_cycle=False).quantised(step).bytes
    best, _ = min(sizes, key=lambda choice: sizes[choice])
    if standard.cycle is not None:
        sizes[best, True] = part.transformed(best, with_cycle=True).quantised(step).bytes_in(share)
    best, with_cycle = min(sizes, key=lambda choice: sizes[choice])
    return standard.transformed(best, with_cycle=with_cycle)


def _head(standard: _Standard, found: Cycled, step: float) -> TileHeader:
    return msgspec.structs.replace(standard.head, step=step, **found.header())


def _packed(standard: _Standard, found: Cycled, step: float) -> bytes:
    return pack(_head(standard, found, step), found.streams(), b"")

"""One tile under an error bound: detail, and corrections that make the bound hold.

The coding, the arrangement of the axes and the quantisation step are chosen on a sample of the tile; then the tile is
coded, decoded as a reader would, and every point outside its interval corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.volumes import encode_volumes
from nnzip.promises.goals import BoxPromised
from nnzip.tile import header as kinds
from nnzip.tile.corrector import Corrected, correct
from nnzip.tile.decode import decode_tile, reconstruct, whole_multiples
from nnzip.tile.header import Shape, TileHeader, pack
from nnzip.tile.rest import Transformed
from nnzip.tile.samples import outer_limits, sample
from nnzip.tile.volumes import TIME, interpolation_layout, plan_interpolation
from nnzip.tile.ways import Way, leaders, ways
from nnzip.transform import interpolation
from nnzip.transform.cycles import Cycle
from nnzip.transform.fill import fill_missing
from nnzip.transform.lattice import find_lattice

MULTIPLES = (1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 10.0)
"""Quantisation steps of the wavelet that are tried, in bounds."""
FINER = (1.2, 0.85, 0.6, 0.4)
"""Tried too where promises ask for less than the bound at many points."""

_LARGEST_INTEGER = 2.0**30
_TELLING = 1024  # bytes of a sample from which on it stands for the tile


@dataclass(frozen=True)
class Coded:
    """A coded tile, and how many of its bytes promises beyond the bound take."""

    data: bytes
    promised: int = 0


@dataclass(frozen=True)
class Choice:
    """How a tile is coded: by the wavelet in a `way` with a step of `multiple` bounds, after taking off the
    `cycle`; or (None) by integer
    interpolation along the axis `leading`, latitude and longitude."""

    way: Way | None
    multiple: float = MULTIPLES[1]
    leading: int = TIME
    cycle: bool = False


@dataclass(frozen=True)
class BoundedTile:
    """A tile to be coded: `original` [channel, time, lat, lon] (NaN: missing), `filled` without missing points,
    limits [2]. With a lattice, `promised` is about values before they are moved to it."""

    original: NDArray[np.floating]
    filled: NDArray[np.floating]
    promised: BoxPromised
    limits: NDArray[np.float64]
    periodic: bool
    device: Device
    cycle: Cycle | None = None
    lattice: bytes = b""

    @property
    def shape(self) -> Shape:
        channels, times, rows, columns = self.original.shape
        return channels, times, rows, columns

    def sample(self, effort: str) -> BoundedTile:
        """A part that stands for all of it where coding is tried."""
        where = sample(self.shape, effort)
        if where is None:
            return self
        within = self.original[where], self.filled[where]
        plain = replace(self.promised, constraints={})
        cycle = None if self.cycle is None else self.cycle.shifted(where[1].start, where[3].start)
        return BoundedTile(*within, plain, self.limits, periodic=False, device=self.device, cycle=cycle)


def encode_bounded(
    values: NDArray[np.floating],
    promised: BoxPromised,
    *,
    periodic: bool,
    cycle: Cycle | None = None,
    effort: str = "normal",
    device: Device = None,
) -> Coded:
    """Code `values` [channel, time, lat, lon] (NaN: missing) so that all that is promised holds at every point.

    `periodic`: the longitudes close on themselves; `cycle`: of the solar day, where the times show it. Cost: about
    three times that of coding the tile once.
    """
    filled = fill_missing(values, np.isnan(values))
    tile = BoundedTile(values, filled, promised, outer_limits(values), periodic, device, cycle)
    constant = _constant(tile)
    if constant is not None:
        return constant
    snapped = _on_lattice(tile)
    if snapped is not None:
        coded = _encode(snapped, _chosen(snapped, effort))
        if _holds(coded.data, tile):
            return coded
    return _encode(tile, _chosen(tile, effort))


def _on_lattice(tile: BoundedTile) -> BoundedTile | None:
    """The tile with the larger bound that its lattice allows; None where it has none that helps."""
    lattice = None if tile.promised.constraints else find_lattice(tile.original, tile.promised.bound)
    if lattice is None:
        return None
    precision = 2 * float(np.spacing(np.array(np.abs(tile.limits).max(), dtype=tile.promised.dtype)))
    bound = float(lattice.allowed(tile.promised.bound, precision).min())
    if bound <= tile.promised.bound:
        return None
    return replace(tile, promised=replace(tile.promised, bound=bound), lattice=lattice.pack())


def _holds(data: bytes, tile: BoundedTile) -> bool:
    """Whether a coded tile keeps the bound, as a reader decodes it."""
    error = np.abs(decode_tile(data, tile.shape, tile.device).astype(np.float64) - tile.original)
    return bool(np.nanmax(error, initial=0.0) <= tile.promised.bound)


def _chosen(tile: BoundedTile, effort: str) -> Choice:
    """The best choice for a sample; for the whole tile where the bound leaves next to nothing of the sample."""
    part = tile.sample(effort)
    choice, size = choose(part)
    return choice if size >= _TELLING or part is tile else choose(tile)[0]


def choose(tile: BoundedTile) -> tuple[Choice, int]:
    """The choice that takes the fewest bytes for a tile or a sample of one, and these bytes."""
    candidates = list(ways(tile.shape))
    way = candidates[0]
    if len(candidates) > 1:
        way = min(candidates, key=lambda way: len(_wavelets(tile, Choice(way)).data))
    best, size = _best_multiple(tile, way)
    if tile.cycle is not None:
        other = replace(best, cycle=True)
        coded_bytes = len(_wavelets(tile, other).data)
        if coded_bytes < size:
            best, size = other, coded_bytes
    for leading in leaders(tile.shape):
        coded = _interpolation(tile, leading)
        if coded is not None and len(coded.data) < size:
            best, size = Choice(None, leading=leading), len(coded.data)
    return best, size


def _best_multiple(tile: BoundedTile, way: Way) -> tuple[Choice, int]:
    """The step that makes detail plus corrections smallest: from the first two on, while it gets better."""

    def size(multiple: float) -> int:
        return len(_wavelets(tile, Choice(way, multiple)).data)

    sizes = {multiple: size(multiple) for multiple in MULTIPLES[1:3]}
    best = min(sizes, key=lambda multiple: sizes[multiple])
    others: tuple[float, ...] = MULTIPLES[3:]
    if best == MULTIPLES[1]:
        others = MULTIPLES[:1] + (FINER if tile.promised.constraints else ())
    for multiple in others:
        sizes[multiple] = size(multiple)
        if sizes[multiple] >= sizes[best]:
            break
        best = multiple
    return Choice(way, best), sizes[best]


def _encode(tile: BoundedTile, choice: Choice) -> Coded:
    if choice.way is None:
        found = _interpolation(tile, choice.leading)
        if found is not None:
            return found
        choice = Choice(next(ways(tile.shape)))
    return _wavelets(tile, choice)


def _wavelets(tile: BoundedTile, choice: Choice) -> Coded:
    way = choice.way or next(ways(tile.shape))
    arrangement = way.arrangement(tile.shape, periodic=tile.periodic)
    step = float(choice.multiple * tile.promised.bound)
    means = np.array([channel.mean(dtype=np.float64) for channel in tile.filled]).astype("<f4").tobytes()
    head = _head(tile, kinds.WAVELET, step=step, means=means)
    units = np.empty(tile.shape, dtype=np.float32)
    for channel, mean in enumerate(head.channel_means):
        units[channel] = (tile.filled[channel] - mean) / step
    cycle = tile.cycle if choice.cycle else None
    quantised = Transformed(units, arrangement, cycle, tile.device).quantised(1.0)
    head = msgspec.structs.replace(head, **quantised.header())
    streams = quantised.streams()
    decoded = reconstruct(head, quantised.inverse())
    corrected = correct(tile.original, decoded, tile.limits, tile.promised, np.array(tile.promised.guards), tile.device)
    return _packed(head, streams, corrected)


def _interpolation(tile: BoundedTile, leading: int) -> Coded | None:
    """None where no step keeps the bound (values too large for their integers)."""
    largest = float(np.abs(tile.limits).max())
    spacing = float(np.spacing(np.array(largest + tile.promised.bound, dtype=tile.promised.dtype)))
    step = float(2 * (tile.promised.bound - spacing / 2))
    if not step > 0 or largest / step >= _LARGEST_INTEGER:
        return None
    integers = np.rint(tile.filled / np.float64(step)).astype(np.int64)
    order = interpolation.best_order(integers[0] if leading == TIME else integers[:, 0])
    head = _head(tile, kinds.INTERPOLATION, step=step, axes=order, leading=leading)
    plans = plan_interpolation(integers, order, leading, tile.device)
    streams = encode_volumes(plans, interpolation_layout(tile.shape, order, leading))
    exact = np.zeros(tile.shape[0])
    corrected = correct(tile.original, whole_multiples(head, integers), tile.limits, tile.promised, exact, tile.device)
    return _packed(head, streams, corrected)


def _constant(tile: BoundedTile) -> Coded | None:
    """One number for all points, where that is within the bound of each."""
    low, high = tile.limits
    middle = float(np.asarray((low + high) / 2, dtype=tile.promised.dtype))
    if tile.promised.constraints or max(high - middle, middle - low) > tile.promised.bound:
        return None
    return Coded(pack(_head(tile, kinds.CONSTANT, origin=middle), (), b""))


def _head(tile: BoundedTile, coding: int, **fields: object) -> TileHeader:
    limits = tile.limits.astype("<f4").tobytes()
    double = tile.promised.dtype == "float64"
    known = {"shape": tile.shape, "limits": limits, "coding": coding, "double": double, "periodic": tile.periodic}
    known["lattice"] = tile.lattice
    return TileHeader(**known, **fields)  # type: ignore[arg-type]


def _packed(head: TileHeader, streams: Sequence[bytes], corrected: Corrected) -> Coded:
    return Coded(pack(head, tuple(streams), corrected.data), corrected.promised)

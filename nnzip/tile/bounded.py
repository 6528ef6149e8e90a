"""One tile under an error bound: detail, and corrections that make the bound hold.

The coding, the arrangement of the axes and the quantisation step are chosen on a sample of the tile; then the tile is
coded, decoded as a reader would, and every point outside its interval corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.volumes import encode_volumes
from nnzip.promises.goals import BoxPromised
from nnzip.tile import header as kinds
from nnzip.tile.base import Base
from nnzip.tile.corrector import Corrected
from nnzip.tile.decode import Reconstruction, decode_tile, whole_multiples
from nnzip.tile.header import TileHeader, pack
from nnzip.tile.samples import outer_limits
from nnzip.tile.trials import BoundedTile, Choice, choose
from nnzip.tile.volumes import interpolation_layout, plan_interpolation
from nnzip.tile.ways import ways
from nnzip.transform.cycles import Cycle
from nnzip.transform.fill import fill_missing
from nnzip.transform.lattice import find_lattice


@dataclass(frozen=True)
class Coded:
    """A coded tile, and how many of its bytes promises beyond the bound take."""

    data: bytes
    promised: int = 0


def encode_bounded(
    values: NDArray[np.floating],
    promised: BoxPromised,
    *,
    periodic: bool,
    cycle: Cycle | None = None,
    base: Base | None = None,
    effort: str = "normal",
    device: Device = None,
) -> Coded:
    """Code `values` [channel, time, lat, lon] (NaN: missing) so that all that is promised holds at every point.

    `periodic`: the longitudes close on themselves; `cycle`: of the solar day, where the times show it; `base`: what
    other tiles know of it. Cost: about
    three times that of coding the tile once.
    """
    filled = fill_missing(values, np.isnan(values))
    limits = outer_limits(values)
    tile = BoundedTile(values, filled, promised, limits, periodic, device, cycle, effort=effort, base=base)
    constant = _constant(tile)
    if constant is not None:
        return constant
    snapped = _on_lattice(tile)
    if snapped is not None:
        coded = _encode(snapped, choose(snapped)[0])
        if _holds(coded.data, tile):
            return coded
    return _encode(tile, choose(tile)[0])


def expected_sizes(
    values: NDArray[np.floating],
    promised: BoxPromised,
    *,
    periodic: bool,
    cycle: Cycle | None,
    base: Base,
    effort: str,
) -> tuple[float, float]:
    """Bytes that a tile should take without and with its base, from a sample of it."""
    filled, limits = fill_missing(values, np.isnan(values)), outer_limits(values)
    tile = BoundedTile(values, filled, promised, limits, periodic, None, cycle, effort=effort, base=base)
    return choose(replace(tile, base=None))[1], choose(tile)[1]


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
    maps = None if tile.base is None else tile.base.maps
    error = np.abs(decode_tile(data, tile.shape, tile.device, maps).astype(np.float64) - tile.original)
    return bool(np.nanmax(error, initial=0.0) <= tile.promised.bound)


def _encode(tile: BoundedTile, choice: Choice) -> Coded:
    if choice.way is None:
        found = _interpolation(tile, choice.leading)
        if found is not None:
            return found
        choice = Choice(next(ways(tile.shape)))
    return _wavelets(tile, choice)


def _wavelets(tile: BoundedTile, choice: Choice) -> Coded:
    way = choice.way or next(ways(tile.shape))
    step = float(choice.multiple * tile.promised.bound)
    base = tile.base if choice.base else None
    coded = tile if base is None else tile.above_base(base)
    quantised = coded.transformed(way, step, with_cycle=choice.cycle).quantised(1.0)
    fields = {"step": step, "means": coded.means.astype("<f4").tobytes(), "base": b"" if base is None else base.pack()}
    head = _head(tile, kinds.WAVELET, **fields, **quantised.header())
    streams = quantised.streams()
    decoded = Reconstruction(head).values(quantised.inverse())
    if base is not None:
        base.add(decoded, base.functions(tile.shape))
    return _packed(head, streams, tile.corrected(decoded, np.array(tile.promised.guards)))


def _interpolation(tile: BoundedTile, leading: int) -> Coded | None:
    """None where no step keeps the bound."""
    step = tile.integer_step
    if step is None:
        return None
    integers, order = tile.integers(leading, step)
    head = _head(tile, kinds.INTERPOLATION, step=step, axes=order, leading=leading)
    plans = plan_interpolation(integers, order, leading, tile.device)
    streams = encode_volumes(plans, interpolation_layout(tile.shape, order, leading))
    return _packed(head, streams, tile.corrected(whole_multiples(head, integers), np.zeros(tile.shape[0])))


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

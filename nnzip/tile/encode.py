"""One tile's values -> bytes: `encode_tile` is pure and picklable, for every kind of goal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.promises.goals import BoxPromised
from nnzip.tile.base import Base
from nnzip.tile.bounded import Coded, encode_bounded
from nnzip.tile.budgeted import Scaling, encode_to_rmse, encode_to_size
from nnzip.tile.exact import encode_exact
from nnzip.transform.cycles import Cycle


@dataclass(frozen=True)
class Size:
    """At most so many bytes, with the smallest error."""

    bytes: float
    scaling: Scaling


@dataclass(frozen=True)
class Rmse:
    """At most this RMSE in the values' units, weighted by `weights` [lat]."""

    rmse: float
    weights: NDArray[np.float64]
    scaling: Scaling


Goal = BoxPromised | Size | Rmse
"""What a tile is to reach."""


def encode_tile(
    values: NDArray[np.floating],
    goal: Goal,
    dtype: str,
    *,
    periodic: bool = False,
    cycle: Cycle | None = None,
    base: Base | None = None,
    effort: str = "normal",
    device: Device = None,
) -> Coded:
    """Code `values` [channel, time, lat, lon] (float32 or float64, NaN: missing) for output of the type `dtype`.

    `periodic`: the longitudes close on themselves; `cycle`: of the solar day, where the times show it; `base`: of the
    tile, which only bounds use; `effort`: how large a part of the tile its coding is tried on (samples.SAMPLES).
    Missing points decode to any number. Cost on one core: see `bounded`, `budgeted`; memory about 15 times the
    values as float32.
    """
    if isinstance(goal, Size):
        double = dtype == "float64"
        size = goal.bytes
        return Coded(
            encode_to_size(
                values, goal.scaling, size, double=double, periodic=periodic, cycle=cycle, effort=effort, device=device
            )
        )
    if isinstance(goal, Rmse):
        tile = encode_to_rmse(
            values,
            goal.scaling,
            goal.rmse,
            goal.weights,
            double=dtype == "float64",
            periodic=periodic,
            cycle=cycle,
            effort=effort,
            device=device,
        )
        return Coded(tile)
    if goal.bound == 0:
        return Coded(encode_exact(values, dtype))
    return encode_bounded(values, goal, periodic=periodic, cycle=cycle, base=base, effort=effort, device=device)

"""Errors of decoded data, in float64, by the definitions behind peers.json (found by reproducing its SZ3 rows)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Errors(msgspec.Struct, frozen=True):
    """Errors over all points that are finite in the original.

    `p999`: quantile 0.999 of |error|; `tail_rmse`: over the points above their channel's 99th percentile;
    `mismatches`: points that are missing on one side only.
    """

    rmse: float
    wrmse: float
    max: float
    p999: float
    tail_rmse: float
    mismatches: int


def cosine_weights(latitude: Values) -> Values:
    """Weights of rows: the plain cosine of the latitude, as in peers.json.

    Its SZ3 rows tell it from exact cell areas: matthew_z500 at 0.01 of the range has 3.79807, exact areas give 3.79812.
    """
    return np.cos(np.deg2rad(latitude))


def measure(original: Values, decoded: Values, latitude: Values, p99: Sequence[float]) -> Errors:
    """Errors of `decoded` against `original`, both [channel, time, row, column]; latitude [row], p99 [channel]."""
    finite = np.isfinite(original)
    mismatches = int(np.count_nonzero(finite != np.isfinite(decoded)))
    valid = finite & np.isfinite(decoded)
    absolute = np.where(valid, np.abs(np.where(valid, decoded, 0) - np.where(valid, original, 0)), 0)
    squares = np.square(absolute)
    rows = np.broadcast_to(cosine_weights(latitude)[:, None], original.shape)
    tail = valid & (original > np.asarray(p99)[:, None, None, None])
    return Errors(
        rmse=float(np.sqrt(squares.sum() / valid.sum())),
        wrmse=float(np.sqrt((squares * rows).sum() / (valid * rows).sum())),
        max=float(absolute.max()),
        p999=float(np.quantile(absolute[valid], 0.999)),
        tail_rmse=float(np.sqrt(squares[tail].mean())) if tail.any() else 0.0,
        mismatches=mismatches,
    )


def violations(original: Values, decoded: Values, bounds: Values) -> int:
    """Points whose |error| exceeds their channel's bound [channel], or that are missing on one side only."""
    wrong = ~(np.abs(decoded - original) <= bounds[:, None, None, None])
    return int(np.count_nonzero(wrong & (np.isfinite(original) | np.isfinite(decoded))))

"""Which points of a tile must be corrected so that its bound and its promises hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.promises.goals import BoxPromised
from nnzip.promises.intervals import Intervals
from nnzip.tile.corrections import Wrong, encode_corrections

Values = NDArray[np.float64]

_PIECE = 1 << 16  # values


@dataclass(frozen=True)
class Corrected:
    """Corrections of a tile, and how many of their bytes promises beyond the bound take."""

    data: bytes
    promised: int = 0


def correct(
    original: NDArray[np.floating],
    decoded: Values,
    limits: Values,
    promised: BoxPromised,
    guards: Values,
    device: Device = None,
    *,
    quick: bool = False,
) -> Corrected:
    """Corrections that bring `decoded` [channel, time, lat, lon] to where the promises want it.

    `original` holds NaN where values are missing; `decoded` is not yet clipped to `limits` [2]; `guards` [channel]: by
    how much other decoders may differ; `quick`: see `fixes.encode_fixes`.
    """
    channels, times, rows, columns = original.shape
    shape = channels, times, rows, columns
    encode = partial(encode_corrections, bound=promised.bound, shape=shape, device=device, quick=quick)
    if not promised.constraints:
        wrong = list(_beyond_bound(original, decoded, limits, promised, guards))
        return Corrected(encode(wrong))
    plain, all_wrong = _beyond_promises(original.astype(np.float64), decoded, limits, promised, guards)
    data = encode([all_wrong])
    return Corrected(data, len(data) - len(encode([plain])))


def _beyond_bound(
    original: NDArray[np.floating], decoded: Values, limits: Values, promised: BoxPromised, guards: Values
) -> Iterator[Wrong]:
    """Channel by channel; intervals are computed at the few points that may be outside theirs, which are looked for in
    pieces that a processor's cache holds."""
    bound, dtype = promised.bound, promised.dtype
    largest = min(np.abs(limits).max() + bound, np.finfo(dtype).max)
    rounding = 2 * float(np.spacing(np.array(largest, dtype=dtype)))
    for channel, (values, found) in enumerate(zip(original, decoded, strict=True)):
        flat, decoded_flat, suspects = values.reshape(-1), found.reshape(-1), []
        for start in range(0, flat.size, _PIECE):
            here = slice(start, start + _PIECE)
            away = flat[here] - np.clip(decoded_flat[here], *limits)
            suspects.append(start + np.flatnonzero(np.abs(away, out=away) > bound - guards[channel] - rounding))
        suspect = np.concatenate(suspects)
        some: Values = flat[suspect].astype(np.float64)
        before: Values = np.clip(decoded_flat[suspect], *limits)
        allowed = Intervals(some, bound, dtype)
        yield Wrong.of(channel * flat.size + suspect, some, before, *_limits(allowed), guards[channel])


def _beyond_promises(
    original: Values, decoded: Values, limits: Values, promised: BoxPromised, guards: Values
) -> tuple[Wrong, Wrong]:
    """Points beyond the bound alone, and beyond all promises, which may narrow any interval."""
    clipped: Values = np.clip(decoded, *limits)
    guard = np.broadcast_to(guards[:, None, None, None], original.shape)
    places, before = np.arange(original.size), np.asarray(clipped.ravel(), dtype=np.float64)
    flat = np.asarray(original.ravel(), dtype=np.float64)
    plain = Wrong.of(places, flat, before, *_limits(Intervals(original, promised.bound, promised.dtype)), guard.ravel())
    allowed = promised.allowed(original, clipped, guards)
    low, high = (np.asarray(limit, dtype=np.float64).reshape(-1) for limit in allowed.beyond(limits))
    clamped = (decoded <= limits[0] - guard) | (decoded >= limits[1] + guard)
    return plain, Wrong.of(places, flat, before, low, high, np.where(clamped, 0.0, guard).ravel())


def _limits(allowed: Intervals) -> tuple[Values, Values]:
    return allowed.low.ravel().astype(np.float64), allowed.high.ravel().astype(np.float64)

"""Which points of a tile must be corrected so that its bound and its promises hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.promises.constraints import Part
from nnzip.promises.intervals import Intervals
from nnzip.promises.resolve import Promise
from nnzip.tile.corrections import Wrong, encode_corrections

GUARD = 2e-6
"""Share of a channel's range that arithmetic of other machines and libraries may move decoded values by."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What a variable promises at every point of a tile: `bound` in its units for values of the output type `dtype`,
    and promises beyond it, cut to the tile."""

    bound: float
    dtype: str
    promises: tuple[Promise, ...] = ()


@dataclass(frozen=True)
class Corrected:
    """Corrections of a tile, and how many of their bytes promises beyond the bound take."""

    data: bytes
    promised: int = 0


def guards(original: NDArray[np.floating]) -> Values:
    """The guard of every channel [channel] of a tile."""
    ranges = [float(np.ptp(known)) if (known := channel[np.isfinite(channel)]).size else 0.0 for channel in original]
    return GUARD * np.array(ranges)


def correct(
    original: NDArray[np.floating], decoded: Values, limits: Values, bounds: Bounds, guard: Values, device: Device = None
) -> Corrected:
    """Corrections that bring `decoded` [channel, time, lat, lon] within the bounds of `original` (NaN: missing).

    `decoded` is not yet clipped to `limits` [2]; `guard` [channel]: how far other decoders may be off.
    """
    channels, times, rows, columns = original.shape
    shape = channels, times, rows, columns
    if not bounds.promises:
        wrong = list(_beyond_bound(original, decoded, limits, bounds, guard))
        return Corrected(encode_corrections(wrong, bounds.bound, shape, device))
    plain, wrong = list[Wrong](), list[Wrong]()
    for channel, values in enumerate(original):
        here = values.astype(np.float64)
        found = _beyond_promises(channel, here, decoded[channel], limits, bounds, float(guard[channel]))
        for parts, some in zip((plain, wrong), found, strict=True):
            parts.append(some)
    data = encode_corrections(wrong, bounds.bound, shape, device)
    return Corrected(data, len(data) - len(encode_corrections(plain, bounds.bound, shape, device)))


def _beyond_bound(
    original: NDArray[np.floating], decoded: Values, limits: Values, bounds: Bounds, guard: Values
) -> Iterator[Wrong]:
    """Intervals are computed at the few points that may be outside theirs."""
    rounding = 2 * np.spacing(np.array(np.abs(limits).max() + bounds.bound, dtype=bounds.dtype))
    for channel, (values, found) in enumerate(zip(original, decoded, strict=True)):
        clipped = np.clip(found, *limits)
        spare = bounds.bound - guard[channel] - float(rounding)
        suspect = np.flatnonzero(np.abs(values - clipped) > spare)
        some = values.ravel()[suspect].astype(np.float64)
        allowed = Intervals(some, bounds.bound, bounds.dtype)
        low, high = allowed.low.astype(np.float64), allowed.high.astype(np.float64)
        yield Wrong.of(channel * values.size + suspect, some, clipped.ravel()[suspect], low, high, guard[channel])


def _beyond_promises(
    channel: int, original: Values, decoded: Values, limits: Values, bounds: Bounds, guard: float
) -> tuple[Wrong, Wrong]:
    """Points of a channel beyond the bound alone, and beyond all promises, which may narrow any interval."""
    clipped = np.clip(decoded, *limits)
    allowed = Intervals(original, bounds.bound, bounds.dtype)
    places = channel * original.size + np.arange(original.size)
    here = (places, original.ravel(), clipped.ravel())
    plain = Wrong.of(*here, *(np.array(v, dtype=np.float64).ravel() for v in (allowed.low, allowed.high)), guard)
    part = Part(channel, 0, original)
    for promise in bounds.promises:
        promise.constraint.narrow(allowed, part, clipped, guard)
    allowed.require_values()
    clamped = (decoded <= limits[0] - guard) | (decoded >= limits[1] + guard)
    low, high = (np.asarray(v, dtype=np.float64).ravel() for v in allowed.beyond(limits))
    return plain, Wrong.of(*here, low, high, np.where(clamped, 0.0, guard).ravel())

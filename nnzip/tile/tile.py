"""From the layers of a tile to its values; the encoder composes them here too, so that its rounding is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.tile.corrections import decode_corrections
from nnzip.tile.payload import Detail

Values = NDArray[np.float64]


def compose(detail: NDArray[np.floating], base: Values | float, limits: Values) -> Values:
    """Base plus detail in float64, within `limits` = (smallest, largest value of the data)."""
    values = base + detail.astype(np.float64)
    return np.asarray(np.clip(values, limits[0], limits[1], out=values))


def decode_tile(
    detail: Detail, corrections: bytes, base: Callable[[int], Values] | None, dtype: str, device: torch.device
) -> NDArray[np.floating]:
    """Values [channel, time, lat, lon] of a variable's tile in its output type.

    `base`: the field [time, lat, lon] of a channel in the data's units; None: there is no field. Raises
    CorruptArchiveError. Memory: the result and about ten times a channel.
    """
    channels, times, rows, columns = detail.header.shape
    fixes = decode_corrections(corrections, channels, (times, rows, columns), device)
    decoded = np.empty(detail.header.shape, dtype=dtype)
    for channel, values in enumerate(detail.channels(device)):
        limits = detail.limits[:, channel]
        under = base(channel) if base is not None and not detail.absolute else float(detail.means[channel])
        complete = compose(values, under, limits)
        fixes.apply(channel, complete)
        decoded[channel] = np.clip(complete, limits[0], limits[1], out=complete)
    return decoded

"""Ways to arrange a tile's axes for the wavelet, from which a trial chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nnzip.tile.header import Shape
from nnzip.tile.volumes import CHANNEL, TIME, Arrangement
from nnzip.transform import wavelet

LONG = 8
"""Channels from which on they may be an axis of the transform, instead of each foretelling the next."""


@dataclass(frozen=True)
class Way:
    """`channels`: whether they are transformed; `times`: how many quarters of the largest depth time gets; `leading`:
    the axis that leads the volumes."""

    channels: bool
    times: int
    leading: int

    def arrangement(self, shape: Shape, *, periodic: bool, edges: int = 0) -> Arrangement:
        """This way with a tile of this shape."""
        channels, times, rows, columns = map(wavelet.max_depth, shape)
        depths = channels if self.channels else 0, times * self.times // 4, rows, columns
        return Arrangement(shape, depths, self.leading, periodic, edges)


def ways(shape: Shape) -> Iterator[Way]:
    """The ways worth trying for a tile of this shape, the likeliest first."""
    long = shape[CHANNEL] >= LONG
    deepest = wavelet.max_depth(shape[TIME])
    if long:
        yield Way(True, 4, CHANNEL)
        if shape[TIME] > 1:
            yield Way(True, 4, TIME)
    if not long or shape[TIME] > 1:
        yield Way(False, 4, TIME)
        if deepest > 1:
            yield Way(False, 2, TIME)
        if deepest > 0:
            yield Way(False, 0, TIME)


def leaders(shape: Shape) -> tuple[int, ...]:
    """Leading axes of the interpolation worth trying."""
    if shape[CHANNEL] < LONG:
        return (TIME,)
    return (CHANNEL,) if shape[TIME] == 1 else (TIME, CHANNEL)

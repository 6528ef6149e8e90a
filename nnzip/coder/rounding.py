"""Rate-distortion optimised rounding while contexts are found: a phase is rounded before it is a context of others.

A coefficient goes from magnitude m to m - 1 where the squared error this adds is below `lagrangian` times the bits it
saves under the tables that the model asks for (Sullivan & Wiegand, *Rate-distortion optimization for video
compression*, IEEE Signal Processing Magazine 15 (1998)). It decides what an encoder writes, never how a decoder reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy

AWAY_UNITS = 1 << 16
"""Distances from integers are added up in whole numbers of such parts of a step: in any order the sum is the same."""

_FARTHEST = 2  # steps

Integers = NDArray[np.int32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Rounding:
    """`scaled`: a volume's float32 coefficients in quantisation steps; `lagrangian`: squared steps per bit."""

    scaled: NDArray[np.float32]
    lagrangian: float

    def shrunk(
        self, values: Integers, scaled: NDArray[np.float32], offsets: NDArray[np.int16], tables: Bytes, classes: Bytes
    ) -> Integers:
        """The coefficients [n] of a phase of a subband, some smaller by one; `scaled` are those of the phase."""
        filled = values != 0
        quiet = int(np.count_nonzero(tables == 0))
        others = int(np.count_nonzero(filled & (tables == 0)))
        used = np.where(tables == 0, entropy.silent_table(quiet - others, others), tables)[filled]
        kept, taken, kinds = values[filled].astype(np.int64), offsets[filled].astype(np.int64), classes[filled]
        smaller = kept - np.sign(kept)
        saved = _bits(kept - taken, used, kinds) - _bits(smaller - taken, used, kinds)
        away = np.abs(scaled[filled]).astype(np.float64) - np.abs(kept)  # error of keeping m; that of m - 1: away + 1
        found = values.copy()
        worth = np.float32(self.lagrangian) * saved
        found[filled] = np.where(2 * away + 1 < worth, smaller, kept)
        return found

    def away(self, values: Integers) -> NDArray[np.int64]:
        """By how much magnitudes 1, and larger ones, were more before they were rounded, in `AWAY_UNITS`, and how many
        they are: [2, 2]."""
        magnitudes = np.abs(values.astype(np.int64))
        away = np.clip(np.abs(self.scaled) - magnitudes.astype(np.float32), -_FARTHEST, _FARTHEST)
        units = (away * np.float32(AWAY_UNITS)).astype(np.int64)
        return np.array([[units[members].sum(), members.sum()] for members in (magnitudes == 1, magnitudes > 1)])


def _bits(rest: NDArray[np.int64], tables: Bytes, classes: Bytes) -> NDArray[np.float32]:
    """Bits of symbols [n] after their offsets."""
    magnitudes, signs = entropy.rest_lengths()
    places = np.minimum(np.abs(rest), entropy.MAX_MAGNITUDE)
    towards = np.where(rest < 0, entropy.SIGN_CLASSES - 1 - classes, classes)
    found: NDArray[np.float32] = magnitudes[tables, places] + np.where(rest == 0, np.float32(0), signs[towards])
    return found

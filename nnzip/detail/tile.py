"""From the layers of a tile to its values; the encoder checks the bound on what this returns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.detail.corrections import apply_corrections
from nnzip.detail.payload import Detail


def complete(detail: Detail, corrections: bytes, base: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Values [channel, time, lat, lon] float64: base plus detail, corrected, within the limits of the data."""
    return detail.clamped(apply_corrections(corrections, detail.added_to(base)))

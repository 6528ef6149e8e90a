"""Rate-distortion optimised quantisation of wavelet coefficients (`coder/rounding.py`), and its inverse.

All values here are in units of the quantisation step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.bands import Bands
from nnzip.coder.contexts import Coefficients
from nnzip.coder.native import transforms as native
from nnzip.coder.native.kernel import shipped_kernel
from nnzip.coder.rounding import AWAY_UNITS, Rounding
from nnzip.coder.volumes import Plan, plan_volume

DEAD_ZONE = 0.54
"""Magnitudes below this many steps become zero before the optimisation; all others start from the nearest integer."""

LAGRANGIAN = 0.115
"""Squared steps per bit: what a finer step would gain for one, 2 ln 2 times the error 1/12 of a uniform quantiser."""

LARGEST_MAGNITUDE = 1 << 30

SHIFT_UNIT = 1 / 250
"""Resolution of stored centroid shifts (int8), in steps."""

Values = NDArray[np.float32]


def quantise(values: Values, bands: Bands, reference: Coefficients | None = None, device: Device = None) -> Plan:
    """Integers for finite float32 `values` [axis, lat, lon] with their plan; beyond `LARGEST_MAGNITUDE` clipped."""
    values = np.ascontiguousarray(values)
    return plan_volume(_rounded(values), bands, reference, device, Rounding(values, LAGRANGIAN))


def _rounded(values: Values) -> Coefficients:
    kernel = shipped_kernel()
    if kernel is not None:
        return native.round_off(kernel, values, DEAD_ZONE, LARGEST_MAGNITUDE)
    magnitudes = np.abs(values)
    rounded = np.where(magnitudes < DEAD_ZONE, 0, np.rint(np.minimum(magnitudes, LARGEST_MAGNITUDE)))
    return np.copysign(rounded, values).astype(np.int32)


def centroids(away: NDArray[np.int64]) -> tuple[int, int]:
    """How far the mean of the values quantised to magnitude 1, and to more, lies from that magnitude, in SHIFT_UNIT;
    `away` [2, 2]: see `Rounding.away`."""
    offsets = [total / max(count, 1) / AWAY_UNITS for total, count in away.tolist()]
    shifts = [round(min(max(offset, -0.5), 0.5) / SHIFT_UNIT) for offset in offsets]
    return shifts[0], shifts[1]


def dequantise(quantised: Coefficients, shifts: tuple[int, int]) -> Values:
    """Values moved by `shifts` (of magnitude 1, of more; in SHIFT_UNIT) to the centroids of their cells; they may lie
    where contiguous `quantised` ones lay."""
    moved = np.array([0, *shifts], dtype=np.float32) * np.float32(SHIFT_UNIT)
    kernel = shipped_kernel()
    if kernel is not None:
        return native.dequantise(kernel, np.ascontiguousarray(quantised, dtype=np.int32), moved[1:])
    magnitudes = np.abs(quantised).view(np.uint32)  # of -2^31 too, which damaged streams hold
    found: Values = np.copysign(magnitudes + moved[np.minimum(magnitudes, 2)], quantised).astype(np.float32)
    return found

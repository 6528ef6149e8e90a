"""Rate-distortion optimised quantisation of wavelet coefficients.

A uniform quantiser that rounds towards zero where the bits saved are worth the error: a coefficient goes from
magnitude m to m - 1 when the squared error it adds is below `LAGRANGIAN` times the bits it saves under the context
model (Sullivan & Wiegand, *Rate-distortion optimization for video compression*, IEEE Signal Processing Magazine 15
(1998), applied to the tables of `coefficients`). All values here are in units of the quantisation step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.arrays import Device
from nnzip.coder.bands import Bands
from nnzip.coder.contexts import Coefficients, occupied
from nnzip.coder.native import transforms as native
from nnzip.coder.native.kernel import shipped_kernel
from nnzip.coder.native.volume import Volume, Worth
from nnzip.coder.volumes import Plan, fit_corrections, plan_volume

DEAD_ZONE = 0.54
"""Magnitudes below this many steps become zero before the optimisation; all others start from the nearest integer."""

LAGRANGIAN = 0.13
"""Squared steps per bit."""

LARGEST_MAGNITUDE = 1 << 30

SHIFT_UNIT = 1 / 250
"""Resolution of stored centroid shifts (int8), in steps."""

Values = NDArray[np.float32]


def quantise(values: Values, bands: Bands, reference: Coefficients | None = None, device: Device = None) -> Plan:
    """Integers for finite float32 `values` [axis, lat, lon] with their plan; beyond `LARGEST_MAGNITUDE` clipped."""
    values = np.ascontiguousarray(values)
    chosen = _rounded(values)
    plan = plan_volume(chosen, bands, reference, device)
    kernel, corrections = shipped_kernel(), fit_corrections([plan])[0]
    if kernel is None:
        chosen = _shrunk(values, plan, plan.tables(bands, corrections))
    else:
        volume, worth = Volume(kernel, values.shape, bands, None), Worth(*entropy.rest_lengths(), LAGRANGIAN)
        for number in occupied(chosen, bands):
            volume.shrink(number, plan.planned, values, (corrections, plan.silent[number]), worth)
    return plan_volume(chosen, bands, reference, device)


def _rounded(values: Values) -> Coefficients:
    kernel = shipped_kernel()
    if kernel is not None:
        return native.round_off(kernel, values, DEAD_ZONE, LARGEST_MAGNITUDE)
    magnitudes = np.abs(values)
    rounded = np.where(magnitudes < DEAD_ZONE, 0, np.rint(np.minimum(magnitudes, LARGEST_MAGNITUDE)))
    return np.copysign(rounded, values).astype(np.int32)


def _shrunk(values: Values, plan: Plan, used: NDArray[np.uint8]) -> Coefficients:
    """The plan's integers, smaller by one where the bits that saves are worth it; `used`: the tables of all."""
    candidates = np.flatnonzero(plan.values)
    kept, offsets = plan.values.ravel()[candidates], plan.contexts.offsets.ravel()[candidates]
    tables, classes = used.ravel()[candidates], plan.contexts.classes.ravel()[candidates]
    smaller = kept - np.sign(kept)
    saved: Values = _bits(kept - offsets, tables, classes)
    saved -= _bits(smaller - offsets, tables, classes)
    away = np.abs(values.ravel()[candidates]) - np.abs(kept)  # error of keeping m; that of m - 1 is away + 1
    chosen = plan.values.copy()
    chosen.ravel()[candidates] = np.where(2 * away + 1 < LAGRANGIAN * saved, smaller, kept)
    return chosen


def centroids(values: Values, quantised: Coefficients) -> tuple[int, int]:
    """How far the mean of the values quantised to magnitude 1, and to more, lies from that magnitude, in SHIFT_UNIT."""
    magnitudes = np.abs(quantised)
    away = np.abs(values) - magnitudes
    shifts = []
    for members in (magnitudes == 1, magnitudes > 1):
        offset = float(away[members].mean(dtype=np.float64)) if members.any() else 0.0
        shifts.append(round(min(max(offset, -0.5), 0.5) / SHIFT_UNIT))
    return shifts[0], shifts[1]


def dequantise(quantised: Coefficients, shifts: tuple[int, int]) -> Values:
    """Values moved by `shifts` (of magnitude 1, of more; in SHIFT_UNIT) to the centroids of their cells."""
    moved = np.array([0, *shifts], dtype=np.float32) * np.float32(SHIFT_UNIT)
    kernel = shipped_kernel()
    if kernel is not None:
        values = np.empty(quantised.shape, dtype=np.float32)
        native.dequantise(kernel, np.ascontiguousarray(quantised, dtype=np.int32), moved[1:], values)
        return values
    magnitudes = np.abs(quantised).view(np.uint32)  # of -2^31 too, which damaged streams hold
    found: Values = np.copysign(magnitudes + moved[np.minimum(magnitudes, 2)], quantised).astype(np.float32)
    return found


def _bits(rest: NDArray[np.integer], tables: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bits of symbols [n] after their offsets."""
    magnitudes, signs = entropy.rest_lengths()
    places = np.minimum(np.abs(rest), entropy.MAX_MAGNITUDE)
    towards = np.where(rest < 0, entropy.SIGN_CLASSES - 1 - classes, classes)
    found: NDArray[np.float32] = magnitudes[tables, places] + np.where(rest == 0, 0, signs[towards])
    return found

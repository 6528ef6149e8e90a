"""Rate-distortion optimised quantisation of wavelet coefficients.

A uniform quantiser that rounds towards zero where the bits saved are worth the error: a coefficient goes from
magnitude m to m - 1 when the squared error it adds is below `LAGRANGIAN` times the bits it saves under the context
model (Sullivan & Wiegand, *Rate-distortion optimization for video compression*, IEEE Signal Processing Magazine 15
(1998), applied to the tables of `coefficients`). All values here are in units of the quantisation step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.archive import entropy
from nnzip.transform.bands import Bands
from nnzip.transform.coefficients import CodingPlan, Coefficients, plan_coding

DEAD_ZONE = 0.54
"""Magnitudes below this many steps become zero before the optimisation; all others start from the nearest integer."""

LAGRANGIAN = 0.13
"""Squared steps per bit."""

LARGEST_MAGNITUDE = 1 << 30

SHIFT_UNIT = 1 / 250
"""Resolution of stored centroid shifts (int8), in steps."""


def quantise(
    values: NDArray[np.float32], bands: Bands, reference: Coefficients | None = None
) -> tuple[Coefficients, CodingPlan]:
    """Integers for finite `values` [time, lat, lon] and the plan to code them; beyond `LARGEST_MAGNITUDE` clipped."""
    magnitudes = np.abs(values)
    rounded = np.rint(np.minimum(magnitudes, np.float32(LARGEST_MAGNITUDE))).astype(np.int32)
    rounded[magnitudes < DEAD_ZONE] = 0
    candidates = np.nonzero(rounded)
    kept = _with_sign(rounded[candidates], values[candidates])
    chosen = np.zeros(values.shape, dtype=np.int32)
    chosen[candidates] = kept
    plan = plan_coding(chosen, bands, reference)
    coding = plan.offsets[candidates], plan.tables[candidates], plan.classes[candidates]
    saved = _bits(kept, *coding) - _bits(kept - np.sign(kept), *coding)
    away = magnitudes[candidates] - rounded[candidates]  # error of keeping m; that of m - 1 is away + 1
    chosen[candidates] = np.where(2 * away + 1 < LAGRANGIAN * saved, kept - np.sign(kept), kept)
    return chosen, plan_coding(chosen, bands, reference)


def centroids(values: NDArray[np.float32], quantised: Coefficients) -> tuple[float, float]:
    """How far the mean of the values quantised to magnitude 1, and to more, lies from that magnitude."""
    magnitudes = np.abs(quantised)
    shifts = []
    for members in (magnitudes == 1, magnitudes > 1):
        offset = (np.abs(values[members]) - magnitudes[members]).mean(dtype=np.float64) if members.any() else 0.0
        shifts.append(float(np.clip(offset, -0.5, 0.5)))
    return shifts[0], shifts[1]


def dequantise(quantised: Coefficients, shifts: tuple[float, float]) -> NDArray[np.float32]:
    """Values moved by `shifts` (of magnitude 1, of more) to the centroids of their quantisation cells."""
    signed = quantised.astype(np.float32)
    magnitudes = np.abs(signed)
    magnitudes += np.array([0.0, *shifts], dtype=np.float32).take(np.minimum(magnitudes, 2).astype(np.uint8))
    return np.copysign(magnitudes, signed, out=magnitudes)


def _bits(
    symbols: NDArray[np.int32], offsets: NDArray[np.int16], tables: NDArray[np.uint8], classes: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What symbols [n] would cost as the plan codes them."""
    rest = symbols - offsets
    lengths, signs = entropy.rest_lengths()
    towards = np.where(rest < 0, entropy.SIGN_CLASSES - 1 - classes, classes)
    bits: NDArray[np.float32] = lengths[tables, np.minimum(np.abs(rest), entropy.MAX_MAGNITUDE)]
    return bits + np.where(rest == 0, np.float32(0), signs[towards])


def _with_sign(magnitudes: NDArray[np.int32], values: NDArray[np.float32]) -> Coefficients:
    return np.where(values < 0, -magnitudes, magnitudes)

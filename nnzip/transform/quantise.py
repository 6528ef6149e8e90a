"""Rate-distortion optimised quantisation of wavelet coefficients.

A uniform quantiser that rounds towards zero where the bits saved are worth the error: a coefficient goes from
magnitude m to m - 1 when the squared error it adds is below `LAGRANGIAN` times the bits it saves under the context
model (Sullivan & Wiegand, *Rate-distortion optimization for video compression*, IEEE Signal Processing Magazine 15
(1998), applied to the tables of `coefficients`). All values here are in units of the quantisation step.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nnzip.coder import entropy
from nnzip.coder.bands import Bands
from nnzip.coder.coefficients import CodingPlan, plan_coding

DEAD_ZONE = 0.54
"""Magnitudes below this many steps become zero before the optimisation; all others start from the nearest integer."""

LAGRANGIAN = 0.13
"""Squared steps per bit."""

LARGEST_MAGNITUDE = 1 << 30

SHIFT_UNIT = 1 / 250
"""Resolution of stored centroid shifts (int8), in steps."""


def quantise(values: Tensor, bands: Bands, reference: Tensor | None = None) -> tuple[Tensor, CodingPlan]:
    """Integers (int32) for finite float32 `values` [time, lat, lon] and the plan to code them, on the values' device;
    beyond `LARGEST_MAGNITUDE` clipped."""
    magnitudes = values.abs()
    rounded = magnitudes.clamp(max=LARGEST_MAGNITUDE).round_().masked_fill_(magnitudes < DEAD_ZONE, 0)
    chosen = rounded.copysign_(values).to(torch.int32)
    candidates = torch.nonzero(chosen.view(-1)).view(-1)
    plan = plan_coding(chosen, bands, reference)
    kept, size, offsets, tables, classes = (
        tensor.reshape(-1).index_select(0, candidates)
        for tensor in (chosen, magnitudes, plan.offsets, plan.tables, plan.classes)
    )
    smaller = kept - kept.sign()
    saved = _bits(kept, offsets, tables, classes) - _bits(smaller, offsets, tables, classes)
    away = size - kept.abs()  # error of keeping m; that of m - 1 is away + 1
    chosen.view(-1)[candidates] = torch.where(2 * away + 1 < LAGRANGIAN * saved, smaller, kept)
    return chosen, plan_coding(chosen, bands, reference)


def centroids(values: Tensor, quantised: Tensor) -> tuple[float, float]:
    """How far the mean of the values quantised to magnitude 1, and to more, lies from that magnitude."""
    magnitudes = quantised.abs()
    away = values.abs().sub_(magnitudes)
    shifts = []
    for members in (magnitudes == 1, magnitudes > 1):
        offset = float(away[members].mean(dtype=torch.float64)) if bool(members.any()) else 0.0
        shifts.append(min(max(offset, -0.5), 0.5))
    return shifts[0], shifts[1]


def dequantise(quantised: Tensor, shifts: tuple[float, float]) -> Tensor:
    """Values, float32, moved by `shifts` (of magnitude 1, of more) to the centroids of their quantisation cells."""
    signed = quantised.to(torch.float32)
    magnitudes = signed.abs()
    ones, more = (members.to(torch.float32) for members in (magnitudes == 1, magnitudes > 1))
    return magnitudes.add_(ones, alpha=shifts[0]).add_(more, alpha=shifts[1]).copysign_(signed)


def _bits(symbols: Tensor, offsets: Tensor, tables: Tensor, classes: Tensor) -> Tensor:
    """What symbols [n] would cost as the plan codes them."""
    rest = symbols - offsets
    lengths, signs = _lengths(symbols.device)
    places = rest.abs().clamp_(max=entropy.MAX_MAGNITUDE).add_(tables, alpha=entropy.MAX_MAGNITUDE + 1)
    towards = torch.where(rest < 0, entropy.SIGN_CLASSES - 1 - classes, classes).masked_fill_(rest == 0, len(signs) - 1)
    return lengths.index_select(0, places) + signs.index_select(0, towards.to(torch.int32))


@lru_cache(maxsize=4)
def _lengths(device: torch.device) -> tuple[Tensor, Tensor]:
    """Bits of a magnitude, flat [table, magnitude], and of a positive sign [class and, last, none]."""
    magnitudes, signs = entropy.rest_lengths()
    by_class = np.append(signs, np.float32(0))
    return torch.from_numpy(magnitudes).view(-1).to(device), torch.from_numpy(by_class).to(device)

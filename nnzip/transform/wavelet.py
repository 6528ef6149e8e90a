"""CDF 9/7 wavelet on grids of any size, every axis decomposed to its own depth (fully separable).

Lifting steps of Daubechies & Sweldens, *Factoring wavelet transforms into lifting steps*, J. Fourier Anal. Appl. 4
(1998), section 7.6, with symmetric extension, or periodic extension where the axis closes on itself (longitude of a
global grid). The transform is non-expansive: along an axis of length n the first ceil(n / 2^depth)
values are the low band, followed by the high bands from coarse to fine. Scaled so that the basis functions have a
norm near one (`band_norms` gives it exactly), so one quantisation step serves all bands.

Cost: about 30 operations per value and axis; memory two copies of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from nnzip.coder.bands import band_edges

SHORTEST = 8
"""An axis (or low band) shorter than this is not split further."""

_LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_SCALE = 1.149604398860241  # low * _SCALE, high / _SCALE: both near unit norm at the first level


def max_depth(length: int) -> int:
    """How often an axis of this length is halved before its low band is shorter than `SHORTEST`."""
    depth = 0
    while length >= SHORTEST:
        length, depth = (length + 1) // 2, depth + 1
    return depth


def forward(values: Tensor, depths: Sequence[int], periodic: Sequence[bool]) -> Tensor:
    """Coefficients of `values` [..., *axes] over its last len(depths) axes, float32 or float64."""
    first = values.ndim - len(depths)
    for axis, (depth, closed) in enumerate(zip(depths, periodic, strict=True), start=first):
        low, highs = values, []
        for _ in range(depth):
            low, high = _split(low, axis, closed)
            highs.append(high)
        if highs:
            values = torch.cat([low, *reversed(highs)], dim=axis)
    return values


def inverse(coefficients: Tensor, depths: Sequence[int], periodic: Sequence[bool]) -> Tensor:
    """Values whose `forward` is `coefficients`; exact up to rounding (a few units in the last place)."""
    values = coefficients
    first = values.ndim - len(depths)
    for axis, (depth, closed) in reversed(list(enumerate(zip(depths, periodic, strict=True), start=first))):
        edges = band_edges(values.shape[axis], depth)
        low = values.narrow(axis, 0, edges[0][1])
        for start, stop in edges[1:]:
            low = _merge(low, values.narrow(axis, start, stop - start), axis, closed)
        values = low
    return values


@lru_cache(maxsize=64)
def band_norms(depth: int) -> tuple[float, ...]:
    """L2 norms along one axis of the synthesis functions of the low band and of the high bands, coarse to fine."""
    length = SHORTEST << max(depth, 1)
    norms = []
    for start, stop in band_edges(length, depth):
        impulse = torch.zeros(length, dtype=torch.float64)
        impulse[(start + stop) // 2] = 1.0
        norms.append(float(inverse(impulse, (depth,), (True,)).norm()))
    return tuple(norms)


def _split(values: Tensor, axis: int, periodic: bool) -> tuple[Tensor, Tensor]:
    """One level of the forward transform: the low and the high half of `axis`."""
    length = values.shape[axis]
    every = [slice(None)] * values.ndim
    even = values[(*every[:axis], slice(0, None, 2))].clone()
    odd = values[(*every[:axis], slice(1, None, 2))].clone()
    closed = periodic and length % 2 == 0
    for step in (0, 2):
        odd = _lift_odd(odd, even, _LIFTING[step], axis, closed)
        even = _lift_even(even, odd, _LIFTING[step + 1], axis, closed)
    return even * _SCALE, odd / _SCALE


def _merge(low: Tensor, high: Tensor, axis: int, periodic: bool) -> Tensor:
    """Inverse of `_split`."""
    even, odd = low / _SCALE, high * _SCALE
    length = even.shape[axis] + odd.shape[axis]
    closed = periodic and length % 2 == 0
    for step in (2, 0):
        even = _lift_even(even, odd, -_LIFTING[step + 1], axis, closed)
        odd = _lift_odd(odd, even, -_LIFTING[step], axis, closed)
    shape = list(even.shape)
    shape[axis] = length
    merged = even.new_empty(shape)
    every = [slice(None)] * even.ndim
    merged[(*every[:axis], slice(0, None, 2))] = even
    merged[(*every[:axis], slice(1, None, 2))] = odd
    return merged


def _lift_odd(odd: Tensor, even: Tensor, weight: float, axis: int, closed: bool) -> Tensor:
    """In place odd[i] += weight * (even[i] + even[i + 1]); beyond the end even[i], or even[0] on a closed axis."""
    count = odd.shape[axis]
    right = even.narrow(axis, 1, even.shape[axis] - 1)
    if right.shape[axis] < count:
        last = even.narrow(axis, 0 if closed else even.shape[axis] - 1, 1)
        right = torch.cat([right, last], dim=axis)
    return odd.add_(even.narrow(axis, 0, count), alpha=weight).add_(right, alpha=weight)


def _lift_even(even: Tensor, odd: Tensor, weight: float, axis: int, closed: bool) -> Tensor:
    """In place even[i] += weight * (odd[i - 1] + odd[i]), extended like `_lift_odd`."""
    count, available = even.shape[axis], odd.shape[axis]
    first = odd.narrow(axis, available - 1 if closed else 0, 1)
    left = torch.cat([first, odd.narrow(axis, 0, count - 1)], dim=axis)
    right = odd if available == count else torch.cat([odd, odd.narrow(axis, available - 1, 1)], dim=axis)
    return even.add_(left, alpha=weight).add_(right, alpha=weight)

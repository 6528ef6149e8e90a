"""CDF 9/7 wavelet on grids of any size, every axis decomposed to its own depth (fully separable).

Lifting steps of Daubechies & Sweldens, *Factoring wavelet transforms into lifting steps*, J. Fourier Anal. Appl. 4
(1998), section 7.6, with symmetric extension, or periodic extension where the axis closes on itself (longitude of a
global grid). The transform is non-expansive: along an axis of length n the first ceil(n / 2^depth)
values are the low band, followed by the high bands from coarse to fine. Scaled so that the basis functions have a
norm near one, so one quantisation step serves all bands.

Cost: about 30 operations per value and axis; memory two copies of the input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bands import band_edges
from nnzip.coder.native import transforms as native
from nnzip.coder.native.kernel import Kernel, shipped_kernel

Values = NDArray[np.floating]

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


def forward(values: Values, depths: Sequence[int], periodic: Sequence[bool]) -> Values:
    """Coefficients of `values` [..., *axes] over its last len(depths) axes, float32 or float64; a copy."""
    first = values.ndim - len(depths)
    transformed = values.copy(order="C")
    kernel = _kernel_for(values, depths)
    if kernel is not None:
        native.wavelet(kernel, transformed, depths, periodic, inverse=False)
        return transformed
    for axis, (depth, closed) in enumerate(zip(depths, periodic, strict=True), start=first):
        lines = np.moveaxis(transformed, axis, 0)
        length = len(lines)
        for _ in range(depth):
            even, odd = lines[0:length:2].copy(), lines[1:length:2].copy()
            alike = closed and length % 2 == 0
            for step in (0, 2):
                _lift_odd(odd, even, _LIFTING[step], alike)
                _lift_even(even, odd, _LIFTING[step + 1], alike)
            low = len(even)
            lines[:low], lines[low:length] = even * _SCALE, odd / _SCALE
            length = low
    return transformed


def inverse(values: Values, depths: Sequence[int], periodic: Sequence[bool]) -> Values:
    """Contiguous coefficients become, in place, the values whose `forward` they are; exact up to rounding (a few units
    in the last place)."""
    kernel = _kernel_for(values, depths)
    if kernel is not None:
        native.wavelet(kernel, values, depths, periodic, inverse=True)
        return values
    first = values.ndim - len(depths)
    for axis, (depth, closed) in reversed(list(enumerate(zip(depths, periodic, strict=True), start=first))):
        lines = np.moveaxis(values, axis, 0)
        for low, length in band_edges(len(lines), depth)[1:]:
            even, odd = lines[:low] / _SCALE, lines[low:length] * _SCALE
            alike = closed and length % 2 == 0
            for step in (2, 0):
                _lift_even(even, odd, -_LIFTING[step + 1], alike)
                _lift_odd(odd, even, -_LIFTING[step], alike)
            lines[0:length:2], lines[1:length:2] = even, odd
    return values


def _kernel_for(values: Values, depths: Sequence[int]) -> Kernel | None:
    """The native kernel, where it takes such values."""
    few = len(depths) < native.DIMENSIONS or len(depths) == values.ndim == native.DIMENSIONS
    return shipped_kernel() if few and values.size and values.dtype == np.float32 else None


def _lift_odd(odd: Values, even: Values, weight: float, closed: bool) -> None:
    """In place odd[i] += weight * (even[i] + even[i + 1]); beyond the end even[i], or even[0] on a closed axis."""
    inner = min(len(even) - 1, len(odd))
    odd[:inner] += weight * (even[:inner] + even[1 : inner + 1])
    if inner < len(odd):
        odd[-1] += weight * (even[-1] + even[0 if closed else -1])


def _lift_even(even: Values, odd: Values, weight: float, closed: bool) -> None:
    """In place even[i] += weight * (odd[i - 1] + odd[i]), extended like `_lift_odd`."""
    inner = min(len(even), len(odd))
    even[1:inner] += weight * (odd[: inner - 1] + odd[1:inner])
    even[0] += weight * (odd[-1 if closed else 0] + odd[0])
    if inner < len(even):
        even[-1] += weight * (odd[-1] + odd[-1])

"""What signed neighbours foretell: least squares in integers, learnt from coarser subbands already decoded.

Wavelet coefficients of smooth data are correlated with their neighbours, and those of one level with those of another:
a weighted sum of signed neighbours foretells a coefficient's sign and part of its value. The weights are those that
would have been best in the parent subbands, so they cost no bits. Encoder and decoder solve the same equations in
integers, each step the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.transform.phases import LARGEST

INPUTS = 11
"""Signed sums: neighbours along time, latitude, longitude; diagonal in (time, latitude), (time, longitude), (latitude,
longitude); in all three; the reference at the same position, and its neighbours along the three axes."""

REFERENCE = 7
"""The first of the sums over the reference."""

FRACTION_BITS = 12
"""Weights are in units of 2^-12."""

FORGET_BITS = 2
"""A subband hands on to finer ones its own equations and a quarter of what its parents handed on."""

_RIDGE = 1 << 11
_PIVOT_BITS = 30
_FACTOR_BITS = 20
_LARGEST_WEIGHT = 4 << FRACTION_BITS
_NEUTRAL = 64

Equations = NDArray[np.int64]
"""[INPUTS + 1, INPUTS + 1]: sums of products of the signed sums and, last, of the coefficient itself."""


def no_equations() -> Equations:
    """Of a subband without parents."""
    return np.zeros((INPUTS + 1, INPUTS + 1), dtype=np.int64)


def equations(sums: NDArray[np.float32], values: NDArray[np.int32]) -> Equations:
    """Of coefficients [n] and their signed sums [INPUTS, n], whole numbers.

    Where the sums are large, they and the coefficient are divided by a power of two, so that no place outweighs all
    others. Exact: sums of whole numbers below 2^53.
    """
    size = np.abs(sums).sum(axis=0) + np.float32(1)
    exponents = np.maximum((size.view(np.int32) >> 23) - 127 - 3, 0)
    scale = np.ldexp(np.float32(16), -exponents)
    rows = np.empty((INPUTS + 1, values.size))
    np.floor(sums * scale, out=rows[:-1])
    np.floor(np.clip(values, -LARGEST, LARGEST) * scale, out=rows[-1])
    np.clip(rows[-1], -1024, 1024, out=rows[-1])
    return np.asarray(rows @ rows.T).astype(np.int64)


def of_the_reference(own: Equations) -> Equations:
    """The part that does not depend on the phase."""
    found = own.copy()
    found[:REFERENCE, :] = found[:, :REFERENCE] = 0
    return found


def solve(prior: Equations) -> tuple[NDArray[np.int64], int]:
    """Weights [INPUTS], and how much of the coefficients' energy they leave: 0 to 127, 64 for all of it.

    Gauss-Jordan elimination of the ridge regression in fixed point.
    """
    weights = np.zeros(INPUTS, dtype=np.int64)
    energy = int(prior[-1, -1])
    used = np.flatnonzero(prior.diagonal()[:-1])
    if not used.size or not energy:
        return weights, _NEUTRAL
    system = prior[np.ix_(used, [*used, INPUTS])]
    np.einsum("ii->i", system[:, :-1])[...] += _RIDGE
    full = system.copy()
    spare = _PIVOT_BITS - int(max(system.max(), energy)).bit_length()
    system = system << spare if spare >= 0 else system >> -spare
    for column in range(used.size):
        pivot = max(int(system[column, column]), 1)
        factors = (system[:, column] << _FACTOR_BITS) // pivot
        factors[column] = 0
        system -= (factors[:, None] * system[column]) >> _FACTOR_BITS
    pivots = np.maximum(system.diagonal(), 1)
    found = np.clip((system[:, -1] << FRACTION_BITS) // pivots, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    weights[used] = found
    return weights, _left(full, found, energy)


def _left(full: Equations, weights: NDArray[np.int64], energy: int) -> int:
    exact = [int(weight) for weight in weights]
    with_target = sum(weight * int(value) for weight, value in zip(exact, full[:, -1], strict=True))
    explained = sum(
        first * second * int(value)
        for first, row in zip(exact, full, strict=True)
        for second, value in zip(exact, row[:-1], strict=True)
    )
    rest = (energy << 2 * FRACTION_BITS) - (with_target << (FRACTION_BITS + 1)) + explained
    return min(max((_NEUTRAL * rest) // (energy << 2 * FRACTION_BITS), 0), 127)

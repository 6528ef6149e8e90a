"""What signed neighbours foretell: least squares in integers, learnt from coarser subbands already decoded.

Wavelet coefficients of smooth data are correlated with their neighbours, and those of one level with those of another:
a weighted sum of signed neighbours foretells a coefficient's sign and part of its value. The weights are those that
would have been best in the parent subbands, so they cost no bits. Encoder and decoder solve the same equations in
integers, each step the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Array, namespace, to_numpy, zeros_beside
from nnzip.coder.phases import LARGEST

INPUTS = 11
"""Signed sums: neighbours along time, latitude, longitude; diagonal in (time, latitude), (time, longitude), (latitude,
longitude); in all three; the reference at the same position, and its neighbours along the three axes."""

REFERENCE = 7
"""The first of the sums over the reference."""

FRACTION_BITS = 7
"""Weights are in units of 2^-7: their products with sums of capped magnitudes add to less than 2^24."""

LARGEST_WEIGHT = 496

SAMPLES = 1 << 12
"""A phase with more places than that is thinned out for its equations."""

FORGET_BITS = 2
"""A subband hands on to finer ones its own equations and a quarter of what its parents handed on."""

_RIDGE = 1 << 11
_PIVOT_BITS = 30
_FACTOR_BITS = 20
_NEUTRAL = 64

Equations = NDArray[np.int64]
"""[INPUTS + 1, INPUTS + 1]: sums of products of the signed sums and, last, of the coefficient itself."""


def no_equations() -> Equations:
    """Of a subband without parents."""
    return np.zeros((INPUTS + 1, INPUTS + 1), dtype=np.int64)


def equations(sums: Array, values: Array) -> Equations:
    """Of coefficients [n] and their signed sums [INPUTS, n], whole numbers.

    Where the sums are large, they and the coefficient are divided by a power of two, so that no place outweighs all
    others. Exact: sums of whole numbers below 2^53.
    """
    xp = namespace(sums)
    size = abs(sums).sum(axis=0) + 1
    exponents = ((size.view(xp.int32) >> 23) - (127 + 3)).clip(min=0)
    scale = ((127 + 4 - exponents) << 23).view(xp.float32)  # 2^(4 - exponent)
    rows = zeros_beside(sums, (INPUTS + 1, len(values)), "float64")
    rows[:-1] = sums
    rows[-1] = values.clip(-LARGEST, LARGEST)
    rows *= scale
    xp.floor(rows, out=rows)
    rows[-1] = rows[-1].clip(-1024, 1024)
    return to_numpy(rows @ rows.T).astype(np.int64)


def of_the_reference(own: Equations) -> Equations:
    """The part that does not depend on the phase."""
    found = own.copy()
    found[:REFERENCE, :] = found[:, :REFERENCE] = 0
    return found


def solve(prior: Equations) -> tuple[NDArray[np.int64], int]:
    """Weights [INPUTS], and how much of the coefficients' energy they leave: 0 to 127, 64 for all of it.

    Gauss-Jordan elimination of the ridge regression in fixed point; what is left of the last diagonal element is the
    energy that is not foretold.
    """
    weights = np.zeros(INPUTS, dtype=np.int64)
    used = np.flatnonzero(prior.diagonal())
    if used.size < 2 or used[-1] != INPUTS:
        return weights, _NEUTRAL
    system = prior[np.ix_(used, used)]
    np.einsum("ii->i", system)[:-1] += _RIDGE
    spare = _PIVOT_BITS - int(system.max()).bit_length()
    system = system << spare if spare >= 0 else system >> -spare
    energy = max(int(system[-1, -1]), 1)
    for column in range(used.size - 1):
        factors = (system[:, column] << _FACTOR_BITS) // max(int(system[column, column]), 1)
        factors[column] = 0
        system -= (factors[:, None] * system[column]) >> _FACTOR_BITS
    found = (system[:-1, -1] << FRACTION_BITS) // np.maximum(system.diagonal()[:-1], 1)
    weights[used[:-1]] = np.minimum(np.maximum(found, -LARGEST_WEIGHT), LARGEST_WEIGHT)
    return weights, min(max(_NEUTRAL * int(system[-1, -1]) // energy, 0), 127)

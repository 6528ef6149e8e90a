"""Arrays for codecs of chunks, and what a tolerance allows, by arithmetic of its own."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.integrations.tolerance import Tolerance
from tests.support.tile_examples import values_of

Values = NDArray[np.floating]

ARRAY_SHAPES = st.sampled_from(
    ((), (1,), (40,), (1, 1, 33), (9, 61), (3, 1, 8, 9), (6, 5, 7), (2, 5, 6, 7), (9, 8, 3, 4), (2, 3, 1, 4, 5, 6))
)
TYPES = st.sampled_from(("float16", "float32", ">f4", "float64"))
TOLERANCES = st.builds(
    lambda kind, number: Tolerance(kind, number),
    st.sampled_from(("max_error", "relative_error", "rmse")),
    st.sampled_from((0.0, 1e-9, 1e-5, 1e-3, 0.04, 0.5, 3.0)),
)


def array_of(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> Values:
    """An array of a kind of `tile_examples`; beyond the largest number of its type: infinite."""
    with np.errstate(over="ignore"):
        return values_of(kind, (1, 1, 1, prod(shape)), "float64", seed).reshape(shape).astype(dtype)


def waves(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> Values:
    """Weather-like: waves along every axis and a little noise, about 280."""
    axes = np.meshgrid(*(np.linspace(0, 4, size) for size in shape), indexing="ij")
    smooth = sum(4 * np.sin(2 * axis + 1.3 * number) for number, axis in enumerate(axes))
    return np.asarray(280 + smooth + 0.02 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def outside(found: Values, original: Values, tolerance: Tolerance) -> int:
    """Points that break a tolerance, are missing on one side only, or are not the same infinity."""
    exact = original.astype(np.longdouble)
    finite = np.isfinite(exact)
    with np.errstate(invalid="ignore"):
        error = np.abs(found.astype(np.longdouble) - exact)
    allowed = tolerance.number * (np.where(finite, np.abs(exact), 0) if tolerance.kind == "relative_error" else 1)
    if tolerance.kind == "rmse":
        mean_square = np.mean(np.square(error[finite])) if finite.any() else 0
        broken = finite & (mean_square > (tolerance.number * (1 + 1e-12)) ** 2)
    else:
        broken = finite & ~(error <= allowed)
    return int((broken | (~finite & ~((found == original) | (np.isnan(found) & np.isnan(original))))).sum())

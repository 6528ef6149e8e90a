"""Tiles of every kind of values, and goals for them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.plan.goals import GUARD, rounding
from nnzip.promises.goals import BoxPromised
from nnzip.tile.budgeted import Scaling
from nnzip.tile.header import Shape
from nnzip.tile.scaling import scaling_of

Values = NDArray[np.floating]

KINDS = (
    "smooth", "noise", "steps", "constant", "spikes", "rain", "packed", "offset", "denormal", "tiny", "huge", "levels"
)  # fmt: skip
MISSING = ("nothing", "points", "cells", "times", "all but one", "all")

LENGTHS = st.sampled_from((1, 2, 3, 5, 8))
SHAPES = st.one_of(
    st.tuples(LENGTHS, LENGTHS, LENGTHS, LENGTHS),
    st.permutations((1, 1, 2, 40)),
    st.sampled_from(((37, 1, 5, 6), (37, 3, 2, 4), (2, 60, 1, 2), (1, 1, 9, 61), (1, 1, 30, 2))),
).map(lambda shape: (shape[0], shape[1], shape[2], shape[3]))


def values_of(kind: str, shape: Shape, dtype: str = "float32", seed: int = 0) -> Values:
    """Values [channel, time, lat, lon], all of them finite numbers of the type."""
    rng = np.random.default_rng(seed)
    waves = np.sin(sum(np.meshgrid(*(np.linspace(0, 2 + 0.3 * k, n) for k, n in enumerate(shape)), indexing="ij")))
    noise = rng.normal(size=shape)
    made = {
        "smooth": 280 + 10 * waves + 0.01 * noise,
        "noise": noise,
        "steps": np.floor(3 * rng.random(shape)) * 10,
        "constant": np.full(shape, 273.15),
        "spikes": np.where(rng.random(shape) < 0.1, 1e30, 1e-30),
        "rain": 1e-3 * np.maximum(noise - 1, 0) ** 3,
        "packed": 250 + np.rint(500 * waves + 3 * noise) * 0.002,
        "offset": 1e5 + 1e-3 * waves if dtype == "float64" else 1e5 + np.rint(2 * noise) / 128,
        "denormal": 1e-42 * noise,
        "tiny": 1e-30 * (waves + 0.1 * noise),
        "huge": 1e30 * (waves + 0.1 * noise),
        "levels": waves * np.geomspace(1e-3, 1e3, shape[0])[:, None, None, None] + 0.01 * noise,
    }[kind]
    return made.astype(dtype)


def with_missing(values: Values, pattern: str, seed: int = 0) -> Values:
    """A copy with NaN in a pattern."""
    rng = np.random.default_rng(seed)
    _, times, rows, columns = values.shape
    gone = {
        "nothing": np.zeros(values.shape, dtype=bool),
        "points": rng.random(values.shape) < 0.3,
        "cells": np.broadcast_to(rng.random((rows, columns)) < 0.4, values.shape),
        "times": np.broadcast_to(rng.random((times, 1, 1)) < 0.4, values.shape),
        "all but one": np.arange(values.size).reshape(values.shape) != values.size // 2,
        "all": np.ones(values.shape, dtype=bool),
    }[pattern]
    return np.where(gone, values.dtype.type(np.nan), values)


def bounded(values: Values, share: float) -> BoxPromised:
    """A bound of this share of the range, or the smallest that the survey allows (nnzip.plan.goals)."""
    dtype = str(values.dtype)
    ranges, largest = [], 0.0
    for channel in values:
        known = channel[np.isfinite(channel)].astype(np.float64)
        ranges.append(float(np.ptp(known)) if known.size else 0.0)
        largest = max(largest, float(np.abs(known).max(initial=0.0)))
    known = values[np.isfinite(values)].astype(np.float64)
    spread = float(np.ptp(known)) if known.size else 0.0
    guards = tuple(GUARD * each for each in ranges)
    bound = share * spread or 0.01
    while bound <= max(guards) + rounding(largest + bound, dtype):
        bound = 1.01 * (max(guards) + rounding(largest + bound, dtype))
    return BoxPromised(bound, guards, dtype)


def scaling(values: Values) -> Scaling:
    """The scaling of a variable with these values alone."""
    low, high, mean, variance = [], [], [], []
    for channel in values:
        known = channel[np.isfinite(channel)].astype(np.float64)
        low.append(known.min(initial=np.inf))
        high.append(known.max(initial=-np.inf))
        mean.append(known.mean() if known.size else 0.0)
        variance.append(known.var() if known.size else 0.0)
    return Scaling(*scaling_of(*(np.array(numbers) for numbers in (mean, variance, low, high))))

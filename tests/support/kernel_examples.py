"""Volumes of coefficients for the coder, and the choice between numpy and the paths of the native kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.coder.bands import interpolation_bands, wavelet_bands
from nnzip.coder.native.library import CHOICE, NUMPY, paths
from nnzip.coder.volumes import Layout, Plan, plan_volume
from nnzip.transform.wavelet import max_depth

Volumes = list[NDArray[np.int32]]

WAYS = (NUMPY, *paths())
"""All that this machine has."""

EXTREMES = np.array([0, 0, 1, -1, 1023, -1024, 70_000, 2**31 - 1, -(2**31)], dtype=np.int32)


@contextmanager
def by(way: str) -> Iterator[None]:
    """Inside, coding takes this way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CHOICE, way)
        yield


def sparse(shape: tuple[int, ...], scale: float, seed: int = 0) -> NDArray[np.int32]:
    """Like quantised coefficients: heavy tails that thin out towards the end of every axis."""
    values = np.random.default_rng(seed).laplace(0, scale, shape) ** 3
    decay = sum(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"))
    return np.rint(np.clip(values * np.exp(-2 * decay), -(2**31), 2**31 - 1)).astype(np.int32)


@st.composite
def tiles(draw: st.DrawFn) -> tuple[Volumes, Layout]:
    """Volumes, sparse or wild, some alike, in subbands of either transform."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 20), st.integers(1, 80)))
    if draw(st.booleans()):
        bands = interpolation_bands(shape, draw(st.permutations(range(3)).map(tuple)))
    else:
        bands = wavelet_bands(shape, tuple(draw(st.integers(0, max_depth(size))) for size in shape))
    count, seed = draw(st.integers(1, 3)), draw(st.integers(0, 1000))
    references = tuple(draw(st.none() | st.integers(0, k - 1)) if k else None for k in range(count))
    scale = draw(st.sampled_from((0.0, 0.3, 1.0, 3.0, 300.0)))
    volumes = [sparse(shape, scale, seed + draw(st.integers(0, k))) for k in range(count)]
    if draw(st.booleans()):
        rng = np.random.default_rng(seed)
        wild = rng.random(shape) < draw(st.sampled_from((0.001, 0.1, 1.0)))
        volumes[-1][wild] = rng.choice(EXTREMES, int(wild.sum()))
    return volumes, Layout(shape, bands, references)


def planned(volumes: Volumes, layout: Layout) -> list[Plan]:
    """Each volume's plan beside its reference."""
    references = [None if number is None else volumes[number] for number in layout.references]
    return [plan_volume(values, layout.bands, beside) for values, beside in zip(volumes, references, strict=True)]

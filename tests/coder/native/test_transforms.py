"""The native transforms give numpy's bits on every path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.coder.native import transforms as native
from nnzip.coder.native.kernel import shipped_kernel
from nnzip.coder.volumes import Layout
from nnzip.transform import interpolation, wavelet
from nnzip.transform.quantise import dequantise, quantise
from tests.support.kernel_examples import WAYS, Volumes, by, tiles

SHAPES = st.lists(st.integers(1, 70), min_size=1, max_size=5).filter(lambda shape: np.prod(shape) < 100_000)


def alike(function: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    found = []
    for way in WAYS:
        with by(way):
            found.append(function())
    for values in found[1:]:
        assert values.dtype == found[0].dtype
        np.testing.assert_array_equal(values, found[0])
    return found[0]


@given(SHAPES, st.data())
@settings(max_examples=120, deadline=None)
def test_wavelets_are_the_same(shape: list[int], data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, len(shape)))
    depths = [data.draw(st.integers(0, wavelet.max_depth(size))) for size in shape[-axes:]]
    closed = [data.draw(st.booleans()) for _ in depths]
    scale = data.draw(st.sampled_from((1e-30, 1.0, 1e30)))
    values = (np.random.default_rng(axes).normal(0, 100, shape) * scale).astype(np.float32)
    if data.draw(st.booleans()):
        values = np.asfortranarray(values)
    coefficients = alike(lambda: wavelet.forward(values, depths, closed))
    back = alike(lambda: wavelet.inverse(coefficients.copy(), depths, closed))
    np.testing.assert_allclose(back, values, rtol=0, atol=1e-3 * scale)


@given(st.tuples(*3 * [st.integers(1, 60)]), st.permutations(range(3)), st.integers(0, 63))
@settings(max_examples=80, deadline=None)
def test_interpolations_are_the_same(shape: tuple[int, ...], order: list[int], bits: int) -> None:
    values = np.random.default_rng(bits).integers(-(2**bits), 2**bits - 1, shape, dtype=np.int64, endpoint=True)
    differences = alike(lambda: interpolation.forward(values, order))
    np.testing.assert_array_equal(alike(lambda: interpolation.inverse(differences, order)), values)


@given(st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3), max_size=100), st.integers(-128, 127))
def test_values_are_the_same(numbers: list[int], shift: int) -> None:
    quantised = np.array(numbers, dtype=np.int32)
    alike(lambda: dequantise(quantised.copy(), (shift, -shift // 2)))


@given(tiles(), st.sampled_from((0.2, 0.7, 1.3)), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_quantisation_is_the_same(tile: tuple[Volumes, Layout], share: float, seed: int) -> None:
    (values, *others), layout = tile
    scaled = (values * share + np.random.default_rng(seed).normal(0, 0.4, values.shape)).astype(np.float32)
    scaled.flat[::7] = np.round(2 * scaled.flat[::7]) / 2  # ties
    reference = others[0] if others else None
    plans = []
    for way in WAYS:
        with by(way):
            plans.append(quantise(scaled, layout.bands, reference))
    for plan in plans[1:]:
        np.testing.assert_array_equal(plan.values, plans[0].values)
        np.testing.assert_array_equal(plan.counts, plans[0].counts)
        np.testing.assert_array_equal(plan.away, plans[0].away)
        assert plan.bytes == plans[0].bytes


def test_wrong_sizes_are_refused() -> None:
    with by("plain"):
        kernel = shipped_kernel()
    assert kernel is not None
    values = np.zeros((3, 4), dtype=np.float32)
    for depths in ((-1, 0), (3, 0), (0, 40)):
        with pytest.raises(ValueError, match="outside its range"):
            native.wavelet(kernel, values, depths, (False, False), inverse=True)
    integers = np.zeros((4, 5, 6), dtype=np.int64)
    for step in ((3, (4, 5, 6)), (-2, (4, 5, 6)), (0, (4, 6, 6)), (0, (3, 5, 6)), (0, (4, 0, 6))):
        with pytest.raises(ValueError, match="outside its range"):
            native.interpolation(kernel, integers, [step], inverse=False)
    with pytest.raises(ValueError, match="contiguous float32"):
        native.wavelet(kernel, np.asfortranarray(values), (0, 0), (False, False), inverse=False)

"""Where subbands lie: they tile the array once, coarse to fine, and parents come before their children."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder import bands
from nnzip.transform.wavelet import max_depth

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))


def check(shape: tuple[int, ...], found: bands.Bands) -> None:
    covered = np.zeros(shape, dtype=int)
    parts = [band.part for band in found]
    assert parts == sorted(parts)
    assert set(parts) <= set(range(bands.PARTS))
    for band in found:
        assert min(band.shape) > 0
        for parent in band.parents:
            assert (covered[parent] == 1).all(), "a parent is coded before its children"
            sizes = [s.stop - s.start for s in parent]
            assert all(size in (n, n // 2, (n + 1) // 2) for size, n in zip(sizes, band.shape, strict=True))
        covered[band.where] += 1
    assert (covered == 1).all()


@given(SHAPES, st.data())
@settings(max_examples=60, deadline=None)
def test_wavelet_bands_tile_the_array(shape: tuple[int, ...], data: st.DataObject) -> None:
    depths = tuple(data.draw(st.integers(0, max_depth(size))) for size in shape)
    check(shape, bands.wavelet_bands(shape, depths))


@given(SHAPES, st.sampled_from(list(permutations(range(3)))))
@settings(max_examples=60, deadline=None)
def test_interpolation_bands_tile_the_array(shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    check(shape, bands.interpolation_bands(shape, order))


def test_wavelet_bands_go_from_coarse_to_fine() -> None:
    found = bands.wavelet_bands((1, 16, 16), (0, 2, 2))
    assert found[0].where == (slice(0, 1), slice(0, 4), slice(0, 4))
    assert found[-1].where == (slice(0, 1), slice(8, 16), slice(8, 16))
    assert [band.part for band in found] == [0, 2, 2, 2, 3, 3, 3, 3, 3]
    assert [len(band.parents) for band in found] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert found[-1].parents == (
        (slice(0, 1), slice(4, 8), slice(8, 16)),
        (slice(0, 1), slice(8, 16), slice(4, 8)),
    )


@pytest.mark.parametrize(("size", "parent", "expected"), [(4, 4, [0, 1, 2, 3]), (5, 2, [0, 0, 1, 1, 1]), (1, 1, [0])])
def test_parents_lie_at_the_same_place(size: int, parent: int, expected: list[int]) -> None:
    assert list(bands.parent_positions(size, parent)) == expected

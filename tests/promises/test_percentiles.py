"""Percentiles of every cell, read in pieces, equal numpy's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.plan.cutting import Box
from nnzip.promises import percentiles
from nnzip.promises.percentiles import cell_percentile


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0.1, 1, 5, 50, 90, 99, 99.9]),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.3, 0.97]),
    st.sampled_from([1, 100, 1000, 1 << 24]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_equals_nanpercentile(percentile: float, times: int, missing: float, piece: int, ties: bool, seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(2, times, 4, 5)).astype(np.float32)
    values = np.round(values) if ties else values
    values[generator.random(values.shape) < missing] = np.nan
    read_shapes = []

    def read(*box: range) -> NDArray[np.floating]:
        part = values[Box(*box).slices]
        read_shapes.append(part.size)
        return part

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "PIECE_VALUES", piece)
        found = cell_percentile(read, (2, times, 4, 5), percentile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of cells without values
        expected = np.nanpercentile(values.astype(np.float64), percentile, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert max(read_shapes) <= max(piece, 2 * 5)  # one row and one time at least

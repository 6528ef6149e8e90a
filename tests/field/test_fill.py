"""Missing points are replaced by something smooth, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.field.fill import fill_missing
from tests.support.field_examples import smooth


def field(*shape: int) -> torch.Tensor:
    return torch.from_numpy(smooth(shape))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 13), st.integers(1, 17)),
    st.floats(0, 1),
    st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_known_values_stay_and_filled_ones_lie_between_them(shape: tuple[int, ...], share: float, seed: int) -> None:
    values = field(*shape)
    missing = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
    kept = values.clone()
    filled = fill_missing(values, missing)
    assert torch.equal(values, kept)
    assert torch.equal(filled[~missing], values[~missing])
    for frame, was, gone in zip(filled.flatten(0, 1), values.flatten(0, 1), missing.flatten(0, 1), strict=True):
        known = was[~gone]
        low, high = (float(known.min()), float(known.max())) if known.numel() else (0.0, 0.0)
        assert float(frame.min()) >= low - 1e-3
        assert float(frame.max()) <= high + 1e-3


def test_nothing_missing_returns_the_values() -> None:
    values = field(1, 2, 3, 4)
    assert fill_missing(values, torch.zeros_like(values, dtype=torch.bool)) is values


@pytest.mark.parametrize("gap", [float("nan"), float("inf"), 9.96921e36])
def test_what_stands_at_missing_points_does_not_matter(gap: float) -> None:
    values = field(1, 1, 8, 8)
    missing = torch.zeros_like(values, dtype=torch.bool)
    missing[..., 2:5, 3:8] = True
    expected = fill_missing(values, missing)
    assert torch.equal(fill_missing(values.masked_fill(missing, gap), missing), expected)


def test_a_frame_without_known_points_becomes_zero() -> None:
    values = field(1, 2, 6, 6)
    missing = torch.zeros_like(values, dtype=torch.bool)
    missing[0, 1] = True
    filled = fill_missing(values.masked_fill(missing, torch.nan), missing)
    assert not filled[0, 1].any()
    assert torch.equal(filled[0, 0], values[0, 0])


def test_a_hole_continues_its_surroundings() -> None:
    """Land in the middle of an ocean gets values near the coast's, without jumps that would cost bits."""
    rows, columns = np.meshgrid(np.arange(32.0), np.arange(32.0), indexing="ij")
    values = torch.from_numpy((rows + columns)[None, None].astype(np.float32))
    missing = torch.zeros_like(values, dtype=torch.bool)
    missing[..., 10:22, 10:22] = True
    filled = fill_missing(values, missing)
    assert float((filled - values).abs().max()) < 8
    assert float(filled.diff(dim=-1).abs().max()) < 6

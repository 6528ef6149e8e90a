"""The search for corrections misses no point that is outside its interval."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.field.device import CPU
from nnzip.promises.intervals import Intervals
from nnzip.tile import corrector
from nnzip.tile.corrections import CorrectionsEncoder, decode_corrections
from nnzip.tile.corrector import Bounds, Corrector

SHAPE = (2, 5, 6, 7)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 300.0, 1e5]),
    st.sampled_from([1e-3, 0.02, 1.0]),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
)
def test_the_points_are_those_whose_intervals_are_broken(
    seed: int, offset: float, bound: float, dtype: str, with_base: bool
) -> None:
    """Errors around the bound, in steps of the output type where that is coarse."""
    rng = np.random.default_rng(seed)
    original = (offset + rng.normal(size=SHAPE)).astype(dtype)
    original[rng.random(SHAPE) < 0.1] = np.nan
    detail = np.nan_to_num(original + rng.uniform(-1.2 * bound, 1.2 * bound, SHAPE)).astype(np.float32)
    guard = 1e-3 * bound if with_base else 0.0
    finite = np.nan_to_num(original, nan=offset)
    limits = np.stack([finite.min(axis=(1, 2, 3)), finite.max(axis=(1, 2, 3))]).astype(np.float32)
    base = (lambda _: np.full(SHAPE[1:], 0.25)) if with_base else None
    found = Corrector(original, 3, base, limits, Bounds(bound, guard, dtype), CPU)
    exact = CorrectionsEncoder(np.full(SHAPE[0], bound), SHAPE[1:], CPU)
    for channel, values in enumerate(detail):
        found.visit(channel, torch.from_numpy(values))
        decoded = np.clip(values.astype(np.float64) + (0.25 if with_base else 0.0), *limits[:, channel].astype("f8"))
        wanted = original[channel].astype(np.float64)
        allowed = Intervals(wanted, bound, dtype)
        exact.add(channel, np.arange(values.size), wanted, decoded, allowed.low, allowed.high, guard)
    result = found.corrected()
    assert result.data == exact.encode()
    assert result.promised == 0


def test_parts_in_time_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    original = np.zeros(SHAPE, dtype=np.float32)
    detail = torch.zeros(SHAPE[1:])
    detail[4, 5, 6] = 2.0
    limits = np.array([[-9, -9], [9, 9]], dtype=np.float32)
    monkeypatch.setattr(corrector, "_BLOCK_VALUES", 2 * 6 * 7)
    found = Corrector(original, 0, None, limits, Bounds(1.0, 0.0, "float32"), CPU)
    for channel in range(2):
        found.visit(channel, detail)
    fixes = decode_corrections(found.corrected().data, 2, SHAPE[1:], CPU)
    last = 5 * 6 * 7 - 1
    assert fixes.positions.tolist() == [last, 2 * last + 1]
    assert (np.abs(2.0 + fixes.fixes) <= 1).all()

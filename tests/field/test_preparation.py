"""Standardising and transforming a segment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnzip.errors import InputError
from nnzip.field import cycles
from nnzip.field.preparation import LARGEST_SCALE, prepare, transform
from nnzip.transform import wavelet
from tests.support.field_examples import make_grid, smooth

GRID = make_grid(24, 10, 12)


def test_channels_are_standardised() -> None:
    values = smooth((1, *GRID.shape))
    prepared = prepare(values, GRID, [1])
    standardised = prepared.values.double().numpy()
    assert standardised.mean() == pytest.approx(0, abs=1e-4)
    assert standardised.std() == pytest.approx(1, abs=1e-4)
    restored = standardised * prepared.scaling.scale + prepared.scaling.mean
    np.testing.assert_allclose(restored, values, rtol=0, atol=1e-4)
    assert (prepared.scaling.minimum[0], prepared.scaling.maximum[0]) == (values.min(), values.max())


def test_channels_of_a_variable_share_a_scale() -> None:
    """So that one step means the same error at all levels, unless a level hardly varies."""
    values = smooth((4, *GRID.shape)) - 280
    values *= np.array([1, 2, 0.01, 30], dtype=np.float32)[:, None, None, None]
    scale = prepare(values, GRID, [3, 1]).scaling.scale
    assert scale[0] == scale[1] == pytest.approx(np.sqrt(np.mean([v.var() for v in values[:3]])), rel=1e-4)
    assert scale[2] == pytest.approx(LARGEST_SCALE * values[2].std(), rel=1e-4)
    assert scale[3] == pytest.approx(values[3].std(), rel=1e-4)


def test_missing_points_do_not_count() -> None:
    values = smooth((2, *GRID.shape))
    gaps = values.copy()
    gaps[0, :, :4, :4] = np.nan
    gaps[0, 3, 9, 9] = np.inf
    prepared = prepare(gaps, GRID, [1, 1])
    known = gaps[0][np.isfinite(gaps[0])].astype(np.float64)
    assert prepared.scaling.mean[0] == pytest.approx(known.mean(), abs=1e-4)
    assert prepared.scaling.scale[0] == pytest.approx(known.std(), rel=1e-6)
    assert bool(torch.isfinite(prepared.values).all())
    assert torch.equal(prepared.values[1], prepare(values, GRID, [1, 1]).values[1])


@pytest.mark.parametrize("value", [0.0, 273.15, -1e-30, 3e38, 1e-45])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constants(value: float, dtype: type[np.floating]) -> None:
    values = np.full((1, *GRID.shape), value, dtype=dtype)
    prepared = prepare(values, GRID, [1])
    assert (prepared.scaling.scale > 0).all()
    assert float(prepared.values.abs().max()) <= 1
    assert prepared.scaling.minimum[0] <= values.flat[0] <= prepared.scaling.maximum[0]


def test_a_channel_without_values() -> None:
    values = smooth((2, *GRID.shape))
    values[1] = np.nan
    prepared = prepare(values, GRID, [2])
    assert not prepared.values[1].any()
    assert (prepared.scaling.mean[1], prepared.scaling.minimum[1], prepared.scaling.maximum[1]) == (0, 0, 0)


def test_the_stored_range_of_float64_data_is_rounded_outwards() -> None:
    values = 1e5 + 1e-4 * (smooth((1, *GRID.shape)).astype(np.float64) - 280)
    scaling = prepare(values, GRID, [1]).scaling
    assert scaling.minimum[0] <= values.min()
    assert scaling.maximum[0] >= values.max()
    assert np.float32(scaling.minimum[0]) == scaling.minimum[0]
    positive = np.abs(smooth((1, *GRID.shape)).astype(np.float64) - 280)
    positive[0, 0, 0, 0] = 0
    assert prepare(positive, GRID, [1]).scaling.minimum[0] == 0  # rain stays at or above zero


def test_values_beyond_float32_are_refused() -> None:
    values = smooth((1, *GRID.shape)).astype(np.float64)
    values[0, 0, 0, 0] = -1e39
    with pytest.raises(InputError, match=r"-1e\+39 to .* beyond float32"):
        prepare(values, GRID, [1])


def test_transformed_values_come_back() -> None:
    prepared = prepare(smooth((2, *GRID.shape)), GRID, [2])
    weights = torch.from_numpy(GRID.row_weights()).float()[:, None]
    for depth in (None, 0, 1):
        transformed = transform(prepared, with_cycles=False, time_depth=depth)
        assert transformed.depths == (2 if depth is None else depth, 1, 1)
        assert transformed.cycles == ()
        assert transformed.maps.shape == (2, 0, 10, 12)
        values = wavelet.inverse(transformed.coefficients, transformed.depths, GRID.periodic) / weights
        torch.testing.assert_close(values, prepared.values, rtol=0, atol=1e-4)


def test_cycles_are_taken_out_first() -> None:
    grid = make_grid(72, 10, 16, whole_globe=True)
    hours = 2 * np.pi * (grid.time.values[:, None, None] / 86400 + grid.longitude.values / 360)
    values = (smooth((1, *grid.shape)) + 40 * np.cos(hours)).astype(np.float32)
    prepared = prepare(values, grid, [1])
    plain, cyclic = (transform(prepared, with_cycles=flag) for flag in (False, True))
    assert cyclic.cycles == (0, 1, 2, 3, 4)
    assert cyclic.maps.shape == (1, 5, 10, 16)
    assert float(cyclic.coefficients.square().sum()) < 0.1 * float(plain.coefficients.square().sum())
    assert len(cyclic.map_bands) > 1
    functions = cycles.basis(cyclic.cycles, grid.time.values, grid.longitude.values)
    norms = functions.square().sum(dim=1).sqrt()
    torch.testing.assert_close(norms[0], torch.full((16,), 72**0.5))

"""Fields fitted to an RMSE: they have it, closely, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.field import quality
from nnzip.field.fit import FitOptions
from nnzip.field.payload import read_field
from nnzip.field.quality import fit_field_to_rmse
from tests.support.field_examples import make_grid, vertices

CPU = torch.device("cpu")


def quiet(*_: object) -> None:
    """Reports nobody looks at."""


def weather(channels: int, seed: int = 0) -> np.ndarray:
    """Waves and noise [channel, 6, 20, 24]."""
    generator = np.random.default_rng(seed)
    axes = np.meshgrid(np.arange(channels), *(np.linspace(0, 6, n) for n in (6, 20, 24)), indexing="ij")
    values = 280 + 10 * np.sin(sum(axes)) + generator.normal(scale=0.5, size=axes[0].shape)
    return values.astype(np.float32)


def rmse_of(values: np.ndarray, runs: list[int], targets: list[float], weights: np.ndarray, steps: int) -> np.ndarray:
    """Per variable, after decoding."""
    grid = make_grid(6, 20, 24)
    data = fit_field_to_rmse(values, grid, runs, targets, weights, FitOptions(steps), quiet)
    decoded = read_field(data, grid, len(values), CPU).evaluate(*vertices(grid))
    squares = (np.square(decoded - values) * weights[:, None] / weights.mean()).mean(axis=(1, 2, 3))
    return np.array([np.sqrt(part.mean()) for part in np.split(squares, np.cumsum(runs)[:-1])])


@settings(max_examples=12, deadline=None)
@given(st.floats(0.02, 3.0), st.floats(0.02, 3.0), st.integers(0, 99))
def test_every_variable_has_its_own_rmse(first: float, second: float, seed: int) -> None:
    found = rmse_of(weather(3, seed), [2, 1], [first, second], np.ones(20), 0)
    assert (found <= np.array([first, second]) * (1 + 1e-6)).all()
    assert (found >= 0.9 * np.array([first, second])).all()


def test_rows_count_by_their_weights() -> None:
    weights = np.linspace(0.1, 2, 20)
    found = rmse_of(weather(1), [1], [0.3], weights, 200)
    assert 0.27 < found[0] <= 0.3 * (1 + 1e-6)


def test_a_target_above_the_spread_costs_next_to_nothing() -> None:
    grid = make_grid(6, 20, 24)
    data = fit_field_to_rmse(weather(1), grid, [1], [100.0], np.ones(20), FitOptions(0), quiet)
    assert len(data) < 120


@pytest.mark.parametrize("block", [1, 4 * 20 * 24])
def test_rmse_is_the_same_over_blocks_of_times(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values, weights = weather(2), np.linspace(0.1, 2, 20)
    whole = rmse_of(values, [2], [0.3], weights, 0)
    monkeypatch.setattr(quality, "_BLOCK_VALUES", block)
    assert rmse_of(values, [2], [0.3], weights, 0) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("missing", [0.3, 1.0])
def test_missing_points_do_not_count(missing: float) -> None:
    values = weather(1)
    values[np.random.default_rng(0).random(values.shape) < missing] = np.nan
    grid = make_grid(6, 20, 24)
    data = fit_field_to_rmse(values, grid, [1], [0.2], np.ones(20), FitOptions(0), quiet)
    error = read_field(data, grid, 1, CPU).evaluate(*vertices(grid)) - values
    known = error[np.isfinite(error)]
    assert not known.size or 0.15 < np.sqrt(np.square(known).mean()) <= 0.2 * (1 + 1e-6)

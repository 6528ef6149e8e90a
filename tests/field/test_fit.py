"""Fitting a field: the budget, the odd shapes, missing values, and what a reader gets back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid
from nnzip.field.fit import FitOptions, fit_field
from nnzip.field.model import Field
from nnzip.field.payload import read_field
from tests.support.field_examples import index_grid, make_grid, smooth, vertices

CPU = torch.device("cpu")
QUICK = FitOptions(0)
Values = NDArray[np.floating]
Moment = tuple[str, float, float | None, NDArray[np.float64] | None]


def fit(
    values: Values, grid: SourceGrid, budget: float, options: FitOptions = QUICK, runs: Sequence[int] | None = None
) -> tuple[bytes, Field]:
    data = fit_field(values, grid, runs or [len(values)], budget, options, lambda *_: None)
    return data, read_field(data, grid, len(values), CPU)


def rmse(field: Field, values: Values) -> float:
    errors = field.evaluate(*vertices(field.grid)) - values
    return float(np.sqrt(np.nanmean(np.square(errors))))


def test_larger_budgets_are_filled_and_give_smaller_errors() -> None:
    grid = make_grid(24, 24, 32)
    values = smooth((1, *grid.shape))
    errors = []
    for budget in (400, 1000, 3000, 12000):
        data, field = fit(values, grid, budget)
        assert 0.97 * budget <= len(data) <= budget
        errors.append(rmse(field, values))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < values.std()
    assert errors[-1] < 0.05 * values.std()


@pytest.mark.parametrize("runs", [[3], [1, 1, 1]])
def test_several_channels_share_a_budget(runs: list[int]) -> None:
    grid = make_grid(8, 16, 24, whole_globe=True)
    values = smooth((3, *grid.shape))
    data, field = fit(values, grid, 4000, runs=runs)
    assert 0.97 * 4000 <= len(data) <= 4000
    assert rmse(field, values) < 0.3 * values.std()


def test_a_network_is_used_where_it_pays() -> None:
    """Fronts: steps that wavelets ring around. The network costs bytes inside the same budget."""
    grid = make_grid(24, 32, 48)
    t, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    values = np.sign(np.sin((x + 0.5 * t) / 3) + np.cos(y / 4))[None].astype(np.float32)
    _, plain = fit(values, grid, 4000)
    data, field = fit(values, grid, 4000, FitOptions(150))
    assert len(field.weights) == 3
    assert not plain.weights
    assert 0.97 * 4000 <= len(data) <= 4000
    assert rmse(field, values) < rmse(plain, values)
    assert fit(values, grid, 300, FitOptions(20))[1].weights == ()


def test_equal_input_gives_equal_bytes() -> None:
    grid = make_grid(6, 12, 16)
    values = smooth((1, *grid.shape))
    options = FitOptions(30, seed=7)
    assert fit(values, grid, 1500, options)[0] == fit(values, grid, 1500, options)[0]


def test_decoding_stays_in_the_range_of_the_data() -> None:
    """Rain: zero almost everywhere, never negative."""
    grid = make_grid(12, 20, 20)
    values = np.maximum(smooth((1, *grid.shape)) - 285, 0)
    decoded = fit(values, grid, 800)[1].evaluate(*vertices(grid))
    assert decoded.min() >= 0
    assert decoded.max() <= values.max()


def test_missing_values_are_filled_and_the_rest_is_kept() -> None:
    grid = make_grid(6, 20, 24)
    values = smooth((2, *grid.shape))
    values[0, :, 5:12, 3:15] = np.nan
    values[1, 2] = np.nan
    _, field = fit(values, grid, 4000, FitOptions(20), runs=[1, 1])
    decoded = field.evaluate(*vertices(grid))
    assert np.isfinite(decoded).all()
    assert rmse(field, values) < 0.2 * np.nanstd(values)


def test_constants_and_channels_without_values_are_exact() -> None:
    grid = make_grid(9, 10, 12)
    values = np.stack([np.full(grid.shape, 3.25), np.full(grid.shape, np.nan), smooth(grid.shape)]).astype(np.float32)
    for options in (QUICK, FitOptions(20)):
        _, field = fit(values, grid, 1500, options, [1, 1, 1])
        decoded = field.evaluate(*vertices(grid))
        assert (decoded[0] == 3.25).all()
        assert (decoded[1] == 0).all()
        assert np.sqrt(np.square(decoded[2] - values[2]).mean()) < 2
    data, field = fit(values[:2], grid, 10_000, QUICK, [2])
    assert len(data) < 120
    assert (field.evaluate(*vertices(grid))[0] == 3.25).all()


def test_constants_in_float64_are_as_good_as_the_budget_allows() -> None:
    grid = make_grid(3, 8, 8)
    _, field = fit(np.full((1, *grid.shape), 273.15), grid, 1000)
    np.testing.assert_allclose(field.evaluate(*vertices(grid)), 273.15, rtol=1e-9)


@pytest.mark.parametrize("options", [QUICK, FitOptions(25)], ids=["without", "with network"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 2, 2), (1, 1, 2, 40), (1, 3, 2, 2), (2, 1, 9, 9), (1, 40, 2, 3), (1, 1, 1, 1), (60, 2, 4, 5)]
)
def test_odd_shapes(shape: tuple[int, int, int, int], options: FitOptions) -> None:
    grid = make_grid(*shape[1:])
    values = smooth(shape)
    _, field = fit(values, grid, 8 * values.size + 40 * len(values) + 100, options)
    assert rmse(field, values) < 1e-3
    assert field.evaluate(*vertices(grid)).shape == shape


def test_grids_without_coordinates() -> None:
    grid = index_grid(12, 16, 20)
    values = smooth((1, *grid.shape))
    data, field = fit(values, grid, 2000, FitOptions(25))
    assert len(data) <= 2000
    assert rmse(field, values) < 0.2 * values.std()


@pytest.mark.parametrize("budget", [-100.0, 0.0, 20.0])
def test_an_impossible_budget_gives_the_smallest_field(budget: float) -> None:
    grid = make_grid(5, 12, 12)
    values = smooth((1, *grid.shape))
    data, field = fit(values, grid, budget, FitOptions(5))
    assert len(data) < 110
    np.testing.assert_allclose(field.evaluate(*vertices(grid)), values.mean(), rtol=1e-4)


def test_the_globe_has_no_seam() -> None:
    """Decoded either side of the first meridian, a smooth field is as smooth as anywhere else."""
    grid = make_grid(4, 17, 48, whole_globe=True)
    values = smooth((1, *grid.shape))
    _, field = fit(values, grid, 1500)
    columns = np.arange(0, 48, 0.1)
    decoded = field.evaluate(np.arange(4.0), np.arange(17.0), columns)
    steps = np.abs(np.diff(decoded, axis=-1, append=decoded[..., :1])).mean(axis=(0, 1, 2))
    assert steps[-10:].mean() < 1.5 * steps.mean()
    near = field.evaluate(np.arange(4.0), np.arange(17.0), np.array([48 - 1e-6, 0.0]))
    np.testing.assert_allclose(near[..., 0], near[..., 1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("options", [QUICK, FitOptions(60)], ids=["without", "with network"])
def test_progress_only_moves_forward(options: FitOptions) -> None:
    grid = make_grid(6, 16, 16)
    moments: list[Moment] = []
    fit_field(smooth((2, *grid.shape)), grid, [1, 1], 1500, options, lambda *moment: moments.append(moment))
    fractions = [fraction for _, fraction, _, _ in moments]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert {stage for stage, *_ in moments} == {"fitting", "quantising"}
    trained = [errors for _, _, loss, errors in moments if loss is not None]
    assert bool(trained) == bool(options.training_steps)
    for errors in trained:
        assert errors is not None
        assert errors.shape == (2,)
        assert ((errors > 0) & (errors < 5)).all()


def test_training_may_be_given_a_time() -> None:
    grid = make_grid(6, 16, 16)
    data, _ = fit(smooth((1, *grid.shape)), grid, 1500, FitOptions(10_000_000, seconds=0.2))
    assert 0.97 * 1500 <= len(data) <= 1500

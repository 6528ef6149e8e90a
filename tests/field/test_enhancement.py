"""The network learns to undo quantisation of the very features the archive holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nnzip.field.encoder import Encoded, encode_segment
from nnzip.field.enhancement import Enhancement, sample_axes, train_enhancement
from nnzip.field.payload import Network
from nnzip.field.preparation import Prepared, prepare, transform
from nnzip.field.training import Training
from tests.support.field_examples import make_grid

GRID = make_grid(16, 24, 32)
CPU = torch.device("cpu")


def sharp() -> NDArray[np.float32]:
    """Fronts: steps that wavelets ring around and a network sharpens."""
    t, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    return np.asarray(10 * np.sign(np.sin((x + 0.5 * t) / 3) + np.cos(y / 4)), dtype=np.float32)[None]


@pytest.fixture(scope="module")
def encoded() -> tuple[Prepared, Encoded]:
    prepared = prepare(sharp(), GRID, [1])
    source = transform(prepared, with_cycles=False)
    return prepared, encode_segment(source, 1500, Network(), lambda _: None, fixed=90, start=0.5)


def train(encoded: tuple[Prepared, Encoded], steps: int = 100, seed: int = 0) -> tuple[Enhancement, list[float]]:
    losses: list[float] = []

    def report(fraction: float, loss: float, rmse: NDArray[np.float64]) -> None:
        assert 0 < fraction <= 1
        assert rmse.shape == (1,)
        losses.append(loss)

    return train_enhancement(*encoded, 2, Training(steps, batch=4096), seed, CPU, report), losses


def test_the_network_reduces_the_error(encoded: tuple[Prepared, Encoded]) -> None:
    found, losses = train(encoded)
    assert found.after < 0.9 * found.before
    assert losses[-1] < losses[0]
    assert [tuple(weight.shape) for weight in found.layers.weights] == [(16, found.inputs), (16, 16), (1, 16)]
    assert found.layers.input_scales is not None
    exponents = found.layers.input_scales.log2()
    assert torch.equal(exponents, exponents.round())


def test_training_repeats_itself_for_a_seed(encoded: tuple[Prepared, Encoded]) -> None:
    first, again, other = (train(encoded, 30, seed)[0].layers.weights for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 300, 400, 500), (300, 10, 20, 30), (1, 40, 50, 3_000_000)])
def test_training_points_are_few_enough(shape: tuple[int, ...]) -> None:
    times, rows = sample_axes(torch.Size(shape), torch.Generator().manual_seed(0))
    assert 1 <= len(times) <= shape[1]
    assert 1 <= len(rows) <= shape[2]
    assert len(times) * len(rows) * shape[3] <= max(1 << 20, shape[3])
    for chosen, size in ((times, shape[1]), (rows, shape[2])):
        assert (chosen.diff() > 0).all()
        assert int(chosen.max()) < size

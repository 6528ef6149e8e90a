"""Training of the perceptron: it learns, repeats itself, ends in time, and leaves 8-bit weights."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from nnzip.field import network
from nnzip.field.training import Training, one_cycle, train_network

SHAPES = network.layer_shapes(3, 2, (16,))


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets that a small network can learn, and weights of the points."""
    generator = torch.Generator().manual_seed(5)
    inputs = torch.cat([torch.randn((2, 4000), generator=generator), torch.ones(1, 4000)])
    targets = torch.stack([inputs[0].abs() - 0.5, 0.3 * inputs[1] + 0.2])
    weights = torch.rand(4000, generator=generator) + 0.5
    return inputs, targets, weights / weights.mean()


def train(training: Training) -> tuple[list[torch.Tensor], list[tuple[float, float]]]:
    reports: list[tuple[float, float]] = []
    start = network.initial_weights(SHAPES, torch.Generator().manual_seed(6))
    trained = train_network(start, *problem(), training, lambda fraction, loss, _: reports.append((fraction, loss)))
    return trained, reports


def mean_square(weights: list[torch.Tensor]) -> float:
    inputs, targets, point_weights = problem()
    return float(((network.forward(weights, inputs) - targets).square() * point_weights).mean())


def test_the_loss_falls() -> None:
    trained, reports = train(Training(300, batch=1000))
    untrained = network.initial_weights(SHAPES, torch.Generator().manual_seed(6))
    assert mean_square(trained) < 0.02 * mean_square(untrained)
    assert reports[-1][1] < 0.1 * reports[0][1]
    assert [fraction for fraction, _ in reports] == pytest.approx([(i + 1) / 12 for i in range(12)])


def test_weights_are_as_the_archive_holds_them() -> None:
    for weight in train(Training(60))[0]:
        assert torch.equal(network.quantised(weight), weight)
        assert not weight.requires_grad


def test_training_repeats_itself() -> None:
    first, second = train(Training(60, batch=500))[0], train(Training(60, batch=500))[0]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_reports_hold_the_error_of_every_output() -> None:
    squares: list[torch.Tensor] = []
    start = network.initial_weights(SHAPES, torch.Generator().manual_seed(6))
    train_network(start, *problem(), Training(25), lambda _, loss, found: squares.append(found))
    assert squares[0].shape == (2,)


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_training_ends_in_time(seconds: float) -> None:
    started = time.monotonic()
    _, reports = train(Training(10_000_000, seconds=seconds))
    assert time.monotonic() - started < 2 + seconds
    assert all(0 < fraction <= 1 for fraction, _ in reports)


def test_a_batch_may_exceed_the_points() -> None:
    inputs, targets, weights = (part[..., :3] for part in problem())
    start = network.initial_weights(SHAPES, torch.Generator().manual_seed(6))
    trained = train_network(start, inputs, targets, weights, Training(20, batch=1 << 14), lambda *_: None)
    assert all(torch.isfinite(weight).all() for weight in trained)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [one_cycle(i / 100) for i in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[20] == pytest.approx(1)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert (np.diff(rates[:21]) >= 0).all()
    assert (np.diff(rates[20:]) <= 0).all()

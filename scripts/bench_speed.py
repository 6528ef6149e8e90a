"""Rates of the field by itself: training its network, decoding and evaluating it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench_cases import CASES, channels, open_case
from bench_results import Rate

if TYPE_CHECKING:
    import torch
    from nnzip.field.model import Field

_STEPS = 800
_RATIO = 300
_REPEATS = 3
_BETWEEN = 0.37  # of a grid step


def measure_speed(data: Path) -> list[Rate]:
    """Training on uk_t2m (744x33x49), the rest on the global 0.25 degree field of global_t2m_2012 at a ratio of 300."""
    return [_training_rate(data), *_field_rates(data)]


def _training_rate(data: Path) -> Rate:
    import torch
    from nnzip.field.model import LEVELS
    from nnzip.field.training import Training, train_network

    case = CASES["uk_t2m"]
    values = channels(open_case(case, data), case).ravel()
    points = torch.from_numpy(((values - values.mean()) / values.std()).astype(np.float32))
    # as many inputs as there: features of every level, one, sine of latitude, sine and cosine of the local solar hour
    inputs = torch.stack([points.roll(shift) for shift in range(LEVELS + 4)])
    targets, weights = (0.1 * points.roll(LEVELS + 4))[None], torch.ones(len(points))
    started, training = _layers(len(inputs)), Training(_STEPS)
    seconds = _fastest(lambda: train_network(started, inputs, targets, weights, training, lambda *_: None))
    shape = "-".join(str(layer.shape[1]) for layer in started)
    return Rate(f"training, forward and backward (network {shape}-1)", _STEPS * training.batch / seconds, "samples/s")


def _field_rates(data: Path) -> list[Rate]:
    import torch
    from nnzip.field.fit import FitOptions, fit_field
    from nnzip.field.model import LEVELS, network_inputs
    from nnzip.field.payload import read_field
    from nnzip.reader import group_grid

    from nnzip.data.grouping import plan_groups, stack

    dataset = open_case(CASES["global_t2m_2012"], data)
    group = plan_groups(dataset)[0][0]
    values, grid = stack(dataset, group), group_grid(group)
    budget = 4 * values.size / _RATIO
    payload = fit_field(values, grid, [1], budget, FitOptions(training_steps=0), lambda *_: None)
    field = read_field(payload, grid, 1, torch.device("cpu"))
    layers = tuple(_layers(network_inputs(1, field.cycles, grid)))
    enhanced = replace(field, features=field.features.repeat(1, LEVELS, 1, 1, 1), weights=layers)
    reading = _fastest(lambda: read_field(payload, grid, 1, torch.device("cpu")))
    seconds = {
        "evaluation without a network": _fastest(lambda: _evaluate(field, 0.0)),
        "evaluation with a network": _fastest(lambda: _evaluate(enhanced, 0.0)),
        "evaluation with a network, between the source's points": _fastest(lambda: _evaluate(enhanced, _BETWEEN)),
        "reading the field from its bytes (entropy decoding, wavelet)": reading,
        "reading and evaluation with a network": reading + _fastest(lambda: _evaluate(enhanced, 0.0)),
    }
    return [Rate(what, values.size / taken, "points/s") for what, taken in seconds.items()]


def _layers(inputs: int) -> list[torch.Tensor]:
    """The network of a single variable, untrained."""
    import torch
    from nnzip.field import network

    width = network.hidden_width(1)
    return network.initial_weights(network.layer_shapes(inputs, 1, (width, width)), torch.Generator().manual_seed(0))


def _evaluate(field: Field, shift: float) -> None:
    times, rows, columns = (np.arange(n, dtype=np.float64) for n in field.grid.shape)
    field.evaluate(times, np.minimum(rows + shift, rows[-1]), columns + shift)


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)

"""Does a device compute the field as it should, and how fast? A small field is trained, stored, read and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid, source_grid
from nnzip.field import network
from nnzip.field.backend import Backend
from nnzip.field.device import CPU
from nnzip.field.fit import FitOptions, fit_field
from nnzip.field.model import Field, network_inputs
from nnzip.field.payload import Network, read_field
from nnzip.field.training import Training, train_network

_STEPS, _REPEATS = 60, 3
_HIDDEN = 2


@dataclass(frozen=True)
class Example:
    """A field to judge devices by: made-up values [channel, time, lat, lon] on a global grid, and a payload of them."""

    grid: SourceGrid
    values: NDArray[np.float32]
    payload: bytes

    @property
    def channels(self) -> int:
        """How many fields it holds."""
        return len(self.values)


def example(times: int, rows: int, columns: int) -> Example:
    """Waves that travel round a globe with a daily cycle, and some noise; two channels. Always the same."""
    hours = np.arange(times, dtype=np.float64) * 3600
    latitude, longitude = np.linspace(90, -90, rows), np.arange(columns) * 360 / columns
    grid = source_grid(hours, np.asarray(latitude), longitude, (True, True, True))
    generator = np.random.default_rng(0)
    angle = np.deg2rad(longitude)[None, None] + hours[:, None, None] * (2 * np.pi / 86400)
    north = np.cos(np.deg2rad(latitude))[None, :, None]
    waves = [north * (np.sin(k * angle) + 20) for k in (1, 5)]
    values = np.stack([280 + 10 * wave + generator.normal(size=wave.shape) for wave in waves]).astype(np.float32)
    payload = fit_field(values, grid, [2], values.nbytes / 40, FitOptions(0), lambda *_: None)
    return Example(grid, values, payload)


def untrained_network(each: Example, field: Field) -> Field:
    """`field` with a network of random weights that changes every value, and the feature levels it sees."""
    inputs = network_inputs(each.channels, field.cycles, each.grid)
    width = network.hidden_width(each.channels)
    shapes = network.layer_shapes(inputs, each.channels, (width,) * _HIDDEN)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) / shape[1] ** 0.5 for shape in shapes]
    weights[-1] *= 0.1
    folded = Network(tuple(weights), torch.ones(inputs)).folded(field.features.device, field.features.dtype)
    levels = torch.cat([field.features, 0.1 * field.features, 0.01 * field.features], dim=1)
    return replace(field, features=levels, weights=folded)


def drift_of(each: Example, device: torch.device) -> float:
    """Largest difference of what `device` decodes from a float64 reference, as a share of the range of a channel."""
    decoded = []
    for where, dtype in ((CPU, torch.float64), (device, torch.float32)):
        field = untrained_network(each, read_field(each.payload, each.grid, each.channels, where, dtype))
        decoded.append(field.evaluate(*vertices(each.grid)))
    reference, found = decoded
    ranges = np.ptp(reference, axis=(1, 2, 3))
    return float((np.abs(found - reference).max(axis=(1, 2, 3)) / ranges).max())


def decoding_rate(field: Field) -> float:
    """Values per second that a field is evaluated at on its own grid, until they are in the processor's memory."""
    positions = vertices(field.grid)
    values = len(field.features) * prod(field.grid.shape)
    return values / fastest(lambda: field.standardised(*positions), field.features.device)


def training_rate(each: Example, device: torch.device, backend: Backend, steps: int = _STEPS) -> float:
    """Samples per second that a network is trained on, forward and backward, once the data are on the device."""
    batch = network.BLOCK_POINTS if device.type == "cpu" else network.BATCH_POINTS_CUDA
    shapes = training_shapes(each)
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(shapes[0][1], 4 * batch, generator=generator).to(device)
    targets, weights = 0.1 * points[: each.channels].abs(), torch.ones(4 * batch, device=device)
    started = [weight.to(device) for weight in network.initial_weights(shapes, generator)]
    training = Training(steps, batch, backend=backend)
    seconds = fastest(lambda: train_network(started, points, targets, weights, training, lambda *_: None), device)
    return steps * batch / seconds


def training_shapes(each: Example) -> list[tuple[int, int]]:
    """Of the layers that `training_rate` trains."""
    inputs = network_inputs(each.channels, (), each.grid)
    return network.layer_shapes(inputs, each.channels, (network.hidden_width(each.channels),) * _HIDDEN)


def vertices(grid: SourceGrid) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Positions of the source points."""
    times, rows, columns = (np.arange(n, dtype=np.float64) for n in grid.shape)
    return times, rows, columns


def fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of a few runs on `device`, after one that does not count."""
    seconds = []
    for _ in range(_REPEATS + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])

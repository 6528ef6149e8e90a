"""The field's network, trained on the features that the archive will decode to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from nnzip.field import network
from nnzip.field.backend import training_backend
from nnzip.field.encoder import Encoded
from nnzip.field.model import network_view
from nnzip.field.payload import Network, channel_features
from nnzip.field.preparation import Prepared
from nnzip.field.training import Training, train_network

_TRAINING_POINTS = 1 << 19


@dataclass(frozen=True)
class Enhancement:
    """A trained network, its number of inputs, and the standardised RMSE of its training points without and with it."""

    layers: Network
    inputs: int
    before: float
    after: float


@dataclass(frozen=True)
class _Samples:
    """Points in random order: inputs [input, point], base, wanted and weights of mean one [channel, point]."""

    inputs: Tensor
    base: Tensor
    wanted: Tensor
    weights: Tensor


def train_enhancement(
    source: Prepared,
    encoded: Encoded,
    hidden_layers: int,
    training: Training,
    seed: int,
    device: torch.device,
    report: Callable[[float, float, NDArray[np.float64]], None],
) -> Enhancement:
    """Train a network on the decoded `encoded`, on a random product grid of points.

    `report` gets the fraction done, the loss and the RMSE per channel in the data's units.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden = (network.hidden_width(len(source.values)),) * hidden_layers
    samples = _draw(source, encoded, generator, device)
    scales = 2.0 ** -samples.inputs.square().mean(dim=1).sqrt().clamp(2.0**-40, 2.0**40).log2().round()
    inputs = samples.inputs.mul_(scales[:, None])
    shapes = network.layer_shapes(len(inputs), len(samples.base), hidden)
    started = [weight.to(device) for weight in network.initial_weights(shapes, generator)]

    def progress(fraction: float, loss: float, squares: Tensor) -> None:
        report(fraction, loss, source.scaling.scale * np.sqrt(squares.cpu().numpy()))

    training = dataclasses.replace(training, backend=training_backend(shapes, device))
    trained = train_network(started, inputs, samples.wanted - samples.base, samples.weights, training, progress)
    enhanced = samples.base + network.forward_in_blocks(trained, inputs)
    layers = Network(tuple(weight.cpu() for weight in trained), scales.cpu())
    before, after = (_rmse(samples, values, source) for values in (samples.base, enhanced))
    return Enhancement(layers, len(inputs), before, after)


def _draw(source: Prepared, encoded: Encoded, generator: torch.Generator, device: torch.device) -> _Samples:
    times, rows = sample_axes(source.values.shape, generator)
    header = replace(encoded.header, hidden=[1])  # as with a network: all feature levels
    features, maps = [], []
    for grids, channel_maps in channel_features(header, encoded.quantised.channels, source.grid, device):
        features.append(torch.stack([grid[times][:, rows] for grid in grids]))
        maps.append(channel_maps[:, rows])
    positions = (
        times.numpy().astype(np.float64),
        rows.numpy().astype(np.float64),
        np.arange(source.grid.shape[2], dtype=np.float64),
    )
    chosen_cycles = tuple(header.cycles)
    base, inputs = network_view(source.grid, chosen_cycles, torch.stack(features), torch.stack(maps), positions)
    weights = torch.from_numpy(np.square(source.grid.row_weights()).astype(np.float32))[rows]
    wanted = source.values[:, times][:, :, rows]
    weights = weights[:, None] * source.slopes(wanted, rows.numpy().astype(np.float64))
    order = torch.randperm(wanted[0].numel(), generator=generator)
    weights, wanted = (part.flatten(1)[:, order].to(device) for part in (weights / weights.mean(), wanted))
    order = order.to(device)
    return _Samples(inputs[:, order], base.flatten(1)[:, order], wanted, weights)


def sample_axes(shape: torch.Size, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random times and rows whose product grid with all columns has about `_TRAINING_POINTS` points, sorted."""
    channels, times, rows, columns = shape
    points = max(_TRAINING_POINTS // max(channels // 4, 1), 1 << 16)
    row_count = max(min(rows, points // (columns * min(times, 32))), 1)
    time_count = max(min(times, points // (columns * row_count)), 1)
    chosen_times = torch.randperm(times, generator=generator)[:time_count].sort().values
    chosen_rows = torch.randperm(rows, generator=generator)[:row_count].sort().values
    return chosen_times, chosen_rows


def _rmse(samples: _Samples, values: Tensor, source: Prepared) -> float:
    """Of standardised, stretched `values` [channel, point], within the stored range as the decoder has them."""
    limits = [limit.to(values.device)[:, None] for limit in source.limits()]
    errors = torch.clamp(values, *limits) - samples.wanted
    return float((errors.square() * samples.weights).mean().sqrt())

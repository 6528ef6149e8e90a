"""The context network in training: the integer arithmetic of `nnzip.coder.context_network`, differentiable."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from train_context.samples import Samples

from nnzip.coder.context import CONSTANTS, ROWS
from nnzip.coder.context_network import HIDDEN, OUTPUTS
from nnzip.coder.context_weights import stored_network
from nnzip.coder.entropy import SIGN_CLASSES, TABLES, rest_lengths
from nnzip.coder.phases import PHASES

INPUT_UNIT, UNIT = 1 / 16, 1 / 64
"""What one stands for in the inputs, and in the weights and activations."""

TABLE_SCALE, SIGN_SCALE = 8, 4
"""Tables and classes per unit of the outputs: 4096 / 2^9 and 4096 / 2^10."""

BATCH, LEARNING_RATE = 16_384, 4e-3

_BIAS_UNITS = (UNIT * INPUT_UNIT, UNIT * UNIT, UNIT * UNIT)


class TrainedNetwork(nn.Module):
    """Weights in real units; `arrays` are the integers."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = ((len(PHASES), HIDDEN, ROWS + CONSTANTS), (HIDDEN, HIDDEN), (OUTPUTS, HIDDEN))
        spreads = (0.5, 1.0, 0.5)
        self.weights = nn.ParameterList(
            torch.randn(shape, generator=generator) * spread / shape[-1] ** 0.5
            for shape, spread in zip(shapes, spreads, strict=True)
        )
        start = torch.tensor([3.0, 0.1])  # table 24, no preference for a sign
        self.biases = nn.ParameterList([torch.zeros(shapes[0][:2]), torch.zeros(HIDDEN), start])

    def forward(self, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Table and class (0: both signs alike), before they are rounded down, less a half; `parts` [n, input] by
        phase."""
        first, second, third = (_rounded(weight.clamp(-127 * UNIT, 127 * UNIT), UNIT) for weight in self.weights)
        biases = [_rounded(bias, unit) for bias, unit in zip(self.biases, _BIAS_UNITS, strict=True)]
        hidden = torch.cat([part @ w.T + b for part, w, b in zip(parts, first, biases[0], strict=True)])
        hidden = _activation(_activation(hidden) @ second.T + biases[1])
        table, sign = (hidden @ third.T + biases[2]).T
        middle = SIGN_CLASSES // 2
        return (table * TABLE_SCALE - 0.5).clamp(1, TABLES - 1), (sign * SIGN_SCALE - 0.5).clamp(-middle, middle)

    @classmethod
    def shipped(cls) -> TrainedNetwork:
        """The network of the package."""
        network = cls()
        with torch.no_grad():
            for given, values, units in zip(
                stored_network(), (network.weights, network.biases), ((UNIT,) * 3, _BIAS_UNITS), strict=True
            ):
                for integers, parameter, unit in zip(given, values, units, strict=True):
                    parameter.copy_(torch.from_numpy(integers * np.float32(unit)))
        return network

    def arrays(self) -> dict[str, Any]:
        """What `context_network` loads."""
        found: dict[str, Any] = {}
        for layer, (weight, bias, unit) in enumerate(zip(self.weights, self.biases, _BIAS_UNITS, strict=True)):
            integers = torch.round(weight.detach() / UNIT).clamp(-127, 127)
            found[f"weights{layer}"] = integers.numpy().astype(np.int8)
            found[f"biases{layer}"] = torch.round(bias.detach() / unit).numpy().astype(np.int32)
        return found


def train(samples: Sequence[Samples], steps: int) -> TrainedNetwork:
    """Adam with one cycle of the learning rate, for the weighted bits of all samples. Seeded."""
    torch.manual_seed(0)
    joined = Samples.joined(samples)
    order = np.argsort(joined.phases, kind="stable")
    joined = joined.part(order)
    inputs, rest = torch.from_numpy(joined.inputs), torch.from_numpy(joined.rest.astype(np.float32))
    weights = joined.weights / joined.weights.mean()
    edges = torch.from_numpy(np.searchsorted(joined.phases, np.arange(len(PHASES) + 1)))
    drawn = torch.from_numpy(np.cumsum(np.sqrt(weights.astype(np.float64))))  # draw by the root, weigh by the rest
    importance = torch.from_numpy(np.sqrt(weights))
    network = TrainedNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.05)
    mean = None
    for step in range(steps):
        places = torch.searchsorted(drawn, torch.rand(BATCH, dtype=torch.float64).sort().values * drawn[-1])
        chosen = places.clamp_max(len(rest) - 1)
        cuts = torch.searchsorted(chosen, edges).tolist()
        parts = [inputs[chosen[a:b]].float() * INPUT_UNIT for a, b in pairwise(cuts)]
        tables, classes = network(parts)
        loss = (importance[chosen] * bits(tables, classes, rest[chosen])).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        if step % 500 == 499:
            print(f"step {step + 1}: {mean:.4f} bits per symbol", file=sys.stderr, flush=True)
    return network


def bits(tables: Tensor, classes: Tensor, rest: Tensor) -> Tensor:
    """Bits of `rest` [n]: its magnitude under a two-sided geometric law with odds 2^(table/4 - 10), and its sign."""
    odds = (tables / 4 - 10) * np.log(2.0)
    zero, some = -nn.functional.softplus(odds), -nn.functional.softplus(-odds)
    magnitude = rest.abs()
    ratio = 2 * some
    beyond = some + torch.log(-torch.expm1(ratio)) + (magnitude - 1) * ratio
    towards = torch.where(rest > 0, classes, -classes) * (np.log(2.0) / 2)
    found: Tensor = torch.where(rest == 0, -zero, nn.functional.softplus(-towards) - beyond) / np.log(2.0)
    return found


def size_of(network: TrainedNetwork, samples: Samples) -> float:
    """Weighted bits of all symbols the network is asked about, under the tables and classes that it names."""
    order = np.argsort(samples.phases, kind="stable")
    samples = samples.part(order)
    cuts = np.searchsorted(samples.phases, np.arange(len(PHASES) + 1))
    inputs = torch.from_numpy(samples.inputs).float() * INPUT_UNIT
    with torch.no_grad():
        tables, classes = network([inputs[a:b] for a, b in pairwise(cuts)])
    rest = samples.rest.astype(np.int64)
    magnitudes, signs = rest_lengths()
    named = classes.round().numpy().astype(np.int64) * np.sign(rest) + SIGN_CLASSES // 2
    found = magnitudes[tables.round().numpy().astype(np.int64), np.minimum(np.abs(rest), magnitudes.shape[1] - 1)]
    return float(((found + np.where(rest == 0, 0, signs[named])) * samples.weights).sum())


def _activation(values: Tensor) -> Tensor:
    """Rounded down to units; the gradient passes as it is."""
    capped = values.clamp(0, 255 * UNIT)
    return capped + (torch.floor(capped / UNIT) * UNIT - capped).detach()


def _rounded(values: Tensor, unit: float) -> Tensor:
    """To whole units; the gradient passes as it is."""
    return values + (torch.round(values / unit) * unit - values).detach()

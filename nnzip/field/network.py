"""The multilayer perceptron of the field: bias-free, ReLU, as tiny-cuda-nn's FullyFusedMLP computes it.

At every point it sees the multiresolution features of all channels and the analytic inputs, and adds what it has
learnt to the finest features: it undoes what quantisation did. `h = relu(W h)` per hidden layer, output `W h`; the
constant among the analytic inputs serves for the biases.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK_POINTS = 1 << 14
"""Points per batch on a processor: activations of this many stay in a core's L2 cache."""

BATCH_POINTS_CUDA = 1 << 18
"""Points per batch of training on a GPU: enough to keep it busy while the next kernels are launched."""

WEIGHT_LIMIT = 127
"""Largest magnitude of a stored weight, in steps of its layer: 8 bits."""


def hidden_width(channels: int) -> int:
    """Width of the hidden layers: one that FullyFusedMLP is compiled for."""
    return 16 if channels == 1 else 32 if channels <= 8 else 64 if channels <= 32 else 128


def layer_shapes(inputs: int, outputs: int, hidden: Sequence[int]) -> list[tuple[int, int]]:
    """Shape [output, input] of every weight matrix."""
    sizes = [inputs, *hidden, outputs]
    return list(zip(sizes[1:], sizes[:-1], strict=True))


def initial_weights(shapes: Sequence[tuple[int, int]], generator: torch.Generator) -> list[Tensor]:
    """Random hidden layers (He et al. 2015) and a zero output layer, so that training starts at 'no change'."""
    hidden = [torch.randn(shape, generator=generator) * (2 / shape[1]) ** 0.5 for shape in shapes[:-1]]
    return [*hidden, torch.zeros(shapes[-1])]


def forward(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """Outputs [output, point] for inputs [input, point]."""
    activations = inputs
    for weight in weights[:-1]:
        activations = torch.relu(weight @ activations)
    return weights[-1] @ activations


def forward_in_blocks(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """`forward` for inputs of any size, on a processor in batches that fit its cache."""
    if inputs.is_cuda:
        return forward(weights, inputs)
    starts = range(0, inputs.shape[1], BLOCK_POINTS)
    return torch.cat([forward(weights, inputs[:, start : start + BLOCK_POINTS]) for start in starts], dim=1)


def quantisation_step(weight: Tensor) -> Tensor:
    """The smallest power of two of which the largest weight of a layer is at most `WEIGHT_LIMIT` times; on its device.

    Computed without a copy to the host, as every step of the training needs it.
    """
    largest = weight.detach().abs().max().double().clamp_min(2.0**-20)
    return (largest / WEIGHT_LIMIT).log2().ceil().exp2().to(weight.dtype)


def quantised(weight: Tensor) -> Tensor:
    """The weight as the archive will hold it; gradients pass straight through (Bengio et al. 2013)."""
    step = quantisation_step(weight)
    return weight + (torch.round(weight / step) * step - weight).detach()

"""What evaluates the network while it is trained: PyTorch anywhere, or tiny-cuda-nn's fused kernels on an NVIDIA GPU.

Both take the canonical weights (`network.layer_shapes`) and compute the same function, tiny-cuda-nn in half
precision; what is trained, quantised and stored are the canonical weights, so that archives do not depend on the back
end. Decoding always uses PyTorch in float32: half precision alone would use up the guard that bounds leave.

tiny-cuda-nn (https://github.com/NVlabs/tiny-cuda-nn, `tinycudann` in Python) is not on PyPI and never required.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nnzip.errors import NnzipWarning
from nnzip.field import network

FUSED_WIDTHS = (16, 32, 64, 128)
"""Widths of the hidden layers that FullyFusedMLP is compiled for."""

_ALIGNMENT = 16  # inputs and outputs are padded to a multiple of this
_CHECKED_POINTS = 256
_CLOSE = 0.02  # of the largest output: what half precision may make of it


class Backend(Protocol):
    """Evaluates the network. `half_precision`: gradients need loss scaling."""

    name: str
    half_precision: bool

    def forward(self, weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """Outputs [output, point] float32 for inputs [input, point], differentiable by the weights."""
        ...


class TorchBackend:
    """The reference: float32 on any device."""

    name = "torch"
    half_precision = False

    def forward(self, weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """See Backend."""
        return network.forward(weights, inputs)


class TinyCudaBackend:
    """tiny-cuda-nn's FullyFusedMLP for weights of these shapes.

    Raises whatever `import tinycudann` raises, and RuntimeError or ValueError for shapes it is not compiled for and
    where it computes another function than ours.
    """

    name = "tinycudann"
    half_precision = True

    def __init__(self, shapes: Sequence[tuple[int, int]], device: torch.device) -> None:
        require_fused(shapes)
        self.module = import_tinycudann().Network(
            n_input_dims=_padded(shapes[0][1]),
            n_output_dims=_padded(shapes[-1][0]),
            network_config={
                "otype": "FullyFusedMLP",
                "activation": "ReLU",
                "output_activation": "None",
                "n_neurons": shapes[0][0],
                "n_hidden_layers": len(shapes) - 1,
            },
        )
        self.module.loss_scale = 1.0  # the training scales the loss itself, before gradients become half precision
        self._check(shapes, device)

    def forward(self, weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """See Backend."""
        padding = -inputs.shape[0] % _ALIGNMENT  # tiny-cuda-nn itself would pad with ones
        points = functional.pad(inputs.T, (0, padding))
        outputs: Tensor = torch.func.functional_call(self.module, {"params": flat_weights(weights)}, (points,))
        return outputs[:, : len(weights[-1])].T.float()

    def _check(self, shapes: Sequence[tuple[int, int]], device: torch.device) -> None:
        """Raise RuntimeError unless it agrees with the reference on random weights."""
        weights_from_flat(self.module.params.detach(), shapes)  # raises where their number is not ours
        generator = torch.Generator().manual_seed(0)
        weights = [(torch.randn(shape, generator=generator) / shape[1] ** 0.5).to(device) for shape in shapes]
        inputs = torch.randn((shapes[0][1], _CHECKED_POINTS), generator=generator).to(device)
        with torch.no_grad():
            wanted, found = network.forward(weights, inputs), self.forward(weights, inputs)
        error = float((found - wanted).abs().max() / wanted.abs().max())
        if not error <= _CLOSE:
            raise RuntimeError(f"its network gives other values than nnzip's (error {error:.2g} of the largest)")


def training_backend(shapes: Sequence[tuple[int, int]], device: torch.device) -> Backend:
    """tiny-cuda-nn on a CUDA device where it works, else PyTorch.

    Warns (NnzipWarning) where it is installed but cannot be used.
    """
    if device.type != "cuda":
        return TorchBackend()
    try:
        return TinyCudaBackend(shapes, device)
    except Exception as error:  # whatever a broken or foreign build raises
        if not _is_missing(error):
            warnings.warn(
                f"tinycudann is not used, PyTorch trains instead: {describe_error(error)}", NnzipWarning, stacklevel=2
            )
        return TorchBackend()


def tinycudann_problem() -> str | None:
    """Why tinycudann cannot be imported, "not installed" among others; None where it can."""
    try:
        import_tinycudann()
    except Exception as error:  # a broken build may raise anything; without a GPU it is OSError
        return "not installed" if _is_missing(error) else describe_error(error)
    return None


def import_tinycudann() -> Any:
    """The module `tinycudann`."""
    return import_module("tinycudann")


def require_fused(shapes: Sequence[tuple[int, int]]) -> None:
    """Raise RuntimeError unless FullyFusedMLP has layers of these shapes [output, input]."""
    hidden = {width for width, _ in shapes[:-1]}
    if len(hidden) != 1 or not hidden <= set(FUSED_WIDTHS):
        raise RuntimeError(
            f"hidden layers of {sorted(hidden)} neurons; it has one width, {', '.join(map(str, FUSED_WIDTHS))}"
        )


def flat_weights(weights: Sequence[Tensor]) -> Tensor:
    """tiny-cuda-nn's parameter vector of a network: its matrices [output, input] one after another, row by row.

    The inputs of the first and the outputs of the last are padded with zeros to a multiple of 16 (FullyFusedMLP in
    src/fully_fused_mlp.cu). In a model with an encoding, the parameters of its grids follow.
    """
    parts = []
    for number, weight in enumerate(weights):
        right = -weight.shape[1] % _ALIGNMENT if number == 0 else 0
        below = -weight.shape[0] % _ALIGNMENT if number == len(weights) - 1 else 0
        parts.append(functional.pad(weight, (0, right, 0, below)).flatten())
    return torch.cat(parts)


def weights_from_flat(parameters: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Inverse of `flat_weights`: weights of these shapes, without the padding.

    Raises ValueError where the vector has another length.
    """
    padded = [(rows, columns) for rows, columns in shapes]
    padded[0] = (padded[0][0], _padded(padded[0][1]))
    padded[-1] = (_padded(padded[-1][0]), padded[-1][1])
    sizes = [prod(shape) for shape in padded]
    if parameters.numel() != sum(sizes):
        raise ValueError(f"{parameters.numel()} parameters; layers {list(shapes)} have {sum(sizes)} with their padding")
    matrices = [part.view(shape) for part, shape in zip(torch.split(parameters, sizes), padded, strict=True)]
    return [matrix[:rows, :columns] for matrix, (rows, columns) in zip(matrices, shapes, strict=True)]


def describe_error(error: Exception) -> str:
    """Type and first line of any exception."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"


def _is_missing(error: Exception) -> bool:
    return isinstance(error, ModuleNotFoundError) and error.name == "tinycudann"


def _padded(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT

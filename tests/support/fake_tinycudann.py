"""A stand-in for the module `tinycudann`, which needs an NVIDIA GPU and is not on PyPI.

It implements the part of the documented Python API that nnzip uses, with plain torch on the processor, after
bindings/torch/tinycudann/modules.py and src/fully_fused_mlp.cu of https://github.com/NVlabs/tiny-cuda-nn: a flat
float32 parameter vector `params` of row-major matrices [output, input], inputs padded to a multiple of 16 with ones,
outputs padded to a multiple of 16 and cut, batches padded to a multiple of 256, everything in half precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Network(nn.Module):
    def __init__(self, n_input_dims: int, n_output_dims: int, network_config: dict[str, Any], seed: int = 1337) -> None:
        super().__init__()
        assert network_config["otype"] == "FullyFusedMLP"
        assert network_config["activation"] == "ReLU"
        assert network_config["output_activation"] == "None"
        width, layers = network_config["n_neurons"], network_config["n_hidden_layers"]
        if width not in (16, 32, 64, 128):
            raise RuntimeError(f"FullyFusedMLP only supports 16, 32, 64, and 128 neurons, but got {width}.")
        self.n_output_dims, self.loss_scale = n_output_dims, 128.0
        self._shapes = [(width, rounded_up(n_input_dims, 16))]
        self._shapes += [(width, width)] * (layers - 1)
        self._shapes += [(rounded_up(n_output_dims, 16), width)]
        count = sum(rows * columns for rows, columns in self._shapes)
        generator = torch.Generator().manual_seed(seed)
        self.params = nn.Parameter(torch.rand(count, generator=generator) - 0.5)

    def forward(self, x: Tensor) -> Tensor:
        points = x.shape[0]
        padded = x.new_zeros(rounded_up(points, 256), x.shape[1])
        padded[:points] = x
        ones = x.new_ones(len(padded), self._shapes[0][1] - x.shape[1])
        activations = torch.cat([padded, ones], dim=1).half()
        start = 0
        for number, (rows, columns) in enumerate(self._shapes):
            matrix = self.params[start : start + rows * columns].half().reshape(rows, columns)
            activations = activations @ matrix.T
            if number < len(self._shapes) - 1:
                activations = torch.relu(activations)
            start += rows * columns
        return activations[:points, : self.n_output_dims]


def rounded_up(count: int, multiple: int) -> int:
    return (count + multiple - 1) // multiple * multiple

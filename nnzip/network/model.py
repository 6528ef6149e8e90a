"""The network in PyTorch, on a processor or a GPU: features in units of their quantisation steps, and what their bits
cost.

Integers are used from the first step, and gradients pass straight through the rounding (as at the end of Cool-chic,
arXiv 2212.05458, and C3, arXiv 2312.02753). Noise in the place of rounding (Ballé et al. 2017, arXiv 1611.01704) was
worse: it moves the many features that are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, avg_pool3d, pad

from nnzip.network.coding import WEIGHT_STEP, Quantised, feature_steps
from nnzip.network.grids import Coordinates
from nnzip.network.network import Architecture
from nnzip.network.spreading import LevelAxes, Points, Spread

_LEAST_SCALE = 0.08  # of a feature's Laplace distribution, in steps
_TINY = 1e-14  # keeps Adam from dividing by zero
_FAR = 0.2  # of the scale comes from the whole level, the rest from the neighbours
_BLOCK = {True: 1 << 14, False: 1 << 30}  # points at once, on a processor (for its cache) and a GPU
_NEAR_ZERO = 0.7  # steps from zero within which a bit's price falls to nothing

Axes = tuple[Coordinates, Coordinates, Coordinates]
"""(time, latitude, longitude) of the record."""


class Parameters:
    """Tensors in one piece of memory, with their gradients: `parts` and `slopes` are views of `all` and `slope`."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], device: torch.device) -> None:
        sizes = [prod(shape) for shape in shapes]
        self.all, self.slope, self._used = (torch.zeros(sum(sizes), device=device) for _ in range(3))
        self.parts, self.slopes, self._stand_ins = (
            [part.view(shape) for part, shape in zip(torch.split(whole, sizes), shapes, strict=True)]
            for whole in (self.all, self.slope, self._used)
        )

    def stand_ins(self, units: Sequence[float], *, rounded: bool) -> list[Tensor]:
        """Values, or integers in their place, times the unit of each part; valid until the next call."""
        if rounded:
            torch.round(self.all, out=self._used)
        else:
            self._used.copy_(self.all)
        return [part.mul_(unit) for part, unit in zip(self._stand_ins, units, strict=True)]


class Model:
    """A network to be trained on the grid `axes`. `basis` [output, component]: the features begin as components of the
    outputs, and the perceptron as their sum. `features` are in steps, `weights` in units of WEIGHT_STEP."""

    def __init__(self, design: Architecture, axes: Axes, basis: NDArray[np.float32], seed: int, device: str) -> None:
        self.design, self.axes, self.device = design, axes, torch.device(device)
        self.block = _BLOCK[self.device.type == "cpu"]
        self.points = axes[0].size * axes[1].size * axes[2].size
        self.slope, self.steps = 1.0, feature_steps(design, 1.0, self.points)
        shapes = [(grid.features, *design.shape(grid, level)) for grid, level in design.levels]
        self.features = Parameters(shapes, self.device)
        self.weights = Parameters([(out, into) for into, out in design.layers], self.device)
        for part, first in zip(self.weights.parts, _first_weights(design, basis, seed), strict=True):
            part.copy_(first / WEIGHT_STEP)
        self._prices = torch.zeros_like(self.features.all)
        self._axes = [LevelAxes(design.domain, grid.axes, level, axes, self.device) for grid, level in design.levels]

    def set_slope(self, slope: float) -> float:
        """Steps of this slope; the features keep what they mean. Returns how much longer the steps are."""
        steps = feature_steps(self.design, slope, self.points)
        for feature, before, after in zip(self.features.parts, self.steps, steps, strict=True):
            feature *= before / after
        longer = float(np.sqrt(slope / self.slope))
        self.slope, self.steps = slope, steps
        return longer

    def spreads(self, times: Points, rows: Points | None) -> list[Spread]:
        """Of all levels at a batch."""
        return [axes.spread(times, rows) for axes in self._axes]

    def stand_ins(self, *, rounded: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Features and weights in their own units."""
        weights = [WEIGHT_STEP] * len(self.weights.parts)
        return self.features.stand_ins(self.steps, rounded=rounded), self.weights.stand_ins(weights, rounded=rounded)

    def finish_slopes(self, price: float) -> None:
        """Gradients by the features and weights themselves -> by their numbers of steps, plus that of `price` times the
        bits of all features."""
        for part, step in zip(self.features.slopes, self.steps, strict=True):
            part *= step
        self.weights.slope *= WEIGHT_STEP
        near = torch.mul(self.features.all, 1 / _NEAR_ZERO).clamp_(-1, 1)
        self.features.slope.addcmul_(near, self._prices, value=price)

    def bits(self) -> float:
        """Of all features as integers, estimated; finds the price of each anew."""
        total, start = 0.0, 0
        for feature in self.features.parts:
            scale = _neighbourhood(feature)
            total += float(bits(torch.round(feature), scale).sum())
            self._prices[start : start + feature.numel()] = (1 / log(2)) / scale.flatten()
            start += feature.numel()
        return total

    def quantised(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> Quantised:
        """The integers; `mean` and `scale` [output] of the values."""
        return Quantised(
            self.design,
            tuple(_to_integers(feature) for feature in self.features.parts),
            tuple(_to_integers(layer) for layer in self.weights.parts),
            mean,
            scale,
            self.slope,
            self.points,
        )


def _first_weights(design: Architecture, basis: NDArray[np.float32], seed: int) -> list[Tensor]:
    """Random layers (He et al. 2015), of which the first units pass on the sums of the features, with either sign; the
    last layer makes outputs of these by `basis`."""
    dice = torch.Generator().manual_seed(seed)
    layers = [torch.randn(out, into, generator=dice) * (2 / into) ** 0.5 for into, out in design.layers]
    components = torch.from_numpy(basis)
    count = components.shape[1]
    passed = torch.eye(count).repeat(1, len(design.levels))
    passed = torch.cat([passed, torch.zeros(count, layers[0].shape[1] - passed.shape[1])], dim=1)
    layers[0][: 2 * count] = torch.cat([passed, -passed])
    for layer in layers[1:-1]:
        layer[: 2 * count] = torch.eye(2 * count, layer.shape[1])
    layers[-1].zero_()
    layers[-1][:, : 2 * count] = torch.cat([components, -components], dim=1)
    return layers


class Adam:
    """Adam (Kingma & Ba 2015) with a learning rate for each of some parameters, and the least that a slope is divided
    by: smaller slopes are followed in proportion, as gradient descent does. torch.optim's imports a compiler first,
    which takes longer than the training of a small network."""

    def __init__(self, groups: Sequence[Parameters], betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self._groups, self._betas, self._step = groups, betas, 0
        self._moments = [(torch.zeros_like(group.all), torch.zeros_like(group.all)) for group in groups]

    def step(self, rates: Sequence[float], least: Sequence[float]) -> None:
        """Follow the slopes."""
        self._step += 1
        first, second = self._betas
        scale = (1 - second**self._step) ** 0.5
        for group, (mean, square), rate, floor in zip(self._groups, self._moments, rates, least, strict=True):
            mean.lerp_(group.slope, 1 - first)
            square.mul_(second).addcmul_(group.slope, group.slope, value=1 - second)
            size = torch.sqrt(square).clamp_(min=max(floor, _TINY) * scale)
            group.all.addcdiv_(mean, size, value=-rate * scale / (1 - first**self._step))

    def rescale(self, number: int, factor: float) -> None:
        """The slopes of a group have become so many times larger."""
        mean, square = self._moments[number]
        mean *= factor
        square *= factor**2


def _neighbourhood(feature: Tensor) -> Tensor:
    """Scale of every feature's distribution, from its neighbours as a context model sees them, but on all sides."""
    size = feature.abs()
    near = size.mean()
    if feature.dim() == 4:
        near = (27 * avg_pool3d(pad(size[None], (1,) * 6, mode="replicate"), 3, 1)[0] - size) / 26
    elif feature.dim() == 3:
        near = (9 * avg_pool2d(pad(size[None], (1,) * 4, mode="replicate"), 3, 1)[0] - size) / 8
    return (1 - _FAR) * near + _FAR * size.mean() + _LEAST_SCALE + torch.zeros_like(size)


def bits(values: Tensor, scale: Tensor) -> Tensor:
    """-log2 of a Laplace distribution's probability of the unit cell around each value, an integer."""
    size, half = values.abs(), 0.5 / scale
    zero = -torch.log1p(-torch.exp(-half))
    other = size / scale - half - torch.log1p(-torch.exp(-2 * half)) + log(2)
    return torch.where(size < 0.5, zero, other) / log(2)


def _to_integers(values: Tensor) -> NDArray[np.int32]:
    return torch.round(values).to(torch.int32).cpu().numpy()

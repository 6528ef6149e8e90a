"""The network in PyTorch, on a processor or a GPU: features in units of their quantisation steps, and what their bits
cost.

Noise stands for rounding while the network is trained (Ballé et al. 2017, arXiv 1611.01704, section 3; used for
coordinate networks by Cool-chic, arXiv 2212.05458, and C3, arXiv 2312.02753); at the end integers are used, and the
gradient passes straight through the rounding.
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
from nnzip.network.grids import Coordinates, Hats
from nnzip.network.inputs import inputs
from nnzip.network.network import Architecture

NOISE, ROUND, EXACT = "noise", "round", "exact"
"""How integers are stood for: by noise, by themselves, not at all."""

_LEAST_SCALE = 0.08  # of a feature's Laplace distribution, in steps
_TINY = 1e-14  # keeps Adam from dividing by zero
_FAR = 0.2  # of the scale comes from the whole level, the rest from the neighbours

Axes = tuple[Coordinates, Coordinates, Coordinates]
"""(time, latitude, longitude) of the record."""
Points = NDArray[np.int64]


class Model(torch.nn.Module):
    """A network to be trained on the grid `axes`. `basis` [output, component]: the features begin as components of the
    outputs, and the perceptron as their sum."""

    def __init__(self, design: Architecture, axes: Axes, basis: NDArray[np.float32], seed: int, device: str) -> None:
        super().__init__()
        self.design, self.axes, self.device = design, axes, torch.device(device)
        self._dice = torch.Generator(self.device).manual_seed(seed)
        self.points = axes[0].size * axes[1].size * axes[2].size
        self.slope, self.steps = 1.0, feature_steps(design, 1.0, self.points)
        self.features = torch.nn.ParameterList(
            torch.zeros(grid.features, *design.shape(grid, level), device=self.device) for grid, level in design.levels
        )
        self.weights = torch.nn.ParameterList(w.to(self.device) for w in _first_weights(design, basis, seed))
        self._scales: list[Tensor] = []
        self._hats = [
            [_AxisHats(design.domain.positions(axis, axes[2 - axis], level), self.device) for axis in range(grid.axes)]
            for grid, level in design.levels
        ]

    def set_slope(self, slope: float) -> None:
        """Steps of this slope; the features keep what they mean."""
        steps = feature_steps(self.design, slope, self.points)
        with torch.no_grad():
            for feature, before, after in zip(self.features, self.steps, steps, strict=True):
                feature *= before / after
        self.slope, self.steps = slope, steps

    def level(self, number: int, times: Points, rows: Points | None, how: str) -> Tensor:
        """A level's features at points, [feature, time (1 of a static level), lat, lon]."""
        grid, level = self.design.levels[number]
        values, hats = self.features[number], self._hats[number]
        picked = [hats[0].all, hats[1].pick(rows), *(axis.pick(times) for axis in hats[2:])]
        if level.hashed:
            index = level.index([vertices for vertices, _ in picked])
            values = values[:, torch.from_numpy(index).to(self.device)]
        else:
            for place, (vertices, _) in enumerate(picked[1:], 1):
                if vertices.size < values.shape[grid.axes - place]:
                    values = values.index_select(grid.axes - place, torch.from_numpy(vertices - 1).to(self.device))
        values = self._integers(values, how) * self.steps[number]
        if grid.axes == 3:
            matrix = picked[2][1]
            shape = values.shape
            values = torch.matmul(matrix, values.reshape(shape[0], shape[1], -1)).reshape(-1, *shape[2:])
        values = torch.matmul(picked[1][1], values)
        count = values.shape[1]
        values = torch.matmul(values.reshape(-1, values.shape[2]), picked[0][1].T)
        return values.reshape(self.features[number].shape[0], -1, count, values.shape[1])

    def forward(self, times: Points, rows: Points | None, how: str) -> Tensor:
        """Outputs [output, time, lat, lon] at some times and rows (None: all) and all columns."""
        parts = [self.level(number, times, rows, how) for number in range(len(self.features))]
        seconds, latitude, longitude = self.axes
        share = self.design.domain.share(2, seconds[times])
        latitude = latitude if rows is None else latitude[rows]
        analytic = inputs(self.design.inputs, seconds[times], latitude, longitude, share)
        parts += [torch.from_numpy(part[None]).to(self.device) for part in analytic]
        weights = [self._integers(layer / WEIGHT_STEP, how) * WEIGHT_STEP for layer in self.weights]
        shape = times.size, latitude.size, longitude.size
        hidden = _first_layer(parts, weights[0], shape)
        for layer in weights[1:]:
            hidden = layer @ torch.relu(hidden)
        return hidden.reshape(-1, *shape)

    def add_rate_gradient(self, price: float) -> None:
        """Add the gradient of `price` times the bits of all features."""
        with torch.no_grad():
            for feature, scale in zip(self.features, self._scales, strict=True):
                noisy = self._integers(feature, NOISE)
                slope = bits_slope(noisy, scale).mul_(price)
                feature.grad = slope if feature.grad is None else feature.grad.add_(slope)

    def bits(self) -> float:
        """Of all features as integers, estimated; finds the scales anew that the gradient uses."""
        with torch.no_grad():
            self._scales = [_neighbourhood(feature) for feature in self.features]
            pairs = zip(self.features, self._scales, strict=True)
            return float(sum(bits(torch.round(feature), scale).sum() for feature, scale in pairs))

    def quantised(self, mean: NDArray[np.float32], scale: NDArray[np.float32], dead: float = 0.0) -> Quantised:
        """The integers; `mean` and `scale` [output] of the values; `dead`: by how much features are rounded down."""
        return Quantised(
            self.design,
            tuple(_to_integers(feature, dead) for feature in self.features),
            tuple(_to_integers(layer / WEIGHT_STEP) for layer in self.weights),
            mean,
            scale,
            self.slope,
            self.points,
        )

    def _integers(self, values: Tensor, how: str) -> Tensor:
        if how == NOISE:
            return values + (torch.rand(values.shape, generator=self._dice, device=self.device) - 0.5)
        if how == ROUND:
            return values + (torch.round(values) - values).detach()
        return values


class _AxisHats:
    """Hats of all points of one axis at one level."""

    def __init__(self, positions: Coordinates, device: torch.device) -> None:
        self._positions, self._device = positions, device
        self.all = self._hats(positions)

    def pick(self, points: Points | None) -> tuple[Points, Tensor]:
        """Touched vertices, and weights [point, vertex], of some points (None: of all)."""
        return self.all if points is None else self._hats(self._positions[points])

    def _hats(self, positions: Coordinates) -> tuple[Points, Tensor]:
        hats = Hats.at(positions)
        return hats.vertices, torch.from_numpy(hats.matrix).to(self._device)


def _first_weights(design: Architecture, basis: NDArray[np.float32], seed: int) -> list[Tensor]:
    """Random layers (He et al. 2015), of which the first units pass on the sums of the features, with either sign; the
    last layer makes outputs of these by `basis`."""
    dice = torch.Generator().manual_seed(seed)
    layers = [torch.randn(out, into, generator=dice) * (2 / into) ** 0.5 for into, out in design.layers]
    components = torch.from_numpy(basis)
    count = components.shape[1]
    passed = torch.eye(count).repeat(1, len(design.levels))
    passed = torch.cat([passed, torch.zeros(count, layers[0].shape[1] - passed.shape[1])], dim=1)
    if len(layers) == 1:
        return [components @ passed]
    layers[0][: 2 * count] = torch.cat([passed, -passed])
    for layer in layers[1:-1]:
        layer[: 2 * count] = torch.eye(2 * count, layer.shape[1])
    layers[-1].zero_()
    layers[-1][:, : 2 * count] = torch.cat([components, -components], dim=1)
    return layers


def _first_layer(parts: Sequence[Tensor], weights: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """As `network.first_layer`: inputs that repeat are multiplied once."""
    alike: dict[tuple[int, ...], tuple[list[Tensor], list[Tensor]]] = {}
    start = 0
    for part in parts:
        columns, some = alike.setdefault(tuple(part.shape[1:]), ([], []))
        columns.append(weights[:, start : start + part.shape[0]])
        some.append(part.reshape(part.shape[0], -1))
        start += part.shape[0]
    total = torch.zeros(weights.shape[0], 1, 1, 1, device=weights.device)
    for kind in sorted(alike, key=prod):
        columns, some = alike[kind]
        total = total + (torch.cat(columns, dim=1) @ torch.cat(some)).reshape(-1, *kind)
    return total.expand(-1, *shape).reshape(total.shape[0], -1)


class Adam:
    """Adam (Kingma & Ba 2015) with a learning rate for each of some lists of parameters. torch.optim's imports a
    compiler first, which takes longer than the training of a small network."""

    def __init__(self, groups: Sequence[Sequence[Tensor]], betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self._groups, self._betas, self._step = groups, betas, 0
        self._moments = [[(torch.zeros_like(one), torch.zeros_like(one)) for one in group] for group in groups]

    def step(self, rates: Sequence[float]) -> None:
        """Follow the gradients, and forget them."""
        self._step += 1
        first, second = self._betas
        scale = (1 - second**self._step) ** 0.5
        with torch.no_grad():
            for group, moments, rate in zip(self._groups, self._moments, rates, strict=True):
                for parameter, (mean, square) in zip(group, moments, strict=True):
                    if parameter.grad is not None:
                        mean.lerp_(parameter.grad, 1 - first)
                        square.mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
                        size = square.sqrt().div_(scale).add_(_TINY)
                        parameter.addcdiv_(mean, size, value=-rate / (1 - first**self._step))
                        parameter.grad = None


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
    """-log2 of a Laplace distribution's probability of the unit cell around each value."""
    size, half = values.abs(), 0.5 / scale
    inside = -torch.log1p(-torch.exp(-half) * torch.cosh(size.clamp(max=0.5) / scale))
    outside = size / scale - half - torch.log1p(-torch.exp(-2 * half)) + log(2)
    return torch.where(size < 0.5, inside, outside) / log(2)


def bits_slope(values: Tensor, scale: Tensor) -> Tensor:
    """The derivative of `bits` by the values."""
    size = values.abs()
    near = torch.exp(-0.5 / scale)
    place = size.clamp(max=0.5) / scale
    inside = near * torch.sinh(place) / (1 - near * torch.cosh(place))
    slope = torch.where(size < 0.5, inside, torch.ones_like(size)) / (scale * log(2))
    return slope * torch.sign(values)


def _to_integers(values: Tensor, dead: float = 0.0) -> NDArray[np.int32]:
    values = values.detach()
    smaller = torch.sign(values) * (values.abs() - dead).clamp(min=0)
    return torch.round(smaller).to(torch.int32).cpu().numpy()

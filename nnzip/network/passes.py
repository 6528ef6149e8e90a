"""A batch through the network and back: outputs, and the gradients of the weighted squared error by hand, block by
block, so that what a block needs stays in a processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.network.inputs import inputs
from nnzip.network.model import Model
from nnzip.network.spreading import Points

Values = NDArray[np.float32]
Batch = tuple[Points, Points | None, Values, Values]
"""Times, rows (None: all), and of these and all columns values and weights [output, time, lat, lon]."""


class Pass:
    """A batch's points and the `model` as it is, its parameters `rounded` to integers or not."""

    def __init__(self, model: Model, times: Points, rows: Points | None, *, rounded: bool = True) -> None:
        self._model, design = model, model.design
        seconds, latitude, longitude = model.axes
        latitude = latitude if rows is None else latitude[rows]
        self.shape = times.size, latitude.size, longitude.size
        self._places = self.shape[1] * self.shape[2]
        features, self._weights = model.stand_ins(rounded=rounded)
        spreads = model.spreads(times, rows)
        self._still, self._moving = spreads[: design.static.levels], spreads[design.static.levels :]
        self._instants = [
            spread.instants(values)
            for spread, values in zip(self._moving, features[design.static.levels :], strict=True)
        ]
        share = design.domain.share(2, seconds[times])
        analytic = inputs(design.inputs, seconds[times], latitude, longitude, share)
        self._split(analytic)
        still = self._empty(design.static.levels * design.static.features, 1)
        for number, (spread, values) in enumerate(zip(self._still, features, strict=False)):
            spread.maps(spread.instants(values), still[number * design.static.features :][: design.static.features])
        parts = [np.broadcast_to(part[0], self.shape[1:]) for part in analytic if _kind(part) == 0]
        self._still_inputs = torch.cat([still.flatten(1), self._moved(parts, self._places)])
        clock = [np.broadcast_to(part[:, 0, 0], self.shape[0]) for part in analytic if _kind(part) == 1]
        self._clock_inputs = self._moved(clock, self.shape[0])
        self._further = [torch.from_numpy(part).to(model.device) for part in analytic if _kind(part) == 2]
        self._maps = self._weights[0][:, self._columns[0]] @ self._still_inputs
        self._clock = self._weights[0][:, self._columns[1]] @ self._clock_inputs
        self._first = self._weights[0][:, self._columns[2]]

    def _split(self, analytic: Sequence[Values]) -> None:
        """Columns of the first matrix: of what is the same at all times, at all places, and of the rest."""
        static, dynamic = self._model.design.grids
        levels = static.levels * static.features, dynamic.levels * dynamic.features
        kinds = [0] * levels[0] + [2] * levels[1] + [_kind(part) for part in analytic]
        self._columns = [torch.tensor([k for k, kind in enumerate(kinds) if kind == wanted]) for wanted in range(3)]

    def _moved(self, parts: Sequence[Values], size: int) -> Tensor:
        """Parts of an input each -> [input, point] on the device."""
        flat = np.array([part.ravel() for part in parts], dtype=np.float32).reshape(len(parts), size)
        return torch.from_numpy(flat).to(self._model.device)

    def _empty(self, count: int, times: int) -> Tensor:
        return torch.empty(count, times, *self.shape[1:], device=self._model.device)

    @property
    def _blocks(self) -> list[slice]:
        """Of times."""
        each = max(self._model.block // self._places, 1)
        return [slice(start, min(start + each, self.shape[0])) for start in range(0, self.shape[0], each)]

    def outputs(self) -> Tensor:
        """[output, time, lat, lon]."""
        parts = [self._forward(some)[-1].view(-1, some.stop - some.start, *self.shape[1:]) for some in self._blocks]
        return torch.cat(parts, dim=1)

    def _forward(self, some: slice) -> list[Tensor]:
        """Inputs of the moving kind, activations of every layer, outputs; each [unit, point]."""
        features, count = self._model.design.dynamic.features, some.stop - some.start
        gathered = self._empty(self._first.shape[1], count)
        for number, (spread, values) in enumerate(zip(self._moving, self._instants, strict=True)):
            spread.maps(values[:, some], gathered[number * features :][:features])
        for number, part in enumerate(self._further, len(self._moving) * features):
            gathered[number] = part[some]
        found = [gathered.flatten(1)]
        hidden = (self._first @ found[0]).view(-1, count, self._places)
        hidden += self._maps[:, None]
        hidden += self._clock[:, some, None]
        found.append(hidden.flatten(1))
        for layer in self._weights[1:]:
            found.append(layer @ found[-1].relu_())
        return found

    def descend(
        self, values: Values, weights: Values, mapped: Callable[..., Iterable[Any]] = map, jobs: int = 1
    ) -> Tensor:
        """The weighted mean square error; its gradients are left as slopes of the model. `mapped` works on the blocks,
        in so many `jobs`."""
        model = self._model
        target, weight = (torch.from_numpy(array).to(model.device) for array in (values, weights))
        model.features.slope.zero_()
        gradients = [torch.empty_like(values) for values in self._instants]
        shares = [self._blocks[k::jobs] for k in range(jobs)]
        sums = list(mapped(_Sums.run, [_Sums(self, some, target, weight, gradients) for some in shares if some]))
        maps, clock = (sum(each[1:], each[0]) for each in zip(*((job.maps, job.clock) for job in sums), strict=True))
        matrices = [sum(each[1:], each[0]) for each in zip(*(job.matrices for job in sums), strict=True)]
        first = model.weights.slopes[0]
        first[:, self._columns[0]] = maps @ self._still_inputs.T
        first[:, self._columns[1]] = clock @ self._clock_inputs.T
        first[:, self._columns[2]] = matrices[0]
        for slope, found in zip(model.weights.slopes[1:], matrices[1:], strict=True):
            slope.copy_(found)
        self._to_features(maps, gradients)
        return torch.stack([job.loss for job in sums]).sum()

    def _to_features(self, maps: Tensor, gradients: Sequence[Tensor]) -> None:
        model, features = self._model, self._model.design.static.features
        count = len(self._still) * features
        still = (self._weights[0][:, :count].T @ maps).view(count, 1, *self.shape[1:])
        for number, spread in enumerate(self._still):
            here = spread.vertices(still[number * features :][:features])
            spread.add_instants(here, model.features.slopes[number])
        for spread, slope, found in zip(
            self._moving, model.features.slopes[len(self._still) :], gradients, strict=True
        ):
            spread.add_instants(found, slope)


class _Sums:
    """Some blocks of a pass, and the sums of their gradients."""

    def __init__(
        self, run: Pass, blocks: Sequence[slice], target: Tensor, weight: Tensor, into: Sequence[Tensor]
    ) -> None:
        self._pass, self._blocks, self._target, self._weight, self._into = run, blocks, target, weight, into
        hidden, device = run._maps.shape[0], target.device
        self.maps = torch.zeros_like(run._maps)
        self.clock = torch.zeros(hidden, run.shape[0], device=device)
        self.matrices = [torch.zeros_like(run._first), *(torch.zeros_like(layer) for layer in run._weights[1:])]
        self.loss = torch.zeros((), device=device)

    def run(self) -> _Sums:
        for some in self._blocks:
            self._block(some)
        return self

    def _block(self, some: slice) -> None:
        run, count = self._pass, some.stop - some.start
        *activations, found = run._forward(some)
        error = found.sub_(self._target[:, some].flatten(1))
        slope = self._weight[:, some].flatten(1) * error
        self.loss += torch.dot(slope.flatten(), error.flatten()) / self._target.numel()
        slope *= 2 / self._target.numel()
        for number in range(len(activations) - 1, 0, -1):
            units = activations[number]
            self.matrices[number].addmm_(slope, units.T)
            slope = (run._weights[number].T @ slope).mul_(units.sign_())
        hidden = slope.view(-1, count, run._places)
        self.maps += hidden.sum(1)
        self.clock[:, some] = hidden.sum(2)
        self.matrices[0].addmm_(slope, activations[0].T)
        features = run._model.design.dynamic.features
        inputs = run._first[:, : len(run._moving) * features].T @ slope
        inputs = inputs.view(-1, count, *run.shape[1:])
        for number, (spread, into) in enumerate(zip(run._moving, self._into, strict=True)):
            into[:, some] = spread.vertices(inputs[number * features :][:features])


def _kind(part: Values) -> int:
    """Of an input [time, lat, lon]: 0 the same at all times, 1 at all places, 2 neither."""
    if part.shape[0] == 1:
        return 0
    return 1 if part.shape[1:] == (1, 1) else 2

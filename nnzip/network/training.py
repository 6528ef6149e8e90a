"""Over-fit a network to a record: streamed random points, a budget of bytes or an error, integers at the end.

The loss is the weighted mean of squared errors (in units of each output's scale) plus `price` times the bits of the
features; the price follows the goal: it rises while the network is too large, or better than asked for.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.errors import InputError
from nnzip.network.coding import Quantised, encode_network
from nnzip.network.model import EXACT, NOISE, ROUND, Adam, Axes, Model, Points
from nnzip.network.network import Architecture

Values = NDArray[np.float32]

_FEATURE_RATE, _WEIGHT_RATE = 0.15, 3e-3  # learning rates: of features in steps
_ROUNDED = 0.75  # share of the training after which integers are used
_WARM = 0.04  # share in which the learning rate rises
_GENEROUS = 1.5  # times the bytes asked for that the first steps are made for
_FIRST_PRICE = 4.0  # of a bit, in slopes
_PULL, _AHEAD = 14.0, 0.05  # of the price towards the goal in a whole training; how far ahead it looks
_FITS = 9  # ways to round that are tried
_LOOKS = 25  # estimates of the bytes in a training
_SWEEPS = 3  # of the least squares start over each level
_DIVERGED = 9.0  # times the first loss
_RESTARTS = 3


class Samples(Protocol):
    """The record that is learned: `axes`, and values in units of each output's scale with the weights of points, both
    [output, time, lat, lon], zero where missing."""

    axes: Axes

    def draw(self, dice: np.random.Generator) -> tuple[Points, Points | None, Values, Values]:
        """A random batch: times, rows (None: all), values, weights."""

    def start(self) -> list[tuple[Points, Points | None, Values, Values]]:
        """Some of the record, for the first guess."""


@dataclass(frozen=True)
class Goal:
    """At most so many `bytes`, or a mean square `error` in units of the outputs' scales."""

    bytes: float | None = None
    error: float | None = None


@dataclass
class Trained:
    """What came of a training. `error`: mean square of late batches; `seconds` of the training and `samples` seen."""

    quantised: Quantised
    data: bytes
    error: float
    seconds: float
    samples: int


@dataclass
class Training:
    """How to train: `steps` of Adam (Kingma & Ba 2015), at most `seconds`; `tell` hears the share done and the mean
    square error."""

    samples: Samples
    mean: Values
    scale: Values
    goal: Goal
    steps: int
    seconds: float = float("inf")
    seed: int = 0
    device: str = "cpu"
    tell: Callable[[float, float], None] = field(default=lambda share, error: None)

    def run(self, design: Architecture) -> Trained:
        """Train a network of this design. Raises InputError where no learning rate is small enough."""
        for restart in range(_RESTARTS):
            found = self._run(design, 0.3**restart)
            if found is not None:
                return found
        raise InputError("the training of the network diverges at every learning rate: use --mode tiles")

    def _run(self, design: Architecture, rate: float) -> Trained | None:
        """None where it diverges."""
        started = clock.perf_counter()
        dice = np.random.default_rng(self.seed)
        start = self.samples.start()
        model = Model(design, self.samples.axes, _basis(start, design), self.seed, self.device)
        _least_squares(model, start, self.device)
        self._first_steps(model, start)
        price, budget = _Price(_FIRST_PRICE * model.slope, self.goal, self._fixed(model), self.steps), self.goal
        optimiser = Adam([list(model.features), list(model.weights)])
        error, seen, steps, first = 0.0, 0, self.steps, 0.0
        step = 0
        while step < steps:
            share = step / steps
            pace = rate * min(1.0, 0.05 + share / _WARM) * (0.5 + 0.5 * np.cos(np.pi * share) + 0.01)
            times, rows, values, weights = self.samples.draw(dice)
            target, weight = (torch.from_numpy(array).to(model.device) for array in (values, weights))
            loss = ((model(times, rows, NOISE if share < _ROUNDED else ROUND) - target).square() * weight).mean()
            loss.backward()
            if step % max(steps // (4 * _LOOKS), 1) == 0:
                bits = model.bits()
                now = float(loss.detach())
                if step and step % max(steps // _LOOKS, 1) == 0 and budget.bytes is not None:
                    price.calibrate(bits / 8, len(encode_network(model.quantised(self.mean, self.scale))))
                first = first or now
                error = now if not error else 0.7 * error + 0.3 * now
                if not np.isfinite(now) or now > _DIVERGED * max(first, 1e-3):
                    return None
                self.tell(share, error)
                if clock.perf_counter() - started > self.seconds * share and step > 20:
                    steps = max(min(steps, int(step * self.seconds / (clock.perf_counter() - started))), step + 1)
                price.follow(bits / 8, error, max(steps // (4 * _LOOKS), 1))
            model.add_rate_gradient(price.price / (model.points * design.outputs))
            optimiser.step([_FEATURE_RATE * pace, _WEIGHT_RATE * pace])
            seen += values.size
            step += 1
        quantised, data = self._fitted(model)
        return Trained(quantised, data, error, clock.perf_counter() - started, seen)

    def _fitted(self, model: Model) -> tuple[Quantised, bytes]:
        """The integers; where they take too many bytes, rounded down as little as makes them fit."""
        room = float("inf") if self.goal.bytes is None else self.goal.bytes
        low, high = 0.0, 2.0
        best = model.quantised(self.mean, self.scale)
        data = encode_network(best)
        if len(data) <= room:
            return best, data
        for _ in range(_FITS):
            middle = (low + high) / 2
            trial = model.quantised(self.mean, self.scale, middle)
            coded = encode_network(trial)
            if len(coded) <= room:
                best, data, high = trial, coded, middle
            else:
                low = middle
        return best, data

    def _first_steps(self, model: Model, start: list[tuple[Points, Points | None, Values, Values]]) -> None:
        """The quantisation steps at which the first guess takes somewhat more than it may, or errs as it may."""
        low, high = -30.0, 30.0
        for _ in range(20):
            middle = (low + high) / 2
            model.set_slope(exp(middle))
            if self.goal.bytes is not None:
                too_fine = model.bits() / 8 > _GENEROUS * self.goal.bytes
            else:
                times, rows, *_ = start[0]
                with torch.no_grad():
                    exact, rounded = (model(times, rows, how) for how in (EXACT, ROUND))
                    too_fine = float((exact - rounded).square().mean()) < (self.goal.error or 0) / 3
            low, high = (middle, high) if too_fine else (low, middle)
        model.set_slope(exp(high))
        model.bits()

    def _fixed(self, model: Model) -> float:
        """Bytes of the member beside the features, about."""
        return 150 + 0.75 * float(sum(layer.numel() for layer in model.weights))


class _Price:
    """What a bit costs, in squared errors of all points together."""

    def __init__(self, price: float, goal: Goal, fixed: float, steps: int) -> None:
        self._steps = steps
        self.price, self._goal, self._fixed, self._factor = price, goal, fixed, 1.0
        self._before: float | None = None

    def calibrate(self, estimate: float, size: int) -> None:
        """`estimate` of the features' bytes, and the true size of the whole member."""
        self._factor = (size - self._fixed) / estimate if size > 1.2 * self._fixed else self._factor

    def follow(self, estimate: float, error: float, steps: int) -> None:
        """Towards the goal, with regard to where things are going; `steps` since the last time."""
        if self._goal.bytes is not None:
            away = log(max(estimate * self._factor + self._fixed, 1.0) / (0.985 * self._goal.bytes))
        else:
            away = log(max(self._goal.error or 0.0, 1e-30) / max(error, 1e-30))
        trend = 0.0 if self._before is None else (away - self._before) / steps
        self._before = away
        self.price *= exp(min(max(_PULL * steps / self._steps * (away + _AHEAD * self._steps * trend), -0.5), 0.5))


def _basis(start: list[tuple[Points, Points | None, Values, Values]], design: Architecture) -> Values:
    """Principal components of the outputs [output, component]."""
    values = np.concatenate([batch[2].reshape(design.outputs, -1) for batch in start], axis=1)
    _, vectors = np.linalg.eigh(values @ values.T)
    basis = np.zeros((design.outputs, design.dynamic.features), dtype=np.float32)
    count = min(basis.shape)
    basis[:, :count] = vectors[:, ::-1][:, :count]
    return basis


def _least_squares(model: Model, start: list[tuple[Points, Points | None, Values, Values]], device: str) -> None:
    """Features that add up to the components of the values, level by level, static ones first (Landweber sweeps, scaled
    by the row sums)."""
    layers = len(model.weights)
    basis = model.weights[-1].detach()[:, : model.design.dynamic.features]
    if layers == 1:
        basis = model.weights[0].detach()[:, : model.design.dynamic.features]
    rests = []
    for times, rows, values, weights in start:
        target, weight = (torch.from_numpy(array).to(device) for array in (values, weights))
        rests.append((times, rows, torch.einsum("of,otyx->ftyx", basis, target), weight.mean(dim=0)))
    for number, feature in enumerate(model.features):
        norm = torch.ones_like(feature)
        for sweep in range(_SWEEPS + 1):
            gradient = torch.zeros_like(feature)
            kept = feature.detach().clone()
            if not sweep:
                feature.data = torch.ones_like(feature)
            for times, rows, rest, weight in rests:
                found = model.level(number, times, rows, EXACT)
                wanted = found.detach() if not sweep else rest - found.detach()
                (part,) = torch.autograd.grad(found, feature, _summed(wanted * weight, found.shape))
                gradient += part
            if not sweep:
                norm, feature.data = gradient + 1e-3 * gradient.mean(), kept
            else:
                feature.data = kept + 1.5 * gradient / norm
        with torch.no_grad():
            rests = [(t, r, rest - model.level(number, t, r, EXACT), w) for t, r, rest, w in rests]


def _summed(values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Summed over the times where a static level has one for all."""
    return values.sum(dim=1, keepdim=True) if shape[1] == 1 else values

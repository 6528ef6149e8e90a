"""Over-fit a network to a record: streamed random points, a budget of bytes or an error, integers at the end.

The loss is the weighted mean of squared errors (in units of each output's scale) plus `price` times the bits of the
features; the price follows the goal: it rises while the network is too large, or better than asked for.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import exp, log
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from nnzip.errors import InputError, ResourceError
from nnzip.network.coding import STEEPNESS, Quantised, encode_network
from nnzip.network.model import Adam, Axes, Model
from nnzip.network.network import Architecture
from nnzip.network.passes import Batch, Pass, Values
from nnzip.network.spreading import Spread

_FEATURE_RATE, _WEIGHT_RATE = 0.3, 0.03  # longest move in a step, of features and weights, in quantisation steps
_PART = 0.03  # of the way to the least error that a feature moves in a step
_WARM = 0.04  # share in which the learning rate rises
_GENEROUS = 1.1  # times the bytes asked for that the first steps are made for
_PRICE = 0.7  # of a bit, in slopes
_PULL, _AHEAD = 14.0, 0.05  # of the slope towards the goal in a whole training; how far ahead it looks
_FITS, _FULL, _PER_BYTE = 12, 0.99, 0.5  # last fits of the slope, share of the bytes that is enough, slope per bytes
_LOOKS = 100  # estimates of the bytes in a training
_SWEEPS = 3  # of the least squares start over each level
_DIVERGED = 2.0  # times the error of no network at all
_RESTARTS, _SLOWER = 3, 0.3
_CODED = 4  # looks for each coding, which says how good the estimates are
_TIMED = 12  # steps that are timed for an estimate
_SMALLEST_BLOCK = 1 << 10  # points at once


class Samples(Protocol):
    """The record that is learned: `axes`, and values in units of each output's scale with the weights of points, both
    [output, time, lat, lon], zero where missing."""

    axes: Axes

    def draw(self, dice: np.random.Generator) -> Batch:
        """A random batch: times, rows (None: all), values, weights."""

    def start(self) -> list[Batch]:
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
    """How to train: `steps` of descent, at most `seconds`, in so many `jobs` (threads); `tell` hears the mean square
    error and the seconds that are left."""

    samples: Samples
    mean: Values
    scale: Values
    goal: Goal
    steps: int
    seconds: float = float("inf")
    seed: int = 0
    device: str = "cpu"
    jobs: int = 1
    tell: Callable[[float, float], None] = field(default=lambda error, left: None)

    def run(self, design: Architecture) -> Trained:
        """Train a network of this design. Raises InputError where no learning rate is small enough, and ResourceError
        where the memory of a GPU is."""
        return self._run(design, self.steps)[0]

    def seconds_needed(self, design: Architecture) -> float:
        """About, from a few steps. Raises what `run` raises."""
        return self._run(design, min(self.steps, _TIMED))[1]

    def _run(self, design: Architecture, until: int) -> tuple[Trained, float]:
        """After so many steps: the network, and the seconds of them and the others."""
        with ThreadPoolExecutor(self.jobs) as threads, _one_thread_each():
            for restart in range(_RESTARTS):
                try:
                    descent = _Descent(self, design, _SLOWER**restart)
                    arrived = descent.descend(until, threads.map if self.jobs > 1 else map)
                except torch.OutOfMemoryError as error:
                    raise ResourceError(
                        f"the GPU has too little memory for a network of {design.features} features, even with few "
                        "points at once: take --device cpu, or a larger --ratio"
                    ) from error
                if arrived:
                    passed, left = descent.passed, descent.left
                    quantised, data = self._fitted(descent.model)
                    found = Trained(quantised, data, descent.error, descent.passed, descent.seen)
                    return found, passed + left
        raise InputError("the training of the network diverges at every learning rate: use --mode tiles")

    def _fitted(self, model: Model) -> tuple[Quantised, bytes]:
        """The integers, in steps of which they take as many bytes as they may."""
        best = model.quantised(self.mean, self.scale)
        data = encode_network(best)
        room = self.goal.bytes
        if room is None:
            return best, data
        low, high, slope = -1.0, 1.0, model.slope
        found: tuple[Quantised, bytes] | None = None
        for _ in range(_FITS):
            middle = log(model.slope / slope)
            low, high = (middle, high) if len(data) > room else (low, middle)
            if len(data) <= room and (found is None or len(data) > len(found[1])):
                found = best, data
                if len(data) > _FULL * room:
                    break
            wanted = middle + _PER_BYTE * log(len(data) / room)
            model.set_slope(slope * exp(wanted if low < wanted < high else (low + high) / 2))
            best = model.quantised(self.mean, self.scale)
            data = encode_network(best)
        return found or (best, data)


class _Descent:
    """A training under way, at a share of the learning `rate`; what its parts take, and the `error` now."""

    def __init__(self, training: Training, design: Architecture, rate: float) -> None:
        self._training, self._rate, self._started = training, rate, clock.perf_counter()
        start = training.samples.start()
        basis = _basis(start, design)
        self.model = Model(design, training.samples.axes, basis, training.seed, training.device)
        _least_squares(self.model, start, basis)
        _first_steps(self.model, start, training.goal)
        self._worst = _DIVERGED * max(float((values**2 * weights).mean()) for _, _, values, weights in start)
        self._slope = _Slope(training.goal, 150 + 0.75 * self.model.weights.all.numel(), training.steps)
        self._optimiser = Adam([self.model.features, self.model.weights])
        self._values = self.model.points * design.outputs
        self._dice = np.random.default_rng(training.seed)
        self.error, self.seen, self._step, self._steps = 0.0, 0, 0, training.steps
        self._times = {"step": Times(), "look": Times(), "coding": Times()}

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return clock.perf_counter() - self._started

    @property
    def left(self) -> float:
        """Seconds of what is left to do, about."""
        looks = max((self._steps - self._step) // self._pause, 0)
        counts = {"step": self._steps - self._step, "look": looks, "coding": looks // _CODED + _FITS // 2}
        return sum(counts[kind] * times.mean for kind, times in self._times.items())

    @property
    def _pause(self) -> int:
        return max(self._steps // _LOOKS, 1)

    def descend(self, until: int, mapped: Callable[..., Iterable[Any]]) -> bool:
        """Up to a step; `mapped` works on the blocks of a batch. False where it diverges."""
        while self._step < min(self._steps, until):
            with self._times["step"]:
                loss = self._batch(mapped)
            if self._step % self._pause == 0 and not self._look(float(loss)):
                return False
            self._move()
            self._step += 1
        return True

    def _batch(self, mapped: Callable[..., Iterable[Any]]) -> Tensor:
        """Slopes of the model, and its loss, at random points; in smaller blocks where the memory is too small."""
        times, rows, values, weights = self._training.samples.draw(self._dice)
        self.seen += values.size
        while True:
            try:
                return Pass(self.model, times, rows).descend(values, weights, mapped, self._training.jobs)
            except torch.OutOfMemoryError:
                self.model.block = min(self.model.block, values[0].size) // 2
                if self.model.block < _SMALLEST_BLOCK:
                    raise

    def _look(self, loss: float) -> bool:
        """See how far things are, and steer. False where they diverge."""
        if not loss < self._worst:
            return False
        training, model = self._training, self.model
        self.error = loss if not self._step else 0.7 * self.error + 0.3 * loss
        with self._times["look"]:
            size = model.bits() / 8
        if self._step % (_CODED * self._pause) == 0 and training.goal.bytes is not None:
            with self._times["coding"]:
                self._slope.calibrate(size, len(encode_network(model.quantised(training.mean, training.scale))))
        slope = self._slope.followed(model.slope, size, self.error, self._pause)
        self._optimiser.rescale(0, model.set_slope(slope))
        if self._step:
            over = (self.passed + self.left) / training.seconds
            if over > 1:
                rest = max(training.seconds - self.passed, 0) / max(self.left, 1e-9)
                self._steps = self._step + max(int((self._steps - self._step) * min(rest, 1)), 1)
            training.tell(self.error, self.left)
        return True

    def _move(self) -> None:
        model, share = self.model, self._step / self._steps
        model.finish_slopes(_PRICE * model.slope / self._values)
        batch = self.seen / (self._step + 1)
        curvature = 2 * model.slope * STEEPNESS / self._values * max(self._values / batch, 1)
        pace = self._rate * min(1.0, 0.05 + share / _WARM) * (0.51 + 0.5 * np.cos(np.pi * share))
        self._optimiser.step([_FEATURE_RATE * pace, _WEIGHT_RATE * pace], [_FEATURE_RATE / _PART * curvature, 0])


class Times:
    """How long something takes; used as `with times:`."""

    def __init__(self) -> None:
        self._sum, self._count, self._began = 0.0, 0, 0.0

    def __enter__(self) -> None:
        self._began = clock.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._sum += clock.perf_counter() - self._began
        self._count += 1

    @property
    def mean(self) -> float:
        """Seconds; 0 where it was not done."""
        return self._sum / max(self._count, 1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """PyTorch's own threads wait for each other after every operation: those of this module take whole blocks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _first_steps(model: Model, start: list[Batch], goal: Goal) -> None:
    """The quantisation steps at which the first guess takes somewhat more than it may, or errs as it may."""
    low, high = -30.0, 30.0
    for _ in range(20):
        middle = (low + high) / 2
        model.set_slope(exp(middle))
        if goal.bytes is not None:
            too_fine = model.bits() / 8 > _GENEROUS * goal.bytes
        else:
            times, rows, *_ = start[0]
            exact, rounded = (Pass(model, times, rows, rounded=some).outputs() for some in (False, True))
            too_fine = float((exact - rounded).square().mean()) < (goal.error or 0) / 3
        low, high = (middle, high) if too_fine else (low, middle)
    model.set_slope(exp(high))
    model.bits()


class _Slope:
    """Of the squared error to the bits, which steps and price follow: where bytes or errors are more than asked for, it
    moves."""

    def __init__(self, goal: Goal, fixed: float, steps: int) -> None:
        self._goal, self._fixed, self._steps, self._factor = goal, fixed, steps, 1.0
        self._before: float | None = None

    def calibrate(self, estimate: float, size: int) -> None:
        """`estimate` of the features' bytes, and the true size of the whole member."""
        self._factor = (size - self._fixed) / estimate if size > 1.2 * self._fixed else self._factor

    def followed(self, slope: float, estimate: float, error: float, steps: int) -> float:
        """The next one, with regard to where things are going; `steps` since the last time."""
        if self._goal.bytes is not None:
            away = log(max(estimate * self._factor + self._fixed, 1.0) / (_FULL * self._goal.bytes))
        else:
            away = log(max(self._goal.error or 0.0, 1e-30) / max(error, 1e-30))
        trend = 0.0 if self._before is None else (away - self._before) / steps
        self._before = away
        return slope * exp(min(max(_PULL * steps / self._steps * (away + _AHEAD * self._steps * trend), -0.5), 0.5))


def _basis(start: list[Batch], design: Architecture) -> Values:
    """Principal components of the outputs [output, component]."""
    values = np.concatenate([batch[2].reshape(design.outputs, -1) for batch in start], axis=1)
    _, vectors = np.linalg.eigh(values @ values.T)
    basis = np.zeros((design.outputs, design.dynamic.features), dtype=np.float32)
    count = min(basis.shape)
    basis[:, :count] = vectors[:, ::-1][:, :count]
    return basis


def _least_squares(model: Model, start: list[Batch], basis: Values) -> None:
    """Features that add up to the components of the values, level by level, static ones first (Landweber sweeps, scaled
    by the row sums)."""
    components, rests = torch.from_numpy(basis).to(model.device), []
    for times, rows, values, weights in start:
        target, weight = (torch.from_numpy(array).to(model.device) for array in (values, weights))
        rests.append(
            (model.spreads(times, rows), torch.einsum("of,otyx->ftyx", components, target), weight.mean(dim=0))
        )
    for number, feature in enumerate(model.features.parts):
        norm = torch.zeros_like(feature)
        for spreads, rest, weight in rests:
            _add_adjoint(spreads[number], _at(spreads[number], torch.ones_like(feature), rest) * weight, norm)
        norm += 1e-3 * norm.mean()
        for _ in range(_SWEEPS):
            gradient = torch.zeros_like(feature)
            for spreads, rest, weight in rests:
                wanted = rest - _at(spreads[number], feature, rest)
                _add_adjoint(spreads[number], wanted * weight, gradient)
            feature += 1.5 * gradient / norm
        for spreads, rest, _ in rests:
            rest -= _at(spreads[number], feature, rest)
        feature /= model.steps[number]


def _at(spread: Spread, feature: Tensor, like: Tensor) -> Tensor:
    """A level at points [feature, time (1 of a static level), lat, lon]."""
    instants = spread.instants(feature)
    found = torch.empty(*instants.shape[:2], *like.shape[2:], device=like.device)
    spread.maps(instants, found)
    return found.expand(like.shape)


def _add_adjoint(spread: Spread, values: Tensor, total: Tensor) -> None:
    """Values at points to the features that make them."""
    if total.dim() == 3:
        values = values.sum(dim=1, keepdim=True)
    spread.add_instants(spread.vertices(values), total)

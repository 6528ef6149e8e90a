"""Training of the field's network: it learns to undo quantisation from features that are already final.

Minimises the area-weighted squared error with Adam (Kingma & Ba 2015) and a one-cycle learning rate, on random points
of the whole segment in cache-sized batches; in the last third the weights are used as the archive will hold them
(8 bits, straight-through).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi

import torch
from torch import Tensor

from nnzip.field import network
from nnzip.field.backend import Backend, TorchBackend

_LEARNING_RATE = 1e-2
_QUANTISED_FROM = 0.67
_REPORT_EVERY = 25


@dataclass(frozen=True)
class Training:
    """How long to train, `steps` batches of `batch` points and at most `seconds` (None: no limit), and on what."""

    steps: int
    batch: int = network.BLOCK_POINTS
    seconds: float | None = None
    backend: Backend = field(default_factory=TorchBackend)


def train_network(
    weights: list[Tensor],
    inputs: Tensor,
    targets: Tensor,
    point_weights: Tensor,
    training: Training,
    report: Callable[[float, float, Tensor], None],
) -> list[Tensor]:
    """Trained weights, rounded to their quantisation steps.

    inputs [input, point] and targets [output, point] in random order, point_weights [output, point] or [point] with
    mean one. `report` gets the fraction done, the loss and the mean square error per output; only for these reports
    does anything leave the device. Deterministic on a processor unless time runs out. Cost: about 6 multiplications per
    weight, point and step.
    """
    trained = [weight.clone().requires_grad_() for weight in weights]
    backend, on_gpu = training.backend, inputs.is_cuda
    optimiser = torch.optim.Adam(trained, lr=_LEARNING_RATE, betas=(0.9, 0.99), fused=on_gpu or None)
    scaler = torch.amp.GradScaler(inputs.device.type, enabled=backend.half_precision)
    started = time.monotonic()
    points, batch = inputs.shape[1], min(training.batch, inputs.shape[1])
    fraction, step = 0.0, 0
    while fraction < 1.0:
        start = (step * batch) % max(points - batch + 1, 1)
        part = slice(start, start + batch)
        used = [network.quantised(weight) for weight in trained] if fraction >= _QUANTISED_FROM else trained
        errors = (backend.forward(used, inputs[:, part]) - targets[:, part]).square() * point_weights[..., part]
        loss = errors.mean()
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * one_cycle(fraction)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        step += 1
        fraction = step / training.steps
        if training.seconds is not None:
            fraction = max(fraction, (time.monotonic() - started) / max(training.seconds, 1e-9))
        if step % _REPORT_EVERY == 0:
            report(min(fraction, 1.0), float(loss.detach()), errors.detach().mean(dim=1))
    return [network.quantised(weight.detach()) for weight in trained]


def one_cycle(fraction: float) -> float:
    """Learning rate relative to its peak (Smith & Topin 2019): rises linearly over a fifth, then a cosine to zero."""
    if fraction < 0.2:
        return 0.1 + 4.5 * fraction
    return 0.5 * (1 + cos(pi * (fraction - 0.2) / 0.8))

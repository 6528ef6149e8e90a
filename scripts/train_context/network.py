"""The context network in training: the integer arithmetic of `nnzip.coder.context_network`, with gradients."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.context import CONSTANTS, ROWS, Batch
from nnzip.coder.context_network import ContextNetwork
from nnzip.coder.context_weights import SHAPES, stored_network
from nnzip.coder.entropy import SIGN_CLASSES, rest_lengths
from nnzip.coder.phases import PHASES
from train_context.samples import Samples

INPUT_UNIT, UNIT = 1 / 16, 1 / 64
"""What one stands for in the inputs, and in the weights and activations; as in step.c."""

BATCH = 1024
"""Samples of each phase that make a step."""

POOL = 1 << 21
"""Samples of each phase that are drawn, and gone through again and again."""

LEARNING_RATE, WARM_UP = 15e-3, 0.05

_BETAS, _TINY = (0.9, 0.999), 1e-8  # of Adam
_UNITS = (UNIT, UNIT, UNIT, UNIT * INPUT_UNIT, UNIT * UNIT, UNIT * UNIT)

Values = NDArray[np.float32]
Layers = tuple[Values, ...]
"""Weights of the three layers, then their biases, in real units; shapes as `context_weights.SHAPES`."""


def first_layers() -> Layers:
    """Before training. Seeded."""
    rng = np.random.default_rng(0)
    weights = [
        rng.standard_normal(shape) * spread / shape[-1] ** 0.5
        for shape, spread in zip(SHAPES[0], (0.5, 1.0, 0.5), strict=True)
    ]
    biases = [np.zeros(SHAPES[1][0]), np.zeros(SHAPES[1][1]), np.array([3.0, 0.1])]  # table 24, no preference of a sign
    return tuple(array.astype(np.float32) for array in (*weights, *biases))


def shipped_layers() -> Layers:
    """Of the network of the package."""
    weights, biases = stored_network()
    return tuple((array * unit).astype(np.float32) for array, unit in zip((*weights, *biases), _UNITS, strict=True))


def integers(layers: Layers) -> dict[str, Any]:
    """What `context_weights` loads."""
    whole = [np.rint(array / unit) for array, unit in zip(layers, _UNITS, strict=True)]
    found: dict[str, Any] = {f"weights{n}": whole[n].clip(-127, 127).astype(np.int8) for n in range(3)}
    return found | {f"biases{n}": whole[3 + n].astype(np.int32) for n in range(3)}


def train(samples: Samples, steps: int) -> Layers:
    """Adam with one cycle of the learning rate, for the weighted bits of all samples. Seeded."""
    inputs, rest, weights = _drawn(samples)
    layers = first_layers()
    means = [[np.zeros_like(array) for array in layers] for _ in _BETAS]
    lately = None
    for step in range(steps):
        start = step * BATCH % (POOL - BATCH + 1)
        part = slice(start, start + BATCH)
        loss, gradients = _gradients(layers, inputs[:, part], rest[:, part], weights[:, part])
        rate = LEARNING_RATE * _share(step, steps)
        for number, gradient in enumerate(gradients):
            for mean, beta, power in zip(means, _BETAS, (1, 2), strict=True):
                mean[number] += (1 - beta) * (gradient**power - mean[number])
            first, second = (mean[number] / (1 - beta ** (step + 1)) for mean, beta in zip(means, _BETAS, strict=True))
            layers[number][...] -= rate * first / (np.sqrt(second) + _TINY)
        lately = loss if lately is None else 0.99 * lately + 0.01 * loss
        if step % 500 == 499:
            print(f"step {step + 1}: {lately:.4f}", file=sys.stderr, flush=True)
    return layers


def size_of(layers: Layers, samples: Samples) -> float:
    """Weighted bits of all symbols the network is asked about, under the tables and classes that it names."""
    whole = {name: array.astype(np.float32) for name, array in integers(layers).items()}
    (w0, w1, w2), (b0, b1, b2) = ([whole[f"{kind}{n}"] for n in range(3)] for kind in ("weights", "biases"))
    network = ContextNetwork((w0, w1, w2), (b0, b1, b2))
    magnitudes, signs = rest_lengths()
    total = 0.0
    for phase in range(len(PHASES)):
        part = samples.part(np.flatnonzero(samples.phases == phase))
        rows = part.inputs.T.astype(np.float32)
        each = np.ones(part.rest.size, dtype=np.float32)
        batch = Batch(np.arange(part.rest.size), np.arange(ROWS + CONSTANTS), rows, rows, each, each)
        tables, classes = network.evaluate(batch, (0,) * CONSTANTS, phase)
        rest = part.rest.astype(np.int64)
        found = magnitudes[tables, np.minimum(np.abs(rest), magnitudes.shape[1] - 1)]
        towards = np.where(rest < 0, SIGN_CLASSES - 1 - classes, classes)
        found = found + np.where(rest == 0, 0, signs[towards])
        total += float((found * part.weights).sum(dtype=np.float64))
    return total


def _drawn(samples: Samples) -> tuple[NDArray[np.uint8], Values, Values]:
    """Inputs [phase, POOL, input], rests and weights [phase, POOL]: drawn by the root of the weights, weighed by the
    rest of them."""
    rng = np.random.default_rng(0)
    chosen, scales = [], []
    for phase in range(len(PHASES)):
        members = np.flatnonzero(samples.phases == phase)
        sums = np.cumsum(np.sqrt(samples.weights[members], dtype=np.float64))
        places = np.searchsorted(sums, np.sort(rng.random(POOL)) * sums[-1])
        chosen.append(members[rng.permutation(np.minimum(places, members.size - 1))])
        scales.append(sums[-1] / BATCH)
    taken = samples.part(np.concatenate(chosen))
    weights = np.sqrt(taken.weights).reshape(len(PHASES), POOL) * np.array(scales, dtype=np.float32)[:, None]
    rest = taken.rest.astype(np.float32).reshape(weights.shape)
    return taken.inputs.reshape(*weights.shape, -1), rest, weights


def _gradients(layers: Layers, inputs: NDArray[np.uint8], rest: Values, weights: Values) -> tuple[float, list[Values]]:
    """Weighted bits of a batch, and their derivatives; rounding lets them pass."""
    rounded = [np.rint(array / np.float32(unit)) * np.float32(unit) for array, unit in zip(layers, _UNITS, strict=True)]
    first, second, third = (array.clip(-127 * UNIT, 127 * UNIT) for array in rounded[:3])
    given = [first.swapaxes(1, 2), rounded[3], second.T, second, rounded[4], third, rounded[5]]
    given = [np.ascontiguousarray(array) for array in given]
    found = [np.zeros_like(given[place]) for place in (0, 1, 2, 4, 5, 6)]
    batch = [np.ascontiguousarray(array) for array in (inputs, rest, weights)]
    pointers = [array.ctypes.data for array in (*given, *found)]
    loss = _library().train_batch(*(array.ctypes.data for array in batch), inputs.shape[1], *pointers)
    gradients = [found[0].swapaxes(1, 2), found[2].T, found[4], found[1], found[3], found[5]]
    for array, gradient in zip(layers[:3], gradients, strict=False):
        gradient[np.abs(array) > 127 * UNIT] = 0
    return float(loss), gradients


def _share(step: int, steps: int) -> float:
    """Of the largest learning rate: up along a cosine for a while, then down to nothing."""
    warm = WARM_UP * steps
    if step < warm:
        return 0.04 + 0.96 * (1 - cos(pi * step / warm)) / 2
    return (1 + cos(pi * (step - warm) / (steps - warm))) / 2


_REORDERED = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-freciprocal-math", "-fno-math-errno")
"""Not -ffast-math, which makes the whole process treat the smallest numbers as zero once the library is loaded."""


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """step.c, compiled for this processor."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "step.so"
        flags = ("-O3", "-march=native", *_REORDERED, "-shared", "-fPIC", "-lm")
        source = Path(__file__).with_name("step.c")
        subprocess.run([os.environ.get("CC", "cc"), str(source), "-o", str(file), *flags], check=True)
        found = ctypes.CDLL(str(file))
    found.train_batch.restype = ctypes.c_double
    found.train_batch.argtypes = [*3 * [ctypes.c_void_p], ctypes.c_int64, *13 * [ctypes.c_void_p]]
    return found

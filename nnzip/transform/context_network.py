"""The context network: from what surrounds a coefficient to its probability table, in exact integers.

Two hidden layers with int8 weights; the first layer has its own weights for every phase. Activations are whole numbers
from 0 to 255. Sums stay below 2^24, so float32 carries them exactly in any order, and halvings round down: every
machine, thread count and batch size gives the same tables (rule 0 of the design).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnzip.archive.entropy import SIGN_CLASSES, TABLES
from nnzip.transform.context import CONSTANTS, ROWS, Batch, Whole
from nnzip.transform.phases import PHASES

HIDDEN = 32
OUTPUTS = 2

SHIFTS = (4, 6, 9, 10)
"""Halvings after the first and second layer, and of the two outputs: table, and class of the sign."""

_OUTPUT_SCALES = np.array([[2.0 ** -SHIFTS[2]], [2.0 ** -SHIFTS[3]]], dtype=np.float32)

WEIGHTS_FILE = Path(__file__).with_name("context_network.npz")


@dataclass(frozen=True)
class ContextNetwork:
    """Whole numbers, carried in float32: first [phase, HIDDEN, ROWS + CONSTANTS], second [HIDDEN, HIDDEN], third
    [OUTPUTS, HIDDEN] within -127 and 127, and the biases first [phase, HIDDEN], second [HIDDEN], third [OUTPUTS]."""

    weights: tuple[Whole, Whole, Whole]
    biases: tuple[Whole, Whole, Whole]

    def evaluate(
        self, batch: Batch, constants: tuple[int, ...], phase: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Table of the rest that the prediction leaves, and the class of its sign, for every place of a batch."""
        first, second, third = self.weights
        shared = self.biases[0][phase] + first[phase][:, ROWS:] @ np.array(constants, dtype=np.float32)
        hidden = _activation(first[phase][:, batch.numbers] @ batch.rows + shared[:, None], SHIFTS[0])
        hidden = _activation(second @ hidden + self.biases[1][:, None], SHIFTS[1])
        outputs = third @ hidden + self.biases[2][:, None]
        outputs *= _OUTPUT_SCALES
        table, sign = np.floor(outputs, out=outputs)
        middle = SIGN_CLASSES // 2
        sign *= batch.directions
        return _within(table, 1, TABLES - 1).astype(np.uint8), (_within(sign, -middle, middle) + middle).astype(
            np.uint8
        )


@lru_cache(maxsize=1)
def shipped_network() -> ContextNetwork:
    """The network of the package, made by `scripts/train_context.py`; part of the format."""
    with np.load(WEIGHTS_FILE, allow_pickle=False) as stored:
        arrays = [stored[f"{kind}{layer}"].astype(np.float32) for kind in ("weights", "biases") for layer in range(3)]
    if arrays[0].shape != (len(PHASES), HIDDEN, ROWS + CONSTANTS):
        raise ValueError(f"{WEIGHTS_FILE.name} has a first layer {arrays[0].shape}: it is not of this version")
    return ContextNetwork((arrays[0], arrays[1], arrays[2]), (arrays[3], arrays[4], arrays[5]))


def _activation(sums: Whole, shift: int) -> Whole:
    """Halved, rounded down, within 0 and 255; in place."""
    sums *= np.float32(2.0**-shift)
    return _within(np.floor(sums, out=sums), 0, 255)


def _within(values: Whole, low: int, high: int) -> Whole:
    """In place."""
    np.maximum(values, np.float32(low), out=values)
    return np.minimum(values, np.float32(high), out=values)

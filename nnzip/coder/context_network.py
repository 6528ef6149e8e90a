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

from nnzip.coder.arrays import Array, Device, move_beside, namespace, place
from nnzip.coder.context import CONSTANTS, ROWS, Batch
from nnzip.coder.entropy import SIGN_CLASSES, TABLES
from nnzip.coder.phases import PHASES

HIDDEN = 32
OUTPUTS = 2

SHIFTS = (4, 6, 9, 10)
"""Halvings after the first and second layer, and of the two outputs: table, and class of the sign."""

WEIGHTS_FILE = Path(__file__).with_name("context_network.npz")


@dataclass(frozen=True)
class ContextNetwork:
    """Whole numbers, carried in float32: first [phase, HIDDEN, ROWS + CONSTANTS], second [HIDDEN, HIDDEN], third
    [OUTPUTS, HIDDEN] within -127 and 127, and the biases first [phase, HIDDEN], second [HIDDEN], third [OUTPUTS]."""

    weights: tuple[Array, Array, Array]
    biases: tuple[Array, Array, Array]

    def evaluate(self, batch: Batch, constants: tuple[int, ...], phase: int) -> tuple[Array, Array]:
        """Table of the rest that the prediction leaves, and the class of its sign, uint8 for every place of a batch."""
        xp = namespace(batch.rows)
        first, second, third = self.weights
        given = move_beside(first, np.array(constants, dtype=np.float32))
        shared = self.biases[0][phase] + first[phase][:, ROWS:] @ given
        hidden = _activation(first[phase][:, batch.numbers] @ batch.rows + shared[:, None], SHIFTS[0])
        hidden = _activation(second @ hidden + self.biases[1][:, None], SHIFTS[1])
        table, sign = third @ hidden + self.biases[2][:, None]
        middle = SIGN_CLASSES // 2
        table = xp.floor(table * 2.0 ** -SHIFTS[2]).clip(1, TABLES - 1)
        sign = (xp.floor(sign * 2.0 ** -SHIFTS[3]) * batch.directions).clip(-middle, middle) + middle
        return xp.asarray(table, dtype=xp.uint8), xp.asarray(sign, dtype=xp.uint8)


@lru_cache(maxsize=4)
def shipped_network(device: Device = None) -> ContextNetwork:
    """The network of the package, made by `scripts/train_context.py`; part of the format."""
    with np.load(WEIGHTS_FILE, allow_pickle=False) as stored:
        arrays = [
            place(stored[f"{kind}{layer}"].astype(np.float32), device)
            for kind in ("weights", "biases")
            for layer in range(3)
        ]
    if arrays[0].shape != (len(PHASES), HIDDEN, ROWS + CONSTANTS):
        raise ValueError(f"{WEIGHTS_FILE.name} has a first layer {arrays[0].shape}: it is not of this version")
    return ContextNetwork((arrays[0], arrays[1], arrays[2]), (arrays[3], arrays[4], arrays[5]))


def _activation(sums: Array, shift: int) -> Array:
    """Halved, rounded down, within 0 and 255; in place."""
    xp = namespace(sums)
    sums *= 2.0**-shift
    return xp.clip(xp.floor(sums, out=sums), 0, 255, out=sums)

"""The context network: from what surrounds a coefficient to its probability table, in exact integers.

Two hidden layers with int8 weights; the first layer has its own weights for every phase. Activations are whole numbers
from 0 to 255. Sums stay below 2^24, so float32 carries them exactly in any order, and halvings round down: every
machine, thread count and batch size gives the same tables (rule 0 of the design).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnzip.coder.arrays import Array, Device, move_beside, namespace, place
from nnzip.coder.context import ROWS, Batch
from nnzip.coder.context_weights import stored_network
from nnzip.coder.entropy import SIGN_CLASSES, TABLES

HIDDEN = 32
OUTPUTS = 2

SHIFTS = (4, 6, 9, 10)
"""Halvings after the first and second layer, and of the two outputs: table, and class of the sign."""


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
    """The network of the package, on a device."""
    (w0, w1, w2), (b0, b1, b2) = (
        tuple(place(array.astype(np.float32), device) for array in layers) for layers in stored_network()
    )
    return ContextNetwork((w0, w1, w2), (b0, b1, b2))


def _activation(sums: Array, shift: int) -> Array:
    """Halved, rounded down, within 0 and 255; in place."""
    xp = namespace(sums)
    sums *= 2.0**-shift
    return xp.clip(xp.floor(sums, out=sums), 0, 255, out=sums)

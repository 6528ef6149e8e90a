"""Weights and biases of the context network as they are stored; part of the format."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WEIGHTS_FILE = Path(__file__).with_name("context_network.npz")
"""Made by `scripts/train_context`."""

SHAPES = ((8, 32, 36), (32, 32), (2, 32)), ((8, 32), (32,), (2,))
"""Of the weights and of the biases: [phase, hidden, inputs], [hidden, hidden], [outputs, hidden]."""

Layers = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]


@lru_cache(maxsize=1)
def stored_network() -> tuple[Layers, Layers]:
    """Weights within -127 and 127, and biases, whole numbers of the three layers."""
    with np.load(WEIGHTS_FILE, allow_pickle=False) as stored:
        found = [tuple(stored[f"{kind}{layer}"] for layer in range(3)) for kind in ("weights", "biases")]
    for arrays, shapes in zip(found, SHAPES, strict=True):
        for array, shape in zip(arrays, shapes, strict=True):
            if array.shape != shape:
                raise ValueError(f"{WEIGHTS_FILE.name} has a layer {array.shape}, this version has {shape}")
    (w0, w1, w2), (b0, b1, b2) = found
    return (w0, w1, w2), (b0, b1, b2)

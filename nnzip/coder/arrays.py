"""The same array code on a processor (numpy, quick for small arrays) and on a GPU (torch), in exact integers.

`Array` is a numpy array or a torch tensor on a GPU: what is written with operators, slices, methods and functions that
both have (`namespace`) gives the same whole numbers on both. This module holds the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = Any
"""A numpy array, or a tensor on a GPU."""

NUMPY_DEVICES = frozenset({"cpu"})


def as_array(tensor: Tensor) -> Array:
    """A tensor as what array code takes: on a processor a numpy view of its memory."""
    return tensor.numpy() if tensor.device.type in NUMPY_DEVICES else tensor


def namespace(array: Array) -> Any:
    """The module with the array's functions: numpy or torch."""
    return torch if isinstance(array, Tensor) else np


def device_of(array: Array) -> torch.device:
    """Where an array is."""
    return array.device if isinstance(array, Tensor) else torch.device("cpu")


def zeros_beside(array: Array, shape: tuple[int, ...], dtype: str) -> Array:
    """Zeros of a numpy type by name, where `array` is."""
    if isinstance(array, Tensor):
        return torch.zeros(shape, dtype=getattr(torch, dtype), device=array.device)
    return np.zeros(shape, dtype=dtype)


def move_beside(array: Array, values: NDArray[Any]) -> Array:
    """`values` where `array` is."""
    return torch.from_numpy(values).to(array.device) if isinstance(array, Tensor) else values


def to_numpy(array: Array) -> NDArray[Any]:
    """In the processor's memory."""
    return array.cpu().numpy() if isinstance(array, Tensor) else array


def flat_nonzero(array: Array) -> Array:
    """Flat positions, int64, of what is not zero."""
    return torch.nonzero(array.reshape(-1)).reshape(-1) if isinstance(array, Tensor) else np.flatnonzero(array)

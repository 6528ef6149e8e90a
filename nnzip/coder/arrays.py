"""The same array code on a processor (numpy) and on a GPU (torch), in exact integers.

`Array` is a numpy array, or a torch tensor on a GPU: operators, slices, methods and functions that both have
(`namespace`) give the same whole numbers on both. torch is imported only where a tensor or a GPU is at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""A numpy array, or a tensor on a GPU."""

Device = Any
"""None for the processor, or a torch device."""


def namespace(array: Array) -> Any:
    """The module with the array's functions: numpy or torch."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def device_of(array: Array) -> Device:
    """The device of an array."""
    return None if isinstance(array, np.ndarray) else array.device


def place(values: NDArray[Any], device: Device) -> Array:
    """`values` on a device."""
    if device is None:
        return values
    import torch

    return torch.from_numpy(values).to(device)


def zeros_beside(array: Array, shape: tuple[int, ...], dtype: str) -> Array:
    """Zeros of a numpy type by name, on the device of `array`."""
    if isinstance(array, np.ndarray):
        return np.zeros(shape, dtype=dtype)
    import torch

    return torch.zeros(shape, dtype=getattr(torch, dtype), device=array.device)


def move_beside(array: Array, values: NDArray[Any]) -> Array:
    """`values` on the device of `array`."""
    return place(values, device_of(array))


def to_numpy(array: Array) -> NDArray[Any]:
    """In the processor's memory."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def flat_nonzero(array: Array) -> Array:
    """Flat positions, int64, of the elements that are not zero."""
    if isinstance(array, np.ndarray):
        return np.flatnonzero(array)
    return namespace(array).nonzero(array.reshape(-1)).reshape(-1)

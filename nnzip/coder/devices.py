"""Which device computes contexts: the processor, or a GPU where that is asked for and computes the same integers."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np

from nnzip.coder.arrays import Device
from nnzip.coder.bands import wavelet_bands
from nnzip.coder.contexts import find_contexts
from nnzip.errors import UnavailableError


def resolve_device(name: str) -> Device:
    """The device called `name`: None (the processor) for "auto" and "cpu", torch's for "cuda".

    Raises UnavailableError for "cuda" where it does not work.
    """
    if name != "cuda":
        return None
    problem = cuda_problem()
    if problem is not None:
        raise UnavailableError(
            f"no CUDA device can be used: {problem}. Use --device cpu; `nnzip doctor` says what is missing"
        )
    import torch

    return torch.device("cuda")


@lru_cache(maxsize=1)
def cuda_problem() -> str | None:
    """Why CUDA does not work here (no GPU, a driver too old, torch without CUDA) in one line; None where it works.

    Runs kernels, once per process: a torch that was not built for this GPU fails only then, and a GPU whose contexts
    are not those of the processor must not code. Takes up to seconds.
    """
    try:
        import torch
    except ImportError:
        return "torch is not installed (pip install 'nnzip[gpu]')"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warnings come as errors too
        try:
            torch.ones(1, device="cuda").add_(1).item()
            exact = contexts_are_exact(torch.device("cuda"))
        except (RuntimeError, AssertionError) as error:
            return str(error).strip().splitlines()[0].rstrip(".")
    return None if exact else "its whole numbers differ from the processor's, so nothing else could read its archives"


def contexts_are_exact(device: Device) -> bool:
    """Whether `device` finds the contexts of the processor for integers that use every part of the model.

    Cost: 0.2 s on the processor, and the start of the device.
    """
    shape = (9, 60, 121)
    number = np.arange(np.prod(shape), dtype=np.uint64)
    mixed = (number * np.uint64(2654435761) % np.uint64(1 << 32)).astype(np.int64)
    sizes = np.where(mixed % 11 == 0, mixed % 97 - 48, np.where(mixed % 3 == 0, mixed % 5 - 2, 0))
    reference = sizes.astype(np.int32).reshape(shape)
    values, bands = np.roll(reference, 1, 2) + reference // 2, wavelet_bands(shape, (0, 2, 2))
    expected, found = (find_contexts(values, bands, reference, where)[0] for where in (None, device))
    return all(
        np.array_equal(here, there)
        for here, there in (
            (found.offsets, expected.offsets),
            (found.tables, expected.tables),
            (found.classes, expected.classes),
        )
    )

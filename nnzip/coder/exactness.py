"""Does a device compute the coder's contexts as every other machine does? One that does not must neither code nor
decode: its archives could be read nowhere else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nnzip.coder.bands import Bands, wavelet_bands
from nnzip.coder.coefficients import plan_coding


def contexts_are_exact(device: torch.device) -> bool:
    """Whether `device` finds the same contexts as the processor for integers that use every part of the model.

    Cost: 0.2 s on the processor, and what the device takes to start.
    """
    coefficients, reference, bands = followers((9, 60, 121))
    expected = plan_coding(coefficients, bands, reference)
    found = plan_coding(coefficients.to(device), bands, reference.to(device))
    return all(
        torch.equal(here.cpu(), there)
        for here, there in (
            (found.offsets, expected.offsets),
            (found.tables, expected.tables),
            (found.classes, expected.classes),
        )
    )


def followers(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Bands]:
    """Coefficients that resemble those of a reference, the reference, and the subbands of both."""
    reference, bands = integers(shape)
    return torch.roll(reference, 1, 2) + reference // 2, reference, bands


def integers(shape: tuple[int, int, int]) -> tuple[Tensor, Bands]:
    """Coefficients from integer arithmetic alone, more than half of them zero, and their subbands."""
    number = np.arange(np.prod(shape), dtype=np.uint64)
    mixed = (number * np.uint64(2654435761) % np.uint64(1 << 32)).astype(np.int64)
    sizes = np.where(mixed % 11 == 0, mixed % 97 - 48, np.where(mixed % 3 == 0, mixed % 5 - 2, 0))
    return torch.from_numpy(sizes.astype(np.int32).reshape(shape)), wavelet_bands(shape, (0, 2, 2))

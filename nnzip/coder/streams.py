"""Which reader a payload's coefficient streams need: the context model that they were coded with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nnzip.coder.bands import Bands
from nnzip.coder.coefficients import decode_coefficients
from nnzip.coder.linear_coefficients import decode_linear
from nnzip.errors import CorruptArchiveError

Reader = Callable[[bytes, tuple[int, ...], Bands, Tensor | None, torch.device], Tensor]
"""(stream, shape, subbands, coefficients of the reference, device) -> int32 coefficients; or CorruptArchiveError."""

CONTEXT = 2
"""The context model of the streams that are written."""

READERS: dict[int, Reader] = {1: decode_linear, CONTEXT: decode_coefficients}
"""1: the linear rule of format 1, also where a payload names none; 2: prediction and network."""


def reader(context: int) -> Reader:
    """The reader for a payload that names this context model."""
    if context not in READERS:
        raise CorruptArchiveError(f"a payload names the context model {context}; there are {sorted(READERS)}")
    return READERS[context]

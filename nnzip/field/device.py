"""Which device computes."""

from __future__ import annotations

import torch

from nnzip.errors import UnavailableError


def resolve_device(name: str) -> torch.device:
    """The device called `name`: "auto" (CUDA if there is one), "cpu" or "cuda".

    Raises UnavailableError for "cuda" without one.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UnavailableError(
            "there is no CUDA device on this machine (or torch was built without CUDA): use --device cpu"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")

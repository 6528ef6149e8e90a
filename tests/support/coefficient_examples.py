"""Coefficients as numpy arrays, through the coder of tensors, and its code for a GPU on the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder import arrays, context, context_network
from nnzip.coder.bands import Bands
from nnzip.coder.coefficients import CodingPlan, decode_coefficients, encode_coefficients, plan_coding

Integers = NDArray[np.int32]


def tensor(values: Integers) -> Tensor:
    return torch.from_numpy(values)


def plan(values: Integers, bands: Bands, reference: Integers | None = None) -> CodingPlan:
    return plan_coding(tensor(values), bands, None if reference is None else tensor(reference))


def encode(values: Integers, bands: Bands, reference: Integers | None = None) -> bytes:
    return encode_coefficients(tensor(values), bands, plan(values, bands, reference))


def decode(data: bytes, shape: tuple[int, ...], bands: Bands, reference: Integers | None = None) -> Integers:
    other = None if reference is None else tensor(reference)
    return np.asarray(decode_coefficients(data, shape, bands, other, torch.device("cpu")).numpy())


@contextmanager
def code_of_a_gpu() -> Iterator[None]:
    """Inside, contexts are computed as on a GPU: with torch instead of numpy."""
    made = (
        context._steps,
        context._signed_classes,
        context._pairs,
        context._star_sums,
        context_network.shipped_network,
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arrays, "NUMPY_DEVICES", frozenset())
            for cached in made:
                cached.cache_clear()
            yield
    finally:
        for cached in made:
            cached.cache_clear()

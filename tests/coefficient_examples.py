"""Coefficients as numpy arrays, through the coder of tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.transform.bands import Bands
from nnzip.transform.coefficients import CodingPlan, decode_coefficients, encode_coefficients, plan_coding

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

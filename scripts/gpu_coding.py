"""The coder of the detail layer on a GPU against the processor: equal bytes, equal integers, and how fast."""

from __future__ import annotations

import hashlib

import torch
from nnzip.coder.coefficients import decode_coefficients, encode_coefficients, plan_coding
from nnzip.coder.exactness import followers, integers
from nnzip.field.device import CPU
from nnzip.field.selftest import fastest
from torch import Tensor

from nnzip.coder.bands import Bands


def coded_alike(device: torch.device) -> dict[str, int]:
    """Integers coded on one device and decoded on another: how many differ (none may), and whether the bytes do."""
    coefficients, reference, bands = followers((9, 90, 181))
    devices = {CPU.type: CPU, device.type: device}
    coded = {name: _coded(coefficients.to(where), bands, reference.to(where)) for name, where in devices.items()}
    found = {}
    for maker, data in coded.items():
        for reader, where in devices.items():
            decoded = decode_coefficients(data, tuple(coefficients.shape), bands, reference.to(where), where)
            wrong = int((decoded.cpu() != coefficients).sum())
            found[f"coefficients coded on {maker} that {reader} decodes otherwise"] = wrong
    found["devices whose coder writes other bytes"] = sum(data != coded[CPU.type] for data in coded.values())
    return found


def coding_rates(device: torch.device, values: int) -> dict[str, float]:
    """Coefficients per second of about so many: their contexts alone, and decoding them."""
    side = max(int((values / 8) ** 0.5), 16)
    coefficients, bands = integers((8, side, side))
    data = _coded(coefficients, bands)
    here = coefficients.to(device)

    def decode() -> None:
        decode_coefficients(data, tuple(coefficients.shape), bands, None, device)

    rates = {
        "contexts": fastest(lambda: plan_coding(here, bands), device),
        "decoding of integers": fastest(decode, device),
    }
    return {what: coefficients.numel() / seconds for what, seconds in rates.items()}


def entropy_digest() -> str:
    """SHA-256 of fixed integers as they are coded: the same on every machine."""
    return hashlib.sha256(_coded(*integers((5, 24, 40)))).hexdigest()


def _coded(coefficients: Tensor, bands: Bands, reference: Tensor | None = None) -> bytes:
    return encode_coefficients(coefficients, bands, plan_coding(coefficients, bands, reference))

"""Volumes of coefficients, one at a time or behind a reference."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.bands import Bands
from nnzip.coder.volumes import Layout, Plan, decode_volumes, encode_volumes, plan_volume

Integers = NDArray[np.int32]
Streams = list[bytes]

CODE_OF_A_GPU = torch.device("cpu")
"""A device on which torch computes contexts as on a GPU."""


def layout_of(values: Integers, bands: Bands, reference: Integers | None = None) -> Layout:
    """Of a volume alone, or behind its reference."""
    return Layout(values.shape, bands, (None,) if reference is None else (None, 0))


def plans(values: Integers, bands: Bands, reference: Integers | None = None, device: Device = None) -> list[Plan]:
    """Of the reference, if there is one, and of the volume."""
    alone = [] if reference is None else [plan_volume(reference, bands, None, device)]
    return [*alone, plan_volume(values, bands, reference, device)]


def encode(values: Integers, bands: Bands, reference: Integers | None = None, device: Device = None) -> Streams:
    """The streams of a volume, behind its reference."""
    return encode_volumes(plans(values, bands, reference, device), layout_of(values, bands, reference))


def decode(
    streams: Streams, values: Integers, bands: Bands, reference: Integers | None = None, device: Device = None
) -> Integers:
    """The last volume, for the shape of `values`."""
    last: Integers = decode_volumes(streams, layout_of(values, bands, reference), device)[-1]
    return last


def size(values: Integers, bands: Bands, reference: Integers | None = None) -> int:
    """Bytes of a volume, beyond those of its reference."""
    before = 0 if reference is None else size(reference, bands)
    return sum(map(len, encode(values, bands, reference))) - before

"""Values for missing points that cost the field next to nothing: averages of what surrounds them, near to far."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def fill_missing(values: Tensor, missing: Tensor) -> Tensor:
    """`values` [channel, time, lat, lon] with the points of `missing` (same shape, bool) replaced.

    Known values are returned unchanged; frames where nothing is known become zero. A masked pyramid: 2 x 2 means of
    the known points, coarser and coarser until none is missing, then back with linear interpolation.
    """
    if not missing.any():
        return values
    shape = values.shape
    filled = torch.where(missing, torch.zeros_like(values), values).reshape(-1, 1, *shape[2:])
    known = (~missing).to(values.dtype).reshape(-1, 1, *shape[2:])
    return _fill(filled, known).reshape(shape)


def _fill(values: Tensor, known: Tensor) -> Tensor:
    """One level: values where known, elsewhere the next coarser level's."""
    if min(values.shape[2:]) < 2 or bool((known > 0).all()):
        total = known.sum(dim=(2, 3), keepdim=True)
        mean = (values * known).sum(dim=(2, 3), keepdim=True) / total.clamp_min(1.0)
        return torch.where(known > 0, values, mean)
    weight = functional.avg_pool2d(known, 2, ceil_mode=True)
    coarse = functional.avg_pool2d(values * known, 2, ceil_mode=True) / weight.clamp_min(1e-9)
    coarse = _fill(coarse, (weight > 0).to(values.dtype))
    fine = functional.interpolate(coarse, size=values.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, values, fine)

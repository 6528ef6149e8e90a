"""Packed data: floats that the source stores as scaled integers (CF conventions 1.11, section 8.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

RANGE_ATTRIBUTES = ("valid_min", "valid_max", "valid_range", "actual_range")


def is_packed(variable: xr.Variable) -> bool:
    """True for floats that the source stores as scaled integers."""
    packed = np.dtype(variable.encoding.get("dtype", variable.dtype))
    has_scale = "scale_factor" in variable.encoding or "add_offset" in variable.encoding
    return variable.dtype.kind == "f" and packed.kind in "iu" and has_scale


def unpacked_attributes(variable: xr.Variable) -> dict[str, Any]:
    """Attributes of a decoded variable as they should stand beside unpacked values.

    Ranges given in packed integers (CF: valid_min, valid_max, valid_range in the packed type) are unpacked, in the
    type of the values. A second call changes nothing.
    """
    attrs = {str(key): value for key, value in variable.attrs.items()}
    if not is_packed(variable):
        return attrs
    scale = np.float64(variable.encoding.get("scale_factor", 1.0))
    offset = np.float64(variable.encoding.get("add_offset", 0.0))
    for key in RANGE_ATTRIBUTES:
        value = np.asarray(attrs[key]) if key in attrs else None
        if value is not None and value.dtype.kind in "iu":
            attrs[key] = (value * scale + offset).astype(variable.dtype)[()]
    return attrs

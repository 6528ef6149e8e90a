"""Whole variables as arrays [channel, time, latitude, longitude], and back."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grouping import Group, GroupDims, VariableLayout, read_box


def stack(dataset: xr.Dataset, group: Group) -> NDArray[np.floating]:
    """All values of a group; the channels of its variables one after another."""
    ranges = [range(size) for size in group.shape[1:]]
    parts = [read_box(dataset, group, layout, range(layout.channels), *ranges) for layout in group.variables]
    return np.concatenate(parts)


def unstack(values: NDArray[np.floating], layout: VariableLayout, group_dims: GroupDims) -> NDArray[np.floating]:
    """Inverse of `stack` for one variable, in the source's order of dimensions."""
    dims = [*layout.channel_dims, *(dim for dim in group_dims if dim is not None)]
    horizontal = values.shape[1:] if group_dims[0] is not None else values.shape[2:]
    shaped = values.reshape(*layout.channel_shape, *horizontal)
    return np.ascontiguousarray(shaped.transpose([dims.index(dim) for dim in layout.dims]), dtype=layout.dtype)

"""The `expver` dimension of older files that mix final ERA5 (1) with preliminary ERA5T (5): one value per time again.

Files of the Climate Data Store until 2024 put both versions along a dimension, each missing where the other one is.
Current files have one value per time, and `expver` as a coordinate along time.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnzip.data.conventions import arranged

NAME = "expver"
COMMENT = "final ERA5 (expver 1) where it exists, else ERA5T (expver 5)"
_FINAL, _PRELIMINARY = 1, 5


def has_versions(dataset: xr.Dataset) -> bool:
    """True when `dataset` holds final ERA5 and ERA5T along a dimension `expver`."""
    if NAME not in dataset.dims or NAME not in dataset.coords:
        return False
    return sorted(_numbers(dataset)) == [_FINAL, _PRELIMINARY]


def merge_versions(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` without the dimension `expver`: final values where there are any, preliminary ones elsewhere.

    Lazy where the variables are dask arrays. The variables say so in the attribute `expver`.
    """
    numbers = _numbers(dataset)
    final, preliminary = (dataset.isel({NAME: numbers.index(n)}, drop=True) for n in (_FINAL, _PRELIMINARY))
    merged = dataset.drop_dims(NAME)
    for name, variable in dataset.data_vars.items():
        if NAME not in variable.dims:
            continue
        first, second = final[name], preliminary[name]
        combined = first.where(first.notnull(), second) if variable.dtype.kind == "f" else first
        combined.attrs = {**variable.attrs, NAME: COMMENT}
        combined.encoding = {key: value for key, value in variable.encoding.items() if not _is_shape(key)}
        merged[name] = combined
    return arranged(merged, map(str, dataset.data_vars))


def _numbers(dataset: xr.Dataset) -> list[int]:
    """expver values as integers; 0 if not numeric."""
    found = []
    for value in np.atleast_1d(dataset[NAME].to_numpy()):
        text = str(value.decode() if isinstance(value, bytes) else value).strip()
        found.append(int(text) if text.isdigit() else 0)
    return found


def _is_shape(key: str) -> bool:
    """True for encodings that belong to the former dimensions."""
    return key in ("chunksizes", "preferred_chunks", "original_shape", "contiguous", "chunks")

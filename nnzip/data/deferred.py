"""Stored variables that are read and decoded when their values are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

from nnzip.data.skeleton import EXACTLY, Decoding, RawArray, decode

Read = Callable[[], NDArray[Any]]


def deferred(
    name: str,
    dims: tuple[str, ...],
    attrs: Mapping[str, Any],
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    read: Read,
    how: Decoding = EXACTLY,
) -> xr.Variable:
    """As `skeleton.decode` of a raw array of this type and shape, whose values `read` gives; it is called once.

    Raises CorruptArchiveError for attributes that `skeleton.to_raw` does not write; so does reading, for values.
    """
    none = decode(name, RawArray(dims, dict(attrs), np.empty((0,) * len(dims), dtype)), how)
    lazy = _Deferred(name, dims, attrs, none.dtype, shape, read, how)
    return xr.Variable(dims, indexing.LazilyIndexedArray(lazy), none.attrs, none.encoding)


class _Deferred(BackendArray):
    """Values of a stored variable, kept once they were used; picklable without them."""

    def __init__(
        self,
        name: str,
        dims: tuple[str, ...],
        attrs: Mapping[str, Any],
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        read: Read,
        how: Decoding,
    ) -> None:
        self._arguments = name, dims, attrs, dtype, shape, read, how
        self.dtype, self.shape = dtype, shape

    def __reduce__(self) -> tuple[type[_Deferred], tuple[Any, ...]]:
        return _Deferred, self._arguments

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, lambda basic: self._values[basic]
        )

    @cached_property
    def _values(self) -> NDArray[Any]:
        name, dims, attrs, _, _, read, how = self._arguments
        values: NDArray[Any] = decode(name, RawArray(dims, dict(attrs), read()), how).values
        return values

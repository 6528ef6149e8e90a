"""The native kernel as Python objects: the format's fixed numbers, and coded streams.

What a call is given is checked here (types, shapes) and in C (numbers). An object is used by one thread at a time;
different ones by different threads at once.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.context_weights import stored_network
from nnzip.coder.expected_weights import WEIGHTS
from nnzip.coder.native.library import NUMPY, chosen_path, library, paths
from nnzip.errors import CorruptArchiveError

Bytes = NDArray[np.uint8]

TABLES = 72

_MEMORY, _ARGUMENT, _BEYOND = 1, 2, 3  # of kernel.h
_SHAPES = ((8, 32, 36), (8, 32), (32, 32), (32,), (2, 32), (2,))


class Kernel:
    """One path of the library, with the context network and the weights of the expected magnitude."""

    def __init__(self, path: str, layers: Sequence[NDArray[Any]], expected: NDArray[np.int32]) -> None:
        """`layers`: weights and biases of the network in turn, whole numbers [phase, 32, 36], [phase, 32], [32, 32],
        [32], [2, 32], [2]. `expected`: int32 [2, 2, phase, 8], as `linear_weights`."""
        found = library()
        if found is None or path not in paths():
            raise ValueError(f"there is no compiled kernel for {path} here")
        self.path = path
        self.library: ctypes.CDLL = found
        kinds = 3 * (np.int8, np.int32)
        arrays = [
            np.ascontiguousarray(layer, dtype=kind).reshape(shape)
            for layer, kind, shape in zip(layers, kinds, _SHAPES, strict=True)
        ]
        arrays.append(np.ascontiguousarray(expected, dtype=np.int32).reshape(2, 2, 8, 8))
        self.model = made(found.nnz_model_new(paths().index(path), *(array.ctypes.data for array in arrays)))
        weakref.finalize(self, found.nnz_model_free, self.model)

    def frequencies(self, table: int) -> tuple[int, ...]:
        """As `entropy.frequencies`."""
        limit = self.library.nnz_table_limit(self.model, table)
        found = np.zeros(limit + 2, dtype=np.uint32)
        check(self.library.nnz_table_frequencies(self.model, table, found.ctypes.data))
        return tuple(found.tolist())


def shipped_kernel() -> Kernel | None:
    """The kernel with the network of the package, on the path this process takes, or None where that is numpy."""
    return _kernel(chosen_path())


@lru_cache(maxsize=4)
def _kernel(path: str) -> Kernel | None:
    if path == NUMPY:
        return None
    weights, biases = stored_network()
    layers = [layer for both in zip(weights, biases, strict=True) for layer in both]
    return Kernel(path, layers, np.array(WEIGHTS, dtype=np.int32))


class Encoder:
    """A coded stream in the making; what is pushed last is read first."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._library = kernel, kernel.library
        self.handle = made(self._library.nnz_encoder_new(kernel.model))
        weakref.finalize(self, self._library.nnz_encoder_free, self.handle)

    def push(self, symbols: NDArray[np.integer], tables: Bytes, both_signs: bool) -> None:
        """A chunk of symbols, each under its table [same shape]: of both signs (int32), or magnitudes."""
        if symbols.size != tables.size:
            raise ValueError(f"{symbols.size} symbols with {tables.size} tables")
        values, kinds = np.ascontiguousarray(symbols, dtype=np.int64), np.ascontiguousarray(tables, dtype=np.uint8)
        if kinds.size and kinds.max() >= TABLES:
            raise ValueError(f"table {kinds.max()} is asked for; the last one is {TABLES - 1}")
        check(self._library.nnz_push(self.handle, values.ctypes.data, kinds.ctypes.data, values.size, both_signs))

    def push_signs(self, positive: NDArray[np.bool_], classes: Bytes) -> None:
        """A chunk of signs, each under its class [same shape]."""
        if positive.size != classes.size:
            raise ValueError(f"{positive.size} signs with {classes.size} classes")
        signs, kinds = np.ascontiguousarray(positive, dtype=np.uint8), np.ascontiguousarray(classes, dtype=np.uint8)
        check(self._library.nnz_push_signs(self.handle, signs.ctypes.data, kinds.ctypes.data, signs.size))

    def to_bytes(self) -> bytes:
        """The stream."""
        stream = np.empty(self._library.nnz_encoder_size(self.handle), dtype=np.uint8)
        self._library.nnz_encoder_bytes(self.handle, stream.ctypes.data)
        return stream.tobytes()


class Decoder:
    """Inverse of `Encoder`. Raises CorruptArchiveError for a stream that no encoder writes."""

    def __init__(self, kernel: Kernel, data: bytes) -> None:
        if not data:
            raise CorruptArchiveError("a coded stream is empty")
        if data[-1] == 0:
            raise CorruptArchiveError("a coded stream ends in a zero byte, which no encoder writes")
        self._kernel, self._library = kernel, kernel.library
        self.handle = made(self._library.nnz_decoder_new(kernel.model, data, len(data)))
        weakref.finalize(self, self._library.nnz_decoder_free, self.handle)
        self._few_tables, self._few = np.empty(TABLES, dtype=np.uint8), np.empty(TABLES, dtype=np.int64)
        self._places = self._few_tables.ctypes.data, self._few.ctypes.data

    def pop(self, tables: Bytes, both_signs: bool) -> NDArray[np.int64]:
        """The next chunk of symbols, in the shape of `tables`."""
        kinds = np.ascontiguousarray(tables, dtype=np.uint8)
        symbols = np.empty(kinds.shape, dtype=np.int64)
        check(self._library.nnz_pop(self.handle, kinds.ctypes.data, kinds.size, both_signs, symbols.ctypes.data))
        return symbols

    def pop_few(self, table: int, count: int) -> NDArray[np.int64]:
        """The next chunk of up to TABLES symbols of both signs under one table. Cheaper than `pop`."""
        if not 0 <= table < TABLES or not 0 <= count <= TABLES:
            raise ValueError(f"{count} symbols under table {table}; there are at most {TABLES} of each")
        self._few_tables[:count] = table
        check(self._library.nnz_pop(self.handle, self._places[0], count, True, self._places[1]))
        return self._few[:count].copy()

    def pop_signs(self, classes: Bytes) -> NDArray[np.bool_]:
        """The next chunk of signs, in the shape of `classes`."""
        kinds = np.ascontiguousarray(classes, dtype=np.uint8)
        positive = np.empty(kinds.shape, dtype=np.bool_)
        check(self._library.nnz_pop_signs(self.handle, kinds.ctypes.data, kinds.size, positive.ctypes.data))
        return positive

    @property
    def read(self) -> int:
        """How many symbols were read, signs not counted."""
        return int(self._library.nnz_decoder_read(self.handle))

    @property
    def finished(self) -> bool:
        """Whether everything was read and the coder is back in its first state."""
        return bool(self._library.nnz_decoder_finished(self.handle))


def made(handle: int | None) -> int:
    """What a maker of the library returned. Raises MemoryError when it made nothing."""
    if handle is None:
        raise MemoryError("the native kernel could not get the memory it needs, or was given sizes it refuses")
    return handle


def check(code: int) -> None:
    """Raise the error that a function of the library returned."""
    if code == _MEMORY:
        raise MemoryError("the native kernel could not get the memory it needs")
    if code == _BEYOND:
        raise CorruptArchiveError("a coded stream holds a coefficient beyond 32 bits")
    if code == _ARGUMENT:
        raise ValueError("the native kernel was given a number outside its range")

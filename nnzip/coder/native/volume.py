"""The native context model of volumes of coefficients."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bands import Bands, corners
from nnzip.coder.entropy import rest_lengths
from nnzip.coder.native.kernel import Bytes, Decoder, Encoder, Kernel, check, made
from nnzip.coder.rounding import Rounding

Integers = NDArray[np.int32]

_FIELDS = 13  # NNZ_BAND_FIELDS of kernel.h


@dataclass(frozen=True)
class Planned:
    """Coefficients and how they would be coded, [axis, lat, lon] each: see `contexts.Contexts`."""

    values: Integers
    offsets: NDArray[np.int16]
    tables: Bytes
    classes: Bytes


class Volumes:
    """`count` volumes in one layout. Subbands come in their order, each once; those that are empty are left out. A
    `reference`: int32 coefficients of another volume, always the same one, or None."""

    def __init__(self, kernel: Kernel, shape: tuple[int, ...], bands: Bands, count: int = 1) -> None:
        self._kernel, self._library, self._shape, self._bands = kernel, kernel.library, shape, len(bands)
        sizes, fields = np.array(shape, dtype=np.int32), _band_fields(bands)
        self.handle = made(
            self._library.nnz_volume_new(kernel.model, sizes.ctypes.data, fields.ctypes.data, len(bands), count)
        )
        weakref.finalize(self, self._library.nnz_volume_free, self.handle)

    def plan(
        self,
        planned: Planned,
        reference: Integers | None,
        heard: NDArray[np.int64],
        silent: NDArray[np.int64],
        signs: NDArray[np.int64],
        large: NDArray[np.int64],
        away: NDArray[np.int64],
        rounding: Rounding | None = None,
    ) -> None:
        """Set offsets, tables and classes of all subbands of the first volume from the values, round these in place,
        and add to counts (`contexts.Counts`)."""
        values, *found = self._planned(planned)
        kinds = heard, silent, signs, large, away
        for kind, shape in zip(kinds, ((72, 1024), (self._bands, 2, 1024), (25,), (73,), (2, 2)), strict=True):
            require(kind, np.int64, shape)
        counts = [kind.ctypes.data for kind in kinds]
        lengths, bits = rest_lengths()
        how: tuple[int | float | None, ...] = None, None, None, 0.0
        if rounding is not None:
            scaled = self._data(rounding.scaled, np.float32)
            how = scaled, lengths.ctypes.data, bits.ctypes.data, rounding.lagrangian
        check(self._library.nnz_plan(self.handle, self._optional(reference), *how, values, *found, *counts))

    def push(self, encoder: Encoder, band: int, planned: Planned, corrections: Bytes, silent: Bytes) -> None:
        """Code a planned subband. `corrections` [72]: the tables used instead of those asked for; `silent` [2]."""
        used, quiet = _tables(corrections, 72), _tables(silent, 2)
        arrays = *self._planned(planned), used.ctypes.data, quiet.ctypes.data
        check(self._library.nnz_push_band(encoder.handle, self.handle, band, *arrays))

    def pop(
        self,
        decoder: Decoder,
        number: int,
        band: int,
        values: Integers,
        reference: Integers | None,
        corrections: Bytes,
        silent: Bytes,
    ) -> None:
        """Decode a subband of a volume that is not empty into the zeros of `values`."""
        used, quiet = _tables(corrections, 72), _tables(silent, 2)
        arrays = used.ctypes.data, quiet.ctypes.data, self._optional(reference), self._data(values, np.int32)
        check(self._library.nnz_pop_band(decoder.handle, self.handle, number, band, *arrays))

    def _planned(self, planned: Planned) -> tuple[int, int, int, int]:
        return (
            self._data(planned.values, np.int32),
            self._data(planned.offsets, np.int16),
            self._data(planned.tables, np.uint8),
            self._data(planned.classes, np.uint8),
        )

    def _optional(self, reference: Integers | None) -> int | None:
        return None if reference is None else self._data(reference, np.int32)

    def _data(self, array: NDArray[Any], kind: type[np.generic]) -> int:
        require(array, kind, self._shape)
        return array.ctypes.data


def require(array: NDArray[Any], kind: type[np.generic], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless an array is as the kernel takes it."""
    if array.dtype != kind or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"an array is {array.dtype} {array.shape}, contiguous {kind.__name__} {shape} is due")


def _tables(numbers: NDArray[np.integer], count: int) -> Bytes:
    tables = np.ascontiguousarray(numbers, dtype=np.uint8)
    if tables.shape != (count,):
        raise ValueError(f"{tables.shape} tables are given where there are {count}")
    return tables


def _band_fields(bands: Bands) -> Integers:
    """As `nnz_volume_new` takes them."""
    numbers = {corners(band.where): number for number, band in enumerate(bands)}
    fields = np.zeros((len(bands), _FIELDS), dtype=np.int32)
    for row, band in zip(fields, bands, strict=True):
        row[:6] = [*(part.start for part in band.where), *(part.stop for part in band.where)]
        row[6] = len(band.parents)
        row[7 : 7 + len(band.parents)] = band.parent_axes
        row[10 : 10 + len(band.parents)] = [numbers[corners(parent)] for parent in band.parents]
    return fields

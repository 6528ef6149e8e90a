"""The native context model of one volume of coefficients."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bands import Bands, corners
from nnzip.coder.native.kernel import Bytes, Decoder, Encoder, Kernel, check, made

Integers = NDArray[np.int32]

_FIELDS = 13  # NNZ_BAND_FIELDS of kernel.h


@dataclass(frozen=True)
class Planned:
    """Coefficients and how they would be coded, [axis, lat, lon] each: see `contexts.Contexts`."""

    values: Integers
    offsets: NDArray[np.int16]
    tables: Bytes
    classes: Bytes


@dataclass(frozen=True)
class Worth:
    """Bits of a magnitude, float32 [72, 1024], and of a positive sign [25]; squared quantisation steps worth a bit."""

    lengths: NDArray[np.float32]
    signs: NDArray[np.float32]
    lagrangian: float


class Volume:
    """Subbands come in their order, each once; those that are empty are left out."""

    def __init__(self, kernel: Kernel, shape: tuple[int, ...], bands: Bands, reference: Integers | None) -> None:
        """`reference`: int32 coefficients of another volume in the same layout, or None."""
        self._kernel, self._library, self._shape = kernel, kernel.library, shape
        self._reference = reference
        sizes, fields = np.array(shape, dtype=np.int32), _band_fields(bands)
        self.handle = made(
            self._library.nnz_volume_new(
                kernel.model, sizes.ctypes.data, fields.ctypes.data, len(bands), reference is not None
            )
        )
        weakref.finalize(self, self._library.nnz_volume_free, self.handle)

    def plan(self, band: int, planned: Planned) -> None:
        """Set offsets, tables and classes of a subband from its values and those of earlier ones."""
        values, *others = self._planned(planned)
        check(self._library.nnz_plan(self.handle, band, values, self._reference_data(), *others))

    def count(
        self,
        band: int,
        planned: Planned,
        heard: NDArray[np.int64],
        silent: NDArray[np.int64],
        signs: NDArray[np.int64],
        large: NDArray[np.int64],
    ) -> None:
        """Add a planned subband to counts (`contexts.Counts`); `silent` [2, magnitude]: those of the subband."""
        kinds = heard, silent, signs, large
        for kind, shape in zip(kinds, ((72, 1024), (2, 1024), (25,), (1,)), strict=True):
            require(kind, np.int64, shape)
        arrays = *self._planned(planned), *(kind.ctypes.data for kind in kinds)
        check(self._library.nnz_count(self.handle, band, *arrays))

    def push(self, encoder: Encoder, band: int, planned: Planned, corrections: Bytes, silent: Bytes) -> None:
        """Code a planned subband. `corrections` [72]: the tables used instead of those asked for; `silent` [2]."""
        used, quiet = _tables(corrections, 72), _tables(silent, 2)
        arrays = *self._planned(planned), used.ctypes.data, quiet.ctypes.data
        check(self._library.nnz_push_band(encoder.handle, self.handle, band, *arrays))

    def shrink(
        self, band: int, planned: Planned, scaled: NDArray[np.float32], used: tuple[Bytes, Bytes], worth: Worth
    ) -> None:
        """Make values of a planned subband smaller by one where that is worth it; `scaled`: before they were rounded;
        `used`: corrections [72] and silent tables [2]."""
        values, *others = self._planned(planned)
        corrections, silent = _tables(used[0], 72), _tables(used[1], 2)
        require(worth.lengths, np.float32, (72, 1024))
        require(worth.signs, np.float32, (25,))
        check(
            self._library.nnz_shrink(
                self.handle,
                band,
                self._data(scaled, np.float32),
                *others,
                corrections.ctypes.data,
                silent.ctypes.data,
                worth.lengths.ctypes.data,
                worth.signs.ctypes.data,
                worth.lagrangian,
                values,
            )
        )

    def pop(self, decoder: Decoder, band: int, values: Integers, corrections: Bytes, silent: Bytes) -> None:
        """Decode a subband that is not empty into the zeros of `values`."""
        used, quiet = _tables(corrections, 72), _tables(silent, 2)
        arrays = used.ctypes.data, quiet.ctypes.data, self._reference_data(), self._data(values, np.int32)
        check(self._library.nnz_pop_band(decoder.handle, self.handle, band, *arrays))

    def _planned(self, planned: Planned) -> tuple[int, int, int, int]:
        return (
            self._data(planned.values, np.int32),
            self._data(planned.offsets, np.int16),
            self._data(planned.tables, np.uint8),
            self._data(planned.classes, np.uint8),
        )

    def _reference_data(self) -> int | None:
        return None if self._reference is None else self._data(self._reference, np.int32)

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

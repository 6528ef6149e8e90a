"""One tile without any loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError
from nnzip.tile import header as kinds
from nnzip.tile.header import TileHeader, pack
from nnzip.tile.samples import outer_limits
from nnzip.transform.fill import fill_missing

_VERSION = 2  # of Blosc's format, the first byte; the third one holds flags, the fourth the size of a value
_BITSHUFFLE, _ZSTANDARD = 1 << 2, 4 << 5
_CODED_AS = 1 | _BITSHUFFLE | 7 << 5  # shuffle of bytes, of bits, codec


def encode_exact(values: NDArray[np.floating], dtype: str) -> bytes:
    """Code `values` [channel, time, lat, lon] (NaN: missing) so that the numbers of type `dtype` are the same, bit by
    bit: Blosc's bit shuffle and Zstandard."""
    channels, times, rows, columns = values.shape
    with np.errstate(over="ignore", invalid="ignore"):  # means of the largest numbers; only missing points take them
        smooth = fill_missing(values, np.isnan(values))
    finite = np.where(np.isfinite(smooth), smooth, 0)
    filled = np.ascontiguousarray(finite.astype(np.dtype(dtype).newbyteorder("<")))
    head = TileHeader(
        shape=(channels, times, rows, columns),
        limits=outer_limits(values).astype("<f4").tobytes(),
        coding=kinds.EXACT,
        double=dtype == "float64",
    )
    return pack(head, (), _codec().encode(filled))


def decode_exact(data: bytes, head: TileHeader) -> NDArray[np.floating]:
    """Inverse of `encode_exact` for a tile's bytes behind its header. Raises CorruptArchiveError."""
    kind = np.dtype(head.dtype).newbyteorder("<")
    size = kind.itemsize * int(np.prod(head.shape, dtype=np.int64))
    declared = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    if len(data) < 16 or declared != (size, len(data)):  # Blosc believes both and reads that far
        raise CorruptArchiveError(f"a tile is damaged: its exact values are not the {size} B they should be")
    if (data[0], data[2] & _CODED_AS, data[3]) != (_VERSION, _ZSTANDARD | _BITSHUFFLE, kind.itemsize):
        raise CorruptArchiveError(
            f"a tile is damaged: its exact values are coded in another way ({data[:4].hex()}) than by Blosc 1 with bit"
            f" shuffle and Zstandard of {kind.itemsize} B"
        )
    try:
        decoded = _codec().decode(data)
    except (RuntimeError, ValueError) as error:
        raise CorruptArchiveError(f"a tile is damaged: its exact values cannot be read ({error})") from error
    return np.frombuffer(decoded, dtype=kind).reshape(head.shape).astype(head.dtype)


def _codec() -> Any:
    from numcodecs import Blosc

    return Blosc(cname="zstd", clevel=7, shuffle=Blosc.BITSHUFFLE)

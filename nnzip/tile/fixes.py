"""Which points are corrected, and by how many units <-> bytes.

Two codings, of which the smaller one is taken:

- *gaps*: in raster order over [channel, time, lat, lon] the gap to the previous point, its s low bits as they are, what
  is above them under a table per chunk of symbols; then signs as bits, and magnitudes less one under one table;
- *volumes*: every channel [time, lat, lon] of the multiples, zero where nothing is corrected, through the context model
  of the detail layer; multiples beyond `cap` are cut there, and the rest of them follows under one table.

Format 1 knows gaps only, with the sign in the symbol and |m| - 1 zeros after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder import entropy
from nnzip.coder.bands import Subband
from nnzip.coder.coefficients import encode_coefficients, plan_coding
from nnzip.coder.streams import CONTEXT, reader
from nnzip.errors import CorruptArchiveError

MOST_UNITS = 64
_MOSTLY_ONE = 0.9  # share of single units from which on magnitudes are not worth cutting off
_CHUNK = 48  # symbols that share a table
_FIRST_TABLE, _SIDE_TABLE = 60, 46  # where differences of tables start, and the table that codes them
_LARGEST_SYMBOL = 512  # mean symbols beyond this cost escapes: drop low bits until they are smaller
_SPARSE = 4096  # values per fix beyond which volumes are not tried

Shape = tuple[int, int, int]
Points = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Sorted positions in raster order over [channel, time, lat, lon], and the multiple (not 0) of each."""


@dataclass(frozen=True)
class FixesCoding:
    """How fixes are coded: gaps where `cap` is 0, with `symbols` and `low_bits`; else volumes of so many bytes each.

    `table` codes what is left of the magnitudes; None in format 1. `context`: the context model of the volumes
    (transform/streams.py).
    """

    symbols: int
    low_bits: int
    table: int | None
    cap: int
    volumes: Sequence[int]
    context: int = CONTEXT


def encode_fixes(points: Points, channels: int, shape: Shape, device: torch.device) -> tuple[FixesCoding, bytes]:
    """The smaller coding of fixes of a tile with `channels` of this `shape`; the context model works on `device`.

    Cost: about 0.3 s per million values.
    """
    best = _encode_gaps(points)
    if channels * shape[0] * shape[1] * shape[2] <= _SPARSE * points[0].size:
        mostly_one = (np.abs(points[1]) == 1).mean() >= _MOSTLY_ONE
        for cap in (MOST_UNITS,) if mostly_one else (1, MOST_UNITS):
            trial = _encode_volumes(points, channels, shape, cap, device)
            best = trial if len(trial[1]) < len(best[1]) else best
    return best


def decode_fixes(
    coding: FixesCoding, fixes: int, data: bytes, channels: int, shape: Shape, device: torch.device
) -> Points:
    """Inverse of `encode_fixes` for this number of fixes. Raises CorruptArchiveError when the data do not fit."""
    if coding.cap:
        return _decode_volumes(coding, fixes, data, channels, shape, device)
    return _decode_gaps(coding, fixes, data)


def _encode_gaps(points: Points) -> tuple[FixesCoding, bytes]:
    positions, multiples = points
    gaps = np.diff(positions, prepend=-1)
    low_bits = _low_bits(gaps)
    symbols = _folded((gaps - 1) >> low_bits)
    tables = _fit_tables(symbols)
    further = _folded(np.abs(multiples) - 1)
    table = entropy.best_table(further)
    stream = entropy.encode_chunks(
        [
            (np.diff(tables, prepend=_FIRST_TABLE).astype(np.int32), _under(_SIDE_TABLE, tables.size)),
            (symbols, _spread(tables, symbols.size)),
            (further, _under(table, further.size)),
        ]
    )
    data = pack_bits(gaps - 1, low_bits) + np.packbits(multiples < 0).tobytes() + stream
    return FixesCoding(symbols.size, low_bits, table, 0, ()), data


def _decode_gaps(coding: FixesCoding, fixes: int, data: bytes) -> Points:
    low_bytes = -(-fixes * coding.low_bits // 8)
    sign_bytes = 0 if coding.table is None else -(-fixes // 8)
    low = unpack_bits(data[:low_bytes], fixes, coding.low_bits)
    decoder = entropy.SymbolDecoder(data[low_bytes + sign_bytes :])
    tables = _FIRST_TABLE + np.cumsum(decoder.decode(_under(_SIDE_TABLE, -(-coding.symbols // _CHUNK))), dtype=np.int64)
    if tables.size and not 0 <= tables.min() <= tables.max() < entropy.TABLES:
        raise CorruptArchiveError(
            f"the corrections ask for table {tables.max()} of {entropy.TABLES}: the payload is damaged"
        )
    symbols = decoder.decode(_spread(tables, coding.symbols)).astype(np.int64)
    if coding.table is None:
        firsts = np.flatnonzero(symbols)
        if firsts.size != fixes or (symbols.size and not symbols[0]):
            raise CorruptArchiveError("the corrections' signs and gaps do not match: the payload is damaged")
        signs, high = np.sign(symbols[firsts]), np.abs(symbols[firsts]) - 1
        magnitudes = np.diff(firsts, append=symbols.size)
    else:
        signs = 1 - 2 * unpack_bits(data[low_bytes : low_bytes + sign_bytes], fixes, 1)
        high = _unfolded(symbols)
        magnitudes = 1 + _unfolded(decoder.decode(_under(coding.table, fixes)))
    decoder.finish()
    _check_magnitudes(magnitudes)
    return np.cumsum((high << coding.low_bits) + low + 1) - 1, signs * magnitudes


def _encode_volumes(
    points: Points, channels: int, shape: Shape, cap: int, device: torch.device
) -> tuple[FixesCoding, bytes]:
    positions, multiples = points
    streams = []
    previous: Tensor | None = None
    for part in _channel_parts(positions, channels, shape):
        units = np.zeros(shape, dtype=np.int32)
        units.reshape(-1)[positions[part.where] - part.start] = np.clip(multiples[part.where], -cap, cap)
        volume = torch.from_numpy(units).to(device)
        streams.append(encode_coefficients(volume, _bands(shape), plan_coding(volume, _bands(shape), previous)))
        previous = volume
    further = _folded(np.abs(multiples[np.abs(multiples) >= cap]) - cap)
    table = entropy.best_table(further)
    rest = entropy.encode(further, _under(table, further.size))
    return FixesCoding(0, 0, table, cap, [len(stream) for stream in streams]), b"".join((*streams, rest))


def _decode_volumes(
    coding: FixesCoding, fixes: int, data: bytes, channels: int, shape: Shape, device: torch.device
) -> Points:
    positions, multiples, start = [], [], 0
    decode = reader(coding.context)
    previous: Tensor | None = None
    for channel, size in enumerate(coding.volumes):
        previous = decode(data[start : start + size], shape, _bands(shape), previous, device)
        units = previous.view(-1)
        found = torch.nonzero(units).view(-1)
        positions.append((found + channel * len(units)).cpu().numpy())
        multiples.append(units[found].to(torch.int64).cpu().numpy())
        start += size
    values = np.concatenate(multiples)
    if values.size != fixes or np.abs(values).max(initial=0) > coding.cap or coding.table is None:
        raise CorruptArchiveError(f"the corrections hold {values.size} fixes of {fixes}: the payload is damaged")
    capped = np.abs(values) == coding.cap
    further = _unfolded(entropy.decode(data[start:], _under(coding.table, int(capped.sum()))))
    values[capped] += np.sign(values[capped]) * further
    _check_magnitudes(np.abs(values))
    return np.concatenate(positions), values


@dataclass(frozen=True)
class _ChannelPart:
    """Which of the sorted positions are in a channel, and the position that the channel starts at."""

    where: slice
    start: int


def _channel_parts(positions: NDArray[np.int64], channels: int, shape: Shape) -> Iterator[_ChannelPart]:
    size = shape[0] * shape[1] * shape[2]
    for channel in range(channels):
        limits = np.searchsorted(positions, (channel * size, (channel + 1) * size)).tolist()
        yield _ChannelPart(slice(*limits), channel * size)


def _bands(shape: Shape) -> tuple[Subband, ...]:
    """The whole volume as one subband."""
    return (Subband(tuple(slice(0, size) for size in shape), (), ()),)


def _check_magnitudes(magnitudes: NDArray[np.int64]) -> None:
    if magnitudes.max(initial=1) > MOST_UNITS:
        raise CorruptArchiveError(f"a correction of {magnitudes.max()} units: the payload is damaged")


def _folded(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """0, 1, 2, 3, 4 ... as 0, -1, 1, -2, 2 ...: the tables are symmetric about zero."""
    return np.where(values % 2, -(values + 1) // 2, values // 2).astype(np.int32)


def _unfolded(symbols: NDArray[np.integer]) -> NDArray[np.int64]:
    values = symbols.astype(np.int64)
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _fit_tables(symbols: NDArray[np.int32]) -> NDArray[np.int64]:
    """The best table of every chunk of `_CHUNK` symbols: corrections are dense in some places and rare in
    others."""
    magnitudes = np.minimum(np.abs(symbols), entropy.MAX_MAGNITUDE)
    padded = np.pad(magnitudes, (0, -magnitudes.size % _CHUNK), mode="edge").reshape(-1, _CHUNK)
    lengths = entropy.code_lengths().astype(np.float32)
    costs = np.stack([lengths[table][padded].sum(axis=1) for table in range(entropy.TABLES)])
    tables: NDArray[np.int64] = costs.argmin(axis=0)
    return tables


def _spread(tables: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    """The table of every symbol."""
    return np.repeat(tables, _CHUNK)[:count].astype(np.uint8)


def _under(table: int, count: int) -> NDArray[np.uint8]:
    """One table for every symbol."""
    return np.full(count, table, dtype=np.uint8)


def _low_bits(gaps: NDArray[np.int64]) -> int:
    """How many low bits are stored as they are, so that symbols stay small enough for the tables."""
    mean = float(gaps.mean()) if gaps.size else 1.0
    return max(int(np.ceil(np.log2(mean / _LARGEST_SYMBOL))), 0) if mean > 0 else 0


def pack_bits(values: NDArray[np.int64], bits: int) -> bytes:
    """The low `bits` bits of every value, most significant first, packed."""
    planes = (values[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.astype(np.uint8)).tobytes()


def unpack_bits(data: bytes, count: int, bits: int) -> NDArray[np.int64]:
    planes = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count * bits).reshape(count, bits)
    weights = np.int64(1) << np.arange(bits - 1, -1, -1, dtype=np.int64)
    result: NDArray[np.int64] = planes.astype(np.int64) @ weights
    return result

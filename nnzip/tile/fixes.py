"""Which points of a tile are corrected, and by how many units <-> bytes.

Two codings, of which the smaller one is taken:

- *gaps*: in raster order over the tile the gap to the previous point, its s low bits as they are, the bits above them
  under a table per chunk of symbols; then signs as bits, and magnitudes less one under one table;
- *volumes*: the multiples of all points, zero where nothing is corrected, through the context model of the detail;
  multiples beyond `cap` are cut there, and their rest follows under one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.arrays import Device
from nnzip.coder.bands import Subband
from nnzip.coder.volumes import Layout, Plan, decode_volumes, encode_volumes, expected_bytes, plan_volume
from nnzip.errors import CorruptArchiveError

MOST_UNITS = 64
_MOSTLY_ONE = 0.9  # share of single units from which on magnitudes are not worth cutting off
_CHUNK = 48  # symbols that share a table
_FIRST_TABLE, _SIDE_TABLE = 60, 46  # where differences of tables start, and the table that codes them
_LARGEST_SYMBOL = 512  # mean symbols beyond this cost escapes: drop low bits until they are smaller
_SURE = 1.02  # times the bytes that are to be beaten: more than expectations err
_SPARSE = 4096  # values per fix beyond which volumes are not tried

Shape = tuple[int, int, int, int]
Points = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Sorted positions in raster order over [channel, time, lat, lon], and the multiple (not 0) of each."""


@dataclass(frozen=True)
class FixesCoding:
    """How fixes are coded: gaps where `cap` is 0, with `symbols` and `low_bits`; else volumes of `volume_bytes`.

    `table` codes the rest of the magnitudes.
    """

    table: int
    symbols: int = 0
    low_bits: int = 0
    cap: int = 0
    volume_bytes: int = 0


def encode_fixes(points: Points, shape: Shape, device: Device, *, quick: bool = False) -> tuple[FixesCoding, bytes]:
    """The smaller coding of the fixes of a tile, or (`quick`) their gaps; the context model works on `device`.

    Cost: about 0.3 s per million values in numpy.
    """
    best = _encode_gaps(points)
    if not quick and prod(shape) <= _SPARSE * points[0].size:
        mostly_one = (np.abs(points[1]) == 1).mean() >= _MOSTLY_ONE
        for cap in (MOST_UNITS,) if mostly_one else (1, MOST_UNITS):
            trial = _encode_volumes(points, shape, cap, len(best[1]), device)
            best = trial if trial is not None and len(trial[1]) < len(best[1]) else best
    return best


def decode_fixes(coding: FixesCoding, fixes: int, data: bytes, shape: Shape, device: Device) -> Points:
    """Inverse of `encode_fixes` for this number of fixes. Raises CorruptArchiveError when the data do not fit."""
    if coding.cap:
        return _decode_volumes(coding, fixes, data, shape, device)
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
    return FixesCoding(table, symbols.size, low_bits), data


def _decode_gaps(coding: FixesCoding, fixes: int, data: bytes) -> Points:
    low_bytes = -(-fixes * coding.low_bits // 8)
    sign_bytes = -(-fixes // 8)
    if len(data) < low_bytes + sign_bytes:
        raise CorruptArchiveError(f"the corrections end before their {fixes} fixes: the tile is damaged")
    low = unpack_bits(data[:low_bytes], fixes, coding.low_bits)
    decoder = entropy.SymbolDecoder(data[low_bytes + sign_bytes :])
    tables = _FIRST_TABLE + np.cumsum(decoder.decode(_under(_SIDE_TABLE, -(-coding.symbols // _CHUNK))), dtype=np.int64)
    if tables.size and not 0 <= tables.min() <= tables.max() < entropy.TABLES:
        raise CorruptArchiveError(
            f"the corrections ask for table {tables.max()} of {entropy.TABLES}: the payload is damaged"
        )
    symbols = decoder.decode(_spread(tables, coding.symbols)).astype(np.int64)
    signs = 1 - 2 * unpack_bits(data[low_bytes : low_bytes + sign_bytes], fixes, 1)
    high = _unfolded(symbols)
    magnitudes = 1 + _unfolded(decoder.decode(_under(coding.table, fixes)))
    decoder.finish()
    _check_magnitudes(magnitudes)
    return np.cumsum((high << coding.low_bits) + low + 1) - 1, signs * magnitudes


def _encode_volumes(
    points: Points, shape: Shape, cap: int, limit: int, device: Device
) -> tuple[FixesCoding, bytes] | None:
    """None where more than `limit` bytes are expected."""
    positions, multiples = points
    units = np.zeros(shape, dtype=np.int32)
    units.reshape(-1)[positions] = np.clip(multiples, -cap, cap)
    layout, plans = _layout(shape), list[Plan]()
    for volume in units.reshape(-1, *layout.shape):
        plans.append(plan_volume(volume, layout.bands, plans[-1].values if plans else None, device))
    if expected_bytes(plans) > _SURE * limit:
        return None
    stream = encode_volumes(plans, layout)[0]
    further = _folded(np.abs(multiples[np.abs(multiples) >= cap]) - cap)
    table = entropy.best_table(further)
    rest = entropy.encode(further, _under(table, further.size))
    return FixesCoding(table, cap=cap, volume_bytes=len(stream)), stream + rest


def _decode_volumes(coding: FixesCoding, fixes: int, data: bytes, shape: Shape, device: Device) -> Points:
    units = decode_volumes([data[: coding.volume_bytes]], _layout(shape), device).ravel()
    positions = np.flatnonzero(units != 0)  # quicker than of integers
    multiples = units[positions].astype(np.int64)
    if positions.size != fixes or np.abs(multiples).max(initial=0) > coding.cap:
        raise CorruptArchiveError(f"the corrections hold {positions.size} fixes of {fixes}: the tile is damaged")
    capped = np.abs(multiples) == coding.cap
    further = _unfolded(entropy.decode(data[coding.volume_bytes :], _under(coding.table, int(capped.sum()))))
    multiples[capped] += np.sign(multiples[capped]) * further
    _check_magnitudes(np.abs(multiples))
    return positions, multiples


def _layout(shape: Shape) -> Layout:
    """Every channel a volume, or all of them one volume where there is a single time; one subband each."""
    volume = shape[1:] if shape[1] > 1 else (shape[0], *shape[2:])
    count = shape[0] if shape[1] > 1 else 1
    whole = Subband(tuple(slice(0, size) for size in volume), (), ())
    return Layout(volume, (whole,), (None, *range(count - 1)))


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

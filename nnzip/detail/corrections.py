"""Corrections: sparse fixes at single points that make the error bound hold everywhere.

A point whose error exceeds its allowance gets a whole multiple m of a unit (UNIT times the channel's bound) added;
where even that is not enough, or m would be large, the value itself is stored. The decoder needs no allowances, so
they may differ from point to point.

Points are coded in raster order over [channel, time, lat, lon] as the gap to the previous one, with the sign of m: the
symbol sign * (1 + (gap - 1) >> s) under a table per chunk of symbols, followed by |m| - 1 zeros, and the s low bits of
gap - 1 as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.archive import entropy
from nnzip.errors import CorruptArchiveError

UNIT = 1.5
"""Size of a correction in units of the bound: leaves at most the bound of errors up to 2.5 bounds."""

_MOST_UNITS = 8
_CHUNK = 48  # symbols that share a table
_FIRST_TABLE, _SIDE_TABLE = 60, 46  # where differences of tables start, and the table that codes them
_LARGEST_SYMBOL = 512  # mean symbols beyond this cost escapes: drop low bits until they are smaller

Values = NDArray[np.float64]


class CorrectionsHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Counts and sizes of the two streams, fixes and literals; `units` float64 [channel] in the data's units."""

    units: list[float]
    fixes: int
    symbols: int
    low_bits: int
    fix_bytes: int
    literals: int
    literal_bits: int


class CorrectionsEncoder:
    """Collects the points of a tile whose error exceeds their allowance, block by block in raster order, and codes
    them.

    `bounds` [channel] size the corrections; `channel_size` is the number of values of a channel. Cost: a few passes
    over the values; memory a few blocks and the corrections.
    """

    def __init__(self, bounds: Values, channel_size: int) -> None:
        self._units = UNIT * bounds
        self._size = channel_size
        self._fixes: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._literals: list[tuple[NDArray[np.int64], Values]] = []

    def add(self, channel: int, start: int, original: Values, decoded: Values, allowance: Values) -> None:
        """A block of one channel whose first value is number `start` of it, float64 of any one shape.

        Points where |original - decoded| exceeds `allowance` are corrected; NaN in `original` never is.
        """
        error = (original - decoded).ravel()
        wrong = np.flatnonzero(np.abs(error) > allowance.ravel())  # false for NaN
        if not wrong.size:
            return
        unit = self._units[channel]
        multiples = np.rint(np.clip(error[wrong] / unit, -1e9, 1e9))
        multiples = np.where(multiples == 0, np.sign(error[wrong]), multiples).astype(np.int64)
        wanted, allowed = original.ravel()[wrong], allowance.ravel()[wrong]
        left = np.abs(wanted - (decoded.ravel()[wrong] + multiples * unit))
        enough = (left <= allowed) & (np.abs(multiples) <= _MOST_UNITS)
        positions = channel * self._size + start + wrong
        self._fixes.append((positions[enough], multiples[enough]))
        self._literals.append((positions[~enough], wanted[~enough]))

    def encode(self) -> bytes:
        """The payload; empty where nothing needs correcting."""
        if not self._fixes:
            return b""
        positions, multiples = (np.concatenate(parts) for parts in zip(*self._fixes, strict=True))
        exact, values = (np.concatenate(parts) for parts in zip(*self._literals, strict=True))
        return _pack(self._units, positions, multiples, exact, values)


@dataclass(frozen=True)
class Corrections:
    """Decoded corrections of a tile: what is added at some points, and the values that replace others.

    Positions are in raster order over [channel, time, lat, lon]; `size` is the number of values of a channel.
    """

    size: int
    positions: NDArray[np.int64]
    fixes: Values
    literal_positions: NDArray[np.int64]
    literals: Values

    def apply(self, channel: int, values: Values) -> None:
        """Correct the contiguous `values` of a channel, in place."""
        flat = values.reshape(-1)
        part = _part(self.positions, channel, self.size)
        flat[self.positions[part] - channel * self.size] += self.fixes[part]
        part = _part(self.literal_positions, channel, self.size)
        flat[self.literal_positions[part] - channel * self.size] = self.literals[part]


def decode_corrections(data: bytes, channels: int, channel_size: int) -> Corrections:
    """Inverse of `CorrectionsEncoder.encode`. Raises CorruptArchiveError when `data` do not fit."""
    none = np.zeros(0, dtype=np.int64)
    if not data:
        return Corrections(channel_size, none, np.zeros(0), none, np.zeros(0))
    length = int.from_bytes(data[:4], "little")
    try:
        header = msgspec.msgpack.decode(data[4 : 4 + length], type=CorrectionsHeader)
    except msgspec.MsgspecError as error:
        raise CorruptArchiveError(f"the corrections' header cannot be read: {error}") from error
    values = channels * channel_size
    _check(header, channels, values)
    body = data[4 + length :]
    positions, multiples = _unpack_fixes(header, body[: header.fix_bytes])
    literal_positions, literals = _unpack_literals(header, body[header.fix_bytes :])
    for found in (positions, literal_positions):
        if found.size and (found[-1] >= values or found[0] < 0):
            raise CorruptArchiveError(f"a correction at point {found[-1]} of {values}: the payload is damaged")
    fixes = multiples * np.array(header.units)[positions // channel_size]
    return Corrections(channel_size, positions, fixes, literal_positions, literals)


def _part(positions: NDArray[np.int64], channel: int, size: int) -> slice:
    """Which of the sorted `positions` are in a channel."""
    return slice(*np.searchsorted(positions, (channel * size, (channel + 1) * size)).tolist())


def _pack(
    units: Values, positions: NDArray[np.int64], multiples: NDArray[np.int64], exact: NDArray[np.int64], values: Values
) -> bytes:
    gaps = np.diff(positions, prepend=-1)
    low_bits = _low_bits(gaps)
    symbols = np.zeros(int(np.abs(multiples).sum()), dtype=np.int32)
    firsts = np.cumsum(np.abs(multiples)) - np.abs(multiples)
    symbols[firsts] = np.sign(multiples) * (1 + ((gaps - 1) >> low_bits))
    tables = _fit_tables(symbols)
    fixes = entropy.encode_chunks(
        [
            (np.diff(tables, prepend=_FIRST_TABLE).astype(np.int32), _side(tables.size)),
            (symbols, _spread(tables, symbols.size)),
        ]
    )
    low = _pack_low(gaps - 1, low_bits)
    exact_gaps = np.diff(exact, prepend=-1)
    literal_bits = int(exact_gaps.max(initial=1)).bit_length()
    header = CorrectionsHeader(
        units=units.tolist(),
        fixes=positions.size,
        symbols=symbols.size,
        low_bits=low_bits,
        fix_bytes=len(fixes) + len(low),
        literals=exact.size,
        literal_bits=literal_bits,
    )
    encoded = msgspec.msgpack.encode(header)
    literals = _pack_low(exact_gaps, literal_bits) + values.astype("<f8").tobytes()
    return b"".join((len(encoded).to_bytes(4, "little"), encoded, low, fixes, literals))


def _unpack_fixes(header: CorrectionsHeader, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    low_bytes = -(-header.fixes * header.low_bits // 8)
    low = _unpack_low(data[:low_bytes], header.fixes, header.low_bits)
    decoder = entropy.SymbolDecoder(data[low_bytes:])
    tables = _FIRST_TABLE + np.cumsum(decoder.decode(_side(-(-header.symbols // _CHUNK))), dtype=np.int64)
    if tables.size and not 0 <= tables.min() <= tables.max() < entropy.TABLES:
        raise CorruptArchiveError(
            f"the corrections ask for table {tables.max()} of {entropy.TABLES}: the payload is damaged"
        )
    symbols = decoder.decode(_spread(tables, header.symbols)).astype(np.int64)
    decoder.finish()
    firsts = np.flatnonzero(symbols)
    if firsts.size != header.fixes or (symbols.size and not symbols[0]):
        raise CorruptArchiveError("the corrections' signs and gaps do not match: the payload is damaged")
    gaps = ((np.abs(symbols[firsts]) - 1) << header.low_bits) + low + 1
    counts = np.diff(firsts, append=symbols.size)
    return np.cumsum(gaps) - 1, np.sign(symbols[firsts]) * counts


def _unpack_literals(header: CorrectionsHeader, data: bytes) -> tuple[NDArray[np.int64], Values]:
    gap_bytes = -(-header.literals * header.literal_bits // 8)
    gaps = _unpack_low(data[:gap_bytes], header.literals, header.literal_bits)
    values = np.frombuffer(data[gap_bytes:], dtype="<f8")
    if values.size != header.literals or not np.isfinite(values).all():
        raise CorruptArchiveError("the corrections' values are not those declared: the payload is damaged")
    return np.cumsum(gaps) - 1, values


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


def _side(count: int) -> NDArray[np.uint8]:
    return np.full(count, _SIDE_TABLE, dtype=np.uint8)


def _low_bits(gaps: NDArray[np.int64]) -> int:
    """How many low bits are stored as they are, so that symbols stay small enough for the tables."""
    mean = float(gaps.mean()) if gaps.size else 1.0
    return max(int(np.ceil(np.log2(mean / _LARGEST_SYMBOL))), 0) if mean > 0 else 0


def _pack_low(values: NDArray[np.int64], bits: int) -> bytes:
    """The low `bits` bits of every value, most significant first, packed."""
    planes = (values[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.astype(np.uint8)).tobytes()


def _unpack_low(data: bytes, count: int, bits: int) -> NDArray[np.int64]:
    planes = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count * bits).reshape(count, bits)
    weights = np.int64(1) << np.arange(bits - 1, -1, -1, dtype=np.int64)
    result: NDArray[np.int64] = planes.astype(np.int64) @ weights
    return result


def _check(header: CorrectionsHeader, channels: int, values: int) -> None:
    problems = (
        len(header.units) != channels or not np.isfinite(header.units).all(),
        not 0 <= header.fixes <= values or not 0 <= header.literals <= values,
        not header.fixes <= header.symbols <= _MOST_UNITS * header.fixes,
        header.fix_bytes < 0,
        not 0 <= header.low_bits <= 40 or not 1 <= header.literal_bits <= 41,
    )
    if any(problems):
        raise CorruptArchiveError("the corrections' header contradicts the data: the payload is damaged")

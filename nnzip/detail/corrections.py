"""Corrections: sparse fixes at single points that bring every value into the interval it was promised.

A point outside its interval gets a whole multiple m of a unit added; where no multiple leads inside, or m would be
large, the value itself is stored. The decoder needs no intervals, so they may differ from point to point. Points whose
intervals are much narrower than others' (a tighter tolerance at extremes) go into a block of their own, with a smaller
unit.

The points of a block are coded in raster order over [channel, time, lat, lon] as the gap to the previous one: the s low
bits of gap - 1 as they are, what is above them under a table per chunk of symbols; then the signs of m as bits, and
|m| - 1 of all points under one table. (Format 1 has one block, whose symbols carry the sign of m; |m| - 1 zeros follow.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.archive import entropy
from nnzip.errors import CorruptArchiveError

UNIT = 1.5
"""Largest correction in units of the bound: leaves at most the bound of errors up to 2.5 bounds."""

_MOST_UNITS = 64
_WIDEST = 2.0  # bounds: how wide the interval is that the bound alone allows
_ALIKE = 0.4  # intervals narrower than this share of a block's widest go into the next block
_BLOCKS = 4
_FEWEST = 6  # points that a further block pays for; fewer are stored as values
_CHUNK = 48  # symbols that share a table
_FIRST_TABLE, _SIDE_TABLE = 60, 46  # where differences of tables start, and the table that codes them
_LARGEST_SYMBOL = 512  # mean symbols beyond this cost escapes: drop low bits until they are smaller

Values = NDArray[np.float64]
Limits = NDArray[np.floating]


class CorrectionsHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Counts and sizes of the two streams, fixes and literals; `units` float64 [channel] in the data's units.

    `table` codes |m| - 1; format 1, which has zeros among the symbols instead, lacks it.
    """

    units: list[float]
    fixes: int
    symbols: int
    low_bits: int
    fix_bytes: int
    literals: int
    literal_bits: int
    table: int | None = None


class CorrectionsEncoder:
    """Collects the points of a tile that are outside their intervals, part by part in raster order, and codes them.

    `bounds` [channel] is the scale of the corrections; `channel_size` is the number of values of a channel. Cost: a few
    passes over the values; memory a few parts and the corrections.
    """

    def __init__(self, bounds: Values, channel_size: int) -> None:
        self._bounds = bounds
        self._size = channel_size
        self._wrong: list[tuple[NDArray[np.int64], Values, Values, Values, Values]] = []

    def add(
        self,
        channel: int,
        start: int,
        original: Values,
        decoded: Values,
        low: Limits,
        high: Limits,
        guard: Values | float,
    ) -> None:
        """A part of one channel whose first value is number `start` of it, all of any one shape; `guard` or a number.

        Points where `decoded` is outside [low + guard, high - guard] are corrected; NaN limits are never broken. Where
        no fix leads inside, the number in [low, high] nearest to `original` is stored, which needs no guard.
        """
        inner_low, inner_high = low + guard, high - guard
        wrong = np.flatnonzero(((decoded < inner_low) | (decoded > inner_high)).ravel())
        if wrong.size:
            stored = np.clip(original.ravel()[wrong], low.ravel()[wrong], high.ravel()[wrong])
            before, least, most = (v.ravel()[wrong].astype(np.float64) for v in (decoded, inner_low, inner_high))
            positions = (channel * self._size + start + wrong).astype(np.int64)
            self._wrong.append((positions, before, least, most, stored.astype(np.float64)))

    def encode(self) -> bytes:
        """The payload; empty where nothing needs correcting."""
        if not self._wrong:
            return b""
        positions, before, low, high, stored = (np.concatenate(parts) for parts in zip(*self._wrong, strict=True))
        scale = self._bounds[positions // self._size]
        multiples = np.zeros(positions.size, dtype=np.int64)
        blocks = []
        for unit, members in _blocks((high - low) / scale):
            limits = low[members], high[members]
            multiples[members] = _fewest(
                before[members], limits, (unit * self._bounds)[positions[members] // self._size]
            )
            blocks.append((unit, members[multiples[members] != 0]))
        exact = np.flatnonzero(multiples == 0)
        payload = b""
        for unit, members in blocks:
            literals = exact if not payload else exact[:0]
            if members.size or literals.size:
                fixes = positions[members], multiples[members]
                payload += _pack(unit * self._bounds, *fixes, positions[literals], stored[literals])
        return payload


def _blocks(widths: Values) -> Iterator[tuple[float, NDArray[np.intp]]]:
    """Unit in bounds and members of every block, for intervals of these widths in bounds.

    A unit below the narrowest width of its block leads into every interval.
    """
    widths = np.minimum(widths, _WIDEST)
    left = np.arange(widths.size)
    for number in range(_BLOCKS):
        widest = float(widths[left].max(initial=0.0))
        members = left[widths[left] >= _ALIKE * widest]
        if number and members.size < _FEWEST:
            return
        narrowest = float(widths[members].min(initial=_WIDEST))
        yield (min(UNIT, 0.999 * narrowest) if narrowest > 0 else UNIT), members
        left = left[widths[left] < _ALIKE * widest]


def _fewest(before: Values, limits: tuple[Values, Values], units: Values) -> NDArray[np.int64]:
    """The multiples of `units` of least magnitude that lead into the limits, 0 where none does."""
    low, high = limits
    steps = np.where(before < low, np.ceil((low - before) / units), np.floor((high - before) / units))
    multiples = np.clip(steps, -_MOST_UNITS - 1, _MOST_UNITS + 1).astype(np.int64)
    fixed = before + multiples * units
    inside = (fixed >= low) & (fixed <= high) & (np.abs(multiples) <= _MOST_UNITS)
    return np.where(inside, multiples, 0)


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
    fixes = [(np.zeros(0, dtype=np.int64), np.zeros(0))]
    literals = [(np.zeros(0, dtype=np.int64), np.zeros(0))]
    while data:
        data = _decode_block(data, channels, channel_size, fixes, literals)
    return Corrections(channel_size, *_in_order(fixes), *_in_order(literals))


def _decode_block(
    data: bytes,
    channels: int,
    channel_size: int,
    fixes: list[tuple[NDArray[np.int64], Values]],
    literals: list[tuple[NDArray[np.int64], Values]],
) -> bytes:
    """Append the first block's positions and what belongs there; returns what follows the block."""
    length = int.from_bytes(data[:4], "little")
    try:
        header = msgspec.msgpack.decode(data[4 : 4 + length], type=CorrectionsHeader)
    except msgspec.MsgspecError as error:
        raise CorruptArchiveError(f"the corrections' header cannot be read: {error}") from error
    values = channels * channel_size
    _check(header, channels, values)
    body = data[4 + length :]
    end = header.fix_bytes - (-header.literals * header.literal_bits // 8) + 8 * header.literals
    positions, multiples = _unpack_fixes(header, body[: header.fix_bytes])
    literal_positions, literal_values = _unpack_literals(header, body[header.fix_bytes : end])
    for found in (positions, literal_positions):
        if found.size and (found[-1] >= values or found[0] < 0):
            raise CorruptArchiveError(f"a correction at point {found[-1]} of {values}: the payload is damaged")
    fixes.append((positions, multiples * np.array(header.units)[positions // channel_size]))
    literals.append((literal_positions, literal_values))
    return body[end:]


def _in_order(parts: list[tuple[NDArray[np.int64], Values]]) -> tuple[NDArray[np.int64], Values]:
    """Positions of all blocks in raster order, and what belongs there."""
    positions, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(positions, kind="stable")
    return positions[order], values[order]


def _part(positions: NDArray[np.int64], channel: int, size: int) -> slice:
    """Which of the sorted `positions` are in a channel."""
    return slice(*np.searchsorted(positions, (channel * size, (channel + 1) * size)).tolist())


def _pack(
    units: Values, positions: NDArray[np.int64], multiples: NDArray[np.int64], exact: NDArray[np.int64], values: Values
) -> bytes:
    gaps = np.diff(positions, prepend=-1)
    low_bits = _low_bits(gaps)
    symbols = _folded((gaps - 1) >> low_bits)
    tables = _fit_tables(symbols)
    further = _folded(np.abs(multiples) - 1)
    table = entropy.best_table(further)
    fixes = entropy.encode_chunks(
        [
            (np.diff(tables, prepend=_FIRST_TABLE).astype(np.int32), _side(tables.size)),
            (symbols, _spread(tables, symbols.size)),
            (further, np.full(further.size, table, dtype=np.uint8)),
        ]
    )
    low = _pack_low(gaps - 1, low_bits) + np.packbits(multiples < 0).tobytes()
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
        table=table,
    )
    encoded = msgspec.msgpack.encode(header)
    literals = _pack_low(exact_gaps, literal_bits) + values.astype("<f8").tobytes()
    return b"".join((len(encoded).to_bytes(4, "little"), encoded, low, fixes, literals))


def _unpack_fixes(header: CorrectionsHeader, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions and multiples of the fixes."""
    low_bytes = -(-header.fixes * header.low_bits // 8)
    sign_bytes = 0 if header.table is None else -(-header.fixes // 8)
    low = _unpack_low(data[:low_bytes], header.fixes, header.low_bits)
    signs = 1 - 2 * _unpack_low(data[low_bytes : low_bytes + sign_bytes], header.fixes if sign_bytes else 0, 1)
    decoder = entropy.SymbolDecoder(data[low_bytes + sign_bytes :])
    tables = _FIRST_TABLE + np.cumsum(decoder.decode(_side(-(-header.symbols // _CHUNK))), dtype=np.int64)
    if tables.size and not 0 <= tables.min() <= tables.max() < entropy.TABLES:
        raise CorruptArchiveError(
            f"the corrections ask for table {tables.max()} of {entropy.TABLES}: the payload is damaged"
        )
    symbols = decoder.decode(_spread(tables, header.symbols)).astype(np.int64)
    if header.table is None:
        firsts = np.flatnonzero(symbols)
        if firsts.size != header.fixes or (symbols.size and not symbols[0]):
            raise CorruptArchiveError("the corrections' signs and gaps do not match: the payload is damaged")
        signs, high = np.sign(symbols[firsts]), np.abs(symbols[firsts]) - 1
        magnitudes = np.diff(firsts, append=symbols.size)
    else:
        magnitudes = 1 + _unfolded(decoder.decode(np.full(header.fixes, header.table, dtype=np.uint8)))
        if magnitudes.max(initial=1) > _MOST_UNITS:
            raise CorruptArchiveError(f"a correction of {magnitudes.max()} units: the payload is damaged")
        high = _unfolded(symbols)
    decoder.finish()
    return np.cumsum((high << header.low_bits) + low + 1) - 1, signs * magnitudes


def _folded(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """0, 1, 2, 3, 4 ... as 0, -1, 1, -2, 2 ...: the tables are symmetric about zero."""
    return np.where(values % 2, -(values + 1) // 2, values // 2).astype(np.int32)


def _unfolded(symbols: NDArray[np.integer]) -> NDArray[np.int64]:
    values = symbols.astype(np.int64)
    return np.where(values < 0, -2 * values - 1, 2 * values)


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
        header.table is not None and (not 0 <= header.table < entropy.TABLES or header.symbols != header.fixes),
        header.fix_bytes < 0,
        not 0 <= header.low_bits <= 40 or not 1 <= header.literal_bits <= 41,
    )
    if any(problems):
        raise CorruptArchiveError("the corrections' header contradicts the data: the payload is damaged")

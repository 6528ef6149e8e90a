"""Integers <-> bytes: asymmetric numeral systems over probability tables made of integers only.

Table `t` of `TABLES` is a discretised Laplace distribution with the odds 2**(t/4 - 10) of a non-zero symbol, so that
scales are log-spaced where they are large and probabilities are log-spaced where they are small. Frequencies are
integers out of 2**24, computed in Python integers: every machine has the same tables.

Rule 0 of the design: a float never decides how bits are read. Floats appear here in rate estimates only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.archive import ans
from nnzip.archive.ans import PRECISION, TOTAL
from nnzip.errors import CorruptArchiveError

TABLES = 72
MAX_MAGNITUDE = 1023
"""Largest magnitude any table codes without an escape; `code_lengths` covers 0..MAX_MAGNITUDE."""

_FIXED = 62  # fraction bits of the integer arithmetic that makes the tables
_QUARTER_OCTAVES = (1073741824, 1276901417, 1518500250, 1805811301)  # floor(2**(j/4) * 2**30)
_ESCAPE_WEIGHT = 1 << 8  # an escape costs at most 16 bits, and a table loses 2e-5 of its probability to it
_ESCAPE_CLASSES = 66  # sign and bit length 0..32 of the excess


@lru_cache(maxsize=TABLES)
def frequencies(table: int) -> tuple[int, ...]:
    """Integer frequencies (sum 2**24) of the magnitudes 0..K (each sign has that frequency) followed by the escape."""
    odds = _QUARTER_OCTAVES[table % 4] << (table // 4)  # times 2**-40
    root = (odds << _FIXED) // ((1 << 40) + odds)  # s = exp(-1 / (2 b)) of the Laplace scale b; P(0) = 1 - s
    ratio = (root * root) >> _FIXED  # P(k + 1) / P(k)
    one_sign = (root * ((1 << _FIXED) - ratio)) >> (_FIXED + 1)  # P(+1) = P(-1) = s (1 - s^2) / 2
    limit, beyond = 15, root
    for _ in range(limit):
        beyond = (beyond * ratio) >> _FIXED  # P(|k| > limit) = s^(2 limit + 1)
    while limit < MAX_MAGNITUDE and beyond >> (_FIXED - 13):
        for _ in range(limit + 1):
            beyond = (beyond * ratio) >> _FIXED
        limit = 2 * limit + 1
    escape = _ESCAPE_WEIGHT + ((beyond * TOTAL) >> _FIXED)
    share = TOTAL - escape - (2 * limit + 1)
    weights = []
    for _ in range(limit):
        weights.append(1 + ((one_sign * share) >> _FIXED))
        one_sign = (one_sign * ratio) >> _FIXED
    return (TOTAL - escape - 2 * sum(weights), *weights, escape)


@lru_cache(maxsize=1)
def code_lengths() -> NDArray[np.float64]:
    """Bits of a symbol of magnitude m (one sign), escapes included: float64 [table, m], m = 0..MAX_MAGNITUDE."""
    lengths = np.empty((TABLES, MAX_MAGNITUDE + 1))
    magnitudes = np.arange(MAX_MAGNITUDE + 1)
    for table in range(TABLES):
        *inside, escape = frequencies(table)
        limit = len(inside) - 1
        lengths[table, : limit + 1] = PRECISION - np.log2(inside)
        lengths[table, limit + 1 :] = _escape_bits(magnitudes[limit + 1 :], limit) + PRECISION - np.log2(escape)
    lengths.flags.writeable = False
    return lengths


def estimate_bits(symbols: NDArray[np.int32], tables: NDArray[np.uint8]) -> float:
    """Expected size in bits of `encode(symbols, tables)` (the coder itself adds up to three bytes)."""
    magnitudes = np.abs(symbols.astype(np.int64)).ravel()
    kinds = tables.ravel()
    bits = float(code_lengths()[kinds, np.minimum(magnitudes, MAX_MAGNITUDE)].sum())
    for position in np.flatnonzero(magnitudes > MAX_MAGNITUDE):
        *inside, escape = frequencies(int(kinds[position]))
        exact = _escape_bits(magnitudes[position : position + 1], len(inside) - 1) + PRECISION - np.log2(escape)
        bits += float(exact[0]) - float(code_lengths()[kinds[position], MAX_MAGNITUDE])
    return bits


def best_table(symbols: NDArray[np.int32]) -> int:
    """The table that codes this group of symbols in the fewest bits (0 for an empty group)."""
    magnitudes = np.minimum(np.abs(symbols.astype(np.int64)).ravel(), MAX_MAGNITUDE)
    counts = np.bincount(magnitudes, minlength=MAX_MAGNITUDE + 1)
    return int(np.argmin(code_lengths() @ counts))


def encode(symbols: NDArray[np.int32], tables: NDArray[np.uint8]) -> bytes:
    """Code int32 symbols, each under the table of the same position in `tables` (same shape, values < TABLES).

    Any int32 can be coded; those beyond a table's range cost an escape. The symbols are grouped by table.
    """
    return encode_chunks([(symbols, tables)])


def encode_chunks(chunks: Sequence[tuple[NDArray[np.int32], NDArray[np.uint8]]]) -> bytes:
    """Code several (symbols, tables) pairs into one stream that `SymbolDecoder` reads pair by pair, in this order."""
    coder = ans.new_coder()
    for symbols, tables in reversed(chunks):
        _push(coder, symbols, tables)
    return ans.to_bytes(coder)


def decode(data: bytes, tables: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Inverse of `encode`: int32 in the shape of `tables`. Raises CorruptArchiveError when `data` do not fit."""
    decoder = SymbolDecoder(data)
    symbols = decoder.decode(tables)
    decoder.finish()
    return symbols


class SymbolDecoder:
    """Inverse of `encode_chunks`: the tables of a chunk may depend on symbols already read."""

    def __init__(self, data: bytes) -> None:
        self._coder = ans.open_coder(data)
        self._read = 0

    def decode(self, tables: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The next chunk, in the shape of `tables`. Raises CorruptArchiveError when the stream does not fit."""
        self._read += tables.size
        return _pop(self._coder, tables)

    def finish(self) -> None:
        """Raise CorruptArchiveError unless every coded symbol has been read."""
        ans.require_end(self._coder, self._read)


def _push(coder: Any, symbols: NDArray[np.int32], tables: NDArray[np.uint8]) -> None:
    values = symbols.astype(np.int64).ravel()
    kinds = np.ascontiguousarray(tables, dtype=np.uint8).ravel()
    if values.size != kinds.size:
        raise ValueError(f"{values.size} symbols with {kinds.size} table indices")
    if kinds.size and kinds.max() >= TABLES:
        raise ValueError(f"table {kinds.max()} is asked for; the last one is {TABLES - 1}")
    order, groups = _groups(kinds)
    grouped = values[order]
    indices, excess, negative = [], [], []
    for table, start, stop in groups:
        limit = len(frequencies(table)) - 2
        part = grouped[start:stop]
        escaped = np.abs(part) > limit
        indices.append(np.where(escaped, 2 * limit + 1, part + limit).astype(np.int32))
        excess.append(np.abs(part[escaped]) - limit - 1)
        negative.append(part[escaped] < 0)
    if excess:
        _push_escapes(coder, np.concatenate(excess), np.concatenate(negative))
    for (table, _, _), index in reversed(list(zip(groups, indices, strict=True))):
        coder.encode_reverse(index, _model(table))


def _pop(coder: Any, tables: NDArray[np.uint8]) -> NDArray[np.int32]:
    kinds = np.ascontiguousarray(tables, dtype=np.uint8).ravel()
    order, groups = _groups(kinds)
    if groups and groups[-1][0] >= TABLES:
        raise CorruptArchiveError(f"a coded stream asks for table {groups[-1][0]}; the last one is {TABLES - 1}")
    grouped = np.empty(kinds.size, dtype=np.int64)
    escapes, limits = [], []
    for table, start, stop in groups:
        limit = len(frequencies(table)) - 2
        index = coder.decode(_model(table), stop - start)
        grouped[start:stop] = index.astype(np.int64) - limit
        positions = start + np.flatnonzero(index == 2 * limit + 1)
        escapes.append(positions)
        limits.append(np.full(positions.size, limit))
    if groups:
        positions, excess, negative = np.concatenate(escapes), *_pop_escapes(coder, sum(map(len, escapes)))
        magnitude = excess + np.concatenate(limits) + 1
        grouped[positions] = np.where(negative, -magnitude, magnitude)
    if grouped.size and (grouped.max() > np.iinfo(np.int32).max or grouped.min() < np.iinfo(np.int32).min):
        raise CorruptArchiveError("a coded stream holds a symbol beyond 32 bits")
    values = np.empty(kinds.size, dtype=np.int32)
    values[order] = grouped
    return values.reshape(np.shape(tables))


# --- probability models -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=TABLES)
def _model(table: int) -> Any:
    """constriction's model of a table over the indices 0..2K (symbol + K) and 2K + 1 (escape)."""
    from constriction import stream

    *inside, escape = frequencies(table)
    weights = np.array([*inside[:0:-1], *inside, escape], dtype=np.float64) - 1
    return stream.model.Categorical(weights, lazy=False, perfect=False)


# --- escapes: sign and bit length of the excess over K + 1, then the bits below its leading one, 16 at a time ---------


def _escape_bits(magnitudes: NDArray[Any], limit: int) -> NDArray[np.float64]:
    lengths = np.frexp(magnitudes - limit - 1.0)[1]
    bits: NDArray[np.float64] = np.log2(_ESCAPE_CLASSES) + np.maximum(lengths - 1, 0)
    return bits


def _push_escapes(coder: Any, excess: NDArray[np.int64], negative: NDArray[np.bool_]) -> None:
    from constriction import stream

    lengths = np.frexp(excess.astype(np.float64))[1].astype(np.int64)  # exact: below 2**53
    below = np.maximum(lengths - 1, 0)
    rest = np.where(lengths > 0, excess - (np.int64(1) << below), 0)
    low, high = np.minimum(below, 16), below - np.minimum(below, 16)
    for values, widths in ((rest >> 16, high), (rest & 0xFFFF, low)):
        used = widths > 0
        if used.any():
            sizes = (1 << widths[used]).astype(np.int32)
            coder.encode_reverse(values[used].astype(np.int32), stream.model.Uniform(), sizes)
    if lengths.size:
        classes = (2 * lengths + negative).astype(np.int32)
        coder.encode_reverse(classes, stream.model.Uniform(_ESCAPE_CLASSES))


def _pop_escapes(coder: Any, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    from constriction import stream

    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    classes = coder.decode(stream.model.Uniform(_ESCAPE_CLASSES), count).astype(np.int64)
    lengths = classes >> 1
    below = np.maximum(lengths - 1, 0)
    low, high = np.minimum(below, 16), below - np.minimum(below, 16)
    excess = np.where(lengths > 0, np.int64(1) << below, 0)
    for shift, widths in ((0, low), (16, high)):
        used = widths > 0
        if used.any():
            sizes = (1 << widths[used]).astype(np.int32)
            excess[used] += coder.decode(stream.model.Uniform(), sizes).astype(np.int64) << shift
    return excess, (classes & 1).astype(np.bool_)


# --- the coder --------------------------------------------------------------------------------------------------------


def _groups(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.intp], list[tuple[int, int, int]]]:
    """Stable order by table, and (table, start, stop) of each table in that order."""
    order = np.argsort(kinds, kind="stable")
    stops = np.cumsum(np.bincount(kinds, minlength=256))
    starts = np.concatenate(([0], stops[:-1]))
    used = np.flatnonzero(stops > starts)
    return order, [(int(table), int(starts[table]), int(stops[table])) for table in used]

"""Integers <-> bytes: asymmetric numeral systems over probability tables made of integers only.

Table `t` of `TABLES` is a discretised Laplace distribution with the odds 2**(t/4 - 10) of a non-zero symbol, so that
scales are log-spaced where they are large and probabilities are log-spaced where they are small. Frequencies are
integers out of 2**24, computed in Python integers: every machine has the same tables.

Rule 0 of the design: a float never decides how bits are read. Floats appear here in rate estimates only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import ans
from nnzip.coder.ans import PRECISION, TOTAL
from nnzip.coder.native.kernel import Decoder, Encoder, shipped_kernel
from nnzip.errors import CorruptArchiveError

TABLES = 72
MAX_MAGNITUDE = 1023
"""Largest magnitude any table codes without an escape; `code_lengths` covers 0..MAX_MAGNITUDE."""

_BEYOND = 1 << 31  # the first integer that int32 does not hold
_FIXED = 62  # fraction bits of the integer arithmetic that makes the tables
_QUARTER_OCTAVES = (1073741824, 1276901417, 1518500250, 1805811301)  # floor(2**(j/4) * 2**30)
_ESCAPE_WEIGHT = 1 << 8  # an escape costs at most 16 bits, and a table loses 2e-5 of its probability to it
_ESCAPE_CLASSES = 66  # sign and bit length 0..32 of the excess; without a sign half as many

SIGN_CLASSES = 25
"""Probabilities that a sign is positive: odds from 2**-6 to 2**6 in steps of a factor of sqrt(2)."""


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


def coded_bits(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Bits [n, table] that every table takes for symbols of which `counts` [n, magnitude] are given."""
    used = np.flatnonzero(counts.any(axis=0))
    # not @: for a product as small as this one BLAS keeps threads awake that only wait
    bits: NDArray[np.float64] = np.einsum("nm,tm->nt", counts[:, used].astype(np.float64), code_lengths()[:, used])
    return bits


@lru_cache(maxsize=1)
def further_bits() -> NDArray[np.float64]:
    """By how many bits an escape of any excess [table], without the bits below its leading one, is longer than
    MAX_MAGNITUDE."""
    escapes = np.array([frequencies(table)[-1] for table in range(TABLES)])
    found: NDArray[np.float64] = PRECISION - np.log2(escapes / _ESCAPE_CLASSES) - code_lengths()[:, MAX_MAGNITUDE]
    return found


def estimate_bits(symbols: NDArray[np.integer], tables: NDArray[np.uint8]) -> float:
    """Expected size in bits of `encode(symbols, tables)` (the coder itself adds up to three bytes)."""
    magnitudes = np.abs(symbols.astype(np.int64)).ravel()
    kinds = tables.ravel()
    bits = float(code_lengths()[kinds, np.minimum(magnitudes, MAX_MAGNITUDE)].sum())
    for position in np.flatnonzero(magnitudes > MAX_MAGNITUDE):
        *inside, escape = frequencies(int(kinds[position]))
        exact = _escape_bits(magnitudes[position : position + 1], len(inside) - 1) + PRECISION - np.log2(escape)
        bits += float(exact[0]) - float(code_lengths()[kinds[position], MAX_MAGNITUDE])
    return bits


@lru_cache(maxsize=1)
def rest_lengths() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bits of a magnitude without its sign, [table, magnitude] up to MAX_MAGNITUDE, and of a positive sign [class]."""
    magnitudes = code_lengths() - (np.arange(MAX_MAGNITUDE + 1) > 0)
    return magnitudes.astype(np.float32), sign_lengths().astype(np.float32)


def best_table(symbols: NDArray[np.int32]) -> int:
    """The table that codes this group of symbols in the fewest bits (0 for an empty group)."""
    magnitudes = np.minimum(np.abs(symbols.astype(np.int64)).ravel(), MAX_MAGNITUDE)
    counts = np.bincount(magnitudes, minlength=MAX_MAGNITUDE + 1)
    return int(np.argmin(coded_bits(counts[None])[0]))


def silent_table(zeros: int, others: int) -> int:
    """The largest table, from 1 on, whose odds of a symbol other than zero are at most those of these counts."""
    table = 1
    while table < TABLES - 1:
        odds = (_QUARTER_OCTAVES[(table + 1) % 4] << ((table + 1) // 4)) >> 20  # times 2**-20
        if odds * zeros > others << 20:
            break
        table += 1
    return table


def encode(symbols: NDArray[np.int32], tables: NDArray[np.uint8]) -> bytes:
    """Code int32 symbols, each under the table of the same position in `tables` (same shape, values < TABLES).

    Any int32 can be coded; those beyond a table's range cost an escape. The symbols are grouped by table.
    """
    return encode_chunks([(symbols, tables)])


@dataclass(frozen=True)
class Magnitudes:
    """A chunk of numbers that are not negative, int64 up to 2**32 - 1, each under its table [same shape].

    A magnitude has the frequencies that the table gives to both signs together.
    """

    values: NDArray[np.int64]
    tables: NDArray[np.uint8]


@dataclass(frozen=True)
class Signs:
    """A chunk of signs (True: positive) and the class of each: odds 2**((class - SIGN_CLASSES // 2) / 2) of a True."""

    positive: NDArray[np.bool_]
    classes: NDArray[np.uint8]


Chunk = tuple[NDArray[np.int32], NDArray[np.uint8]] | Magnitudes | Signs
"""(symbols, tables), or one of the others."""


def encode_chunks(chunks: Sequence[Chunk]) -> bytes:
    """Code several chunks into one stream that `SymbolDecoder` reads chunk by chunk, in this order."""
    kernel = shipped_kernel()
    if kernel is not None:
        encoder = Encoder(kernel)
        for chunk in reversed(chunks):
            push_chunk(encoder, chunk)
        return encoder.to_bytes()
    coder = ans.new_coder()
    for chunk in reversed(chunks):
        if isinstance(chunk, Magnitudes):
            _push(coder, chunk.values, chunk.tables, _ONE_SIDED)
        elif isinstance(chunk, Signs):
            _push_signs(coder, chunk)
        else:
            _push(coder, *chunk, _TWO_SIDED)
    return ans.to_bytes(coder)


def push_chunk(encoder: Encoder, chunk: Chunk) -> None:
    """Push a chunk, which is read before those pushed already."""
    if isinstance(chunk, Magnitudes):
        encoder.push(chunk.values, chunk.tables, both_signs=False)
    elif isinstance(chunk, Signs):
        encoder.push_signs(chunk.positive, chunk.classes)
    else:
        encoder.push(*chunk, both_signs=True)


def decode(data: bytes, tables: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Inverse of `encode`: int32 in the shape of `tables`. Raises CorruptArchiveError when `data` do not fit."""
    decoder = SymbolDecoder(data)
    symbols = decoder.decode(tables)
    decoder.finish()
    return symbols


class SymbolDecoder:
    """Inverse of `encode_chunks`: the tables of a chunk may depend on what has been read."""

    def __init__(self, data: bytes) -> None:
        kernel = shipped_kernel()
        self.native = None if kernel is None else Decoder(kernel, data)
        self._coder: Any = ans.open_coder(data) if kernel is None else None
        self._read = 0

    def decode(self, tables: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The next chunk, in the shape of `tables`. Raises CorruptArchiveError when the stream does not fit."""
        symbols = self._decode(tables, _TWO_SIDED)
        if symbols.size and (symbols.max() >= _BEYOND or symbols.min() < -_BEYOND):
            raise CorruptArchiveError("a coded stream holds a symbol beyond 32 bits")
        return symbols.astype(np.int32)

    def decode_few(self, table: int, count: int) -> list[int]:
        """The next chunk of so many symbols (up to TABLES), all under one table."""
        if self.native is None:
            some: list[int] = self.decode(np.full(count, table, dtype=np.uint8)).tolist()
            return some
        self._read += count
        symbols: list[int] = self.native.pop_few(table, count).tolist()
        if max(symbols) >= _BEYOND or min(symbols) < -_BEYOND:
            raise CorruptArchiveError("a coded stream holds a symbol beyond 32 bits")
        return symbols

    def decode_magnitudes(self, tables: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The next chunk, one of `Magnitudes`, in the shape of `tables`."""
        return self._decode(tables, _ONE_SIDED)

    def decode_signs(self, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """The next chunk, one of `Signs` [n]: True where positive."""
        if not classes.size:
            return np.zeros(0, dtype=np.bool_)
        if self.native is not None:
            return self.native.pop_signs(classes)
        positive: NDArray[np.int32] = self._coder.decode(_sign_family(), sign_weights()[classes])
        return positive.astype(np.bool_)

    def _decode(self, tables: NDArray[np.uint8], family: _Family) -> NDArray[np.int64]:
        self._read += tables.size
        if self.native is not None:
            if tables.size and tables.max() >= TABLES:
                raise CorruptArchiveError(f"a coded stream asks for table {tables.max()}; the last one is {TABLES - 1}")
            return self.native.pop(tables, family.signed)
        return _pop(self._coder, tables, family).reshape(tables.shape)

    def finish(self) -> None:
        """Raise CorruptArchiveError unless every coded symbol has been read."""
        if self.native is None:
            ans.require_end(self._coder, self._read)
        elif not self.native.finished:
            raise ans.not_finished(self.native.read)


@dataclass(frozen=True)
class _Family:
    """How a table's integers become symbols: of both signs, or magnitudes."""

    signed: bool

    def lowest(self, limits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index 0 stands for this symbol, in tables whose largest magnitude is `limits`."""
        return -limits if self.signed else np.zeros_like(limits)


_TWO_SIDED, _ONE_SIDED = _Family(signed=True), _Family(signed=False)


def _push(coder: Any, symbols: NDArray[np.integer], tables: NDArray[np.uint8], family: _Family) -> None:
    values = symbols.astype(np.int64).ravel()
    kinds = np.ascontiguousarray(tables, dtype=np.uint8).ravel()
    if values.size != kinds.size:
        raise ValueError(f"{values.size} symbols with {kinds.size} table indices")
    if kinds.size and kinds.max() >= TABLES:
        raise ValueError(f"table {kinds.max()} is asked for; the last one is {TABLES - 1}")
    order, groups = _groups(kinds)
    values = values[order]
    limits = table_limits()[kinds[order]]
    lowest = family.lowest(limits)
    escaped = np.abs(values) > limits
    indices = np.where(escaped, limits + 1 - lowest, values - lowest).astype(np.int32)
    where_from = values[escaped]
    _push_escapes(coder, np.abs(where_from) - limits[escaped] - 1, where_from < 0, family)
    for table, start, stop in reversed(groups):
        coder.encode_reverse(indices[start:stop], _model(table, family))


def _pop(coder: Any, tables: NDArray[np.uint8], family: _Family) -> NDArray[np.int64]:
    kinds = np.ascontiguousarray(tables, dtype=np.uint8).ravel()
    order, groups = _groups(kinds)
    if groups and groups[-1][0] >= TABLES:
        raise CorruptArchiveError(f"a coded stream asks for table {groups[-1][0]}; the last one is {TABLES - 1}")
    grouped = np.empty(kinds.size, dtype=np.int64)
    for table, start, stop in groups:
        grouped[start:stop] = coder.decode(_model(table, family), stop - start)
    limits = table_limits()[kinds[order]]
    grouped += family.lowest(limits)
    escaped = np.flatnonzero(grouped > limits)
    if escaped.size:
        excess, negative = _pop_escapes(coder, escaped.size, family)
        magnitude = excess + limits[escaped] + 1
        grouped[escaped] = np.where(negative, -magnitude, magnitude)
    values = np.empty(kinds.size, dtype=np.int64)
    values[order] = grouped
    return values


def _push_signs(coder: Any, signs: Signs) -> None:
    if signs.positive.size:
        coder.encode_reverse(signs.positive.astype(np.int32), _sign_family(), sign_weights()[signs.classes])


# --- probability models -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=2 * TABLES)
def _model(table: int, family: _Family) -> Any:
    """constriction's model of a table over the indices of its symbols (-K..K, or 0..K) and, last, the escape."""
    from constriction import stream

    *inside, escape = frequencies(table)
    symbols = [*inside[:0:-1], *inside] if family.signed else [inside[0], *(2 * both for both in inside[1:])]
    weights = np.array([*symbols, escape], dtype=np.float64) - 1
    return stream.model.Categorical(weights, lazy=False, perfect=False)


@lru_cache(maxsize=1)
def table_limits() -> NDArray[np.int64]:
    """Largest magnitude of every table."""
    return np.array([len(frequencies(table)) - 2 for table in range(TABLES)])


@lru_cache(maxsize=1)
def sign_weights() -> NDArray[np.float32]:
    """What constriction makes the frequencies of negative and positive of: float32 [class, 2], exact integers."""
    weights = np.empty((SIGN_CLASSES, 2), dtype=np.float32)
    for number in range(SIGN_CLASSES):
        quarters = 2 * (number - SIGN_CLASSES // 2) + 40  # odds 2**(quarters / 4 - 10)
        odds = _QUARTER_OCTAVES[quarters % 4] << (quarters // 4)  # times 2**-40
        one = ((odds << PRECISION) // ((1 << 40) + odds)) & ~0xFF
        weights[number] = TOTAL - 1 - one, one - 1
    weights.flags.writeable = False
    return weights


@lru_cache(maxsize=1)
def sign_lengths() -> NDArray[np.float64]:
    """Bits of a positive sign by class: float64 [class]. A negative one has those of class SIGN_CLASSES - 1 - class."""
    lengths: NDArray[np.float64] = PRECISION - np.log2(sign_weights()[:, 1].astype(np.float64) + 1)
    return lengths


@lru_cache(maxsize=1)
def _sign_family() -> Any:
    from constriction import stream

    return stream.model.Categorical(lazy=True, perfect=False)


# --- escapes: sign and bit length of the excess over K + 1, then the bits below its leading one, 16 at a time ---------


def _escape_bits(magnitudes: NDArray[Any], limit: int) -> NDArray[np.float64]:
    lengths = np.frexp(magnitudes - limit - 1.0)[1]
    bits: NDArray[np.float64] = np.log2(_ESCAPE_CLASSES) + np.maximum(lengths - 1, 0)
    return bits


def _push_escapes(coder: Any, excess: NDArray[np.int64], negative: NDArray[np.bool_], family: _Family) -> None:
    from constriction import stream

    if not excess.size:
        return

    lengths = np.frexp(excess.astype(np.float64))[1].astype(np.int64)  # exact: below 2**53
    below = np.maximum(lengths - 1, 0)
    rest = np.where(lengths > 0, excess - (np.int64(1) << below), 0)
    low, high = np.minimum(below, 16), below - np.minimum(below, 16)
    for values, widths in ((rest >> 16, high), (rest & 0xFFFF, low)):
        used = widths > 0
        if used.any():
            sizes = (1 << widths[used]).astype(np.int32)
            coder.encode_reverse(values[used].astype(np.int32), stream.model.Uniform(), sizes)
    classes = (2 * lengths + negative if family.signed else lengths).astype(np.int32)
    coder.encode_reverse(classes, stream.model.Uniform(_ESCAPE_CLASSES if family.signed else _ESCAPE_CLASSES // 2))


def _pop_escapes(coder: Any, count: int, family: _Family) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    from constriction import stream

    uniform = stream.model.Uniform(_ESCAPE_CLASSES if family.signed else _ESCAPE_CLASSES // 2)
    classes = coder.decode(uniform, count).astype(np.int64)
    lengths, negative = (classes >> 1, (classes & 1).astype(np.bool_)) if family.signed else (classes, False)
    below = np.maximum(lengths - 1, 0)
    low, high = np.minimum(below, 16), below - np.minimum(below, 16)
    excess = np.where(lengths > 0, np.int64(1) << below, 0)
    for shift, widths in ((0, low), (16, high)):
        used = widths > 0
        if used.any():
            sizes = (1 << widths[used]).astype(np.int32)
            excess[used] += coder.decode(stream.model.Uniform(), sizes).astype(np.int64) << shift
    return excess, np.broadcast_to(negative, count)


# --- the coder --------------------------------------------------------------------------------------------------------


def _groups(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.intp], list[tuple[int, int, int]]]:
    """Stable order by table, and (table, start, stop) of each table in that order."""
    order = np.argsort(kinds, kind="stable")
    stops = np.cumsum(np.bincount(kinds, minlength=256))
    starts = np.concatenate(([0], stops[:-1]))
    used = np.flatnonzero(stops > starts)
    return order, [(int(table), int(starts[table]), int(stops[table])) for table in used]

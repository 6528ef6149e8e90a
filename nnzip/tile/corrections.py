"""Corrections: sparse fixes at single points that bring every value into the interval it was promised.

A point outside its interval gets a whole multiple m of a unit added; where no multiple leads inside, or m would be
large, the value itself is stored. The decoder needs no intervals, so they may differ from point to point. Points whose
intervals are much narrower than others' (a tighter tolerance at extremes) go into a block of their own, with a smaller
unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.arrays import Device
from nnzip.errors import CorruptArchiveError
from nnzip.tile.fixes import (
    MOST_UNITS,
    FixesCoding,
    Points,
    Shape,
    decode_fixes,
    encode_fixes,
    pack_bits,
    unpack_bits,
)

UNIT = 1.5
"""Largest correction in units of the bound: leaves at most the bound of errors up to 2.5 bounds."""

_WIDEST = 2.0  # bounds: how wide the interval is that the bound alone allows
_ALIKE = 0.4  # intervals narrower than this share of a block's widest go into the next block
_BLOCKS = 4
_FEWEST = 6  # points that a further block pays for; fewer are stored as values

Values = NDArray[np.float64]


class CorrectionsHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """`unit` in the data's units, counts, sizes of the two streams (fixes and literals), and the fields of
    `FixesCoding`."""

    unit: float
    fixes: int
    fix_bytes: int
    literals: int
    literal_bits: int
    table: int
    symbols: int
    low_bits: int
    cap: int
    volume_bytes: int

    @property
    def coding(self) -> FixesCoding:
        return FixesCoding(self.table, self.symbols, self.low_bits, self.cap, self.volume_bytes)


class Wrong(NamedTuple):
    """Points outside their intervals: flat positions, decoded values, limits for them, and the values to store where
    no fix leads inside."""

    positions: NDArray[np.int64]
    decoded: Values
    low: Values
    high: Values
    stored: Values

    @classmethod
    def of(
        cls,
        positions: NDArray[np.int64],
        original: Values,
        decoded: Values,
        low: Values,
        high: Values,
        guard: Values | float,
    ) -> Wrong:
        """Those of some points [n] where `decoded` is outside [low + guard, high - guard]; NaN limits are never broken.

        The stored value is the number in [low, high] nearest to `original`, which needs no guard.
        """
        least, most = low + guard, high - guard
        wrong = np.flatnonzero((decoded < least) | (decoded > most))
        stored = np.clip(original[wrong], low[wrong], high[wrong])
        return cls(positions[wrong], decoded[wrong], least[wrong], most[wrong], stored)


def encode_corrections(
    parts: list[Wrong], bound: float, shape: Shape, device: Device = None, *, quick: bool = False
) -> bytes:
    """Corrections of a tile for wrong points in raster order; empty where there are none. `bound`: the scale of the
    units. Cost: a few passes over the points, and `encode_fixes`."""
    if not any(part.positions.size for part in parts):
        return b""
    positions, before, low, high, stored = (np.concatenate(column) for column in zip(*parts, strict=True))
    multiples = np.zeros(positions.size, dtype=np.int64)
    blocks = []
    for unit, members in _blocks((high - low) / bound):
        multiples[members] = _fewest(before[members], low[members], high[members], unit * bound)
        blocks.append((unit * bound, members[multiples[members] != 0]))
    exact = np.flatnonzero(multiples == 0)
    payload = b""
    for unit, members in blocks:
        literals = exact if not payload else exact[:0]
        if members.size or literals.size:
            fixes = positions[members], multiples[members]
            payload += _pack(
                unit, encode_fixes(fixes, shape, device, quick=quick), fixes, positions[literals], stored[literals]
            )
    return payload


@dataclass(frozen=True)
class Corrections:
    """Points of a tile, increasing in raster order over [channel, time, lat, lon]: at `fixed` ones `added` is added,
    and the `literals` are at the `exact` ones."""

    fixed: NDArray[np.int64]
    added: Values
    exact: NDArray[np.int64]
    literals: Values

    def apply(self, values: Values, first: int = 0) -> None:
        """Correct contiguous float64 `values` in place, the tile's from its `first` point on."""
        if not values.flags.c_contiguous:
            raise ValueError("corrections of values in another order would be lost")
        flat, ends = values.reshape(-1), (first, first + values.size)
        start, stop = np.searchsorted(self.fixed, ends)
        flat[self.fixed[start:stop] - first] += self.added[start:stop]
        start, stop = np.searchsorted(self.exact, ends)
        flat[self.exact[start:stop] - first] = self.literals[start:stop]


def read_corrections(data: bytes, shape: Shape, device: Device = None) -> Corrections:
    """Inverse of `encode_corrections`, for a tile [channel, time, lat, lon]. Raises CorruptArchiveError when `data` do
    not fit."""
    blocks = []
    while data:
        block, data = _read_block(data, shape, device)
        blocks.append(block)
    none = Corrections(*2 * (np.zeros(0, dtype=np.int64), np.zeros(0)))
    fixed, added, exact, literals = (
        np.concatenate(parts) if len(blocks) > 1 else parts[0]
        for parts in zip(*((b.fixed, b.added, b.exact, b.literals) for b in blocks or [none]), strict=True)
    )
    every = np.concatenate([fixed, exact]) if exact.size else fixed
    if not _increasing(every) and not _increasing(np.sort(every)):
        raise CorruptArchiveError("a point is corrected twice: the tile is damaged")
    return Corrections(*_sorted(fixed, added), *_sorted(exact, literals))


def _increasing(positions: NDArray[np.int64]) -> bool:
    return bool((positions[1:] > positions[:-1]).all())


def _sorted(positions: NDArray[np.int64], values: Values) -> tuple[NDArray[np.int64], Values]:
    if _increasing(positions):
        return positions, values
    order = np.argsort(positions)
    return positions[order], values[order]


def _read_block(data: bytes, shape: Shape, device: Device) -> tuple[Corrections, bytes]:
    """The first block, and the bytes behind it."""
    size, length = prod(shape), int.from_bytes(data[:2], "little")
    try:
        header = msgspec.msgpack.decode(data[2 : 2 + length], type=CorrectionsHeader)
    except msgspec.MsgspecError as error:
        raise CorruptArchiveError(f"the corrections' header cannot be read: {error}") from error
    _check(header, size)
    body = data[2 + length :]
    end = header.fix_bytes - (-header.literals * header.literal_bits // 8) + 8 * header.literals
    if end > len(body):
        raise CorruptArchiveError(f"the corrections are {len(body)} B where {end} B are declared: the tile is damaged")
    fixed, multiples = decode_fixes(header.coding, header.fixes, body[: header.fix_bytes], shape, device)
    exact, literals = _unpack_literals(header, body[header.fix_bytes : end])
    for found in (fixed, exact):
        if found.size and not 0 <= found.min() <= found.max() < size:
            raise CorruptArchiveError(f"a correction at point {found.max()} of {size}: the tile is damaged")
    added: Values = multiples.astype(np.float64) * header.unit
    return Corrections(fixed, added, exact, literals), body[end:]


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


def _fewest(before: Values, low: Values, high: Values, unit: float) -> NDArray[np.int64]:
    """The multiples of `unit` of least magnitude that lead into the limits, 0 where none does."""
    steps = np.where(before < low, np.ceil((low - before) / unit), np.floor((high - before) / unit))
    multiples = np.clip(steps, -MOST_UNITS - 1, MOST_UNITS + 1).astype(np.int64)
    fixed = before + multiples * unit
    inside = (fixed >= low) & (fixed <= high) & (np.abs(multiples) <= MOST_UNITS)
    return np.where(inside, multiples, 0)


def _pack(
    unit: float, coded: tuple[FixesCoding, bytes], fixes: Points, exact: NDArray[np.int64], values: Values
) -> bytes:
    coding, data = coded
    exact_gaps = np.diff(exact, prepend=-1)
    literal_bits = int(exact_gaps.max(initial=1)).bit_length()
    header = CorrectionsHeader(
        unit=float(unit),
        fixes=fixes[0].size,
        fix_bytes=len(data),
        literals=exact.size,
        literal_bits=literal_bits,
        table=coding.table,
        symbols=coding.symbols,
        low_bits=coding.low_bits,
        cap=coding.cap,
        volume_bytes=coding.volume_bytes,
    )
    encoded = msgspec.msgpack.encode(header)
    literals = pack_bits(exact_gaps, literal_bits) + values.astype("<f8").tobytes()
    return b"".join((len(encoded).to_bytes(2, "little"), encoded, data, literals))


def _unpack_literals(header: CorrectionsHeader, data: bytes) -> tuple[NDArray[np.int64], Values]:
    gap_bytes = -(-header.literals * header.literal_bits // 8)
    if len(data) != gap_bytes + 8 * header.literals:
        raise CorruptArchiveError("the corrections' values are not those declared: the tile is damaged")
    gaps = unpack_bits(data[:gap_bytes], header.literals, header.literal_bits)
    values = np.frombuffer(data[gap_bytes:], dtype="<f8")
    if not np.isfinite(values).all():
        raise CorruptArchiveError("the corrections' values are not finite: the tile is damaged")
    return np.cumsum(gaps) - 1, values


def _check(header: CorrectionsHeader, values: int) -> None:
    problems = (
        not np.isfinite(header.unit),
        not 0 <= header.fixes <= values or not 0 <= header.literals <= values,
        header.symbols != (0 if header.cap else header.fixes),
        not 0 <= header.table < entropy.TABLES,
        not 0 <= header.cap <= MOST_UNITS,
        not 0 <= header.volume_bytes <= header.fix_bytes,
        not 0 <= header.low_bits <= 40 or not 1 <= header.literal_bits <= 41,
    )
    if any(problems):
        raise CorruptArchiveError("the corrections' header contradicts the data: the tile is damaged")

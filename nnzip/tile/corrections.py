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

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.streams import CONTEXT
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
Limits = NDArray[np.floating]


class CorrectionsHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Counts and sizes of the two streams, fixes and literals; `units` float64 [channel] in the data's units.

    The fields after `literal_bits`, which format 1 lacks, are those of `FixesCoding`.
    """

    units: list[float]
    fixes: int
    symbols: int
    low_bits: int
    fix_bytes: int
    literals: int
    literal_bits: int
    table: int | None = None
    cap: int = 0
    volumes: list[int] = []
    context: int = CONTEXT

    @property
    def coding(self) -> FixesCoding:
        return FixesCoding(self.symbols, self.low_bits, self.table, self.cap, self.volumes, self.context)


class CorrectionsEncoder:
    """Collects the points of a tile that are outside their intervals, part by part in raster order, and codes them.

    `bounds` [channel] is the scale of the corrections, `shape` (times, latitudes, longitudes); the context model
    works on `device`. Cost: a few passes over the values, and what `encode_fixes` takes; memory a few parts and the
    corrections.
    """

    def __init__(self, bounds: Values, shape: Shape, device: torch.device) -> None:
        self._bounds, self._shape, self._device = bounds, shape, device
        self._size = prod(shape)
        self._wrong: list[tuple[NDArray[np.int64], Values, Values, Values, Values]] = []

    def add(
        self,
        channel: int,
        places: NDArray[np.int64],
        original: Values,
        decoded: Values,
        low: Limits,
        high: Limits,
        guard: Values | float,
    ) -> None:
        """Points of one channel, numbered `places` in its raster order, all of any one shape; `guard` or a number.

        Points where `decoded` is outside [low + guard, high - guard] are corrected; NaN limits are never broken. Where
        no fix leads inside, the number in [low, high] nearest to `original` is stored, which needs no guard.
        """
        inner_low, inner_high = low + guard, high - guard
        wrong = np.flatnonzero(((decoded < inner_low) | (decoded > inner_high)).ravel())
        if wrong.size:
            stored = np.clip(original.ravel()[wrong], low.ravel()[wrong], high.ravel()[wrong])
            before, least, most = (v.ravel()[wrong].astype(np.float64) for v in (decoded, inner_low, inner_high))
            positions = (channel * self._size + places.ravel()[wrong]).astype(np.int64)
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
                payload += _pack(
                    unit * self._bounds, fixes, self._shape, positions[literals], stored[literals], self._device
                )
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
    multiples = np.clip(steps, -MOST_UNITS - 1, MOST_UNITS + 1).astype(np.int64)
    fixed = before + multiples * units
    inside = (fixed >= low) & (fixed <= high) & (np.abs(multiples) <= MOST_UNITS)
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


def decode_corrections(data: bytes, channels: int, shape: Shape, device: torch.device) -> Corrections:
    """Inverse of `CorrectionsEncoder.encode`, its context model on `device`.

    Raises CorruptArchiveError when `data` do not fit.
    """
    fixes = [(np.zeros(0, dtype=np.int64), np.zeros(0))]
    literals = [(np.zeros(0, dtype=np.int64), np.zeros(0))]
    while data:
        data = _decode_block(data, channels, shape, device, fixes, literals)
    return Corrections(prod(shape), *_in_order(fixes), *_in_order(literals))


def _decode_block(
    data: bytes,
    channels: int,
    shape: Shape,
    device: torch.device,
    fixes: list[tuple[NDArray[np.int64], Values]],
    literals: list[tuple[NDArray[np.int64], Values]],
) -> bytes:
    """Append the first block's positions and what belongs there; returns what follows the block."""
    length = int.from_bytes(data[:4], "little")
    try:
        header = msgspec.msgpack.decode(data[4 : 4 + length], type=CorrectionsHeader)
    except msgspec.MsgspecError as error:
        raise CorruptArchiveError(f"the corrections' header cannot be read: {error}") from error
    values = channels * prod(shape)
    _check(header, channels, values)
    body = data[4 + length :]
    end = header.fix_bytes - (-header.literals * header.literal_bits // 8) + 8 * header.literals
    coded = body[: header.fix_bytes]
    positions, multiples = decode_fixes(header.coding, header.fixes, coded, channels, shape, device)
    literal_positions, literal_values = _unpack_literals(header, body[header.fix_bytes : end])
    for found in (positions, literal_positions):
        if found.size and (found[-1] >= values or found[0] < 0):
            raise CorruptArchiveError(f"a correction at point {found[-1]} of {values}: the payload is damaged")
    fixes.append((positions, multiples * np.array(header.units)[positions // prod(shape)]))
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
    units: Values, fixes: Points, shape: Shape, exact: NDArray[np.int64], values: Values, device: torch.device
) -> bytes:
    coding, data = encode_fixes(fixes, len(units), shape, device)
    exact_gaps = np.diff(exact, prepend=-1)
    literal_bits = int(exact_gaps.max(initial=1)).bit_length()
    header = CorrectionsHeader(
        units=units.tolist(),
        fixes=fixes[0].size,
        symbols=coding.symbols,
        low_bits=coding.low_bits,
        fix_bytes=len(data),
        literals=exact.size,
        literal_bits=literal_bits,
        table=coding.table,
        cap=coding.cap,
        volumes=list(coding.volumes),
        context=coding.context,
    )
    encoded = msgspec.msgpack.encode(header)
    literals = pack_bits(exact_gaps, literal_bits) + values.astype("<f8").tobytes()
    return b"".join((len(encoded).to_bytes(4, "little"), encoded, data, literals))


def _unpack_literals(header: CorrectionsHeader, data: bytes) -> tuple[NDArray[np.int64], Values]:
    gap_bytes = -(-header.literals * header.literal_bits // 8)
    gaps = unpack_bits(data[:gap_bytes], header.literals, header.literal_bits)
    values = np.frombuffer(data[gap_bytes:], dtype="<f8")
    if values.size != header.literals or not np.isfinite(values).all():
        raise CorruptArchiveError("the corrections' values are not those declared: the payload is damaged")
    return np.cumsum(gaps) - 1, values


def _check(header: CorrectionsHeader, channels: int, values: int) -> None:
    problems = (
        len(header.units) != channels or not np.isfinite(header.units).all(),
        not 0 <= header.fixes <= values or not 0 <= header.literals <= values,
        header.cap == 0 and not header.fixes <= header.symbols <= MOST_UNITS * header.fixes,
        header.table is not None and header.symbols != (0 if header.cap else header.fixes),
        header.table is not None and not 0 <= header.table < entropy.TABLES,
        not 0 <= header.cap <= MOST_UNITS or len(header.volumes) != (channels if header.cap else 0),
        min(header.volumes, default=0) < 0 or sum(header.volumes) > header.fix_bytes,
        header.fix_bytes < 0,
        not 0 <= header.low_bits <= 40 or not 1 <= header.literal_bits <= 41,
    )
    if any(problems):
        raise CorruptArchiveError("the corrections' header contradicts the data: the payload is damaged")

"""Quantised wavelet coefficients of one channel <-> bytes, through the integer context model of `context`.

Subbands are coded from coarse to fine, each in eight parity phases. A coefficient is coded under the table its
context asks for, after a correction fitted to the data at hand; where all of its context is zero, under a table of
the subband and of the phase (first or later).

Stream: corrections of the tables; then for every subband its flag (0 empty, 1 not) and, if it is not empty, its two
tables for an empty context and the symbols of its phases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.archive import entropy
from nnzip.errors import CorruptArchiveError
from nnzip.transform import context
from nnzip.transform.bands import Bands, Subband, parent_positions

Coefficients = NDArray[np.int32]
Tables = NDArray[np.uint8]
Chunk = tuple[Coefficients, Tables]
"""Symbols, and the table of each."""

_CORRECTION_TABLE = 32
_SIDE_TABLE = 46
_FLAG_TABLES = (28, 46)
"""Tables of a subband's flag while all of its parents are empty, and otherwise."""

_FIRST_SILENT_TABLE = 24
_FEWEST_TO_CORRECT = 64
_CODER_BYTES = 2  # what the entropy coder adds to the symbols' bits, on average


@dataclass(frozen=True)
class CodingPlan:
    """How coefficients would be coded, and the size to expect.

    `tables` [time, lat, lon]: the table of each coefficient, 0 in empty subbands. `corrections` [table]: what is used
    instead of the table a context asks for. `silent` [subband, 2]: tables for an empty context in the first phase and
    in later ones, 0 for empty subbands.
    """

    tables: Tables
    corrections: Tables
    silent: Tables
    bytes: float


def plan_coding(coefficients: Coefficients, bands: Bands, reference: Coefficients | None = None) -> CodingPlan:
    """Contexts and fitted tables for int32 `coefficients` [time, lat, lon] with these subbands (bands.py).

    `reference`: coefficients of another channel in the same layout, which the decoder has already. The expected size
    is within one per cent and a few bytes of that of `encode_coefficients`. Cost: about 40 operations per coefficient
    of a non-empty subband; memory about five times the coefficients.
    """
    tables, occupied = _context_tables(coefficients, bands, reference)
    corrections = _fit_corrections(coefficients, tables)
    silent = np.zeros((len(bands), 2), dtype=np.uint8)
    for number in np.flatnonzero(occupied).tolist():
        band_tables, symbols = tables[bands[number].where], coefficients[bands[number].where]
        quiet = band_tables == 0
        first = np.zeros_like(quiet)
        first[context.phase_slices(bands[number].shape, 0)] = True
        band_tables[...] = corrections[band_tables]
        for group, members in enumerate((quiet & first, quiet & ~first)):
            silent[number, group] = max(entropy.best_table(symbols[members]), 1)
            band_tables[members] = silent[number, group]
    coded = tables > 0
    side = [chunk for chunks in _side_chunks(coefficients, bands, corrections, silent) for chunk in chunks]
    bits = entropy.estimate_bits(coefficients[coded], tables[coded])
    bits += sum(entropy.estimate_bits(symbols, kinds) for symbols, kinds in side)
    return CodingPlan(tables, corrections, silent, bits / 8 + _CODER_BYTES)


def encode_coefficients(coefficients: Coefficients, bands: Bands, plan: CodingPlan) -> bytes:
    """Code `coefficients` by the plan that `plan_coding` made for them."""
    first, *sides = _side_chunks(coefficients, bands, plan.corrections, plan.silent)
    chunks = list(first)
    for band, side, tables in zip(bands, sides, plan.silent, strict=True):
        chunks += side
        for phase in range(len(context.PHASES)) if tables.any() else ():
            here = context.phase_slices(band.shape, phase)
            chunks.append((coefficients[band.where][here].ravel(), plan.tables[band.where][here].ravel()))
    return entropy.encode_chunks(chunks)


def decode_coefficients(
    data: bytes, shape: tuple[int, ...], bands: Bands, reference: Coefficients | None = None
) -> Coefficients:
    """Inverse of `encode_coefficients`. Raises CorruptArchiveError when `data` do not fit."""
    coefficients = np.zeros(shape, dtype=np.int32)
    magnitudes = np.zeros(shape, dtype=np.int32)
    reference_magnitudes = None if reference is None else _magnitudes(reference)
    decoder = entropy.SymbolDecoder(data)
    corrections = _read_tables(decoder, np.arange(entropy.TABLES), _CORRECTION_TABLE)
    silent = np.full(2, _FIRST_SILENT_TABLE)
    for band in bands:
        if not decoder.decode(np.array([_flag_table(magnitudes, band)], dtype=np.uint8))[0]:
            continue
        silent = _read_tables(decoder, silent, _SIDE_TABLE)
        parents, padded, reference_padded = surroundings(magnitudes, reference_magnitudes, band)
        values = coefficients[band.where]
        for phase in range(len(context.PHASES)):
            here = context.phase_slices(band.shape, phase)
            tables = context.phase_tables(padded, parents, len(band.parents), reference_padded, phase)
            tables = np.where(tables == 0, np.uint8(silent[min(phase, 1)]), corrections[tables].astype(np.uint8))
            values[here] = decoder.decode(tables).reshape(values[here].shape)
            padded[1:-1, 1:-1, 1:-1][here] = _magnitudes(values[here])
        magnitudes[band.where] = _magnitudes(values)
    decoder.finish()
    return coefficients


def _context_tables(
    coefficients: Coefficients, bands: Bands, reference: Coefficients | None
) -> tuple[Tables, NDArray[np.bool_]]:
    """The table that the context of every coefficient asks for, and which subbands hold any non-zero one."""
    magnitudes = _magnitudes(coefficients)
    reference_magnitudes = None if reference is None else _magnitudes(reference)
    tables = np.zeros(coefficients.shape, dtype=np.uint8)
    occupied = np.array([bool(magnitudes[band.where].any()) for band in bands])
    for number in np.flatnonzero(occupied).tolist():
        band = bands[number]
        parents, padded, reference_padded = surroundings(magnitudes, reference_magnitudes, band)
        for phase in range(len(context.PHASES)):
            here = context.phase_slices(band.shape, phase)
            found = context.phase_tables(padded, parents, len(band.parents), reference_padded, phase)
            tables[band.where][here] = found.reshape(tables[band.where][here].shape)
            padded[1:-1, 1:-1, 1:-1][here] = magnitudes[band.where][here]
    return tables, occupied


def surroundings(
    magnitudes: Coefficients, reference: Coefficients | None, band: Subband
) -> tuple[Coefficients, Coefficients, Coefficients | None]:
    """What `context` looks at: the parents' magnitudes summed [subband], a zeroed padded subband, the padded reference.

    `magnitudes` and `reference` are those of all subbands, capped at `context.LARGEST`.
    """
    parents = np.zeros(band.shape, dtype=np.int32)
    for where in band.parents:
        coarse = magnitudes[where]
        for axis, size in enumerate(band.shape):
            if coarse.shape[axis] != size:
                coarse = np.take(coarse, parent_positions(size, coarse.shape[axis]), axis=axis)
        parents += coarse
    padded = np.zeros(tuple(n + 2 for n in band.shape), dtype=np.int32)
    return parents, padded, None if reference is None else np.pad(reference[band.where], 1)


def _side_chunks(
    coefficients: Coefficients, bands: Bands, corrections: Tables, silent: Tables
) -> Iterator[list[Chunk]]:
    """The stream without the coefficients: chunks before the first subband, then those that begin each subband."""
    yield [_side((corrections - np.arange(entropy.TABLES)).astype(np.int32), _CORRECTION_TABLE)]
    before = np.full(2, _FIRST_SILENT_TABLE, dtype=np.int32)
    for band, tables in zip(bands, silent.astype(np.int32), strict=True):
        flag = _side(np.array([int(tables.any())], dtype=np.int32), _flag_table(coefficients, band))
        yield [flag, _side(tables - before, _SIDE_TABLE)] if tables.any() else [flag]
        before = tables if tables.any() else before


def _flag_table(coefficients: Coefficients, band: Subband) -> int:
    silent = bool(band.parents) and not any(coefficients[where].any() for where in band.parents)
    return _FLAG_TABLES[0 if silent else 1]


def _fit_corrections(coefficients: Coefficients, tables: Tables) -> Tables:
    """For every table the context can ask for, the table that codes its symbols best."""
    corrections = np.arange(entropy.TABLES, dtype=np.uint8)
    asked = tables > 0
    magnitudes = _magnitudes(coefficients[asked])
    width = int(magnitudes.max(initial=0)) + 1
    counts = np.bincount(tables[asked] * np.intp(width) + magnitudes, minlength=entropy.TABLES * width)
    counts = counts.reshape(entropy.TABLES, width)
    enough = counts.sum(axis=1) >= _FEWEST_TO_CORRECT
    bits = counts[enough].astype(np.float64) @ entropy.code_lengths()[:, :width].T
    corrections[enough] = np.maximum(np.argmin(bits, axis=1), 1)
    return corrections


def _side(values: NDArray[np.int32], table: int) -> Chunk:
    return values, np.full(values.size, table, dtype=np.uint8)


def _read_tables(decoder: entropy.SymbolDecoder, expected: NDArray[np.int64], table: int) -> NDArray[np.int64]:
    tables = expected + decoder.decode(np.full(expected.size, table, dtype=np.uint8))
    wrong = (tables < 0) | (tables >= entropy.TABLES)
    if wrong.any():
        raise CorruptArchiveError(
            f"coefficients ask for table {tables[wrong][0]}, and there are 0 to {entropy.TABLES - 1}: "
            "the stream is damaged"
        )
    return tables


def _magnitudes(coefficients: Coefficients) -> Coefficients:
    return np.abs(np.clip(coefficients, -context.LARGEST, context.LARGEST))

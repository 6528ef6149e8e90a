"""Quantised wavelet coefficients of one channel <-> bytes, through the context model.

Subbands are coded from coarse to fine, each in eight parity phases. Of a coefficient whose surroundings say something,
the prediction (`prediction`) is taken off; the rest is coded under the table, and its sign under the class, that the
network asks for (`context`, `context_network`), after a correction of the tables fitted to the data at hand. Silent
coefficients are coded under a table of the subband and of the phase (first or later).

Stream: corrections of the tables; then for every subband its flag (0 empty, 1 not) and, if it is not empty, its two
tables for silent coefficients and its phases: the magnitudes, then the signs of those that are not zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.archive import entropy
from nnzip.errors import CorruptArchiveError
from nnzip.transform.bands import Bands, Subband
from nnzip.transform.context_model import ChannelContexts
from nnzip.transform.phases import LARGEST, PHASES, phase_slices

Coefficients = NDArray[np.int32]
Tables = NDArray[np.uint8]

CORRECTION_TABLE = 32
SIDE_TABLE = 46
FLAG_TABLES = (28, 46)
"""Tables of a subband's flag while all of its parents are empty, and otherwise."""

FIRST_SILENT_TABLE = 24
_SILENT_TABLE = 34
_FEWEST_TO_CORRECT = 64
_CODER_BYTES = 2  # what the entropy coder adds to the symbols' bits, on average


@dataclass(frozen=True)
class CodingPlan:
    """How coefficients would be coded, and the size to expect.

    All [time, lat, lon]: `offsets`, what is taken off each coefficient; `tables` of the rest, 0 in empty subbands;
    `classes` of its sign. `corrections` [table]: what is used instead of the table the network asks for. `silent`
    [subband, 2]: tables of silent coefficients in the first phase and in later ones, 0 for empty subbands.
    """

    offsets: NDArray[np.int16]
    tables: Tables
    classes: NDArray[np.uint8]
    corrections: Tables
    silent: Tables
    bytes: float


def plan_coding(coefficients: Coefficients, bands: Bands, reference: Coefficients | None = None) -> CodingPlan:
    """Contexts and fitted tables for int32 `coefficients` [time, lat, lon] with these subbands (bands.py).

    `reference`: coefficients of another channel in the same layout, which the decoder has already. The expected size
    is within one per cent and a few bytes of that of `encode_coefficients`. Cost: about 0.3 us per coefficient that is
    not silent, one core, and 0.2 ms per phase of a subband; memory about five times the coefficients.
    """
    offsets = np.zeros(coefficients.shape, dtype=np.int16)
    tables = np.zeros(coefficients.shape, dtype=np.uint8)
    classes = np.full(coefficients.shape, entropy.SIGN_CLASSES // 2, dtype=np.uint8)
    contexts = ChannelContexts(coefficients.shape, bands, reference)
    occupied = np.array([bool(coefficients[band.where].any()) for band in bands])
    for number in np.flatnonzero(occupied).tolist():
        where = bands[number].where
        subband = contexts.enter(number, coefficients)
        for phase in range(len(PHASES)):
            here = phase_slices(bands[number].shape, phase)
            found = subband.look(phase)
            shape = tables[where][here].shape
            offsets[where][here] = found.offsets.reshape(shape)
            tables[where][here] = found.tables.reshape(shape)
            classes[where][here] = found.classes.reshape(shape)
            subband.put(coefficients[where][here])
    rest = coefficients.astype(np.int64) - offsets
    corrections = _fit_corrections(rest, tables)
    silent = _fit_silent(rest, tables, bands, occupied)
    _fill_in(tables, corrections, silent, bands)
    bits = sum(
        entropy.estimate_bits(*chunk)
        for chunks in _side_chunks(coefficients, bands, corrections, silent)
        for chunk in chunks
    )
    coded = tables > 0
    bits += entropy.estimate_rest_bits(rest[coded], tables[coded], classes[coded])
    return CodingPlan(offsets, tables, classes, corrections, silent, bits / 8 + _CODER_BYTES)


def encode_coefficients(coefficients: Coefficients, bands: Bands, plan: CodingPlan) -> bytes:
    """Code `coefficients` by the plan that `plan_coding` made for them."""
    first, *sides = _side_chunks(coefficients, bands, plan.corrections, plan.silent)
    chunks: list[entropy.Chunk] = list(first)
    for band, side, silent in zip(bands, sides, plan.silent, strict=True):
        chunks += side
        for phase in range(len(PHASES)) if silent.any() else ():
            here = phase_slices(band.shape, phase)
            rest = (coefficients[band.where][here].astype(np.int64) - plan.offsets[band.where][here]).ravel()
            signed = rest != 0
            classes = plan.classes[band.where][here].ravel()[signed]
            chunks.append(entropy.Magnitudes(np.abs(rest), plan.tables[band.where][here].ravel()))
            chunks.append(entropy.Signs(rest[signed] > 0, classes))
    return entropy.encode_chunks(chunks)


def decode_coefficients(
    data: bytes, shape: tuple[int, ...], bands: Bands, reference: Coefficients | None = None
) -> Coefficients:
    """Inverse of `encode_coefficients`. Raises CorruptArchiveError when `data` do not fit."""
    coefficients = np.zeros(shape, dtype=np.int32)
    contexts = ChannelContexts(shape, bands, reference)
    decoder = entropy.SymbolDecoder(data)
    corrections = np.arange(entropy.TABLES)
    if decoder.decode(_side([0], SIDE_TABLE)[1])[0]:
        corrections = read_tables(decoder, corrections, CORRECTION_TABLE)
    corrections = corrections.astype(np.uint8)
    silent = np.full(2, FIRST_SILENT_TABLE)
    for number, band in enumerate(bands):
        if not decoder.decode(np.array([flag_table(coefficients, band)], dtype=np.uint8))[0]:
            continue
        silent = read_tables(decoder, silent, _SILENT_TABLE)
        subband = contexts.enter(number, coefficients)
        for phase in range(len(PHASES)):
            here = phase_slices(band.shape, phase)
            found = subband.look(phase)
            tables = np.where(found.tables == 0, np.uint8(silent[min(phase, 1)]), corrections[found.tables])
            rest = decoder.decode_magnitudes(tables)
            signed = np.flatnonzero(rest)
            rest[signed] *= np.where(decoder.decode_signs(found.classes[signed]), 1, -1)
            values = rest + found.offsets
            if values.size and max(values.max(), -1 - values.min()) > np.iinfo(np.int32).max:
                raise CorruptArchiveError("a coded stream holds a coefficient beyond 32 bits")
            phased = values.astype(np.int32).reshape(coefficients[band.where][here].shape)
            coefficients[band.where][here] = phased
            subband.put(phased)
    decoder.finish()
    return coefficients


def flag_table(coefficients: Coefficients, band: Subband) -> int:
    """The table of a subband's flag."""
    silent = bool(band.parents) and not any(coefficients[where].any() for where in band.parents)
    return FLAG_TABLES[0 if silent else 1]


def read_tables(decoder: entropy.SymbolDecoder, expected: NDArray[np.int64], table: int) -> NDArray[np.int64]:
    """Numbers of tables, coded as differences from those `expected`."""
    tables = expected + decoder.decode(np.full(expected.size, table, dtype=np.uint8))
    wrong = (tables < 0) | (tables >= entropy.TABLES)
    if wrong.any():
        raise CorruptArchiveError(
            f"coefficients ask for table {tables[wrong][0]}, and there are 0 to {entropy.TABLES - 1}: "
            "the stream is damaged"
        )
    return tables


def _side_chunks(
    coefficients: Coefficients, bands: Bands, corrections: Tables, silent: Tables
) -> Iterator[list[tuple[NDArray[np.int32], Tables]]]:
    """The stream without the coefficients: chunks before the first subband, then those that begin each subband."""
    differences = corrections - np.arange(entropy.TABLES)
    corrected = bool(differences.any())
    yield [_side([corrected], SIDE_TABLE), *([_side(differences, CORRECTION_TABLE)] if corrected else [])]
    before = np.full(2, FIRST_SILENT_TABLE)
    for band, tables in zip(bands, silent.astype(np.int32), strict=True):
        flag = _side([tables.any()], flag_table(coefficients, band))
        yield [flag, _side(tables - before, _SILENT_TABLE)] if tables.any() else [flag]
        before = tables if tables.any() else before


def _fit_corrections(rest: NDArray[np.int64], tables: Tables) -> Tables:
    """For every table the network can ask for, the table that codes its symbols best; none where that does not pay."""
    asked = tables > 0
    counts = _counts(rest[asked], tables[asked].astype(np.intp), entropy.TABLES)
    bits = counts @ entropy.code_lengths()[:, : counts.shape[1]].T
    none = np.arange(entropy.TABLES, dtype=np.uint8)
    chosen = np.where(counts.sum(axis=1) >= _FEWEST_TO_CORRECT, np.maximum(np.argmin(bits, axis=1), 1), none)
    gain = float((bits[none, none] - bits[none, chosen]).sum())
    cost = entropy.estimate_bits(*_side(chosen - none.astype(np.int64), CORRECTION_TABLE))
    return chosen.astype(np.uint8) if gain > cost else none


def _fit_silent(rest: NDArray[np.int64], tables: Tables, bands: Bands, occupied: NDArray[np.bool_]) -> Tables:
    """Tables of silent coefficients: those that code them and their own difference from the last ones in fewest
    bits."""
    silent = np.zeros((len(bands), 2), dtype=np.uint8)
    before = np.full(2, FIRST_SILENT_TABLE)
    all_tables = np.arange(entropy.TABLES)
    for number in np.flatnonzero(occupied).tolist():
        band = bands[number]
        quiet = tables[band.where] == 0
        later = np.ones(band.shape, dtype=np.intp)
        later[phase_slices(band.shape, 0)] = 0
        counts = _counts(rest[band.where][quiet], later[quiet], 2)
        bits = counts @ entropy.code_lengths()[:, : counts.shape[1]].T
        for group in range(2):
            side = entropy.code_lengths()[_SILENT_TABLE][np.abs(all_tables - before[group])]
            before[group] = max(int(np.argmin((bits[group] + side)[1:])) + 1, 1)
        silent[number] = before
    return silent


def _counts(rest: NDArray[np.int64], groups: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """How often each magnitude occurs in each group [group, magnitude]."""
    magnitudes = np.minimum(np.abs(rest), LARGEST)
    width = int(magnitudes.max(initial=0)) + 1
    found = np.bincount(groups * width + magnitudes, minlength=count * width)
    return found.reshape(count, width).astype(np.float64)


def _fill_in(tables: Tables, corrections: Tables, silent: Tables, bands: Bands) -> None:
    """From the tables that are asked for (0: silent) to those that are used, in place."""
    for band, (first, later) in zip(bands, silent, strict=True):
        if later:
            here = phase_slices(band.shape, 0)
            used = corrections[tables[band.where]]
            quiet = tables[band.where] == 0
            used[quiet] = later
            used[here][quiet[here]] = first
            tables[band.where] = used


def _side(values: object, table: int) -> tuple[NDArray[np.int32], Tables]:
    symbols = np.asarray(values).astype(np.int32)
    return symbols, np.full(symbols.size, table, dtype=np.uint8)

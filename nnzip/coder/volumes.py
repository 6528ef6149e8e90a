"""Volumes of integer coefficients <-> byte streams, one stream per part (resolution).

A tile has one or several *volumes*, int32 arrays [axis, latitude, longitude] with the same subbands (bands.py); each
may name an earlier volume as its reference. Part k holds, volume after volume, the subbands of that part in their
order, each in eight parity phases. The context model (`context_model`) gives for every coefficient an offset that is
taken off, a probability table for the magnitude of the rest and a class for its sign. Where all surroundings are zero
the coefficient is *silent*: the model is not asked, and a table of the subband serves.

Stream of part 0: whether tables are corrected, then the corrections. Of every part: for every volume and subband a flag
(0 empty, 1 not); if it is not empty the two tables of its silent coefficients (of the first phase, of later ones), then
for each phase the magnitudes, and the signs of those that are not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.arrays import Device, place, to_numpy
from nnzip.coder.bands import PARTS, Bands, Corners, corners
from nnzip.coder.context_model import ChannelContexts
from nnzip.coder.contexts import Coefficients, Contexts, Tables, filled, find_contexts
from nnzip.coder.native.kernel import Encoder, Kernel, shipped_kernel
from nnzip.coder.native.volume import Planned, Volumes
from nnzip.coder.phases import LARGEST, PHASES, phase_slices
from nnzip.coder.precision import exact_float32
from nnzip.coder.rounding import Rounding
from nnzip.errors import CorruptArchiveError

CORRECTION_TABLE = 32
FLAG_TABLES = (28, 46)
"""Tables of a subband's flag while all of its parents are empty, and otherwise."""

_CORRECTED_TABLE = 46
FIRST_SILENT_TABLE = 24
_SILENT_TABLE = 34
_FEWEST_TO_CORRECT = 64
_NONE = np.arange(entropy.TABLES, dtype=np.uint8)  # no corrections


@dataclass(frozen=True)
class Layout:
    """Where the coefficients of a tile's volumes lie: their shape and subbands, and the reference of each volume, an
    earlier volume or None."""

    shape: tuple[int, ...]
    bands: Bands
    references: tuple[int | None, ...]


@dataclass(frozen=True)
class Plan:
    """A volume with its contexts, and the counts that tables are fitted to.

    `counts` [table, magnitude] of the coefficients that are not silent; `silent` [subband, 2]: tables of the silent
    ones, 0 for empty subbands; `bits` of everything but the coefficients that are not silent; `away`: see
    `Rounding.away`.
    """

    values: Coefficients
    contexts: Contexts
    counts: NDArray[np.int64]
    silent: Tables
    bits: float
    away: NDArray[np.int64]

    @property
    def planned(self) -> Planned:
        """As the native kernel takes it."""
        return Planned(self.values, self.contexts.offsets, self.contexts.tables, self.contexts.classes)

    @property
    def bytes(self) -> float:
        """Expected size by itself."""
        return expected_bytes([self])

    def tables(self, bands: Bands, corrections: Tables) -> Tables:
        """The table of every coefficient, silent ones included; 0 in empty subbands."""
        used = corrections[self.contexts.tables]
        for band, (first, later) in zip(bands, self.silent.tolist(), strict=True):
            if later:
                quiet = self.contexts.tables[band.where] == 0
                here = used[band.where]
                here[quiet] = later
                start = phase_slices(band.shape, 0)
                here[start][quiet[start]] = first
        return used


def plan_volume(
    values: Coefficients,
    bands: Bands,
    reference: Coefficients | None,
    device: Device = None,
    rounding: Rounding | None = None,
) -> Plan:
    """Contexts and counts of a volume whose `reference` the decoder has already. With `rounding` contiguous int32
    `values` are made smaller, in place, where that is worth it."""
    values = np.ascontiguousarray(values, dtype=np.int32)
    contexts, counts = find_contexts(values, bands, reference, device, rounding)
    silent, bits = _fit_silent(counts.silent, filled(contexts, counts, bands))
    bits += float(counts.signs @ (entropy.sign_lengths() - 1))
    bits += float(counts.large[: entropy.TABLES] @ entropy.further_bits()) + float(counts.large[entropy.TABLES])
    return Plan(values, contexts, counts.heard, silent, bits, counts.away)


def expected_bytes(plans: Sequence[Plan]) -> float:
    """Size of the streams of some volumes; within one per cent and a few bytes of the truth."""
    return (fit_corrections(plans)[1] + sum(plan.bits for plan in plans)) / 8


def fit_corrections(plans: Sequence[Plan]) -> tuple[Tables, float]:
    """For every table that the network can ask for, the table that codes its symbols best, where that pays; and the
    expected bits of all coefficients that are not silent."""
    counts = np.zeros((entropy.TABLES, LARGEST + 1), dtype=np.int64)
    for plan in plans:
        counts += plan.counts
    bits = entropy.coded_bits(counts)
    chosen = np.where(counts.sum(axis=1) >= _FEWEST_TO_CORRECT, np.maximum(np.argmin(bits, axis=1), 1), _NONE)
    gain = float((bits[_NONE, _NONE] - bits[_NONE, chosen]).sum())
    cost = entropy.estimate_bits(chosen - _NONE.astype(np.int64), np.full(entropy.TABLES, CORRECTION_TABLE, np.uint8))
    if gain <= cost:
        return _NONE, float(bits[_NONE, _NONE].sum())
    return chosen.astype(np.uint8), float(bits[_NONE, chosen].sum()) + cost


@dataclass(frozen=True)
class _Phases:
    """The chunks of a subband's phases, to be coded: volume and subband."""

    number: int
    index: int


def encode_volumes(plans: Sequence[Plan], layout: Layout) -> list[bytes]:
    """One stream per part, for the volumes of `plans` in their order."""
    corrections, _ = fit_corrections(plans)
    corrected = bool((corrections != _NONE).any())
    head: list[entropy.Chunk | _Phases] = [_side([corrected], _CORRECTED_TABLE)]
    if corrected:
        head.append(_side(corrections.astype(np.int64) - _NONE, CORRECTION_TABLE))
    sides = [_Sides(layout.bands) for _ in plans]
    kernel = shipped_kernel()
    write: _NumpyWriter | _NativeWriter
    if kernel is None:
        write = _NumpyWriter(plans, layout, corrections)
    else:
        write = _NativeWriter(kernel, plans, layout, corrections)
    streams = []
    for part in range(PARTS):
        chunks = head if part == 0 else []
        for number, plan in enumerate(plans):
            reference = layout.references[number]
            beside = None if reference is None else sides[reference]
            for index in _of_part(layout.bands, part):
                chunks += _subband_chunks(plan.silent[index], number, index, sides[number], beside)
        streams.append(write(chunks))
    return streams


def _subband_chunks(
    silent: Tables, number: int, index: int, sides: _Sides, beside: _Sides | None
) -> Iterator[entropy.Chunk | _Phases]:
    yield _side([silent.any()], sides.flag_table(index))
    if not silent.any():
        return
    yield _side(silent.astype(np.int64) - sides.expected(index, beside), _SILENT_TABLE)
    sides.enter(index, silent)
    yield _Phases(number, index)


class _NumpyWriter:
    """Chunks to a stream."""

    def __init__(self, plans: Sequence[Plan], layout: Layout, corrections: Tables) -> None:
        self._plans, self._bands = plans, layout.bands
        self._tables = [plan.tables(layout.bands, corrections) for plan in plans]

    def __call__(self, chunks: Sequence[entropy.Chunk | _Phases]) -> bytes:
        found: list[entropy.Chunk] = []
        for chunk in chunks:
            found += self._phases(chunk) if isinstance(chunk, _Phases) else [chunk]
        return entropy.encode_chunks(found)

    def _phases(self, phases: _Phases) -> Iterator[entropy.Chunk]:
        plan, band = self._plans[phases.number], self._bands[phases.index]
        where, tables = band.where, self._tables[phases.number]
        for phase in range(len(PHASES)):
            here = phase_slices(band.shape, phase)
            rest = (plan.values[where][here].astype(np.int64) - plan.contexts.offsets[where][here]).ravel()
            signed = rest != 0
            yield entropy.Magnitudes(np.abs(rest), tables[where][here].ravel())
            yield entropy.Signs(rest[signed] > 0, plan.contexts.classes[where][here].ravel()[signed])


class _NativeWriter:
    """The same by the native kernel."""

    def __init__(self, kernel: Kernel, plans: Sequence[Plan], layout: Layout, corrections: Tables) -> None:
        self._kernel, self._plans, self._corrections = kernel, plans, corrections
        self._volume = Volumes(kernel, layout.shape, layout.bands)

    def __call__(self, chunks: Sequence[entropy.Chunk | _Phases]) -> bytes:
        encoder = Encoder(self._kernel)
        for chunk in reversed(chunks):
            if isinstance(chunk, _Phases):
                plan = self._plans[chunk.number]
                silent = plan.silent[chunk.index]
                self._volume.push(encoder, chunk.index, plan.planned, self._corrections, silent)
            else:
                entropy.push_chunk(encoder, chunk)
        return encoder.to_bytes()


def decode_volumes(streams: Sequence[bytes], layout: Layout, device: Device = None) -> Coefficients:
    """Inverse of `encode_volumes`: int32 [volume, axis, lat, lon]. Of fewer streams than there are parts, the subbands
    of the parts they hold; the others are zero. Raises CorruptArchiveError when the streams do not fit."""
    decoder = _VolumesDecoder(layout, device)
    for part, stream in enumerate(streams):
        decoder.read(part, stream)
    return to_numpy(decoder.volumes)


class _VolumesDecoder:
    """Volumes that grow part by part."""

    def __init__(self, layout: Layout, device: Device) -> None:
        self._layout, self._device = layout, device
        self.volumes = place(np.zeros((len(layout.references), *layout.shape), dtype=np.int32), device)
        self._contexts = [
            ChannelContexts(layout.shape, layout.bands, None if reference is None else self.volumes[reference])
            for reference in layout.references
        ]
        kernel = shipped_kernel() if device is None else None
        self._native = None if kernel is None else Volumes(kernel, layout.shape, layout.bands, len(layout.references))
        self._sides = [_Sides(layout.bands) for _ in layout.references]
        self._corrections = _NONE

    def read(self, part: int, stream: bytes) -> None:
        """The subbands of the next part."""
        decoder = entropy.SymbolDecoder(stream)
        if part == 0 and decoder.decode_few(_CORRECTED_TABLE, 1)[0]:
            self._corrections = _read_tables(decoder, _NONE, CORRECTION_TABLE)
        with exact_float32(self._device):
            for number in range(len(self._layout.references)):
                for index in _of_part(self._layout.bands, part):
                    self._read_subband(decoder, number, index)
        decoder.finish()

    def _read_subband(self, decoder: entropy.SymbolDecoder, number: int, index: int) -> None:
        sides, reference = self._sides[number], self._layout.references[number]
        if not decoder.decode_few(sides.flag_table(index), 1)[0]:
            return
        expected = sides.expected(index, None if reference is None else self._sides[reference])
        silent = _read_tables(decoder, expected, _SILENT_TABLE)
        sides.enter(index, silent)
        values, band = self.volumes[number], self._layout.bands[index]
        if decoder.native is not None and self._native is not None:
            beside = None if reference is None else self.volumes[reference]
            self._native.pop(decoder.native, number, index, values, beside, self._corrections, silent)
            return
        contexts = self._contexts[number].enter(index, values)
        for phase in range(len(PHASES)):
            found = contexts.look(phase)
            asked, offsets, classes = map(to_numpy, (found.tables, found.offsets, found.classes))
            rest = decoder.decode_magnitudes(np.where(asked == 0, silent[min(phase, 1)], self._corrections[asked]))
            signed = np.flatnonzero(rest)
            rest[signed] *= np.where(decoder.decode_signs(classes[signed]), 1, -1)
            rest += offsets
            if rest.size and max(rest.max(), -1 - rest.min()) > np.iinfo(np.int32).max:
                raise CorruptArchiveError("a coded stream holds a coefficient beyond 32 bits")
            here = values[band.where][phase_slices(band.shape, phase)]
            here[...] = place(rest.astype(np.int32).reshape(here.shape), self._device)
            contexts.put(here)


class _Sides:
    """Side information of a volume, as far as it is coded: which subbands are filled, and their silent tables."""

    def __init__(self, bands: Bands) -> None:
        self.bands = bands
        self._filled: dict[Corners, NDArray[np.int64]] = {}
        self._last = np.full(2, FIRST_SILENT_TABLE)

    def flag_table(self, index: int) -> int:
        """The table of a subband's flag."""
        parents = [corners(parent) in self._filled for parent in self.bands[index].parents]
        return FLAG_TABLES[0 if parents and not any(parents) else 1]

    def expected(self, index: int, beside: _Sides | None) -> NDArray[np.int64]:
        """The silent tables that the coded ones differ from: the reference's of the same subband, or the last ones."""
        found = None if beside is None else beside._filled.get(corners(self.bands[index].where))
        return self._last if found is None else found

    def enter(self, index: int, silent: Tables) -> None:
        """A subband that is not empty, and its silent tables."""
        self._last = silent.astype(np.int64)
        self._filled[corners(self.bands[index].where)] = self._last


def _of_part(bands: Bands, part: int) -> list[int]:
    return [index for index, band in enumerate(bands) if band.part == part]


def _read_tables(decoder: entropy.SymbolDecoder, expected: NDArray[np.integer], table: int) -> Tables:
    """Numbers of tables, coded as differences from those `expected`."""
    tables: NDArray[np.int64] = expected.astype(np.int64) + decoder.decode_few(table, expected.size)
    wrong = (tables < 0) | (tables >= entropy.TABLES)
    if wrong.any():
        raise CorruptArchiveError(
            f"coefficients ask for table {tables[wrong][0]}, and there are 0 to {entropy.TABLES - 1}: "
            "the stream is damaged"
        )
    return tables.astype(np.uint8)


def _fit_silent(counts: NDArray[np.int64], entered: list[int]) -> tuple[Tables, float]:
    """Tables of the silent coefficients of the subbands that are `entered`: those that code them in fewest bits, and
    stay as they were where there are none; with these bits and those of the flags and tables. `counts` [subband, 2,
    magnitude]."""
    silent = np.zeros(counts.shape[:2], dtype=np.uint8)
    before, total = np.full(2, FIRST_SILENT_TABLE), 0.1 * len(counts)
    bits = entropy.coded_bits(counts.reshape(-1, counts.shape[2])).reshape(*counts.shape[:2], entropy.TABLES)
    side = _side_bits()
    for number in entered:
        here = bits[number] + side[before]
        silent[number] = before = np.argmin(here[:, 1:], axis=1) + 1
        total += float(here[0, before[0]] + here[1, before[1]])
    return silent, total


@lru_cache(maxsize=1)
def _side_bits() -> NDArray[np.float64]:
    """Bits of a silent table after another [before, table]."""
    tables = np.arange(entropy.TABLES)
    found: NDArray[np.float64] = entropy.code_lengths()[_SILENT_TABLE][np.abs(tables - tables[:, None])]
    return found


def _side(values: object, table: int) -> tuple[NDArray[np.int32], Tables]:
    symbols = np.asarray(values).astype(np.int32)
    return symbols, np.full(symbols.size, table, dtype=np.uint8)

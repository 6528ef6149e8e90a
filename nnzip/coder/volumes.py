"""Volumes of integer coefficients <-> byte streams, one stream per part (resolution).

A tile has one or several *volumes*, int32 arrays [axis, latitude, longitude] with the same subbands (bands.py); each may
name an earlier volume as its reference. Part k holds, volume after volume, the subbands of that part in their order,
each in eight parity phases. The context model (`context_model`) gives for every coefficient an offset that is taken off,
a probability table for the magnitude of the rest and a class for its sign. Where all surroundings are zero the
coefficient is *silent*: the model is not asked, and a table of the subband serves.

Stream of part 0: whether tables are corrected, then the corrections. Of every part: for every volume and subband a flag
(0 empty, 1 not); if it is not empty the two tables of its silent coefficients (of the first phase, of later ones), then
for each phase the magnitudes, and the signs of those that are not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.arrays import Device, place, to_numpy
from nnzip.coder.bands import PARTS, Bands, Corners, corners
from nnzip.coder.context_model import ChannelContexts
from nnzip.coder.phases import LARGEST, PHASES, phase_slices
from nnzip.coder.precision import exact_float32
from nnzip.errors import CorruptArchiveError

Coefficients = NDArray[np.int32]
Tables = NDArray[np.uint8]

CORRECTION_TABLE = 32
FLAG_TABLES = (28, 46)
"""Tables of a subband's flag while all of its parents are empty, and otherwise."""

_CORRECTED_TABLE = 46
FIRST_SILENT_TABLE = 24
_SILENT_TABLE = 34
_FEWEST_TO_CORRECT = 64
_COUNTED = 1 << 20  # far beyond LARGEST, and far from the limits of 32 bits
_NONE = np.arange(entropy.TABLES, dtype=np.uint8)  # no corrections


@dataclass(frozen=True)
class Layout:
    """Where the coefficients of a tile's volumes lie: their shape and subbands, and the reference of each volume, an
    earlier volume or None."""

    shape: tuple[int, ...]
    bands: Bands
    references: tuple[int | None, ...]


@dataclass(frozen=True)
class Contexts:
    """The context model's answers for every coefficient of a volume, [axis, lat, lon] each.

    `offsets` int16: taken off the coefficient; `tables` uint8: table of the rest, 0 where the coefficient is silent;
    `classes` uint8: class of the sign.
    """

    offsets: NDArray[np.int16]
    tables: Tables
    classes: Tables


@dataclass(frozen=True)
class Plan:
    """A volume with its contexts, and the counts that tables are fitted to.

    `counts` [table, magnitude] of the coefficients that are not silent; `silent` [subband, 2]: tables of the silent
    ones, 0 for empty subbands; `bits` of everything but the coefficients that are not silent; `sign_bits` of the signs'
    classes beyond one bit a sign.
    """

    values: Coefficients
    contexts: Contexts
    counts: NDArray[np.float64]
    silent: Tables
    bits: float

    @property
    def bytes(self) -> float:
        """Expected size with corrections of its own; within one per cent and a few bytes of the truth."""
        return (fit_corrections([self])[1] + self.bits) / 8

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


def find_contexts(
    values: Coefficients, bands: Bands, reference: Coefficients | None, device: Device = None
) -> Contexts:
    """Contexts of a volume that is known as a whole, as a decoder finds them step by step.

    Cost on one core in numpy: about 0.3 us per coefficient that is not silent, and 0.3 ms per phase of a subband.
    """
    whole = place(np.ascontiguousarray(values), device)
    contexts = ChannelContexts(values.shape, bands, None if reference is None else place(reference, device))
    offsets, tables = np.zeros(values.shape, dtype=np.int16), np.zeros(values.shape, dtype=np.uint8)
    classes = np.full(values.shape, entropy.SIGN_CLASSES // 2, dtype=np.uint8)
    with exact_float32(device):
        for number in _occupied(values, bands):
            where = bands[number].where
            subband = contexts.enter(number, whole)
            for phase in range(len(PHASES)):
                here = phase_slices(bands[number].shape, phase)
                found = subband.look(phase)
                for part, flat in zip(
                    (offsets, tables, classes), (found.offsets, found.tables, found.classes), strict=True
                ):
                    part[where][here] = to_numpy(flat).reshape(part[where][here].shape)
                subband.put(whole[where][here])
    return Contexts(offsets, tables, classes)


def plan_volume(values: Coefficients, bands: Bands, reference: Coefficients | None, device: Device = None) -> Plan:
    """Contexts and counts of a volume whose `reference` the decoder has already."""
    contexts = find_contexts(values, bands, reference, device)
    rest = np.clip(values, -_COUNTED, _COUNTED) - contexts.offsets
    heard = contexts.tables > 0
    spoken, asked = rest[heard], contexts.tables[heard]
    counts = _counts(spoken, asked, entropy.TABLES)
    silent, bits = _fit_silent(rest, heard, bands)
    signed = spoken != 0
    towards = np.where(
        spoken[signed] > 0, contexts.classes[heard][signed], entropy.SIGN_CLASSES - 1 - contexts.classes[heard][signed]
    )
    bits += float(np.bincount(towards, minlength=entropy.SIGN_CLASSES) @ (entropy.sign_lengths() - 1))
    far = np.abs(rest) > LARGEST
    if far.any():
        kinds = np.maximum(contexts.tables[far], 1)
        further = values[far].astype(np.int64) - contexts.offsets[far]
        bits += entropy.estimate_bits(further, kinds) - float(entropy.code_lengths()[kinds, LARGEST].sum())
    return Plan(values, contexts, counts, silent, bits)


def fit_corrections(plans: Sequence[Plan]) -> tuple[Tables, float]:
    """For every table that the network can ask for, the table that codes its symbols best, where that pays; and the
    expected bits of all coefficients that are not silent."""
    width = max((plan.counts.shape[1] for plan in plans), default=1)
    counts = np.zeros((entropy.TABLES, width))
    for plan in plans:
        counts[:, : plan.counts.shape[1]] += plan.counts
    bits = counts @ entropy.code_lengths()[:, :width].T
    chosen = np.where(counts.sum(axis=1) >= _FEWEST_TO_CORRECT, np.maximum(np.argmin(bits, axis=1), 1), _NONE)
    gain = float((bits[_NONE, _NONE] - bits[_NONE, chosen]).sum())
    cost = entropy.estimate_bits(chosen - _NONE.astype(np.int64), np.full(entropy.TABLES, CORRECTION_TABLE, np.uint8))
    if gain <= cost:
        return _NONE, float(bits[_NONE, _NONE].sum())
    return chosen.astype(np.uint8), float(bits[_NONE, chosen].sum()) + cost


def encode_volumes(plans: Sequence[Plan], layout: Layout) -> list[bytes]:
    """One stream per part, for the volumes of `plans` in their order."""
    corrections, _ = fit_corrections(plans)
    tables = [plan.tables(layout.bands, corrections) for plan in plans]
    corrected = bool((corrections != _NONE).any())
    head: list[entropy.Chunk] = [_side([corrected], _CORRECTED_TABLE)]
    if corrected:
        head.append(_side(corrections.astype(np.int64) - _NONE, CORRECTION_TABLE))
    sides = [_Sides(layout.bands) for _ in plans]
    streams = []
    for part in range(PARTS):
        chunks = head if part == 0 else []
        for number, (plan, used) in enumerate(zip(plans, tables, strict=True)):
            reference = layout.references[number]
            beside = None if reference is None else sides[reference]
            for index in _of_part(layout.bands, part):
                chunks += _subband_chunks(plan, used, index, sides[number], beside)
        streams.append(entropy.encode_chunks(chunks))
    return streams


def _subband_chunks(
    plan: Plan, used: Tables, index: int, sides: _Sides, beside: _Sides | None
) -> Iterator[entropy.Chunk]:
    band, silent = sides.bands[index], plan.silent[index]
    yield _side([silent.any()], sides.flag_table(index))
    if not silent.any():
        return
    yield _side(silent.astype(np.int64) - sides.expected(index, beside), _SILENT_TABLE)
    sides.enter(index, silent)
    values, offsets, classes = (
        plan.values[band.where],
        plan.contexts.offsets[band.where],
        plan.contexts.classes[band.where],
    )
    for phase in range(len(PHASES)):
        here = phase_slices(band.shape, phase)
        rest = (values[here].astype(np.int64) - offsets[here]).ravel()
        signed = rest != 0
        yield entropy.Magnitudes(np.abs(rest), used[band.where][here].ravel())
        yield entropy.Signs(rest[signed] > 0, classes[here].ravel()[signed])


def decode_volumes(streams: Sequence[bytes], layout: Layout, device: Device = None) -> list[Coefficients]:
    """Inverse of `encode_volumes`. Of fewer streams than there are parts, the subbands of the parts they hold; the
    others are zero. Raises CorruptArchiveError when the streams do not fit."""
    decoder = _VolumesDecoder(layout, device)
    for part, stream in enumerate(streams):
        decoder.read(part, stream)
    return decoder.volumes


class _VolumesDecoder:
    """Volumes that grow part by part."""

    def __init__(self, layout: Layout, device: Device) -> None:
        self._layout, self._device = layout, device
        self._arrays = [place(np.zeros(layout.shape, dtype=np.int32), device) for _ in layout.references]
        self._contexts = [
            ChannelContexts(layout.shape, layout.bands, None if reference is None else self._arrays[reference])
            for reference in layout.references
        ]
        self._sides = [_Sides(layout.bands) for _ in layout.references]
        self._corrections = _NONE

    @property
    def volumes(self) -> list[Coefficients]:
        return [to_numpy(array) for array in self._arrays]

    def read(self, part: int, stream: bytes) -> None:
        """The subbands of the next part."""
        decoder = entropy.SymbolDecoder(stream)
        if part == 0 and decoder.decode(_side([0], _CORRECTED_TABLE)[1])[0]:
            self._corrections = _read_tables(decoder, _NONE, CORRECTION_TABLE)
        with exact_float32(self._device):
            for number in range(len(self._arrays)):
                for index in _of_part(self._layout.bands, part):
                    self._read_subband(decoder, number, index)
        decoder.finish()

    def _read_subband(self, decoder: entropy.SymbolDecoder, number: int, index: int) -> None:
        sides, reference = self._sides[number], self._layout.references[number]
        if not decoder.decode(np.array([sides.flag_table(index)], dtype=np.uint8))[0]:
            return
        expected = sides.expected(index, None if reference is None else self._sides[reference])
        silent = _read_tables(decoder, expected, _SILENT_TABLE)
        sides.enter(index, silent)
        values, band = self._arrays[number], self._layout.bands[index]
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


def _occupied(values: Coefficients, bands: Bands) -> list[int]:
    return [index for index, band in enumerate(bands) if values[band.where].any()]


def _read_tables(decoder: entropy.SymbolDecoder, expected: NDArray[np.integer], table: int) -> Tables:
    """Numbers of tables, coded as differences from those `expected`."""
    tables = expected.astype(np.int64) + decoder.decode(np.full(expected.size, table, dtype=np.uint8))
    wrong = (tables < 0) | (tables >= entropy.TABLES)
    if wrong.any():
        raise CorruptArchiveError(
            f"coefficients ask for table {tables[wrong][0]}, and there are 0 to {entropy.TABLES - 1}: "
            "the stream is damaged"
        )
    return tables.astype(np.uint8)


def _fit_silent(rest: NDArray[np.int32], heard: NDArray[np.bool_], bands: Bands) -> tuple[Tables, float]:
    """Tables of the silent coefficients by subband: those that code them in fewest bits, and stay as they were where
    there are none; with these bits and those of the flags and tables."""
    silent = np.zeros((len(bands), 2), dtype=np.uint8)
    before, total = np.full(2, FIRST_SILENT_TABLE), 0.0
    differences = np.arange(entropy.TABLES)
    for number, band in enumerate(bands):
        total += 0.1
        here, quiet = rest[band.where], ~heard[band.where]
        if not (here.any() or heard[band.where].any()):
            continue
        first = np.zeros(band.shape, dtype=np.bool_)
        first[phase_slices(band.shape, 0)] = True
        chosen = []
        for phase, members in enumerate((quiet & first, quiet & ~first)):
            counts = np.bincount(np.minimum(np.abs(here[members]), LARGEST), minlength=1)
            bits = counts @ entropy.code_lengths()[:, : counts.size].T
            side = entropy.code_lengths()[_SILENT_TABLE][np.abs(differences - before[phase])]
            chosen.append(int(np.argmin((bits + side)[1:])) + 1)
            total += float((bits + side)[chosen[-1]])
        silent[number] = before = np.array(chosen)
    return silent, total


def _counts(rest: NDArray[np.int32], groups: Tables, count: int) -> NDArray[np.float64]:
    """How often each magnitude [n] occurs in each group [group, magnitude]."""
    if not rest.size:
        return np.zeros((count, 1))
    magnitudes = np.minimum(np.abs(rest), LARGEST).astype(np.int64)
    width = int(magnitudes.max()) + 1
    found = np.bincount(magnitudes + width * groups.astype(np.int64), minlength=count * width)
    return found.reshape(count, width).astype(np.float64)


def _side(values: object, table: int) -> tuple[NDArray[np.int32], Tables]:
    symbols = np.asarray(values).astype(np.int32)
    return symbols, np.full(symbols.size, table, dtype=np.uint8)

"""Quantised wavelet coefficients of one channel <-> bytes, through the context model.

Subbands are coded from coarse to fine, each in eight parity phases. Of a coefficient whose surroundings say something,
the prediction (`prediction`) is taken off; the rest is coded under the table, and its sign under the class, that the
network asks for (`context`, `context_network`), after a correction of the tables fitted to the data at hand. Silent
coefficients are coded under a table of the subband and of the phase (first or later).

Stream: corrections of the tables; then for every subband its flag (0 empty, 1 not) and, if it is not empty, its two
tables for silent coefficients and its phases: the magnitudes, then the signs of those that are not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder import entropy
from nnzip.coder.arrays import Array, as_array, move_beside, to_numpy
from nnzip.coder.bands import Bands, Corners, corners
from nnzip.coder.context_model import ChannelContexts, SubbandContexts
from nnzip.coder.phases import LARGEST, PHASES, phase_slices
from nnzip.coder.precision import exact_float32
from nnzip.errors import CorruptArchiveError

Tables = NDArray[np.uint8]

CORRECTION_TABLE = 32
SIDE_TABLE = 46
FLAG_TABLES = (28, 46)
"""Tables of a subband's flag while all of its parents are empty, and otherwise."""

FIRST_SILENT_TABLE = 24
_SILENT_TABLE = 34
_FEWEST_TO_CORRECT = 64
_COUNTED = 1 << 20  # far beyond LARGEST, and far from the limits of 32 bits
_CODER_BYTES = 2  # what the entropy coder adds to the symbols' bits, on average


@dataclass(frozen=True)
class CodingPlan:
    """How coefficients would be coded, and the size to expect.

    All [time, lat, lon], on the coefficients' device: `offsets` (int16), what is taken off each coefficient; `tables`
    (uint8) of the rest, 0 in empty subbands; `classes` (uint8) of its sign. `corrections` [table]: what is used instead
    of the table the network asks for. `silent` [subband, 2]: tables of silent coefficients in the first phase and in
    later ones, 0 for empty subbands.
    """

    offsets: Tensor
    tables: Tensor
    classes: Tensor
    corrections: Tables
    silent: Tables
    bytes: float


def plan_coding(coefficients: Tensor, bands: Bands, reference: Tensor | None = None) -> CodingPlan:
    """Contexts and fitted tables for int32 `coefficients` [time, lat, lon] with these subbands (bands.py).

    `reference`: coefficients of another channel in the same layout, which the decoder has already; both on one device,
    which does the work. The expected size is within one per cent and a few bytes of that of `encode_coefficients`.
    Cost: about 0.3 us per coefficient that is not silent, one core, and 0.3 ms per phase of a subband; memory about
    five times the coefficients.
    """
    coefficients = coefficients.contiguous()
    offsets = torch.zeros_like(coefficients, dtype=torch.int16)
    tables = torch.zeros_like(coefficients, dtype=torch.uint8)
    classes = torch.full_like(coefficients, entropy.SIGN_CLASSES // 2, dtype=torch.uint8)
    values = as_array(coefficients)
    parts = as_array(offsets), as_array(tables), as_array(classes)
    contexts = ChannelContexts(tuple(coefficients.shape), bands, None if reference is None else as_array(reference))
    occupied = np.array([bool(values[band.where].any()) for band in bands])
    with exact_float32(coefficients.device):
        for number in np.flatnonzero(occupied).tolist():
            where = bands[number].where
            subband = contexts.enter(number, values)
            for phase in range(len(PHASES)):
                here = phase_slices(bands[number].shape, phase)
                found = subband.look(phase)
                for part, flat in zip(parts, (found.offsets, found.tables, found.classes), strict=True):
                    part[where][here] = flat.reshape(part[where][here].shape)
                subband.put(values[where][here])
    rest = coefficients.clamp(-_COUNTED, _COUNTED).sub_(offsets)
    corrections, bits = _fit_corrections(*_at(tables > 0, rest, tables, classes))
    quiet = _at(tables == 0, rest, _silent_groups(bands, rest))
    silent, silent_bits = _fit_silent(quiet[0], quiet[1], occupied)
    _fill_in(tables, corrections, silent, bands)
    bits += silent_bits + _further_bits(*_at(rest.abs() > LARGEST, coefficients, offsets, tables))
    side = _side_chunks(bands, corrections, silent)
    bits += sum(entropy.estimate_bits(*chunk) for chunks in side for chunk in chunks)
    return CodingPlan(offsets, tables, classes, corrections, silent, bits / 8 + _CODER_BYTES)


def encode_coefficients(coefficients: Tensor, bands: Bands, plan: CodingPlan) -> bytes:
    """Code `coefficients` by the plan that `plan_coding` made for them."""
    values, offsets, tables, kinds = (
        tensor.cpu().numpy() for tensor in (coefficients, plan.offsets, plan.tables, plan.classes)
    )
    first, *sides = _side_chunks(bands, plan.corrections, plan.silent)
    chunks: list[entropy.Chunk] = list(first)
    for band, side, silent in zip(bands, sides, plan.silent, strict=True):
        chunks += side
        for phase in range(len(PHASES)) if silent.any() else ():
            here = phase_slices(band.shape, phase)
            rest = (values[band.where][here].astype(np.int64) - offsets[band.where][here]).ravel()
            signed = rest != 0
            classes = kinds[band.where][here].ravel()[signed]
            chunks.append(entropy.Magnitudes(np.abs(rest), tables[band.where][here].ravel()))
            chunks.append(entropy.Signs(rest[signed] > 0, classes))
    return entropy.encode_chunks(chunks)


def decode_coefficients(
    data: bytes, shape: tuple[int, ...], bands: Bands, reference: Tensor | None, device: torch.device
) -> Tensor:
    """Inverse of `encode_coefficients`: int32 on `device`. Raises CorruptArchiveError when `data` do not fit."""
    coefficients = torch.zeros(shape, dtype=torch.int32, device=device)
    values = as_array(coefficients)
    contexts = ChannelContexts(shape, bands, None if reference is None else as_array(reference))
    decoder = entropy.SymbolDecoder(data)
    corrections = np.arange(entropy.TABLES)
    if decoder.decode(_side([0], SIDE_TABLE)[1])[0]:
        corrections = read_tables(decoder, corrections, CORRECTION_TABLE)
    used = corrections.astype(np.uint8)
    silent, filled = np.full(2, FIRST_SILENT_TABLE), set[Corners]()
    for number, band in enumerate(bands):
        flag = flag_table([corners(parent) in filled for parent in band.parents])
        if not decoder.decode(np.array([flag], dtype=np.uint8))[0]:
            continue
        silent = read_tables(decoder, silent, _SILENT_TABLE)
        with exact_float32(device):
            _decode_subband(decoder, contexts.enter(number, values), values[band.where], used, silent)
        if bool(values[band.where].any()):
            filled.add(corners(band.where))
    decoder.finish()
    return coefficients


def _decode_subband(
    decoder: entropy.SymbolDecoder,
    contexts: SubbandContexts,
    subband: Array,
    corrections: Tables,
    silent: NDArray[np.int64],
) -> None:
    """Into the zeros of `subband`."""
    for phase in range(len(PHASES)):
        found = contexts.look(phase)
        asked, offsets, classes = map(to_numpy, (found.tables, found.offsets, found.classes))
        rest = decoder.decode_magnitudes(np.where(asked == 0, np.uint8(silent[min(phase, 1)]), corrections[asked]))
        signed = np.flatnonzero(rest)
        rest[signed] *= np.where(decoder.decode_signs(classes[signed]), 1, -1)
        rest += offsets
        if rest.size and max(rest.max(), -1 - rest.min()) > np.iinfo(np.int32).max:
            raise CorruptArchiveError("a coded stream holds a coefficient beyond 32 bits")
        here = subband[phase_slices(tuple(subband.shape), phase)]
        here[...] = move_beside(subband, rest.astype(np.int32)).reshape(here.shape)
        contexts.put(here)


def flag_table(parents: Sequence[bool]) -> int:
    """The table of a subband's flag; `parents`: which of them hold anything."""
    return FLAG_TABLES[0 if parents and not any(parents) else 1]


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


def _side_chunks(bands: Bands, corrections: Tables, silent: Tables) -> Iterator[list[tuple[NDArray[np.int32], Tables]]]:
    """The stream without the coefficients: chunks before the first subband, then those that begin each subband."""
    differences = corrections - np.arange(entropy.TABLES)
    corrected = bool(differences.any())
    yield [_side([corrected], SIDE_TABLE), *([_side(differences, CORRECTION_TABLE)] if corrected else [])]
    filled = {corners(band.where) for band, tables in zip(bands, silent, strict=True) if tables.any()}
    before = np.full(2, FIRST_SILENT_TABLE)
    for band, tables in zip(bands, silent.astype(np.int32), strict=True):
        flag = _side([tables.any()], flag_table([corners(parent) in filled for parent in band.parents]))
        yield [flag, _side(tables - before, _SILENT_TABLE)] if tables.any() else [flag]
        before = tables if tables.any() else before


def _at(where: Tensor, *arrays: Tensor) -> list[Tensor]:
    """Flat values of contiguous arrays there."""
    places = torch.nonzero(where.view(-1)).view(-1)
    return [array.view(-1).index_select(0, places) for array in arrays]


def _fit_corrections(rest: Tensor, tables: Tensor, classes: Tensor) -> tuple[Tables, float]:
    """For every table the network can ask for, the table that codes its symbols best; none where that does not pay.

    Of coefficients [n] that are not silent; with their bits.
    """
    counts = _counts(rest, tables, entropy.TABLES)
    bits = counts @ entropy.code_lengths()[:, : counts.shape[1]].T
    none = np.arange(entropy.TABLES, dtype=np.uint8)
    chosen = np.where(counts.sum(axis=1) >= _FEWEST_TO_CORRECT, np.maximum(np.argmin(bits, axis=1), 1), none)
    gain = float((bits[none, none] - bits[none, chosen]).sum())
    cost = entropy.estimate_bits(*_side(chosen - none.astype(np.int64), CORRECTION_TABLE))
    used = chosen.astype(np.uint8) if gain > cost else none
    towards = torch.where(rest > 0, classes, entropy.SIGN_CLASSES - 1 - classes).add_(1).masked_fill_(rest == 0, 0)
    signs = torch.bincount(towards, minlength=1 + entropy.SIGN_CLASSES)[1:].cpu().numpy()
    return used, float(bits[none, used].sum() + signs @ (entropy.sign_lengths() - 1))


def _fit_silent(rest: Tensor, groups: Tensor, occupied: NDArray[np.bool_]) -> tuple[Tables, float]:
    """Tables of silent coefficients [n] by subband: those that code them and their own difference from the last ones
    in fewest bits; with these bits. `groups`: see `_silent_groups`."""
    counts = _counts(rest, groups, 2 * occupied.size)
    bits = (counts @ entropy.code_lengths()[:, : counts.shape[1]].T).reshape(occupied.size, 2, -1)
    silent = np.zeros((occupied.size, 2), dtype=np.uint8)
    before, total = np.full(2, FIRST_SILENT_TABLE), 0.0
    differences = np.arange(entropy.TABLES)
    for number in np.flatnonzero(occupied).tolist():
        side = entropy.code_lengths()[_SILENT_TABLE][np.abs(differences - before[:, None])]
        before = np.argmin((bits[number] + side)[:, 1:], axis=1) + 1
        silent[number] = before
        total += float(bits[number, [0, 1], before].sum())
    return silent, total


def _silent_groups(bands: Bands, like: Tensor) -> Tensor:
    """Which table serves a coefficient if it is silent, int16: twice its subband's number, and one more in later
    phases."""
    groups = torch.zeros_like(like, dtype=torch.int16)
    for number, band in enumerate(bands):
        groups[band.where] = 2 * number + 1
        groups[band.where][phase_slices(band.shape, 0)] = 2 * number
    return groups


def _further_bits(coefficients: Tensor, offsets: Tensor, tables: Tensor) -> float:
    """What these coefficients [n] cost more than magnitudes of LARGEST, which is how they were counted."""
    rest, kinds = (coefficients.to(torch.int64) - offsets).cpu().numpy(), tables.cpu().numpy()
    return entropy.estimate_bits(rest, kinds) - float(entropy.code_lengths()[kinds, LARGEST].sum())


def _counts(rest: Tensor, groups: Tensor, count: int) -> NDArray[np.float64]:
    """How often each magnitude [n] occurs in each group [group, magnitude]."""
    if not len(rest):
        return np.zeros((count, 1))
    magnitudes = rest.abs().clamp_(max=LARGEST)
    width = int(magnitudes.max()) + 1
    found = torch.bincount(magnitudes.add_(groups, alpha=width), minlength=count * width)
    return found.view(count, width).cpu().numpy().astype(np.float64)


def _fill_in(tables: Tensor, corrections: Tables, silent: Tables, bands: Bands) -> None:
    """From the tables that are asked for (0: silent) to those that are used, in place."""
    chosen = torch.from_numpy(corrections).to(tables.device)
    for band, (first, later) in zip(bands, silent.tolist(), strict=True):
        if later:
            here = phase_slices(band.shape, 0)
            quiet = tables[band.where] == 0
            used = chosen[tables[band.where].to(torch.int32)].masked_fill_(quiet, later)
            used[here].masked_fill_(quiet[here], first)
            tables[band.where] = used


def _side(values: object, table: int) -> tuple[NDArray[np.int32], Tables]:
    symbols = np.asarray(values).astype(np.int32)
    return symbols, np.full(symbols.size, table, dtype=np.uint8)

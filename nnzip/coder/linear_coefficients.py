"""Coefficient streams of format 1, which are only read: contexts are those of `linear_context`.

Stream: corrections of the tables; then for every subband its flag (0 empty, 1 not) and, if it is not empty, its two
tables for an empty context and the symbols of its phases.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder import entropy
from nnzip.coder.bands import Bands, Subband, parent_positions
from nnzip.coder.coefficients import (
    CORRECTION_TABLE,
    FIRST_SILENT_TABLE,
    SIDE_TABLE,
    flag_table,
    read_tables,
)
from nnzip.coder.linear_context import phase_tables
from nnzip.coder.phases import LARGEST, PHASES, phase_slices

Coefficients = NDArray[np.int32]


def decode_linear(
    data: bytes, shape: tuple[int, ...], bands: Bands, reference: Tensor | None, device: torch.device
) -> Tensor:
    """Coefficients [shape] of a stream of format 1, int32 on `device`; the work is the processor's.

    Raises CorruptArchiveError when `data` do not fit.
    """
    coefficients = np.zeros(shape, dtype=np.int32)
    magnitudes = np.zeros(shape, dtype=np.int32)
    reference_magnitudes = None if reference is None else _magnitudes(reference.cpu().numpy())
    decoder = entropy.SymbolDecoder(data)
    corrections = read_tables(decoder, np.arange(entropy.TABLES), CORRECTION_TABLE)
    silent = np.full(2, FIRST_SILENT_TABLE)
    for band in bands:
        flag = flag_table([bool(magnitudes[parent].any()) for parent in band.parents])
        if not decoder.decode(np.array([flag], dtype=np.uint8))[0]:
            continue
        silent = read_tables(decoder, silent, SIDE_TABLE)
        parents, padded, reference_padded = _surroundings(magnitudes, reference_magnitudes, band)
        values = coefficients[band.where]
        for phase in range(len(PHASES)):
            here = phase_slices(band.shape, phase)
            tables = phase_tables(padded, parents, len(band.parents), reference_padded, phase)
            tables = np.where(tables == 0, np.uint8(silent[min(phase, 1)]), corrections[tables].astype(np.uint8))
            values[here] = decoder.decode(tables).reshape(values[here].shape)
            padded[1:-1, 1:-1, 1:-1][here] = _magnitudes(values[here])
        magnitudes[band.where] = _magnitudes(values)
    decoder.finish()
    return torch.from_numpy(coefficients).to(device)


def _surroundings(
    magnitudes: Coefficients, reference: Coefficients | None, band: Subband
) -> tuple[Coefficients, Coefficients, Coefficients | None]:
    """What `linear_context` looks at: parents' magnitudes summed [subband], a zeroed padded subband, the reference.

    `magnitudes` and `reference` are those of all subbands, capped at `phases.LARGEST`.
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


def _magnitudes(coefficients: Coefficients) -> Coefficients:
    return np.abs(np.clip(coefficients, -LARGEST, LARGEST))

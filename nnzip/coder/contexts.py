"""Contexts of a volume that is known as a whole, and how often each symbol comes under each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.arrays import Device, place, to_numpy
from nnzip.coder.bands import Bands, Place
from nnzip.coder.context_model import ChannelContexts
from nnzip.coder.entropy import SIGN_CLASSES, TABLES
from nnzip.coder.native.kernel import shipped_kernel
from nnzip.coder.native.volume import Planned, Volumes
from nnzip.coder.phases import LARGEST, PHASES, phase_slices
from nnzip.coder.precision import exact_float32
from nnzip.coder.rounding import Rounding

Coefficients = NDArray[np.int32]
Tables = NDArray[np.uint8]

_COUNTED = 1 << 20  # far beyond LARGEST, and far from the limits of 32 bits


@dataclass(frozen=True)
class Contexts:
    """The context model's answers for every coefficient of a volume, [axis, lat, lon] each.

    `offsets` int16: taken off the coefficient; `tables` uint8: table of the rest, 0 where the coefficient is silent;
    `classes` uint8: class of the sign.
    """

    offsets: NDArray[np.int16]
    tables: Tables
    classes: Tables

    @classmethod
    def silent(cls, shape: tuple[int, ...]) -> Contexts:
        """Of a volume without any."""
        classes = np.full(shape, SIGN_CLASSES // 2, dtype=np.uint8)
        return cls(np.zeros(shape, dtype=np.int16), np.zeros(shape, dtype=np.uint8), classes)

    def forget(self, where: Place) -> None:
        """A subband that turned out to be empty."""
        self.offsets[where], self.tables[where], self.classes[where] = 0, 0, SIGN_CLASSES // 2


@dataclass(frozen=True)
class Counts:
    """How often symbols occur, int64.

    `heard` [table, magnitude]: magnitudes up to LARGEST under the table that is asked for; `silent` [subband, 2,
    magnitude]: those of silent coefficients in the first phase and in later ones; `signs` [class]: signs of the others,
    as if all were positive; `large` [table + 1]: magnitudes beyond LARGEST, as which they are counted too, by table
    (silent ones: the last), and the bits below the leading ones of their excesses; `away`: where values are rounded,
    see `Rounding.away`.
    """

    heard: NDArray[np.int64]
    silent: NDArray[np.int64]
    signs: NDArray[np.int64]
    large: NDArray[np.int64]
    away: NDArray[np.int64]

    @classmethod
    def none(cls, bands: int) -> Counts:
        """Before anything is counted."""
        shapes = (TABLES, LARGEST + 1), (bands, 2, LARGEST + 1), (SIGN_CLASSES,), (TABLES + 1,), (2, 2)
        heard, silent, signs, large, away = (np.zeros(shape, dtype=np.int64) for shape in shapes)
        return cls(heard, silent, signs, large, away)


def filled(contexts: Contexts, counts: Counts, bands: Bands) -> list[int]:
    """Numbers of the subbands that hold anything: those with silent coefficients, or of which the first is not."""
    silent = counts.silent.any(axis=(1, 2))
    firsts = [contexts.tables[tuple(part.start for part in band.where)] for band in bands]
    return np.flatnonzero(silent | np.array(firsts, dtype=np.bool_)).tolist()


def find_contexts(
    values: Coefficients,
    bands: Bands,
    reference: Coefficients | None,
    device: Device = None,
    rounding: Rounding | None = None,
) -> tuple[Contexts, Counts]:
    """Contexts of contiguous int32 `values`, as a decoder finds them step by step, and counts; silent in empty
    subbands. With `rounding` values become smaller, in place, phase by phase.

    Cost on one core: 60 ns per coefficient with the native kernel; in numpy about 1 us per coefficient that is not
    silent, and 0.3 ms per phase of a subband.
    """
    found = Contexts.silent(values.shape)
    kernel = shipped_kernel() if device is None else None
    if kernel is not None:
        counts = Counts.none(len(bands))
        planned = Planned(values, found.offsets, found.tables, found.classes)
        Volumes(kernel, values.shape, bands).plan(planned, reference, **vars(counts), rounding=rounding)
        return found, counts
    whole = place(values, device)
    contexts = ChannelContexts(values.shape, bands, None if reference is None else place(reference, device))
    with exact_float32(device):
        for number in range(len(bands)):
            where = bands[number].where
            if not values[where].any():
                continue
            subband = contexts.enter(number, whole)
            for phase in range(len(PHASES)):
                here = phase_slices(bands[number].shape, phase)
                looked = subband.look(phase)
                for part, flat in (
                    (found.offsets, looked.offsets),
                    (found.tables, looked.tables),
                    (found.classes, looked.classes),
                ):
                    part[where][here] = to_numpy(flat).reshape(part[where][here].shape)
                if rounding is not None:
                    _round(values, found, rounding, (where, here))
                    whole[where][here] = place(np.ascontiguousarray(values[where][here]), device)
                subband.put(whole[where][here])
            if not values[where].any():
                contexts.leave(number)
                found.forget(where)
    return found, _counted(values, found, bands, rounding)


def _round(values: Coefficients, found: Contexts, rounding: Rounding, at: tuple[Place, Place]) -> None:
    """Round a phase of a subband, in place."""
    where, here = at
    kinds = found.offsets[where][here].ravel(), found.tables[where][here].ravel(), found.classes[where][here].ravel()
    shrunk = rounding.shrunk(values[where][here].ravel(), rounding.scaled[where][here].ravel(), *kinds)
    values[where][here] = shrunk.reshape(values[where][here].shape)


def _counted(values: Coefficients, contexts: Contexts, bands: Bands, rounding: Rounding | None) -> Counts:
    """Of the subbands that hold anything."""
    counts = Counts.none(len(bands))
    sizes = np.abs(values.astype(np.int64) - contexts.offsets)
    rest = np.clip(values, -_COUNTED, _COUNTED) - contexts.offsets
    magnitudes = np.minimum(sizes, LARGEST)
    heard = contexts.tables > 0
    places = magnitudes[heard] + (LARGEST + 1) * contexts.tables[heard].astype(np.int64)
    counts.heard[:] = np.bincount(places, minlength=counts.heard.size).reshape(counts.heard.shape)
    signed = heard & (rest != 0)
    classes = contexts.classes[signed]
    towards = np.where(rest[signed] > 0, classes, SIGN_CLASSES - 1 - classes)
    counts.signs[:] = np.bincount(towards, minlength=SIGN_CLASSES)
    far = sizes > LARGEST
    kinds = np.where(contexts.tables[far] == 0, TABLES - 1, contexts.tables[far])
    excess = sizes[far] - entropy.table_limits()[kinds] - 1
    counts.large[:TABLES] = np.bincount(kinds, minlength=TABLES)
    counts.large[TABLES] = np.frexp((excess >> 1).astype(np.float64))[1].sum()
    if rounding is not None:
        counts.away[:] = rounding.away(values)
    for number, band in enumerate(bands):
        where = band.where
        if not values[where].any():
            continue
        first = np.zeros(band.shape, dtype=np.bool_)
        first[phase_slices(band.shape, 0)] = True
        for phase, members in enumerate((~heard[where] & first, ~heard[where] & ~first)):
            counts.silent[number, phase] = np.bincount(magnitudes[where][members], minlength=LARGEST + 1)
    return counts

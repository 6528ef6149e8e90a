"""The context model of format 1: which probability table codes a wavelet coefficient, from its expected magnitude.

The expected magnitude is a weighted sum of neighbour magnitudes in the subband, of the parents (same place in the next
coarser band along each axis) and of another channel already coded. Integers only: encoder and decoder on any machine
agree to the bit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.entropy import TABLES
from nnzip.coder.linear_weights import FRACTION_BITS, WEIGHTS
from nnzip.coder.phases import OFFSETS, Slices, distance, known_neighbours, phase_slices

FEATURES = ("time", "latitude", "longitude", "edges", "corners", "parents", "reference", "reference_around")
"""Sums of magnitudes: neighbours along one axis, diagonal in two and in three; parents; the other channel's."""

_PARENTS, _REFERENCE, _REFERENCE_AROUND = 5, 6, 7

Magnitudes = NDArray[np.int32]


def phase_features(padded: Magnitudes, parents: Magnitudes, reference: Magnitudes | None, phase: int) -> Magnitudes:
    """Context features [len(FEATURES), positions of the phase] of one phase of a subband.

    padded: magnitudes coded so far, zero elsewhere, with one zero of padding on every side. parents: sum of the
    parents' magnitudes [subband]. reference: magnitudes of another channel at the same coefficients, padded like
    `padded`, or None. All magnitudes are capped at `LARGEST`.
    """
    here = parents[phase_slices(parents.shape, phase)]
    features = np.zeros((len(FEATURES), *here.shape), dtype=np.int32)
    for feature, place in _neighbours(parents.shape, phase):
        features[feature] += padded[place]
    features[_PARENTS] = here
    if reference is not None:
        for feature, place in _reference_places(parents.shape, phase):
            features[feature] += reference[place]
    return features.reshape(len(FEATURES), -1)


def phase_tables(
    padded: Magnitudes, parents: Magnitudes, parent_count: int, reference: Magnitudes | None, phase: int
) -> NDArray[np.uint8]:
    """Table index of every position of a phase, 0 where the context says nothing (the caller chooses there).

    Integer arithmetic below 2^31: capped magnitudes times weights, summed, and looked up in `table_boundaries`.
    """
    if not parents[phase_slices(parents.shape, phase)].size:
        return np.zeros(0, dtype=np.uint8)
    features = phase_features(padded, parents, reference, phase)
    weights = WEIGHTS[reference is not None][parent_count > 0][phase]
    expected = np.zeros(features.shape[1], dtype=np.int32)
    for index, (feature, weight) in enumerate(zip(features, weights, strict=True)):
        if weight and index == _PARENTS:
            expected += feature * np.int32(weight) // np.int32(parent_count)
        elif weight:
            expected += feature * np.int32(weight)
    tables = np.zeros(expected.size, dtype=np.uint8)
    heard = np.flatnonzero(expected)
    tables[heard] = np.searchsorted(table_boundaries(), expected[heard], side="right")
    return tables


@lru_cache(maxsize=1)
def table_boundaries() -> NDArray[np.int32]:
    """Expected magnitudes, in units of 2^-FRACTION_BITS, from which on table 1, 2, ... is taken.

    Table t has the odds o = 2^(t/4 - 10) of a non-zero symbol; a two-sided geometric law with these odds has the mean
    magnitude o (o + 2) / (2 (o + 1)). A boundary is the mean at the odds half way (in the exponent) between two
    tables, in integers: o in units of 2^-40.
    """
    one = 1 << 40
    bounds = [0]
    for table in range(2, TABLES):
        octaves, eighths = divmod(2 * table - 1, 8)  # o = 2^((2 table - 1)/8 - 10)
        odds = floor_root(2 ** (8 * 30 + eighths), 8) << octaves  # units of 2^-40
        bounds.append((odds * (odds + 2 * one) // (2 * (odds + one))) >> (40 - FRACTION_BITS))
    return np.array(bounds, dtype=np.int32)


def floor_root(value: int, degree: int) -> int:
    """Largest integer whose `degree`-th power does not exceed the positive `value` (Newton's method)."""
    guess = 1 << -(-value.bit_length() // degree)
    while True:
        better = ((degree - 1) * guess + value // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess
        guess = better


@lru_cache(maxsize=1 << 14)
def _neighbours(shape: tuple[int, ...], phase: int) -> tuple[tuple[int, Slices], ...]:
    """(feature, positions in the padded subband) of the neighbours that are known."""
    here = phase_slices(shape, phase)
    return tuple((_feature(offset), _shifted(here, shape, offset)) for offset in known_neighbours(phase))


@lru_cache(maxsize=1 << 14)
def _reference_places(shape: tuple[int, ...], phase: int) -> tuple[tuple[int, Slices], ...]:
    """(feature, positions in the padded reference): the same coefficient and its six neighbours."""
    here = phase_slices(shape, phase)
    around = [offset for offset in OFFSETS if distance(offset) == 1]
    return (
        (_REFERENCE, _shifted(here, shape, (0, 0, 0))),
        *((_REFERENCE_AROUND, _shifted(here, shape, offset)) for offset in around),
    )


def _feature(offset: tuple[int, ...]) -> int:
    """Which sum a neighbour counts in."""
    away = distance(offset)
    return next(axis for axis, d in enumerate(offset) if d) if away == 1 else away + 1


def _shifted(here: Slices, shape: tuple[int, ...], offset: tuple[int, ...]) -> Slices:
    """The phase's positions moved by `offset`, in an array with one value of padding on every side."""
    return tuple(slice(s.start + 1 + d, size + 1 + d, 2) for s, size, d in zip(here, shape, offset, strict=True))

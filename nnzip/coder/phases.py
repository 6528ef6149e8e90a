"""The order in which the coefficients of a subband are coded, and which neighbours each of them sees.

A subband is coded in eight parity phases (time, latitude, longitude even or odd), so that a phase sees every
neighbour of earlier phases on every side and is one array operation.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod

PHASES = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1))
"""Parities (time, latitude, longitude) in coding order."""

LARGEST = 1023
"""Magnitudes are capped here before they are looked at by a context."""

OFFSETS = tuple(product((-1, 0, 1), repeat=3))
"""A position and its 26 neighbours."""

Offset = tuple[int, ...]
Slices = tuple[slice, ...]


@lru_cache(maxsize=len(PHASES))
def known_neighbours(phase: int) -> tuple[Offset, ...]:
    """Offsets of the neighbours that phases before `phase` have coded."""
    found = []
    for offset in OFFSETS:
        parity = tuple((p + d) % 2 for p, d in zip(PHASES[phase], offset, strict=True))
        if PHASES.index((parity[0], parity[1], parity[2])) < phase:
            found.append(offset)
    return tuple(found)


@lru_cache(maxsize=1 << 14)
def phase_slices(shape: tuple[int, ...], phase: int) -> Slices:
    """The positions of a phase in a subband."""
    return tuple(slice(parity, size, 2) for parity, size in zip(PHASES[phase], shape, strict=True))


def phase_size(shape: tuple[int, ...], phase: int) -> int:
    """How many positions of a subband a phase holds."""
    return prod((size - parity + 1) // 2 for parity, size in zip(PHASES[phase], shape, strict=True))


def distance(offset: Offset) -> int:
    """Along how many axes a neighbour lies away."""
    return sum(map(abs, offset))

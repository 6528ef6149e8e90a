"""Where the subbands of a transformed array lie, coarse to fine, and which coarser ones foretell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

Place = tuple[slice, ...]

SHORTEST = 4
"""A shorter axis is not split."""


@dataclass(frozen=True)
class Subband:
    """`where` it lies in the array; `parents`: coarser subbands at the same positions, half as dense where smaller.

    `parent_axes`: the axis along which each parent is coarser. `part`: 0 for what a preview at 1/8 of the resolution
    needs, 1 and 2 for what 1/4 and 1/2 need beyond that, 3 for the rest.
    """

    where: Place
    parents: tuple[Place, ...]
    parent_axes: tuple[int, ...]
    part: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along (time, latitude, longitude)."""
        return tuple(s.stop - s.start for s in self.where)


Bands = tuple[Subband, ...]

PARTS = 4
"""Resolutions that can be read by themselves."""

Corners = tuple[tuple[int, int], ...]


def corners(place: Place) -> Corners:
    """Start and stop along every axis: a place as a key."""
    return tuple((part.start, part.stop) for part in place)


@lru_cache(maxsize=256)
def wavelet_bands(shape: tuple[int, ...], depths: tuple[int, ...]) -> Bands:
    """Subbands of the wavelet transform that hold anything, part by part; a parent is the next coarser high band along
    one axis."""
    edges = [band_edges(length, depth) for length, depth in zip(shape, depths, strict=True)]
    found = []
    for index in sorted(product(*(range(len(axis)) for axis in edges)), key=lambda index: (sum(index), index)):
        where = tuple(slice(*axis[i]) for axis, i in zip(edges, index, strict=True))
        axes = tuple(axis for axis, i in enumerate(index) if i >= 2)
        parents = tuple((*where[:a], slice(*edges[a][index[a] - 1]), *where[a + 1 :]) for a in axes)
        finer = [depth - i for depth, i in zip(depths[1:], index[1:], strict=True) if i]  # halvings beyond this band
        if all(s.stop > s.start for s in where):
            found.append(Subband(where, parents, axes, PARTS - 1 - min([PARTS - 1, *finer])))
    return tuple(sorted(found, key=lambda band: band.part))


@lru_cache(maxsize=256)
def interpolation_bands(shape: tuple[int, ...], order: tuple[int, ...]) -> Bands:
    """Subbands of `interpolation.forward`; a band's parent is the band of the same axis one level coarser."""
    coarsest, steps = splits(shape, order)
    found = [Subband(tuple(slice(0, size) for size in coarsest), (), ())]
    last: dict[int, Place] = {}
    for axis, box in reversed(steps):
        where = tuple(slice((size + 1) // 2 if a == axis else 0, size) for a, size in enumerate(box))
        parents: tuple[tuple[Place, ...], tuple[int, ...]] = ((last[axis],), (axis,)) if axis in last else ((), ())
        halvings = sum(1 for other, _ in steps[: steps.index((axis, box))] if other == axis)
        found.append(Subband(where, *parents, PARTS - 1 - min(PARTS - 1, halvings)))
        last[axis] = where
    return tuple(sorted(found, key=lambda band: band.part))


def parent_positions(size: int, parent_size: int) -> Sequence[int]:
    """Along one axis: the parent's position for every position of a subband."""
    step = 1 if parent_size >= size else 2
    return [min(position // step, parent_size - 1) for position in range(size)]


def band_edges(length: int, depth: int) -> list[tuple[int, int]]:
    """Start and stop of the low band and of the high bands, coarse to fine, along an axis."""
    edges = []
    for _ in range(depth):
        low = (length + 1) // 2
        edges.append((low, length))
        length = low
    return [(0, length), *reversed(edges)]


def splits(shape: Sequence[int], order: Sequence[int]) -> tuple[tuple[int, ...], list[tuple[int, tuple[int, ...]]]]:
    """The coarsest grid, and (axis, box before the split) from fine to coarse; `order`: axes within one level."""
    box, steps = list(shape), []
    while any(size >= SHORTEST for size in box):
        for axis in order:
            if box[axis] >= SHORTEST:
                steps.append((axis, tuple(box)))
                box[axis] = (box[axis] + 1) // 2
    return tuple(box), steps

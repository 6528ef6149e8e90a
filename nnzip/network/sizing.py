"""Sizes of a network from the bytes it may take and from how the data vary along their axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from nnzip.network.grids import Coordinates, HashGrid, longest_extent
from nnzip.network.inputs import DAY, YEAR
from nnzip.network.network import Architecture, Domain

_BITS = 0.9  # of a feature, on average, where the rate is best spent
_LARGEST = 1 << 24  # features that a processor trains in reasonable time and memory
_LARGEST_TABLE = 30  # log2, of tables in order
_HASHED_TABLE = 22
_COARSEST = 3  # vertices of the first level

Axes = tuple[Coordinates, Coordinates, Coordinates]


def designs(
    axes: Axes,
    geographic: tuple[bool, bool, bool],
    outputs: int,
    room: float,
    roughness: NDArray[np.float64],
) -> Iterator[Architecture]:
    """Networks for a record that may take `room` bytes, the likeliest first.

    `axes`: (time, latitude, longitude); `roughness` along (longitude, latitude, time): root mean square difference of
    neighbours.
    """
    widths: tuple[int, ...] = (16, 16) if room > 4000 else (16,)
    if room > 60000:
        widths = (32, 32)
    components = 1 << min(max(ceil(log2(outputs)), 0), 3)
    while 2 * components > min(widths):
        components //= 2
    for bits in (_BITS, 2 * _BITS):
        count = min(max(8 * room / bits, 64), _LARGEST)
        yield _design(axes, geographic, outputs, count / components, widths, components, roughness)


def _design(
    axes: Axes,
    geographic: tuple[bool, bool, bool],
    outputs: int,
    count: float,
    widths: tuple[int, ...],
    components: int,
    roughness: NDArray[np.float64],
) -> Architecture:
    steps = np.array([axis.size - 1 for axis in reversed(axes)], dtype=np.float64)
    cells = _cells(steps, roughness, 7 / 8 * count)
    longest = max(float(cells.max()), 2.0)
    levels = max(ceil(log2((longest + 1) / _COARSEST)), 0) + 1
    base = max(ceil((longest + 1) / 2 ** (levels - 1)), _COARSEST)
    furthest = longest_extent(base)
    scale = base * 2 ** (levels - 1) - 1
    extents = tuple(float(min(furthest, number / scale)) for number in cells)
    vertices = (scale + 2) ** 3
    log2_size = ceil(log2(vertices))
    dynamic = HashGrid(3, levels, components, log2_size if log2_size <= _LARGEST_TABLE else _HASHED_TABLE, base)
    finest = max(steps[0] / max(extents[0], 1e-9), steps[1] / max(extents[1], 1e-9))
    static_levels = max(round(log2((finest + 1) / base)) + 1, 1)
    static = HashGrid(2, static_levels, components, _LARGEST_TABLE, base)
    if axes[0].size == 1:
        dynamic = HashGrid(3, 0, components, _HASHED_TABLE, base)
    corners = zip(*((float(axis[0]), float(axis[-1])) for axis in reversed(axes)), strict=True)
    first, last = corners
    domain = Domain((first[0], first[1], first[2]), (last[0], last[1], last[2]), (extents[0], extents[1], extents[2]))
    return Architecture(domain, static, dynamic, _inputs(axes, geographic), widths, outputs)


def _cells(steps: NDArray[np.float64], roughness: NDArray[np.float64], count: float) -> NDArray[np.float64]:
    """Cells along each axis: as many as `count` together, in proportion to the roughness, none finer than the data."""
    fine = np.where(steps > 0, np.maximum(roughness, 1e-9 * roughness.max() + 1e-30), 0)
    wanted = steps * fine
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        cells = np.minimum(wanted * np.exp(middle), steps)
        low, high = (middle, high) if float(np.prod(cells + 1)) < count else (low, middle)
    found: NDArray[np.float64] = np.maximum(np.minimum(wanted * np.exp(low), steps), np.minimum(steps, 1.0))
    return found


def _inputs(axes: Axes, geographic: tuple[bool, bool, bool]) -> tuple[str, ...]:
    """Analytic inputs that the coordinates allow and the times can show."""
    time, latitude, longitude = geographic
    names = ["one", *(["latitude"] if latitude else []), *(["slow"] if axes[0].size > 1 else [])]
    if time and axes[0].size > 1:
        step, span = float(np.median(np.diff(axes[0]))), float(axes[0][-1] - axes[0][0])
        if longitude and latitude and step <= DAY / 4 and span >= 2 * DAY:
            names += ["hour", "half-day", "sun"]
        if step < YEAR / 4 and span > YEAR / 4:
            names += ["season", "half-year"]
    return tuple(names)

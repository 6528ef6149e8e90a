"""Sizes of a network from the bytes it may take and from how the data vary along their axes."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from nnzip.network.grids import Coordinates, HashGrid, longest_extent
from nnzip.network.inputs import DAY, YEAR
from nnzip.network.network import Architecture, Domain

_BITS = 0.7  # of a feature, on average, where the rate is best spent
_LARGEST = 1 << 24  # features that a processor trains in reasonable time and memory
_LARGEST_TABLE = 45  # log2, of tables in order: only the vertices that are touched are held
_HASHED_TABLE = 22
_STATIC = 0.12  # vertices of the finest static level over all that the bytes can pay
_BASES = range(5, 21)  # vertices of the first level
_FINEST = 2.0**14  # cells along an axis

Axes = tuple[Coordinates, Coordinates, Coordinates]


def design(
    axes: Axes,
    geographic: tuple[bool, bool, bool],
    outputs: int,
    room: float,
    roughness: NDArray[np.float64],
) -> Architecture:
    """The network for a record that may take `room` bytes.

    `axes`: (time, latitude, longitude); `roughness` along (longitude, latitude, time): root mean square difference of
    neighbours.
    """
    widths: tuple[int, ...] = (16, 16) if room > 4000 else (16,)
    if room > 60000:
        widths = (32, 32)
    components = 1 << min(max(ceil(log2(outputs)), 0), 3)
    while 2 * components > min(widths):
        components //= 2
    count = min(max(8 * room / _BITS, 64), _LARGEST)
    return _design(axes, geographic, outputs, count / components, widths, components, roughness)


def _design(
    axes: Axes,
    geographic: tuple[bool, bool, bool],
    outputs: int,
    count: float,
    widths: tuple[int, ...],
    components: int,
    roughness: NDArray[np.float64],
) -> Architecture:
    steps = np.array([axis.size - 1 for axis in reversed(axes)])
    cells = _cells(steps, roughness, count)
    longest = float(cells.max())
    levels = 1
    while _scale(_BASES[-1], levels) * longest_extent(_BASES[-1]) < longest:
        levels += 1
    base = next(base for base in _BASES if _scale(base, levels) * longest_extent(base) >= longest)
    scale = _scale(base, levels)
    extents = tuple(float(number / scale) for number in cells)
    log2_size = ceil(log2(scale + 2) * 3)
    dynamic = HashGrid(3, levels, components, log2_size if log2_size <= _LARGEST_TABLE else _HASHED_TABLE, base)
    if axes[0].size == 1:
        dynamic = HashGrid(3, 0, components, _HASHED_TABLE, base)
    finest = max(steps[axis] / extents[axis] for axis in (0, 1) if steps[axis])
    useful = finest * min((_STATIC * count / ((steps[0] + 1) * (steps[1] + 1))) ** 0.5, 1.0)
    static = HashGrid(2, max(ceil(log2((useful + 1) / base)), 0) + 1, components, _LARGEST_TABLE, base)
    corners = zip(*((float(axis[0]), float(axis[-1])) for axis in reversed(axes)), strict=True)
    first, last = corners
    domain = Domain(
        (first[0], first[1], first[2]),
        (last[0], last[1], last[2]),
        (extents[0], extents[1], extents[2]),
        (int(steps[0]), int(steps[1]), int(steps[2])),
    )
    return Architecture(domain, static, dynamic, _inputs(axes, geographic), widths, outputs)


def _scale(base: int, levels: int) -> int:
    """Of the finest level."""
    return (base << (levels - 1)) - 1


def _cells(steps: NDArray[np.int64], roughness: NDArray[np.float64], count: float) -> NDArray[np.float64]:
    """Cells of the finest level along each axis: in proportion to the roughness of the whole axis, and so many that all
    levels together have `count` vertices, where none has more cells than the data have steps."""
    rough = np.maximum(roughness, 1e-6 * roughness.max() + 1e-30)
    wanted = np.where(steps > 0, steps * rough, 0.0)
    wanted /= wanted.max()
    finest = max(float((steps / np.maximum(wanted, 1e-9)).max()), 2.0)
    low, high = 1.0, min(finest, _FINEST)
    for _ in range(40):
        middle = (low * high) ** 0.5
        vertices = sum(float(np.prod(np.minimum(wanted * middle / 2**k, steps) + 1)) for k in range(12))
        low, high = (middle, high) if vertices < count else (low, middle)
    found: NDArray[np.float64] = wanted * low
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

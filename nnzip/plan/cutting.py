"""Cut a variable into tiles, number them, and find the tiles that a reader needs: integers and tuples only.

A variable is an array [channel, time, latitude, longitude]. Each axis is cut into pieces of about equal length; a tile
is one piece of each. Tiles are numbered with time outermost: time steps that are added later only add numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise, product
from math import inf, prod
from typing import NamedTuple

from nnzip.errors import UsageError

TILE_VALUES = 1 << 22
"""Values of a tile; twice as many where that avoids every cut."""
SLAB_VALUES = 1 << 26
"""Values that are read at once."""

_MAP_VALUES = 1 << 26  # that reading a single map may decode: limits the time steps of a tile
_ALIGNED = 8  # rows and columns
_WEIGHTS = (4.0, 12.0, 1.5, 1.5)  # of a cut through the channels, times, rows, columns, per length of the axis

Shape = tuple[int, int, int, int]
Sizes = tuple[tuple[int, ...], ...]
"""Lengths of the pieces of the four axes."""
Limits = tuple[int | None, int | None, int | None, int | None]
"""Largest length of a piece of each axis; None: no wish."""


class Box(NamedTuple):
    """Ranges of a variable's channels, times, rows and columns."""

    channels: range
    times: range
    rows: range
    columns: range

    @property
    def shape(self) -> Shape:
        """Lengths of the ranges."""
        return len(self.channels), len(self.times), len(self.rows), len(self.columns)

    @property
    def slices(self) -> tuple[slice, slice, slice, slice]:
        """Index of the box in an array [channel, time, lat, lon]."""
        channels, times, rows, columns = (slice(axis.start, axis.stop) for axis in self)
        return channels, times, rows, columns

    def from_start(self, other: Box) -> Box:
        """This box, counted from the start of `other`."""
        return Box(*(range(a.start - b.start, a.stop - b.start) for a, b in zip(self, other, strict=True)))


def whole(shape: Shape) -> Box:
    """The box of all values."""
    return Box(*map(range, shape))


def cut(shape: Shape, limits: Limits = (None, None, None, None)) -> Sizes:
    """Lengths of the pieces of each axis: the fewest cuts that leave tiles of at most TILE_VALUES.

    A cut costs 12 per time step of the record, 4 per channel, 1.5 per row or column. Where `limits` says nothing, a
    time piece is so long that reading a map decodes at most 2^26 values of a channel. Rows and columns are cut at
    multiples of 8, where `limits` allows that, so that previews of tiles join.
    """
    longest_time = max(_MAP_VALUES // (shape[2] * shape[3]), 1)
    longest = [
        min(size, limit or (longest_time if axis == 1 else size))
        for axis, (size, limit) in enumerate(zip(shape, limits, strict=True))
    ]
    if list(shape) == longest and prod(shape) <= 2 * TILE_VALUES:
        return tuple((size,) for size in shape)
    multiples = [_ALIGNED if axis > 1 and most >= _ALIGNED else 1 for axis, most in enumerate(longest)]
    lengths = _lengths(shape, longest, multiples)
    return tuple(_pieces(size, length, step) for size, length, step in zip(shape, lengths, multiples, strict=True))


def continued(sizes: Sizes, times: int, limit: int | None = None) -> Sizes:
    """How `times` more are cut that follow `sizes`: the other axes alike, pieces of time as long as those before, or
    longer where a record that was short left room in its tiles. `limit`: largest length of a piece.
    """
    channels, before, rows, columns = sizes
    room = TILE_VALUES // (max(channels) * max(rows) * max(columns))
    return channels, _pieces(times, limit or max(*before, room), 1), rows, columns


def axis_limits(
    tile: Mapping[str, int], channels: Mapping[str, int], time: str | None, latitude: str, longitude: str
) -> Limits:
    """The wishes `tile` (dimension or axis name -> largest length) for one variable.

    `channels`: its channel dimensions and their sizes, outermost first. They are one axis: where an inner dimension is
    cut, a piece holds one index of the outer ones.
    """
    wished, together = None, 1
    for dim, size in reversed(list(channels.items())):
        together *= min(tile.get(dim, size), size)
        wished = together if any(name in tile for name in channels) else None
        if tile.get(dim, size) < size:
            break
    rest = [
        tile.get(axis) if dim is None else tile.get(dim, tile.get(axis))
        for axis, dim in (("time", time), ("latitude", latitude), ("longitude", longitude))
    ]
    return wished, rest[0], rest[1], rest[2]


def check_tile(tile: Mapping[str, int], known: Sequence[str]) -> None:
    """Raise UsageError for a name in `tile` that is none of the dimensions `known`, nor time, latitude or longitude."""
    names = dict.fromkeys([*known, "time", "latitude", "longitude"])
    for name in tile:
        if name not in names:
            raise UsageError(
                f"--tile {name}={tile[name]}: no compressed variable has a dimension {name!r}; there are "
                f"{', '.join(names)}"
            )


def brief(sizes: Sizes) -> Sizes:
    """As the manifest holds them: an uncut axis is an empty tuple, four of them are left out."""
    short = tuple(() if len(lengths) == 1 else tuple(lengths) for lengths in sizes)
    return short if any(short) else ()


def tile_count(sizes: Sizes) -> int:
    """Number of tiles."""
    return prod(map(len, sizes))


def tile_box(sizes: Sizes, number: int) -> Box:
    """The values of a tile."""
    channels, times, rows, columns = map(len, sizes)
    number, column = divmod(number, columns)
    number, row = divmod(number, rows)
    time, channel = divmod(number, channels)
    if not 0 <= time < times:
        raise IndexError(f"there is no tile of time piece {time}: there are {times}")
    pieces = (channel, time, row, column)
    starts = [sum(lengths[:piece]) for lengths, piece in zip(sizes, pieces, strict=True)]
    return Box(*(range(at, at + lengths[piece]) for at, lengths, piece in zip(starts, sizes, pieces, strict=True)))


def tiles_touched(sizes: Sizes, selection: Sequence[Iterable[int]]) -> list[int]:
    """Numbers of the tiles that hold a selected value, in order.

    `selection`: positions along each of the four axes, as a range or an array of integers in any order.
    """
    touched = []
    for lengths, positions in zip(sizes, selection, strict=True):
        stops = list(accumulate(lengths))
        touched.append(sorted({bisect_right(stops, position) for position in positions}))
    return _numbers(sizes, *touched)


def slabs(sizes: Sizes, most: int = SLAB_VALUES) -> Iterator[tuple[Box, list[int]]]:
    """Boxes to be read at once, with the numbers of the tiles each holds; every tile is in one of them.

    A slab is one tile that grows while it has at most `most` values: along the columns, the rows, the channels, the
    times, each only where the axis before is complete. So maps are read whole while they fit.
    """
    together, values = [1, 1, 1, 1], prod(max(lengths) for lengths in sizes)
    for axis in (3, 2, 0, 1):
        together[axis] = min(max(most // values, 1), len(sizes[axis]))
        values *= together[axis]
        if together[axis] < len(sizes[axis]):
            break
    channels, times, rows, columns = (
        [range(start, min(start + step, len(lengths))) for start in range(0, len(lengths), step)]
        for lengths, step in zip(sizes, together, strict=True)
    )
    for time, channel, row, column in product(times, channels, rows, columns):
        numbers = _numbers(sizes, channel, time, row, column)
        first, last = tile_box(sizes, numbers[0]), tile_box(sizes, numbers[-1])
        yield Box(*(range(a.start, b.stop) for a, b in zip(first, last, strict=True))), numbers


def _numbers(
    sizes: Sizes, channels: Iterable[int], times: Iterable[int], rows: Iterable[int], columns: Iterable[int]
) -> list[int]:
    """Numbers of the tiles of these pieces of the axes."""
    per_time, _, per_column, per_row = (len(lengths) for lengths in sizes)
    return [
        ((time * per_time + channel) * per_column + row) * per_row + column
        for time, channel, row, column in product(times, channels, rows, columns)
    ]


def _pieces(size: int, length: int, multiple: int) -> tuple[int, ...]:
    """Pieces of at most `length`: about equal ones, or all but the last of this very length where multiples count."""
    count = -(-size // length)
    ends = [*range(0, size, length), size] if multiple > 1 else [piece * size // count for piece in range(count + 1)]
    return tuple(stop - start for start, stop in pairwise(ends))


def _lengths(shape: Shape, longest: Sequence[int], multiples: Sequence[int]) -> tuple[int, ...]:
    """Longest piece of each axis at the smallest cost: the columns are cut as far as the other axes ask for."""
    best, found = inf, (1, 1, 1, 1)
    channels, times, rows = (list(_possible(shape[axis], longest[axis], multiples[axis], axis)) for axis in range(3))
    width, multiple = shape[3], multiples[3]
    for channel, channel_cost in channels:
        if channel_cost >= best:
            break
        for time, time_cost in times:
            if channel_cost + time_cost >= best:
                break
            for row, row_cost in rows:
                if channel_cost + time_cost + row_cost >= best:
                    break
                room = min(TILE_VALUES // (channel * time * row), longest[3])
                column, column_cost = next(_possible(width, room, multiple, 3), (0, inf))
                cost = channel_cost + time_cost + row_cost + column_cost
                if cost < best:
                    best, found = cost, (channel, time, row, column)
    return found


def _possible(size: int, longest: int, multiple: int, axis: int) -> Iterator[tuple[int, float]]:
    """Ways to cut an axis into pieces of at most `longest`, the fewest first: the longest piece, the cost."""
    most = longest if longest >= size else longest // multiple * multiple
    while most:
        count = -(-size // most)
        length = min(-(-size // (count * multiple)) * multiple, size)
        yield length, _WEIGHTS[axis] * (count - 1) / size
        most = (length - 1) // multiple * multiple

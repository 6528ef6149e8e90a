"""The header of a tile: what its streams mean.

Layout (docs/format.md, "Tile"): length of the header (uint16, little-endian), the header (a MessagePack map with keys
of one letter, defaults left out), the streams, and last the corrections.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, field
from numpy.typing import NDArray

from nnzip.coder.bands import PARTS
from nnzip.errors import CorruptArchiveError
from nnzip.transform import wavelet

CONSTANT, WAVELET, INTERPOLATION, EXACT = range(4)
"""Codings, by the number that a tile names."""

LARGEST_TILE = 1 << 26
"""Values of a tile."""

Shape = tuple[int, int, int, int]
Size = Annotated[int, Meta(ge=1, le=LARGEST_TILE)]
Depth = Annotated[int, Meta(ge=0, le=32)]


class TileHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tile is [channel, time, lat, lon]. Value = base + mean + scale * shrunk(step * transformed back / row weight),
    within `limits`.

    `axes`: depths of the wavelet along the four axes, or for the interpolation the order of its three axes. `leading`:
    the axis that leads the volumes, 0 channel or 1 time; the other one numbers them. `shifts`: centroids of magnitude 1
    and of larger ones, in units of `transform.quantise.SHIFT_UNIT`;
    of the rest, then of the maps of a cycle. `rows`: float32 latitude of the first row and step.
    """

    shape: tuple[Size, Size, Size, Size] = field(name="s")
    limits: bytes = field(name="l")  # float32 [2]: smallest and largest value
    coding: int = field(name="c", default=WAVELET)
    step: float = field(name="q", default=1.0)
    axes: tuple[Depth, ...] = field(name="a", default=())
    leading: Annotated[int, Meta(ge=0, le=1)] = field(name="v", default=1)
    shifts: tuple[int, ...] = field(name="h", default=(0, 0))
    cycle: bytes = field(name="y", default=b"")  # transform/cycles.py
    base: bytes = field(name="b", default=b"")  # tile/base.py
    means: bytes = field(name="m", default=b"")  # float32 [channel]; empty: 0
    scales: bytes = field(name="g", default=b"")  # float32 [channel]; empty: 1
    rows: bytes = field(name="w", default=b"")
    stretches: tuple[bytes, ...] = field(name="t", default=())
    origin: float = field(name="o", default=0.0)  # of the interpolation's integers
    lattice: bytes = field(name="k", default=b"")
    double: bool = field(name="d", default=False)  # float64 output
    periodic: bool = field(name="p", default=False)  # along longitude
    edges: Annotated[int, Meta(ge=0, le=3)] = field(name="e", default=0)  # volumes.Arrangement
    streams: tuple[int, ...] = field(name="n", default=())

    @property
    def dtype(self) -> str:
        return "float64" if self.double else "float32"

    @property
    def smallest_largest(self) -> NDArray[np.float64]:
        """Limits [2]."""
        return _float64(self.limits)

    @property
    def channel_scales(self) -> NDArray[np.float64]:
        """Scale of every channel [channel]."""
        return _numbers(self.scales, self.shape[0], 1.0)

    @property
    def channel_means(self) -> NDArray[np.float64]:
        """Mean of every channel [channel]."""
        return _numbers(self.means, self.shape[0], 0.0)


@dataclass(frozen=True)
class Tile:
    """A tile whose header has been read and checked."""

    header: TileHeader
    streams: tuple[bytes, ...]
    corrections: bytes


def pack(header: TileHeader, streams: tuple[bytes, ...], corrections: bytes) -> bytes:
    """The tile's bytes; `streams` of the header are set here."""
    encoded = msgspec.msgpack.encode(msgspec.structs.replace(header, streams=tuple(map(len, streams))))
    return b"".join((len(encoded).to_bytes(2, "little"), encoded, *streams, corrections))


def unpack(data: bytes, *, whole: bool = True) -> Tile:
    """Read and check a tile; without `whole` its end may be cut off. Raises CorruptArchiveError."""
    length = int.from_bytes(data[:2], "little")
    try:
        header = msgspec.msgpack.decode(data[2 : 2 + length], type=TileHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptArchiveError(f"a tile's header cannot be read: {error}") from error
    _check(header, len(data) - 2 - length if whole else None)
    streams, start = [], 2 + length
    for size in header.streams:
        streams.append(data[start : start + size])
        start += size
    return Tile(header, tuple(streams), data[start:])


def row_weights(rows: bytes, count: int) -> NDArray[np.float64]:
    """Square root of the relative cell area of every row [lat], at least 0.4, from the latitude of the first row and
    the step between rows; ones where there are none."""
    if not rows:
        return np.ones(count)
    first, step = _float64(rows)
    latitudes = np.clip(first + step * np.arange(count), -90, 90)
    weights: NDArray[np.float64] = np.maximum(np.sqrt(np.cos(np.deg2rad(latitudes))), SMALLEST_ROW_WEIGHT)
    return weights


def _numbers(packed: bytes, count: int, default: float) -> NDArray[np.float64]:
    return _float64(packed) if packed else np.full(count, default)


def _float64(packed: bytes) -> NDArray[np.float64]:
    """Float32 numbers as float64; NaN of any kind, which a damaged tile may hold, without a warning."""
    with np.errstate(invalid="ignore"):
        return np.frombuffer(packed, dtype="<f4").astype(np.float64)


SMALLEST_ROW_WEIGHT = 0.4
"""Points near the poles get at most 1 / 0.4 times the error of the equator's."""


def _check(header: TileHeader, available: int | None) -> None:
    channels = header.shape[0]
    limits = header.smallest_largest if len(header.limits) == 8 else np.zeros(0)
    problems = {
        f"its coding {header.coding} is not known": header.coding not in range(4),
        f"its shape {header.shape} has more than {LARGEST_TILE} values": prod(header.shape) > LARGEST_TILE,
        "its limits are not two finite numbers, the smaller first": limits.size != 2
        or not np.isfinite(limits).all()
        or limits[0] > limits[1],
        f"its streams are more than the {available} B there": min(header.streams, default=0) < 0
        or (available is not None and sum(header.streams) > available),
        f"it has {len(header.streams)} streams": len(header.streams) != _stream_count(header),
        "its step is not a positive number": not (np.isfinite(header.step) and header.step > 0),
        "its channels do not add up": len(header.means) not in (0, 4 * channels)
        or len(header.scales) not in (0, 4 * channels)
        or len(header.rows) not in (0, 8),
    }
    for problem, found in problems.items():
        if found:
            raise CorruptArchiveError(f"a tile is damaged: {problem}")
    _check_axes(header)
    rows = _float64(header.rows)
    numbers = np.concatenate([header.channel_means, header.channel_scales, rows, [header.origin]])
    if not (np.isfinite(numbers).all() and (header.channel_scales > 0).all()):
        raise CorruptArchiveError("a tile is damaged: its means, scales or rows are not finite")
    if len(header.shifts) != (4 if header.cycle else 2) or not all(-127 <= shift <= 127 for shift in header.shifts):
        raise CorruptArchiveError("a tile is damaged: its centroids lie outside their cells")


def _stream_count(header: TileHeader) -> int:
    if header.coding not in (WAVELET, INTERPOLATION):
        return 0
    return 2 * PARTS if header.cycle and header.coding == WAVELET else PARTS


def _check_axes(header: TileHeader) -> None:
    possible = {
        CONSTANT: not header.axes,
        EXACT: not header.axes,
        WAVELET: len(header.axes) == 4
        and all(depth <= wavelet.max_depth(size) for depth, size in zip(header.axes, header.shape, strict=True)),
        INTERPOLATION: sorted(header.axes) == [0, 1, 2],
    }
    if (header.cycle or header.base) and header.coding != WAVELET:
        raise CorruptArchiveError("a tile is damaged: only the wavelet coding has a cycle or a base")
    if not possible[header.coding]:
        raise CorruptArchiveError(f"a tile is damaged: its axes are {header.axes}")

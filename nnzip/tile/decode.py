"""One tile's bytes -> its values."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.bands import PARTS
from nnzip.coder.volumes import decode_volumes
from nnzip.errors import CorruptArchiveError
from nnzip.tile import header as kinds
from nnzip.tile.base import read_base
from nnzip.tile.corrections import read_corrections
from nnzip.tile.exact import decode_exact
from nnzip.tile.header import Shape, Tile, TileHeader, row_weights, unpack
from nnzip.tile.rest import decode, decode_coarse
from nnzip.tile.volumes import Arrangement, interpolated, interpolation_layout
from nnzip.transform.lattice import read_lattice
from nnzip.transform.stretch import read_stretches

Values = NDArray[np.float64]
Maps = NDArray[np.float32]

_TOGETHER = 1 << 16  # values that are finished together, while they are in the cache


def decode_tile(data: bytes, shape: Shape, device: Device = None, maps: Maps | None = None) -> NDArray[np.floating]:
    """Values [channel, time, lat, lon] of a tile in its output type; missing points hold anything.

    `shape`: what the archive says. Raises CorruptArchiveError when the data do not fit. Memory: about 3 times the
    values as float64.
    """
    tile = _tile(data, shape)
    head = tile.header
    if head.coding == kinds.EXACT:
        return decode_exact(tile.corrections, head)
    detail = _detail(tile, device, maps)
    corrections = read_corrections(tile.corrections, shape, device)
    lattice = read_lattice(head.lattice, shape[0], shape[1])
    low, high = head.smallest_largest
    found = np.empty(shape, dtype=head.dtype)
    plane = shape[2] * shape[3]
    several = max(_TOGETHER // plane, 1)
    for channel in range(shape[0]):
        for time in range(0, shape[1], several):
            here = slice(channel, channel + 1), slice(time, min(time + several, shape[1]))
            values = np.ascontiguousarray(detail(*here))  # interpolation leaves its own order of the axes
            np.clip(values, low, high, out=values)
            corrections.apply(values, (channel * shape[1] + time) * plane)
            if lattice is not None:
                lattice.part(*here).snap(values)
            found[here] = np.clip(values, low, high, out=values)
    return found


def decode_maps(data: bytes, count: int, shape: Shape, device: Device = None, halvings: int = 0) -> Maps:
    """The maps [function, channel, lat, lon] float32, so many, of the base of tiles of this shape, or with `halvings` a
    preview of them. Raises CorruptArchiveError."""
    whole = count, shape[0], shape[2], shape[3]
    found = decode_preview(data, whole, halvings, device) if halvings else decode_tile(data, whole, device)
    return found.astype(np.float32, copy=False)


def decode_preview(
    data: bytes, shape: Shape, halvings: int, device: Device = None, maps: Maps | None = None
) -> NDArray[np.floating]:
    """Every 2^halvings-th row and column of a tile (1 to 3), smoothed, without corrections: no bound holds;
    `maps`: a preview too.

    Needs the header and the first `preview_parts(halvings)` streams of `data` only; the rest may be cut off.
    """
    tile = _tile(data, shape, whole=False)
    head = tile.header
    if head.coding == kinds.EXACT:
        return decode_exact(tile.corrections, head)[:, :, :: 1 << halvings, :: 1 << halvings]
    if head.coding == kinds.WAVELET:
        streams = tile.streams[: _coarse_streams(head, halvings)]
        units = decode_coarse(head, streams, _arrangement(head), halvings, device)
        with np.errstate(over="ignore", invalid="ignore"):  # of damaged steps; clipped below
            values = Reconstruction(head, 1 << halvings).values(units)
            if head.base:
                base = read_base(head.base, maps)
                base.add(values, base.functions(shape, 1 << halvings))
    else:
        finer = Tile(head, tile.streams[: PARTS - halvings], b"")
        values = _detail(finer, device)(slice(0, None), slice(None))[:, :, :: 1 << halvings, :: 1 << halvings]
    return np.clip(values, *head.smallest_largest).astype(head.dtype)


def preview_size(data: bytes, halvings: int) -> int:
    """How many of a tile's first bytes a preview needs; `data` holds at least the header."""
    head = unpack(data, whole=False).header
    if head.coding == kinds.EXACT:
        return sys.maxsize
    return 2 + int.from_bytes(data[:2], "little") + sum(head.streams[: _coarse_streams(head, halvings)])


def _coarse_streams(head: TileHeader, halvings: int) -> int:
    """How many of a tile's first streams a preview needs."""
    return (PARTS - halvings) * (2 if head.cycle else 1)


def _detail(tile: Tile, device: Device = None, maps: Maps | None = None) -> Callable[[slice, slice], Values]:
    """Values [channel, time, lat, lon] of some channels and times, without limits and corrections; subbands of missing
    streams count as zero."""
    head = tile.header
    if head.coding == kinds.CONSTANT:
        everywhere = np.broadcast_to(np.float64(head.origin), head.shape)
        return lambda channels, times: everywhere[channels, times].copy()
    if head.coding == kinds.WAVELET:
        units, reconstruction = decode(head, tile.streams, _arrangement(head), device), Reconstruction(head)
        if not head.base:
            return lambda channels, times: reconstruction.values(units[channels, times], channels.start)
        base = read_base(head.base, maps)
        functions = base.functions(head.shape)

        def above_base(channels: slice, times: slice) -> Values:
            values = reconstruction.values(units[channels, times], channels.start)
            base.add(values, functions[:, times], channels)
            return values

        return above_base
    order = head.axes[0], head.axes[1], head.axes[2]
    layout = interpolation_layout(head.shape, order, head.leading)
    integers = interpolated(decode_volumes(tile.streams, layout, device), order, head.leading)
    return lambda channels, times: whole_multiples(head, integers[channels, times])


class Reconstruction:
    """From quantisation steps to values, of every stride-th row and column; encoder and decoder both come through here,
    so that they round alike."""

    def __init__(self, head: TileHeader, stride: int = 1) -> None:
        self._rows = np.arange(0, head.shape[2], stride, dtype=np.float64)
        self._last_row = head.shape[2] - 1
        self._steps = head.step / row_weights(head.rows, head.shape[2])[::stride, None]
        self._stretches = read_stretches(head.stretches, head.shape[0])[::-1]
        self._scales = head.channel_scales[:, None, None, None] if head.scales else None
        self._means = head.channel_means[:, None, None, None]

    def values(self, units: NDArray[np.float32], first: int = 0) -> Values:
        """Values [channel, time, lat, lon] of `units`, whose channels are those from the `first` on."""
        values: Values = units * self._steps
        for stretch in self._stretches:
            for channel, plane in enumerate(values, first):
                stretch.undo(plane, channel, self._rows, self._last_row)
        here = slice(first, first + len(values))
        if self._scales is not None:
            values *= self._scales[here]
        values += self._means[here]
        return values


def whole_multiples(head: TileHeader, integers: NDArray[np.int64]) -> Values:
    """Values of the interpolation's integers, exactly alike on every machine."""
    values: Values = integers.astype(np.float64) * head.step
    values += head.origin
    return values


def _arrangement(head: TileHeader) -> Arrangement:
    depths = head.axes[0], head.axes[1], head.axes[2], head.axes[3]
    return Arrangement(head.shape, depths, head.leading, head.periodic, head.edges)


def _tile(data: bytes, shape: Shape, *, whole: bool = True) -> Tile:
    tile = unpack(data, whole=whole)
    if tile.header.shape != shape:
        raise CorruptArchiveError(f"a tile is damaged: its shape is {tile.header.shape}, the archive says {shape}")
    return tile

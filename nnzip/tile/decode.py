"""One tile's bytes -> its values."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.arrays import Device
from nnzip.coder.bands import PARTS
from nnzip.coder.volumes import decode_volumes
from nnzip.errors import CorruptArchiveError
from nnzip.tile import header as kinds
from nnzip.tile.base import read_base
from nnzip.tile.corrections import apply_corrections
from nnzip.tile.exact import decode_exact
from nnzip.tile.header import Shape, Tile, TileHeader, row_weights, unpack
from nnzip.tile.rest import decode, decode_coarse
from nnzip.tile.volumes import Arrangement, interpolated, interpolation_layout
from nnzip.transform.lattice import read_lattice
from nnzip.transform.stretch import read_stretches

Values = NDArray[np.float64]
Maps = NDArray[np.float32]


def decode_tile(data: bytes, shape: Shape, device: Device = None, maps: Maps | None = None) -> NDArray[np.floating]:
    """Values [channel, time, lat, lon] of a tile in its output type; missing points hold anything.

    `shape`: what the archive says; `maps`: of its place, where the variable has a base. Raises CorruptArchiveError when
    the data do not fit. Memory: about 6 times the values as float64.
    """
    tile = _tile(data, shape)
    if tile.header.coding == kinds.EXACT:
        return decode_exact(tile.corrections, tile.header)
    values = np.ascontiguousarray(detail(tile, device))  # interpolation leaves its own order of the axes
    if tile.header.base:
        read_base(tile.header.base, maps).add(values, shape[3])
    low, high = tile.header.smallest_largest
    np.clip(values, low, high, out=values)
    apply_corrections(tile.corrections, values, device)
    lattice = read_lattice(tile.header.lattice, shape[0], shape[1])
    if lattice is not None:
        lattice.snap(values)
    return np.clip(values, low, high, out=values).astype(tile.header.dtype)


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
            values = reconstruct(head, units, 1 << halvings)
            if head.base:
                read_base(head.base, maps).add(values, shape[3], stride=1 << halvings)
    else:
        finer = Tile(head, tile.streams[: PARTS - halvings], b"")
        values = detail(finer, device)[:, :, :: 1 << halvings, :: 1 << halvings]
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


def detail(tile: Tile, device: Device = None) -> Values:
    """Values [channel, time, lat, lon] without limits and corrections; subbands of missing streams count as zero."""
    head = tile.header
    if head.coding == kinds.CONSTANT:
        return np.full(head.shape, head.origin)
    if head.coding == kinds.WAVELET:
        arrangement = _arrangement(head)
        return reconstruct(head, decode(head, tile.streams, arrangement, device))
    order = head.axes[0], head.axes[1], head.axes[2]
    layout = interpolation_layout(head.shape, order, head.leading)
    return whole_multiples(head, interpolated(decode_volumes(tile.streams, layout, device), order, head.leading))


def reconstruct(head: TileHeader, units: NDArray[np.float32], stride: int = 1) -> Values:
    """From quantisation steps [channel, time, lat, lon] of every stride-th row to values; encoder and decoder both come
    through here, so that they round alike."""
    weights = row_weights(head.rows, head.shape[2])[::stride, None]
    values: Values = units * (head.step / weights)
    rows = np.arange(0, head.shape[2], stride, dtype=np.float64)
    for stretch in reversed(read_stretches(head.stretches, head.shape[0])):
        for channel, plane in enumerate(values):
            stretch.undo(plane, channel, rows, head.shape[2] - 1)
    values *= head.channel_scales[:, None, None, None]
    values += head.channel_means[:, None, None, None]
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

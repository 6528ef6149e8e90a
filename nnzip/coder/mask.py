"""Missing positions <-> bytes.

byte      1 where the longitude is periodic, plus 2 * how (channel, time) pairs share planes (Sharing)
varint    bytes of the plane numbers; with the numbers, absent when one plane serves all
numbers   deflated differences of int32 plane numbers, little-endian
rest      one stream of bits (bits.py): the distinct planes in the order of first use (bitplane.py)
"""

from __future__ import annotations

import math
from enum import IntEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bitplane import NO_STATE, Coder, PlaneModel, Reader, Recorder, previous_states
from nnzip.coder.varint import read_varint, varint
from nnzip.container.deflate import deflate, inflate
from nnzip.errors import CorruptArchiveError

_PERIODIC, _SHARING = 1, 2
_VALUES_PER_BYTE = 1 << 19  # coding a bit takes at least 2.2e-5 bits, so a byte holds at most 363 409 of them
Shape = tuple[int, int, int, int]


class Sharing(IntEnum):
    """Which plane numbers are listed: none (one plane for all), one per channel, per time, or per (channel, time)."""

    ALL = 0
    PER_CHANNEL = 1
    PER_TIME = 2
    PER_BOTH = 3


class MaskEncoder:
    """Codes a mask that comes piece by piece in time.

    Planes that repeat (constant in time, equal channels) are stored once. Memory: the distinct planes.
    """

    def __init__(self) -> None:
        self._planes: dict[bytes, NDArray[np.bool_]] = {}
        self._keys: list[NDArray[np.object_]] = []

    def add(self, mask: NDArray[np.bool_]) -> None:
        """The next times of bool [channel, time, latitude, longitude], True where missing."""
        if mask.ndim != 4 or not mask.size:
            raise ValueError(f"a mask of shape {mask.shape}; four dimensions and at least one value are needed")
        keys = np.empty(mask.shape[:2], dtype=np.object_)
        for place in np.ndindex(keys.shape):
            key = blake2b(np.packbits(mask[place]).data, digest_size=16).digest()
            if key not in self._planes:
                self._planes[key] = mask[place].copy()
            keys[place] = key
        self._keys.append(keys)

    def encode(self, periodic: bool = False) -> bytes:
        """Everything added. `periodic`: the last column is the first one's neighbour."""
        keys = np.concatenate(self._keys, axis=1)
        order = list(dict.fromkeys(keys.ravel().tolist()))  # of first use
        number = {key: index for index, key in enumerate(order)}
        numbers = np.array([number[key] for key in keys.ravel()], dtype=np.int64).reshape(keys.shape)
        sharing, listed = _list_numbers(numbers)
        recorder = Recorder()
        _code_planes(np.stack([self._planes[key] for key in order]), listed, periodic, recorder)
        head = bytes([_PERIODIC * periodic + _SHARING * sharing])
        if sharing is not Sharing.ALL:
            packed = deflate(np.diff(listed.ravel(), prepend=0).astype("<i4").tobytes())
            head += varint(len(packed)) + packed
        return head + recorder.to_bytes()


def decode_mask(data: bytes, shape: Shape) -> NDArray[np.bool_]:
    """Inverse of `MaskEncoder`: bool in `shape`, read-only where planes are shared. Raises CorruptArchiveError."""
    planes, listed = decode_planes(data, shape)
    return np.broadcast_to(planes[listed], shape)


def decode_planes(data: bytes, shape: Shape) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The distinct planes [plane, latitude, longitude], and plane numbers that broadcast to [channel, time]."""
    if not data or data[0] >= 4 * _SHARING:
        raise CorruptArchiveError("a mask is empty or has unknown flags")
    periodic, sharing = bool(data[0] & _PERIODIC), Sharing(data[0] // _SHARING)
    listed, position = _read_numbers(data, sharing, shape)
    count = int(listed.max()) + 1
    values = count * math.prod(shape[2:])
    if not 0 < values <= _VALUES_PER_BYTE * (len(data) + 64):
        raise CorruptArchiveError(f"a mask of {len(data)} bytes cannot hold the declared {values} positions")
    planes = np.zeros((count, *shape[2:]), dtype=np.bool_)
    reader = Reader(data[position:])
    _code_planes(planes, listed, periodic, reader)
    reader.finish()
    return planes, listed


def _code_planes(planes: NDArray[np.bool_], listed: NDArray[np.int64], periodic: bool, coder: Coder) -> None:
    """Code all planes in place: an encoder reads them, a decoder fills them."""
    model = PlaneModel()
    for number, (channel, time) in enumerate(_first_uses(listed)):
        if time:
            states = previous_states(planes[listed[channel, time - 1]])
        elif channel:
            states = previous_states(planes[listed[channel - 1, 0]])
        else:
            states = np.full(planes.shape[1:], NO_STATE, np.uint8)
        model.code(planes[number], states, periodic, coder)


# --- plane numbers ----------------------------------------------------------------------------------------------------


def _list_numbers(numbers: NDArray[np.int64]) -> tuple[Sharing, NDArray[np.int64]]:
    """The fewest numbers that broadcast to all of them."""
    in_time = (numbers == numbers[:, :1]).all()
    in_channels = (numbers == numbers[:1]).all()
    if in_time and in_channels:
        return Sharing.ALL, numbers[:1, :1]
    if in_time:
        return Sharing.PER_CHANNEL, numbers[:, :1]
    return (Sharing.PER_TIME, numbers[:1]) if in_channels else (Sharing.PER_BOTH, numbers)


def _read_numbers(data: bytes, sharing: Sharing, shape: Shape) -> tuple[NDArray[np.int64], int]:
    """Plane numbers as listed, and the offset of what follows them."""
    channels = shape[0] if sharing & Sharing.PER_CHANNEL else 1
    times = shape[1] if sharing & Sharing.PER_TIME else 1
    if sharing is Sharing.ALL:
        return np.zeros((1, 1), np.int64), 1
    length, position = read_varint(data, 1)
    packed = data[position : position + length]
    steps = np.frombuffer(inflate(packed, 4 * channels * times), dtype="<i4")
    listed = np.cumsum(steps, dtype=np.int64).reshape(channels, times)
    if not listed.size or listed.min() < 0:
        raise CorruptArchiveError("a mask's plane numbers are damaged")
    return listed, position + length


def _first_uses(listed: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(channel, time) where each plane is first used; plane k must be first used after plane k - 1."""
    found, first = np.unique(listed, return_index=True)
    if not np.array_equal(found, np.arange(found.size)) or (np.diff(first) <= 0).any():
        raise CorruptArchiveError("a mask's plane numbers are not in the order of their first use")
    channels, times = np.unravel_index(first, listed.shape)
    return list(zip(channels.tolist(), times.tolist(), strict=True))

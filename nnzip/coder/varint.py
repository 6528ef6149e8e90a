"""Numbers in as few bytes as they need: seven bits a byte, lowest first; the top bit says that more follow."""

from __future__ import annotations

from nnzip.errors import CorruptArchiveError


def varint(value: int) -> bytes:
    """A number >= 0 as bytes."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position` and the offset after it. Raises CorruptArchiveError where the data end within it."""
    value = 0
    for shift in range(0, 63, 7):
        if position >= len(data):
            break
        octet = data[position]
        position += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
    raise CorruptArchiveError("the data end within a number")

"""Raw deflate (RFC 1951) with limits, and with the preset dictionary of manifests."""

from __future__ import annotations

import zlib
from functools import cache
from importlib.resources import files

from nnzip.container.limits import MAX_INFLATION
from nnzip.errors import CorruptArchiveError

_THOROUGH_BYTES = 1 << 18  # level 9 takes long on more
_LARGEST_MATCH = 258  # bytes that a few bits of deflate stand for, whatever the length of the data


@cache
def manifest_dictionary() -> bytes:
    """The preset dictionary of manifests: the file dictionary.txt, which is part of the format."""
    return (files("nnzip.container") / "dictionary.txt").read_bytes()


def deflate(data: bytes, dictionary: bytes = b"") -> bytes:
    """Raw deflate of `data`."""
    level = 9 if len(data) <= _THOROUGH_BYTES else 6
    coder = zlib.compressobj(level, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return coder.compress(data) + coder.flush()


def inflate(data: bytes, size: int) -> bytes:
    """Undo raw deflate; exactly `size` bytes must come out of exactly `data`. Raises CorruptArchiveError."""
    if size > MAX_INFLATION * len(data) + _LARGEST_MATCH:
        raise CorruptArchiveError(f"{len(data)} deflated bytes cannot hold the declared {size}")
    out, rest = inflate_first(data, size)
    if rest or len(out) != size:
        raise CorruptArchiveError(
            f"deflated bytes hold {len(out)} bytes where {size} were declared, or do not end there"
        )
    return out


def inflate_first(data: bytes, limit: int, dictionary: bytes = b"") -> tuple[bytes, bytes]:
    """Undo the raw deflate stream that `data` begins with: its content, of at most `limit` bytes, and what follows it.

    Raises CorruptArchiveError where the stream is damaged, does not end, or holds more.
    """
    coder = zlib.decompressobj(-15, zdict=dictionary)
    try:
        out = coder.decompress(data, limit + 1)
    except zlib.error as error:
        raise CorruptArchiveError(f"deflated bytes are damaged: {error}") from error
    if len(out) > limit:
        raise CorruptArchiveError(f"deflated bytes hold more than the {limit} bytes that are allowed")
    if not coder.eof:
        raise CorruptArchiveError("deflated bytes end too early")
    return out, coder.unused_data

"""Coded streams: constriction's asymmetric numeral systems coder and its bytes.

constriction turns weights w into the frequencies w + 1 without rounding when the weights sum to exactly 2**24 - len(w),
because its scale factor is then exactly one. All models here and in entropy.py and bits.py are made that way: a float
never decides how bits are read (rule 0 of the design).

A stream is little-endian 32-bit words without the zero bytes at its end. The coder's state starts at a number between 1
and 255 and must end there: one that runs dry turns to small multiples of a frequency, so a stream cut short shows.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError

PRECISION = 24  # fixed in constriction's Python interface
TOTAL = 1 << PRECISION


def new_coder(state: int = 1) -> Any:
    """An encoder; what is pushed last is read first."""
    from constriction import stream

    return stream.stack.AnsCoder(np.array([state], np.uint32))


def open_coder(data: bytes) -> Any:
    """A decoder of `to_bytes`."""
    from constriction import stream

    if not data:
        raise CorruptArchiveError("a coded stream is empty")
    if data[-1] == 0:
        raise CorruptArchiveError("a coded stream ends in a zero byte, which no encoder writes")
    words = np.frombuffer(data + bytes(-len(data) % 4), dtype="<u4")
    return stream.stack.AnsCoder(words.astype(np.uint32))


def to_bytes(coder: Any) -> bytes:
    """Everything pushed so far."""
    words: NDArray[np.uint32] = coder.get_compressed()
    if sys.byteorder == "big":
        words = words.byteswap()
    return words.tobytes().rstrip(b"\0")


def require_end(coder: Any, count: int, state: int = 1) -> None:
    """Raise CorruptArchiveError unless a decoder has read everything and is back in its first state."""
    if coder.num_words() != 1 or coder.get_compressed()[0] != state:
        raise not_finished(count)


def not_finished(count: int) -> CorruptArchiveError:
    """The error of a stream that goes on after its symbols, or ended before."""
    return CorruptArchiveError(f"a coded stream of {count} symbols does not end where it should: it is damaged")

"""Bits <-> bytes, each bit under its own probability.

Frequencies of bits are multiples of 256, so the lowest byte of the coder's first state costs nothing: it holds a
checksum of the bits, without which damage would go unnoticed in every fourth stream.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.ans import PRECISION, TOTAL, new_coder, open_coder, require_end, to_bytes

PROBABILITY_BITS = 16
"""`encode_bits` takes the probability of a one as an integer out of 2**PROBABILITY_BITS."""


def encode_bits(bits: NDArray[np.bool_], probabilities: NDArray[np.uint16]) -> bytes:
    """Code bits [n]; `probabilities` [n] are those of a one, out of 2**16, between 1 and 2**16 - 1."""
    coder = new_coder(_first_state(crc32(bits.astype(np.uint8).data)))
    if bits.size:
        coder.encode_reverse(bits.astype(np.int32), _bit_family(), _bit_weights(probabilities))
    return to_bytes(coder)


class BitDecoder:
    """Inverse of `encode_bits`, in as many steps as the caller likes: probabilities may depend on bits already read."""

    def __init__(self, data: bytes) -> None:
        self._coder = open_coder(data)
        self._read = 0
        self._crc = 0

    def decode(self, probabilities: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """The next len(probabilities) bits."""
        self._read += probabilities.size
        if not probabilities.size:
            return np.zeros(0, dtype=np.bool_)
        bits: NDArray[np.int32] = self._coder.decode(_bit_family(), _bit_weights(probabilities))
        self._crc = crc32(bits.astype(np.uint8).data, self._crc)
        return bits.astype(np.bool_)

    def finish(self) -> None:
        """Raise CorruptArchiveError unless every coded bit has been read."""
        require_end(self._coder, self._read, _first_state(self._crc))


def _first_state(crc: int) -> int:
    return 1 + crc % 255


@lru_cache(maxsize=1)
def _bit_family() -> Any:
    from constriction import stream

    return stream.model.Categorical(lazy=True, perfect=False)


def _bit_weights(probabilities: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Weights [n, 2] of zero and one; all are integers below 2**24, exact in float32."""
    one = probabilities.astype(np.int32).ravel() << (PRECISION - PROBABILITY_BITS)
    if one.size and one.min() == 0:
        raise ValueError("a bit of probability 0 cannot be coded")
    weights = np.empty((one.size, 2), dtype=np.float32)
    weights[:, 0] = TOTAL - 1 - one
    weights[:, 1] = one - 1
    return weights

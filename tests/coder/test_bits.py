from __future__ import annotations

import numpy as np
import pytest

from nnzip.coder.bits import BitDecoder, encode_bits
from nnzip.errors import CorruptArchiveError


def test_bits_at_their_entropy_in_several_steps() -> None:
    rng = np.random.default_rng(3)
    ones = rng.integers(1, 2**16, 20_000).astype(np.uint16)
    bits = rng.random(ones.size) < ones / 2**16
    data = encode_bits(bits, ones)
    share = ones / 2**16
    ideal = -np.where(bits, np.log2(share), np.log2(1 - share)).sum() / 8
    assert len(data) == pytest.approx(ideal, rel=0.002)
    decoder = BitDecoder(data)
    parts = [decoder.decode(part) for part in np.split(ones, [0, 17, 9000])]
    decoder.finish()
    np.testing.assert_array_equal(np.concatenate(parts), bits)


def test_bits_left_over_or_missing() -> None:
    ones = np.full(500, 2**15, np.uint16)
    bits = np.random.default_rng(3).random(500) < 0.5
    data = encode_bits(bits, ones)
    short = BitDecoder(data)
    short.decode(ones[:400])
    with pytest.raises(CorruptArchiveError, match="400"):
        short.finish()
    with pytest.raises(ValueError, match="probability 0"):
        encode_bits(bits, np.zeros(500, np.uint16))


def test_truncated_or_flipped_bits_are_nearly_always_noticed() -> None:
    rng = np.random.default_rng(5)
    ones = rng.choice([300, 2**15, 65_000], 4000).astype(np.uint16)
    data = encode_bits(rng.random(ones.size) < ones / 2**16, ones)
    attacks = [data[:length] for length in range(len(data))]
    attacks += [data[:i] + bytes([data[i] ^ 1 << (i % 8)]) + data[i + 1 :] for i in range(len(data))]
    noticed = 0
    for attack in attacks:
        try:
            decoder = BitDecoder(attack)
            decoder.decode(ones)
            decoder.finish()
        except CorruptArchiveError:
            noticed += 1
    assert noticed > 0.98 * len(attacks)

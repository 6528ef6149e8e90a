"""The lossless baseline compresses what the shuffle filter makes compressible."""

from __future__ import annotations

import zlib

import numpy as np

from nnzip.evaluate.lossless import lossless_bytes


def test_shuffle_puts_bytes_of_equal_rank_together() -> None:
    values = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    raw = values.astype("<f4").tobytes()
    shuffled = b"".join(raw[rank::4] for rank in range(4))
    assert lossless_bytes(values) == len(zlib.compress(shuffled, 5))


def test_smooth_float64_fields_count_as_float32_and_beat_plain_zlib() -> None:
    values = 280 + np.sin(np.linspace(0, 9, 20_000)).cumsum().reshape(100, 200)
    plain = len(zlib.compress(values.astype("<f4").tobytes(), 5))
    assert lossless_bytes(values) < plain < 4 * values.size

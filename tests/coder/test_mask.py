from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nnzip.coder.mask import MaskEncoder, decode_mask, decode_planes
from nnzip.errors import CorruptArchiveError
from tests.support.archive_examples import encode_mask

Bits = NDArray[np.bool_]


def continents(rows: int, columns: int, seed: int = 0) -> Bits:
    """A coastline of no place on earth: the sign of noise with a red spectrum."""
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    frequency[0, 0] = 1
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    land: Bits = np.fft.irfft2(noise / frequency**2, (rows, columns)) > 0
    return land


def packed_size(mask: Bits) -> int:
    return len(zlib.compress(np.packbits(mask).tobytes(), 9))


def size_after_round_trip(mask: Bits, periodic: bool = False) -> int:
    data = encode_mask(mask, periodic)
    np.testing.assert_array_equal(decode_mask(data, mask.shape), mask)
    return len(data)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=4, max_dims=4, max_side=9)), st.booleans())
def test_any_mask_round_trips(mask: Bits, periodic: bool) -> None:
    size_after_round_trip(mask, periodic)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 140), st.integers(1, 140), st.booleans(), st.integers(0, 99))
def test_planes_of_any_size_round_trip(rows: int, columns: int, periodic: bool, seed: int) -> None:
    size_after_round_trip(continents(rows, columns, seed)[None, None], periodic)


@pytest.mark.parametrize("value", [False, True])
def test_constant_planes_cost_a_few_bytes(value: bool) -> None:
    assert size_after_round_trip(np.full((1, 2, 200, 300), value)) < 40


def test_a_coast_is_coded_in_less_than_half_of_deflate() -> None:
    mask = continents(200, 400)[None, None]
    assert size_after_round_trip(mask) < 0.42 * packed_size(mask)


def test_mirrored_and_inverted_masks_cost_the_same() -> None:
    mask = continents(129, 257)[None, None]  # 2**n + 1 points: the lattices are their own mirror images
    expected = size_after_round_trip(mask)
    for image in (mask[:, :, ::-1], mask[..., ::-1], ~mask):
        assert size_after_round_trip(image) == pytest.approx(expected, rel=0.03)


def test_a_periodic_longitude_helps() -> None:
    mask = np.roll(continents(64, 128), 40, axis=1)[None, None]
    assert size_after_round_trip(mask, periodic=True) < size_after_round_trip(mask)


def test_shared_planes_are_stored_once() -> None:
    first, second = continents(40, 60, 1), continents(40, 60, 2)
    alone, both = size_after_round_trip(first[None, None]), size_after_round_trip(np.stack([first, second])[:, None])
    constant = np.broadcast_to(first, (3, 50, 40, 60))
    assert size_after_round_trip(constant) == alone
    per_channel = np.broadcast_to(np.stack([first, second])[:, None], (2, 50, 40, 60))
    assert size_after_round_trip(per_channel) <= both + 10
    per_time = np.broadcast_to(np.stack([first, second, first, second]), (3, 4, 40, 60))
    planes, listed = decode_planes(encode_mask(per_time), (3, 4, 40, 60))
    assert planes.shape[0] == 2
    assert listed.tolist() == [[0, 1, 0, 1]]
    mixed = np.stack([np.stack([first, second, first]), np.stack([second, second, first])])
    assert size_after_round_trip(mixed) <= both + 20


def test_a_moving_edge_costs_its_changes() -> None:
    rows, columns = np.mgrid[:60, :80]
    mask = np.stack([np.hypot(rows - 30, columns - 20 - step) < 15 for step in range(12)])[None]
    assert size_after_round_trip(mask) < 0.5 * sum(packed_size(plane) for plane in mask[0])


def test_truncated_or_extended_mask() -> None:
    mask = np.stack([continents(40, 60, seed) for seed in range(3)])[None]
    data = encode_mask(mask)
    unnoticed = 0
    for damaged in (*(data[:length] for length in range(0, len(data), 7)), data + b"\1"):
        try:
            unnoticed += decode_mask(damaged, (1, 3, 40, 60)).size > 0
        except CorruptArchiveError:
            continue
    assert unnoticed <= 1  # one in 256; the archive's CRC-32 notices all


def test_flipped_bits_give_an_error_or_a_mask() -> None:
    data = encode_mask(continents(60, 100)[None, None])
    unnoticed = 0
    for position in range(0, len(data), 2):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        try:
            unnoticed += decode_mask(bytes(damaged), (1, 1, 60, 100)).shape == (1, 1, 60, 100)
        except CorruptArchiveError:
            continue
    assert unnoticed < 0.05 * len(data)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=30))
def test_arbitrary_bytes_never_do_worse_than_an_error(data: bytes) -> None:
    try:
        decoded = decode_mask(data, (2, 3, 5, 7))
    except CorruptArchiveError:
        return
    assert decoded.shape == (2, 3, 5, 7)


def test_absurd_shapes_do_not_allocate() -> None:
    data = encode_mask(continents(40, 60)[None, None])
    for shape in ((1, 1, 1 << 20, 1 << 20), (1, 1, 1 << 30, 60)):
        with pytest.raises(CorruptArchiveError, match="cannot hold"):
            decode_mask(data, shape)
    several = encode_mask(np.stack([continents(40, 60, seed) for seed in range(3)])[None])
    with pytest.raises(CorruptArchiveError):
        decode_mask(several, (1 << 20, 1 << 20, 40, 60))


def test_a_mask_of_no_points_is_refused() -> None:
    with pytest.raises(CorruptArchiveError, match="cannot hold the declared 0 positions"):
        decode_mask(encode_mask(np.ones((1, 1, 3, 4), np.bool_)), (1, 1, 0, 4))


def test_empty_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        encode_mask(np.zeros((0, 1, 2, 3), np.bool_))


def test_pieces_in_time_make_the_same_bytes() -> None:
    generator = np.random.default_rng(5)
    planes = generator.random((3, 6, 7)) < 0.3
    mask = planes[generator.integers(0, 3, (2, 9))]
    encoder = MaskEncoder()
    for start, stop in ((0, 2), (2, 3), (3, 9)):
        encoder.add(mask[:, start:stop])
    assert encoder.encode() == encode_mask(mask)

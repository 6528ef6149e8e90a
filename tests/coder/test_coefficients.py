"""Coefficients come back exactly, at the size that was planned, and damage is noticed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder.bands import Bands, band_edges, interpolation_bands, wavelet_bands
from nnzip.errors import CorruptArchiveError
from nnzip.transform.wavelet import max_depth
from tests.support.coefficient_examples import Integers, decode, encode, plan

EXTREMES = np.array([0, 0, 1, -1, 1023, -1024, 70_000, 2**31 - 1, -(2**31)], dtype=np.int32)


def sparse(shape: tuple[int, ...], scale: float, seed: int = 0) -> Integers:
    """Like quantised coefficients: heavy tails that thin out towards the end of every axis."""
    values = np.random.default_rng(seed).laplace(0, scale, shape) ** 3
    decay = sum(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"))
    return np.rint(np.clip(values * np.exp(-2 * decay), -(2**31), 2**31 - 1)).astype(np.int32)


def round_trip(values: Integers, bands: Bands, reference: Integers | None = None) -> bytes:
    data = encode(values, bands, reference)
    decoded = decode(data, values.shape, bands, reference)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, values)
    return data


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 24)),
    st.data(),
    st.sampled_from((0.0, 0.3, 2.0, 300.0)),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_round_trip(
    shape: tuple[int, ...], data: st.DataObject, scale: float, with_reference: bool, interpolation: bool
) -> None:
    depths = tuple(data.draw(st.integers(0, max_depth(size))) for size in shape)
    bands = interpolation_bands(shape, (2, 0, 1)) if interpolation else wavelet_bands(shape, depths)
    reference = sparse(shape, scale, 1) if with_reference else None
    round_trip(sparse(shape, scale), bands, reference)


@pytest.mark.parametrize("with_reference", [False, True])
def test_any_magnitude(with_reference: bool) -> None:
    values = np.random.default_rng(3).choice(EXTREMES, (3, 9, 10))
    bands = wavelet_bands(values.shape, (0, 1, 1))
    round_trip(values, bands, values[:, ::-1].copy() if with_reference else None)


def test_one_hot_positions() -> None:
    for place in product((0, 1), (0, 4, 8), (0, 3, 7)):
        values = np.zeros((2, 9, 8), dtype=np.int32)
        values[place] = -3
        round_trip(values, wavelet_bands(values.shape, (0, 1, 1)))


def test_nothing_costs_next_to_nothing() -> None:
    values = np.zeros((16, 64, 64), dtype=np.int32)
    assert len(round_trip(values, wavelet_bands(values.shape, (1, 4, 4)))) < 16


def test_a_similar_reference_saves_bytes() -> None:
    values = sparse((4, 40, 40), 1.0)
    bands = wavelet_bands(values.shape, (0, 3, 3))
    close = values + np.random.default_rng(5).integers(-1, 2, values.shape).astype(np.int32)
    assert len(round_trip(values, bands, close)) < 0.8 * len(round_trip(values, bands))


def test_context_beats_independent_coding() -> None:
    """Bands whose magnitudes vary from place to place cost less than their histogram's entropy."""
    rng = np.random.default_rng(6)
    rough = np.exp(3 * np.sin(np.arange(48) / 9)[:, None] * np.cos(np.arange(48) / 11))
    values = np.rint(rng.laplace(0, rough, (8, 48, 48))).astype(np.int32)
    _, counts = np.unique(values, return_counts=True)
    entropy = -(counts * np.log2(counts / values.size)).sum() / 8
    assert len(round_trip(values, wavelet_bands(values.shape, (0, 0, 0)))) < 0.9 * entropy


@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0, 30.0, 1000.0])
@pytest.mark.parametrize("shape", [(1, 9, 9), (8, 40, 50)])
def test_the_planned_size_is_the_size(shape: tuple[int, ...], scale: float) -> None:
    values = sparse(shape, scale)
    bands = wavelet_bands(shape, tuple(map(max_depth, shape)))
    assert plan(values, bands).bytes == pytest.approx(len(encode(values, bands)), rel=0.01, abs=4)


def test_planned_tables_mark_empty_bands() -> None:
    values = np.zeros((1, 16, 16), dtype=np.int32)
    values[0, 2, 2] = 5
    bands = wavelet_bands(values.shape, (0, 1, 1))
    found = plan(values, bands)
    assert (found.tables[bands[0].where] > 0).all()
    assert not found.tables[0, 8:].any()
    assert found.silent.astype(bool).any(axis=1).tolist() == [True, False, False, False]


def test_every_thread_count_gives_the_same_bytes() -> None:
    values, reference = sparse((6, 30, 31), 1.0), sparse((6, 30, 31), 1.0, 9)
    bands = wavelet_bands(values.shape, (0, 2, 2))
    before = torch.get_num_threads()
    try:
        found = set()
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.add(round_trip(values, bands, reference))
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_the_layout_of_the_array_does_not_matter() -> None:
    values = sparse((5, 20, 22), 1.0)
    bands = wavelet_bands(values.shape, (0, 1, 1))
    assert round_trip(np.asfortranarray(values), bands) == round_trip(values, bands)


def test_a_decoder_without_the_reference_notices() -> None:
    values = sparse((4, 20, 20), 1.0)
    bands = wavelet_bands(values.shape, (0, 1, 1))
    data = round_trip(values, bands, sparse(values.shape, 1.0, 1))
    with pytest.raises(CorruptArchiveError):
        decode(data, values.shape, bands, None)


DAMAGED_SHAPE = (4, 20, 20)
DAMAGED_BANDS = wavelet_bands(DAMAGED_SHAPE, (0, 1, 1))
DAMAGED = round_trip(sparse(DAMAGED_SHAPE, 1.0), DAMAGED_BANDS)


@given(st.integers(0, len(DAMAGED) - 1), st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_changed_byte_is_an_error_or_other_integers(position: int, change: int) -> None:
    """Never a crash or a hang; that no wrong integers are believed is for the container's checksum."""
    data = bytearray(DAMAGED)
    data[position] ^= change
    try:
        decoded = decode(bytes(data), DAMAGED_SHAPE, DAMAGED_BANDS)
    except CorruptArchiveError:
        return
    assert decoded.shape == DAMAGED_SHAPE


@given(st.integers(0, len(DAMAGED) - 1))
@settings(max_examples=50, deadline=None)
def test_a_truncated_stream_is_an_error(length: int) -> None:
    with pytest.raises(CorruptArchiveError):
        decode(DAMAGED[:length], DAMAGED_SHAPE, DAMAGED_BANDS)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_noise_is_an_error_or_integers(data: bytes) -> None:
    try:
        decode(data, DAMAGED_SHAPE, DAMAGED_BANDS)
    except CorruptArchiveError:
        return


def test_trailing_bytes_and_a_wrong_shape_are_errors() -> None:
    with pytest.raises(CorruptArchiveError):
        decode(DAMAGED + b"\x01\x02\x03\x04\x05", DAMAGED_SHAPE, DAMAGED_BANDS)
    with pytest.raises(CorruptArchiveError):
        decode(DAMAGED, (4, 20, 21), wavelet_bands((4, 20, 21), (0, 1, 1)))


def test_bands_follow_the_wavelet() -> None:
    edges = band_edges(20, 1)
    assert DAMAGED_BANDS[0].where[1:] == (slice(*edges[0]), slice(*edges[0]))

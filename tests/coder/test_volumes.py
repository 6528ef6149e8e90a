"""Volumes come back exactly, at the size that was planned, part by part, and damage is noticed."""

from __future__ import annotations

import tracemalloc
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder.bands import PARTS, Bands, band_edges, interpolation_bands, wavelet_bands
from nnzip.coder.volumes import Layout, decode_volumes, encode_volumes, plan_volume
from nnzip.errors import CorruptArchiveError
from nnzip.transform.wavelet import max_depth
from tests.support.coefficient_examples import Integers, Streams, decode, encode, layout_of, plans, size

EXTREMES = np.array([0, 0, 1, -1, 1023, -1024, 70_000, 2**31 - 1, -(2**31)], dtype=np.int32)


def sparse(shape: tuple[int, ...], scale: float, seed: int = 0) -> Integers:
    """Like quantised coefficients: heavy tails that thin out towards the end of every axis."""
    values = np.random.default_rng(seed).laplace(0, scale, shape) ** 3
    decay = sum(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"))
    return np.rint(np.clip(values * np.exp(-2 * decay), -(2**31), 2**31 - 1)).astype(np.int32)


def round_trip(values: Integers, bands: Bands, reference: Integers | None = None) -> Streams:
    streams = encode(values, bands, reference)
    assert len(streams) == PARTS
    decoded = decode(streams, values, bands, reference)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, values)
    return streams


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 14)),
    st.data(),
    st.sampled_from((0.0, 0.3, 2.0, 300.0)),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_round_trip(
    shape: tuple[int, ...], data: st.DataObject, scale: float, with_reference: bool, interpolation: bool
) -> None:
    depths = tuple(data.draw(st.integers(0, max_depth(size))) for size in shape)
    bands = interpolation_bands(shape, (2, 0, 1)) if interpolation else wavelet_bands(shape, depths)
    reference = sparse(shape, scale, 1) if with_reference else None
    round_trip(sparse(shape, scale), bands, reference)


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_volumes_refer_to_any_earlier_one(wanted: list[int], seed: int) -> None:
    shape = (3, 8, 9)
    references = tuple(place if 0 <= place < number else None for number, place in enumerate(wanted))
    layout = Layout(shape, wavelet_bands(shape, (0, 1, 1)), references)
    volumes = [sparse(shape, 1.0, seed + number) for number in range(len(wanted))]
    planned = [
        plan_volume(values, layout.bands, None if reference is None else volumes[reference])
        for values, reference in zip(volumes, references, strict=True)
    ]
    for found, values in zip(decode_volumes(encode_volumes(planned, layout), layout), volumes, strict=True):
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("interpolation", [False, True])
def test_fewer_streams_give_the_subbands_of_their_parts(interpolation: bool) -> None:
    values, reference = sparse((4, 21, 34), 2.0), sparse((4, 21, 34), 2.0, 1)
    shape = values.shape
    bands = interpolation_bands(shape, (0, 1, 2)) if interpolation else wavelet_bands(shape, (0, 2, 3))
    streams, layout = encode(values, bands, reference), layout_of(values, bands, reference)
    for parts in range(PARTS + 1):
        found = decode_volumes(streams[:parts], layout)
        for whole, part in zip((reference, values), found, strict=True):
            expected = np.zeros_like(whole)
            for band in bands:
                if band.part < parts:
                    expected[band.where] = whole[band.where]
            np.testing.assert_array_equal(part, expected)


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
    bands = wavelet_bands(values.shape, (1, 4, 4))
    round_trip(values, bands)
    assert size(values, bands) < 16


def test_a_similar_reference_saves_bytes() -> None:
    values = sparse((4, 40, 40), 1.0)
    bands = wavelet_bands(values.shape, (0, 3, 3))
    rng = np.random.default_rng(5)
    close = values + np.where(rng.random(values.shape) < 0.25, rng.integers(-1, 2, values.shape), 0).astype(np.int32)
    assert size(values, bands, close) < 0.6 * size(values, bands)


def test_context_beats_independent_coding() -> None:
    """Bands whose magnitudes vary from place to place cost less than their histogram's entropy."""
    rng = np.random.default_rng(6)
    rough = np.exp(3 * np.sin(np.arange(48) / 9)[:, None] * np.cos(np.arange(48) / 11))
    values = np.rint(rng.laplace(0, rough, (8, 48, 48))).astype(np.int32)
    _, counts = np.unique(values, return_counts=True)
    entropy = -(counts * np.log2(counts / values.size)).sum() / 8
    assert size(values, wavelet_bands(values.shape, (0, 0, 0))) < 0.9 * entropy


@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0, 30.0, 1000.0])
@pytest.mark.parametrize("shape", [(1, 9, 9), (8, 40, 50)])
def test_the_planned_size_is_the_size(shape: tuple[int, ...], scale: float) -> None:
    values = sparse(shape, scale)
    bands = wavelet_bands(shape, tuple(map(max_depth, shape)))
    ends = 4 * PARTS  # of the streams
    assert plans(values, bands)[0].bytes + ends == pytest.approx(size(values, bands), rel=0.01, abs=12)


def test_planned_tables_mark_empty_bands() -> None:
    values = np.zeros((1, 16, 16), dtype=np.int32)
    values[0, 2, 2] = 5
    bands = wavelet_bands(values.shape, (0, 1, 1))
    found = plans(values, bands)[0]
    tables = found.tables(bands, np.arange(72, dtype=np.uint8))
    assert (tables[bands[0].where] > 0).all()
    assert not tables[0, 8:].any()
    assert found.silent.astype(bool).any(axis=1).tolist() == [True, False, False, False]


def test_every_thread_count_gives_the_same_bytes() -> None:
    values, reference = sparse((6, 30, 31), 1.0), sparse((6, 30, 31), 1.0, 9)
    bands = wavelet_bands(values.shape, (0, 2, 2))
    before = torch.get_num_threads()
    try:
        found = set()
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.add(tuple(encode(values, bands, reference)))
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_the_layout_of_the_array_does_not_matter() -> None:
    values = sparse((5, 20, 22), 1.0)
    bands = wavelet_bands(values.shape, (0, 1, 1))
    assert round_trip(np.asfortranarray(values), bands) == round_trip(values, bands)


DAMAGED_VALUES = sparse((4, 20, 20), 1.0)
DAMAGED_BANDS = wavelet_bands(DAMAGED_VALUES.shape, (0, 1, 1))
DAMAGED = encode(DAMAGED_VALUES, DAMAGED_BANDS)
LONGEST = max(range(PARTS), key=lambda part: len(DAMAGED[part]))
STREAM = DAMAGED[LONGEST]


def decode_damaged(stream: bytes) -> Integers:
    return decode([*DAMAGED[:LONGEST], stream, *DAMAGED[LONGEST + 1 :]], DAMAGED_VALUES, DAMAGED_BANDS)


def test_a_decoder_that_takes_other_references_notices() -> None:
    reference = sparse(DAMAGED_VALUES.shape, 1.0, 1)
    streams = encode(DAMAGED_VALUES, DAMAGED_BANDS, reference)
    with pytest.raises(CorruptArchiveError):
        decode_volumes(streams, Layout(DAMAGED_VALUES.shape, DAMAGED_BANDS, (None, None)))


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_a_changed_byte_is_an_error_or_other_integers(position: int, change: int) -> None:
    """Never a crash or a hang; that no wrong integers are believed is for the container's checksum."""
    data = bytearray(STREAM)
    data[position] ^= change
    try:
        decoded = decode_damaged(bytes(data))
    except CorruptArchiveError:
        return
    assert decoded.shape == DAMAGED_VALUES.shape


@given(st.integers(0, len(STREAM) - 1))
@settings(max_examples=20, deadline=None)
def test_a_truncated_stream_is_an_error(length: int) -> None:
    with pytest.raises(CorruptArchiveError):
        decode_damaged(STREAM[:length])


@given(st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_noise_is_an_error_or_integers(data: bytes) -> None:
    try:
        decode_damaged(data)
    except CorruptArchiveError:
        return


def test_trailing_bytes_exchanged_streams_and_a_wrong_shape_are_errors() -> None:
    with pytest.raises(CorruptArchiveError):
        decode_damaged(STREAM + b"\x01\x02\x03\x04\x05")
    with pytest.raises(CorruptArchiveError):
        decode(DAMAGED[::-1], DAMAGED_VALUES, DAMAGED_BANDS)
    with pytest.raises(CorruptArchiveError):
        decode(DAMAGED, np.zeros((4, 20, 21), dtype=np.int32), wavelet_bands((4, 20, 21), (0, 1, 1)))


def test_damage_takes_no_more_memory_than_the_volume() -> None:
    """For numpy's arrays, which hold what is decoded: a few times the volume, whatever the bytes say."""
    rng = np.random.default_rng(0)
    decode_damaged(STREAM)  # tables are made once
    tracemalloc.start()
    try:
        for _ in range(10):
            data = bytearray(STREAM)
            data[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
            try:
                decode_damaged(bytes(data))
            except CorruptArchiveError:
                continue
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 100 * DAMAGED_VALUES.nbytes


def test_bands_follow_the_wavelet() -> None:
    edges = band_edges(20, 1)
    assert DAMAGED_BANDS[0].where[1:] == (slice(*edges[0]), slice(*edges[0]))

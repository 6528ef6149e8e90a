from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nnzip.container.arrays import ArrayStore, decode_array, encode_array, inflate
from nnzip.container.manifest import StoredArray
from nnzip.errors import CorruptArchiveError

CORRUPT = pytest.raises(CorruptArchiveError)


def size_after_round_trip(values: NDArray[Any]) -> int:
    spec, payload = encode_array(values)
    decoded = decode_array(spec, payload)
    assert decoded.dtype == values.dtype
    assert decoded.shape == values.shape
    if values.dtype == object:
        assert decoded.tolist() == values.tolist()
    else:
        assert decoded.tobytes() == values.tobytes()
    return len(payload)


@settings(deadline=None, max_examples=150)
@given(
    hnp.arrays(
        st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?"),
            hnp.complex_number_dtypes(sizes=(64, 128)),
            hnp.byte_string_dtypes(),
            hnp.unicode_string_dtypes(),
        ),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
    )
)
def test_every_bit_of_any_array_returns(values: NDArray[Any]) -> None:
    size_after_round_trip(values)


@given(st.lists(st.text(), max_size=8))
def test_strings_of_any_length(items: list[str]) -> None:
    values = np.empty(len(items), object)
    values[:] = items
    size_after_round_trip(values)


def test_nan_payloads_signed_zeros_and_scalars() -> None:
    size_after_round_trip(np.array([0x7FF8000000000001, 0xFFF0000000000123, 1 << 63], np.uint64).view(np.float64))
    size_after_round_trip(np.array(np.nan, np.float32))
    size_after_round_trip(np.array(-0.0))
    size_after_round_trip(np.array(7, np.int8))
    size_after_round_trip(np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max]))
    size_after_round_trip(np.array("surface", object))
    size_after_round_trip(np.array(["\ud800 lone surrogate", "日本"], object))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(90, -90.1, -0.25).astype(np.float32),
        np.linspace(-180, 180, 1440, endpoint=False),
        np.linspace(0, 360, 4320, endpoint=False).astype(np.float32),
        -90 + 0.1 * np.arange(1801),
        np.linspace(-89.95, 89.95, 1800).astype(np.float32),
        np.arange(0, 744, dtype=np.int32) * 3600 + 1552608000,
        np.arange(8760, dtype=np.float64) / 24,
        41_000 + np.arange(8760) / 24,
        (np.arange(2160) / 12 - 90 + 1 / 24).astype(np.float32),
        np.full(50, 2**63, np.uint64),
        np.array([5, 3, 1, -1], np.int8),
        np.linspace(-8, 8, 33).astype(">f4"),
    ],
)
def test_regular_coordinates_cost_no_payload(values: NDArray[Any]) -> None:
    assert size_after_round_trip(values) == 0


def test_irregular_coordinates_beat_deflate() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([3600, 10800], 500)) + 1_500_000_000
    curvilinear = (np.linspace(40, 60, 90)[:, None] + 0.01 * np.arange(70) ** 1.5).astype(np.float32)
    for values in (times, curvilinear):
        assert size_after_round_trip(values) < 0.75 * len(zlib.compress(values.tobytes(), 9))


def test_large_arrays_choose_their_layout_on_a_sample() -> None:
    values = (np.random.default_rng(0).integers(0, 3, 700_000).cumsum()).astype(np.int64)
    assert size_after_round_trip(values) < values.nbytes / 20


@pytest.mark.parametrize("values", [np.zeros(2, "M8[ns]"), np.zeros(2, np.longdouble), np.array([b"x", None], object)])
def test_unsupported_dtypes_are_refused(values: NDArray[Any]) -> None:
    with pytest.raises(TypeError):
        encode_array(values)


def test_store_keeps_tiny_arrays_in_the_manifest() -> None:
    store = ArrayStore()
    rng = np.random.default_rng(0)
    tiny, first, second = store.add(rng.random(2)), store.add(rng.random(9)), store.add(rng.random(30))
    assert len(tiny.inline) == 16
    assert tiny.length == 0
    assert second.offset == first.length
    assert len(store.getvalue()) == first.length + second.length
    assert store.add_bytes(b"mask") == first.length + second.length


def test_absurd_declared_shapes_do_not_allocate() -> None:
    with CORRUPT:
        decode_array(StoredArray("<f8", "step", (1 << 40,), (0, 1)), b"")
    with CORRUPT:
        decode_array(StoredArray("<f8", "delta", (1 << 40,)), b"abc")
    with CORRUPT:
        decode_array(StoredArray("<f8", "plain", (1 << 40,)), b"abc")
    with CORRUPT:
        decode_array(StoredArray("O", "text", (1 << 40,)), encode_array(np.array(["a"], object))[1])
    with CORRUPT:
        decode_array(StoredArray("|S999999999", "shuffle", (1 << 30,)), b"abc")


@pytest.mark.parametrize(
    "spec",
    [
        StoredArray("<f4", "wavelet", (3,), (0, 1)),
        StoredArray("<f4", "step", (3,)),
        StoredArray("<i4", "step", (3,), (0, 0.5)),
        StoredArray("<i4", "ratio", (3,), (0, 1)),
        StoredArray("|i1", "step", (300,), (0, 1)),
        StoredArray("<u4", "step", (3,), (0, -1)),
        StoredArray("<f8", "step", (3,), (10**400, 1)),
        StoredArray("<i8", "fraction", (3,), (0, 0.5)),
        StoredArray("|b1", "step", (3,), (0, 1)),
        StoredArray("<f3", "plain", (3,)),
        StoredArray("<f4", "text", (3,)),
        StoredArray("O", "plain", (3,)),
        StoredArray("O", "text", (3,)),
        StoredArray("<i4", "delta", (3,)),
    ],
)
def test_nonsense_descriptions(spec: StoredArray) -> None:
    with CORRUPT:
        decode_array(spec, b"")


def test_truncated_extended_or_flipped_payload() -> None:
    spec, payload = encode_array(np.random.default_rng(0).integers(0, 9, 200))
    for damaged in (payload[:-1], payload + b"\0", b"", payload[: len(payload) // 2]):
        with CORRUPT:
            decode_array(spec, damaged)
    for position in range(len(payload)):
        flipped = bytearray(payload)
        flipped[position] ^= 0x10
        try:
            assert decode_array(spec, bytes(flipped)).shape == (200,)
        except CorruptArchiveError:
            continue


def test_deflate_bomb() -> None:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = coder.compress(bytes(50_000_000)) + coder.flush()
    with pytest.raises(CorruptArchiveError, match="1000"):
        inflate(bomb, 1000)
    with CORRUPT:
        inflate(b"\x03\x00", 1 << 40)


@pytest.mark.parametrize("items", [b'{"a": 1}', b"[1, 2]", b"[", b'["a"]', b"[[" * 50_000])
def test_text_that_is_not_a_list_of_two_strings(items: bytes) -> None:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    with CORRUPT:
        decode_array(StoredArray("O", "text", (2,)), coder.compress(items) + coder.flush())

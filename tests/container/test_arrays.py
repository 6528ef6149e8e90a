from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from msgspec.structs import replace
from numpy.typing import NDArray

from nnzip.container.arrays import ArrayStore, decode_array, encode_array
from nnzip.container.deflate import deflate, inflate, inflate_first
from nnzip.container.manifest import StoredArray
from nnzip.errors import CorruptArchiveError

CORRUPT = pytest.raises(CorruptArchiveError)


def size_after_round_trip(values: NDArray[Any]) -> int:
    spec, payload = encode_array(values)
    decoded = decode_array(spec, values.shape, payload)
    assert decoded.dtype == values.dtype.newbyteorder("=")
    assert decoded.shape == values.shape
    assert decoded.tobytes() == values.astype(values.dtype.newbyteorder("=")).tobytes()
    return len(payload)


@settings(deadline=None, max_examples=150)
@given(
    hnp.arrays(
        st.one_of(
            hnp.integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
            hnp.unicode_string_dtypes(),
        ),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
    )
)
def test_every_bit_of_any_array_returns(values: NDArray[Any]) -> None:
    size_after_round_trip(values)


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=8), st.integers(1, 40))
@example(["\ud800 lone surrogate", "日本"], 1)
@example(["0001"], 40)
def test_text(items: list[str], times: int) -> None:
    size_after_round_trip(np.array(items * times))


def test_nan_payloads_signed_zeros_and_scalars() -> None:
    size_after_round_trip(np.array([0x7FF8000000000001, 0xFFF0000000000123, 1 << 63], np.uint64).view(np.float64))
    size_after_round_trip(np.array(np.nan, np.float32))
    size_after_round_trip(np.array([0.0, -0.0, 0.0]))
    size_after_round_trip(np.array(-0.0))
    size_after_round_trip(np.array(7, np.int8))
    size_after_round_trip(np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max]))
    size_after_round_trip(np.array([1e308, -1e308, 1e308]))
    size_after_round_trip(np.array([5e-324, 1e-323, 1.5e-323]))


def summed(first: float, step: float, count: int, last: float) -> NDArray[np.float64]:
    """As ecCodes makes coordinates: by additions, the last one from the header."""
    values = np.full(count, step)
    values[0] = first
    values = np.add.accumulate(values)
    values[-1] = last
    return values


@pytest.mark.parametrize(
    "values",
    [
        np.arange(90, -90.1, -0.25).astype(np.float32),
        np.linspace(-180, 180, 1440, endpoint=False),
        np.linspace(0, 360, 4320, endpoint=False).astype(np.float32),
        -90 + 0.1 * np.arange(1801),
        summed(-9.0, -0.1, 351, -44.0),
        summed(0.0, 0.2500000111188325, 1440, 359.750016),
        np.round(34.75125 - 0.0075 * np.arange(321), 5),
        np.linspace(-89.95, 89.95, 1800).astype(np.float32),
        np.arange(0, 744, dtype=np.int32) * 3600 + 1552608000,
        np.arange(8760, dtype=np.float64) / 24,
        41_000 + np.arange(8760) / 24,
        (np.arange(2160) / 12 - 90 + 1 / 24).astype(np.float32),
        np.full(50, 2**63, np.uint64),
        np.full(2208, "0001"),
        np.array([5, 3, 1, -1], np.int8),
        np.array([1000, 925, 900]),
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


@pytest.mark.parametrize(
    "values", [np.zeros(2, "M8[ns]"), np.zeros(2, np.longdouble), np.array([b"x"]), np.array(["x"], object)]
)
def test_unsupported_dtypes_are_refused(values: NDArray[Any]) -> None:
    with pytest.raises(TypeError):
        encode_array(values)


def test_a_store_appends() -> None:
    store = ArrayStore()
    rng = np.random.default_rng(0)
    formula, first, second = store.add(np.arange(9)), store.add(rng.random(9)), store.add(rng.random(30))
    assert (formula.length, first.offset) == (0, 0)
    assert second.offset == first.length
    assert len(store.getvalue()) == first.length + second.length
    assert store.add_bytes(b"mask") == first.length + second.length


@pytest.mark.parametrize(
    "spec",
    [
        StoredArray("f8", "step", (0, 1)),
        StoredArray("f8", "list", (0,)),
        StoredArray("U999999", "list", ("a",)),
        StoredArray("f8", "delta"),
        StoredArray("U999999", "shuffle"),
    ],
)
def test_absurd_declared_shapes_do_not_allocate(spec: StoredArray) -> None:
    with CORRUPT:
        decode_array(spec, (1 << 40,), b"abc")


@pytest.mark.parametrize(
    "spec",
    [
        StoredArray("f4", "wavelet", (0, 1)),
        StoredArray("f4", "step"),
        StoredArray("f4", "step", (0, 1, 2, 3)),
        StoredArray("f4", "step", ("a",)),
        StoredArray("f4", "span", (0,)),
        StoredArray("f4", "sum", (0,)),
        StoredArray("i4", "step", (0, 0.5)),
        StoredArray("i4", "step", (0, 1, 2)),
        StoredArray("i4", "span", (0, 1)),
        StoredArray("i1", "step", (0, 100)),
        StoredArray("u4", "step", (0, -1)),
        StoredArray("f8", "step", (10**400, 1)),
        StoredArray("f8", "list", (1, 2)),
        StoredArray("f8", "list", (1, 2, "x")),
        StoredArray("i1", "list", (1, 2, 300)),
        StoredArray("i1", "list", (1, 2, 10**400)),
        StoredArray("i4", "list", (1, 2, 2.5)),
        StoredArray("U2", "list", ("a", "b", "abc")),
        StoredArray("U2", "list", ("a", "b", 3)),
        StoredArray("i4", "delta"),
    ],
)
def test_nonsense_descriptions(spec: StoredArray) -> None:
    with CORRUPT:
        decode_array(spec, (3,), b"")


def test_an_array_is_stored_in_one_way() -> None:
    """Bytes that nobody reads could be anything."""
    spec, payload = encode_array(np.random.default_rng(0).random(3))
    decode_array(spec, (3,), payload)
    for strange, data in ((StoredArray("f8", "step", (0, 1)), payload), (replace(spec, values=(0, 1)), payload)):
        with pytest.raises(CorruptArchiveError, match="one too many"):
            decode_array(strange, (3,), data)


def test_truncated_extended_or_flipped_payload() -> None:
    spec, payload = encode_array(np.random.default_rng(0).integers(0, 9, 400))
    for damaged in (payload[:-1], payload + b"\0", b"", payload[: len(payload) // 2]):
        with CORRUPT:
            decode_array(spec, (400,), damaged)
    for position in range(len(payload)):
        flipped = bytearray(payload)
        flipped[position] ^= 0x10
        try:
            assert decode_array(spec, (400,), bytes(flipped)).shape == (400,)
        except CorruptArchiveError:
            continue


def test_deflate_bombs() -> None:
    bomb = deflate(bytes(50_000_000))
    with pytest.raises(CorruptArchiveError, match="1000"):
        inflate(bomb, 1000)
    with pytest.raises(CorruptArchiveError, match="more than the 1000"):
        inflate_first(bomb, 1000)
    with CORRUPT:
        inflate(b"\x03\x00", 1 << 40)
    assert inflate(bomb, 50_000_000) == bytes(50_000_000)
    assert inflate_first(deflate(b"abc", b"preset") + b"rest", 3, b"preset") == (b"abc", b"rest")

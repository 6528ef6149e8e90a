"""Corrections: after them every point is within its allowance, whatever the data."""

from __future__ import annotations

import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.errors import CorruptArchiveError
from nnzip.tile import fixes
from nnzip.tile.corrections import CorrectionsHeader, Wrong, encode_corrections, read_corrections
from nnzip.tile.fixes import MOST_UNITS, Shape

SHAPE = (2, 3, 4, 5)
Values = NDArray[np.float64]
VALUES = hnp.arrays(np.float64, SHAPE, elements=st.floats(-1e30, 1e30, allow_subnormal=False))


def encoded(original: Values, decoded: Values, allowance: Values, bound: float) -> tuple[bytes, Values]:
    """The payload that leaves at most `allowance` of error, and the corrected values."""
    return within(original, decoded, *limits(original, allowance), bound)


def limits(original: Values, allowance: Values) -> tuple[Values, Values]:
    """At most `allowance` from `original`, a rounding less."""
    return np.nextafter(original - allowance, original), np.nextafter(original + allowance, original)


def within(
    original: Values, decoded: Values, low: Values, high: Values, bound: float, guard: float = 0.0
) -> tuple[bytes, Values]:
    """The payload, given channel by channel, and the corrected values."""
    parts, size = [], original[0].size
    for channel in range(len(original)):
        wanted, found, least, most = (array[channel].ravel() for array in (original, decoded, low, high))
        places = np.arange(channel * size, (channel + 1) * size)
        parts.append(Wrong.of(places, wanted, found, least, most, guard))
    data = encode_corrections(parts, bound, shape_of(original))
    return data, corrected(data, decoded)


def shape_of(values: Values) -> Shape:
    channels, times, rows, columns = values.shape
    return channels, times, rows, columns


def corrected(data: bytes, decoded: Values) -> Values:
    values = decoded.copy()
    half = values[: len(values) // 2], values[len(values) // 2 :]  # corrected piece by piece
    for part, first in zip(half, (0, half[0].size), strict=True):
        read_corrections(data, shape_of(values)).apply(part, first)
    return values


@settings(max_examples=60, deadline=None)
@given(VALUES, st.floats(1e-6, 1e3), st.integers(0, 2**32 - 1))
def test_every_point_is_within_its_allowance(original: np.ndarray, bound: float, seed: int) -> None:
    decoded = original + np.random.default_rng(seed).normal(scale=2 * bound, size=SHAPE)
    allowance = np.full(SHAPE, bound) * np.random.default_rng(seed).choice([1.0, 0.1], size=SHAPE)
    _, fixed = encoded(original, decoded, allowance, bound)
    assert (np.abs(original - fixed) <= allowance).all()
    low, high = limits(original, allowance)
    same = (decoded >= low) & (decoded <= high)
    np.testing.assert_array_equal(fixed[same], decoded[same])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01]), st.sampled_from([0.0, 0.3, 1.0]))
def test_intervals_of_any_width_are_reached(seed: int, guard: float, tight: float) -> None:
    generator = np.random.default_rng(seed)
    original = generator.normal(size=SHAPE)
    decoded = original + generator.normal(scale=0.7, size=SHAPE)
    tolerance = np.where(generator.random(SHAPE) < tight, generator.choice([1e-9, 0.02, 0.1, 0.5], SHAPE), 1.0)
    low, high = original - tolerance, original + tolerance
    one_sided = generator.random(SHAPE)
    low = np.where(one_sided < 0.1, original, np.where(one_sided < 0.15, -np.inf, low))
    high = np.where(one_sided > 0.9, original, high)
    _, fixed = within(original, decoded, low, high, 1.0, guard)
    assert ((fixed >= low) & (fixed <= high)).all()
    stored = fixed == original
    assert (((fixed >= low + guard) & (fixed <= high - guard)) | stored).all()
    untouched = (decoded >= low + guard) & (decoded <= high - guard)
    np.testing.assert_array_equal(fixed[untouched], decoded[untouched])


def test_tight_intervals_cost_about_their_entropy() -> None:
    generator = np.random.default_rng(5)
    shape = (1, 20, 100, 100)
    original = np.zeros(shape)
    decoded = generator.uniform(-0.95, 0.95, shape)
    tolerance = np.where(generator.random(shape) < 0.02, 0.1, 1.0)
    data, fixed = within(original, decoded, -tolerance, tolerance, 1.0)
    assert (np.abs(fixed) <= tolerance).all()
    share = 0.02 * 0.9  # of the points are off by more than a tenth, each in one of ten intervals
    entropy = original.size * (-share * np.log2(share) - (1 - share) * np.log2(1 - share) + share * np.log2(10)) / 8
    assert len(data) < 1.1 * entropy + 60


def test_nothing_to_correct_costs_nothing() -> None:
    original = np.ones(SHAPE)
    data, fixed = encoded(original, original + 0.5, np.ones(SHAPE), 1.0)
    assert data == b""
    np.testing.assert_array_equal(fixed, original + 0.5)


def test_missing_points_are_left_alone() -> None:
    original = np.ones(SHAPE)
    original[0, 0] = np.nan
    data, fixed = encoded(original, np.full(SHAPE, 9.0), np.ones(SHAPE), 1.0)
    assert (fixed[0, 0] == 9.0).all()
    assert np.abs(fixed[1:] - 1).max() <= 1
    assert data


def test_spikes_are_stored_exactly() -> None:
    original = np.zeros(SHAPE)
    original[1, 2, 3, 4] = 1e30
    data, fixed = encoded(original, np.zeros(SHAPE), np.full(SHAPE, 1e-30), 1e-30)
    np.testing.assert_array_equal(fixed, original)
    assert len(data) < 100


def test_sparse_corrections_cost_about_their_entropy() -> None:
    generator = np.random.default_rng(3)
    original = np.zeros((1, 20, 100, 100))
    decoded = original + 1.2 * (generator.random(original.shape) < 0.02) * generator.choice([-1, 1], original.shape)
    data, _ = encoded(original, decoded, np.ones(original.shape), 1.0)
    entropy = original.size * (-0.02 * np.log2(0.02) - 0.98 * np.log2(0.98) + 0.02) / 8
    assert len(data) < 1.08 * entropy + 60


def test_clustered_fixes_cost_less_than_their_gaps() -> None:
    generator = np.random.default_rng(6)
    shape = (24, 40, 40)
    places = np.broadcast_to(generator.random((40, 40)) < 0.03, (2, *shape))  # at the same places for long
    positions = np.flatnonzero(places & (generator.random(places.shape) < 0.7))
    points = positions, generator.choice([-1, 1], positions.size)
    coding, data = fixes.encode_fixes(points, (2, *shape), None)
    assert coding.cap > 0
    assert len(data) < 0.9 * len(fixes._encode_gaps(points)[1])
    assert fixes.encode_fixes(points, (2, *shape), None, quick=True)[0].cap == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.001, 0.05, 0.9]), st.sampled_from([1, 3, MOST_UNITS]))
def test_every_coding_of_fixes_is_inverted(seed: int, density: float, most: int) -> None:
    generator = np.random.default_rng(seed)
    shape = (2, 5, 7, 11)
    positions = np.flatnonzero(generator.random(2 * 5 * 7 * 11) < density)
    multiples = generator.integers(1, most + 1, positions.size) * generator.choice([-1, 1], positions.size)
    for cap in (0, 1, 2, MOST_UNITS):
        coded = (
            fixes._encode_volumes((positions, multiples), shape, cap, 1 << 20, None)
            if cap
            else fixes._encode_gaps((positions, multiples))
        )
        assert coded is not None
        found = fixes.decode_fixes(coded[0], positions.size, coded[1], shape, None)
        np.testing.assert_array_equal(found[0], positions)
        np.testing.assert_array_equal(found[1], multiples)


def test_volumes_that_would_take_more_bytes_are_not_coded() -> None:
    points, shape = (np.arange(0, 4000, 40), np.ones(100, dtype=np.int64)), (1, 4, 50, 20)
    coded = fixes._encode_volumes(points, shape, 1, 1 << 20, None)
    assert coded is not None
    size = len(coded[1])
    assert fixes._encode_volumes(points, shape, 1, size + 4, None) is not None
    assert fixes._encode_volumes(points, shape, 1, size // 2, None) is None


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_damage_is_reported(scale: float) -> None:
    generator = np.random.default_rng(4)
    original = np.zeros((1, 4, 50, 50))
    decoded = generator.normal(scale=scale, size=original.shape)  # few corrections, and many
    data, _ = encoded(original, decoded, np.ones(original.shape), 1.0)
    with pytest.raises(CorruptArchiveError):
        corrected(data[:-5], decoded)
    with pytest.raises(CorruptArchiveError, match="header"):
        corrected(b"\x05\0zzzzz", decoded)
    with pytest.raises(CorruptArchiveError):
        corrected(data, decoded[:, :1])


def altered(data: bytes, **changes: int) -> bytes:
    """A payload of one block with other numbers in its header."""
    length = int.from_bytes(data[:2], "little")
    header = msgspec.msgpack.decode(data[2 : 2 + length], type=CorrectionsHeader)
    encoded = msgspec.msgpack.encode(msgspec.structs.replace(header, **changes))
    return len(encoded).to_bytes(2, "little") + encoded + data[2 + length :]


@pytest.mark.parametrize(
    "changes",
    [
        {"fixes": 250_000, "symbols": 250_000, "low_bits": 40},
        {"literals": 250_000, "literal_bits": 41},
        {"low_bits": 40},
        {"table": 71},
        {"fix_bytes": 1 << 60},
        {"fix_bytes": -5},
    ],
    ids=str,
)
def test_numbers_that_the_data_contradict_take_no_memory(changes: dict[str, int]) -> None:
    original = np.zeros((1, 1, 500, 500))
    decoded = np.where(np.random.default_rng(1).random(original.shape) < 0.001, 1.2, 0.0)
    data, _ = encoded(original, decoded, np.ones(original.shape), 1.0)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptArchiveError):
            corrected(altered(data, **changes), decoded)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * decoded.nbytes


@pytest.mark.parametrize("value", [1.2, 1e9], ids=["fixes", "literals"])
def test_a_point_is_corrected_once(value: float) -> None:
    original = np.zeros((1, 1, 50, 50))
    decoded = np.where(np.random.default_rng(1).random(original.shape) < 0.01, value, 0.0)
    data, _ = encoded(original, decoded, np.ones(original.shape), 1.0)
    corrected(data, decoded)
    with pytest.raises(CorruptArchiveError, match="twice"):
        corrected(data + data, decoded)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_positions_beyond_the_tile_are_reported(low_bits: int, seed: int) -> None:
    """Gaps so large that their sums run over: some positions in between lie anywhere."""
    generator = np.random.default_rng(seed)
    symbols = generator.integers(-(2**31), 2**31 - 1, 6).astype(np.int32)
    tables = np.zeros(1, dtype=np.int64)
    stream = entropy.encode_chunks(
        [
            ((tables - 60).astype(np.int32), np.full(1, 46, np.uint8)),
            (symbols, np.zeros(6, np.uint8)),
            (np.zeros(6, np.int32), np.zeros(6, np.uint8)),
        ]
    )
    body = generator.bytes(-(-6 * low_bits // 8)) + generator.bytes(1) + stream
    header = CorrectionsHeader(1.0, 6, len(body), 0, 1, 0, 6, low_bits, 0, 0)
    head = msgspec.msgpack.encode(header)
    with pytest.raises(CorruptArchiveError):
        corrected(len(head).to_bytes(2, "little") + head + body, np.zeros(SHAPE))

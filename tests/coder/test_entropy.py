from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nnzip.coder import entropy
from nnzip.errors import CorruptArchiveError


def laplace(scale: float, size: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.rint(np.random.default_rng(7).laplace(0, scale, size)).astype(np.int32)


def constant(table: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.full(size, table, np.uint8)


def test_tables_are_complete_distributions_and_never_change() -> None:
    digest = hashlib.sha256()
    for table in range(entropy.TABLES):
        *inside, escape = entropy.frequencies(table)
        assert min(*inside, escape) >= 1
        assert inside[0] + 2 * sum(inside[1:]) + escape == 1 << 24
        digest.update(repr(entropy.frequencies(table)).encode())
    assert digest.hexdigest()[:16] == "0fc0dd45ec22f40b"


def test_tables_span_narrow_to_wide() -> None:
    zero = [entropy.frequencies(table)[0] / 2**24 for table in range(entropy.TABLES)]
    assert zero[0] > 0.999
    assert zero[-1] < 0.005
    assert all(np.diff(zero) < 0)


def test_the_coder_uses_exactly_our_frequencies() -> None:
    """Were constriction to round a frequency, the size of a stream of that symbol alone would not follow from it."""
    for table in (0, 33, 71):
        *inside, _ = entropy.frequencies(table)
        for magnitude in (0, 1, len(inside) - 1):
            symbols = np.full(40_000, magnitude, np.int32)
            expected = symbols.size * (24 - np.log2(inside[magnitude])) / 8
            size = len(entropy.encode(symbols, constant(table, symbols.size)))
            assert size == pytest.approx(expected, rel=1e-4, abs=5)


def test_weights_are_exact_whatever_the_float_type_and_construction() -> None:
    from constriction import stream

    *inside, escape = entropy.frequencies(50)
    weights = np.array([*inside[:0:-1], *inside, escape], np.float64) - 1
    symbols = np.random.default_rng(1).integers(0, weights.size, 5000).astype(np.int32)
    streams = set()
    for dtype in (np.float32, np.float64):
        for lazy in (False, True):
            model = stream.model.Categorical(weights.astype(dtype), lazy=lazy, perfect=False)
            coder = stream.stack.AnsCoder()
            coder.encode_reverse(symbols, model)
            streams.add(coder.get_compressed().tobytes())
    assert len(streams) == 1


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        np.int32, st.integers(0, 60), elements=st.one_of(st.integers(-20, 20), st.integers(-(2**31), 2**31 - 1))
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_int32_under_any_table_round_trips(symbols: np.ndarray[tuple[int], np.dtype[np.int32]], seed: int) -> None:
    tables = np.random.default_rng(seed).integers(0, entropy.TABLES, symbols.size).astype(np.uint8)
    np.testing.assert_array_equal(entropy.decode(entropy.encode(symbols, tables), tables), symbols)


def test_shape_is_kept_and_nothing_costs_one_byte() -> None:
    symbols = laplace(2, 24).reshape(2, 3, 4)
    tables = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    decoded = entropy.decode(entropy.encode(symbols, tables), tables)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, symbols)
    empty = np.zeros(0, np.int32)
    assert len(entropy.encode(empty, constant(0, 0))) == 1
    assert entropy.decode(entropy.encode(empty, constant(0, 0)), constant(0, 0)).shape == (0,)


@pytest.mark.parametrize("scale", [0.1, 0.5, 3, 40, 100])
def test_estimate_is_within_one_per_cent_of_the_size_and_near_the_entropy(scale: float) -> None:
    symbols = laplace(scale, 50_000)
    tables = constant(entropy.best_table(symbols), symbols.size)
    size = 8 * len(entropy.encode(symbols, tables))
    assert size == pytest.approx(entropy.estimate_bits(symbols, tables), rel=0.01)
    share = np.unique(symbols, return_counts=True)[1] / symbols.size
    assert size < 1.01 * symbols.size * -(share * np.log2(share)).sum()


def test_best_table_is_the_cheapest() -> None:
    symbols = laplace(5, 3000)
    sizes = [len(entropy.encode(symbols, constant(table, symbols.size))) for table in range(entropy.TABLES)]
    assert sizes[entropy.best_table(symbols)] <= min(sizes) + 1


def test_chunks_whose_tables_depend_on_earlier_symbols() -> None:
    first, second = laplace(1, 500), laplace(9, 500)
    later = np.minimum(np.abs(first) * 10, 71).astype(np.uint8)
    decoder = entropy.SymbolDecoder(entropy.encode_chunks([(first, constant(40, 500)), (second, later)]))
    head = decoder.decode(constant(40, 500))
    np.testing.assert_array_equal(head, first)
    np.testing.assert_array_equal(decoder.decode(np.minimum(np.abs(head) * 10, 71).astype(np.uint8)), second)
    decoder.finish()


def test_truncated_stream() -> None:
    symbols = laplace(3, 2000)
    tables = constant(46, symbols.size)
    data = entropy.encode(symbols, tables)
    for length in range(len(data)):
        with pytest.raises(CorruptArchiveError):
            entropy.decode(data[:length], tables)


def test_flipped_bits_are_nearly_always_noticed() -> None:
    symbols = laplace(3, 300)
    tables = constant(46, symbols.size)
    data = entropy.encode(symbols, tables)
    noticed = 0
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        try:
            decoded = entropy.decode(bytes(damaged), tables)
        except CorruptArchiveError:
            noticed += 1
        else:
            assert decoded.shape == symbols.shape
    assert noticed > 0.9 * len(data)


def test_unknown_table() -> None:
    with pytest.raises(CorruptArchiveError, match="table 72"):
        entropy.decode(b"\1", constant(72, 3))
    with pytest.raises(ValueError, match=r"table 72|number outside its range"):  # numpy, native kernel
        entropy.encode(np.zeros(3, np.int32), constant(72, 3))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, entropy.TABLES - 1))
def test_arbitrary_bytes_never_do_worse_than_an_error(data: bytes, count: int, table: int) -> None:
    try:
        decoded = entropy.decode(data, constant(table, count))
    except CorruptArchiveError:
        return
    assert decoded.shape == (count,)


def test_tables_are_shared_between_threads() -> None:
    symbols = laplace(3, 20_000)
    tables = constant(46, symbols.size)
    data = entropy.encode(symbols, tables)
    with ThreadPoolExecutor(4) as pool:
        for decoded in pool.map(lambda _: entropy.decode(data, tables), range(12)):
            np.testing.assert_array_equal(decoded, symbols)

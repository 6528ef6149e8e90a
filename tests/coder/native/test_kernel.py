"""The native kernel's tables and coded streams are those of `entropy`, on every path; what it is given is checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder import entropy
from nnzip.coder.bands import wavelet_bands
from nnzip.coder.contexts import Counts
from nnzip.coder.native.kernel import Decoder, Encoder, Kernel, shipped_kernel
from nnzip.coder.native.library import CHOICE, NUMPY, chosen_path, paths
from nnzip.coder.native.volume import Planned, Volumes
from nnzip.coder.rounding import Rounding
from nnzip.errors import CorruptArchiveError
from tests.support.kernel_examples import EXTREMES, WAYS, by


def kernel(path: str = "plain") -> Kernel:
    with by(path):
        found = shipped_kernel()
    assert found is not None
    return found


@st.composite
def chunks(draw: st.DrawFn) -> list[entropy.Chunk]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found: list[entropy.Chunk] = []
    for kind in draw(st.lists(st.sampled_from("smp"), min_size=1, max_size=6)):
        count = draw(st.integers(0, 300))
        tables = rng.integers(0, entropy.TABLES, count).astype(np.uint8)
        symbols = np.rint(rng.laplace(0, draw(st.sampled_from((0.1, 3.0, 3000.0))), count)).astype(np.int32)
        wild = rng.random(count) < 0.05
        symbols[wild] = rng.choice(EXTREMES, int(wild.sum()))
        if kind == "s":
            found.append((symbols, tables))
        elif kind == "m":
            found.append(entropy.Magnitudes(np.abs(symbols.astype(np.int64)) * int(rng.integers(1, 3)), tables))
        else:
            found.append(entropy.Signs(symbols > 0, rng.integers(0, entropy.SIGN_CLASSES, count).astype(np.uint8)))
    return found


@given(chunks())
@settings(max_examples=100, deadline=None)
def test_streams_are_the_same(coded: list[entropy.Chunk]) -> None:
    streams = set()
    for way in WAYS:
        with by(way):
            streams.add(entropy.encode_chunks(coded))
    assert len(streams) == 1
    for way in WAYS:
        with by(way):
            decoder = entropy.SymbolDecoder(next(iter(streams)))
            for chunk in coded:
                if isinstance(chunk, entropy.Magnitudes):
                    np.testing.assert_array_equal(decoder.decode_magnitudes(chunk.tables), chunk.values)
                elif isinstance(chunk, entropy.Signs):
                    np.testing.assert_array_equal(decoder.decode_signs(chunk.classes), chunk.positive)
                else:
                    np.testing.assert_array_equal(decoder.decode(chunk[1]), chunk[0])
            decoder.finish()


@pytest.mark.parametrize("table", range(entropy.TABLES))
def test_tables_are_the_same(table: int) -> None:
    assert kernel().frequencies(table) == entropy.frequencies(table)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_alike(data: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, entropy.TABLES, 200).astype(np.uint8)
    results = set[object]()
    for way in WAYS:
        with by(way):
            try:
                decoder = entropy.SymbolDecoder(data)
                found = decoder.decode_magnitudes(tables).tobytes(), decoder.decode_signs(tables % 25).tobytes()
                results.add((*found, decoder.decode(tables).tobytes()))
            except CorruptArchiveError as problem:
                results.add((str(problem),))
    assert len(results) == 1


def test_the_choice_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, NUMPY)
    assert shipped_kernel() is None
    monkeypatch.delenv(CHOICE)
    assert chosen_path() == paths()[-1]
    monkeypatch.setenv(CHOICE, "abacus")
    with pytest.raises(ValueError, match="NNZIP_KERNEL=abacus is not there; this machine has numpy, plain"):
        chosen_path()


def test_wrong_numbers_are_refused() -> None:
    encoder = Encoder(kernel())
    one, many = np.ones(1, dtype=np.int32), np.full(1, 72, dtype=np.uint8)
    with pytest.raises(ValueError, match="table 72"):
        encoder.push(one, many, both_signs=False)
    for symbols, tables in ((-one, many - 1), (one.astype(np.int64) << 40, many - 1)):
        with pytest.raises(ValueError, match="outside its range"):
            encoder.push(symbols, tables, both_signs=False)
    with pytest.raises(ValueError, match="1 symbols with 2 tables"):
        encoder.push(one, np.zeros(2, dtype=np.uint8), both_signs=True)
    with pytest.raises(ValueError, match="outside its range"):
        encoder.push_signs(np.ones(1, dtype=np.bool_), np.full(1, 25, dtype=np.uint8))
    assert encoder.to_bytes() == b"\x01"
    decoder = Decoder(kernel(), b"\x01")
    with pytest.raises(ValueError, match="outside its range"):
        decoder.pop(many, both_signs=False)
    with pytest.raises(ValueError, match="outside its range"):
        decoder.pop_signs(np.full(1, 25, dtype=np.uint8))
    assert decoder.finished


def test_wrong_arrays_are_refused() -> None:
    shape = (2, 3, 4)
    volumes = Volumes(kernel(), shape, wavelet_bands(shape, (0, 0, 0)))
    values = np.ones(shape, dtype=np.int32)
    offsets, tables = np.zeros(shape, dtype=np.int16), np.zeros(shape, dtype=np.uint8)
    counts = vars(Counts.none(1))
    wrongs: list[Any] = [values.astype(np.int64), values[:1], np.asfortranarray(values)]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="contiguous int32"):
            volumes.plan(Planned(wrong, offsets, tables, tables.copy()), None, **counts)
    planned = Planned(values, offsets, tables, tables.copy())
    for band in (-1, 1):
        with pytest.raises(ValueError, match="outside its range"):
            volumes.push(Encoder(kernel()), band, planned, np.zeros(72, np.uint8), np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="contiguous int64"):
        volumes.plan(planned, None, **{**counts, "heard": np.zeros((72, 1023), np.int64)})
    with pytest.raises(ValueError, match="contiguous float32"):
        volumes.plan(planned, None, **counts, rounding=Rounding(np.zeros(shape), 1.0))  # type: ignore[arg-type]
    volumes.plan(planned, None, **counts)
    with pytest.raises(ValueError, match="outside its range"):  # a volume is planned once
        volumes.plan(planned, None, **counts)
    with pytest.raises(ValueError, match=r"\(71,\) tables"):
        volumes.pop(Decoder(kernel(), b"\x01"), 0, 0, values, None, np.zeros(71, np.uint8), np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="outside its range"):  # there is one volume
        volumes.pop(Decoder(kernel(), b"\x01"), 1, 0, values, None, np.zeros(72, np.uint8), np.zeros(2, np.uint8))

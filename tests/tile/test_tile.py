"""One tile and back: what its goal says holds at every point, whatever the shape, the values and what is missing."""

from __future__ import annotations

import pickle
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numcodecs import Blosc

from nnzip.coder.native.library import CHOICE, NUMPY
from nnzip.errors import CorruptArchiveError
from nnzip.plan.goals import rounding
from nnzip.promises.constraints import SameSide
from nnzip.promises.goals import BoxPromised
from nnzip.tile import header as kinds
from nnzip.tile.decode import decode_preview, decode_tile, preview_size
from nnzip.tile.encode import Goal, Rmse, Size, encode_tile
from nnzip.tile.exact import encode_exact
from nnzip.tile.header import Shape, pack, unpack
from tests.support.tile_examples import KINDS, MISSING, SHAPES, Values, bounded, scaling, values_of, with_missing

TYPES = st.sampled_from(("float32", "float64"))


def decoded(data: bytes, values: Values) -> Values:
    found = decode_tile(data, shape_of(values))
    assert found.dtype == values.dtype
    assert found.shape == values.shape
    return found


def shape_of(values: Values) -> Shape:
    channels, times, rows, columns = values.shape
    return channels, times, rows, columns


def errors(found: Values, values: Values) -> Values:
    """At the points that are not missing [point], float64."""
    known = np.isfinite(values)
    return np.abs(found[known].astype(np.float64) - values[known].astype(np.float64))


def exact_goal(values: Values) -> BoxPromised:
    return BoxPromised(0.0, (0.0,) * len(values), str(values.dtype))


@given(
    SHAPES,
    st.sampled_from(KINDS),
    st.sampled_from(MISSING),
    TYPES,
    st.sampled_from((1e-6, 1e-3, 0.02, 0.3, 2.0)),
    st.booleans(),
)
@example((8, 5, 2, 2), "denormal", "nothing", "float64", 1e-6, True)
@example((1, 1, 1, 1), "huge", "nothing", "float32", 1e-3, False)
@example((37, 1, 5, 6), "offset", "cells", "float64", 1e-3, False)
@settings(max_examples=16, deadline=None)
def test_a_bound_holds(shape: Shape, kind: str, missing: str, dtype: str, share: float, periodic: bool) -> None:
    values = with_missing(values_of(kind, shape, dtype), missing)
    goal = bounded(values, share)
    coded = encode_tile(values, goal, dtype, periodic=periodic)
    assert errors(decoded(coded.data, values), values).max(initial=0.0) <= goal.bound
    assert coded.promised == 0


@given(
    SHAPES, st.sampled_from(("smooth", "noise", "steps", "rain", "packed")), st.sampled_from(MISSING[:4]), TYPES,
    st.sampled_from((">", ">=", "<", "<=")), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=5, deadline=None)
def test_a_bound_and_promises_hold_together(
    shape: Shape, kind: str, missing: str, dtype: str, comparison: str, seed: int
) -> None:
    """Thresholds at values of the data, where they are hardest to keep; `goal.check` counts by other arithmetic."""
    values = with_missing(values_of(kind, shape, dtype, seed), missing, seed)
    known = values[np.isfinite(values)]
    if not known.size:
        return
    thresholds = known[seed % known.size].item(), float(np.median(known))
    constraints = {str(number): SameSide(comparison, limit, dtype) for number, limit in enumerate(thresholds)}
    goal = replace(bounded(values, 0.1), constraints=constraints)
    coded = encode_tile(values, goal, dtype)
    found = decoded(coded.data, values).astype(np.float64)
    assert errors(found, values).max() <= goal.bound
    found[np.isnan(values)] = np.nan
    assert [kept.violations for kept in goal.check(values.astype(np.float64), found)] == [0, 0]


@given(SHAPES, st.sampled_from(KINDS), st.sampled_from(MISSING), TYPES)
@settings(max_examples=25, deadline=None)
def test_exact_is_exact_bit_by_bit(shape: Shape, kind: str, missing: str, dtype: str) -> None:
    values = with_missing(values_of(kind, shape, dtype), missing)
    if values.size > 1:
        values.flat[0] = -0.0
    known = np.isfinite(values)
    found = decoded(encode_tile(values, exact_goal(values), dtype).data, values)
    assert found[known].tobytes() == values[known].tobytes()


@given(
    SHAPES, st.sampled_from(KINDS), st.sampled_from(MISSING), TYPES, st.sampled_from((30, 100, 300, 3000)),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_a_size_is_never_exceeded(shape: Shape, kind: str, missing: str, dtype: str, size: int, periodic: bool) -> None:
    """Beyond the smallest tile, in which another order of the axes may take some bytes more."""
    values = with_missing(values_of(kind, shape, dtype), missing)
    smallest = encode_tile(values, Size(1.0, scaling(values)), dtype, periodic=periodic).data
    coded = encode_tile(values, Size(size, scaling(values)), dtype, periodic=periodic).data
    assert len(coded) <= max(size, len(smallest) + 8)
    decoded(coded, values)


def test_a_size_is_filled() -> None:
    values = values_of("smooth", (2, 6, 16, 18)) + values_of("noise", (2, 6, 16, 18))
    for size in (500, 1500):
        assert 0.97 * size < len(encode_tile(values, Size(size, scaling(values)), "float32").data) <= size


@given(SHAPES, st.sampled_from(KINDS), st.sampled_from(MISSING), TYPES, st.sampled_from((1e-6, 1e-3, 0.05, 1.0)))
@example((8, 5, 2, 2), "denormal", "nothing", "float64", 1e-6)
@settings(max_examples=8, deadline=None)
def test_an_rmse_is_met(shape: Shape, kind: str, missing: str, dtype: str, share: float) -> None:
    values = with_missing(values_of(kind, shape, dtype), missing)
    known = values[np.isfinite(values)].astype(np.float64)
    spread, largest = (float(np.ptp(known)), float(np.abs(known).max())) if known.size else (0.0, 0.0)
    goal = max(share * spread, 2 * rounding(largest, "float32"))  # the smallest that is taken (nnzip.plan.goals)
    weights = np.linspace(0.5, 1.5, shape[2])
    data = encode_tile(values, Rmse(goal, weights, scaling(values)), dtype).data
    relative = errors(decoded(data, values), values) / goal
    shares = np.broadcast_to(weights[:, None], shape)[np.isfinite(values)]
    assert (np.square(relative) @ shares) ** 0.5 <= max(shares.sum(), 1e-300) ** 0.5 * (1 + 1e-6)


def test_each_coding_is_taken_where_it_is_best() -> None:
    shape = (1, 6, 16, 18)
    noisy = np.rint(40 * values_of("noise", shape)) / 4
    cases = {kinds.CONSTANT: ("constant", 0.01), kinds.WAVELET: ("smooth", 0.01)}
    for coding, (kind, share) in cases.items():
        values = values_of(kind, shape)
        assert unpack(encode_tile(values, bounded(values, share), "float32").data).header.coding == coding
    goal = BoxPromised(0.13, (1e-4,), "float32")
    assert unpack(encode_tile(noisy, goal, "float32").data).header.coding == kinds.INTERPOLATION


# --- previews -------------------------------------------------------------------------------------------------------

MAP = (2, 3, 33, 50)


def coded_examples() -> dict[str, tuple[Values, bytes]]:
    """A tile of every coding."""
    smooth, rough = values_of("smooth", MAP), np.rint(8 * values_of("noise", MAP)) / 4 + values_of("smooth", MAP)
    constant = values_of("constant", MAP)
    goals: dict[str, tuple[Values, Goal]] = {
        "constant": (constant, bounded(constant, 0.01)),
        "wavelet": (smooth, bounded(smooth, 0.01)),
        "size": (smooth, Size(700.0, scaling(smooth))),
        "interpolation": (rough, BoxPromised(0.13, (1e-4,) * 2, "float32")),
        "exact": (smooth, exact_goal(smooth)),
    }
    return {name: (values, encode_tile(values, goal, "float32").data) for name, (values, goal) in goals.items()}


@pytest.fixture(scope="module")
def examples() -> dict[str, tuple[Values, bytes]]:
    return coded_examples()


@pytest.mark.parametrize("name", ["constant", "wavelet", "size", "interpolation", "exact"])
@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_a_preview_is_the_thinned_tile(name: str, halvings: int, examples: dict[str, tuple[Values, bytes]]) -> None:
    """From the first bytes alone, as the glance at the header says; smoothed, so within a share of what varies."""
    values, data = examples[name]
    needed = preview_size(data[:4096], halvings)
    found = decode_preview(data[:needed], MAP, halvings)
    every = 1 << halvings
    thinned = decode_tile(data, MAP)[:, :, ::every, ::every]
    assert found.shape == thinned.shape
    assert found.dtype == thinned.dtype
    away = float(np.sqrt(np.square(found - thinned, dtype=np.float64).mean()))
    if name in ("constant", "exact"):
        np.testing.assert_array_equal(found, thinned)
    else:
        smoothed = (0.02, 0.06, 0.15)[halvings - 1] if name != "interpolation" else 0.6
        assert away < smoothed * float(values.std())
        assert needed < preview_size(data, halvings - 1) <= len(data)
    with pytest.raises(CorruptArchiveError):
        decode_preview(data[: min(needed, len(data)) - 1], MAP, halvings)


@given(SHAPES, st.sampled_from(KINDS), st.booleans(), st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_previews_of_any_shape(shape: Shape, kind: str, to_size: bool, halvings: int) -> None:
    values = values_of(kind, shape)
    goal: Goal = Size(200.0, scaling(values)) if to_size else bounded(values, 0.05)
    data = encode_tile(values, goal, "float32").data
    found = decode_preview(data[: preview_size(data, halvings)], shape, halvings)
    assert found.shape == values[:, :, :: 1 << halvings, :: 1 << halvings].shape
    assert np.isfinite(found).all()


# --- wherever and in whatever order ---------------------------------------------------------------------------------


def test_threads_processes_and_pickles_give_the_same_bits(examples: dict[str, tuple[Values, bytes]]) -> None:
    names = list(examples)
    here = {name: decode_tile(examples[name][1], MAP).tobytes() for name in names}
    smooth = examples["wavelet"][0]
    goals: list[Goal] = [bounded(smooth, 0.01), Size(700.0, scaling(smooth))]
    goals = pickle.loads(pickle.dumps(goals))
    with ThreadPoolExecutor(4) as threads:
        order = names[::-1] * 3
        found = threads.map(lambda name: decode_tile(examples[name][1], MAP).tobytes(), order)
        assert [here[name] for name in order] == list(found)
        coded = list(threads.map(lambda goal: encode_tile(smooth, goal, "float32").data, goals))
    assert coded == [examples["wavelet"][1], examples["size"][1]]
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        assert process.submit(encode_tile, smooth, goals[0], "float32").result().data == examples["wavelet"][1]
        for name in names:
            assert process.submit(decode_tile, examples[name][1], MAP).result().tobytes() == here[name]


def test_the_native_kernel_and_numpy_give_the_same_bits(
    examples: dict[str, tuple[Values, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOICE, NUMPY)
    values, data = examples["size"]
    assert encode_tile(values, Size(700.0, scaling(values)), "float32").data == data
    for _, each in examples.values():
        monkeypatch.setenv(CHOICE, NUMPY)
        in_numpy = decode_tile(each, MAP)
        monkeypatch.delenv(CHOICE)
        np.testing.assert_array_equal(decode_tile(each, MAP), in_numpy)


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["constant", "wavelet", "size", "interpolation", "exact"])
def test_damage_is_an_error_or_other_values(name: str, examples: dict[str, tuple[Values, bytes]]) -> None:
    """No other exception, and no memory beyond a few tiles; that nothing wrong is believed is for the checksums."""
    values, data = examples[name]
    rng = np.random.default_rng(0)
    decode_tile(data, MAP)  # tables are made once
    attacks = [data[: int(length)] for length in rng.integers(0, len(data), 8)]
    for places in (min(len(data), 60), len(data)):
        for _ in range(12):
            damaged = bytearray(data)
            damaged[int(rng.integers(places))] = int(rng.integers(256))
            attacks.append(bytes(damaged))
    tracemalloc.start()
    try:
        for attack in attacks:
            for decode in (decode_tile, lambda some, shape: decode_preview(some, shape, 1)):
                try:
                    assert decode(attack, MAP).shape[:2] == MAP[:2]
                except CorruptArchiveError:
                    continue
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000 + 40 * values.nbytes


def test_another_shape_is_an_error(examples: dict[str, tuple[Values, bytes]]) -> None:
    for _, data in examples.values():
        with pytest.raises(CorruptArchiveError, match="shape"):
            decode_tile(data, (3, 2, 33, 50))


def test_signalling_nan_is_an_error_and_no_warning(examples: dict[str, tuple[Values, bytes]]) -> None:
    header, signal = unpack(examples["constant"][1]).header, bytes.fromhex("0000a07f")
    for changes in ({"means": 3 * signal}, {"scales": 3 * signal}, {"limits": 2 * signal}, {"rows": 2 * signal}):
        channels = header.shape[0]
        fitting = {key: value if key in ("limits", "rows") else signal * channels for key, value in changes.items()}
        with pytest.raises(CorruptArchiveError, match="finite"):
            decode_tile(pack(msgspec.structs.replace(header, **fitting), (), b""), header.shape)


def test_the_largest_numbers_are_exact_beside_missing_points() -> None:
    values = np.full((1, 1, 5, 7), 3.4e38, np.float32)
    values[0, 0, 1:3, 2:5] = np.nan
    data = encode_exact(values, "float32")
    np.testing.assert_array_equal(decode_tile(data, (1, 1, 5, 7))[~np.isnan(values)], values[~np.isnan(values)])


def test_streams_and_limits_are_those_of_the_coding(examples: dict[str, tuple[Values, bytes]]) -> None:
    wavelet, constant = (unpack(examples[name][1]) for name in ("wavelet", "constant"))
    limits = wavelet.header.limits[4:] + wavelet.header.limits[:4]
    for damaged, message in (
        (pack(wavelet.header, (), b""), "it has 0 streams"),
        (pack(wavelet.header, wavelet.streams[:2], b""), "it has 2 streams"),
        (pack(constant.header, wavelet.streams, b""), "it has 4 streams"),
        (pack(msgspec.structs.replace(wavelet.header, limits=limits), wavelet.streams, b""), "limits"),
        (pack(msgspec.structs.replace(constant.header, cycle=bytes(25), shifts=(0,) * 4), (), b""), "cycle"),
    ):
        with pytest.raises(CorruptArchiveError, match=message):
            decode_tile(damaged, MAP)


@pytest.mark.parametrize("place", [4, 12])
def test_sizes_inside_exact_values_are_not_believed(place: int, examples: dict[str, tuple[Values, bytes]]) -> None:
    """Blosc reads and writes as far as its own header says."""
    _, data = examples["exact"]
    start = len(data) - len(unpack(data).corrections)
    for declared in (0, 15, 1 << 30, (1 << 32) - 1):
        damaged = bytearray(data)
        damaged[start + place : start + place + 4] = declared.to_bytes(4, "little")
        with pytest.raises(CorruptArchiveError, match="exact values"):
            decode_tile(bytes(damaged), MAP)


@pytest.mark.parametrize(
    "codec",
    [Blosc("lz4", shuffle=Blosc.BITSHUFFLE), Blosc("zstd", shuffle=Blosc.SHUFFLE), Blosc("zlib"), Blosc("blosclz")],
    ids=repr,
)
def test_exact_values_have_one_codec(codec: Blosc, examples: dict[str, tuple[Values, bytes]]) -> None:
    values, data = examples["exact"]
    header = unpack(data).header
    with pytest.raises(CorruptArchiveError, match="coded in another way"):
        decode_tile(pack(header, (), codec.encode(values.astype(header.dtype))), MAP)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_noise_is_an_error(data: bytes) -> None:
    with pytest.raises(CorruptArchiveError):
        decode_tile(data, MAP)

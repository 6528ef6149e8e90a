"""The context model: exact integers whatever the batches, threads and devices, and causal."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder import context, prediction
from nnzip.coder.bands import interpolation_bands, wavelet_bands
from nnzip.coder.context_model import ChannelContexts
from nnzip.coder.context_network import shipped_network
from nnzip.coder.context_weights import WEIGHTS_FILE
from nnzip.coder.native.library import CHOICE, NUMPY
from nnzip.coder.phases import PHASES, phase_slices
from tests.support.coefficient_examples import CODE_OF_A_GPU, Integers, decode, encode, size


def smooth(shape: tuple[int, ...], seed: int = 0, scale: float = 6.0) -> Integers:
    """Correlated integers with quiet and loud regions."""
    values = np.random.default_rng(seed).normal(size=shape)
    for axis in range(3):
        values = values + 0.7 * np.roll(values, 1, axis)
    loud = np.exp(np.linspace(-4, 1, shape[-1]))
    return np.rint(scale * values * loud).astype(np.int32)


@pytest.fixture
def in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the native kernel, which has no batches."""
    monkeypatch.setenv(CHOICE, NUMPY)


@pytest.mark.usefixtures("in_numpy")
def test_batches_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values, bands = smooth((6, 40, 41)), wavelet_bands((6, 40, 41), (0, 2, 2))
    reference = smooth((6, 40, 41), 1)
    before = torch.get_num_threads()
    streams = set()
    try:
        for threads, batch in ((1, 1 << 14), (2, 1000), (4, 129), (1, 1 << 20)):
            torch.set_num_threads(threads)
            monkeypatch.setattr(context, "BATCH", batch)
            streams.add(tuple(encode(values, bands, reference)))
            np.testing.assert_array_equal(decode(list(next(iter(streams))), values, bands, reference), values)
    finally:
        torch.set_num_threads(before)
    assert len(streams) == 1


@pytest.mark.parametrize("interpolation", [False, True])
def test_the_code_of_a_gpu_gives_the_same_bytes(interpolation: bool) -> None:
    shape = (6, 40, 41)
    bands = interpolation_bands(shape, (2, 0, 1)) if interpolation else wavelet_bands(shape, (1, 2, 2))
    values, reference = smooth(shape, scale=300.0 if interpolation else 6.0), smooth(shape, 1)
    values[1, 2, 3], reference[4, 5, 6] = 2**31 - 1, -(2**31)
    streams = encode(values, bands, reference)
    assert encode(values, bands, reference, CODE_OF_A_GPU) == streams
    np.testing.assert_array_equal(decode(streams, values, bands, reference, CODE_OF_A_GPU), values)


@pytest.mark.usefixtures("in_numpy")
def test_phases_with_many_places_are_thinned_out_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """More places than `prediction.SAMPLES`: every so many of all of them, not of a batch."""
    values = smooth((8, 64, 64), scale=30.0)
    bands = wavelet_bands(values.shape, (0, 2, 2))
    monkeypatch.setattr(prediction, "SAMPLES", 50)
    first = encode(values, bands)
    monkeypatch.setattr(context, "BATCH", 777)
    assert encode(values, bands) == first
    monkeypatch.setattr(prediction, "SAMPLES", 10**6)
    assert encode(values, bands) != first


@given(st.integers(0, 7), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_contexts_see_earlier_phases_only(phase: int, seed: int) -> None:
    shape = (4, 6, 6)
    bands = wavelet_bands(shape, (0, 0, 0))
    seen = []
    for later in (0, 500):
        values = np.random.default_rng(seed).integers(-3, 4, shape).astype(np.int32)
        for number in range(phase, len(PHASES)):
            values[phase_slices(shape, number)] += later
        subband = ChannelContexts(shape, bands, None).enter(0, values)
        for number in range(phase):
            subband.look(number)
            subband.put(values[phase_slices(shape, number)])
        found = subband.look(phase)
        seen.append((found.tables.tolist(), found.offsets.tolist(), found.classes.tolist()))
    assert seen[0] == seen[1]


def test_sums_stay_exact_in_float32() -> None:
    network = shipped_network()
    for weights, biases, largest in zip(network.weights, network.biases, (168, 255, 255), strict=True):
        assert np.abs(weights).max() <= 127
        assert (np.rint(weights) == weights).all()
        assert (np.abs(weights).sum(axis=-1) * largest + np.abs(biases)).max() < 2**24
    sums = (26 + 7) * 1023
    assert prediction.LARGEST_WEIGHT * sums < 2**24
    values = np.array([0, 1, 2, 3, 7, 8, 1023, sums, 2**24 - 2], dtype=np.float32)
    context.logarithms(values)
    assert values.tolist() == [0, 8, 12, 16, 24, 25, 80, 8 * 15, 8 * 24 - 1]


def test_the_network_equals_integers_in_numpy() -> None:
    """The shipped weights on inputs of every size, in int64."""
    rng = np.random.default_rng(0)
    network = shipped_network()
    numbers = np.arange(context.ROWS)
    for phase in range(len(PHASES)):
        rows = rng.integers(0, 169, (context.ROWS, 500)) * rng.integers(0, 2, (context.ROWS, 500))
        directions = rng.choice([-1, 1], 500).astype(np.int32)
        constants = tuple(rng.integers(0, 128, context.CONSTANTS).tolist())
        carried = rows.astype(np.float32)
        batch = context.Batch(numbers, numbers, carried, carried, directions, directions)
        tables, classes = network.evaluate(batch, constants, phase)
        first, second, third = (weight.astype(np.int64) for weight in network.weights)
        biases = [bias.astype(np.int64) for bias in network.biases]
        inputs = np.concatenate([rows, np.repeat(np.array(constants)[:, None], 500, axis=1)])
        hidden = np.clip((first[phase] @ inputs + biases[0][phase][:, None]) >> 4, 0, 255)
        hidden = np.clip((second @ hidden + biases[1][:, None]) >> 6, 0, 255)
        table, sign = third @ hidden + biases[2][:, None]
        np.testing.assert_array_equal(tables, np.clip(table >> 9, 1, 71))
        np.testing.assert_array_equal(classes, 12 + np.clip(directions * (sign >> 10), -12, 12))


def test_a_prediction_saves_signs_and_bytes() -> None:
    """A channel that follows another one: nearly all of it is foretold."""
    shape = (4, 64, 64)
    bands = wavelet_bands(shape, (0, 2, 2))
    reference = smooth(shape, scale=20.0)
    follower = -2 * reference + np.random.default_rng(3).integers(-1, 2, shape).astype(np.int32)
    assert size(follower, bands, reference) < 0.6 * size(follower, bands)


def test_rough_interpolated_values_round_trip() -> None:
    shape = (7, 12, 13)
    bands = interpolation_bands(shape, (2, 0, 1))
    values = smooth(shape, scale=2000.0)
    data = encode(values, bands, values // 2)
    np.testing.assert_array_equal(decode(data, values, bands, values // 2), values)


def test_the_model_never_changes() -> None:
    """The network is part of the format: archives would no longer decode. docs/format.md names the digest."""
    digest = hashlib.sha256()
    network = shipped_network()
    for array in (*network.weights, *network.biases):
        digest.update(array.astype("<i4").tobytes())
    text = WEIGHTS_FILE.parents[2] / "docs" / "format.md"
    assert digest.hexdigest() in text.read_text(encoding="utf-8")

"""A network's bytes: what is decoded is what was coded, and damage is refused before anything large is allocated."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nnzip.errors import CorruptArchiveError
from nnzip.network.coding import Quantised, decode_network, encode_network, feature_steps
from nnzip.network.grids import HashGrid
from nnzip.network.network import Architecture, Domain


def quantised(log2_size: int = 30, outputs: int = 3) -> Quantised:
    dice = np.random.default_rng(5)
    domain = Domain((10.0, 40.0, 0.0), (25.0, 30.0, 9.0), (0.6, 0.4, 0.65), (15, 10, 96))
    grids = HashGrid(2, 3, 2, log2_size, 7), HashGrid(3, 3, 2, log2_size, 7)
    design = Architecture(domain, *grids, ("one", "hour"), (16,), outputs)
    features = tuple(
        np.rint(dice.laplace(0, 0.6, (grid.features, *design.shape(grid, level)))).astype(np.int32)
        for grid, level in design.levels
    )
    weights = tuple(np.rint(dice.normal(0, 9, (out, into))).astype(np.int32) for into, out in design.layers)
    moments = np.arange(2 * outputs, dtype=np.float32).reshape(2, outputs)
    return Quantised(design, features, weights, moments[0], moments[1] + 1, 0.125, 1000)


@pytest.mark.parametrize("log2_size", [30, 9])
def test_round_trip(log2_size: int) -> None:
    coded = quantised(log2_size)
    found = decode_network(encode_network(coded), 3)
    assert found.architecture == coded.architecture
    assert (found.slope, found.points) == (coded.slope, coded.points)
    for mine, other in ((found.features, coded.features), (found.weights, coded.weights)):
        assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))
    assert np.array_equal(found.mean, coded.mean)
    assert encode_network(found) == encode_network(coded)


def test_zeros_cost_nearly_nothing() -> None:
    coded = quantised()
    empty = replace(coded, features=tuple(np.zeros_like(features) for features in coded.features))
    size = sum(features.size for features in coded.features)
    assert len(encode_network(coded)) > size / 8
    assert len(encode_network(empty)) < 450


def test_finer_levels_have_larger_steps() -> None:
    """One bit is worth the same at every level: a feature that concerns fewer points is coded more coarsely."""
    coded = quantised()
    steps = feature_steps(coded.architecture, 1.0, 1000)
    assert steps[:3] == sorted(steps[:3])
    assert steps[3:] == sorted(steps[3:])
    finer = feature_steps(coded.architecture, 0.25, 1000)
    np.testing.assert_allclose(np.array(steps) / finer, 2)


def test_damage_is_refused() -> None:
    data = encode_network(quantised())
    length = int.from_bytes(data[:2], "little")
    header = msgspec.msgpack.decode(data[2 : 2 + length])
    huge, fine, far = ([*header] for _ in range(3))
    huge[4] = [[3, 2, 30, 7, 2.0], [24, 64, 45, 1 << 20, 2.0]]
    fine[3] = [1 << 40, 1 << 40, 1 << 40]
    fine[4] = [[3, 2, 30, 7, 2.0], [18, 2, 45, 7, 2.0]]
    far[0] = [float("nan"), 0.0, 0.0]
    for fields in (huge, fine, far, header[:-1], [1]):
        coded = msgspec.msgpack.encode(fields)
        with pytest.raises(CorruptArchiveError):
            decode_network(len(coded).to_bytes(2, "little") + coded + data[2 + length :], 3)
    for damaged in (data[:-1], data + b"\1", b"", data[:40]):
        with pytest.raises(CorruptArchiveError):
            decode_network(damaged, 3)
    with pytest.raises(CorruptArchiveError):
        decode_network(data, 4)


def test_mutated_bytes_are_an_error_of_ours_or_a_network() -> None:
    """No other exception, no large allocation."""
    data, dice, refused = encode_network(quantised()), np.random.default_rng(0), 0
    length = 2 + int.from_bytes(data[:2], "little")
    tracemalloc.start()
    try:
        for number in range(300):
            damaged = bytearray(data)
            for _ in range(dice.integers(1, 4)):
                damaged[dice.integers(len(data) if number % 2 else length)] = dice.integers(256)
            try:
                network = decode_network(bytes(damaged), 3).network()
                network.values(np.array([0.0, 1.0]), np.array([35.0, 34.0]), np.array([12.0, 13.0]))
            except CorruptArchiveError:
                refused += 1
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert refused > 100

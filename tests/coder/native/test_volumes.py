"""The native kernel gives what numpy gives, to the bit, on every path and from several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder.bands import wavelet_bands
from nnzip.coder.native.library import NUMPY, paths
from nnzip.coder.volumes import Layout, decode_volumes, encode_volumes
from nnzip.errors import CorruptArchiveError
from tests.support.kernel_examples import WAYS, Volumes, by, planned, sparse, tiles

LARGE = (7, 90, 181)
BANDS = wavelet_bands(LARGE, (1, 3, 4))


def coded(volumes: Volumes, layout: Layout, way: str) -> tuple[list[bytes], list[float]]:
    with by(way):
        plans = planned(volumes, layout)
        streams = encode_volumes(plans, layout)
        for decoded, values in zip(decode_volumes(streams, layout), volumes, strict=True):
            np.testing.assert_array_equal(decoded, values)
    return streams, [plan.bytes for plan in plans]


def test_this_machine_has_the_kernel() -> None:
    """The other tests would say nothing without it."""
    assert "plain" in paths()


@given(tiles())
@settings(max_examples=80, deadline=None)
def test_every_way_gives_the_same_streams(tile: tuple[Volumes, Layout]) -> None:
    first, *others = (coded(*tile, way) for way in WAYS)
    assert all(other == first for other in others)


@given(tiles())
@settings(max_examples=40, deadline=None)
def test_every_way_gives_the_same_contexts(tile: tuple[Volumes, Layout]) -> None:
    found = []
    for way in WAYS:
        with by(way):
            found.append(planned(*tile))
    for plans in found[1:]:
        for plan, expected in zip(plans, found[0], strict=True):
            for name in ("offsets", "tables", "classes"):
                np.testing.assert_array_equal(getattr(plan.contexts, name), getattr(expected.contexts, name), name)
            np.testing.assert_array_equal(plan.counts, expected.counts)
            np.testing.assert_array_equal(plan.silent, expected.silent)


@pytest.mark.parametrize("way", paths())
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_do_not_disturb_each_other(way: str, threads: int) -> None:
    tiles = [[sparse(LARGE, 1.0, seed), sparse(LARGE, 1.0, seed) // 2] for seed in range(6)]
    layout = Layout(LARGE, BANDS, (None, 0))
    expected = [coded(volumes, layout, NUMPY) for volumes in tiles[:2]]
    with by(way), ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda volumes: encode_volumes(planned(volumes, layout), layout), tiles))
        decoded = list(pool.map(lambda streams: decode_volumes(streams, layout), found))
    assert found[:2] == [streams for streams, _ in expected]
    for volumes, values in zip(tiles, decoded, strict=True):
        np.testing.assert_array_equal(volumes, values)


@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_damage_is_noticed_alike(seed: int, part: int, cut: bool) -> None:
    """Every way decodes the same numbers from a damaged stream, or refuses it."""
    shape = (3, 20, 33)
    layout = Layout(shape, wavelet_bands(shape, (0, 2, 2)), (None, 0))
    rng = np.random.default_rng(seed)
    with by(NUMPY):
        streams = encode_volumes(planned([sparse(shape, 2.0, 1), sparse(shape, 2.0, 2)], layout), layout)
    damaged = bytearray(streams[part])
    if cut and len(damaged) > 1:
        del damaged[int(rng.integers(1, len(damaged))) :]
    damaged[int(rng.integers(len(damaged)))] ^= int(rng.integers(1, 256))
    streams[part] = bytes(damaged)
    results = set[object]()
    for way in WAYS:
        with by(way):
            try:
                results.add(b"".join(values.tobytes() for values in decode_volumes(streams, layout)))
            except CorruptArchiveError as problem:
                results.add(str(problem))
    assert len(results) == 1

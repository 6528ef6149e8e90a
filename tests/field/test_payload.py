"""The payload's header and streams: what is read equals what was packed, and damage is an error."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder import entropy
from nnzip.data.axes import SourceGrid
from nnzip.errors import CorruptArchiveError
from nnzip.field import network
from nnzip.field.fit import FitOptions, fit_field
from nnzip.field.payload import (
    FieldHeader,
    Network,
    encode_network,
    map_scales,
    pack,
    read_field,
    references,
)
from tests.support.field_examples import make_grid, smooth, vertices

GRID = make_grid(54, 9, 16, whole_globe=True)
CHANNELS = 2
CPU = torch.device("cpu")


def _make() -> tuple[FieldHeader, list[bytes]]:
    """A payload with everything: cycles, two channels of a variable, a network."""
    values = smooth((CHANNELS, *GRID.shape))
    values += 20 * np.cos(2 * np.pi * np.arange(54) / 24)[:, None, None].astype(np.float32) * (np.arange(16) % 2)
    data = fit_field(values, GRID, [CHANNELS], 3000, FitOptions(0), lambda *_: None)
    length = int.from_bytes(data[:4], "little")
    header = msgspec.msgpack.decode(data[4 : 4 + length], type=FieldHeader)
    ends = np.cumsum([4 + length, *header.streams]).tolist()
    streams = [data[start:stop] for start, stop in pairwise(ends)]
    generator = torch.Generator().manual_seed(0)
    inputs = CHANNELS * 3 + 4
    shapes = network.layer_shapes(inputs, CHANNELS, (16, 16))
    weights = tuple(network.quantised(0.1 * torch.randn(shape, generator=generator)) for shape in shapes)
    exponents, tables, stream = encode_network(Network(weights, 2.0 ** torch.arange(-2, inputs - 2)))
    header = msgspec.structs.replace(
        header,
        hidden=[16, 16],
        exponents=exponents,
        network_tables=tables,
        streams=[*header.streams, len(stream)],
    )
    return header, [*streams, stream]


HEADER, STREAMS = _make()
PAYLOAD = pack(HEADER, STREAMS)


def read(data: bytes, grid: SourceGrid = GRID, channels: int = CHANNELS) -> np.ndarray[Any, np.dtype[np.float64]]:
    return read_field(data, grid, channels, CPU).evaluate(*vertices(grid))


def test_the_example_has_everything() -> None:
    assert HEADER.cycles == [0, 1, 2, 3, 4]
    assert len(STREAMS) == 2 * CHANNELS + 1
    decoded = read(PAYLOAD)
    assert decoded.shape == (CHANNELS, *GRID.shape)
    assert np.isfinite(decoded).all()


def test_reading_is_deterministic() -> None:
    np.testing.assert_array_equal(read(PAYLOAD), read(PAYLOAD))


def test_weights_come_back_exactly_and_scales_fold_into_the_first_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = network.layer_shapes(10, CHANNELS, (16, 16))
    original = [network.quantised(0.1 * torch.randn(shape, generator=generator)) for shape in shapes]
    weights = read_field(PAYLOAD, GRID, CHANNELS, CPU).weights
    assert torch.equal(weights[0], original[0] * 2.0 ** torch.arange(-2, 8))
    assert torch.equal(weights[1], original[1])
    assert torch.equal(weights[2], original[2])


def test_scaled_inputs_and_folded_scales_are_the_same_to_the_bit() -> None:
    layers = Network((torch.randn(4, 3), torch.randn(2, 4)), torch.tensor([0.25, 1.0, 1024.0]))
    inputs = torch.randn(3, 100)
    assert layers.input_scales is not None
    scaled = network.forward(layers.weights, inputs * layers.input_scales[:, None])
    assert torch.equal(network.forward(layers.folded(CPU), inputs), scaled)
    assert Network().folded(CPU) == ()


def test_channels_refer_to_the_one_before_of_their_variable() -> None:
    assert references([3, 1, 2]) == [None, 0, 1, None, None, 4]
    assert references([1, 1]) == [None, None]


def test_map_scales_are_the_norms_of_the_functions() -> None:
    np.testing.assert_allclose(map_scales([0, 1, 6], 8), [8**0.5, 2, 2])


@given(st.integers(0, len(PAYLOAD) - 1))
@settings(max_examples=60, deadline=None)
def test_a_truncated_payload_is_corrupt(length: int) -> None:
    with pytest.raises(CorruptArchiveError):
        read_field(PAYLOAD[:length], GRID, CHANNELS, CPU)


def test_what_follows_the_streams_are_the_probes() -> None:
    assert read_field(PAYLOAD + b"abc", GRID, CHANNELS, CPU).probes == b"abc"
    assert read_field(PAYLOAD, GRID, CHANNELS, CPU).probes == b""


def test_more_trailing_bytes_than_probes_are_corrupt() -> None:
    with pytest.raises(CorruptArchiveError, match="streams"):
        read_field(PAYLOAD + bytes(257), GRID, CHANNELS, CPU)


@given(st.integers(0, 4 + int.from_bytes(PAYLOAD[:4], "little")), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_changed_header_is_corrupt_or_decodes_inside_its_range(position: int, change: int) -> None:
    """Some changes (of a mean, a step) make another valid field; none may crash or leave the stored range."""
    data = bytearray(PAYLOAD)
    data[position] ^= change
    try:
        field = read_field(bytes(data), GRID, CHANNELS, CPU)
    except CorruptArchiveError:
        return
    decoded = field.evaluate(*(axis[:3] for axis in vertices(GRID)))
    for values, low, high in zip(decoded, field.scaling.minimum, field.scaling.maximum, strict=True):
        assert (values >= low).all()
        assert (values <= high).all()


@pytest.mark.parametrize(
    ("grid", "channels"),
    [
        (make_grid(53, 9, 16, whole_globe=True), CHANNELS),
        (make_grid(54, 16, 9, whole_globe=True), CHANNELS),
        (GRID, CHANNELS + 1),
    ],
)
def test_another_grid_is_corrupt(grid: SourceGrid, channels: int) -> None:
    with pytest.raises(CorruptArchiveError, match="shape"):
        read_field(PAYLOAD, grid, channels, CPU)


STRETCH = np.array([1, 0.5, 4, 1, 0.5, 4] * CHANNELS, "<f2").tobytes()
STATISTICS = np.frombuffer(HEADER.statistics, "<f4").reshape(4, CHANNELS)


def changed_statistics(row: int, value: float) -> bytes:
    statistics = STATISTICS.copy()
    statistics[row, 0] = value
    return statistics.tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": [1]}, "channels"),
        ({"runs": [3, -1]}, "channels"),
        ({"depths": (9, 1, 1)}, "depths"),
        ({"depths": (-1, 1, 1)}, "depths"),
        ({"step": 0.0}, "step"),
        ({"step": -1.0}, "step"),
        ({"step": float("nan")}, "step"),
        ({"step": 1e300}, "step"),
        ({"statistics": HEADER.statistics[:-1]}, "statistics"),
        ({"statistics": changed_statistics(0, np.nan)}, "statistics"),
        ({"statistics": changed_statistics(1, 0.0)}, "statistics"),
        ({"statistics": changed_statistics(3, -1e9)}, "statistics"),
        ({"shifts": b""}, "shifts"),
        ({"cycles": [0, 7]}, "cycles"),
        ({"cycles": [0, 2, 1]}, "cycles"),
        ({"cycles": [0, 0, 0]}, "cycles"),
        ({"cycles": []}, "streams"),
        ({"hidden": [16, 129]}, "network"),
        ({"hidden": [16] * 4}, "network"),
        ({"hidden": []}, "network|streams"),
        ({"exponents": HEADER.exponents[:-1]}, "scales"),
        ({"exponents": [99, *HEADER.exponents[1:]]}, "scales"),
        ({"network_tables": [0, 1]}, "tables"),
        ({"network_tables": [0, 1, 72]}, "tables"),
        ({"stretches": [b""]}, "stretch"),
        ({"stretches": [bytes(2 * 6 * CHANNELS - 1)]}, "wrong length"),
        ({"stretches": [bytes((2 * 6 + 4 * 65) * CHANNELS)]}, "wrong length"),
        ({"stretches": [bytes(2 * 6 * CHANNELS)]}, "impossible numbers"),
        ({"stretches": [STRETCH] * 9}, "9 stretches"),
        ({"stretches": [STRETCH[:-2] + np.float16(np.nan).tobytes()]}, "impossible numbers"),
        ({"stretches": [STRETCH[:-2] + np.float16(0.5).tobytes()]}, "impossible numbers"),
        ({"stretches": [STRETCH[:-2] + np.float16(1001).tobytes()]}, "impossible numbers"),
        ({"stretches": [STRETCH[:-4] + np.float16(0).tobytes() + STRETCH[-2:]]}, "impossible numbers"),
        ({"stretches": [STRETCH[:24] + bytes(4) + STRETCH[:24] + bytes(4)]}, "impossible numbers"),
        ({"streams": [*HEADER.streams[:-1], HEADER.streams[-1] + 1]}, "streams"),
        ({"streams": [-1, HEADER.streams[0] + HEADER.streams[1] + 1, *HEADER.streams[2:]]}, "streams"),
    ],
)
def test_contradictions_are_corrupt(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CorruptArchiveError, match=message):
        read_field(pack(msgspec.structs.replace(HEADER, **changes), STREAMS), GRID, CHANNELS, CPU)


def test_weights_beyond_8_bits_are_corrupt() -> None:
    weights = [torch.full(shape, 0.5) for shape in network.layer_shapes(10, CHANNELS, (16, 16))]
    weights[1][0, 0] = 127.0
    exponents, tables, stream = encode_network(Network(tuple(weights), torch.ones(10)))
    assert exponents[-3:] == [-7, 0, -7]
    header = msgspec.structs.replace(
        HEADER, exponents=exponents, network_tables=tables, streams=[*HEADER.streams[:-1], len(stream)]
    )
    read_field(pack(header, [*STREAMS[:-1], stream]), GRID, CHANNELS, CPU)
    chunks = [(np.full(size, 128, np.int32), np.full(size, 60, np.uint8)) for size in (160, 256, 32)]
    stream = entropy.encode_chunks(chunks)
    header = msgspec.structs.replace(HEADER, network_tables=[60] * 3, streams=[*HEADER.streams[:-1], len(stream)])
    with pytest.raises(CorruptArchiveError, match="8 bits"):
        read_field(pack(header, [*STREAMS[:-1], stream]), GRID, CHANNELS, CPU)

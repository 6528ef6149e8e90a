"""The field of one segment <-> bytes (docs/format.md, "Field payload").

Layout: length of the header (uint32, little-endian), the header (MessagePack array, see `FieldHeader`), then its
streams one after another: per channel the maps of the cycles (if there are cycles) and the wavelet coefficients,
and last the network's weights (if there is a network). In a bounded archive the probes follow (`probes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder import entropy
from nnzip.coder.bands import wavelet_bands
from nnzip.coder.streams import reader
from nnzip.data.axes import SourceGrid
from nnzip.errors import CorruptArchiveError
from nnzip.field import cycles, network
from nnzip.field.model import LEVELS, Field, Scaling, feature_levels, network_inputs
from nnzip.transform.rates import LARGEST_STEP, SMALLEST_STEP
from nnzip.transform.stretch import read_stretches
from nnzip.transform.quantise import SHIFT_UNIT, dequantise
from nnzip.transform.wavelet import max_depth

MOST_PROBES = 256
"""Bytes that may follow the streams."""

_MOST_HIDDEN, _WIDEST = 3, 128
_LARGEST_EXPONENT = 40


class FieldHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the streams mean."""

    shape: tuple[int, int, int, int]  # channel, time, lat, lon
    runs: list[int]  # channels per variable; within a run each channel is the context of the next
    depths: tuple[int, int, int]
    step: float  # of the orthonormal coefficients of standardised, row-weighted values
    statistics: bytes  # float32 [4, channel]: mean, scale, minimum, maximum
    shifts: bytes  # int8 [channel, 2]
    cycles: list[int]
    hidden: list[int]  # widths of the hidden layers; empty: no network
    exponents: list[int]  # log2 of the input scales, then of the quantisation step of every layer
    network_tables: list[int]  # probability table of every layer
    streams: list[int]  # bytes of every stream
    context: int = 1  # what the coefficients were coded with: one of streams.READERS
    stretches: list[bytes] = []  # float16 numbers of every stretch of the tails; since format 2

    @property
    def spatial_depths(self) -> tuple[int, int, int]:
        """Wavelet depths of the maps of the cycles."""
        return 0, self.depths[1], self.depths[2]


@dataclass(frozen=True)
class QuantisedChannel:
    """One channel's integers: maps of the cycles [b, lat, lon] and coefficients [time, lat, lon].

    `shifts`: of the coefficients (see `dequantise`).
    """

    maps: Tensor
    coefficients: Tensor
    shifts: tuple[float, float]


@dataclass(frozen=True)
class Network:
    """Weights as stored (multiples of their steps) and the power-of-two scales of the inputs; no weights: none."""

    weights: tuple[Tensor, ...] = ()
    input_scales: Tensor | None = None

    def folded(self, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """The weights for unscaled inputs: the first layer times the scales, exact as these are powers of two."""
        if self.input_scales is None:
            return ()
        first, *others = self.weights
        return tuple(weight.to(device, dtype) for weight in (first * self.input_scales, *others))


def references(runs: Sequence[int]) -> list[int | None]:
    """For every channel the channel that is its context: the one before it of the same variable."""
    found: list[int | None] = []
    for run in runs:
        found += [None if i == 0 else len(found) + i - 1 for i in range(run)]
    return found


def map_scales(chosen: Sequence[int], times: int) -> NDArray[np.float32]:
    """The norms of the basis functions: maps times these are quantised with the same step as the coefficients."""
    return np.sqrt([times * (1.0 if index in cycles.STATIC else 0.5) for index in chosen]).astype(np.float32)


def pack(header: FieldHeader, streams: Sequence[bytes]) -> bytes:
    """Header and streams to the payload."""
    encoded = msgspec.msgpack.encode(header)
    return b"".join((len(encoded).to_bytes(4, "little"), encoded, *streams))


def encode_network(layers: Network) -> tuple[list[int], list[int], bytes]:
    """Exponents, tables and stream of a network."""
    if layers.input_scales is None:
        return [], [], b""
    exponents = [round(float(scale.log2())) for scale in layers.input_scales]
    chunks, tables = [], []
    for weight in layers.weights:
        step = float(network.quantisation_step(weight))
        symbols = torch.round(weight / step).to(torch.int32).numpy().ravel()
        tables.append(entropy.best_table(symbols))
        exponents.append(round(np.log2(step)))
        chunks.append((symbols, np.full(symbols.size, tables[-1], dtype=np.uint8)))
    return exponents, tables, entropy.encode_chunks(chunks)


def read_field(
    data: bytes, grid: SourceGrid, channels: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> Field:
    """The field of a payload. Raises CorruptArchiveError when it does not fit the grid or itself.

    `dtype`: float64 gives the reference that the drift of others is measured against.
    """
    header, streams = _unpack(data, grid, channels)
    scaling = _read_scaling(header, channels)
    read_stretches(header.stretches, channels)  # refused before the streams are decoded
    quantised = list(_read_channels(header, streams, device))
    field = build_field(header, scaling, quantised, _read_network(header, streams), grid, device, dtype)
    return replace(field, probes=next(streams))


def build_field(
    header: FieldHeader,
    scaling: Scaling,
    quantised: Sequence[QuantisedChannel],
    layers: Network,
    grid: SourceGrid,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Field:
    """Dequantise and transform back; encoder and decoder both come through here.

    Cost: an inverse wavelet per channel, `LEVELS` with a network.
    """
    levels = LEVELS if header.hidden else 1
    features = torch.empty(header.shape[0], levels, *header.shape[1:], device=device, dtype=dtype)
    maps = []
    for target, (channel, channel_maps) in zip(
        features, channel_features(header, quantised, grid, device, dtype), strict=True
    ):
        for place, level in zip(target, channel, strict=True):
            place.copy_(level)
        maps.append(channel_maps)
    stretches = read_stretches(header.stretches, header.shape[0])
    weights = layers.folded(device, dtype)
    return Field(grid, scaling, features, tuple(header.cycles), torch.stack(maps), weights, stretches)


def channel_features(
    header: FieldHeader,
    quantised: Sequence[QuantisedChannel],
    grid: SourceGrid,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[Iterator[Tensor], Tensor]]:
    """Channel by channel the feature grids [time, lat, lon] of every level and the maps of the cycles [b, lat, lon]."""
    row_weights = torch.from_numpy(grid.row_weights().astype(np.float32)).to(device, dtype)
    scales = torch.from_numpy(map_scales(header.cycles, header.shape[1]))[:, None, None]
    levels = LEVELS if header.hidden else 1
    for channel in quantised:
        coefficients = dequantise(channel.coefficients, channel.shifts).mul_(header.step).to(device, dtype)
        maps = dequantise(channel.maps, (0.0, 0.0)).mul_(header.step)
        maps = maps.div_(scales.to(maps.device)).to(device, dtype)
        yield (
            feature_levels(coefficients, header.depths, grid.periodic, row_weights, levels),
            next(feature_levels(maps, header.spatial_depths, grid.periodic, row_weights, 1)),
        )


def _unpack(data: bytes, grid: SourceGrid, channels: int) -> tuple[FieldHeader, Iterator[bytes]]:
    length = int.from_bytes(data[:4], "little")
    try:
        header = msgspec.msgpack.decode(data[4 : 4 + length], type=FieldHeader)
    except msgspec.MsgspecError as error:
        raise CorruptArchiveError(f"the field's header cannot be read: {error}") from error
    _check(header, (channels, *grid.shape), grid, len(data) - 4 - length)
    ends = [*np.cumsum([4 + length, *header.streams]).tolist(), len(data)]
    return header, iter([data[start:stop] for start, stop in pairwise(ends)])


def _check(header: FieldHeader, shape: tuple[int, int, int, int], grid: SourceGrid, available: int) -> None:
    """Everything that sizes an allocation, before it is made."""
    channels = shape[0]
    expected_streams = channels * (2 if header.cycles else 1) + (1 if header.hidden else 0)
    known_cycles = set(range(len(cycles.NAMES)))
    problems = {
        f"its shape {header.shape} is not the manifest's {shape}": header.shape != shape,
        f"its streams {sum(header.streams)} B are not the {available} B there": not 0
        <= available - sum(header.streams)
        <= MOST_PROBES,
        "its number of streams is wrong": len(header.streams) != expected_streams or min(header.streams, default=0) < 0,
        "its channels do not add up": sum(header.runs) != channels or min(header.runs, default=1) < 1,
        "its step is out of range": not SMALLEST_STEP <= header.step <= LARGEST_STEP,
        "its statistics have the wrong length": len(header.statistics) != 16 * channels,
        "its shifts have the wrong length": len(header.shifts) != 2 * channels,
        "its wavelet depths are impossible": any(
            not 0 <= depth <= max_depth(size) for depth, size in zip(header.depths, shape[1:], strict=True)
        ),
        "its cycles are unknown": header.cycles != sorted(known_cycles & set(header.cycles)),
        **_network_problems(header, network_inputs(channels, header.cycles, grid)),
    }
    for problem, found in problems.items():
        if found:
            raise CorruptArchiveError(f"the field is damaged: {problem}")


def _network_problems(header: FieldHeader, inputs: int) -> dict[str, bool]:
    layers = len(header.hidden) + 1 if header.hidden else 0
    return {
        "its network is too large": len(header.hidden) > _MOST_HIDDEN
        or any(not 1 <= width <= _WIDEST for width in header.hidden),
        "its network's scales do not fit its layers": len(header.exponents) != (inputs + layers if layers else 0),
        "its network's scales are out of range": any(abs(e) > _LARGEST_EXPONENT for e in header.exponents),
        "its network's tables are wrong": len(header.network_tables) != layers
        or any(not 0 <= table < entropy.TABLES for table in header.network_tables),
    }


def _read_scaling(header: FieldHeader, channels: int) -> Scaling:
    statistics = np.frombuffer(header.statistics, dtype="<f4").reshape(4, channels)
    _, scale, minimum, maximum = statistics
    if not np.isfinite(statistics).all() or not ((scale > 0) & (minimum <= maximum)).all():
        raise CorruptArchiveError("the field is damaged: its statistics are no mean, scale, minimum and maximum")
    return Scaling(*statistics.astype(np.float64))


def _read_channels(header: FieldHeader, streams: Iterator[bytes], device: torch.device) -> Iterator[QuantisedChannel]:
    shifts = np.frombuffer(header.shifts, dtype=np.int8).reshape(-1, 2) * SHIFT_UNIT
    decode = reader(header.context)
    previous: Tensor | None = None
    map_shape = (len(header.cycles), *header.shape[2:])
    map_bands = wavelet_bands(map_shape, header.spatial_depths) if header.cycles else ()
    bands = wavelet_bands(header.shape[1:], header.depths)
    for reference, (one, more) in zip(references(header.runs), shifts.tolist(), strict=True):
        maps = torch.zeros(map_shape, dtype=torch.int32, device=device)
        if header.cycles:
            maps = decode(next(streams), map_shape, map_bands, None, device)
        context = None if reference is None else previous
        previous = decode(next(streams), header.shape[1:], bands, context, device)
        yield QuantisedChannel(maps, previous, (one, more))


def _read_network(header: FieldHeader, streams: Iterator[bytes]) -> Network:
    if not header.hidden:
        return Network()
    layers = len(header.hidden) + 1
    inputs = len(header.exponents) - layers
    shapes = network.layer_shapes(inputs, header.shape[0], header.hidden)
    decoder = entropy.SymbolDecoder(next(streams))
    weights = []
    for shape, table, exponent in zip(shapes, header.network_tables, header.exponents[inputs:], strict=True):
        symbols = decoder.decode(np.full(prod(shape), table, dtype=np.uint8)).reshape(shape)
        if symbols.max() > network.WEIGHT_LIMIT or symbols.min() < -network.WEIGHT_LIMIT:
            raise CorruptArchiveError("the field is damaged: its network has a weight beyond 8 bits")
        weights.append(torch.from_numpy(symbols.astype(np.float32)) * 2.0**exponent)
    decoder.finish()
    return Network(tuple(weights), torch.tensor([2.0**exponent for exponent in header.exponents[:inputs]]))

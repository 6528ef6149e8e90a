"""A quantised network <-> the bytes of a member: integers through the context model of the tiles' detail.

bytes   content
2       length of the header, little-endian
header  MessagePack, an array (`_Header`)
rest    streams: features of the static levels, of the dynamic ones, of the hashed ones; the weights

The levels of a grid lie behind each other in one volume [last axis, axis 1, axis 0] per feature, each a subband whose
parent is the level before it. Hashed levels are rows of one volume. No float decides how bits are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, prod

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.coder import entropy
from nnzip.coder.bands import Subband
from nnzip.coder.volumes import Layout, decode_volumes, encode_volumes, plan_volume
from nnzip.errors import CorruptArchiveError
from nnzip.network.grids import Floats, HashGrid, Level, longest_extent
from nnzip.network.inputs import PAIRS, SINGLE
from nnzip.network.network import Architecture, Domain, Network

WEIGHT_STEP = 2.0**-5
"""Of the perceptron's weights."""

STEEPNESS = 6 / log(2)
"""Squared step times energy of a feature, in slopes (`feature_steps`)."""

_LARGEST = 1 << 26  # features of a network, and entries of a level
_WIDEST = 128
_HAT_ENERGY = 2 / 3  # of a hat function along one axis, in units of the distance of vertices

Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Quantised:
    """A network in integers. `slope`: of the squared error to the bits, which fixes the steps of all levels; `points`:
    values of the record for each output."""

    architecture: Architecture
    features: tuple[Integers, ...]
    weights: tuple[Integers, ...]
    mean: Floats
    scale: Floats
    slope: float
    points: int

    def network(self) -> Network:
        """With numbers instead of integers."""
        steps = feature_steps(self.architecture, self.slope, self.points)
        return Network(
            self.architecture,
            tuple(f.astype(np.float32) * np.float32(s) for f, s in zip(self.features, steps, strict=True)),
            tuple(w.astype(np.float32) * np.float32(WEIGHT_STEP) for w in self.weights),
            self.mean,
            self.scale,
        )


def feature_steps(design: Architecture, slope: float, points: int) -> list[float]:
    """Quantisation step of every level, at which one more bit lowers the sum of squares by `slope` at every level.

    A feature's error e adds e^2 times the energy of its hat function to the sum; the high-rate error of a step s is
    s^2 / 12, which one bit divides by four.
    """
    found = []
    for grid, level in design.levels:
        energy = points * _HAT_ENERGY**grid.axes / prod(design.shape(grid, level))
        found.append((slope / (2 * log(2) / 12 * energy)) ** 0.5)
    return found


class _Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`grids`: levels, features, log2 of the table, base, growth of either grid; `inputs`: places in SINGLE + PAIRS."""

    first: tuple[float, float, float]
    last: tuple[float, float, float]
    extents: tuple[float, float, float]
    steps: tuple[int, int, int]
    grids: tuple[tuple[int, int, int, int, float], tuple[int, int, int, int, float]]
    inputs: tuple[int, ...]
    widths: tuple[int, ...]
    slope: float
    points: int
    moments: bytes  # float32 [2, output]: mean, scale
    weight_table: int
    streams: tuple[int, ...]


def encode_network(quantised: Quantised) -> bytes:
    """The member's bytes."""
    design = quantised.architecture
    streams = [_encode_features(*group) for group in _groups(design, quantised.features)]
    weights = np.concatenate([layer.ravel() for layer in quantised.weights])
    table = entropy.best_table(weights)
    streams.append(entropy.encode(weights, np.full(weights.size, table, dtype=np.uint8)))
    header = _Header(
        first=design.domain.first,
        last=design.domain.last,
        extents=design.domain.extents,
        steps=design.domain.steps,
        grids=(_sizes(design.static), _sizes(design.dynamic)),
        inputs=tuple((SINGLE + PAIRS).index(name) for name in design.inputs),
        widths=design.widths,
        slope=quantised.slope,
        points=quantised.points,
        moments=np.array([quantised.mean, quantised.scale]).astype("<f4").tobytes(),
        weight_table=table,
        streams=tuple(map(len, streams)),
    )
    encoded = msgspec.msgpack.encode(header)
    return b"".join((len(encoded).to_bytes(2, "little"), encoded, *streams))


def read_design(data: bytes, outputs: int) -> tuple[Architecture, Floats, Floats]:
    """Sizes of a coded network, and mean and scale [output], from its header alone. Raises CorruptArchiveError."""
    header = _read_header(data, outputs)
    mean, scale = np.frombuffer(header.moments, dtype="<f4").reshape(2, outputs).astype(np.float32)
    return _architecture(header, outputs), mean, scale


def _read_header(data: bytes, outputs: int) -> _Header:
    try:
        header = msgspec.msgpack.decode(data[2 : 2 + int.from_bytes(data[:2], "little")], type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptArchiveError(f"the header of a network cannot be read: {error}") from error
    if len(header.moments) != 8 * outputs or not 0 <= header.weight_table < entropy.TABLES:
        raise CorruptArchiveError(f"a network is damaged: its moments are not those of {outputs} outputs")
    return header


def decode_network(data: bytes, outputs: int) -> Quantised:
    """Inverse of `encode_network`, for so many outputs. Raises CorruptArchiveError."""
    header, (design, mean, scale) = _read_header(data, outputs), read_design(data, outputs)
    streams, start = [], 2 + int.from_bytes(data[:2], "little")
    for size in header.streams:
        streams.append(data[start : start + size])
        start += size
    groups = list(_groups(design, None))
    if start != len(data) or len(streams) != len(groups) + 1 or min(header.streams) < 0:
        raise CorruptArchiveError(f"a network is damaged: {len(streams)} streams of {start} B in {len(data)} B")
    features: dict[int, Integers] = {}
    for (places, shapes, count, _), stream in zip(groups, streams, strict=False):
        features |= dict(zip(places, _decode_features(shapes, count, stream), strict=True))
    sizes = [out * into for into, out in design.layers]
    weights = entropy.decode(streams[-1], np.full(sum(sizes), header.weight_table, dtype=np.uint8))
    layers = np.split(weights, np.cumsum(sizes)[:-1])
    return Quantised(
        design,
        tuple(features[place] for place in sorted(features)),
        tuple(layer.reshape(out, into) for layer, (into, out) in zip(layers, design.layers, strict=True)),
        mean,
        scale,
        header.slope,
        header.points,
    )


def _sizes(grid: HashGrid) -> tuple[int, int, int, int, float]:
    return grid.levels, grid.features, grid.log2_size, grid.base, grid.growth


def _architecture(header: _Header, outputs: int) -> Architecture:
    """Checked before anything of its sizes is allocated."""
    names = SINGLE + PAIRS
    numbers = np.array([*header.first, *header.last, *header.extents, header.slope])
    for levels, features, log2_size, base, growth in header.grids:
        if not (0 <= levels <= 24 and 1 <= features <= 64 and 3 <= log2_size <= 45 and base >= 4 and 1 < growth <= 2):
            raise CorruptArchiveError("a network is damaged: its grids have impossible sizes")
        if base * growth**levels > _LARGEST:
            raise CorruptArchiveError("a network is damaged: its grids are too fine")
    if (
        not np.isfinite(numbers).all()
        or not all(0 <= extent <= longest_extent(grid[3]) + 1e-9 for extent in header.extents for grid in header.grids)
        or min(header.steps) < 0
        or header.slope <= 0
        or header.points < 1
        or not all(0 <= place < len(names) for place in header.inputs)
        or not all(1 <= width <= _WIDEST for width in header.widths)
        or len(header.widths) > 4
    ):
        raise CorruptArchiveError("a network is damaged: its sizes or its coordinates are impossible")
    static, dynamic = (HashGrid(axes, *sizes) for axes, sizes in zip((2, 3), header.grids, strict=True))
    design = Architecture(
        Domain(header.first, header.last, header.extents, header.steps),
        static,
        dynamic,
        tuple(names[place] for place in header.inputs),
        header.widths,
        outputs,
    )
    if design.features > _LARGEST:
        raise CorruptArchiveError(f"a network is damaged: it has more than {_LARGEST} features")
    return design


_Group = tuple[list[int], list[tuple[int, ...]], int, list[Integers]]
"""Places of levels among all, their shapes with three axes, features of each, and the integers."""


def _groups(design: Architecture, features: Sequence[Integers] | None) -> Iterator[_Group]:
    """Levels that share a volume: those in order of either grid, those hashed."""

    def kind(grid: HashGrid, level: Level) -> int:
        return 4 if level.hashed else grid.axes

    for wanted in (2, 3, 4):
        places = [place for place, each in enumerate(design.levels) if kind(*each) == wanted]
        for count in sorted({design.levels[place][0].features for place in places}):
            some = [place for place in places if design.levels[place][0].features == count]
            shapes = [design.shape(*design.levels[place]) for place in some]
            yield some, shapes, count, [] if features is None else [features[place] for place in some]


def _layout(shapes: Sequence[tuple[int, ...]], count: int) -> Layout:
    """Levels one behind the other along the first axis."""
    full = [(1,) * (3 - len(shape)) + shape for shape in shapes]
    bands, start = list[Subband](), 0
    for shape in full:
        where = slice(start, start + shape[0]), slice(0, shape[1]), slice(0, shape[2])
        parents = (bands[-1].where,) * 3 if bands and len(shapes[0]) > 1 else ()
        bands.append(Subband(where, parents, (0, 1, 2) if parents else ()))
        start += shape[0]
    whole = start, max(shape[1] for shape in full), max(shape[2] for shape in full)
    return Layout(whole, tuple(bands), (None, *range(count - 1)))


def _encode_features(_: list[int], shapes: list[tuple[int, ...]], count: int, features: list[Integers]) -> bytes:
    layout = _layout(shapes, count)
    volumes = np.zeros((count, *layout.shape), dtype=np.int32)
    for band, level in zip(layout.bands, features, strict=True):
        volumes[(slice(None), *band.where)] = level.reshape(count, *band.shape)
    plans = []
    for number, volume in enumerate(volumes):
        plans.append(plan_volume(volume, layout.bands, volumes[number - 1] if number else None))
    return encode_volumes(plans, layout)[0]


def _decode_features(shapes: list[tuple[int, ...]], count: int, stream: bytes) -> list[Integers]:
    layout = _layout(shapes, count)
    volumes = decode_volumes([stream], layout)
    return [
        np.array([volume[band.where] for volume in volumes], dtype=np.int32).reshape(count, *shape)
        for band, shape in zip(layout.bands, shapes, strict=True)
    ]

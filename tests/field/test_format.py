"""A second field decoder, written from docs/format.md alone in plain Python, as the oracle of the first."""

from __future__ import annotations

import re
from itertools import pairwise, product
from math import cos, isqrt, pi, radians, sin, sqrt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import nnzip
from nnzip.coder import expected_weights as context_weights
from nnzip.data.axes import SourceGrid
from nnzip.field.fit import FitOptions, fit_field
from nnzip.field.payload import read_field
from nnzip.transform.stretch import TailOptions
from tests.container.test_format import Stream, read_symbols
from tests.field.test_payload import CHANNELS, GRID, PAYLOAD
from tests.support.context_oracle import PHASES, Box, NetworkCoefficients, bands_of, slices, subbands
from tests.support.field_examples import make_grid, smooth, vertices

Array = NDArray[np.float64]
FORMAT = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def weights_of_the_document() -> dict[tuple[bool, bool, str], list[int]]:
    """(has a reference, has parents, phase) -> weights of the eight sums."""
    found = {}
    kinds = ((False, False), (False, True), (True, False), (True, True))
    for phase, *cells in re.findall(r"^\| ([01]{3}) \| ([\d ]+) \| ([\d ]+) \| ([\d ]+) \| ([\d ]+) \|$", FORMAT, re.M):
        for kind, cell in zip(kinds, cells, strict=True):
            found[(*kind, phase)] = [int(weight) for weight in cell.split()]
    return found


WEIGHTS = weights_of_the_document()


def boundary(n: int) -> int:
    m, j = divmod(2 * n - 1, 8)
    o = isqrt(isqrt(isqrt(2 ** (240 + j)))) << m
    return (o * (o + 2**41) // (2 * (o + 2**40))) >> 28


BOUNDARIES = [boundary(n) for n in range(2, 72)]


class LinearCoefficients:
    """Reads one coefficient stream of context model 1."""

    def __init__(self, data: bytes, shape: tuple[int, ...], depths: tuple[int, ...], reference: Any) -> None:
        self.values = np.zeros(shape, dtype=object)
        self.reference = reference
        self.stream = Stream(data)
        self.corrections = [t + d for t, d in enumerate(read_symbols(self.stream, [32] * 72))]
        silent = [24, 24]
        for box, numbered in subbands(shape, depths):
            parents = [parent for _, parent in numbered]
            empty = bool(parents) and not any(self.values[slices(parent)].any() for parent in parents)
            if read_symbols(self.stream, [28 if empty else 46])[0]:
                silent = [before + d for before, d in zip(silent, read_symbols(self.stream, [46, 46]), strict=True)]
                for phase in range(8):
                    self.read_phase(box, parents, phase, silent)
        assert (self.stream.state, self.stream.words) == (1, [])

    def read_phase(self, box: Box, parents: list[Box], phase: int, silent: list[int]) -> None:
        starts = [start + int(parity) for (start, _), parity in zip(box, PHASES[phase], strict=True)]
        places = list(product(*(range(start, stop, 2) for start, (_, stop) in zip(starts, box, strict=True))))
        tables = []
        for place in places:
            expected = self.expected(place, box, parents, phase)
            t = 1 + sum(b <= expected for b in BOUNDARIES)
            tables.append(self.corrections[t] if expected else silent[min(phase, 1)])
        for place, symbol in zip(places, read_symbols(self.stream, tables), strict=True):
            self.values[place] = symbol

    def expected(self, place: tuple[int, ...], box: Box, parents: list[Box], phase: int) -> int:
        sums = [0] * 8
        for offset in product((-1, 0, 1), repeat=3):
            there = tuple(p + d for p, d in zip(place, offset, strict=True))
            if not all(start <= p < stop for p, (start, stop) in zip(there, box, strict=True)):
                continue
            moved = [axis for axis, d in enumerate(offset) if d]
            parity = "".join(str((p - start) % 2) for p, (start, _) in zip(there, box, strict=True))
            if moved and PHASES.index(parity) < phase:
                sums[moved[0] if len(moved) == 1 else len(moved) + 1] += min(abs(self.values[there]), 1023)
            if self.reference is not None and len(moved) <= 1:
                sums[6 + len(moved)] += min(abs(self.reference[there]), 1023)
        for parent in parents:
            there = ()
            for p, (start, stop), (low, high) in zip(place, box, parent, strict=True):
                inside = p - start
                there += (low + (min(inside // 2, high - low - 1) if high - low < stop - start else inside),)
            sums[5] += min(abs(self.values[there]), 1023)
        weights = WEIGHTS[self.reference is not None, bool(parents), PHASES[phase]]
        products = [s * w for s, w in zip(sums, weights, strict=True)]
        if parents:
            products[5] //= len(parents)
        return sum(products)


def join(low: Array, high: Array, periodic: bool) -> Array:
    """One level of the inverse wavelet along the first axis."""
    a, b, c, d, k = -1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971, 1.149604398860241
    e, o = low / k, high * k
    n = len(e) + len(o)
    closes = periodic and n % 2 == 0

    def update_even(weight: float) -> None:
        for i in range(len(e)):
            left = o[i - 1] if i else o[-1 if closes else 0]
            e[i] -= weight * (left + o[min(i, len(o) - 1)])

    def update_odd(weight: float) -> None:
        for i in range(len(o)):
            right = e[i + 1] if i + 1 < len(e) else e[0 if closes else -1]
            o[i] -= weight * (e[i] + right)

    update_even(d)
    update_odd(c)
    update_even(b)
    update_odd(a)
    joined = np.empty((n, *e.shape[1:]))
    joined[0::2], joined[1::2] = e, o
    return joined


def inverse(values: Array, depths: tuple[int, ...], periodic: tuple[bool, ...]) -> Array:
    for axis in (2, 1, 0):
        lined = np.moveaxis(values, axis, 0)
        (_, stop), *highs = bands_of(len(lined), depths[axis])
        low = lined[:stop]
        for start, stop in highs:
            low = join(low, lined[start:stop], periodic[axis])
        values = np.moveaxis(low, 0, axis)
    return values


def levels(values: Array, depths: tuple[int, ...], periodic: tuple[bool, ...], count: int) -> list[Array]:
    smoothed = []
    for level in range(count):
        part = values.copy()
        for axis, depth in enumerate(depths):
            edges = bands_of(values.shape[axis], depth)
            np.moveaxis(part, axis, 0)[edges[max(depth + 1 - level, 1) - 1][1] :] = 0
        smoothed.append(inverse(part, depths, periodic))
    return [smoothed[0], *(smoothed[i] - smoothed[i + 1] for i in range(count - 1))]


def perceptron(data: bytes, inputs: Array, widths: list[int], exponents: list[int], tables: list[int]) -> Array:
    """Outputs [output, time, lat, lon] of inputs [input, time, lat, lon]."""
    count = len(inputs)
    activations = inputs.reshape(count, -1) * 2.0 ** np.array(exponents[:count])[:, None]
    stream = Stream(data)
    for number, (table, exponent) in enumerate(zip(tables, exponents[count:], strict=True)):
        symbols = read_symbols(stream, [table] * (widths[number] * widths[number + 1]))
        weight = np.array(symbols, dtype=float).reshape(widths[number + 1], widths[number]) * 2.0**exponent
        activations = weight @ (np.maximum(activations, 0) if number else activations)
    return activations.reshape(-1, *inputs.shape[1:])


def shrunk(x: float, numbers: list[float], place: float) -> float:
    """One stretch undone at `place`, 0 (first row) to 1 (last row)."""
    k = (len(numbers) - 6) // 2
    c, w = 0.0, 1.0
    if k:
        lower = min(int(place * (k - 1)), max(k - 2, 0))
        share = place * (k - 1) - lower
        c, w = (
            line[lower] * (1 - share) + line[min(lower + 1, k - 1)] * share
            for line in (numbers[6 : 6 + k], numbers[6 + k :])
        )
    for s, (start, width, g) in ((-1, numbers[3:6]), (1, numbers[:3])):
        start, width = s * c + w * start, w * width
        y = s * x - start
        if g > 1 and y > 0:
            inside = y < width * (g + 1) / 2
            d = 2 * y / (1 + sqrt(1 + 2 * (g - 1) * y / width)) if inside else width + (y - width * (g + 1) / 2) / g
            x = s * (start + d)
    return x


def all_shrunk(values: Array, stretches: list[bytes]) -> Array:
    """Values [channel, time, lat, lon] with all stretches undone."""
    channels, _, rows, _ = values.shape
    for stretch in reversed(stretches):
        numbers = np.frombuffer(stretch, "<f2").astype(float).reshape(channels, -1).tolist()
        values = values.copy()
        for place, x in np.ndenumerate(values):
            values[place] = shrunk(x, numbers[place[0]], place[2] / max(rows - 1, 1))
    return values


def decode(data: bytes, grid: SourceGrid) -> Array:
    """Values [channel, time, lat, lon] of a payload at the vertices."""
    length = int.from_bytes(data[:4], "little")
    header = msgspec.msgpack.decode(data[4 : 4 + length])
    shape, runs, depths, step, statistics, shifts, cycles, hidden, exponents, tables, sizes, *context = header
    stretches = context.pop() if len(context) > 1 else []
    ends = np.cumsum([4 + length, *sizes]).tolist()
    streams = iter([data[start:stop] for start, stop in pairwise(ends)])
    channels, times, rows, columns = shape
    shift = np.frombuffer(shifts, np.int8).reshape(channels, 2) / 250
    firsts = set(np.cumsum([0, *runs]).tolist())
    row_weights = np.array([max(sqrt(max(cos(radians(y)), 0)), 0.4) for y in grid.latitude.values])
    features, maps, reference = [], [], None
    assert context in ([], [1], [2])

    def coefficients(shape: tuple[int, ...], depths: tuple[int, ...], reference: Any) -> Any:
        if context == [2]:
            return NetworkCoefficients(next(streams), shape, depths, reference, WEIGHTS).values
        return LinearCoefficients(next(streams), shape, depths, reference).values

    for channel in range(channels):
        if cycles:
            spatial = (0, depths[1], depths[2])
            stored = coefficients((len(cycles), rows, columns), spatial, None)
            norms = np.array([sqrt(times if index == 0 else times / 2) for index in cycles])
            inverted = inverse(stored.astype(float) * step / norms[:, None, None], spatial, grid.periodic)
            maps.append(inverted / row_weights[:, None])
        reference = None if channel in firsts else reference
        reference = coefficients((times, rows, columns), tuple(depths), reference)
        q = reference.astype(float)
        moved = np.sign(q) * (np.abs(q) + np.where(np.abs(q) == 1, shift[channel, 0], shift[channel, 1])) * step
        features.append(levels(moved, tuple(depths), grid.periodic, 3 if hidden else 1))
    base = np.array([feature[0] for feature in features]) / row_weights[:, None]
    day = 2 * pi * (grid.time.values[:, None] / 86400 + grid.longitude.values / 360)
    year = 2 * pi * grid.time.values[:, None] / (365.2425 * 86400) + 0 * day
    functions = [1 + 0 * day, np.cos(day), np.sin(day), np.cos(2 * day), np.sin(2 * day), np.cos(year), np.sin(year)]
    for number, index in enumerate(cycles):
        base = base + functions[index][None, :, None, :] * np.array(maps)[:, None, number]
    if hidden:
        inputs = [*base]
        inputs += [level / row_weights[:, None] for feature in features for level in feature[1:]]
        inputs += [np.ones((times, rows, columns))]
        sines = np.array([sin(radians(y)) for y in grid.latitude.values])
        inputs += [np.broadcast_to(sines[:, None], (times, rows, columns))]
        inputs += [np.broadcast_to(functions[i][:, None, :], (times, rows, columns)) for i in (1, 2) if i in cycles]
        widths = [len(inputs), *hidden, channels]
        base = base + perceptron(next(streams), np.array(inputs), widths, exponents, tables)
    base = all_shrunk(base, stretches)
    mean, scale, low, high = np.frombuffer(statistics, "<f4").astype(float).reshape(4, channels, 1, 1, 1)
    return np.asarray(np.clip(mean + scale * base, low, high))


def test_the_document_has_all_weights() -> None:
    assert len(WEIGHTS) == 32
    for (reference, parents, phase), weights in WEIGHTS.items():
        assert context_weights.WEIGHTS[reference][parents][PHASES.index(phase)] == tuple(weights)


def test_a_field_decodes_as_the_document_says() -> None:
    """Cycles, two channels of a variable, a network, a global grid."""
    found = read_field(PAYLOAD, GRID, CHANNELS, torch.device("cpu")).evaluate(*vertices(GRID))
    expected = decode(PAYLOAD, GRID)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * expected.std())


def test_a_field_of_format_1_decodes_as_the_document_says() -> None:
    with nnzip.open_archive(Path(__file__).parents[1] / "golden" / "format1-ratio.nnz") as archive:
        entry = archive.manifest.groups[0]
        member = entry.segments[0].field
        assert member is not None
        end = None if entry.mask is None or entry.mask.member != member else entry.mask.offset
        grid, payload = archive.grids[0], archive.reader.read(member)[:end]
        found = read_field(payload, grid, archive.groups[0].channels, torch.device("cpu")).evaluate(*vertices(grid))
    np.testing.assert_allclose(found, decode(payload, grid), rtol=0, atol=2e-5 * found.std())


@pytest.mark.parametrize("whole_globe", [False, True])
def test_other_fields_decode_as_the_document_says(whole_globe: bool) -> None:
    """Odd sizes, several variables, no cycles, no network."""
    grid = make_grid(5, 11, 18, whole_globe=whole_globe)
    payload = fit_field(smooth((3, *grid.shape)), grid, [1, 2], 1800, FitOptions(0), lambda *_: None)
    found = read_field(payload, grid, 3, torch.device("cpu")).evaluate(*vertices(grid))
    np.testing.assert_allclose(found, decode(payload, grid), rtol=0, atol=2e-5 * found.std())


def test_stretched_tails_decode_as_the_document_says() -> None:
    """Two stretches, one of them local, on two channels."""
    grid = make_grid(5, 11, 18)
    tails = (TailOptions(5, 10, 90), TailOptions(20, 5, None, local=True))
    payload = fit_field(smooth((2, *grid.shape)), grid, [2], 1800, FitOptions(0, tails=tails), lambda *_: None)
    header = msgspec.msgpack.decode(payload[4 : 4 + int.from_bytes(payload[:4], "little")])
    mean, scale, low, high = np.frombuffer(header[4], "<f4").astype(float).reshape(4, 2, 1, 1, 1)
    field = read_field(payload, grid, 2, torch.device("cpu"))
    stretched = field.standardised(*vertices(grid)).astype(float)
    expected = np.clip(mean + scale * all_shrunk(stretched, header[12]), low, high)
    found = field.evaluate(*vertices(grid))
    assert np.abs(mean + scale * stretched - found).max() > 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

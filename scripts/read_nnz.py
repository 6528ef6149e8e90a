"""A second reader of `.nnz` archives, written from docs/format.md alone: plain Python and numpy, no code of nnzip.

    python scripts/read_nnz.py archive.nnz [values.npz]

It proves the document and the codec, and is slow: up to some minutes per million values. The two data files of the
format lie in the folder nnzip/ beside scripts/. Exact tiles are Blosc buffers: for these alone numcodecs is needed.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
import zlib
from bisect import bisect_right
from collections import defaultdict
from functools import cache
from itertools import accumulate, pairwise, product, zip_longest
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sizes = tuple[int, ...]
Box = tuple[tuple[int, int], ...]
Subband = tuple[int, Box, list[tuple[int, Box]]]  # part, box inside of a volume, axes and boxes of the parents
Json = dict[str, Any]
PACKAGE = Path(__file__).parents[1] / "nnzip"
with np.load(PACKAGE / "coder" / "context_network.npz", allow_pickle=False) as stored:
    NETWORK = {name: stored[name].astype(np.int64) for name in stored.files if name[:-1] in ("weights", "biases")}


def read(path: str | Path) -> dict[str, Array]:
    """All arrays by name: variables (NaN where missing), raw ones as stored. Raises ValueError for damage, networks."""
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as file:
        data = file.read("nnzip")  # zipfile checks the CRC-32
        if data[0] not in (3, 4):
            raise ValueError(f"format {data[0]}; this reads formats 3 and 4")
        inflate = zlib.decompressobj(-15, zdict=(PACKAGE / "container" / "dictionary.txt").read_bytes())
        manifest, arrays = json.loads(inflate.decompress(data[1:])), inflate.unused_data
        for number, (name, variable) in enumerate(manifest.get("variables", {}).items()):
            if variable.get("network"):
                raise ValueError(f"{name} is a network (nnzip compress --mode network): this reads tiles, nnzip both")
            found[name] = read_variable(manifest, variable, lambda m, n=number: file.read(f"{n}.{m}"), arrays)
    for name, raw in {**manifest.get("coordinates", {}), **manifest.get("lossless", {})}.items():
        dims = raw.get("dims", [name] if name in manifest["dims"] else [])
        found[name] = stored_array(raw["data"], tuple(manifest["dims"][dim] for dim in dims), arrays)
    return found


def read_variable(manifest: Json, variable: Json, member: Any, arrays: bytes) -> Array:
    """Values of a compressed variable in the order of its dimensions."""
    sizes, dims, masks = manifest["dims"], variable["dims"], variable.get("masks", [])
    grid = manifest["grids"][variable.get("grid", 0)]["dims"]
    whole = [*(dim for dim in dims if dim not in grid), *grid]
    shape = [sizes[dim] for dim in whole]
    axes = [prod(shape[: -len(grid)]), *[1] * (3 - len(grid)), *shape[-len(grid) :]]
    pieces = [lengths or [size] for lengths, size in zip_longest(variable.get("sizes", []), axes)]
    cuts = [[slice(*edges) for edges in pairwise(accumulate([0, *lengths]))] for lengths in pieces]
    out = np.empty(axes, variable.get("dtype", "float32"))
    for tile, (t, c, y, x) in enumerate(product(cuts[1], cuts[0], *cuts[2:])):
        values = out[c, t, y, x]
        place = tile % (len(cuts[0]) * len(cuts[2]) * len(cuts[3]))
        maps = decode_tile(member(f"base{place}"), (), None) if "base" in variable else None
        values[...] = decode_tile(member(tile), values.shape, maps)
        if masks and masks[tile % len(masks)]:
            place = manifest["masks"][masks[tile % len(masks)] - 1]
            values[read_mask(arrays[place.get("offset", 0) :][: place["length"]], values.shape)] = np.nan
    return out.reshape(shape).transpose([whole.index(dim) for dim in dims])


def stored_array(spec: Json, shape: Sizes, arrays: bytes) -> Array:
    """Values of a raw variable."""
    dtype, coding, given = np.dtype("<" + spec["dtype"]), spec.get("coding", "step"), spec.get("values", [])
    if coding in ("shuffle", "delta", "delta2"):
        data = zlib.decompress(arrays[spec.get("offset", 0) :][: spec.get("length", 0)], -15)
        kind = np.dtype(f"<u{4 if dtype.kind == 'U' else dtype.itemsize}") if coding != "shuffle" else dtype
        data = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1).T.tobytes()
        for _ in range(("shuffle", "delta", "delta2").index(coding)):
            data = np.cumsum(np.frombuffer(data, kind), dtype=kind).tobytes()
        return np.frombuffer(data, dtype).reshape(shape)
    n = prod(shape)
    if coding == "list":
        return np.array(given * n if len(given) == 1 else given, dtype).reshape(shape)
    a, b, c = map(int if dtype.kind in "iu" else float, (*given, *(0, 0, 1)[len(given) :]))
    values = [a + i * b if c == 1 else (a + i * b) / c for i in range(n)]
    if coding == "span":
        values = [*(a + i * ((b - a) / (n - 1)) for i in range(n - 1)), b if n > 1 else a]
    if coding == "sum":
        values = list(accumulate([a, *[b] * (n - 1)]))
        values[-1] = c if len(given) == 3 else values[-1]
    return np.array(values, dtype).reshape(shape)


CONSTANT, WAVELET, INTERPOLATION, EXACT = range(4)
DEFAULTS: Json = {"c": WAVELET, "q": 1.0, "a": [], "v": 1, "h": [0, 0], "t": [], "e": 0, "o": 0.0, "d": False, "n": []}
DEFAULTS |= {"p": False, "m": bytes(4), "g": struct.pack("<f", 1), **dict.fromkeys("bkwy", b"")}


def decode_tile(data: bytes, shape: Sizes, maps: Any = None) -> Array:
    """Values [channel, time, latitude, longitude] of a tile above the `maps` of its base; missing points hold any."""
    length = int.from_bytes(data[:2], "little")
    head = DEFAULTS | unpacked(io.BytesIO(data[2 : 2 + length]))
    if tuple(head["s"]) != (shape := shape or tuple(head["s"])) or set(head) != {*DEFAULTS, "s", "l"}:
        raise ValueError(f"{head} is no header of a tile {shape}")
    stops = list(accumulate([2 + length, *head["n"]]))
    streams, rest = [data[start:stop] for start, stop in pairwise(stops)], data[stops[-1] :]
    dtype = np.dtype("<f8" if head["d"] else "<f4")
    if head["c"] == EXACT:
        return np.frombuffer(__import__("numcodecs").Blosc().decode(rest), dtype).reshape(shape)
    values: Array = np.full(shape, head["o"])
    if streams:
        values = (wavelet_values if head["c"] == WAVELET else interpolation_values)(head, streams)
    if head["b"]:
        functions = day_functions(head["b"][:25], *shape[1::2])
        seasons = np.frombuffer(head["b"][25:], "<f4")[:, None] * maps.reshape(-1, len(functions) * maps[0].size)
        for function, plane in zip(functions, sum(seasons).reshape(-1, *maps.shape[1:]), strict=True):
            values = values + function * plane[:, None]
    low, high = np.frombuffer(head["l"], "<f4")
    values = np.ascontiguousarray(np.clip(values, low, high))
    while rest:
        rest = correct(rest, values)
    if head["k"]:
        step, origin = np.frombuffer(head["k"][:8], "<f8"), np.frombuffer(head["k"][8:16], "<f8")
        if len(head["k"]) != 16:
            data = zlib.decompressobj(-15).decompress(head["k"][8:])
            octets = np.frombuffer(data, np.uint8).reshape(3, *shape[:2], 1, 1)
            step = np.ldexp(step, octets[0].view(np.int8).astype(int))
            origin = (octets[1] + 256.0 * octets[2]) / 65536 * step
        values = np.rint((values - origin) / step) * step + origin
    return np.asarray(np.clip(values, low, high), dtype)


FORMS = "BHL???fdBHLQbhlq?????BHLHLHL"


def unpacked(stream: io.BytesIO) -> Any:
    """A MessagePack value."""
    kind = stream.read(1)[0]
    if kind < 0x80 or kind > 0xDF:
        return kind - 256 * (kind > 0xDF)
    if kind in (0xC2, 0xC3):
        return kind == 0xC3
    number: Any = kind & (0x1F if kind >= 0xA0 else 0x0F)  # short lengths
    if kind >= 0xC4:
        form = ">" + FORMS[kind - 0xC4]
        number = struct.unpack(form, stream.read(struct.calcsize(form)))[0]
    if 0xCA <= kind <= 0xD3:
        return number
    if kind < 0x90 or kind >= 0xDE:
        return {unpacked(stream): unpacked(stream) for _ in range(number)}
    if kind < 0xA0 or kind >= 0xDC:
        return [unpacked(stream) for _ in range(number)]
    return stream.read(number).decode() if kind < 0xC0 or kind >= 0xD9 else stream.read(number)


LIFTING = np.array([0.443506852043971, 0.882911075530934, -0.052980118572961, -1.586134342059924], np.float32)
GAIN = np.float32(1.149604398860241)


def band_edges(n: int, depth: int) -> Box:
    """Start and stop of the low band and of the high ones from coarse to fine."""
    lengths = list(accumulate([n] * (depth + 1), lambda length, _: -(-length // 2)))
    return (0, lengths[-1]), *((lengths[i + 1], lengths[i]) for i in reversed(range(depth)))


def wavelet_subbands(shape: Sizes, depths: Sizes) -> list[Subband]:
    """Subbands in coding order."""
    axes, found = [band_edges(n, depth) for n, depth in zip(shape, depths, strict=True)], list[Subband]()
    for numbers in sorted(product(*(range(len(axis)) for axis in axes)), key=lambda k: (sum(k), k)):
        box = tuple(axis[k] for axis, k in zip(axes, numbers, strict=True))
        parents = [(a, (*box[:a], axes[a][k - 1], *box[a + 1 :])) for a, k in enumerate(numbers) if k >= 2]
        h = min([depth - k for depth, k in zip(depths[1:], numbers[1:], strict=True) if k], default=3)
        if all(stop > start for start, stop in box):
            found.append((3 - min(h, 3), box, parents))
    return found


def in_steps(head: Json, streams: list[bytes], size: list[int], depths: list[int], v: int, shifts: list[int]) -> Array:
    """Inverse wavelet of a tile's coefficients or maps [channel, time, latitude, longitude], float32 in steps."""
    shape, first = (size[v], *size[2:]), {start for start, _ in band_edges(size[1 - v], depths[1 - v])}
    references = [None if i in first else i - 1 for i in range(size[1 - v])]
    whole = read_volumes(streams, shape, wavelet_subbands(shape, (depths[v], *depths[2:])), references)
    whole, moved = whole.swapaxes(0, 1 - v), np.array([0, *shifts], np.float32) * np.float32(1 / 250)
    values = (np.sign(whole) * (np.abs(whole) + moved[np.minimum(np.abs(whole), 2)])).astype(np.float32)
    for axis in (3, 2, 1, 0):
        bands, lines = band_edges(size[axis], depths[axis]), np.moveaxis(values, axis, 0)
        for start, stop in bands:
            if stop - start >= 8 and axis > 1 and head["e"] >> axis - 2 & 1:
                lines[[start, stop - 1]] *= np.float32(0.5)
        for low, n in bands[1:]:
            even, odd, wraps = lines[:low] / GAIN, lines[low:n] * GAIN, head["p"] and axis == 3 and n % 2 == 0
            for to_even, to_odd in LIFTING.reshape(2, 2):
                around = np.concatenate([odd[-1:] if wraps else odd[:1], odd, odd[-1:]])
                even = even - to_even * (around[:low] + around[1 : low + 1])
                around = np.concatenate([even, even[:1] if wraps else even[-1:]])
                odd = odd - to_odd * (around[: n - low] + around[1 : n - low + 1])
            lines[0:n:2], lines[1:n:2] = even, odd
    return np.asarray(values)


def wavelet_values(head: Json, streams: list[bytes]) -> Array:
    size, depths, rows = head["s"], head["a"], np.arange(head["s"][2])
    steps = in_steps(head, streams[1::2] if head["y"] else streams, size, depths, head["v"], head["h"][:2])
    if head["y"]:
        functions = day_functions(head["y"], size[1], size[3])
        shape = [size[0], len(functions), *size[2:]]
        maps = in_steps(head, streams[::2], shape, [0, 0, *depths[2:]], 1, head["h"][2:])
        norms = np.sqrt([size[1], *[size[1] / 2] * (len(functions) - 1)]).astype(np.float32)
        for number, (function, norm) in enumerate(zip(functions, norms, strict=True)):
            steps += function * (maps[:, number : number + 1] / norm)
    weights = np.ones(size[2])
    if head["w"]:
        north, apart = np.frombuffer(head["w"], "<f4").tolist()
        weights = np.maximum(np.sqrt(np.cos(np.deg2rad(np.clip(north + apart * rows, -90, 90)))), 0.4)
    values = steps.astype(np.float64) * (head["q"] / weights)[:, None]
    for packed, channel in product(reversed(head["t"]), range(size[0])):
        shrink(values[channel], np.frombuffer(packed, "<f2").reshape(size[0], -1)[channel].astype(float), rows)
    scale, mean = (np.frombuffer(head[key], "<f4").reshape(-1, 1, 1, 1) for key in "gm")
    return np.asarray(values * scale + mean)


def day_functions(cycle: bytes, times: int, columns: int) -> Array:
    first, step, column, harmonics = struct.unpack("<3dB", cycle)
    angles = first + step * np.arange(times)[:, None] + column * np.arange(columns)
    waves = [wave(k * angles) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
    return np.array([np.ones_like(angles), *waves], np.float32)[:, :, None]


def shrink(values: Array, parameters: Array, rows: Array) -> None:
    """Undo a stretch of a channel [time, latitude, longitude] in place."""
    c, w, knots = np.zeros(rows.size), np.ones(rows.size), np.linspace(0, rows.size - 1, (parameters.size - 6) // 2)
    if knots.size:
        c, w = (np.interp(rows, knots, line) for line in parameters[6:].reshape(2, -1))
    for s, (start, width, g) in ((-1, parameters[3:6]), (1, parameters[:3])):
        if g > 1:
            first, over = (s * c + w * start)[:, None], (w * width)[:, None]
            y, joint = np.maximum(s * values - first, 0), over * (g + 1) / 2
            inside = 2 * y / (1 + np.sqrt(1 + 2 * (g - 1) * np.minimum(y, joint) / over))
            shrunk = s * (first + np.where(y < joint, inside, over + (y - joint) / g))
            values[...] = np.where(y > 0, shrunk, values)


def splits(shape: Sizes, order: Sizes) -> tuple[list[tuple[int, Sizes]], list[Subband]]:
    """Axis and box before each split, from coarse to fine; the subbands in coding order."""
    steps, box, counts, last = list[tuple[int, Sizes]](), list(shape), [0, 0, 0], dict[int, Box]()
    while max(box) >= 4:
        for axis in order:
            if box[axis] >= 4:
                steps.insert(0, (axis, tuple(box)))
                box[axis], counts[axis] = -(-box[axis] // 2), counts[axis] + 1
    bands: list[Subband] = [(0, tuple((0, n) for n in box), [])]
    for axis, sizes in steps:
        edges = tuple((-(-n // 2) if a == axis else 0, n) for a, n in enumerate(sizes))
        counts[axis] -= 1
        bands.append((3 - min(counts[axis], 3), edges, [(axis, last[axis])] if axis in last else []))
        last[axis] = edges
    return steps, bands


def interpolation_values(head: Json, streams: list[bytes]) -> Array:
    count, shape = head["s"][1 - head["v"]], (head["s"][head["v"]], *head["s"][2:])
    steps, bands = splits(shape, head["a"])
    volumes = read_volumes(streams, shape, bands, [None, *range(count - 1)])
    for volume, (axis, sizes) in product(volumes, steps):
        m, part = -(-sizes[axis] // 2), np.moveaxis(volume[tuple(map(slice, sizes))], axis, 0)
        even, odd = part[:m].copy(), part[m:].copy()
        right = np.concatenate([even[1:], even[-1:]])[: len(odd)]
        predicted = (even[: len(odd)] + right + 1) >> 1
        for i in range(1, min(len(odd) - 1, m - 2)):
            predicted[i] = (9 * (even[i] + even[i + 1]) - even[i - 1] - even[i + 2] + 8) >> 4
        part[0::2], part[1::2] = even, odd + predicted
    return np.asarray(head["o"] + volumes.swapaxes(0, 1 - head["v"]) * np.float64(head["q"]))


def correct(data: bytes, values: Array) -> bytes:
    """Apply the first block to values [channel, time, latitude, longitude] in place; returns the bytes behind it."""
    length, flat = int.from_bytes(data[:2], "little"), values.reshape(-1)
    head, body = unpacked(io.BytesIO(data[2 : 2 + length])), data[2 + length :]
    unit, count, fix_bytes, literals, bits, table, symbols, low_bits, cap, volume_bytes = head
    if cap:
        number, *shape = values.shape if values.shape[1] > 1 else (1, values.shape[0], *values.shape[2:])
        whole: list[Subband] = [(0, tuple((0, n) for n in shape), [])]
        volumes = read_volumes([body[:volume_bytes]], tuple(shape), whole, [None, *range(number - 1)])
        points, stream = np.flatnonzero(volumes), Stream(body[volume_bytes:fix_bytes])
        multiples, reached = volumes.ravel()[points], np.abs(volumes.ravel()[points]) == cap
        multiples[reached] += np.sign(multiples[reached]) * unfolded(stream.numbers([table] * int(reached.sum())))
    else:
        low, rest = packed_numbers(body[:fix_bytes], count, low_bits)
        negative, rest = packed_numbers(rest, count, 1)
        stream = Stream(rest)
        tables = 60 + np.cumsum(stream.numbers([46] * -(-symbols // 48)))
        high = unfolded(stream.numbers(np.repeat(tables, 48)[:symbols]))
        points = np.cumsum((high << low_bits) + low + 1) - 1
        multiples = (1 - 2 * negative) * (1 + unfolded(stream.numbers([table] * count)))
    stream.finish()
    gaps, rest = packed_numbers(body[fix_bytes:], literals, bits)
    flat[points] += multiples * unit
    flat[np.cumsum(gaps) - 1] = np.frombuffer(rest[: 8 * literals], "<f8")
    return rest[8 * literals :]


def unfolded(symbols: Array) -> Array:
    return np.where(symbols < 0, -2 * symbols - 1, 2 * symbols)


def packed_numbers(data: bytes, count: int, bits: int) -> tuple[Array, bytes]:
    """Numbers of some bits, most significant first, and what follows them."""
    size = -(-count * bits // 8)
    planes = np.unpackbits(np.frombuffer(data[:size], np.uint8), count=count * bits).reshape(count, bits)
    return planes.astype(np.int64) @ (1 << np.arange(bits)[::-1]), data[size:]


TOTAL, ODDS = 1 << 24, (1073741824, 1276901417, 1518500250, 1805811301)


class Stream:  # of coded numbers
    def __init__(self, data: bytes) -> None:
        self.words = list(struct.unpack(f"<{-(-len(data) // 4)}L", data + bytes(-len(data) % 4)))
        self.state: int = self.words.pop()

    def take(self, starts: Any) -> int:
        """A symbol; `starts`: the sum of the frequencies before each one."""
        if self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()
        q = self.state % TOTAL
        symbol: int = bisect_right(starts, q) - 1
        right = starts[symbol + 1] if symbol + 1 < len(starts) else TOTAL
        self.state = (self.state >> 24) * (right - starts[symbol]) + q - starts[symbol]
        return symbol

    def numbers(self, tables: Any, signed: bool = True) -> Array:
        """A chunk of symbols, or of magnitudes: int64 for each of the tables."""
        found, escaped = np.zeros(len(tables), np.int64), []
        for position in np.argsort(tables, kind="stable").tolist():
            largest, starts = cumulative(int(tables[position]), signed)
            found[position] = symbol = self.take(starts) - (largest if signed else 0)
            if symbol > largest:
                escaped.append(position)
        uniform = [TOTAL // (66 if signed else 33) * c for c in range(66 if signed else 33)]
        classes = [self.take(uniform) for _ in escaped]
        lengths = [c >> 1 if signed else c for c in classes]
        excess = [1 << b - 1 if b else 0 for b in lengths]
        for shift, (place, length) in product((0, 16), enumerate(lengths)):
            bits = min(max(length - 1 - shift, 0), 16)
            excess[place] += self.take(range(0, TOTAL, TOTAL >> bits)) << shift
        for position, e, c in zip(escaped, excess, classes, strict=True):
            found[position] = (found[position] + e) * (-1 if signed and c % 2 else 1)
        return found

    def signs(self, classes: Array) -> Array:
        odds = (ODDS[q % 4] << q // 4 for q in (2 * classes + 16).tolist())
        negative = (TOTAL - (odd << 24) // (2**40 + odd) // 256 * 256 for odd in odds)
        return np.array([2 * self.take((0, frequency)) - 1 for frequency in negative], np.int64)

    def finish(self, state: int = 1) -> None:
        if (self.state, self.words) != (state, []):
            raise ValueError("a stream does not end where it should")


@cache
def cumulative(t: int, signed: bool) -> tuple[int, list[int]]:
    """K of a table, and the sums of the frequencies before -K .. K or 0 .. K and the escape."""
    odds = ODDS[t % 4] << t // 4
    root = (odds << 62) // (2**40 + odds)
    k, ratios = 15, [root * root >> 62] * 1023
    tails = list(accumulate([root, *ratios], lambda tail, ratio: tail * ratio >> 62))
    while k < 1023 and tails[k] >> 49:
        k = 2 * k + 1
    escape = 256 + (tails[k] * TOTAL >> 62)
    ones = accumulate([root * (2**62 - ratios[0]) >> 63, *ratios[1:k]], lambda one, ratio: one * ratio >> 62)
    sides = [1 + (one * (TOTAL - escape - (2 * k + 1)) >> 62) for one in ones]
    zero = TOTAL - escape - 2 * sum(sides)
    return k, list(accumulate([0, *reversed(sides), zero, *sides] if signed else [0, zero, *(2 * f for f in sides)]))


CORNERS, CROSS = ((-1, -1), (-1, 1), (1, -1), (1, 1)), ((0, -1), (0, 1), (-1, 0), (1, 0))
FURTHER, LINES = ((-1, -2), (-1, 2), (1, -2), (1, 2)), ((-2, -1), (-2, 1), (2, -1), (2, 1))
FAR = ((-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (1, -3), (-1, 3), (1, 3))
OFFSETS = ((*CORNERS, *FAR), (*CROSS, *LINES, *FURTHER), (*CROSS, *CORNERS, *FURTHER), ())


def read_mask(data: bytes, shape: Sizes) -> Array:
    """Missing points [channel, time, latitude, longitude]."""
    sharing, position, numbers = data[0] >> 1, 1, np.zeros((1, 1), np.int64)
    if sharing:
        length = shift = 0
        while shift == 0 or data[position - 1] > 127:
            length, shift, position = length | (data[position] & 127) << shift, shift + 7, position + 1
        steps = np.frombuffer(zlib.decompress(data[position : position + length], -15), "<i4")
        numbers = np.cumsum(steps, dtype=np.int64).reshape(shape[0] if sharing & 1 else 1, -1)
        position += length
    stream, bits, planes = Stream(data[position:]), bytearray(), list[Array]()
    counts: Any = defaultdict(lambda: (0, 0))
    for place in np.unique(numbers, return_index=True)[1].tolist():
        channel, time = divmod(place, numbers.shape[1])
        before, states = numbers[channel, time - 1] if time else numbers[channel - 1, 0], np.zeros(shape[2:], int)
        if place:
            wide = np.pad(planes[before], 1, mode="edge")
            nine = sum(wide[i : i + shape[2], j : j + shape[3]] for i in range(3) for j in range(3))
            states = np.where(nine == 0, 1, np.where(nine == 9, 4, 2 + planes[before]))
        planes.append(read_plane(stream, states, bool(data[0] & 1), counts, bits))
    stream.finish(1 + zlib.crc32(bits) % 255)
    return np.broadcast_to(np.array(planes, bool)[numbers], shape)


def read_plane(stream: Stream, states: Array, periodic: bool, counts: Any, bits: bytearray) -> Array:
    """The next plane, 0 and 1; adds to the counts (ones, seen), which last from plane to plane, and to the bits."""
    height, width = states.shape
    plane = np.zeros((height + 1, width + 1), np.int64)  # zeros behind the last row and column
    phases = product((64, 32, 16, 8, 4, 2, 1), ((0, 1, 1), (1, 0, 1), (2, 1, 0)))
    for h, (phase, row, column) in [(64, (3, 0, 0)), *phases]:
        rows, columns = np.arange(row * h, height, 2 * h), np.arange(column * h, width, 2 * h)
        images, wraps = np.zeros((4, rows.size, columns.size), np.int64), periodic and width % (2 * h) == 0
        for image, (south, east) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
            for down, right in OFFSETS[phase]:
                across = columns + east * right * h
                across = across % width if wraps else folded(across, width, 2 * h)
                there = np.ix_(folded(rows + south * down * h, height, 2 * h), across)
                images[image] = 2 * images[image] + plane[there]
        far = np.minimum(images, 4095 - images).min(axis=0)
        flip, state = (images > far).all(axis=0), states[np.ix_(rows, columns)]
        state = np.where(flip & (state > 0), 5 - state, state)
        for part in np.array_split(np.arange(rows.size), max(min(32, rows.size), 1)):
            learnt = []
            for r, c in product(part.tolist(), range(columns.size)):
                f, s, opposite = int(far[r, c]), int(state[r, c]), int(flip[r, c])
                start = (1, 45, 128, 211, 255)[(f >> 8).bit_count()] if phase < 3 else 128
                keys, p = ((phase, 0, f >> 8, s), (phase, 1, f, s)), 256 * (start, 1, 60, 196, 255)[s]
                for key, weight in zip(keys, (6, 24), strict=True):
                    p = (65536 * counts[key][0] + weight * p) // (counts[key][1] + weight)
                p = min(max(p, 1), 65535)
                bits.append(stream.take((0, TOTAL - 256 * (65536 - p if opposite else p))))
                plane[rows[r], columns[c]] = bits[-1]
                learnt += [(key, bits[-1] ^ opposite) for key in keys]
            for key, one in learnt:
                counts[key] = counts[key][0] + one, counts[key][1] + 1
    return plane[:-1, :-1]


def folded(index: Array, size: int, step: int) -> Array:
    """Rows or columns; -1 where there are none."""
    index = np.where(index < 0, index % step, index)
    return np.asarray(np.maximum(index - -(-np.maximum(index - size + 1, 0) // step) * step, -1))


PHASES: list[Sizes] = [(0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1)]
CUBE = list(product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)))
PAIRS = sorted((offset for offset in CUBE if offset > (0, 0, 0)), key=lambda offset: sum(map(abs, offset)))
GROUPS = ([2], [1], [0], range(3, 9), range(9, 13), range(14, 17), [20], range(21, 24))  # inputs that are summed
SIGNED = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
EXPECTED = """0 0 0 0 0 0 0 0|0 0 0 0 0 1828 0 0|0 0 0 0 0 0 2870 379|0 0 0 0 0 591 922 95
0 0 0 0 1236 0 0 0|0 0 0 0 316 768 0 0|0 0 0 0 41 0 2810 197|0 0 0 0 146 370 1094 25
1767 0 0 799 0 0 0 0|1081 0 0 362 0 499 0 0|959 0 0 39 0 0 2224 50|954 0 0 193 0 256 535 23
1828 0 0 313 100 0 0 0|967 0 0 240 57 390 0 0|1047 0 0 21 14 0 2034 37|709 0 0 154 23 212 815 11
0 774 1219 194 0 0 0 0|0 543 633 142 0 308 0 0|0 42 460 38 0 0 2822 47|0 388 465 80 0 126 799 9
0 932 1361 216 101 0 0 0|0 609 649 117 44 352 0 0|0 150 256 59 18 0 2928 38|0 405 431 111 26 164 572 12
1496 330 423 59 0 0 0 0|735 433 442 40 0 194 0 0|718 36 24 44 0 0 2311 15|551 343 344 20 0 99 633 8
1375 434 740 26 11 0 0 0|756 457 539 48 15 244 0 0|774 5 208 7 5 0 2265 4|734 303 378 28 16 134 430 11"""
WEIGHTS = np.array(EXPECTED.replace("|", " ").split(), np.int64).reshape(8, 4, 8)


def read_volumes(streams: list[bytes], shape: Sizes, bands: list[Subband], references: list[int | None]) -> Array:
    """Coefficients [volume, leading axis, latitude, longitude], int64; zero where there is no stream."""
    volumes, corrections = list[Volume](), np.arange(72)
    for reference in references:
        volumes.append(Volume(shape, None if reference is None else volumes[reference]))
    for part, data in enumerate(streams):
        stream = Stream(data)
        if part == 0 and stream.numbers([46])[0]:
            corrections = corrections + stream.numbers([32] * 72)
        for volume, band in product(volumes, bands):
            if band[0] == part:
                volume.read(stream, band, corrections)
        stream.finish()
    return np.stack([volume.values for volume in volumes])


class Volume:
    """A volume that grows subband by subband. `silent`: tables by box; `learnt`: equations by box, [phase, 12, 12]."""

    def __init__(self, shape: Sizes, reference: Volume | None) -> None:
        self.values, self.last, self.reference = np.zeros(shape, np.int64), np.array([24, 24]), reference
        self.silent, self.learnt = dict[Box, Array](), dict[Box, Array]()

    def inside(self, box: Box) -> Array:
        return self.values[tuple(slice(*edges) for edges in box)]

    def read(self, stream: Stream, band: Subband, corrections: Array) -> None:
        _, box, parents = band
        filled = [parent in self.silent for _, parent in parents]
        if not stream.numbers([28 if filled and not any(filled) else 46])[0]:
            return
        expected = self.last if self.reference is None else self.reference.silent.get(box, self.last)
        self.last = self.silent[box] = expected + stream.numbers([34, 34])
        prior, within = np.zeros((8, 12, 12), np.int64), np.zeros((12, 12), np.int64)
        for _, parent in parents:
            prior += self.learnt.get(parent, 0)
        learnt = self.learnt[box] = prior >> 2
        for phase, parities in enumerate(PHASES):
            weights, left = solve(prior[phase] if prior[phase, -1, -1] else within)
            heard, sums, x = self.look(band, phase, weights, left)
            h = NETWORK["weights0"][phase] @ x + NETWORK["biases0"][phase][:, None]
            h = NETWORK["weights1"] @ np.clip(h >> 4, 0, 255) + NETWORK["biases1"][:, None]
            t, s = NETWORK["weights2"] @ np.clip(h >> 6, 0, 255) + NETWORK["biases2"][:, None]
            tables, classes, p = np.full(heard.size, self.last[min(phase, 1)]), np.full(heard.size, 12), weights @ sums
            direction = np.where(p < 0, -1, 1)
            tables[heard] = corrections[np.clip(t >> 9, 1, 71)]
            classes[heard] = 12 + direction * np.clip(s >> 10, -12, 12)
            found = stream.numbers(tables, signed=False)
            found[found != 0] *= stream.signs(classes[found != 0])
            found[heard] += direction * np.minimum((np.abs(p) + 45) // 128, 1023)
            part = self.inside(box)[tuple(slice(parity, None, 2) for parity in parities)]
            part[...] = found.reshape(part.shape)
            k = 1 + heard.sum() // 4096
            sums, values = sums[:, ::k], np.clip(found[heard][::k], -1023, 1023)
            n = np.maximum(np.frexp(1.0 + np.abs(sums).sum(axis=0))[1] - 4, 0)
            rows = np.concatenate([16 * sums >> n, np.clip(16 * values >> n, -1024, 1024)[None]])
            equations = rows @ rows.T
            learnt[phase] += equations
            within[7:, 7:] += equations[7:, 7:]

    def look(self, band: Subband, phase: int, weights: Array, left: int) -> tuple[Array, Array, Array]:
        """Which coefficients of a phase are not silent [all], and of these the signed sums [11, n], inputs [36, n]."""
        _, box, parents = band
        own, lattice = around(self.inside(box)), tuple(slice(parity, None, 2) for parity in PHASES[phase])
        reference = {} if self.reference is None else around(self.reference.inside(box))
        size, count = own[0, 0, 0].shape, own[0, 0, 0][lattice].size
        x, sums = np.zeros((36, count), np.int64), np.zeros((11, count), np.int64)
        for offset in CUBE:
            axes = tuple(map(abs, offset))
            if reference:
                value = reference[offset][lattice].ravel()
                x[24] += np.abs(value)
                if sum(axes) <= 1:
                    place = 1 + axes.index(1) if sum(axes) else 0
                    sums[7 + place] += value
                    x[20 + place] += np.abs(value)
            if PHASES.index(tuple(np.bitwise_xor(PHASES[phase], axes).tolist())) < phase:
                value = own[offset][lattice].ravel()
                sums[SIGNED.index(axes)] += value
                x[PAIRS.index(max(offset, (-offset[0], -offset[1], -offset[2])))] += np.abs(value)
        for axis, other in parents:
            parent, lengths = around(np.abs(self.inside(other))), [stop - start for start, stop in other]
            where = [np.minimum(np.arange(n) // (1 + (m < n)), m - 1) for n, m in zip(size, lengths, strict=True)]
            x[14 + axis] = parent[0, 0, 0][np.ix_(*where)][lattice].ravel()
            x[17 + axis] = sum(parent.values())[np.ix_(*where)][lattice].ravel()  # type: ignore[index]
        heard = x[:13].any(axis=0) | x[14:17].any(axis=0) | (x[24] > 0)
        x, sums = x[:, heard], sums[:, heard]
        expected = WEIGHTS[phase, 2 * bool(reference) + bool(parents)] >> 6
        expected[5] //= max(len(parents), 1)
        x[13] = expected @ [x[group].sum(axis=0) for group in GROUPS]
        x[25] = np.abs(weights @ sums)
        x[26] = np.minimum(x[25] - 128 * np.minimum((x[25] + 45) // 128, 1023) + 45, 127)
        m = np.frexp(x[:26] + 1.0)[1] - 1
        x[:26] = 8 * m + (8 * (x[:26] + 1) >> m) - 8
        for axis, (edges, n, whole) in enumerate(zip(box, size, self.values.shape, strict=True)):
            x[27 + axis] = 16 * next(h for h in range(8) if h == 7 or 3 * 2**h * n >= 2 * whole)
            x[30 + axis] = 0 if edges[0] else 64
        x[33], x[34], x[35] = 32 * len(parents), 64 * bool(reference), left
        return heard, sums, x


def around(values: Array) -> dict[Sizes, Array]:
    wide = np.pad(np.clip(values, -1023, 1023), 1)
    return {d: wide[tuple(slice(1 + i, 1 + i + n) for i, n in zip(d, values.shape, strict=True))] for d in CUBE}


def solve(prior: Array) -> tuple[Array, int]:
    """Weights [11] of the prediction, and u."""
    weights, used = np.zeros(11, np.int64), np.flatnonzero(prior.diagonal())
    if used.size < 2 or used[-1] != 11:
        return weights, 64
    system, inner = prior[np.ix_(used, used)], np.arange(used.size - 1)
    system[inner, inner] += 2048
    z = 30 - int(system.max()).bit_length()
    system = system << z if z >= 0 else system >> -z
    energy = max(int(system[-1, -1]), 1)
    for j in inner:
        f = (system[:, j] << 20) // max(int(system[j, j]), 1)
        f[j] = 0
        system -= (f[:, None] * system[j]) >> 20
    weights[used[:-1]] = np.clip((system[:-1, -1] << 7) // np.maximum(system.diagonal()[:-1], 1), -496, 496)
    return weights, min(max(64 * int(system[-1, -1]) // energy, 0), 127)


if __name__ == "__main__":
    try:
        ARRAYS = read(sys.argv[1])
    except ValueError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    print(*(f"{name:20} {values.dtype!s:8} {values.shape}" for name, values in ARRAYS.items()), sep="\n")
    if len(sys.argv) > 2:
        np.savez_compressed(sys.argv[2], allow_pickle=False, **ARRAYS)

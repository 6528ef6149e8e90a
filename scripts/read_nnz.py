"""A second reader of `.nnz` archives, written from docs/format.md alone: plain Python, numpy, no code of nnzip.

    python scripts/read_nnz.py archive.nnz [--out values.npz] [--preview 4]

It proves the document and the codec, and is slow: up to some minutes per million values. It needs msgspec for
MessagePack, and numcodecs for exact tiles. The two data files of the format, the manifests' dictionary and the context
network, come from the installed nnzip, or from its folder by --package.
"""

from __future__ import annotations

import argparse
import json
import struct
import zipfile
import zlib
from importlib.util import find_spec
from itertools import accumulate, pairwise, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import msgpack
from read_nnz_streams import Array, Sizes, Stream, read_mask, require
from read_nnz_volumes import Box, Network, Subband, load_network, read_volumes

Json = dict[str, Any]

# --- Container, manifest, stored arrays -------------------------------------------------------------------------------


def read(path: str | Path, package: Path | None = None, preview: int = 1) -> dict[str, Array]:
    """All arrays of an archive by name: variables in their dimensions' order (NaN where missing), raw ones as stored.

    `preview` 2, 4 or 8: every so many rows and columns of the variables. Raises DamagedError.
    """
    package = package or Path(find_spec("nnzip").submodule_search_locations[0])  # type: ignore[union-attr, index]
    network = load_network(package / "coder" / "context_network.npz")
    with zipfile.ZipFile(path) as file:
        data = file.read("nnzip")  # zipfile checks the CRC-32
        require(data[0] == 3, f"format {data[0]}; this reads format 3")
        inflate = zlib.decompressobj(-15, zdict=(package / "container" / "dictionary.txt").read_bytes())
        manifest = json.loads(inflate.decompress(data[1:]))
        require(inflate.eof, "the manifest ends too early")
        found: dict[str, Array] = {}
        for number, (name, variable) in enumerate(manifest.get("variables", {}).items()):
            members = (file.read(f"{number}.{tile}") for tile in range(len(file.namelist())))
            found[name] = read_variable(manifest, variable, members, inflate.unused_data, network, preview)
    for name, raw in {**manifest.get("coordinates", {}), **manifest.get("lossless", {})}.items():
        dims = raw.get("dims", [name] if name in manifest["dims"] else [])
        found[name] = stored_array(raw["data"], tuple(manifest["dims"][dim] for dim in dims), inflate.unused_data)
    return found


def read_variable(manifest: Json, variable: Json, members: Any, arrays: bytes, network: Network, every: int) -> Array:
    """Values of a compressed variable in the order of its dimensions."""
    sizes, dims, masks = manifest["dims"], variable["dims"], variable.get("masks", [])
    grid = manifest["grids"][variable.get("grid", 0)]["dims"]
    channel_dims = [dim for dim in dims if dim not in grid]
    axes = [prod(sizes[dim] for dim in channel_dims), *[1] * (3 - len(grid)), *(sizes[dim] for dim in grid)]
    given = [*variable.get("sizes", []), [], [], [], []]
    pieces = [lengths or [size] for lengths, size in zip(given[:4], axes, strict=True)]
    require([sum(lengths) for lengths in pieces] == axes, "pieces do not add up to their axis")
    require(not any(n % every for lengths in pieces[2:] for n in lengths[:-1]), f"there is no preview at 1/{every}")
    thin = (1, 1, every, every)
    out = np.full([-(-n // k) for n, k in zip(axes, thin, strict=True)], np.nan, variable.get("dtype", "float32"))
    ranges = [list(pairwise(accumulate([0, *lengths]))) for lengths in pieces]
    for tile, (t, c, y, x) in enumerate(product(ranges[1], ranges[0], ranges[2], ranges[3])):
        shape = tuple(stop - start for start, stop in (c, t, y, x))
        values = decode_tile(next(members), shape, network, every.bit_length() - 1)
        number = masks[tile if len(masks) > 1 else 0] if masks else 0
        if number:
            place = manifest["masks"][number - 1]
            missing = read_mask(arrays[place.get("offset", 0) :][: place["length"]], shape)
            values = np.where(missing[:, :, ::every, ::every], np.nan, values)
        box = zip((c, t, y, x), thin, strict=True)
        out[tuple(slice(start // k, -(-stop // k)) for (start, stop), k in box)] = values
    whole = [*channel_dims, *grid]
    shaped = out.reshape([*(sizes[dim] for dim in channel_dims), *out.shape[4 - len(grid) :]])
    return shaped.transpose([whole.index(dim) for dim in dims])


def stored_array(spec: Json, shape: Sizes, arrays: bytes) -> Array:
    """Values of a raw variable."""
    dtype, coding, count = np.dtype("<" + spec["dtype"]), spec.get("coding", "step"), prod(shape)
    if coding in ("step", "span", "sum", "list"):
        return np.array(listed_values(coding, spec.get("values", []), count, dtype.kind), dtype).reshape(shape)
    data = arrays[spec.get("offset", 0) :][: spec.get("length", 0)]
    require(coding in ("shuffle", "delta", "delta2"), f"coding {coding} is unknown")
    kind = np.dtype(f"<u{4 if dtype.kind == 'U' else dtype.itemsize}") if coding != "shuffle" else dtype
    data = np.frombuffer(zlib.decompress(data, -15), np.uint8).reshape(kind.itemsize, -1).T.tobytes()
    for _ in range(("shuffle", "delta", "delta2").index(coding)):
        data = np.cumsum(np.frombuffer(data, kind), dtype=kind).tobytes()
    return np.frombuffer(data, dtype).reshape(shape)


def listed_values(coding: str, values: list[Any], count: int, kind: str) -> Any:
    """Values of a list or a formula."""
    if coding == "list":
        require(len(values) in (1, count), "a list has the wrong length")
        return values * count if len(values) == 1 else values
    if kind in "iu":
        a, b = [*values, 0][:2]
        return [a + i * b for i in range(count)]
    a, b, c = (*map(float, values), *(0.0, 0.0, 1.0)[len(values) :])
    if coding == "sum":
        sums = list(accumulate([a, *[b] * (count - 1)]))
        return [*sums[:-1], c if len(values) == 3 else sums[-1]]
    if coding == "span":
        return [*(a + i * ((b - a) / (count - 1)) for i in range(count - 1)), b if count > 1 else a]
    return (a + np.arange(count) * b) / c


# --- Tiles ------------------------------------------------------------------------------------------------------------

CONSTANT, WAVELET, INTERPOLATION, EXACT = range(4)
DEFAULTS: Json = {"c": WAVELET, "q": 1.0, "a": [], "v": 1, "h": [0, 0], "m": b"", "g": b"", "w": b"", "t": []}
DEFAULTS |= {"y": b"", "k": b"", "e": 0, "o": 0.0, "d": False, "p": False, "n": []}


def decode_tile(data: bytes, shape: Sizes, network: Network, halvings: int = 0) -> Array:
    """Values [channel, time, latitude, longitude] of a tile, or every 2^halvings-th row and column of a preview."""
    length, every = int.from_bytes(data[:2], "little"), 1 << halvings
    head = DEFAULTS | msgpack.decode(data[2 : 2 + length])
    require(set(head) == {*DEFAULTS, "s", "l"}, "a tile has an unknown header")
    require(tuple(head["s"]) == shape, f"a tile has the shape {head['s']}, not {shape}")
    parts = {WAVELET: 8 if head["y"] else 4, INTERPOLATION: 4}.get(head["c"], 0)
    require(len(head["n"]) == parts, "a tile has another number of streams")
    stops = list(accumulate([2 + length, *head["n"]]))
    require(stops[-1] <= len(data), "the streams are longer than the tile")
    streams, rest = (
        [data[start:stop] for start, stop in pairwise(stops)][: parts - parts // 4 * halvings],
        data[stops[-1] :],
    )
    dtype = np.dtype("<f8" if head["d"] else "<f4")
    if head["c"] == EXACT:
        sizes = struct.unpack_from("<L4xL", rest, 4)
        require(sizes == (prod(shape) * dtype.itemsize, len(rest)), "exact values of another size")
        try:
            from numcodecs import Blosc
        except ImportError:
            raise SystemExit(
                "exact tiles are read by numcodecs, which is not installed: pip install numcodecs"
            ) from None
        return np.frombuffer(Blosc().decode(rest), dtype).reshape(shape)[:, :, ::every, ::every]
    if head["c"] == WAVELET:
        values = wavelet_values(head, streams, network, halvings)
    elif head["c"] == INTERPOLATION:
        values = interpolation_values(head, streams, network)[:, :, ::every, ::every]
    else:
        values = np.full(shape, head["o"])[:, :, ::every, ::every]
    low, high = floats(head["l"])
    values = np.ascontiguousarray(np.clip(values, low, high))
    while rest and not halvings:
        rest = correct(rest, values, network)
    if head["k"] and not halvings:
        step, origin = lattice(head["k"], shape)
        values = np.rint((values - origin) / step) * step + origin
    return np.clip(values, low, high).astype(dtype)


def lattice(data: bytes, shape: Sizes) -> Array:
    """Steps and origins, each [channel, time, 1, 1] or the same for all."""
    first = floats(data[:8], "<f8")
    if len(data) == 16:
        return floats(data, "<f8")
    octets = np.frombuffer(zlib.decompressobj(-15).decompress(data[8:]), np.uint8).reshape(3, *shape[:2], 1, 1)
    steps = np.ldexp(first, octets[0].view(np.int8).astype(int))
    return np.array([steps, (octets[1] + 256.0 * octets[2]) / 65536 * steps])


def floats(data: bytes, kind: str = "<f4") -> Array:
    return np.array(np.frombuffer(data, kind), np.float64)


# --- Wavelet ----------------------------------------------------------------------------------------------------------

LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
GAIN = np.float32(1.149604398860241)


def band_edges(n: int, depth: int) -> list[tuple[int, int]]:
    """Start and stop of the low band and of the high ones from coarse to fine."""
    lengths = list(accumulate([n] * (depth + 1), lambda length, _: -(-length // 2)))
    return [(0, lengths[-1]), *((lengths[i + 1], lengths[i]) for i in reversed(range(depth)))]


def wavelet_subbands(shape: Sizes, depths: Sizes) -> list[Subband]:
    """Subbands in coding order."""
    axes, found = [band_edges(n, depth) for n, depth in zip(shape, depths, strict=True)], []
    for numbers in sorted(product(*(range(len(axis)) for axis in axes)), key=lambda k: (sum(k), k)):
        box = tuple(axis[k] for axis, k in zip(axes, numbers, strict=True))
        parents = tuple((a, (*box[:a], axes[a][k - 1], *box[a + 1 :])) for a, k in enumerate(numbers) if k >= 2)
        h = min([depth - k for depth, k in zip(depths[1:], numbers[1:], strict=True) if k], default=3)
        if all(stop > start for start, stop in box):
            found.append(Subband(box, parents, 3 - min(h, 3)))
    return sorted(found, key=lambda band: band.part)


def in_steps(
    streams: list[bytes],
    size: list[int],
    depths: list[int],
    leading: int,
    shifts: list[int],
    edges: int,
    periodic: bool,
    network: Network,
    halvings: int,
) -> Array:
    """Inverse wavelet of a tile's coefficients or maps [channel, time, latitude, longitude], float32 in steps."""
    shape = size[leading], *size[2:]
    bands = wavelet_subbands(shape, (depths[leading], *depths[2:]))
    first = {start for start, _ in band_edges(size[1 - leading], depths[1 - leading])}
    references = [None if i in first else i - 1 for i in range(size[1 - leading])]
    whole = read_volumes(streams, shape, bands, references, network).swapaxes(0, 1 - leading)
    moved = np.array([0, *shifts], np.float32) * np.float32(1 / 250)
    values = (np.sign(whole) * (np.abs(whole) + moved[np.minimum(np.abs(whole), 2)])).astype(np.float32)
    for axis in (2, 3) if edges == 3 else (edges + 1,) if edges else ():
        lines = np.moveaxis(values, axis, 0)
        for start, stop in band_edges(size[axis], depths[axis]):
            if stop - start >= 8:
                lines[[start, stop - 1]] *= np.float32(0.5)
    fewer = [0, 0, *(min(halvings, depth) for depth in depths[2:])]
    values = values[tuple(slice(-(-n // 2**j)) for n, j in zip(size, fewer, strict=True))].copy()
    for axis in (3, 2, 1, 0):
        invert(np.moveaxis(values, axis, 0), depths[axis] - fewer[axis], periodic and axis == 3)
    values *= np.float32(2.0 ** (-sum(fewer) / 2))
    return np.asarray(values[:, :, :: 2 ** (halvings - fewer[2]), :: 2 ** (halvings - fewer[3])])


def wavelet_values(head: Json, streams: list[bytes], network: Network, halvings: int) -> Array:
    """Values before limits and corrections, float64."""
    size, depths, leading, every = head["s"], head["a"], head["v"], 2**halvings
    too_deep = [(n, d) for n, d in zip(size, depths, strict=True) if d and -(-n // 2 ** (d - 1)) < 8]
    require(min(depths) >= 0 and not too_deep, "a depth is too large")
    rest, kinds = streams[1::2] if head["y"] else streams, (head["e"], head["p"], network, halvings)
    steps = in_steps(rest, size, depths, leading, head["h"][:2], *kinds)
    if head["y"]:
        first, step, column, harmonics = struct.unpack("<3dB", head["y"])
        require(harmonics in (1, 2), "a cycle has one or two harmonics")
        angles = first + step * np.arange(size[1])[:, None] + column * np.arange(0, size[3], every)
        waves = [wave(k * angles) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
        functions = np.array([np.ones_like(angles), *waves], np.float32)
        shape = [size[0], len(functions), *size[2:]]
        maps = in_steps(streams[::2], shape, [0, 0, *depths[2:]], 1, head["h"][2:], *kinds)
        norms = np.sqrt([size[1], *[size[1] / 2] * len(waves)]).astype(np.float32)
        for number, (function, norm) in enumerate(zip(functions, norms, strict=True)):
            steps += function[:, None, :] * (maps[:, number : number + 1] / norm)
    values = steps.astype(np.float64)
    places, weights = np.arange(0, size[2], every), np.ones(size[2])
    if head["w"]:
        latitude = np.clip(floats(head["w"])[0] + floats(head["w"])[1] * np.arange(size[2]), -90, 90)
        weights = np.maximum(np.sqrt(np.cos(np.deg2rad(latitude))), 0.4)
    values *= (head["q"] / weights)[places, None]
    for packed in reversed(head["t"]):
        for part, parameters in zip(values, floats(packed, "<f2").reshape(size[0], -1), strict=True):
            shrink(part, parameters, places, size[2])
    scale = floats(head["g"]) if head["g"] else np.ones(size[0])
    mean = floats(head["m"]) if head["m"] else np.zeros(size[0])
    return np.asarray(values * scale[:, None, None, None] + mean[:, None, None, None])


def invert(lines: Array, depth: int, periodic: bool) -> None:
    """Undo the wavelet along the first axis, in place."""
    a, b, c, d = map(np.float32, LIFTING)
    for low, n in band_edges(len(lines), depth)[1:]:
        even, odd, wraps = lines[:low] / GAIN, lines[low:n] * GAIN, periodic and n % 2 == 0
        for to_even, to_odd in ((d, c), (b, a)):
            around = np.concatenate([odd[-1:] if wraps else odd[:1], odd, odd[-1:]])
            even = even - to_even * (around[:low] + around[1 : low + 1])
            around = np.concatenate([even, even[:1] if wraps else even[-1:]])
            odd = odd - to_odd * (around[: n - low] + around[1 : n - low + 1])
        lines[0:n:2], lines[1:n:2] = even, odd


def shrink(values: Array, parameters: Array, places: Array, rows: int) -> None:
    """Undo a stretch of a channel [time, latitude, longitude] in place."""
    c, w, knots = np.zeros(places.size), np.ones(places.size), np.linspace(0, rows - 1, (parameters.size - 6) // 2)
    if knots.size:
        c, w = (np.interp(places, knots, line) for line in parameters[6:].reshape(2, -1))
    for s, (start, width, g) in ((-1, parameters[3:6]), (1, parameters[:3])):
        if g > 1:
            first, over = (s * c + w * start)[:, None], (w * width)[:, None]
            y, joint = np.maximum(s * values - first, 0), over * (g + 1) / 2
            inside = 2 * y / (1 + np.sqrt(1 + 2 * (g - 1) * np.minimum(y, joint) / over))
            shrunk = s * (first + np.where(y < joint, inside, over + (y - joint) / g))
            values[...] = np.where(y > 0, shrunk, values)


# --- Interpolation ----------------------------------------------------------------------------------------------------


def splits(shape: Sizes, order: Sizes) -> list[tuple[int, Sizes]]:
    """Axis, and box before the split, from fine to coarse."""
    steps, box = [], list(shape)
    while max(box) >= 4:
        for axis in order:
            if box[axis] >= 4:
                steps.append((axis, tuple(box)))
                box[axis] = -(-box[axis] // 2)
    return steps


def split_subbands(shape: Sizes, order: Sizes) -> list[Subband]:
    """Subbands in coding order."""
    steps, last = splits(shape, order), dict[int, Box]()
    coarsest = [-(-n // 2 ** sum(axis == a for axis, _ in steps)) for a, n in enumerate(shape)]
    bands = [Subband(tuple((0, n) for n in coarsest))]
    for number, (axis, sizes) in reversed(list(enumerate(steps))):
        edges = tuple((-(-n // 2) if a == axis else 0, n) for a, n in enumerate(sizes))
        before = sum(1 for other, _ in steps[:number] if other == axis)
        bands.append(Subband(edges, ((axis, last[axis]),) if axis in last else (), 3 - min(before, 3)))
        last[axis] = edges
    return sorted(bands, key=lambda band: band.part)


def interpolation_values(head: Json, streams: list[bytes], network: Network) -> Array:
    """Values before limits and corrections, float64."""
    count, shape = head["s"][1 - head["v"]], (head["s"][head["v"]], *head["s"][2:])
    require(sorted(head["a"]) == [0, 1, 2], "no order of three axes")
    bands = split_subbands(shape, head["a"])
    volumes = read_volumes(streams, shape, bands, [None, *range(count - 1)], network)
    for volume, (axis, sizes) in product(volumes, reversed(splits(shape, head["a"]))):
        part = np.moveaxis(volume[tuple(map(slice, sizes))], axis, 0)
        m = -(-sizes[axis] // 2)
        even, odd = part[:m].copy(), part[m:].copy()
        right = np.concatenate([even[1:], even[-1:]])[: len(odd)]
        predicted = (even[: len(odd)] + right + 1) >> 1
        for i in range(1, min(len(odd) - 1, m - 2)):
            predicted[i] = (9 * (even[i] + even[i + 1]) - even[i - 1] - even[i + 2] + 8) >> 4
        part[0::2], part[1::2] = even, odd + predicted
    return np.asarray(head["o"] + volumes.swapaxes(0, 1 - head["v"]) * np.float64(head["q"]))


# --- Corrections ------------------------------------------------------------------------------------------------------


def correct(data: bytes, values: Array, network: Network) -> bytes:
    """Apply the first block to values [channel, time, latitude, longitude] in place; returns the bytes behind it."""
    length, flat = int.from_bytes(data[:2], "little"), values.reshape(-1)
    head, body = msgpack.decode(data[2 : 2 + length]), data[2 + length :]
    unit, count, fix_bytes, literals, bits, table, symbols, low_bits, cap, volume_bytes = head
    require(symbols == (0 if cap else count), "corrections contradict themselves")
    fixes = body[:fix_bytes]
    if cap:
        number, *shape = values.shape if values.shape[1] > 1 else (1, values.shape[0], *values.shape[2:])
        whole = Subband(tuple((0, n) for n in shape))
        volumes = read_volumes([fixes[:volume_bytes]], tuple(shape), [whole], [None, *range(number - 1)], network)
        points = np.flatnonzero(volumes)
        multiples = volumes.ravel()[points]
        reached, stream = np.abs(multiples) == cap, Stream(fixes[volume_bytes:])
        multiples[reached] += np.sign(multiples[reached]) * unfolded(stream.numbers([table] * int(reached.sum())))
    else:
        low, fixes = unpacked(fixes, count, low_bits)
        negative, fixes = unpacked(fixes, count, 1)
        stream = Stream(fixes)
        tables = 60 + np.cumsum(stream.numbers([46] * -(-symbols // 48)))
        high = unfolded(stream.numbers(np.repeat(tables, 48)[:symbols]))
        points = np.cumsum((high << low_bits) + low + 1) - 1
        multiples = (1 - 2 * negative) * (1 + unfolded(stream.numbers([table] * count)))
    stream.finish()
    require(points.size == count and (np.abs(multiples) <= 64).all(), "other fixes than declared")
    gaps, rest = unpacked(body[fix_bytes:], literals, bits)
    exact = np.cumsum(gaps) - 1
    every = np.concatenate([points, exact])
    require(((every >= 0) & (every < flat.size)).all(), "a correction outside the tile")
    flat[points] += multiples * unit
    flat[exact] = np.frombuffer(rest[: 8 * literals], "<f8")
    return rest[8 * literals :]


def unfolded(symbols: Array) -> Array:
    return np.where(symbols < 0, -2 * symbols - 1, 2 * symbols)


def unpacked(data: bytes, count: int, bits: int) -> tuple[Array, bytes]:
    """Numbers of some bits, most significant first, and what follows them."""
    size = -(-count * bits // 8)
    planes = np.unpackbits(np.frombuffer(data[:size], np.uint8), count=count * bits).reshape(count, bits)
    return planes.astype(np.int64) @ (1 << np.arange(bits)[::-1]), data[size:]


def main() -> None:
    """Print the arrays of an archive, or write them."""
    parser = argparse.ArgumentParser(description="Read an .nnz archive without nnzip's code.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", type=Path, help="an .npz file to write")
    parser.add_argument("--preview", type=int, choices=(1, 2, 4, 8), default=1)
    parser.add_argument("--package", type=Path, help="folder of the nnzip package")
    options = parser.parse_args()
    found = read(options.archive, options.package, options.preview)
    for name, values in found.items():
        print(f"{name:20} {values.dtype!s:8} {values.shape}")
    if options.out:
        np.savez_compressed(options.out, allow_pickle=False, **found)


if __name__ == "__main__":
    main()

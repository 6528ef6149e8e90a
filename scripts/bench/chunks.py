"""Bytes of single chunks of several shapes: nnzip's codec beside SZ3, SPERR, ZFP and lossless Blosc, all by numcodecs.

    PYTHONPATH=scripts python -m bench.chunks ../shared/data --markdown docs/benchmarks.md

Needs numcodecs-wasm-sz3, -sperr and -zfp. A star: some point is outside the bound; a dash: the codec fails, or moves
missing points.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from bench.cases import CASES, open_case
from bench.tables import Table, geometric_mean, write_between
from nnzip.integrations.numcodecs import TileCodec

Values = NDArray[np.floating]
BEGIN, END = "<!-- chunks of scripts/bench -->", "<!-- end of chunks -->"

CHUNKS: tuple[tuple[str, tuple[int, ...], float], ...] = (
    ("global_t2m_2012", (721, 1440), 0.05),
    ("global_t2m_2012", (240, 240), 0.05),
    ("global_t2m_2012", (64, 64), 0.05),
    ("global_t2m_2012", (16, 16), 0.05),
    ("uk_t2m", (1, 33, 49), 0.05),
    ("uk_t2m", (24, 33, 49), 0.05),
    ("uk_t2m", (744, 33, 49), 0.05),
    ("uk_t2m", (744, 1, 1), 0.05),
    ("uk_t2m", (24, 1, 1), 0.05),
    ("eastasia_u", (1, 1, 181, 281), 0.5),
    ("eastasia_u", (4, 3, 181, 281), 0.5),
    ("eastasia_u", (4, 3, 64, 64), 0.5),
    ("matthew_z500", (11, 181, 360), 1.0),
    ("telangana_tp", (240, 21, 21), 1e-5),
    ("med_sst", (27, 69, 173), 0.05),
)
"""Case, shape of a chunk in the middle of it, and bound in its units."""


def main() -> None:
    """Print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    rows, shares = [], dict[str, list[float]]()
    for name, shape, bound in CHUNKS:
        chunk = middle(open_case(CASES[name], options.data)[CASES[name].variable].to_numpy(), shape)
        made = {codec: coded(make(bound), chunk, bound) for codec, make in codecs().items()}
        for codec, (found, kept) in made.items():
            if kept:
                shares.setdefault(codec, []).append(found / made["nnzip"][0])
        cells = (f"{found:,}{'' if kept else ' *'}" if found else "–" for found, kept in made.values())
        rows.append((f"{name} {' x '.join(map(str, shape))}", f"{bound:g}", f"{chunk.nbytes:,}", *cells))
    means = (f"{geometric_mean(shares[codec]):.2f}" if codec in shares else "–" for codec in codecs())
    rows.append(("geometric mean of bytes over nnzip's", "", "", *means))
    text = Table("Bytes of one chunk", ("chunk", "bound", "float32", *codecs()), rows).markdown()
    if options.markdown is None:
        print(text)
    else:
        write_between(options.markdown, BEGIN, END, text)


def codecs() -> Mapping[str, Callable[[float], Any]]:
    """By name, from a bound to a codec."""
    from numcodecs_wasm_sperr import Sperr
    from numcodecs_wasm_sz3 import Sz3
    from numcodecs_wasm_zfp import Zfp

    return {
        "nnzip": lambda bound: TileCodec(max_error=bound),
        "SZ3": lambda bound: Sz3(eb_mode="abs", eb_abs=bound),
        "SPERR": lambda bound: Sperr(mode="pwe", pwe=bound),
        "ZFP": lambda bound: Zfp(mode="fixed-accuracy", tolerance=bound),
        "Blosc": lambda _: Blosc(cname="zstd", clevel=7, shuffle=Blosc.BITSHUFFLE),
    }


def middle(values: Values, shape: tuple[int, ...]) -> Values:
    """A chunk of this shape from the middle of an array."""
    starts = [(length - size) // 2 for length, size in zip(values.shape[-len(shape) :], shape, strict=True)]
    inside = tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))
    first = values.reshape(-1, *values.shape[-len(shape) :])[0]
    return np.ascontiguousarray(first[inside], dtype=np.float32)


def coded(codec: Any, chunk: Values, bound: float) -> tuple[int, bool]:
    """Bytes (0: the codec fails, or moves missing points), and whether the bound is kept."""
    try:
        data = codec.encode(chunk)
        found = np.frombuffer(codec.decode(data), dtype=np.float32).reshape(chunk.shape)
    except Exception:  # what codecs in WebAssembly raise
        return 0, False
    if not np.array_equal(np.isnan(found), np.isnan(chunk)):
        return 0, False
    error = float(np.nanmax(np.abs(found.astype(np.float64) - chunk.astype(np.float64))))
    return memoryview(data).nbytes, error <= bound


if __name__ == "__main__":
    main()

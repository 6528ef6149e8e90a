"""Feeds the native kernel damaged streams and wild numbers under AddressSanitizer and UndefinedBehaviorSanitizer.

    python scripts/fuzz_kernel.py [--rounds N] [--seed S]

Compiles the kernel with the sanitizers into a copy of the package and runs the rounds there: a byte read or written
out of bounds, a leak of a type's range or an endless loop ends the run with a report and a status other than 0.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
SECONDS_PER_ROUND = 20


def main() -> int:
    """Build and run; the status of the run."""
    parser = argparse.ArgumentParser(description="Fuzz the native kernel under sanitizers.")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        for number in range(options.seed, options.seed + options.rounds):
            fuzz(number)
        print(f"{options.rounds} rounds from seed {options.seed}: nothing found")
        return 0
    sys.path.insert(0, str(ROOT))
    from hatch_build import compile_kernel, find_compiler

    compiler = find_compiler()
    if compiler is None:
        print("no C compiler was found", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "nnzip"
        shutil.copytree(ROOT / "nnzip", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        compile_kernel(SANITIZERS, package / "coder" / "native")
        runtime = subprocess.run([*compiler, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
        environment = {
            **os.environ,
            "PYTHONPATH": folder,
            "LD_PRELOAD": runtime.stdout.strip(),
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # Python itself leaks
        }
        command = [sys.executable, __file__, "--inside", "--rounds", str(options.rounds), "--seed", str(options.seed)]
        return subprocess.run(
            command, env=environment, check=False, timeout=60 + SECONDS_PER_ROUND * options.rounds
        ).returncode


def fuzz(seed: int) -> None:
    """One round: a tile is coded, its streams are damaged and read, and the kernel is given wild arrays."""
    from nnzip.coder.native.library import CHOICE, paths

    rng = np.random.default_rng(seed)
    os.environ[CHOICE] = str(rng.choice(np.array(paths())))
    _streams(rng)
    _arrays(rng)
    _transforms(rng)


def _layout(rng: np.random.Generator, volumes: int):  # type: ignore[no-untyped-def]
    from nnzip.coder.bands import interpolation_bands, wavelet_bands
    from nnzip.coder.volumes import Layout
    from nnzip.transform.wavelet import max_depth

    sides = rng.permutation(np.array([int(rng.integers(1, 10)), int(rng.integers(1, 20)), int(rng.integers(1, 90))]))
    shape = int(sides[0]), int(sides[1]), int(sides[2])
    if rng.random() < 0.3:
        bands = interpolation_bands(shape, tuple(rng.permutation(3).tolist()))
    else:
        bands = wavelet_bands(shape, tuple(int(rng.integers(0, max_depth(size) + 1)) for size in shape))
    references = tuple(None if k == 0 or rng.random() < 0.3 else int(rng.integers(k)) for k in range(volumes))
    return Layout(shape, bands, references)


def _wild(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    scale = float(rng.choice([0.1, 1.0, 30.0, 1e9]))
    return np.clip(rng.laplace(0, scale, shape) ** 3, -(2.0**31), 2.0**31 - 1).astype(np.int32)


def _streams(rng: np.random.Generator) -> None:
    from nnzip.coder.volumes import decode_volumes, encode_volumes, plan_volume
    from nnzip.errors import CorruptArchiveError

    layout = _layout(rng, int(rng.integers(1, 4)))
    volumes = [_wild(rng, layout.shape) for _ in layout.references]
    beside = [None if k is None else volumes[k] for k in layout.references]
    plans = [plan_volume(values, layout.bands, other) for values, other in zip(volumes, beside, strict=True)]
    streams = encode_volumes(plans, layout)
    for decoded, values in zip(decode_volumes(streams, layout), volumes, strict=True):
        np.testing.assert_array_equal(decoded, values)
    for _ in range(4):
        damaged = [_damaged(rng, stream) for stream in streams]
        other = layout if rng.random() < 0.7 else _layout(rng, len(volumes))
        with suppress(CorruptArchiveError):
            decode_volumes(damaged, other)


def _damaged(rng: np.random.Generator, stream: bytes) -> bytes:
    found = bytearray(stream)
    kind = rng.integers(4)
    if kind == 0:
        return bytes(rng.integers(0, 256, int(rng.integers(1, 400)), dtype=np.uint8)) + b"\1"
    if kind == 1:
        del found[int(rng.integers(len(found))) :]
    for _ in range(int(rng.integers(4)) if found else 0):
        found[int(rng.integers(len(found)))] = int(rng.integers(256))
    return bytes(found)


def _arrays(rng: np.random.Generator) -> None:
    """Plans that no planner made, subbands in any order, tables beyond the last one."""
    from nnzip.coder.contexts import Counts
    from nnzip.coder.native.kernel import Decoder, Encoder, shipped_kernel
    from nnzip.coder.native.volume import Planned, Volumes
    from nnzip.coder.rounding import Rounding
    from nnzip.errors import CorruptArchiveError

    kernel, layout = shipped_kernel(), _layout(rng, 1)
    assert kernel is not None
    reference = _wild(rng, layout.shape) if rng.random() < 0.5 else None
    most = int(rng.choice([72, 73, 256]))
    planned = Planned(
        _wild(rng, layout.shape),
        rng.integers(-(2**15), 2**15, layout.shape).astype(np.int16),
        rng.integers(0, most, layout.shape).astype(np.uint8),
        rng.integers(0, min(most, 25), layout.shape).astype(np.uint8),
    )
    corrections, silent = (rng.integers(0, most, count).astype(np.uint8) for count in (72, 2))
    volumes, encoder = Volumes(kernel, layout.shape, layout.bands, 2), Encoder(kernel)
    decoder = Decoder(kernel, _damaged(rng, b"\1" * 100) + b"\1")
    for band in rng.integers(-1, len(layout.bands) + 1, 2 * len(layout.bands)).tolist():
        try:
            volumes.push(encoder, band, planned, corrections, silent)
            number = int(rng.integers(-1, 3))
            volumes.pop(decoder, number, band, planned.values, reference, corrections, silent)
        except (ValueError, CorruptArchiveError):
            continue
    encoder.to_bytes()
    counts = Counts.none(len(layout.bands))
    rounding = None
    if rng.random() < 0.5:
        rounding = Rounding((planned.values + rng.normal(0, 1, layout.shape)).astype(np.float32), 0.1)
    Volumes(kernel, layout.shape, layout.bands).plan(planned, reference, **vars(counts), rounding=rounding)


def _transforms(rng: np.random.Generator) -> None:
    from nnzip.coder.native import transforms
    from nnzip.coder.native.kernel import shipped_kernel

    kernel = shipped_kernel()
    assert kernel is not None
    shape = tuple(rng.integers(1, 24, int(rng.integers(1, 5))).tolist())
    floats = rng.normal(0, 1, shape).astype(np.float32)
    integers = rng.integers(-(2**62), 2**62, shape)
    steps = [
        (int(rng.integers(-1, len(shape) + 1)), tuple(int(rng.integers(0, size + 2)) for size in shape))
        for _ in range(int(rng.integers(4)))
    ]
    for inverse in (False, True):
        try:
            depths = rng.integers(-1, 6, len(shape)).tolist()
            transforms.wavelet(kernel, floats, depths, rng.random(len(shape)) < 0.5, inverse=inverse)  # type: ignore[arg-type]
            transforms.interpolation(kernel, integers, steps, inverse=inverse)
        except ValueError:
            continue


if __name__ == "__main__":
    sys.exit(main())

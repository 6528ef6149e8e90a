#!/usr/bin/env python
"""Check numpy, the paths of the native kernel and this machine's GPU against each other, and measure what each gains.

    python scripts/gpu_check.py --output gpu.json                       # a GPU: 0.25 degrees, 24 hours, 4 variables
    python scripts/gpu_check.py --resolution 7.5 --hours 6 --values 1e5 # any machine, in seconds

All compute contexts in exact integers: each must code the bytes of numpy and decode what any other coded, one volume
at a time, and in whole archives processor and GPU. Ends with exit code 5 if a check fails. Without a GPU the others
remain.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import nnzip
from nnzip.coder.arrays import Device
from nnzip.coder.bands import Bands, wavelet_bands
from nnzip.coder.devices import cuda_problem, resolve_device
from nnzip.coder.native.library import CHOICE, NUMPY, paths
from nnzip.coder.volumes import Layout, decode_volumes, encode_volumes, plan_volume
from nnzip.doctor import examine
from nnzip.errors import VerificationError

VARIABLES = ["t2m", "msl", "u10", "v10"]
REPEATS = 3  # of a measurement, of which the fastest counts

Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Check:
    """A number that must not exceed its limit."""

    what: str
    found: float
    limit: float

    @property
    def passed(self) -> bool:
        """Also false for NaN."""
        return self.found <= self.limit


@dataclass(frozen=True)
class Speed:
    """A `rate` per second."""

    what: str
    device: str
    rate: float
    units: str


def main() -> None:
    """Everything, for the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="also write everything as JSON")
    parser.add_argument("--resolution", type=float, default=0.25, help="degrees, of the sample that is compressed")
    parser.add_argument("--hours", type=int, default=24, help="hourly times of the sample")
    parser.add_argument("--values", type=float, default=4e6, help="coefficients that are coded for their speed")
    arguments = parser.parse_args()
    names = ["cpu"] if cuda_problem() else ["cpu", "cuda"]
    devices: dict[str, Device] = dict.fromkeys((NUMPY, *paths()))
    devices |= {name: resolve_device(name) for name in names[1:]}
    checks, speeds = coded_alike(devices), coding_speeds(devices, int(arguments.values))
    more, whole = whole_archives(names, arguments.resolution, arguments.hours)
    checks, speeds = checks + more, speeds + whole
    show(Console(width=None if sys.stdout.isatty() else 160), checks, speeds)
    if arguments.output is not None:
        content = {
            "machine": asdict(examine()),
            "checks": [{**asdict(check), "passed": check.passed} for check in checks],
            "speeds": [asdict(speed) for speed in speeds],
        }
        arguments.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(check.passed for check in checks) else VerificationError.exit_code)


def coefficients(shape: tuple[int, int, int]) -> tuple[Integers, Bands]:
    """Heavy-tailed integers that thin out along every axis, as a wavelet's do, and their subbands."""
    decay = sum(np.meshgrid(*(np.arange(size) / size for size in shape), indexing="ij"))
    values = np.random.default_rng(0).laplace(0, 2, shape) ** 3 * np.exp(-2 * decay)
    return np.rint(values).astype(np.int32), wavelet_bands(shape, (2, 3, 3))


@contextmanager
def by(name: str) -> Iterator[None]:
    """Inside, a processor works this way: numpy, or a path of the kernel."""
    before = os.environ.pop(CHOICE, None)
    if name in (NUMPY, *paths()):
        os.environ[CHOICE] = name
    try:
        yield
    finally:
        os.environ.pop(CHOICE, None)
        if before is not None:
            os.environ[CHOICE] = before


def coded_alike(devices: Mapping[str, Device]) -> list[Check]:
    """Whether all devices code the same bytes, and each decodes what another coded."""
    values, bands = coefficients((9, 90, 181))
    layout = Layout(values.shape, bands, (None, 0))
    volumes = np.roll(values, 1, axis=2) + values // 2, values
    coded = {}
    for name, device in devices.items():
        with by(name):
            plans = [plan_volume(volumes[0], bands, None, device), plan_volume(volumes[1], bands, volumes[0], device)]
            coded[name] = encode_volumes(plans, layout)
    first = next(iter(coded.values()))
    different = sum(streams != first for streams in coded.values())
    checks = [Check("devices that code other bytes than the first", different, 0)]
    for maker, streams in coded.items():
        for reader, device in devices.items():
            with by(reader):
                decoded = decode_volumes(streams, layout, device)
            wrong = sum(int((there != here).sum()) for there, here in zip(decoded, volumes, strict=True))
            checks.append(Check(f"integers coded on {maker} that {reader} decodes otherwise", wrong, 0))
    return checks


def coding_speeds(devices: Mapping[str, Device], count: int) -> list[Speed]:
    """About so many coefficients per second: their contexts and counts, and decoding them."""
    side = max(int((count / 8) ** 0.5), 16)
    values, bands = coefficients((8, side, side))
    layout = Layout(values.shape, bands, (None,))
    streams = encode_volumes([plan_volume(values, bands, None)], layout)
    speeds = []
    for name, device in devices.items():
        for what, work in {
            "contexts and counts": lambda device=device: plan_volume(values, bands, None, device),
            "decoding": lambda device=device: decode_volumes(streams, layout, device),
        }.items():
            with by(name):
                speeds.append(Speed(what, name, values.size / fastest(work), "coefficients/s"))
    return speeds


def fastest(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of some runs; `work` ends with its result in the processor's memory."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def whole_archives(names: list[str], resolution: float, hours: int) -> tuple[list[Check], list[Speed]]:
    """The sample within the usual tolerances, made on every device and decoded on every device."""
    sample = nnzip.make_sample(resolution=resolution, hours=hours, step_hours=1, variables=VARIABLES).load()
    size = sum(4 * sample[name].size for name in VARIABLES)
    checks, speeds, digests = [], [], set()
    with tempfile.TemporaryDirectory() as folder:
        for maker in names:
            path = Path(folder) / f"{maker}.nnz"
            result = nnzip.compress(sample, path, nnzip.Target(max_error={}), device=maker)
            digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
            speeds.append(Speed(f"compress, ratio {result.ratio:.0f}", maker, size / result.seconds, "B/s"))
            for reader in names:
                started = time.perf_counter()
                with nnzip.open_archive(path, device=reader) as archive:
                    decoded = archive.dataset().load()
                    bounds = {name: archive.manifest.variables[name].bound or 0.0 for name in VARIABLES}
                seconds = time.perf_counter() - started
                speeds.append(Speed(f"decompress {path.name}", reader, size / seconds, "B/s"))
                for name in VARIABLES:
                    error = float(np.abs(decoded[name].to_numpy().astype("f8") - sample[name].to_numpy()).max())
                    checks.append(Check(f"error of {name}, made on {maker}, decoded on {reader}", error, bounds[name]))
    return [*checks, Check("archives beside the first that differ from it", len(digests) - 1, 0)], speeds


def show(console: Console, checks: list[Check], speeds: list[Speed]) -> None:
    """Two tables."""
    table = Table("check", "found", "limit", "result")
    for check in checks:
        table.add_row(check.what, f"{check.found:.3g}", f"{check.limit:.3g}", "passed" if check.passed else "FAILED")
    console.print(table)
    table = Table("speed", "device", "per second")
    for speed in speeds:
        table.add_row(speed.what, speed.device, f"{speed.rate / 1e6:.4g} M {speed.units.removesuffix('/s')}")
    console.print(table)


if __name__ == "__main__":
    main()

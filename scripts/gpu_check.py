#!/usr/bin/env python
"""Check nnzip on this machine's GPU against its processor, and measure its speed beside what the hardware allows.

    python scripts/gpu_check.py --output gpu.json                       # a GPU: 0.25 degrees, 24 hours, 4 variables
    python scripts/gpu_check.py --resolution 7.5 --hours 6 --points 1e5 # any machine, in seconds

Correctness: drift of field and wavelet from float64, tiny-cuda-nn's layout, equal bytes of the entropy coder, archives
made on either device decoded on the other within their bounds. Speed: training and decoding of the field per back end,
whole compressions. Ends with exit code 5 if a check fails. Without a GPU everything runs on the processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from gpu_coding import coded_alike, coding_rates, entropy_digest
from nnzip.field import network, selftest
from nnzip.field.backend import TinyCudaBackend, TorchBackend, tinycudann_problem, training_backend, weights_from_flat
from nnzip.field.device import CPU, resolve_device
from nnzip.field.model import LEVELS, Field, Scaling, network_inputs
from rich.console import Console
from rich.table import Table

import nnzip
from nnzip.coder.precision import exact_float32
from nnzip.data.axes import source_grid
from nnzip.doctor import examine
from nnzip.errors import VerificationError
from nnzip.plan.goals import GUARD
from nnzip.transform import wavelet

VARIABLES = ["t2m", "msl", "u10", "v10"]
GOALS = {"training": 500e6, "decoding": 2e9, "compress": 200e6, "decompress": 1e9}  # on one H200, per second
HALF_PRECISION = 0.02  # of the largest output: what a network in half precision may differ by


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
    """`rate` per second; `limit`: what bandwidth or arithmetic allow, whichever is less; `goal` on one H200."""

    what: str
    device: str
    rate: float
    units: str
    limit: float | None = None
    limited_by: str = ""
    goal: float | None = None


@dataclass(frozen=True)
class Hardware:
    """Measured on a device: bytes that a copy reads and writes, and float32 operations of a matrix product, per
    second."""

    bandwidth: float
    arithmetic: float


def main() -> None:
    """Everything, for the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="also write everything as JSON")
    parser.add_argument("--resolution", type=float, default=0.25, help="degrees, of the sample that is compressed")
    parser.add_argument("--hours", type=int, default=24, help="hourly times of the sample")
    parser.add_argument("--points", type=float, default=5e7, help="points of the field that is decoded for its speed")
    parser.add_argument("--no-whole", action="store_true", help="leave out the whole compressions, which take longest")
    arguments = parser.parse_args()
    device = resolve_device("auto")
    console = Console(width=None if sys.stdout.isatty() else 160)
    hardware = measure_hardware(device)
    checks = field_checks(device) + transform_checks(device) + coding_checks(device)
    if device.type == "cuda" and tinycudann_problem() is None:
        checks += layout_checks(device)
    speeds = field_speeds(device, hardware, int(arguments.points)) + coding_speeds(device, int(arguments.points / 4))
    show(console, checks, speeds)
    if not arguments.no_whole:
        more, whole = whole_archives(device, arguments.resolution, arguments.hours)
        show(console, more, whole)
        checks, speeds = checks + more, speeds + whole
    if arguments.output is not None:
        content = {
            "machine": asdict(examine()),
            "hardware": asdict(hardware),
            "entropy_digest": entropy_digest(),
            "checks": [{**asdict(check), "passed": check.passed} for check in checks],
            "speeds": [asdict(speed) for speed in speeds],
        }
        arguments.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(check.passed for check in checks) else VerificationError.exit_code)


def measure_hardware(device: torch.device) -> Hardware:
    """Of a large copy and a large product without TF32."""
    large = device.type == "cuda"
    source = torch.zeros(1 << (28 if large else 24), device=device)
    target = torch.empty_like(source)
    copying = selftest.fastest(lambda: target.copy_(source), device)
    size = 8192 if large else 1024
    matrix = torch.randn(size, size, device=device)
    with exact_float32(device):
        product = selftest.fastest(lambda: matrix @ matrix, device)
    return Hardware(2 * 4 * source.numel() / copying, 2 * size**3 / product)


def field_checks(device: torch.device) -> list[Check]:
    """Drift of a decoded field from float64, as a share of its range, on every device."""
    each = selftest.example(12, 48, 96)
    return [
        Check(f"drift of the field from float64, {where.type}", selftest.drift_of(each, where), GUARD)
        for where in {CPU.type: CPU, device.type: device}.values()
    ]


def transform_checks(device: torch.device) -> list[Check]:
    """Drift of the wavelet, there and back."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(17, 60, 121, generator=generator)
    depths, periodic = (2, 3, 4), (False, False, True)
    forward = wavelet.forward(values.to(device), depths, periodic)
    exact = wavelet.forward(values.double(), depths, periodic)
    back = wavelet.inverse(forward, depths, periodic).cpu()
    spread = float(values.max() - values.min())
    return [
        Check("drift of the wavelet from float64", float((forward.cpu() - exact).abs().max()) / spread, GUARD),
        Check("wavelet there and back", float((back - values).abs().max()) / spread, GUARD),
    ]


def coding_checks(device: torch.device) -> list[Check]:
    """That every device codes the same bytes and decodes the same integers."""
    return [Check(what, found, 0) for what, found in coded_alike(device).items()]


def coding_speeds(device: torch.device, values: int) -> list[Speed]:
    """Of the detail layer's coder on every device."""
    return [
        Speed(f"coder, {what}", where.type, rate, "values/s")
        for where in {device.type: device, CPU.type: CPU}.values()
        for what, rate in coding_rates(where, values if where.type == "cuda" else values // 20).items()
    ]


def layout_checks(device: torch.device) -> list[Check]:
    """tiny-cuda-nn with our weights, and its own weights in our network, as shares of the largest output."""
    found = []
    for inputs, width, hidden, outputs in ((10, 16, 2, 1), (17, 32, 2, 5), (37, 64, 1, 16), (64, 128, 3, 20)):
        shapes = network.layer_shapes(inputs, outputs, (width,) * hidden)
        backend = TinyCudaBackend(shapes, device)  # raises where the two functions differ
        theirs = weights_from_flat(backend.module.params.detach().float(), shapes)
        points = torch.randn(inputs, 1000, device=device, generator=torch.Generator(device).manual_seed(0))
        with torch.no_grad(), exact_float32(device):
            wanted = network.forward(theirs, points)
            error = float((backend.forward(theirs, points) - wanted).abs().max() / wanted.abs().max())
        found.append(Check(f"tinycudann's network {inputs}-{width}x{hidden}-{outputs}", error, HALF_PRECISION))
    return found


def field_speeds(device: torch.device, hardware: Hardware, points: int) -> list[Speed]:
    """Training per back end and decoding per device, beside the limits of the device that was measured."""
    each = selftest.example(2, 8, 16)
    shapes = selftest.training_shapes(each)
    weights = sum(rows * columns for rows, columns in shapes)
    traffic = 4 * (shapes[0][1] + 2 * shapes[-1][0])  # a fused kernel reads inputs and targets and writes nothing
    speeds = []
    backends = {"torch": TorchBackend(), training_backend(shapes, device).name: training_backend(shapes, device)}
    for name, backend in backends.items():
        rate = selftest.training_rate(each, device, backend)
        allowed = _limit(hardware, traffic, 6 * weights)
        speeds.append(Speed(f"training, {name}", device.type, rate, "samples/s", *allowed, GOALS["training"]))
    for where in {device.type: device, CPU.type: CPU}.values():
        field = large_field(where, points if where == device else points // 20)
        allowed = _limit(hardware, 4 * (LEVELS + 1), 2 * weights) if where == device else (None, "")
        rates = {"into memory": selftest.decoding_rate(field)}
        if where.type == "cuda":
            rates["stays on the GPU"] = evaluation_rate(field)
        for what, rate in rates.items():
            speeds.append(Speed(f"decoding, {what}", where.type, rate, "points/s", *allowed, GOALS["decoding"]))
    return speeds


def large_field(device: torch.device, points: int) -> Field:
    """A field of one channel with a network and about so many points; its values mean nothing."""
    rows = max(min(721, int((points / 2) ** 0.5)), 2)
    times = max(points // (2 * rows * rows), 1)
    latitude, longitude = np.linspace(90.0, -90.0, rows), np.arange(2 * rows) * 180.0 / rows
    grid = source_grid(np.arange(times, dtype=np.float64) * 3600, np.asarray(latitude), longitude, (True, True, True))
    features = torch.randn(1, LEVELS, *grid.shape, device=device)
    width = network.hidden_width(1)
    shapes = network.layer_shapes(network_inputs(1, (), grid), 1, (width, width))
    layers = tuple(torch.randn(shape, device=device) / shape[1] ** 0.5 for shape in shapes)
    maps = torch.zeros(1, 0, *grid.shape[1:], device=device)
    one = np.ones(1)
    return Field(grid, Scaling(0 * one, one, -9 * one, 9 * one), features, (), maps, layers)


def evaluation_rate(field: Field) -> float:
    """Points per second of `field` where the result stays on its device, time by time."""
    times, rows, columns = selftest.vertices(field.grid)

    def evaluate() -> None:
        for time_ in times:
            base, inputs = field.network_view(np.array([time_]), rows, columns)
            base + network.forward_in_blocks(field.weights, inputs).reshape(base.shape)

    with torch.no_grad():
        return field.features[0, 0].numel() / selftest.fastest(evaluate, field.features.device)


def whole_archives(device: torch.device, resolution: float, hours: int) -> tuple[list[Check], list[Speed]]:
    """The sample within the usual tolerances, made on every device and decoded on every device."""
    sample = nnzip.make_sample(resolution=resolution, hours=hours, step_hours=1, variables=VARIABLES).load()
    size = sum(4 * sample[name].size for name in VARIABLES)
    names = list(dict.fromkeys([device.type, CPU.type]))
    checks, speeds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for maker in names:
            path = Path(folder) / f"{maker}.nnz"
            result = nnzip.compress(sample, path, nnzip.Target(max_error={}), device=maker)
            what = f"compress, {size / 1e6:.0f} MB, ratio {result.ratio:.0f}"
            speeds.append(Speed(what, maker, size / result.seconds, "B/s", goal=GOALS["compress"]))
            for reader in names:
                started = time.perf_counter()
                with nnzip.open_archive(path, device=reader) as archive:
                    decoded = archive.dataset().load()
                    bounds = {name: archive.manifest.variables[name].bound or 0.0 for name in VARIABLES}
                seconds = time.perf_counter() - started
                speeds.append(Speed(f"decompress {path.name}", reader, size / seconds, "B/s", goal=GOALS["decompress"]))
                for name in VARIABLES:
                    error = float(np.abs(decoded[name].to_numpy().astype("f8") - sample[name].to_numpy()).max())
                    checks.append(Check(f"error of {name}, made on {maker}, decoded on {reader}", error, bounds[name]))
    return checks, speeds


def show(console: Console, checks: list[Check], speeds: list[Speed]) -> None:
    """Two tables."""
    table = Table("check", "found", "limit", "result")
    for check in checks:
        table.add_row(check.what, f"{check.found:.3g}", f"{check.limit:.3g}", "passed" if check.passed else "FAILED")
    console.print(table)
    table = Table("speed", "device", "per second", "hardware allows", "goal on one H200")
    for speed in speeds:
        limit = "" if speed.limit is None else f"{speed.limit / 1e6:.0f} M ({speed.limited_by})"
        goal = "" if speed.goal is None else f"{speed.goal / 1e6:.0f} M"
        rate = f"{speed.rate / 1e6:.4g} M {speed.units.removesuffix('/s')}"
        table.add_row(speed.what, speed.device, rate, limit, goal)
    console.print(table)


def _limit(hardware: Hardware, traffic: float, operations: float) -> tuple[float | None, str]:
    """Items per second, each of `traffic` bytes and `operations`, and what sets it."""
    limits = {"bandwidth": hardware.bandwidth / traffic, "arithmetic": hardware.arithmetic / operations}
    by = min(limits, key=lambda name: limits[name])
    return limits[by], by


if __name__ == "__main__":
    main()

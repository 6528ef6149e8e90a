"""What a benchmark holds, as it is written to JSON and read back."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import msgspec
from bench_measure import Errors


class Wanted(msgspec.Struct, frozen=True):
    """One run: exactly one of a ratio, a size and an absolute bound (`label`: its row in peers.json)."""

    label: str
    ratio: float | None = None
    size: int | None = None
    bound: float | None = None


class Cost(msgspec.Struct, frozen=True):
    """Seconds by the clock, and of processor time (of all threads): the steadier figure on a machine that is shared."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Run(msgspec.Struct, frozen=True):
    """What one run gave; `failure` alone where it was refused. `metadata_bytes`: of the file, all but its layers."""

    label: str
    bytes: int = 0
    metadata_bytes: int = 0
    errors: Errors | None = None
    violations: int | None = None
    encode: Cost = Cost()
    decode: Cost = Cost()
    failure: str | None = None


class CaseResult(msgspec.Struct):
    """All runs of a case, peak memory of both processes, and what differs from the peers' data."""

    runs: dict[str, Run] = {}
    encode_peak_bytes: int = 0
    decode_peak_bytes: int = 0
    idle_bytes: int = 0
    source_bytes: int = 0
    differences: list[str] = []


class Machine(msgspec.Struct, frozen=True):
    """Where and with what the figures were made."""

    processor: str
    cores: int
    threads: int
    python: str
    versions: dict[str, str]
    date: str
    effort: str


class Rate(msgspec.Struct, frozen=True):
    """Something that is done so many times a second."""

    what: str
    per_second: float
    unit: str


class Results(msgspec.Struct):
    """Everything a benchmark found."""

    machine: Machine
    cases: dict[str, CaseResult] = {}
    speed: list[Rate] = []


def describe_machine(effort: str) -> Machine:
    """The machine and the versions of what computes here."""
    packages = ("nnzip", "torch", "numpy", "xarray", "constriction", "netCDF4", "cfgrib")
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1,
        python=platform.python_version(),
        versions={package: version(package) for package in packages},
        date=time.strftime("%Y-%m-%d"),
        effort=effort,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

"""What this machine has for nnzip, what is missing and how to get it, and whether its devices compute right."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

import nnzip
from nnzip.field import selftest
from nnzip.field.backend import describe_error, tinycudann_problem, training_backend
from nnzip.field.device import CPU, cuda_problem
from nnzip.field.payload import read_field
from nnzip.plan.goals import GUARD

_GRID = (8, 24, 48)  # of the self-test: times, rows, columns
_TORCH_INDEX = "https://download.pytorch.org/whl"
_TINYCUDANN = "git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch"


@dataclass(frozen=True)
class Gpu:
    """A CUDA device; `capability` is its compute capability, "9.0"."""

    name: str
    memory_bytes: int
    free_bytes: int
    capability: str


@dataclass(frozen=True)
class SelfTest:
    """What a device did: points decoded and samples trained per second, drift from float64 as a share of the range.

    `problem`: why it may not be used; None: it may.
    """

    device: str
    backend: str
    decoded_per_second: float
    trained_per_second: float
    drift: float
    problem: str | None


@dataclass(frozen=True)
class Diagnosis:
    """All that `examine` found. `*_problem`: why something cannot be used; None: it can. `remedies`: commands."""

    nnzip: str
    python: str
    system: str
    torch: str
    torch_cuda: str | None
    driver: str | None
    gpus: tuple[Gpu, ...]
    cuda_problem: str | None
    tinycudann_problem: str | None
    nvcc: str | None
    cdsapi_installed: bool
    cdsapi_key: str | None
    cores: int
    free_memory_bytes: int | None
    free_disk_bytes: int
    tests: tuple[SelfTest, ...]
    remedies: tuple[str, ...]

    @property
    def failed(self) -> tuple[SelfTest, ...]:
        """Self-tests that a device did not pass."""
        return tuple(test for test in self.tests if test.problem is not None)


def examine() -> Diagnosis:
    """Look at everything and test every kind of device. Takes some seconds; needs no network and never raises."""
    no_cuda, no_tinycudann = cuda_problem(), tinycudann_problem()
    gpus = () if no_cuda else tuple(_gpu(index) for index in range(torch.cuda.device_count()))
    driver = driver_version()
    devices = [CPU] if no_cuda else [CPU, torch.device("cuda")]
    return Diagnosis(
        nnzip=nnzip.__version__,
        python=platform.python_version(),
        system=platform.platform(),
        torch=torch.__version__,
        torch_cuda=torch.version.cuda,
        driver=driver,
        gpus=gpus,
        cuda_problem=no_cuda,
        tinycudann_problem=no_tinycudann,
        nvcc=shutil.which("nvcc"),
        cdsapi_installed=find_spec("cdsapi") is not None,
        cdsapi_key=cdsapi_key(),
        cores=os.cpu_count() or 1,
        free_memory_bytes=free_memory(),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        tests=tuple(_test(device) for device in devices),
        remedies=tuple(remedies(no_cuda, no_tinycudann, driver, torch.version.cuda, gpus)),
    )


def remedies(
    no_cuda: str | None, no_tinycudann: str | None, driver: str | None, torch_cuda: str | None, gpus: tuple[Gpu, ...]
) -> list[str]:
    """What to do, in sentences with commands; nothing for a machine without an NVIDIA driver, which needs nothing."""
    found = []
    if no_cuda and driver is not None:
        if torch_cuda is None:
            found.append("torch was built without CUDA, the one on PyPI has it: pip install --force-reinstall torch")
        else:
            older = "cu126" if torch_cuda.startswith("13") else "cu118"
            found.append(
                f"torch needs a driver for CUDA {torch_cuda}; this one is {driver}. Update it "
                "(https://www.nvidia.com/drivers), or take a torch for an older CUDA: "
                f"pip install --force-reinstall torch --index-url {_TORCH_INDEX}/{older}"
            )
    if gpus and no_tinycudann:
        architectures = ";".join(sorted({gpu.capability.replace(".", "") for gpu in gpus}))
        found.append(
            f"training is faster with tiny-cuda-nn; it is compiled here, with nvcc of CUDA {torch_cuda} and a C++ "
            "compiler: pip install ninja wheel 'setuptools<81' && "
            f"TCNN_CUDA_ARCHITECTURES='{architectures}' pip install --no-build-isolation {_TINYCUDANN!r}"
        )
    return found


def driver_version() -> str | None:
    """Version of the NVIDIA driver, as nvidia-smi or Linux have it; None: there is none."""
    command = shutil.which("nvidia-smi")
    if command is not None:
        query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.split()[0]
    loaded = Path("/sys/module/nvidia/version")
    return loaded.read_text(encoding="ascii").strip() if loaded.is_file() else None


def cdsapi_key() -> str | None:
    """Where a key for the Climate Data Store is, never the key itself; None: there is none."""
    if os.environ.get("CDSAPI_KEY"):
        return "CDSAPI_KEY"
    path = Path(os.environ.get("CDSAPI_RC", "~/.cdsapirc")).expanduser()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = any(line.partition(":")[0].strip() == "key" and line.partition(":")[2].strip() for line in lines)
    return str(path) if found else None


def free_memory() -> int | None:
    """Bytes of memory that programs may take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    available = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(available[0]) if available else None


def _gpu(index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return Gpu(properties.name, total, free, f"{properties.major}.{properties.minor}")


def _test(device: torch.device) -> SelfTest:
    """Whatever goes wrong on a device is its problem, not ours."""
    try:
        each = selftest.example(*_GRID)
        found = selftest.drift_of(each, device)
        backend = training_backend(selftest.training_shapes(each), device)
        field = selftest.untrained_network(each, read_field(each.payload, each.grid, each.channels, device))
        decoded, trained = selftest.decoding_rate(field), selftest.training_rate(each, device, backend, steps=20)
    except Exception as error:
        return SelfTest(device.type, "torch", 0.0, 0.0, float("inf"), describe_error(error))
    wrong = None if found <= GUARD else f"it drifts by {found:.2g} of the range; bounds leave {GUARD:.2g}"
    return SelfTest(device.type, backend.name, decoded, trained, found, wrong)

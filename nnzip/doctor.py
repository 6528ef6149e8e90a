"""What this machine has for nnzip, what is missing and how to get it, and whether its devices compute right."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from nnzip.coder.bands import wavelet_bands
from nnzip.coder.devices import contexts_are_exact, cuda_problem
from nnzip.coder.native.library import NUMPY, chosen_path
from nnzip.coder.volumes import Layout, decode_volumes, encode_volumes, plan_volume
from nnzip.version import __version__

_SHAPE = (4, 128, 256)  # of the self-test's volume
_TORCH_INDEX = "https://download.pytorch.org/whl"


@dataclass(frozen=True)
class Gpu:
    """A CUDA device; `capability` is its compute capability, "9.0"."""

    name: str
    memory_bytes: int
    free_bytes: int
    capability: str


@dataclass(frozen=True)
class SelfTest:
    """Coefficients of a volume coded and decoded per second; `problem`: why the device may not be used."""

    device: str
    encoded_per_second: float
    decoded_per_second: float
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
    kernel: str
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
    no_cuda = cuda_problem()
    gpus = () if no_cuda else tuple(_gpu(index) for index in range(torch.cuda.device_count()))
    driver = driver_version()
    devices = [None] if no_cuda else [None, torch.device("cuda")]
    return Diagnosis(
        nnzip=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        torch=torch.__version__,
        torch_cuda=torch.version.cuda,
        driver=driver,
        gpus=gpus,
        cuda_problem=no_cuda,
        kernel=chosen_path(),
        cdsapi_installed=find_spec("cdsapi") is not None,
        cdsapi_key=cdsapi_key(),
        cores=os.cpu_count() or 1,
        free_memory_bytes=free_memory(),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        tests=tuple(_test(device) for device in devices),
        remedies=tuple(remedies(no_cuda, driver, torch.version.cuda, chosen_path())),
    )


def remedies(no_cuda: str | None, driver: str | None, torch_cuda: str | None, kernel: str) -> list[str]:
    """What to do, in sentences with commands; nothing for a machine that needs nothing."""
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
    if kernel == NUMPY:
        found.append(
            "the native kernel is not there, numpy does its work many times slower: install a C compiler (sudo apt "
            "install gcc) and nnzip again (pip install --force-reinstall --no-deps nnzip)"
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


def _test(device: Any) -> SelfTest:
    """Any exception is reported as a failed self-test."""
    name = "processor" if device is None else str(device)
    try:
        if not contexts_are_exact(device):
            return SelfTest(name, 0.0, 0.0, "its whole numbers differ from the processor's")
        values = np.rint(np.random.default_rng(0).laplace(0, 0.7, _SHAPE)).astype(np.int32)
        layout = Layout(_SHAPE, wavelet_bands(_SHAPE, (0, 4, 5)), (None,))
        started = perf_counter()
        streams = encode_volumes([plan_volume(values, layout.bands, None, device)], layout)
        encoded = perf_counter()
        (decoded,) = decode_volumes(streams, layout, device)
        seconds = encoded - started, perf_counter() - encoded
    except Exception as error:
        return SelfTest(name, 0.0, 0.0, f"{type(error).__name__}: {error}".splitlines()[0])
    problem = None if np.array_equal(decoded, values) else "it decodes other numbers than were coded"
    return SelfTest(name, values.size / seconds[0], values.size / seconds[1], problem)

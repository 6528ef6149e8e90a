"""This machine's coder, GPU, packages and keys, and remedies for missing ones."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from nnzip.coder.devices import cuda_problem
from nnzip.coder.native import library
from nnzip.version import __version__

_TORCH_INDEX = "https://download.pytorch.org/whl"


@dataclass(frozen=True)
class Gpu:
    """A CUDA device; `capability` is its compute capability, "9.0"."""

    name: str
    memory_bytes: int
    free_bytes: int
    capability: str


@dataclass(frozen=True)
class Diagnosis:
    """Findings of `examine`. `kernel`: the path of the coder's kernel, or "numpy"; `kernels`: those to choose from.

    `torch`: its version, None without it. `*_problem`: why something cannot be used; None: it can. `remedies`:
    sentences with commands.
    """

    nnzip: str
    python: str
    system: str
    kernel: str | None
    kernels: tuple[str, ...]
    kernel_problem: str | None
    torch: str | None
    torch_cuda: str | None
    driver: str | None
    gpus: tuple[Gpu, ...]
    cuda_problem: str | None
    cdsapi_key: str | None
    cores: int
    free_memory_bytes: int | None
    free_disk_bytes: int
    remedies: tuple[str, ...]


def examine() -> Diagnosis:
    """Look at everything. Takes some seconds; needs no network and never raises."""
    kernel, kernel_problem = coder_kernel()
    torch_version, torch_cuda, no_cuda = _torch()
    gpus = () if no_cuda else _gpus()
    driver = driver_version()
    return Diagnosis(
        nnzip=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        kernel=kernel,
        kernels=(library.NUMPY, *library.paths()),
        kernel_problem=kernel_problem,
        torch=torch_version,
        torch_cuda=torch_cuda,
        driver=driver,
        gpus=gpus,
        cuda_problem=no_cuda,
        cdsapi_key=cdsapi_key(),
        cores=os.cpu_count() or 1,
        free_memory_bytes=free_memory(),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        remedies=tuple(
            filter(None, [library.compiler_problem(), *remedies(no_cuda, driver, torch_version, torch_cuda)])
        ),
    )


def coder_kernel() -> tuple[str | None, str | None]:
    """The path that codes on the processor ("avx2", "numpy"), and why there is none."""
    try:
        return library.chosen_path(), None
    except ValueError as error:
        return None, str(error)


def remedies(no_cuda: str | None, driver: str | None, torch: str | None, torch_cuda: str | None) -> list[str]:
    """Sentences with commands; none for a machine without an NVIDIA driver, which needs nothing."""
    if not no_cuda or driver is None:
        return []
    if torch is None:
        return ["a GPU needs torch: pip install 'nnzip[gpu]'"]
    if torch_cuda is None:
        return ["torch was built without CUDA, the one on PyPI has it: pip install --force-reinstall torch"]
    older = "cu126" if torch_cuda.startswith("13") else "cu118"
    return [
        f"torch needs a driver for CUDA {torch_cuda}; this one is {driver}. Update it "
        "(https://www.nvidia.com/drivers), or take a torch for an older CUDA: "
        f"pip install --force-reinstall torch --index-url {_TORCH_INDEX}/{older}"
    ]


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


def _torch() -> tuple[str | None, str | None, str | None]:
    """Version of torch, of the CUDA it was built for, and why no GPU can be used."""
    try:
        import torch
    except ImportError:
        return None, None, cuda_problem()
    return str(torch.__version__), torch.version.cuda, cuda_problem()


def _gpus() -> tuple[Gpu, ...]:
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        found.append(Gpu(properties.name, total, free, f"{properties.major}.{properties.minor}"))
    return tuple(found)

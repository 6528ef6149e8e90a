"""`nnzip doctor`: this machine's coder, GPU, packages and keys, and remedies for missing ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from nnzip.cli import options
from nnzip.cli.terminal import Terminal, session
from nnzip.errors import UnavailableError
from nnzip.report import numbers

if TYPE_CHECKING:
    from nnzip.doctor import Diagnosis


EXAMPLES = ("nnzip doctor",)


def doctor(
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what this machine has for nnzip (coder, GPU, driver, packages, keys), and whether its GPU computes right."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        from nnzip.doctor import examine

        found = examine()
        if json:
            terminal.json(asdict(found))
        else:
            show(terminal, found)
        if found.kernel_problem is not None:
            raise UnavailableError(found.kernel_problem)


def show(terminal: Terminal, found: Diagnosis) -> None:
    """Print the diagnosis on one screen."""
    memory = "unknown" if found.free_memory_bytes is None else numbers.file_size(found.free_memory_bytes)
    gpus = [
        f"{gpu.name}, {numbers.file_size(gpu.free_bytes)} of {numbers.file_size(gpu.memory_bytes)} free, "
        f"compute capability {gpu.capability}"
        for gpu in found.gpus
    ]
    key = f"key: {found.cdsapi_key}" if found.cdsapi_key else "no key (https://cds.climate.copernicus.eu/how-to-api)"
    cuda = "without CUDA" if found.torch_cuda is None else f"CUDA {found.torch_cuda}"
    rows = [
        ("nnzip", found.nnzip),
        ("Python", f"{found.python} on {found.system}"),
        ("coder", f"{found.kernel or found.kernel_problem} (of {', '.join(found.kernels)})"),
        ("torch", f"{found.torch}, {cuda}" if found.torch else "not installed (only needed for a GPU)"),
        ("NVIDIA driver", found.driver or "none"),
        ("GPU", "; ".join(gpus) or f"none that works: {found.cuda_problem}"),
        ("Climate Data Store", key),
        ("free", f"{memory} of memory, {numbers.file_size(found.free_disk_bytes)} of disk here; {found.cores} cores"),
    ]
    terminal.table(("what", "found"), rows)
    for remedy in found.remedies:
        terminal.data(f"\n{remedy}")

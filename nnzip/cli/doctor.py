"""`nnzip doctor`: what this machine has, what is missing and how to get it, and a self-test of its devices."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from nnzip.cli import options
from nnzip.cli.terminal import Terminal, session
from nnzip.errors import UnavailableError, VerificationError
from nnzip.report import numbers

if TYPE_CHECKING:
    from nnzip.doctor import Diagnosis


def doctor(
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what this machine has for nnzip (GPU, driver, packages, keys), and test its devices."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        from nnzip.doctor import examine

        found = examine()
        if json:
            terminal.json(asdict(found))
        else:
            show(terminal, found)
        for test in found.failed:
            kind = VerificationError if test.drift < float("inf") else UnavailableError
            raise kind(f"the self-test failed on {test.device}: {test.problem}")


def show(terminal: Terminal, found: Diagnosis) -> None:
    """Print the diagnosis on one screen."""
    memory = "unknown" if found.free_memory_bytes is None else numbers.file_size(found.free_memory_bytes)
    gpus = [
        f"{gpu.name}, {numbers.file_size(gpu.free_bytes)} of {numbers.file_size(gpu.memory_bytes)} free, "
        f"compute capability {gpu.capability}"
        for gpu in found.gpus
    ]
    cds = found.cdsapi_key or "no key (https://cds.climate.copernicus.eu/how-to-api)"
    rows = [
        ("nnzip", found.nnzip),
        ("Python", f"{found.python} on {found.system}"),
        ("torch", f"{found.torch}, {'without CUDA' if found.torch_cuda is None else f'CUDA {found.torch_cuda}'}"),
        ("NVIDIA driver", found.driver or "none"),
        ("GPU", "; ".join(gpus) or f"none that works: {found.cuda_problem}"),
        ("tinycudann", found.tinycudann_problem or "found"),
        ("nvcc", found.nvcc or "none (only needed to install tinycudann)"),
        ("Climate Data Store", f"{'cdsapi' if found.cdsapi_installed else 'cdsapi is not installed'}, {cds}"),
        ("free", f"{memory} of memory, {numbers.file_size(found.free_disk_bytes)} of disk here; {found.cores} cores"),
    ]
    terminal.table(("what", "found"), rows)
    terminal.data("")
    terminal.table(
        ("self-test", "trains with", "samples/s", "decodes points/s", "drift of the range", "result"),
        [
            (
                test.device,
                test.backend,
                numbers.number(test.trained_per_second),
                numbers.number(test.decoded_per_second),
                numbers.number(test.drift),
                test.problem or "passed",
            )
            for test in found.tests
        ],
        right=(2, 3, 4),
    )
    for remedy in found.remedies:
        terminal.data(f"\n{remedy}")

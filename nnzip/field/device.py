"""Which device computes, and in how large blocks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch

from nnzip.coder.exactness import contexts_are_exact
from nnzip.errors import ResourceError, UnavailableError

CPU = torch.device("cpu")


def resolve_device(name: str) -> torch.device:
    """The device called `name`: "auto" (CUDA if it works), "cpu" or "cuda".

    Raises UnavailableError for "cuda" where it does not work.
    """
    problem = None if name == "cpu" else cuda_problem()
    if name == "cuda" and problem is not None:
        raise UnavailableError(
            f"no CUDA device can be used: {problem}. Use --device cpu; `nnzip doctor` says what is missing"
        )
    return CPU if name == "cpu" or problem is not None else torch.device("cuda")


@lru_cache(maxsize=1)
def cuda_problem() -> str | None:
    """Why CUDA does not work here (no GPU, a driver too old, torch without CUDA) in one line; None where it works.

    Runs kernels, once per process: a torch that was not built for this GPU fails only then, and a GPU whose contexts
    are not those of the processor must not code. Takes up to seconds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of is raised too
        try:
            torch.ones(1, device="cuda").add_(1).item()
            exact = contexts_are_exact(torch.device("cuda"))
        except (RuntimeError, AssertionError) as error:
            return str(error).strip().splitlines()[0].rstrip(".")
    return None if exact else "its whole numbers differ from the processor's, so nothing else could read what it codes"


def count_gpus(device: torch.device) -> int:
    """GPUs among which work for `device` can be spread; 0 for a processor."""
    return torch.cuda.device_count() if device.type == "cuda" else 0


def in_blocks(times: int, rows: int, rows_together: int, work: Callable[[slice, slice], None]) -> None:
    """`work` on every part (times, rows) of a product grid, about `rows_together` rows of it at once.

    Blocks become smaller where the GPU's memory does not hold them. Raises ResourceError where it does not hold a row.
    """
    done, size = 0, max(rows_together, 1)
    while done < times * rows:
        time, row = divmod(done, rows)
        if row == 0 and size >= rows:
            block = slice(time, min(time + size // rows, times)), slice(0, rows)
        else:
            block = slice(time, time + 1), slice(row, min(row + size, rows))
        try:
            work(*block)
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise _out_of_memory(error) from error
            size = max(min(size, times * rows) // 2, 1)
        else:
            done += (block[0].stop - block[0].start) * (block[1].stop - block[1].start)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn running out of GPU memory into ResourceError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(error) from error


def _out_of_memory(error: Exception) -> ResourceError:
    first = str(error).strip().splitlines()[0]
    return ResourceError(
        f"the GPU's memory is too small for this ({first}): free it, take fewer variables, or use --device cpu"
    )

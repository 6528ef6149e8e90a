"""Which device computes, how exactly, and in how large blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nnzip.coder import exactness
from nnzip.coder.coefficients import plan_coding
from nnzip.coder.precision import exact_float32
from nnzip.errors import ResourceError, UnavailableError
from nnzip.field import device
from nnzip.field.device import CPU, cuda_problem, in_blocks, memory_errors, resolve_device

OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver.\nMore."


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cuda_problem.cache_clear()
    yield
    cuda_problem.cache_clear()


def failing(error: Exception) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_the_processor_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("problem", "expected"), [("no GPU", "cpu"), (None, "cuda")])
def test_automatic_takes_a_gpu_where_one_works(
    monkeypatch: pytest.MonkeyPatch, problem: str | None, expected: str
) -> None:
    monkeypatch.setattr(device, "cuda_problem", lambda: problem)
    assert resolve_device("auto").type == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(UnavailableError, match=r"no CUDA device can be used: .*--device cpu.*nnzip doctor") as raised:
        resolve_device("cuda")
    assert raised.value.exit_code == 6
    assert resolve_device("auto").type == "cpu"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError(OLD_DRIVER), r"driver on your system is too old \(found version 11040\)\. Please update"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), "no kernel image"),
        (AssertionError("Torch not compiled with CUDA enabled"), "not compiled with CUDA"),
    ],
)
def test_why_a_gpu_cannot_be_used(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    """What torch raises in these cases, raised where torch starts CUDA."""
    monkeypatch.setattr(torch, "ones", failing(error))
    with pytest.raises(UnavailableError, match=message) as raised:
        resolve_device("cuda")
    assert "\n" not in str(raised.value)


def test_a_gpu_that_computes_other_contexts_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel that is tried and the device's contexts run on the processor here."""
    ones, plan = torch.ones, plan_coding
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))
    monkeypatch.setattr(device, "contexts_are_exact", lambda _: exactness.contexts_are_exact(CPU))
    assert resolve_device("cuda") == torch.device("cuda")
    cuda_problem.cache_clear()

    def planned(*arguments: Any) -> Any:
        found = plan(*arguments)
        plans.append(found)
        found.tables.view(-1)[7] += len(plans) == 2
        return found

    plans: list[Any] = []
    monkeypatch.setattr(exactness, "plan_coding", planned)
    with pytest.raises(UnavailableError, match="nothing else could read what it codes"):
        resolve_device("cuda")
    assert len(plans) == 2


def test_products_are_exact_whatever_the_caller_allows() -> None:
    """On a processor, "medium" computes in bfloat16 where the hardware has it, and autocast everywhere."""
    left, right = torch.rand(64, 64), torch.rand(64, 64)
    wanted = left @ right
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (left @ right).dtype == torch.bfloat16
            with exact_float32(torch.device("cpu")):
                assert torch.equal(left @ right, wanted)
            assert (left @ right).dtype == torch.bfloat16
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def precision() -> str:
    """Of products on a GPU, as torch 2.9 and later call it, or of all products as earlier ones do."""
    return getattr(torch.backends.cuda.matmul, "fp32_precision", None) or torch.get_float32_matmul_precision()


def test_precision_is_put_back_by_the_last_thread_that_leaves() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        allowed = precision()
        first, second = exact_float32(CPU), exact_float32(CPU)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert precision() in ("ieee", "highest")
        second.__exit__(None, None, None)
        assert precision() == allowed
        assert allowed in ("tf32", "medium")
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("times", "rows", "together"), [(1, 1, 0), (5, 3, 7), (5, 3, 2), (2, 4, 100), (3, 4, 4)])
def test_blocks_cover_the_grid_once(times: int, rows: int, together: int) -> None:
    seen = torch.zeros(times, rows)

    def work(time: slice, row: slice) -> None:
        seen[time, row] += 1
        assert seen[time, row].numel() <= max(together, 1)

    in_blocks(times, rows, together, work)
    assert bool((seen == 1).all())


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 11])
def test_blocks_shrink_until_they_fit(limit: int) -> None:
    """`limit` rows fit the memory: larger blocks fail as torch fails, and leave what they computed before."""
    seen, failures = torch.zeros(5, 3), []

    def work(time: slice, row: slice) -> None:
        if seen[time, row].numel() > limit:
            failures.append(seen[time, row].numel())
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        seen[time, row] += 1

    in_blocks(5, 3, 1000, work)
    assert bool((seen == 1).all())
    assert failures == sorted(failures, reverse=True)


def test_memory_that_holds_nothing_is_a_resource_error() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 8 MiB free.\nMore.")
    with pytest.raises(ResourceError, match=r"memory is too small.*2\.00 GiB.*--device cpu") as raised:
        in_blocks(2, 2, 4, failing(error))  # type: ignore[arg-type]
    assert raised.value.exit_code == 7
    with pytest.raises(ResourceError, match=r"memory is too small"), memory_errors():
        raise error

"""Which device computes contexts, and the check that keeps a device that computes others from coding."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch

from nnzip.coder import context_network, devices
from nnzip.coder.devices import contexts_are_exact, cuda_problem, resolve_device
from nnzip.errors import UnavailableError
from tests.support.coefficient_examples import CODE_OF_A_GPU


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    cuda_problem.cache_clear()
    yield
    cuda_problem.cache_clear()


def test_the_processor_needs_no_check() -> None:
    assert resolve_device("auto") is None
    assert resolve_device("cpu") is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_an_error_with_its_cause() -> None:
    with pytest.raises(UnavailableError, match=r"no CUDA device can be used: .+\. Use --device cpu"):
        resolve_device("cuda")


def test_a_gpu_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnavailableError, match=r"torch is not installed \(pip install 'nnzip\[gpu\]'\)"):
        resolve_device("cuda")


def test_a_device_is_exact_where_its_contexts_are_those_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert contexts_are_exact(CODE_OF_A_GPU)
    network = context_network.shipped_network(CODE_OF_A_GPU)
    first, second, third = network.weights
    rounded = context_network.ContextNetwork((first.half().float() * 1.001, second, third), network.biases)
    shipped = context_network.shipped_network
    monkeypatch.setattr(
        "nnzip.coder.context_model.shipped_network", lambda device: shipped() if device is None else rounded
    )
    assert not contexts_are_exact(CODE_OF_A_GPU)


def test_a_gpu_that_is_not_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ones:
        def add_(self, _: int) -> Ones:
            return self

        def item(self) -> float:
            return 2.0

    monkeypatch.setattr(torch, "ones", lambda *_, **__: Ones())
    monkeypatch.setattr(devices, "contexts_are_exact", lambda _: False)
    with pytest.raises(UnavailableError, match="its whole numbers differ from the processor's"):
        resolve_device("cuda")

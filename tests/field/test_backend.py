"""Back ends of the training: tiny-cuda-nn's layout by hand, its Python API by a stand-in, fallbacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from nnzip.errors import NnzipWarning
from nnzip.field import backend, network
from nnzip.field.backend import (
    Backend,
    TinyCudaBackend,
    TorchBackend,
    flat_weights,
    tinycudann_problem,
    training_backend,
    weights_from_flat,
)
from nnzip.field.training import Training, train_network
from tests.support import fake_tinycudann

CPU = torch.device("cpu")
SHAPES = [(16, 5), (16, 16), (2, 16)]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test sees the tinycudann of another."""
    sys.modules.pop("tinycudann", None)
    yield
    sys.modules.pop("tinycudann", None)


@pytest.fixture
def tinycudann(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", fake_tinycudann)


def random_weights(shapes: list[tuple[int, int]], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) / shape[1] ** 0.5 for shape in shapes]


def test_layout_by_hand() -> None:
    """Matrices one after another, rows one after another; zeros to the right of the first and below the last."""
    first = torch.arange(1.0, 33.0).reshape(16, 2)
    last = -torch.arange(1.0, 17.0).reshape(1, 16)
    flat = flat_weights([first, last])
    assert flat.shape == (16 * 16 + 16 * 16,)
    assert flat[:18].tolist() == [1.0, 2.0, *[0.0] * 14, 3.0, 4.0]
    assert flat[15 * 16 : 15 * 16 + 3].tolist() == [31.0, 32.0, 0.0]
    assert flat[256:272].tolist() == [-float(n) for n in range(1, 17)]
    assert not flat[272:].any()


def test_layout_of_hidden_layers_has_no_padding() -> None:
    weights = random_weights([(32, 17), (32, 32), (32, 32), (16, 32)])
    flat = flat_weights(weights)
    assert flat.numel() == 32 * 32 + 2 * 32 * 32 + 16 * 32
    assert torch.equal(flat[1024:2048].reshape(32, 32), weights[1])
    assert torch.equal(flat[3072:].reshape(16, 32), weights[3])


@pytest.mark.parametrize("shapes", [SHAPES, [(128, 16), (16, 128)], [(64, 33), (64, 64), (64, 64), (40, 64)]])
def test_weights_come_back_from_the_layout(shapes: list[tuple[int, int]]) -> None:
    weights = random_weights(shapes)
    for found, wanted in zip(weights_from_flat(flat_weights(weights), shapes), weights, strict=True):
        assert torch.equal(found, wanted)
    with pytest.raises(ValueError, match="parameters; layers"):
        weights_from_flat(torch.zeros(100), shapes)


def test_fused_network_is_the_same_function(tinycudann: None) -> None:
    weights, inputs = random_weights(SHAPES), torch.randn(5, 300, generator=torch.Generator().manual_seed(1))
    found, wanted = TinyCudaBackend(SHAPES, CPU).forward(weights, inputs), network.forward(weights, inputs)
    assert found.dtype == torch.float32
    assert found.shape == (2, 300)
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.01)


def test_gradients_reach_the_canonical_weights(tinycudann: None) -> None:
    inputs = torch.randn(5, 300, generator=torch.Generator().manual_seed(1))
    gradients = []
    for each in (TorchBackend(), TinyCudaBackend(SHAPES, CPU)):
        weights = [weight.requires_grad_() for weight in random_weights(SHAPES)]
        each.forward(weights, inputs).square().mean().mul(100).backward()  # type: ignore[no-untyped-call]
        gradients.append([weight.grad for weight in weights])
    for found, wanted in zip(gradients[1], gradients[0], strict=True):
        assert found is not None
        assert wanted is not None
        assert float((found - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def losses(each: Backend, magnitude: float) -> list[float]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(5, 4096, generator=generator)
    targets = magnitude * torch.stack([inputs[0].abs(), inputs[1] * 0.5])
    started = network.initial_weights(SHAPES, generator)
    seen: list[float] = []
    training = Training(200, batch=1024, backend=each)
    train_network(started, inputs, targets, torch.ones(4096), training, lambda _, loss, __: seen.append(loss))
    return seen


@pytest.mark.parametrize("magnitude", [1.0, 1e-3])
def test_half_precision_learns_as_well(magnitude: float, tinycudann: None) -> None:
    """With targets of 1e-3 the gradients of the mean loss are below half precision's 6e-8: only scaled ones arrive."""
    reference, found = losses(TorchBackend(), magnitude), losses(TinyCudaBackend(SHAPES, CPU), magnitude)
    assert found[-1] < 0.1 * found[0]
    assert found[-1] < 3 * reference[-1] + 1e-3 * magnitude**2


def test_processors_train_with_torch(tinycudann: None) -> None:
    assert training_backend(SHAPES, CPU).name == "torch"


def test_a_gpu_trains_with_tinycudann_where_it_is_installed(tinycudann: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_CHECKED_POINTS", 0)  # no GPU to compute on here
    monkeypatch.setattr(TinyCudaBackend, "_check", lambda *_: None)
    assert training_backend(SHAPES, torch.device("cuda")).name == "tinycudann"


@pytest.mark.skipif(find_spec("tinycudann") is not None, reason="tinycudann is installed")
def test_without_tinycudann_torch_trains_silently() -> None:
    assert training_backend(SHAPES, torch.device("cuda")).name == "torch"
    assert tinycudann_problem() == "not installed"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "raise EnvironmentError('Unknown compute capability. Ensure PyTorch with CUDA support is installed.')",
            "OSError",
        ),
        ("raise ImportError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_bindings", "no_such_bindings"),
        ("", "Network"),
    ],
)
def test_broken_tinycudann_is_named_and_not_used(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tinycudann.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(NnzipWarning, match=f"tinycudann is not used, PyTorch trains instead: .*{reason}"):
        assert training_backend(SHAPES, torch.device("cuda")).name == "torch"
    if source:
        problem = tinycudann_problem()
        assert problem is not None
        assert reason in problem


@pytest.mark.parametrize("shapes", [[(24, 5), (2, 24)], [(16, 5), (32, 16), (2, 32)], [(256, 5), (2, 256)]])
def test_widths_that_are_not_compiled_fall_back(shapes: list[tuple[int, int]], tinycudann: None) -> None:
    with pytest.warns(NnzipWarning, match=r"hidden layers of \[.*16, 32, 64, 128"):
        assert training_backend(shapes, torch.device("cuda")).name == "torch"


class TransposedNetwork(fake_tinycudann.Network):
    """Another version of tiny-cuda-nn that stores its hidden layer column by column."""

    def forward(self, x: Tensor) -> Tensor:
        flat, second = self.params.detach().clone(), slice(256, 512)
        flat[second] = flat[second].reshape(16, 16).T.flatten()
        changed: Tensor = torch.func.functional_call(
            fake_tinycudann.Network(16, 16, self.config), {"params": flat}, (x,)
        )
        return changed

    def __init__(self, n_input_dims: int, n_output_dims: int, network_config: dict[str, object]) -> None:
        super().__init__(n_input_dims, n_output_dims, network_config)
        self.config = network_config


class LargerNetwork(fake_tinycudann.Network):
    def __init__(self, n_input_dims: int, n_output_dims: int, network_config: dict[str, object]) -> None:
        super().__init__(n_input_dims + 16, n_output_dims, network_config)


@pytest.mark.parametrize(("kind", "message"), [(TransposedNetwork, "other values"), (LargerNetwork, "parameters")])
def test_another_layout_is_noticed(kind: type, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("tinycudann")
    monkeypatch.setattr(other, "Network", kind, raising=False)
    monkeypatch.setitem(sys.modules, "tinycudann", other)
    with pytest.raises((RuntimeError, ValueError), match=message):
        TinyCudaBackend(SHAPES, CPU)

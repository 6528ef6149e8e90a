"""The perceptron against NumPy, and its 8-bit weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnzip.field import network

SHAPES = network.layer_shapes(7, 3, (16, 32))


def weights(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def test_layers_have_tiny_cuda_nns_shapes() -> None:
    assert SHAPES == [(16, 7), (32, 16), (3, 32)]
    assert {network.hidden_width(channels) for channels in range(1, 200)} <= {16, 32, 64, 128}


def test_forward_is_a_plain_perceptron() -> None:
    inputs = torch.randn((7, 50), generator=torch.Generator().manual_seed(1))
    layers = [weight.double().numpy() for weight in weights()]
    hidden = np.maximum(layers[0] @ inputs.double().numpy(), 0)
    expected = layers[2] @ np.maximum(layers[1] @ hidden, 0)
    np.testing.assert_allclose(network.forward(weights(), inputs).numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("points", [1, network.BLOCK_POINTS, network.BLOCK_POINTS + 1])
def test_blocks_do_not_change_it(points: int) -> None:
    inputs = torch.randn((7, points), generator=torch.Generator().manual_seed(2))
    found = network.forward_in_blocks(weights(), inputs)
    torch.testing.assert_close(found, network.forward(weights(), inputs), rtol=1e-4, atol=1e-4)


def test_an_untrained_network_changes_nothing() -> None:
    fresh = network.initial_weights(SHAPES, torch.Generator().manual_seed(3))
    assert [tuple(weight.shape) for weight in fresh] == SHAPES
    assert not network.forward(fresh, torch.randn(7, 5)).any()
    assert float(fresh[1].std()) == pytest.approx((2 / 16) ** 0.5, rel=0.2)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 0.02, 1.0, 63.6, 127.0, 1e9])
def test_quantised_weights_are_8_bit_multiples_of_a_power_of_two(scale: float) -> None:
    weight = weights()[0] / weights()[0].abs().max() * scale
    step = float(network.quantisation_step(weight))
    assert np.log2(step) == int(np.log2(step))
    found = network.quantised(weight) / step
    assert torch.equal(found, found.round())
    assert float(found.abs().max()) <= network.WEIGHT_LIMIT
    if scale > 1e-6:
        assert float(found.abs().max()) > network.WEIGHT_LIMIT / 2 - 1
    assert float((network.quantised(weight) - weight).abs().max()) <= step / 2


def test_quantising_again_changes_nothing() -> None:
    once = network.quantised(weights()[1])
    assert network.quantisation_step(once) == network.quantisation_step(weights()[1])
    assert torch.equal(network.quantised(once), once)


def test_gradients_pass_through_rounding() -> None:
    weight = weights()[0].requires_grad_()
    network.quantised(weight).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones_like(weight))

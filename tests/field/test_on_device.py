"""The field on a device whose memory is its own.

torch's "meta" device computes shapes only, refuses operands that lie on the processor, as a GPU does, and has nothing
to copy to it: what runs here mixes no devices and copies nothing back.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnzip.field import network
from nnzip.field.backend import flat_weights
from nnzip.field.encoder import Encoded, encode_segment
from nnzip.field.enhancement import _draw
from nnzip.field.model import LEVELS, Field, Scaling, network_inputs
from nnzip.field.payload import Network, build_field
from nnzip.field.preparation import Transformed, prepare, transform
from nnzip.field.training import Training, train_network
from nnzip.transform import wavelet
from tests.support.field_examples import make_grid, smooth, vertices

META = torch.device("meta")
GRID = make_grid(24, 16, 32, whole_globe=True, step=10800.0)
CHANNELS = 2
CYCLES = (0, 1, 2)
SHAPES = network.layer_shapes(network_inputs(CHANNELS, CYCLES, GRID), CHANNELS, (32, 32))


def on_meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device=META)


@pytest.fixture(scope="module")
def encoded() -> tuple[Transformed, Encoded]:
    source = prepare(smooth((CHANNELS, *GRID.shape)), GRID, [1, 1])
    transformed = transform(source, with_cycles=True)
    return transformed, encode_segment(transformed, 2000, Network(), lambda _: None, fixed=100, start=0.1)


def test_the_device_refuses_what_lies_elsewhere() -> None:
    with pytest.raises(RuntimeError, match="device"):
        on_meta(3) + torch.ones(3)
    with pytest.raises(RuntimeError, match="meta"):
        float(on_meta(1))


def test_training_copies_nothing_to_the_processor_between_its_reports() -> None:
    started = [on_meta(*shape) for shape in SHAPES]
    inputs, targets = on_meta(SHAPES[0][1], 2048), on_meta(CHANNELS, 2048)
    reports: list[float] = []
    steps = 24  # the 25th is reported
    trained = train_network(
        started, inputs, targets, on_meta(CHANNELS, 2048), Training(steps, 512), lambda *_: reports.append(0.0)
    )
    assert [weight.device for weight in trained] == [META] * 3
    assert not reports
    assert flat_weights(trained).device == META


@pytest.mark.parametrize("between", [0.0, 0.25])
def test_evaluation_stays_on_the_device(between: float) -> None:
    one = np.ones(CHANNELS)
    features = on_meta(CHANNELS, LEVELS, *GRID.shape)
    weights = tuple(on_meta(*shape) for shape in SHAPES)
    field = Field(GRID, Scaling(one, one, one, one), features, CYCLES, on_meta(CHANNELS, 3, *GRID.shape[1:]), weights)
    times, rows, columns = vertices(GRID)
    base, inputs = field.network_view(times[:-1], rows[:-1] + between, columns + between)
    assert base.device == inputs.device == network.forward_in_blocks(weights, inputs).device == META
    assert inputs.shape == (SHAPES[0][1], base[0].numel())


def test_features_are_built_and_drawn_on_the_device(encoded: tuple[Transformed, Encoded]) -> None:
    transformed, found = encoded
    source = transformed.source
    field = build_field(found.header, source.scaling, found.quantised.channels, Network(), GRID, META)
    assert field.features.device == field.maps.device == META
    samples = _draw(source, found, torch.Generator().manual_seed(0), META)
    assert {part.device for part in (samples.inputs, samples.base, samples.wanted, samples.weights)} == {META}


def test_wavelets_stay_on_the_device() -> None:
    values = on_meta(CHANNELS, *GRID.shape)
    coefficients = wavelet.forward(values, (1, 2, 2), GRID.periodic)
    assert wavelet.inverse(coefficients, (1, 2, 2), GRID.periodic).shape == values.shape
    assert coefficients.device == META

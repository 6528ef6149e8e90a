"""Training of the context network: its loss and gradients, its arithmetic, and that it learns what the coder asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from train_context import __main__ as command
from train_context import collection, network
from train_context.samples import HEADER_BITS, Samples, asked

from nnzip.coder.bands import wavelet_bands
from nnzip.coder.context import CONSTANTS, ROWS
from nnzip.coder.context_network import SHIFTS
from nnzip.coder.context_weights import SHAPES, stored_network
from nnzip.coder.entropy import SIGN_CLASSES, TABLES
from nnzip.coder.phases import PHASES
from nnzip.coder.volumes import Layout, plan_volume
from nnzip.sample.sample import make_sample
from tests.coder.test_context import smooth

INPUTS = ROWS + CONSTANTS


def samples(shape: tuple[int, ...] = (4, 40, 40)) -> Samples:
    """Of a volume and another that refers to it."""
    bands, first = wavelet_bands(shape, (0, 2, 2)), smooth(shape)
    second = first + smooth(shape, 1, 2.0)
    plans = [plan_volume(first, bands, None), plan_volume(second, bands, first)]
    found = asked(plans, Layout(shape, bands, (None, 0)), (0, 1), np.random.default_rng(0))
    assert found is not None
    return found


def test_samples_are_the_symbols_that_the_coder_asks_about() -> None:
    shape = (4, 40, 40)
    found = samples(shape)
    values = smooth(shape)
    plan = plan_volume(values, wavelet_bands(shape, (0, 2, 2)), None)
    alone = asked([plan], Layout(shape, wavelet_bands(shape, (0, 2, 2)), (None,)), (0,), np.random.default_rng(0))
    assert alone is not None
    rest = values.astype(np.int64) - plan.contexts.offsets
    heard = plan.contexts.tables > 0
    assert alone.rest.size == heard.sum()
    np.testing.assert_array_equal(np.sort(np.abs(alone.rest)), np.sort(np.abs(rest[heard])))
    assert found.inputs.shape == (found.rest.size, INPUTS)
    assert set(found.phases.tolist()) == set(range(len(PHASES)))


def test_thinned_samples_weigh_as_much_as_all() -> None:
    found = samples()
    thin = found.thinned(500, np.random.default_rng(1))
    assert thin.rest.size == 500
    assert thin.weights.sum() == pytest.approx(found.weights.sum(), rel=1e-3)


def test_samples_come_back_from_a_file(tmp_path: Path) -> None:
    found = samples()
    found.save(tmp_path / "samples.npz")
    again = Samples.load(tmp_path / "samples.npz")
    for name in ("inputs", "rest", "phases", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_loss_and_gradients_are_those_of_torch() -> None:
    rng = np.random.default_rng(0)
    shape = len(PHASES), 300
    inputs = rng.integers(0, 100, (*shape, INPUTS)).astype(np.uint8)
    rest = np.rint(3 * rng.standard_normal(shape) ** 3).astype(np.float32)
    weights = rng.random(shape).astype(np.float32)
    layers = network.first_layers()
    layers[0][0, 0, 0] = 3.0  # beyond what an int8 holds
    loss, gradients = network._gradients(layers, inputs, rest, weights)
    expected, wanted = _torch(layers, *(torch.from_numpy(array) for array in (inputs, rest, weights)))
    assert loss == pytest.approx(expected, rel=1e-4)
    for ours, theirs, each in zip(gradients, wanted, (*SHAPES[0], *SHAPES[1]), strict=True):
        assert ours.shape == each
        assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999
    assert gradients[0][0, 0, 0] == 0


def _torch(layers: network.Layers, *batch: torch.Tensor) -> tuple[float, list[np.ndarray]]:
    """Loss and gradients by definition: a two-sided geometric law with odds 2^(table/4 - 10), and a signed preference
    of sqrt(2) per class; what is rounded passes gradients."""
    inputs, rest, weights = batch
    given = [torch.tensor(array, requires_grad=True) for array in layers]
    w0, w1, w2 = (_whole(array.clamp(-127 / 64, 127 / 64), 1 / 64) for array in given[:3])
    b0, b1, b2 = (_whole(array, unit) for array, unit in zip(given[3:], (1 / 1024, 1 / 4096, 1 / 4096), strict=True))
    hidden = _activated(torch.einsum("pni,phi->pnh", inputs.float() / 16, w0) + b0[:, None])
    outputs = _activated(hidden @ w1.T + b1) @ w2.T + b2
    tables = (outputs[..., 0] * 8 - 0.5).clamp(1, TABLES - 1)
    classes = (outputs[..., 1] * 4 - 0.5).clamp(-(SIGN_CLASSES // 2), SIGN_CLASSES // 2)
    odds = 2 ** (tables.double() / 4 - 10)
    some = odds / (1 + odds)
    magnitude = torch.log(some) + torch.log(1 - some**2) + 2 * (rest.abs() - 1) * torch.log(some)
    towards = functional.logsigmoid(classes * rest.sign() * np.log(2) / 2)
    bits = torch.where(rest == 0, -torch.log(1 - some), -magnitude - towards) / np.log(2)
    loss = (bits * weights).sum()
    loss.backward()
    return loss.item(), [array.grad.numpy() for array in given if array.grad is not None]


def _whole(values: torch.Tensor, unit: float) -> torch.Tensor:
    return values + (torch.round(values / unit) * unit - values).detach()


def _activated(values: torch.Tensor) -> torch.Tensor:
    capped = values.clamp(0, 255 / 64)
    return capped + (torch.floor(capped * 64) / 64 - capped).detach()


def test_units_are_those_of_the_coder() -> None:
    assert 2.0 ** -SHIFTS[0] == network.INPUT_UNIT
    assert 2.0 ** -SHIFTS[1] == network.UNIT
    shipped = network.integers(network.shipped_layers())
    for kind, arrays in zip(("weights", "biases"), stored_network(), strict=True):
        for number, array in enumerate(arrays):
            np.testing.assert_array_equal(shipped[f"{kind}{number}"], array)


def test_training_learns_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "BATCH", 256)
    monkeypatch.setattr(network, "POOL", 4096)
    found = samples()
    before = network.size_of(network.first_layers(), found)
    layers = network.train(found, 60)
    assert network.size_of(layers, found) < 0.95 * before
    for array, again in zip(layers, network.train(found, 60), strict=True):
        np.testing.assert_array_equal(array, again)
    assert np.float64(1e-310) / 2 > 0, "the smallest numbers are still numbers in this process"


def test_the_size_is_that_of_the_plan() -> None:
    """But for silent coefficients, side information and the header."""
    shape = (4, 64, 64)
    bands, values = wavelet_bands(shape, (0, 2, 2)), smooth(shape)
    plan = plan_volume(values, bands, None)
    found = asked([plan], Layout(shape, bands, (None,)), (0,), np.random.default_rng(0))
    assert found is not None
    bits = network.size_of(network.shipped_layers(), found) * (8 * plan.bytes + HEADER_BITS)
    assert 0.95 < bits / (8 * plan.bytes) < 1.05


def test_from_files_to_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = make_sample(hours=8).isel(latitude=slice(0, 40), longitude=slice(0, 40))[["t2m"]]
    monkeypatch.setattr(collection, "make_sample", lambda hours: small)
    monkeypatch.setattr(network, "BATCH", 256)
    monkeypatch.setattr(network, "POOL", 4096)
    (tmp_path / "era5_2016.nc").write_bytes(b"no data")
    folder, output = tmp_path / "samples", tmp_path / "network.npz"
    monkeypatch.setattr("sys.argv", ["train_context", "collect", str(tmp_path), str(folder)])
    assert command.main() == 0
    assert "era5_2016.nc is left out" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["built-in sample.npz"]
    monkeypatch.setattr("sys.argv", ["train_context", "train", str(folder), "--steps", "5", "-o", str(output)])
    assert command.main() == 0
    assert "built-in sample: " in capsys.readouterr().out
    with np.load(output, allow_pickle=False) as written:
        assert [written[f"weights{n}"].shape for n in range(3)] == list(SHAPES[0])
        assert written["weights0"].dtype == np.int8
        assert written["trained_on"].tolist() == ["built-in sample"]

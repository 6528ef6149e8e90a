"""Training of the context network: its loss, its arithmetic, and that it learns what the coder asks."""

from __future__ import annotations

from pathlib import Path

import context_training
import numpy as np
import pytest
import torch
import train_context
import xarray as xr

from nnzip.coder import context
from nnzip.coder.bands import wavelet_bands
from nnzip.coder.context_network import ContextNetwork, shipped_network
from nnzip.coder.entropy import SIGN_CLASSES
from nnzip.coder.phases import PHASES
from nnzip.sample.sample import make_sample
from tests.coder.test_context import smooth
from tests.support.coefficient_examples import tensor

INPUTS = context.ROWS + context.CONSTANTS


def samples(shape: tuple[int, ...] = (4, 40, 40)) -> context_training.Samples:
    bands = wavelet_bands(shape, (0, 2, 2))
    coded = [tensor(smooth(shape)), tensor(smooth(shape) + smooth(shape, 1, 2.0))]
    parts = train_context._channels(coded, bands, [2], np.random.default_rng(0))
    return context_training.Samples.joined(list(parts))


def test_bits_are_those_of_a_two_sided_geometric_law_with_a_signed_preference() -> None:
    odds, preference = 2.0 ** (37 / 4 - 10), 2.0 ** (3 / 2)
    some = odds / (1 + odds)
    rest = torch.tensor([0.0, 1.0, -1.0, 5.0])
    towards = np.array([1, preference, 1, preference]) / (1 + preference)
    expected = np.array([1 - some, *(some * (1 - some**2) * some ** (2 * (k - 1)) for k in (1, 1, 5))])
    expected[1:] *= towards[1:]
    found = context_training.bits(torch.full((4,), 37.0), torch.full((4,), 3.0), rest)
    np.testing.assert_allclose(found, -np.log2(expected), rtol=1e-5)


def test_the_trained_network_computes_what_the_coder_will() -> None:
    trained = context_training.TrainedNetwork()
    with torch.no_grad():
        trained.weights[2] *= 4
        trained.biases[0] += torch.linspace(-0.5, 0.5, 32)
    arrays = trained.arrays()
    network = ContextNetwork(
        *(tuple(arrays[f"{kind}{i}"].astype(np.float32) for i in range(3)) for kind in ("weights", "biases"))
    )
    inputs = np.random.default_rng(0).integers(0, 128, (len(PHASES), 200, INPUTS)).astype(np.float32)
    with torch.no_grad():
        tables, classes = trained([torch.from_numpy(part) * context_training.INPUT_UNIT for part in inputs])
    directions = np.ones(1, dtype=np.int32)
    for phase, part in enumerate(inputs):
        for i, row in enumerate(part):
            rows = row[: context.ROWS, None].copy()
            batch = context.Batch(np.zeros(1, np.intp), np.arange(context.ROWS), rows, rows, directions, directions)
            table, sign = network.evaluate(batch, tuple(row[context.ROWS :].astype(int).tolist()), phase)
            assert abs(int(table[0]) - float(tables[200 * phase + i])) <= 0.51
            assert abs(int(sign[0]) - SIGN_CLASSES // 2 - float(classes[200 * phase + i])) <= 0.51


def test_samples_stand_for_all() -> None:
    found = samples()
    thin = found.thinned(500, np.random.default_rng(1))
    assert thin.rest.size == 500
    assert thin.counts.sum() == pytest.approx(found.counts.sum(), rel=0.2)
    assert thin.bits == found.bits
    assert found.inputs.shape == (found.rest.size, INPUTS)
    assert set(found.phases.tolist()) == set(range(len(PHASES)))


def test_training_learns(capsys: pytest.CaptureFixture[str]) -> None:
    found = samples()
    before = context_training.size_of(context_training.TrainedNetwork(), found)
    network = context_training.train([found], 40)
    after = context_training.size_of(network, found)
    assert after < 0.95 * before
    again = context_training.train([found], 40)
    for name, array in network.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])


def test_the_shipped_network_is_near_its_planned_size() -> None:
    """The size that training minimises is what the coder needs, but for silent coefficients and side information."""
    found = samples()
    network = context_training.TrainedNetwork()
    shipped = shipped_network()
    with torch.no_grad():
        for i, unit in enumerate(context_training._BIAS_UNITS):
            network.weights[i].copy_(torch.from_numpy(shipped.weights[i] * np.float32(context_training.UNIT)))
            network.biases[i].copy_(torch.from_numpy(shipped.biases[i] * np.float32(unit)))
    assert 0.9 < context_training.size_of(network, found) / found.bits < 1.1


def test_the_script_writes_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = make_sample(hours=8).isel(latitude=slice(0, 40), longitude=slice(0, 40))[["t2m"]]
    monkeypatch.setattr(train_context, "make_sample", lambda hours: small)
    monkeypatch.setattr(train_context, "RATES", (1.0,))
    monkeypatch.setattr(train_context, "STEPS", (1e-2,))
    (tmp_path / "era5_2016.nc").write_bytes(b"no data")
    output = tmp_path / "network.npz"
    monkeypatch.setattr("sys.argv", ["train_context.py", "--data", str(tmp_path), "--steps", "5", "-o", str(output)])
    assert train_context.main() == 0
    with np.load(output, allow_pickle=False) as written:
        assert written["weights0"].shape == (len(PHASES), 32, INPUTS)
        assert written["weights0"].dtype == np.int8
        assert written["trained_on"].tolist() == [
            "the built-in sample at 1.0 bits",
            "the built-in sample interpolated to 0.01",
        ]


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_context, "make_sample", lambda hours: xr.Dataset())
    (tmp_path / "era5_2016.nc").write_bytes(b"no data")
    assert [found for found, _ in train_context.datasets([tmp_path])] == ["the built-in sample"]

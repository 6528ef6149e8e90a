"""Training: gradients are those of the loss, what diverges or does not fit a GPU is noticed, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import nnzip
from nnzip.errors import InputError, ResourceError
from nnzip.network import training
from nnzip.network.grids import HashGrid
from nnzip.network.inputs import PAIRS, SINGLE
from nnzip.network.model import Model
from nnzip.network.network import Architecture, Domain
from nnzip.network.passes import Pass

DAY = 86400.0
ASKED = nnzip.Options(nnzip.Target(ratio=20), mode="network", effort="fast")


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    return nnzip.make_sample(resolution=7.5, hours=18, variables=["t2m"])


@pytest.mark.parametrize("log2_size", [20, 9])
@pytest.mark.parametrize("picked", [True, False])
def test_slopes_are_those_of_the_loss(log2_size: int, picked: bool) -> None:
    """Against differences of the loss in float64, in threads and alone."""
    dice = np.random.default_rng(1)
    axes = np.linspace(0, 4 * DAY, 97), np.linspace(40, 30, 11), np.linspace(10, 25, 16)
    domain = Domain((10.0, 40.0, 0.0), (25.0, 30.0, 4 * DAY), (0.6, 0.4, 0.65), (15, 10, 96))
    grids = HashGrid(2, 3, 2, log2_size, 7), HashGrid(3, 3, 2, log2_size, 7)
    design = Architecture(domain, *grids, SINGLE + PAIRS, (16, 16), 3)
    model = Model(design, axes, dice.standard_normal((3, 2)).astype(np.float32), 0, "cpu")
    for group, size in ((model.features, 3.0), (model.weights, 6.0)):
        group.all.copy_(torch.from_numpy(size * dice.standard_normal(group.all.numel())))
    times = np.sort(dice.choice(97, 9, replace=False))
    rows = np.array([1, 5, 6, 9]) if picked else None
    shape = 3, 9, 4 if picked else 11, 16
    values, weights = (dice.standard_normal(shape).astype(np.float32) for _ in range(2))
    model.block = 200
    loss = float(Pass(model, times, rows, rounded=False).descend(values, np.abs(weights)))
    found = [group.slope.clone() for group in (model.features, model.weights)]
    Pass(model, times, rows, rounded=False).descend(values, np.abs(weights), map, 3)
    torch.testing.assert_close(model.features.slope, found[0], rtol=1e-3, atol=1e-5)
    model.finish_slopes(0.0)
    for group in (model.features, model.weights):
        step = group.slope * (2e-3 * loss / float((group.slope**2).sum()))
        before, foretold = group.all.clone(), float((group.slope * step).sum())
        ends = []
        for sign in (1, -1):
            group.all.copy_(before + sign * step)
            outputs = Pass(model, times, rows, rounded=False).outputs().double().numpy()
            ends.append(float((np.square(outputs - values) * np.abs(weights)).mean()))
        group.all.copy_(before)
        assert (ends[0] - ends[1]) / 2 == pytest.approx(foretold, rel=0.02)


def test_training_that_diverges_begins_again_more_slowly(
    weather: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = training._FEATURE_RATE, training._WEIGHT_RATE
    rates = []
    descend = training._Descent.descend

    def watched(self: training._Descent, *asked: object) -> bool:
        rates.append(self._rate)
        return descend(self, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr(training._Descent, "descend", watched)
    for rate in (1e4, kept[1]):
        monkeypatch.setattr(training, "_WEIGHT_RATE", rate)
        path = tmp_path / f"{rate}.nnz"
        if rate == kept[1]:
            nnzip.compress(weather, path, ASKED)
            assert rates[3:] == [1.0]
        else:
            with pytest.raises(InputError, match="diverges at every learning rate"):
                nnzip.compress(weather, path, ASKED)
            assert rates == pytest.approx([1.0, 0.3, 0.09])
            assert not list(tmp_path.iterdir())


def test_a_gpu_without_memory_gets_smaller_blocks_and_then_an_error(
    weather: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, most, refused = Pass._forward, 1 << 20, []

    def full(self: Pass, some: slice) -> list[torch.Tensor]:
        if (some.stop - some.start) * 25 * 48 > most:
            refused.append(some)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, some)

    monkeypatch.setattr(Pass, "_forward", full)
    nnzip.compress(weather, tmp_path / "whole.nnz", ASKED)
    most = 2500
    nnzip.compress(weather, tmp_path / "parts.nnz", ASKED)
    assert 0 < len(refused) < 5
    most = 0
    with pytest.raises(ResourceError, match="--device cpu") as found:
        nnzip.compress(weather, tmp_path / "none.nnz", ASKED)
    assert found.value.exit_code == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.nnz", "whole.nnz"]


def test_an_estimate_comes_before_and_during_the_training(weather: xr.Dataset, tmp_path: Path) -> None:
    said = nnzip.estimate(weather, ASKED)
    moments: list[nnzip.Progress] = []
    result = nnzip.compress(weather, tmp_path / "a.nnz", ASKED, progress=moments.append)
    assert said.file_bytes == pytest.approx(result.file_bytes, rel=0.05)
    assert said.seconds > 0
    (estimate,) = [moment.estimate for moment in moments if moment.estimate is not None]
    assert estimate.file_bytes == said.file_bytes
    assert any("RMSE of t2m" in moment.stage and "K" in moment.stage for moment in moments)
    left = [moment.seconds_left for moment in moments if moment.seconds_left is not None]
    assert left[-1] < left[0]

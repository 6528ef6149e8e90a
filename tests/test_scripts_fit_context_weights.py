"""The fit of the context model's weights: its likelihood, planted weights, and the module it writes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import fit_context_weights
import numpy as np
import pytest
import torch
import xarray as xr

import nnzip.transform.context_weights
from nnzip.transform import context
from nnzip.transform.bands import wavelet_bands
from nnzip.transform.context_weights import FRACTION_BITS, WEIGHTS


def test_the_module_is_written_as_it_is() -> None:
    weights = {(r, p, phase): WEIGHTS[r][p][phase] for r, p, phase in product((0, 1), (0, 1), range(8))}
    module = Path(nnzip.transform.context_weights.__file__)
    assert fit_context_weights.render(weights) == module.read_text(encoding="utf-8")


def test_bits_are_those_of_a_two_sided_geometric_law() -> None:
    ratio = 0.7
    mean = torch.tensor([2 * ratio / (1 - ratio**2)] * 4)
    magnitudes = torch.tensor([0.0, 1.0, 2.0, 9.0])
    probabilities = (1 - ratio) / (1 + ratio) * ratio ** magnitudes.numpy()
    np.testing.assert_allclose(fit_context_weights.bits(mean, magnitudes), -np.log2(probabilities), rtol=1e-5)


def test_planted_weights_are_found_whatever_the_scale_of_a_dataset() -> None:
    rng = np.random.default_rng(0)
    planted = np.array([0.3, 0, 0.15, 0, 0, 0.1, 0, 0])
    datasets = []
    for scale in (0.5, 2.0):
        features = rng.geometric(0.3, (8, 6_000)).astype(np.float32) - 1
        features[[1, 3, 6, 7]] = 0
        mean = scale * planted @ features + 1e-9
        ratio = (np.sqrt(1 + mean**2) - 1) / mean
        zero = rng.random(mean.size) < (1 - ratio) / (1 + ratio)
        datasets.append((features, np.where(zero, 0, rng.geometric(1 - ratio)).astype(np.int32)))
    found = np.array(fit_context_weights.fit((0, 1, 0), datasets)) / 2**FRACTION_BITS
    np.testing.assert_allclose(found / found[0], planted / planted[0], atol=0.12)
    assert fit_context_weights.fit((0, 0, 0), []) == (0,) * 8


def test_contexts_are_what_the_coder_meets() -> None:
    coefficients = np.random.default_rng(1).integers(-2, 3, (4, 16, 16)).astype(np.int32)
    bands = wavelet_bands(coefficients.shape, (0, 2, 2))
    seen = 0
    for kind, features, magnitudes in fit_context_weights.contexts(coefficients, bands, coefficients):
        assert kind[0] == 1
        assert features.shape == (len(context.FEATURES), magnitudes.size)
        np.testing.assert_array_equal(features[6], magnitudes)  # the reference is the array itself
        assert features.any(axis=0).all()
        seen += magnitudes.size
    assert coefficients.size / 2 < seen <= coefficients.size


@pytest.mark.parametrize("name", ["era5_2016.nc", "a.txt"])
def test_files_that_cannot_be_read_are_left_out(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_context_weights, "make_sample", lambda hours: xr.Dataset())
    (tmp_path / name).write_bytes(b"no data")
    names = [found for found, _ in fit_context_weights.datasets([tmp_path])]
    assert names == ["the built-in sample"]
    assert ("left out" in capsys.readouterr().err) == name.endswith(".nc")

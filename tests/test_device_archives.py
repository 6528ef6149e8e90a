"""Whole archives made and read with the code of a GPU, on the processor: the same bytes, the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from tests.support.coefficient_examples import code_of_a_gpu


def sample() -> xr.Dataset:
    """Smooth, rainy and missing values; several channels of a variable."""
    made = nnzip.make_sample(resolution=10.0, hours=6, step_hours=3, variables=["t2m", "tp", "sst"]).load()
    levels = xr.concat([made["t2m"], made["t2m"] - 30, made["t2m"] * 0.9], "level").transpose(
        "valid_time", "level", ...
    )
    return made.assign(t=levels.assign_attrs(units="K"))


@pytest.mark.parametrize(
    "target",
    [
        nnzip.Target(max_error={"t": 0.05, "t2m": 0.5, "tp": 1e-4, "sst": 0.02}),
        nnzip.Target(ratio=10),
        nnzip.Target(rmse={None: "0.5%"}),
    ],
    ids=["bound", "ratio", "rmse"],
)
def test_archives_do_not_depend_on_the_device(tmp_path: Path, target: nnzip.Target) -> None:
    original = sample()
    here, there = tmp_path / "here.nnz", tmp_path / "there.nnz"
    nnzip.compress(original, here, target, effort="fast")
    with code_of_a_gpu():
        nnzip.compress(original, there, target, effort="fast")
        with nnzip.open_archive(here) as archive:
            decoded = archive.dataset().load()
    assert here.read_bytes() == there.read_bytes()
    with nnzip.open_archive(there) as archive:
        for name, values in archive.dataset().load().data_vars.items():
            np.testing.assert_array_equal(decoded[name], values)


def test_promises_are_kept_with_the_code_of_a_gpu(tmp_path: Path) -> None:
    original, path = sample()[["t2m"]], tmp_path / "promises.nnz"
    with code_of_a_gpu():
        result = nnzip.compress(
            original, path, nnzip.Target(max_error={"t2m": 1.0}), effort="fast", promises=["extremes p95:0.05"]
        )
    nnzip.verify(path)
    assert result.promises["t2m"][0].violations == 0
    assert result.promise_bytes["t2m"] > 0

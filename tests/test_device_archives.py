"""Whole archives made and read with the code of a GPU, on the processor: the same bytes, the same values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import xarray as xr

import nnzip
from tests.support.coefficient_examples import CODE_OF_A_GPU


def sample() -> xr.Dataset:
    """Smooth, rainy and missing values; several channels of a variable."""
    made = nnzip.make_sample(resolution=15.0, hours=6, step_hours=3, variables=["t2m", "tp", "sst"]).load()
    levels = xr.concat([made["t2m"], made["t2m"] - 30, made["t2m"] * 0.9], "level").transpose(
        "valid_time", "level", ...
    )
    return made.assign(t=levels.assign_attrs(units="K"))


@pytest.fixture
def code_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "cuda" stands for torch on the processor."""

    def resolve(name: str) -> torch.device | None:
        return CODE_OF_A_GPU if name == "cuda" else None

    monkeypatch.setattr("nnzip.jobs.resolve_device", resolve)
    monkeypatch.setattr("nnzip.read.resolve_device", resolve)


@pytest.mark.usefixtures("code_of_a_gpu")
@pytest.mark.parametrize(
    "target",
    [nnzip.Target(max_error={"t": 0.5, "t2m": 0.5, "tp": 1e-4, "sst": 0.1}), nnzip.Target(ratio=10)],
    ids=["bound", "ratio"],
)
def test_archives_do_not_depend_on_the_device(tmp_path: Path, target: nnzip.Target) -> None:
    original = sample()
    here, there = tmp_path / "here.nnz", tmp_path / "there.nnz"
    nnzip.compress(original, here, target)
    nnzip.compress(original, there, target, device="cuda")
    assert here.read_bytes() == there.read_bytes()
    with nnzip.open_archive(here, device="cuda") as one, nnzip.open_archive(here) as other:
        xr.testing.assert_identical(one.dataset().load(), other.dataset().load())

"""Devices that are missing, too old or too small, through the command line: clear messages, nothing half-written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from nnzip.field import device
from nnzip.field.model import Field
from tests.conftest import Nnzip

TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def limit_memory(monkeypatch: pytest.MonkeyPatch, points: int) -> list[int]:
    """Let evaluating more than `points` points at once fail as torch fails on a full GPU; the sizes that failed."""
    evaluate, failed = Field.network_view, []

    def limited(self: Field, times: Any, latitudes: Any, longitudes: Any) -> Any:
        size = times.size * latitudes.size * longitudes.size
        if size > points:
            failed.append(size)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 8 MiB free.")
        return evaluate(self, times, latitudes, longitudes)

    monkeypatch.setattr(Field, "network_view", limited)
    return failed


@pytest.mark.parametrize("command", ["compress", "decompress", "verify", "sweep", "evaluate"])
def test_a_device_that_does_not_work_ends_with_6(
    command: str, weather: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip
) -> None:
    monkeypatch.setattr(device, "cuda_problem", lambda: TOO_OLD)
    arguments: dict[str, list[object]] = {
        "compress": [weather, "-o", tmp_path / "out.nnz"],
        "decompress": [archive, "-o", tmp_path / "out.nc"],
        "verify": [archive],
        "sweep": [weather],
        "evaluate": [weather, archive],
    }
    result = nnzip(command, *arguments[command], "--device", "cuda", code=6)
    assert f"error: no CUDA device can be used: {TOO_OLD}. Use --device cpu" in result.stderr
    assert not list(tmp_path.iterdir())


def test_short_memory_is_worked_around(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip
) -> None:
    nnzip("decompress", archive, "-o", tmp_path / "plenty.nc")
    failed = limit_memory(monkeypatch, 400)
    nnzip("decompress", archive, "-o", tmp_path / "short.nc")
    assert failed
    with xr.open_dataset(tmp_path / "plenty.nc") as plenty, xr.open_dataset(tmp_path / "short.nc") as short:
        for name in plenty.data_vars:
            spread = float(plenty[name].max() - plenty[name].min())
            np.testing.assert_allclose(short[name], plenty[name], rtol=0, atol=1e-6 * spread)


def test_memory_that_is_far_too_small_ends_with_7(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip
) -> None:
    limit_memory(monkeypatch, 40)  # a row has 48 points
    result = nnzip("decompress", archive, "-o", tmp_path / "out.nc", code=7)
    assert (
        "error: the GPU's memory is too small for this (CUDA out of memory. Tried to allocate 2.00 GiB" in result.stderr
    )
    assert "--device cpu" in result.stderr
    assert not list(tmp_path.iterdir())

"""Devices that are missing or too old, through the command line: clear messages, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nnzip.coder import devices
from tests.conftest import Nnzip

TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)"


@pytest.mark.parametrize("command", ["compress", "decompress", "verify", "sweep", "evaluate"])
def test_a_device_that_does_not_work_ends_with_6(
    command: str, weather: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip
) -> None:
    monkeypatch.setattr(devices, "cuda_problem", lambda: TOO_OLD)
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


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
from nnzip.cli.main import main
main()
"""


def test_a_processor_needs_no_torch(weather: Path, tmp_path: Path) -> None:
    """Under a bound and to a ratio: `pip install nnzip` brings no torch."""
    for target in ("--max-error=1%", "--ratio=20"):
        for arguments in (
            ["compress", weather, "-o", tmp_path / "a.nnz", target, "--variables", "t2m,tp", "-f"],
            ["decompress", tmp_path / "a.nnz", "-o", tmp_path / "a.nc", "-f"],
            ["doctor"],
        ):
            command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    assert "torch is not installed" in done.stdout

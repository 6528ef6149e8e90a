"""The GPU check, on the processor at a small size, with torch there in place of a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gpu_check
import pytest

from tests.support.coefficient_examples import CODE_OF_A_GPU


def run(monkeypatch: pytest.MonkeyPatch, output: Path) -> int:
    """Exit code of the script on a machine without a GPU."""
    small = ["--resolution", "15", "--hours", "2", "--values", "5e3", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *small])
    monkeypatch.setattr(gpu_check, "cuda_problem", lambda: "there is none")
    with pytest.raises(SystemExit) as ended:
        gpu_check.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_everything_runs_on_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "gpu.json") == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["checks"]) >= 7
    assert all(check["passed"] for check in found["checks"])
    assert {"cpu", "numpy"} <= {speed["device"] for speed in found["speeds"]}
    assert all(speed["rate"] > 0 for speed in found["speeds"])
    assert "decompress cpu.nnz" in capsys.readouterr().out


def test_a_failed_check_ends_with_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "coded_alike", lambda _: [gpu_check.Check("x", float("nan"), 0)])
    assert run(monkeypatch, tmp_path / "gpu.json") == 5
    assert "FAILED" in capsys.readouterr().out


def test_devices_are_compared() -> None:
    found = gpu_check.coded_alike({"numpy": None, "torch": CODE_OF_A_GPU})
    assert [check.found for check in found] == [0] * 5
    assert {speed.device for speed in gpu_check.coding_speeds({"torch": CODE_OF_A_GPU}, 2_000)} == {"torch"}

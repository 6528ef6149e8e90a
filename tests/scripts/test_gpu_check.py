"""The GPU check, on the processor at a small size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gpu_check
import gpu_coding
import pytest
import torch
from nnzip.field import selftest

from tests.support import fake_tinycudann

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_REPEATS", 1)
    monkeypatch.setattr(selftest, "_STEPS", 5)
    example = selftest.example
    monkeypatch.setattr(selftest, "example", lambda *_: example(2, 8, 16))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of the script."""
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        gpu_check.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts the checks of a machine without a GPU")
def test_everything_runs_on_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    small = ("--resolution", "15", "--hours", "2", "--points", "2e4", "--output", str(output))
    assert run(monkeypatch, *small) == 0
    found = json.loads(output.read_text())
    assert [check["passed"] for check in found["checks"]] == [True] * 9
    assert {speed["what"].split(",")[0] for speed in found["speeds"]} >= {"training", "decoding", "coder", "compress"}
    assert all(speed["rate"] > 0 for speed in found["speeds"])
    assert found["entropy_digest"] == gpu_coding.entropy_digest()
    assert found["machine"]["tests"][0]["problem"] is None
    assert "decoding, into memory" in capsys.readouterr().out


def test_a_failed_check_ends_with_5(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(selftest, "drift_of", lambda *_: float("nan"))
    assert run(monkeypatch, "--no-whole", "--points", "1e4") == 5
    assert "FAILED" in capsys.readouterr().out


def test_layout_checks_pass_with_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", fake_tinycudann)
    found = gpu_check.layout_checks(CPU)
    assert len(found) == 4
    assert all(check.passed for check in found)

"""A short run of the kernel's fuzzer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_kernel.py"


def test_nothing_is_found() -> None:
    found = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "25", "--seed", "7"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr[-4000:]
    assert "25 rounds from seed 7: nothing found" in found.stdout

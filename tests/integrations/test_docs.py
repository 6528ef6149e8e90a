"""The examples of docs/zarr.md run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.conftest import ROOT

pytest.importorskip("zarr", minversion="3")


def test_the_examples_keep_what_they_say(tmp_path: Path, installed: dict[str, str]) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "zarr.md").read_text("utf-8"), re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    errors = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    promised = [float(text) for text in re.findall(r"# at most ([\d.]+)", code)]
    assert len(errors) == len(promised) == 3
    assert all(error <= bound for error, bound in zip(errors, promised, strict=True))

"""A user's script finds the package's types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nnzip

SCRIPT = """
import nnzip

result = nnzip.compress("weather.nc", "weather.nnz", nnzip.Target(max_error="0.1K"))
reveal_type(result.ratio)
reveal_type(nnzip.Target(max_error={"t2m": "0.1K"}).max_error)
with nnzip.open_archive("weather.nnz") as archive:
    reveal_type(archive.select("t2m", time=slice("2016-10-01", None)))
with nnzip.show_progress() as progress:
    nnzip.compress(["a.nc", "b.nc"], "all.nnz", progress=progress)
nnzip.Target(ratio="30")
nnzip.compress(3, "weather.nnz")
"""


def test_mypy_finds_types_and_mistakes(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="the group lint")
    assert (Path(nnzip.__file__).parent / "py.typed").is_file()
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", str(tmp_path / "script.py")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    found = [line.partition("script.py:")[2] for line in done.stdout.splitlines() if "script.py:" in line]
    assert [line.partition(":")[0] for line in found] == ["5", "6", "8", "11", "12"], done.stdout + done.stderr
    for line, kind in zip(found, ('"float"', "Mapping[str | None, str | float]", "Dataset"), strict=False):
        assert kind in line
    assert 'incompatible type "str"; expected "float | None"' in found[3]
    assert 'incompatible type "int"' in found[4]

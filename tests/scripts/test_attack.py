"""A short share of the attacks, and that they notice what they are for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from attack.running import FindingError, run

from nnzip.errors import InputError

ROOT = Path(__file__).parents[2]


def test_nothing_is_found_in_a_minute(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "attack", "--minutes", "0.4", "--seed", "0", "--json", figures],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    cases = {name: found["cases"] for name, found in json.loads(figures.read_text()).items()}
    assert min(cases.values()) > 0
    assert cases["bytes"] > 100


def misbehave(number: int, folder: Path) -> str:
    (folder / "any").write_text("")
    if number == 1:
        raise FindingError("wrong", "another value")
    if number == 2:
        raise InputError("no dataset")
    if number == 3:
        raise KeyError("t2m")
    if number == 4:
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    if number == 5:
        bytearray(1 << 40)
    if number == 7:
        os.kill(os.getpid(), signal.SIGSEGV)
    return "fine"


def test_what_must_not_be_is_found() -> None:
    tally, after = run(misbehave, 0, 60, most=10)
    assert after == 10
    assert tally.cases == 10
    assert tally.outcomes["crash"] == 1
    assert dict(tally.findings)[7].startswith("crash")
    alone, _ = run(misbehave, 0, 60, most=7)
    assert alone.outcomes == {"fine": 2, "wrong": 1, "refused": 1, "unclean": 3}
    assert [number for number, _ in alone.findings] == [1, 3, 4, 5]
    assert "KeyError: 't2m'" in dict(alone.findings)[3]


@pytest.mark.parametrize("name", ["force:5", "netcdf:1"])
def test_a_case_can_be_repeated(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attack", "--case", name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr

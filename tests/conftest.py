"""Shared by the tests of the command line: a small sample, its archive, and `nnzip` as a function."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from typer.testing import CliRunner, Result

settings.register_profile("fixed", derandomize=True)  # the same examples in every run
settings.load_profile("fixed")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background of a shell ignores Ctrl-C

Nnzip = Callable[..., Result]
RATIO = 20.0  # of the shared archive; the sample holds 230 kB of float32


def run_nnzip(*arguments: object, code: int = 0) -> Result:
    """Run `nnzip` in this process; fails unless it exits with code. Bugs are raised here with their traceback."""
    from nnzip.cli.main import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exit_code == 1 and result.exception is not None and result.exception.__context__ is not None:
        raise AssertionError(result.stderr) from result.exception.__context__
    assert result.exit_code == code, f"exit code {result.exit_code}, expected {code}\n{result.stdout}\n{result.stderr}"
    return result


@pytest.fixture(scope="session")
def nnzip() -> Nnzip:
    return run_nnzip


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in sample, 6 times on a 25 x 48 grid. Read only."""
    path = tmp_path_factory.mktemp("weather") / "weather.nc"
    run_nnzip("sample", path, "--resolution", 7.5, "--hours", 18)
    return path


@pytest.fixture(scope="session")
def archive(weather: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of `weather`. Read only."""
    path = tmp_path_factory.mktemp("archive") / "weather.nnz"
    run_nnzip("compress", weather, "-o", path, "--ratio", RATIO, "--effort", "fast")
    return path

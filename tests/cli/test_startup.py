"""`nnzip --help` and `nnzip info` answer at once, because they import nothing heavy."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import nnzip

HEAVY = (
    "torch",
    "xarray",
    "matplotlib",
    "dask",
    "netCDF4",
    "zarr",
    "cfgrib",
    "pandas",
    "scipy",
    "jinja2",
    "cdsapi",
    "requests",
    "fsspec",
)
PROBE = f"""
import sys
from nnzip.cli.main import app
try:
    app(sys.argv[1:], prog_name="nnzip")
finally:
    print("heavy:", *[name for name in {HEAVY!r} if sys.modules.get(name)], file=sys.stderr)
"""
SECONDS = 2.0  # of a processor; the promise is 0.5 s, a slow or loaded test machine gets some more


def run(*arguments: str) -> tuple[str, str, float]:
    """stdout, stderr and processor seconds (the faster of two) of a fresh interpreter."""
    fastest = float("inf")
    for _ in range(2):
        start = children_seconds()
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        fastest = min(fastest, children_seconds() - start)
        assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, fastest


def children_seconds() -> float:
    """Of the processor, for processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["compress", "--help"], ["evaluate", "-h"], ["download", "--help"]]
)
def test_help_is_light(arguments: list[str]) -> None:
    output, messages, seconds = run(*arguments)
    assert "nnzip" in output
    assert messages == "heavy:\n"
    assert seconds < SECONDS


def test_info_is_light(archive: Path) -> None:
    output, messages, seconds = run("info", str(archive))
    assert "t2m" in output
    assert messages == "heavy:\n"
    assert seconds < SECONDS


@pytest.mark.parametrize("command", ["verify", "decompress"])
@pytest.mark.parametrize("options", [(), ("--packed", "--bbox=-60,60,0,180"), ("--preview", "2")], ids=str)
def test_reading_needs_neither_torch_nor_dask(command: str, options: tuple[str, ...], archive: Path) -> None:
    arguments = [] if command == "verify" else ["-o", str(archive.with_suffix(".nc")), "-f", *options]
    _, messages, _ = run(command, str(archive), *arguments)
    heavy = messages.splitlines()[-1]
    assert "xarray" in heavy
    assert not {"torch", "dask", "matplotlib", "zarr", "scipy"} & set(heavy.split())


def test_importing_the_package_is_light() -> None:
    command = f"import sys, nnzip; print(*[name for name in {(*HEAVY, 'numpy')!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_version_is_the_package_s() -> None:
    assert run("--version")[0] == f"nnzip {nnzip.__version__}\n"


def test_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "nnzip", "--help"], capture_output=True, text=True, check=True)
    for command in ("sample", "download", "compress", "decompress", "evaluate", "info", "sweep", "verify", "doctor"):
        assert command in done.stdout


def test_no_command_shows_the_help() -> None:
    done = subprocess.run([sys.executable, "-m", "nnzip"], capture_output=True, text=True, check=False)
    assert "compress" in done.stdout + done.stderr


def test_unknown_option_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nnzip", "info", "--colour"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--colour" in done.stderr

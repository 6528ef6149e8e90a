"""`nnzip doctor`: what it finds, what it advises, that it says no secrets, and its exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from nnzip.doctor import cdsapi_key, driver_version, free_memory, remedies
from tests.conftest import Nnzip

SECRET = "12345678-abcd-secret"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys."""
    for name in ("CDSAPI_KEY", "CDSAPI_URL", "CDSAPI_RC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without a GPU")
def test_a_machine_without_gpu_is_well(nnzip: Nnzip) -> None:
    result = nnzip("doctor")
    for text in ("torch", "NVIDIA driver", "none that works", "no key", "cores", "coder"):
        assert text in result.stdout
    found = json.loads(nnzip("doctor", "--json").stdout)
    assert found["gpus"] == []
    assert found["remedies"] == []


@pytest.mark.parametrize("way", ["file", "environment"])
def test_the_key_is_found_and_never_shown(way: str, home: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip) -> None:
    if way == "file":
        (home / ".cdsapirc").write_text(f"url: https://cds.climate.copernicus.eu/api\nkey: {SECRET}\n")
        expected = str(home / ".cdsapirc")
    else:
        monkeypatch.setenv("CDSAPI_KEY", SECRET)
        expected = "CDSAPI_KEY"
    for arguments in (("doctor",), ("doctor", "--json")):
        result = nnzip(*arguments)
        assert expected in result.stdout
        assert SECRET not in result.stdout + result.stderr


@pytest.mark.parametrize("content", ["", "url: https://cds.climate.copernicus.eu/api\n", "key:\n"])
def test_a_file_without_a_key_is_no_key(content: str, home: Path) -> None:
    (home / ".cdsapirc").write_text(content)
    assert cdsapi_key() is None


def test_the_kernel_of_the_coder_is_said(monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip) -> None:
    monkeypatch.setenv("NNZIP_KERNEL", "numpy")
    assert json.loads(nnzip("doctor", "--json").stdout)["kernel"] == "numpy"
    monkeypatch.setenv("NNZIP_KERNEL", "abacus")
    result = nnzip("doctor", code=6)
    assert "NNZIP_KERNEL=abacus is not there" in result.stderr
    assert "coder" in result.stdout


def test_what_to_do_about_the_gpu() -> None:
    assert remedies("Found no NVIDIA driver", None, "2.8", "12.8") == []
    assert remedies(None, "570.1", "2.8", "12.8") == []
    assert remedies("torch is not installed", "570.1", None, None) == ["a GPU needs torch: pip install 'nnzip[gpu]'"]
    (update,) = remedies("driver too old", "470.2", "2.8", "12.8")
    assert "this one is 470.2" in update
    assert "/whl/cu118" in update
    assert "/whl/cu126" in remedies("driver too old", "530.2", "2.9", "13.0")[0]
    (reinstall,) = remedies("Torch not compiled with CUDA enabled", "570.1", "2.8", None)
    assert "pip install --force-reinstall torch" in reinstall


@pytest.mark.parametrize(
    ("script", "version"), [("echo 570.86.15; echo 570.86.15", "570.86.15"), ("echo failed; exit 9", None)]
)
def test_the_driver_is_what_nvidia_smi_says(
    script: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert driver_version() == version


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux says how much is free")
def test_free_memory_is_below_all_memory() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < (free_memory() or 0) <= total

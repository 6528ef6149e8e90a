"""`nnzip doctor`: what it finds, what it advises, that it says no secrets, and its exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from nnzip import doctor
from nnzip.doctor import Gpu, cdsapi_key, driver_version, free_memory, remedies
from nnzip.errors import ResourceError
from nnzip.field import network, selftest
from nnzip.field.device import CPU
from nnzip.plan.goals import GUARD
from tests.conftest import Nnzip

H200 = Gpu("NVIDIA H200", 150 * 10**9, 149 * 10**9, "9.0")
SECRET = "12345678-abcd-secret"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without keys, and a small self-test."""
    for name in ("CDSAPI_KEY", "CDSAPI_URL", "CDSAPI_RC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_GRID", (2, 8, 16))
    monkeypatch.setattr(selftest, "_REPEATS", 1)
    sys.modules.pop("tinycudann", None)
    yield tmp_path
    sys.modules.pop("tinycudann", None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without a GPU")
def test_a_machine_without_gpu_is_well(nnzip: Nnzip) -> None:
    result = nnzip("doctor")
    for text in ("torch", "NVIDIA driver", "none that works", "not installed", "no key", "cores", "passed"):
        assert text in result.stdout
    found = json.loads(nnzip("doctor", "--json").stdout)
    assert found["gpus"] == []
    assert found["remedies"] == []
    (test,) = found["tests"]
    assert test["device"] == "cpu"
    assert test["backend"] == "torch"
    assert 0 < test["drift"] < GUARD
    assert test["decoded_per_second"] > 1e4
    assert test["trained_per_second"] > 1e4
    assert test["problem"] is None


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


def test_a_device_that_drifts_ends_with_5(monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip) -> None:
    monkeypatch.setattr(selftest, "drift_of", lambda *_: 2e-2)
    result = nnzip("doctor", code=5)
    assert "self-test failed on cpu: it drifts by 0.02 of the range; bounds leave 2e-06" in result.stderr
    assert "drifts" in result.stdout


def test_a_device_that_fails_ends_with_6(monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip) -> None:
    def fail(*_: object) -> float:
        raise ResourceError("the GPU's memory is too small")

    monkeypatch.setattr(selftest, "drift_of", fail)
    assert "self-test failed on cpu: ResourceError: the GPU's memory" in nnzip("doctor", code=6).stderr
    assert json.loads(nnzip("doctor", "--json", code=6).stdout)["tests"][0]["drift"] is None


def test_a_broken_tinycudann_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnzip: Nnzip) -> None:
    (tmp_path / "tinycudann.py").write_text("raise OSError('Could not find compatible tinycudann extension')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "OSError: Could not find compatible tinycudann" in nnzip("doctor").stdout


def test_what_to_do_about_the_gpu() -> None:
    assert remedies("Found no NVIDIA driver", "not installed", None, "12.8", ()) == []
    assert remedies(None, None, "570.1", "12.8", (H200,)) == []
    (install,) = remedies(None, "not installed", "570.1", "12.8", (H200, H200))
    assert "nvcc of CUDA 12.8" in install
    assert "TCNN_CUDA_ARCHITECTURES='90' pip install --no-build-isolation 'git+https://github.com/NVlabs/" in install
    (update,) = remedies("driver too old", "not installed", "470.2", "12.8", ())
    assert "this one is 470.2" in update
    assert "/whl/cu118" in update
    assert "/whl/cu126" in remedies("driver too old", None, "530.2", "13.0", ())[0]
    (reinstall,) = remedies("Torch not compiled with CUDA enabled", "not installed", "570.1", None, ())
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


def test_free_memory_is_plausible() -> None:
    found = free_memory()
    assert found is None or 10**6 < found < 10**15


def test_self_test_notices_lower_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose matrix products are bfloat16, as TF32 or autocast would make them."""
    each = selftest.example(2, 8, 16)
    assert selftest.drift_of(each, CPU) < GUARD
    exact = network.forward

    def forward(weights: Sequence[torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        return exact(weights, inputs if inputs.dtype == torch.float64 else inputs.bfloat16().to(inputs))

    monkeypatch.setattr(network, "forward", forward)
    assert selftest.drift_of(each, CPU) > GUARD

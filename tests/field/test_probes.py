"""Probe points: what they hold, that drift beyond the guard is always noticed, and what happens then."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnzip
from nnzip.errors import NnzipWarning
from nnzip.field import probes
from nnzip.field.model import Field, Scaling
from nnzip.field.payload import read_field
from nnzip.field.probes import ALARM, drift, read_checked_field, record_probes
from tests.conftest import Nnzip
from tests.field.test_payload import CHANNELS, GRID, PAYLOAD
from tests.support.field_examples import vertices

CPU, OTHER = torch.device("cpu"), torch.device("cpu:0")  # two names of the processor: "the other device" of these tests
FIELD = read_field(PAYLOAD, GRID, CHANNELS, CPU)
GUARDS = 2e-6 * (FIELD.scaling.maximum - FIELD.scaling.minimum)
PROBES = record_probes(FIELD, GUARDS, 1 << 20)


def moved(field: Field, guards: float) -> Field:
    """The field of a decoder that is wrong by this many guards everywhere, with the probes of the right one."""
    scaling, shift = field.scaling, guards * GUARDS
    wrong = Scaling(scaling.mean + shift, scaling.scale, scaling.minimum + shift, scaling.maximum + shift)
    return replace(field, scaling=wrong, probes=PROBES)


def test_probes_as_the_document_describes_them() -> None:
    decoded, expected = FIELD.evaluate(*vertices(GRID)), []
    axes = [(4, 1), (8, 9), (8, 17)]
    places = [
        [((first + k) * 2654435761 % 2**32 * length) >> 32 for k in range(count)]
        for (count, first), length in zip(axes, GRID.shape, strict=True)
    ]
    for i in range(256):
        channel = (i + i // CHANNELS) % CHANNELS
        point = (places[0][i % 4], places[1][i // 4 % 8], places[2][(i + i // 32) % 8])
        expected.append(round(decoded[channel][point] / (GUARDS[channel] / 2)) % 256)
    differences = (np.array(expected) - np.frombuffer(PROBES, dtype=np.uint8) + 128) % 256 - 128
    assert np.abs(differences).max() <= 1  # a block of another shape may round the other way
    assert len(PROBES) == 256


@pytest.mark.parametrize(("size", "count"), [(0, 16), (1000, 62), (4096, 256), (10**9, 256)])
def test_small_fields_have_fewer_probes(size: int, count: int) -> None:
    assert record_probes(FIELD, GUARDS, size) == PROBES[:count]


def test_the_same_device_does_not_drift() -> None:
    assert drift(replace(FIELD, probes=PROBES), GUARDS) < 0.3


@given(st.floats(-60, 60))
@settings(max_examples=40, deadline=None)
def test_drift_is_measured_to_a_quarter_of_a_guard(guards: float) -> None:
    found = drift(moved(FIELD, guards), GUARDS)
    assert found == pytest.approx(abs(guards), abs=0.3)
    if abs(guards) >= 1.05:
        assert found > ALARM
    if abs(guards) < 0.45:
        assert found < ALARM


def test_lower_precision_is_noticed() -> None:
    """Features in bfloat16 are wrong by thousands of guards, at which the low bytes are as good as random."""
    rounded = replace(FIELD, features=FIELD.features.bfloat16().float(), probes=PROBES)
    assert drift(rounded, GUARDS) > 10


def test_constant_channels_and_archives_without_probes_pass() -> None:
    assert drift(FIELD, GUARDS) == 0.0
    assert drift(moved(FIELD, 5.0), np.zeros(CHANNELS)) == 0.0
    without_first = np.where(np.arange(CHANNELS) == 0, 0.0, GUARDS)
    recorded = record_probes(FIELD, without_first, 1 << 20)
    assert drift(replace(moved(FIELD, 5.0), probes=recorded), without_first) == pytest.approx(5.0, abs=0.3)


@pytest.fixture
def other_device_drifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device OTHER decodes 3 guards too high."""

    def read(data: bytes, grid: object, channels: int, device: torch.device) -> Field:
        field = read_field(data, GRID, channels, device)
        return moved(field, 3.0) if device == OTHER else field

    monkeypatch.setattr(probes, "read_field", read)


def test_a_device_that_drifts_is_left(other_device_drifts: None) -> None:
    with pytest.warns(
        NnzipWarning, match=r"cpu:0 decodes the field 3\.[0-9] times the guard .* the CPU decodes instead"
    ):
        field, device = read_checked_field(PAYLOAD + PROBES, GRID, GUARDS, OTHER)
    assert device == CPU
    np.testing.assert_array_equal(field.evaluate(*vertices(GRID)), FIELD.evaluate(*vertices(GRID)))


def test_a_device_that_does_not_drift_is_kept() -> None:
    assert read_checked_field(PAYLOAD + PROBES, GRID, GUARDS, OTHER)[1] == OTHER


def test_a_processor_that_drifts_says_so() -> None:
    wrong = bytes((byte + 6) % 256 for byte in PROBES)
    with pytest.warns(NnzipWarning, match=r"the CPU decodes the field 3\.[0-9] times .* may break their bounds"):
        assert read_checked_field(PAYLOAD + wrong, GRID, GUARDS, CPU)[1] == CPU


def test_bounded_archives_have_probes_and_others_none(weather: Path, tmp_path: Path) -> None:
    with nnzip.open_dataset(str(weather)) as opened:
        dataset = opened[["t2m"]]
        nnzip.compress(dataset, tmp_path / "bound.nnz", nnzip.Target(max_error={None: "1%"}), effort="fast")
        nnzip.compress(dataset, tmp_path / "ratio.nnz", nnzip.Target(ratio=20), effort="fast")
    with nnzip.open_archive(tmp_path / "bound.nnz") as archive:
        assert len(archive.layers.field(0, 0).probes) >= 16
    with nnzip.open_archive(tmp_path / "ratio.nnz") as archive:
        assert archive.layers.field(0, 0).probes == b""


def test_the_command_line_warns_of_drift(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("compress", weather, "-o", tmp_path / "good.nnz", "--max-error", "1%", "--variables", "t2m")
    result = nnzip("decompress", tmp_path / "good.nnz", "-o", tmp_path / "good.nc", "--layer", "field")
    assert "warning" not in result.stderr
    with zipfile.ZipFile(tmp_path / "good.nnz") as source, zipfile.ZipFile(tmp_path / "bad.nnz", "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            changed = content[:-1] + bytes([(content[-1] + 20) % 256]) if entry.filename == "f0.0" else content
            target.writestr(entry.filename, changed)
    preview = ("decompress", tmp_path / "bad.nnz", "-o", tmp_path / "bad.nc", "--layer", "field")
    result = nnzip(*preview)
    assert "warning: the CPU decodes the field 10" in result.stderr
    assert "nnzip doctor" in result.stderr
    assert "warning" not in nnzip(*preview, "-f", "-q").stderr

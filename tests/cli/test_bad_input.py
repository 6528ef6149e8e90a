"""Every kind of bad input, through the real command line: a clear message, its exit code, and nothing left behind."""

from __future__ import annotations

import copy
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from nnzip.cli.main import app
from nnzip.container.reader import MANIFEST_MEMBER
from tests.conftest import Nnzip
from tests.support.archive_examples import manifest_text, packed, read_members, write_members

BROKEN = (b"", b"not a dataset at all\n", b"CDF\x01", b"\x89HDF\r\n\x1a\nshort", b"PK\x03\x04short", b"GRIB")
FAST = ("--ratio", 3, "--effort", "fast")


@contextmanager
def nothing_changes(directory: Path) -> Iterator[None]:
    """Fails when the directory's files differ afterwards in name or content."""
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    yield
    after = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    assert after == before


def field(shape: tuple[int, ...] = (4, 12, 24), seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A smooth field with a little noise, [time, latitude, longitude]."""
    rng = np.random.default_rng(seed)
    south_north, east_west = np.cos(np.linspace(-1, 1, shape[1])), np.sin(np.linspace(0, 6, shape[2]))
    waves = np.add.outer(np.linspace(0, 1, shape[0]), np.add.outer(south_north, east_west))
    return (280 + 10 * waves + 0.1 * rng.standard_normal(shape)).astype(np.float32)


def dataset(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], name: str = "t2m") -> xr.Dataset:
    times, latitudes, longitudes = values.shape
    return xr.Dataset(
        {name: (("time", "latitude", "longitude"), values, {"units": "K"})},
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
            "latitude": ("latitude", np.linspace(60, 60 - 2 * (latitudes - 1), latitudes), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(longitudes) * 2.0, {"units": "degrees_east"}),
        },
    )


def written(path: Path, content: xr.Dataset) -> Path:
    content.to_netcdf(path)
    return path


@pytest.fixture(scope="module")
def regional(tmp_path_factory: pytest.TempPathFactory, nnzip: Nnzip) -> Path:
    """An archive of 1 January 2020, 38 to 60 degrees north, 0 to 46 degrees east. Read only."""
    source = written(tmp_path_factory.mktemp("regional") / "regional.nc", dataset(field()))
    nnzip("compress", source, *FAST)
    return source.with_suffix(".nnz")


# Files that are not what they should be


@pytest.mark.parametrize("command", ["compress", "decompress", "info", "verify", "evaluate"])
def test_no_such_file(command: str, tmp_path: Path, nnzip: Nnzip) -> None:
    missing = tmp_path / "missing.nc"
    further: dict[str, list[object]] = {"compress": [*FAST], "evaluate": [missing]}
    with nothing_changes(tmp_path):
        result = nnzip(command, missing, *further.get(command, []), code=3)
    assert "missing.nc" in result.stderr


def test_a_glob_that_matches_nothing(tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("compress", tmp_path / "*.nc", "-o", tmp_path / "out.nnz", *FAST, code=3)
    assert "*.nc" in result.stderr


@pytest.mark.parametrize("content", BROKEN)
def test_not_a_dataset(content: bytes, tmp_path: Path, nnzip: Nnzip) -> None:
    source = tmp_path / "notes.nc"
    source.write_bytes(content)
    with nothing_changes(tmp_path):
        result = nnzip("compress", source, *FAST, code=3)
    assert "notes.nc" in result.stderr


def test_no_compressible_variable(tmp_path: Path, nnzip: Nnzip) -> None:
    source = written(tmp_path / "series.nc", xr.Dataset({"count": ("time", np.arange(5))}))
    with nothing_changes(tmp_path):
        result = nnzip("compress", source, *FAST, code=3)
    assert "count" in result.stderr


def test_one_point_grid(tmp_path: Path, nnzip: Nnzip) -> None:
    source = written(tmp_path / "point.nc", dataset(field((8, 1, 1))))
    result = nnzip("compress", source, *FAST, code=3)
    assert "single point" in result.stderr


@pytest.mark.parametrize("dim", ["time", "latitude", "longitude"])
def test_duplicate_coordinates(dim: str, tmp_path: Path, nnzip: Nnzip) -> None:
    content = dataset(field())
    values = content[dim].values.copy()
    values[1] = values[0]
    source = written(tmp_path / "twice.nc", content.assign_coords({dim: (dim, values, content[dim].attrs)}))
    result = nnzip("compress", source, *FAST, code=3)
    assert dim in result.stderr


def test_only_missing_values(tmp_path: Path, nnzip: Nnzip) -> None:
    source = written(tmp_path / "nan.nc", dataset(np.full((4, 12, 24), np.nan, np.float32)))
    result = nnzip("compress", source, *FAST, code=3)
    assert "no finite value" in result.stderr


# Values that are unusual and must come back


def test_all_nan_variable_beside_a_good_one(tmp_path: Path, nnzip: Nnzip) -> None:
    content = dataset(field())
    content["empty"] = content["t2m"] * np.float32(np.nan)
    source = written(tmp_path / "half.nc", content)
    result = nnzip("compress", source, *FAST)
    assert "empty" in result.stderr
    nnzip("decompress", tmp_path / "half.nnz", "-o", tmp_path / "back.nc")
    with xr.open_dataset(tmp_path / "back.nc") as back:
        assert back["empty"].isnull().all()
        assert back["t2m"].notnull().all()


def test_infinities_are_refused_with_their_place(tmp_path: Path, nnzip: Nnzip) -> None:
    values = field()
    values[1, 3, 4], values[2, 5, 6] = np.inf, -np.inf
    source = written(tmp_path / "inf.nc", dataset(values))
    with nothing_changes(tmp_path):
        result = nnzip("compress", source, *FAST, code=3)
    assert "t2m holds 2 infinite values, the first at time step 1, row 3, column 4" in result.stderr


def test_missing_values_come_back_in_place(tmp_path: Path, nnzip: Nnzip) -> None:
    values = field()
    values[0, 3, 4], values[2, 7, 8:12], values[:, 0, :5] = np.nan, np.nan, np.nan
    source = written(tmp_path / "gaps.nc", dataset(values))
    nnzip("compress", source, *FAST)
    nnzip("decompress", tmp_path / "gaps.nnz", "-o", tmp_path / "back.nc")
    with xr.open_dataset(tmp_path / "back.nc") as back:
        np.testing.assert_array_equal(np.isnan(back["t2m"].values), np.isnan(values))


def test_constant_field(tmp_path: Path, nnzip: Nnzip) -> None:
    source = written(tmp_path / "constant.nc", dataset(np.full((4, 12, 24), 273.15, np.float32)))
    nnzip("compress", source, "--ratio", 2, "--effort", "fast")
    nnzip("decompress", tmp_path / "constant.nnz", "-o", tmp_path / "back.nc")
    with xr.open_dataset(tmp_path / "back.nc") as back:
        np.testing.assert_array_equal(back["t2m"].values, np.float32(273.15))


# Requests that make no sense


def test_unknown_variable(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("compress", weather, "-o", tmp_path / "out.nnz", *FAST, "--variables", "t2n", code=2)
    assert "t2n" in result.stderr
    assert "t2m" in result.stderr
    assert not list(tmp_path.iterdir())


def test_unknown_variable_when_decompressing(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("decompress", archive, "-o", tmp_path / "out.nc", "--variables", "t2n", code=2)
    assert "t2n" in result.stderr
    assert "t2m" in result.stderr


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--time", "1999-01-01", "1999"),
        ("--time", "2020-01-02/2020-01-01", "2020-01-02"),
        ("--time", "yesterday", "yesterday"),
        ("--bbox", "-60,-50,0,20", "-60"),
        ("--bbox", "40,50,100,120", "100"),
        ("--bbox", "50,40,0,20", "50"),
        ("--bbox", "100,110,0,20", "100"),
        ("--bbox", "40,50,0", "40,50,0"),
        ("--grid", "0", "0"),
        ("--grid", "-1.5", "-1.5"),
    ],
)
def test_senseless_selection(option: str, value: str, named: str, regional: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("decompress", regional, "-o", tmp_path / "out.nc", f"{option}={value}", code=2)
    assert named in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("second", [("--size", "10kB"), ("--max-error", "t2m=1K")])
def test_contradicting_targets(second: tuple[str, str], weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("compress", weather, "-o", tmp_path / "out.nnz", "--ratio", 10, *second, code=2)
    assert "--ratio" in result.stderr
    assert second[0] in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", [("--ratio", "1e9"), ("--size", "100B")])
def test_impossible_target(target: tuple[str, str], weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    result = nnzip("compress", weather, "-o", tmp_path / "out.nnz", *target, "--effort", "fast", code=2)
    assert "smallest" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ratio", ["0", "-3", "nan"])
def test_senseless_ratio(ratio: str, weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    nnzip("compress", weather, "-o", tmp_path / "out.nnz", "--ratio", ratio, code=2)


# Outputs that cannot or may not be written


def test_existing_outputs_are_kept_without_force(weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    for name in ("out.nnz", "out.nc", "report.html"):
        (tmp_path / name).write_text("precious")
    with nothing_changes(tmp_path):
        nnzip("sample", tmp_path / "out.nc", code=2)
        nnzip("compress", weather, "-o", tmp_path / "out.nnz", *FAST, code=2)
        nnzip("decompress", archive, "-o", tmp_path / "out.nc", code=2)
        result = nnzip("evaluate", weather, archive, "--report", tmp_path / "report.html", code=2)
    assert "-f" in result.stderr


def test_failing_command_keeps_an_existing_output_even_with_force(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    (tmp_path / "out.nc").write_text("precious")
    with nothing_changes(tmp_path):
        nnzip("decompress", archive, "-o", tmp_path / "out.nc", "-f", "--variables", "t2n", code=2)


def test_output_directory_is_missing_or_a_file(weather: Path, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    (tmp_path / "file").write_text("a file")
    for directory in ("missing", "file"):
        nnzip("compress", weather, "-o", tmp_path / directory / "out.nnz", *FAST, code=7)
        nnzip("decompress", archive, "-o", tmp_path / directory / "out.nc", code=7)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_closed_output_directory(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    nnzip("compress", weather, "-o", tmp_path / "closed" / "out.nnz", *FAST, code=7)


@pytest.mark.parametrize("suffix", [".nc", ".zarr.zip"])
def test_full_disk_leaves_nothing_half_written(suffix: str, archive: Path, tmp_path: Path) -> None:
    """A limit on the file size makes writes fail in the middle of a file, as a full disk does."""
    output = tmp_path / f"out{suffix}"
    output.write_text("precious")
    command = [sys.executable, "-m", "nnzip", "decompress", str(archive), "-o", str(output), "-f"]
    with nothing_changes(tmp_path):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        )
    assert done.returncode == 7, done.stderr
    assert "Traceback" not in done.stderr


# Archives that are damaged, foreign or hostile


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.7, 0.98])
def test_truncated_archive(kept: float, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    damaged = tmp_path / "truncated.nnz"
    content = archive.read_bytes()
    damaged.write_bytes(content[: int(kept * len(content))])
    for command in ("info", "verify", "decompress"):
        result = nnzip(command, damaged, code=4 if kept else 3)  # an empty file is no archive
        assert "truncated.nnz" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["truncated.nnz"]


def test_flipped_bits_never_pass_as_good_data(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    """A bit of every 64th part of the file is flipped in turn: verify finds it, or decoding gives the same values."""
    content = archive.read_bytes()
    nnzip("decompress", archive, "-o", tmp_path / "good.nc")
    damaged = tmp_path / "flipped.nnz"
    codes = []
    for position in np.linspace(0, len(content) - 1, 64).astype(int):
        flipped = bytearray(content)
        flipped[position] ^= 0x10
        damaged.write_bytes(flipped)
        result = CliRunner().invoke(app, ["verify", str(damaged)])
        assert result.exit_code in (0, 4, 6), f"byte {position}: {result.stderr}"
        codes.append(result.exit_code)
        if result.exit_code == 0:
            nnzip("decompress", damaged, "-o", tmp_path / "same.nc", "-f")
            with xr.open_dataset(tmp_path / "good.nc") as good, xr.open_dataset(tmp_path / "same.nc") as same:
                xr.testing.assert_equal(good, same)
    assert codes.count(4) > 48


def test_zip_that_is_no_archive(tmp_path: Path, nnzip: Nnzip) -> None:
    foreign = tmp_path / "photos.nnz"
    with zipfile.ZipFile(foreign, "w") as file:
        file.writestr("holiday.txt", "sun")
    for command in ("info", "verify", "decompress"):
        result = nnzip(command, foreign, code=3)
        assert result.stderr == f"error: {foreign}: it is a ZIP file, but no nnzip archive\n"


def test_archive_of_a_former_format(tmp_path: Path, nnzip: Nnzip) -> None:
    old = tmp_path / "old.nnz"
    with zipfile.ZipFile(old, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", '{"format":2,"nnzip":"0.1.0","dims":{}}')
    for command in ("info", "verify", "decompress"):
        result = nnzip(command, old, code=6)
        assert "old.nnz: it has format 1 or 2" in result.stderr
        assert "compress the data again" in result.stderr


def test_dataset_where_an_archive_is_expected(weather: Path, nnzip: Nnzip) -> None:
    for command in ("info", "verify", "decompress"):
        stderr = nnzip(command, weather, code=3).stderr
        assert "weather.nc: it is no nnzip archive" in stderr


def test_archive_of_a_newer_format(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    members = read_members(archive)
    manifest, arrays = manifest_text(members[MANIFEST_MEMBER])
    content = packed(json.dumps({**manifest, "unheard_of": {"a": 1}}).encode(), arrays)
    newer = write_members(tmp_path / "newer.nnz", {**members, MANIFEST_MEMBER: b"\5" + content[1:]})
    for command in ("info", "verify", "decompress"):
        result = nnzip(command, newer, code=6)
        assert "format 5" in result.stderr
        assert "update nnzip" in result.stderr


def places_of_numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all integers in nested dicts and lists."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_of_numbers(item, (*path, key))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path


@pytest.mark.parametrize("number", [10**12, 2**62, -1, 0])
def test_absurd_numbers_in_a_manifest(number: int, archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    """Every whole number of the manifest in turn: refused, or without consequence, but never a crash or huge memory."""
    members = read_members(archive)
    manifest, arrays = manifest_text(members[MANIFEST_MEMBER])
    places = list(places_of_numbers(manifest))
    assert len(places) > 10
    for place in places:
        changed = copy.deepcopy(manifest)
        replace_number(place, number, changed)
        content = packed(json.dumps(changed).encode(), arrays)
        hostile = write_members(tmp_path / "hostile.nnz", {**members, MANIFEST_MEMBER: content})
        result = CliRunner().invoke(app, ["verify", str(hostile)])
        assert result.exit_code in (0, 4, 5, 6), f"{place}: {result.stderr}"


def replace_number(place: tuple[str | int, ...], number: int, manifest: Any) -> None:
    for key in place[:-1]:
        manifest = manifest[key]
    manifest[place[-1]] = number

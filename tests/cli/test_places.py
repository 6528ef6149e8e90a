"""Commands read and write URLs and standard streams."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from tests.conftest import Nnzip
from tests.support.range_server import RangeServer


@pytest.fixture
def server(archive: Path) -> Iterator[RangeServer]:
    running = RangeServer(archive.parent)
    yield running
    running.close()


def run(*arguments: object, given: bytes) -> bytes:
    """Standard output of a command with this standard input."""
    from nnzip.cli.main import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes


def test_archives_at_urls(nnzip: Nnzip, server: RangeServer, archive: Path, weather: Path, tmp_path: Path) -> None:
    url = f"{server.url}/{archive.name}"
    content = json.loads(nnzip("info", url, "--json").stdout)
    assert content | {"path": ""} == json.loads(nnzip("info", archive, "--json").stdout) | {"path": ""}
    assert "sound" in nnzip("verify", url).stdout
    nnzip("decompress", url, "-o", tmp_path / "a.nc")
    nnzip("decompress", archive, "-o", tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "a.nc") as first, xr.open_dataset(tmp_path / "b.nc") as second:
        xr.testing.assert_equal(first, second)
    assert "t2m" in nnzip("evaluate", weather, url).stdout


def test_what_was_read_is_said_when_verbose(nnzip: Nnzip, server: RangeServer, archive: Path) -> None:
    url = f"{server.url}/{archive.name}"
    said = nnzip("info", url, "-v").stderr
    assert f"{url}: {server.sent()} bytes in {len(server.requests)} requests" in " ".join(said.split())
    assert "requests" not in nnzip("info", url).stderr


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(404, 3, "there is no such file"), (403, 7, "no permission"), (503, 6, "cannot reach")],
)
def test_urls_that_cannot_be_read(nnzip: Nnzip, server: RangeServer, status: int, code: int, message: str) -> None:
    server.status = status
    for command in ("info", "verify", "decompress"):
        said = nnzip(command, f"{server.url}/weather.nnz", code=code).stderr
        assert message in said
        assert said.count("\n") == 1, "one sentence"


def test_the_output_of_a_url_is_named_after_it(
    nnzip: Nnzip, server: RangeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nnzip("decompress", f"{server.url}/weather.nnz")
    assert os.listdir(tmp_path) == ["weather.nc"]  # noqa: PTH208


def test_standard_streams(weather: Path, archive: Path, tmp_path: Path) -> None:
    packed = run("compress", "-", "-o", "-", "--ratio", 20, "--effort", "fast", given=weather.read_bytes())
    assert packed == archive.read_bytes()
    (tmp_path / "a.nc").write_bytes(run("decompress", "-", "-o", "-", given=packed))
    with xr.open_dataset(tmp_path / "a.nc") as decoded, xr.open_dataset(weather) as source:
        assert float(np.abs(decoded["t2m"] - source["t2m"]).max()) < 30
    assert b"t2m" in run("info", "-", given=packed)


def test_standard_input_has_no_name(nnzip: Nnzip) -> None:
    assert "name the output with -o" in nnzip("decompress", "-", code=2).stderr
    assert "name the output with -o" in nnzip("compress", "-", code=2).stderr
    assert "--json" in nnzip("compress", "-", "-o", "-", "--json", code=2).stderr


def test_appending(nnzip: Nnzip, weather: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.nnz"
    with xr.open_dataset(weather) as source:
        times = source.sizes["valid_time"]
        source.isel(valid_time=slice(3)).to_netcdf(tmp_path / "first.nc")
        source.isel(valid_time=slice(3, None)).to_netcdf(tmp_path / "more.nc")
    nnzip("compress", tmp_path / "first.nc", "-o", path, "--max-error", "1%", "--effort", "fast")
    said = nnzip("append", path, tmp_path / "more.nc").stderr
    assert "errors of the new times" in said
    assert json.loads(nnzip("info", path, "--json").stdout)["dims"]["valid_time"] == times
    assert "append later times" in nnzip("append", path, tmp_path / "more.nc", code=3).stderr
    nnzip("evaluate", weather, path)
    assert json.loads(nnzip("append", path, tmp_path / "missing.nc", "--json", code=3).stdout or "{}") == {}

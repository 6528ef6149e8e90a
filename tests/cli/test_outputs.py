"""Outputs that would destroy something are refused before any work, with or without -f."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nnzip.cli.outputs import check_dataset, check_file
from nnzip.errors import ResourceError, UsageError
from tests.conftest import Nnzip


def test_output_that_exists_is_refused_without_force(tmp_path: Path) -> None:
    path = tmp_path / "out.nnz"
    check_file(path, (".nnz",), inputs=[], overwrite=False)
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        check_file(path, (".nnz",), inputs=[], overwrite=False)
    check_file(path, (".nnz",), inputs=[], overwrite=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_output_without_a_directory() -> None:
    with pytest.raises(ResourceError, match="does not exist: create it first"):
        check_file(Path("missing/out.nnz"), (".nnz",), inputs=[], overwrite=False)


def test_an_input_is_never_the_output_also_through_links_and_patterns(tmp_path: Path) -> None:
    source = tmp_path / "a.nc"
    source.write_text("data")
    (tmp_path / "link.nc").symlink_to(source)
    for inputs, output in (
        ([source], source),
        ([source], tmp_path / "link.nc"),
        ([tmp_path / "*.nc"], source),
        ([tmp_path / "link.nc"], source),
    ):
        with pytest.raises(UsageError, match="would replace the input"):
            check_dataset(output, inputs=inputs, overwrite=True)


def test_decompress_replaces_no_archive_and_no_grid_file(
    archive: Path, weather: Path, tmp_path: Path, nnzip: Nnzip
) -> None:
    named = Path(shutil.copy(archive, tmp_path / "archive.nc"))
    grid = Path(shutil.copy(weather, tmp_path / "grid.nc"))
    before = named.read_bytes(), grid.read_bytes()
    assert "would replace the input" in nnzip("decompress", named, "-o", named, "-f", code=2).stderr
    assert "would replace the input" in nnzip("decompress", archive, "-o", grid, "--like", grid, "-f", code=2).stderr
    assert (named.read_bytes(), grid.read_bytes()) == before


def test_decompress_deletes_no_foreign_directory(archive: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    for name in ("d.nc", "x.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("precious")
        assert "exists and is no" in nnzip("decompress", archive, "-o", tmp_path / name, "-f", code=2).stderr
        assert (tmp_path / name / "notes.txt").read_text() == "precious"


def test_a_report_is_html_and_replaces_no_input(archive: Path, weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    page = Path(shutil.copy(weather, tmp_path / "weather.html"))
    for command in (("evaluate", page, archive), ("evaluate", weather, page), ("sweep", page)):
        assert "would replace the input" in nnzip(*command, "--report", page, "-f", code=2).stderr
    for name in ("x.pdf", "x.nc", "x"):
        for command in (("evaluate", weather, archive), ("sweep", weather)):
            stderr = nnzip(*command, "--report", tmp_path / name, code=2).stderr
            assert f"{name!r} does not fit what is written: end it in .html" in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["weather.html"]


def test_compress_writes_archives_and_never_over_its_source(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    source = Path(shutil.copy(weather, tmp_path / "weather.nnz"))
    assert "would replace the input" in nnzip("compress", source, "-o", source, "-f", code=2).stderr
    assert "end it in .nnz" in nnzip("compress", weather, "-o", tmp_path / "x.nc", code=2).stderr
    assert source.read_bytes() == weather.read_bytes()

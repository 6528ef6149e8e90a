"""The documentation builds without a warning, and what it tells people to type works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Nnzip

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
RUN = ("start", "cookbook", "keeping_extremes", "xarray")
"""Pages whose blocks are run in their order, on a small sample; scripts/demo runs docs/commands.md. Other pages need
networks, clusters or devices."""
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.M | re.S)
ELSEWHERE = ("pip ", "git ", "./", "nnzip sample", "nnzip download")


@pytest.mark.parametrize("page", [*RUN, "README"])
def test_what_a_page_says_works(page: str, nnzip: Nnzip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "README.md" if page == "README" else ROOT / "docs" / f"{page}.md"
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    assert blocks
    monkeypatch.chdir(tmp_path)
    nnzip("sample", "weather.nc", "--resolution", 7.5, "--hours", 120, "--step-hours", 18)
    names: dict[str, Any] = {}
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, f"{path.name}", "exec"), names)
            continue
        for line in text.splitlines():
            command = shlex.split(line, comments=True)
            if command and not line.startswith(ELSEWHERE):
                assert command[0] == "nnzip", f"{path.name}: {line}"
                nnzip(*command[1:])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_on_every_page_is_python(path: Path) -> None:
    for kind, text in BLOCK.findall(path.read_text(encoding="utf-8")):
        if kind == "python":
            compile(text, path.name, "exec")


def test_every_command_on_every_page_exists(nnzip: Nnzip) -> None:
    commands = set()
    for path in [*PAGES, ROOT / "README.md"]:
        for kind, text in BLOCK.findall(path.read_text(encoding="utf-8")):
            lines = text.splitlines() if kind == "bash" else ()
            commands |= {line.split()[1] for line in lines if re.match(r"nnzip [a-z]+ ", line)}
    for command in commands:
        nnzip(command, "--help")


def test_no_page_names_a_place_on_a_developers_machine() -> None:
    for path in [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        assert not re.search(r"/(?:work|home|root|tmp|Users)/", path.read_text(encoding="utf-8")), path.name


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*sphinx, str(ROOT / "docs"), str(tmp_path / "site")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {path.stem for path in PAGES} <= pages


def test_the_licence_travels_with_the_package(tmp_path: Path) -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    pytest.importorskip("build")
    pytest.importorskip("twine")
    left_out = shutil.ignore_patterns(".*", "dist", "tests", "*.so", "__pycache__")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=left_out)
    build = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", str(tmp_path / "dist")]
    subprocess.run([*build, str(tmp_path / "copy")], check=True, capture_output=True)
    archive = next((tmp_path / "dist").glob("*.tar.gz"))
    listed = subprocess.run(["tar", "tzf", str(archive)], check=True, capture_output=True, text=True).stdout
    for name in ("LICENSE", "CHANGELOG.md", "CITATION.cff", "README.md"):
        assert re.search(rf"^nnzip-[^/]+/{name}$", listed, re.M), name
    twine = [sys.executable, "-m", "twine", "check", "--strict", str(archive)]
    subprocess.run(twine, check=True, capture_output=True)

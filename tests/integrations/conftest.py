"""Shared by the tests of integrations: an environment in which Python finds nnzip as if it were just installed."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray.backends

import nnzip

ROOT = Path(nnzip.__file__).parents[1]


@pytest.fixture(scope="session")
def metadata_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for Python's path, with the entry points that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("installed")
    metadata = folder / f"nnzip-{nnzip.__version__}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nnzip\nVersion: {nnzip.__version__}\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in group_of.items())
        for group, group_of in groups.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="session")
def installed(metadata_folder: Path) -> dict[str, str]:
    """Environment variables for a process that finds this package and its entry points."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(metadata_folder), str(ROOT)))}


@pytest.fixture(scope="session", autouse=True)
def _engine(metadata_folder: Path) -> Iterator[None]:
    """xarray finds the engine in this process too, whenever the package was installed."""
    sys.path.insert(0, str(metadata_folder))
    xarray.backends.refresh_engines()
    yield
    sys.path.remove(str(metadata_folder))

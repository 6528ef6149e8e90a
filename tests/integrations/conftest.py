"""Shared by the tests of integrations: an environment in which Python finds nnzip as if it were just installed."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

import nnzip

ROOT = Path(nnzip.__file__).parents[1]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables for a process that finds this package, and the entry points that pyproject.toml names."""
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
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}

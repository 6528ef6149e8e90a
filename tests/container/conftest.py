from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.archive_examples import write_example


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "example.nnz"
    write_example(path)
    return path

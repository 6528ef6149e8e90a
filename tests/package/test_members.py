"""The public names are what `nnzip.__all__` says, and every one of them can be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nnzip


def test_exported_members_exist() -> None:
    for name in nnzip.__all__:
        assert getattr(nnzip, name) is not None


def test_exported_members_are_listed_sorted_and_have_a_home() -> None:
    assert dir(nnzip) == sorted(nnzip.__all__)
    assert set(nnzip.__all__) - {"__version__"} == set(nnzip._HOME)


@pytest.mark.parametrize("first", ["import nnzip.evaluate.weights", "import nnzip", "from nnzip.cli import evaluate"])
def test_a_public_name_is_no_module_whatever_is_imported_first(first: str) -> None:
    command = (
        f"{first}; import nnzip; print(callable(nnzip.evaluate), callable(nnzip.evaluate), callable(nnzip.compress))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "True True True\n"


def test_the_public_surface_fits_on_a_screen() -> None:
    assert len(nnzip.__all__) <= 25

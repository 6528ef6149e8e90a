"""The public names are what `nnzip.__all__` says, and every one of them can be had."""

from __future__ import annotations

import nnzip


def test_exported_members_exist() -> None:
    for name in nnzip.__all__:
        assert getattr(nnzip, name) is not None


def test_exported_members_are_listed_sorted_and_have_a_home() -> None:
    assert dir(nnzip) == sorted(nnzip.__all__)
    assert set(nnzip.__all__) - {"__version__"} == set(nnzip._HOME)

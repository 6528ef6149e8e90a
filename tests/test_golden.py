"""Archives written by earlier releases decode to what they decoded to then, on every machine, for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nnzip
from nnzip.plan.goals import GUARD

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.nnz"))


def test_there_are_golden_archives_of_every_coding() -> None:
    first = {"constant", "cycles", "edges", "exact", "gaps", "interpolation", "lattices", "levels", "members"}
    names = {*first, "rmse", "stretches", "tiles", "volumes"}
    assert {path.stem for path in GOLDEN} >= {f"format3-{name}" for name in names}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_decodes_as_ever(path: Path) -> None:
    with nnzip.open_archive(path) as archive, np.load(path.with_suffix(".npz"), allow_pickle=False) as expected:
        decoded = archive.dataset()
        for name, values in expected.items():
            found = decoded[name].to_numpy()
            drift = GUARD * float(np.nanmax(values) - np.nanmin(values))
            if "lattices" in path.stem:  # a drift may move a value to the next point of the lattice, within the bound
                drift = 2 * float(decoded[name].attrs["nnzip_bound"])
            np.testing.assert_allclose(found, values, rtol=0, atol=drift)
            assert found.dtype == values.dtype
    nnzip.verify(path)

"""Archives written by earlier releases decode to what they decoded to then, on every machine, for ever."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nnzip
from nnzip.coder.native.library import NUMPY
from nnzip.plan.cutting import tile_count
from nnzip.plan.goals import GUARD
from tests.support.kernel_examples import WAYS, by

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.nnz"))


def test_there_are_golden_archives_of_every_coding() -> None:
    first = {"constant", "cycles", "edges", "exact", "gaps", "interpolation", "lattices", "levels", "members"}
    names = {*first, "rmse", "stretches", "tiles", "volumes"}
    assert {path.stem for path in GOLDEN} >= {f"format3-{name}" for name in names} | {"format4-bases"}


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


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_way_reads_the_same_bits(path: Path) -> None:
    """numpy and every path of the kernel, with 1, 2 and 4 threads."""
    found = set()
    for way in WAYS:
        for threads in (1, 2, 4) if way != NUMPY else (1,):
            with by(way), nnzip.open_archive(path) as archive, ThreadPoolExecutor(threads) as pool:
                tiles = [(n, tile) for n, sizes in enumerate(archive.tiles.sizes) for tile in range(tile_count(sizes))]
                decoded = pool.map(lambda each: archive.tiles.tile(*each).tobytes(), tiles)
                found.add(hashlib.sha256(b"".join(decoded)).hexdigest())
    assert len(found) == 1

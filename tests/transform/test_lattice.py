"""Lattices <-> bytes."""

from __future__ import annotations

import numpy as np
import pytest

from nnzip.errors import CorruptArchiveError
from nnzip.transform.lattice import Lattice, read_lattice


def of_maps(count: int, seed: int = 0) -> Lattice:
    """A lattice of every map [1, count], as it can be stored."""
    rng = np.random.default_rng(seed)
    steps = np.ldexp(0.01, rng.integers(-3, 4, (1, count)))
    return Lattice(steps, rng.integers(0, 1 << 16, (1, count)) / 65536 * steps)


def found(lattice: Lattice) -> Lattice:
    again = read_lattice(lattice.pack(), *lattice.steps.shape)
    assert again is not None
    return again


@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_bytes_and_back(count: int) -> None:
    lattice = of_maps(count)
    np.testing.assert_array_equal(found(lattice).steps, lattice.steps)
    np.testing.assert_allclose(found(lattice).origins, lattice.origins, rtol=1e-15)


def test_many_lattices_are_never_read_as_one() -> None:
    """One has 16 bytes; the others have another length, whatever deflate makes of them."""
    lengths = set()
    for count in range(2, 60):
        for phase in range(1, 300, 7):
            lattice = Lattice(np.full((1, count), 0.25), np.full((1, count), phase / 65536 * 0.25))
            lengths.add(len(lattice.pack()))
            np.testing.assert_array_equal(found(lattice).origins, lattice.origins)
    assert 17 in lengths
    assert 16 not in lengths


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        bytes(16),
        np.array([1.0, np.inf]).tobytes(),
        of_maps(5).pack()[:-2],
        of_maps(6).pack(),
        of_maps(5).pack() + b"\0",
        of_maps(5).pack() + of_maps(5).pack(),
        np.array([1e308]).tobytes() + Lattice(np.array([[1.0, 2, 4, 8, 16]]), np.zeros((1, 5))).pack()[8:],
    ],
)
def test_damage_is_an_error(data: bytes) -> None:
    with pytest.raises(CorruptArchiveError, match="lattice"):
        read_lattice(data, 1, 5)

"""Pieces of a part that have arrived from a mirror, one file each, so that a later run fetches only the others."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.download.plan import Part

SUFFIX = ".blocks"


class Checkpoint:
    """Blocks of the variables of `part` in `scratch`; those of another selection lie in a folder of their own.

    A block is numbered by its first and last (excluded) time among those of the part.
    """

    def __init__(self, part: Part, scratch: Path) -> None:
        digest = hashlib.sha256(part.identity.encode()).hexdigest()[:12]
        self._folder = scratch / f"{part.name}.{digest}{SUFFIX}"

    def holds(self, name: str, start: int, stop: int) -> bool:
        """True when times `start` to `stop` of a variable are there."""
        spans = [tuple(map(int, path.stem.rpartition("@")[2].split("-"))) for path in self._files(name)]
        covered = {time for a, b in spans for time in range(a, b)}
        return covered.issuperset(range(start, stop))

    def keep(self, name: str, start: int, stop: int, values: NDArray[Any]) -> None:
        """Store a block; it is there as a whole or not at all."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{name}@{start:06d}-{stop:06d}.npy"
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, values)
        temporary.replace(path)

    def values(self, name: str) -> NDArray[Any]:
        """All times of a variable, of which every block is there."""
        blocks = [np.load(path) for path in self._files(name)]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def remove(self) -> None:
        """Delete all blocks of the part."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self, name: str) -> list[Path]:
        return sorted(self._folder.glob(f"{name}@*.npy"))

"""Tiles of an archive decoded ahead of whoever reads them in order, by several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grouping import Group
from nnzip.layers import Tile
from nnzip.reader import Archive
from nnzip.workers import Report, Workers


@contextmanager
def decoded_ahead(
    archive: Archive, path: str | PathLike[str], dataset: xr.Dataset, jobs: int, device: str
) -> Iterator[None]:
    """Inside, `archive` (the file `path`) has its tiles decoded by up to `jobs` processes, each with the file open, in
    the order in which the variables of `dataset`, a part of it, need them, forwards or backwards in time.

    Where it is read in another order, tiles come later, but they are the same. Memory: `jobs` tiles more.
    """
    from nnzip.field.device import resolve_device

    runs = _tiles(archive, dataset)
    count = min(jobs, sum(map(len, runs)))
    if count < 2:
        yield
        return
    with Workers(_Decoder(path, device), count, resolve_device(device)) as workers:
        archive.layers.decode_elsewhere(_Ahead(workers, runs, count).tile)
        yield


def _tiles(archive: Archive, dataset: xr.Dataset) -> list[list[Tile]]:
    """Those of each of the dataset's variables; none where the field alone is decoded."""
    places = {
        layout.name: (index, number)
        for index, group in enumerate(archive.groups)
        for number, layout in enumerate(group.variables)
    }
    whole, found = archive.dataset(), []
    for name in map(str, dataset.data_vars):
        if name in places:
            index, number = places[name]
            found.append(archive.layers.tiles(index, number, _steps(archive.groups[index], whole, dataset)))
    return found


def _steps(group: Group, whole: xr.Dataset, part: xr.Dataset) -> NDArray[np.integer]:
    """Time steps of the record that a part of the dataset has."""
    dim = group.time.dim
    return np.zeros(1, np.intp) if dim is None else whole.get_index(dim).get_indexer(part.get_index(dim))


@dataclass
class _Decoder:
    """What a process does; it opens the archive with its first tile."""

    path: str | PathLike[str]
    device: str
    archive: Archive | None = None

    def __call__(self, tile: Tile, report: Report) -> NDArray[Any]:
        if self.archive is None:
            self.archive = Archive(self.path, self.device)
        return self.archive.layers.decode_tile(tile)


@dataclass
class _Ahead:
    """Asked for a tile, has the next ones begun; `runs`: the tiles of each variable in the order of time; `tickets`: of
    tiles in work or waiting to be asked for."""

    workers: Workers[Tile, NDArray[Any]]
    runs: Sequence[Sequence[Tile]]
    count: int
    tickets: dict[Tile, int] = field(default_factory=dict)
    backwards: bool = False
    last: tuple[int, int] = (-1, 0)  # run and place in it that were asked for before

    def tile(self, wanted: Tile) -> NDArray[Any]:
        """A `layers.TileDecoder`."""
        following = self._following(wanted)
        for tile in set(self.tickets) - {wanted, *following}:
            self.workers.forget(self.tickets.pop(tile))
        if wanted not in self.tickets:
            self.tickets[wanted] = self.workers.start(wanted)
        self._begin(following)
        decoded = self.workers.result(self.tickets.pop(wanted))
        self._begin(following)
        return decoded

    def _following(self, wanted: Tile) -> Sequence[Tile]:
        """What is likely to be asked for next: dask, which writes large variables, mostly goes backwards in time."""
        number = next((i for i, run in enumerate(self.runs) if wanted in run), None)
        if number is None:
            return ()
        run, (next_run,) = self.runs[number], self.runs[number + 1 : number + 2] or ((),)
        place = run.index(wanted)
        if number == self.last[0]:
            self.backwards = place < self.last[1]
        elif place in (0, len(run) - 1) and len(run) > 1:
            self.backwards = place > 0  # away from the end it begins at
        self.last = number, place
        later = [*run[:place][::-1], *next_run[::-1]] if self.backwards else [*run[place + 1 :], *next_run]
        return later[: self.count]

    def _begin(self, tiles: Sequence[Tile]) -> None:
        for tile in tiles:
            if tile not in self.tickets and self.workers.idle:
                self.tickets[tile] = self.workers.start(tile)

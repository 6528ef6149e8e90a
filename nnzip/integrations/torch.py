"""Training data for PyTorch, decoded tile by tile: `nnzip.torch.TileDataset` and its iterable twin.

A region is a box of a whole number of tiles of the first variable that holds at least a window. All variables of a
region are decoded at once and kept, and samples are windows of it, so that tiles are decoded about once an epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from nnzip.data.grouping import check_names
from nnzip.data.opening import resolve_paths
from nnzip.errors import UsageError
from nnzip.plan.cutting import tile_box, tile_count
from nnzip.read import Archive

Statistics = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Of every variable the means and the standard deviations of its channels (levels, members)."""
Window = tuple[int, int, int]

_KEPT_VALUES = 1 << 25  # of regions, by each worker; at least one region
_SAMPLED_TILES = 32  # of a variable in an archive, for its statistics


@dataclass(frozen=True)
class Region:
    """Times, rows and columns of an archive (its number), and where in them every window starts."""

    archive: int
    axes: tuple[range, range, range]
    starts: list[Window]


class TileDataset(Dataset[torch.Tensor]):
    """Windows of archives as float32 [channel, time, row, column], the channels of all `variables` one after another.

    `archives`: a path, a pattern or several of them; `window`: times, rows and columns of a sample. Samples follow each
    other without gaps; the last ones of a region overlap those before it. They are (x - `mean`) / `deviation`, and 0
    where x is missing, by the `statistics` of each variable; without these some tiles are decoded to find them.
    `device`: where samples lie, and where contexts are decoded ("cuda" needs num_workers=0).

    Memory: about 400 MB for each worker. To shuffle use `IterableTileDataset`: random access decodes tiles again.
    Pickles by paths. Raises UsageError for unknown variables, windows beyond the data and variables on other grids, and
    what `Archive` raises.
    """

    def __init__(
        self,
        archives: str | PathLike[str] | Sequence[str | PathLike[str]],
        variables: Sequence[str],
        window: Window,
        *,
        statistics: Statistics | None = None,
        device: str = "cpu",
    ) -> None:
        self.window, self.device = window, device
        self._archives = [Archive(path, device) for path in resolve_paths(archives)]
        self.variables = check_names(self._archives[0].dataset(), variables)
        self.regions = [
            region for number, archive in enumerate(self._archives) for region in self._regions(number, archive)
        ]
        self.statistics = statistics or _statistics(self._archives, self.variables)
        moments = np.concatenate([np.array(self.statistics[name], np.float32) for name in self.variables], axis=1)
        self.mean, self.deviation = torch.from_numpy(moments)[..., None, None, None]
        self._stops = np.cumsum([len(region.starts) for region in self.regions])
        self._kept: OrderedDict[int, NDArray[np.float32]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._stops[-1])

    def __getitem__(self, index: int) -> torch.Tensor:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        number = int(np.searchsorted(self._stops, index % len(self), side="right"))
        return self.sample(number, index % len(self) - int(self._stops[number]))

    def sample(self, region: int, window: int) -> torch.Tensor:
        """A window of a region; negative numbers count from its last one."""
        where = self.regions[region].starts[window]
        values = self._values(region)
        cut = tuple(slice(start, start + length) for start, length in zip(where, self.window, strict=True))
        return torch.from_numpy(values[:, *cut].copy()).to(self.device)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def _values(self, number: int) -> NDArray[np.float32]:
        """A whole region, normalised; kept for a while."""
        if number not in self._kept:
            region = self.regions[number]
            archive, (times, rows, columns) = self._archives[region.archive], region.axes
            parts = []
            for variable, name in enumerate(archive.manifest.variables):
                if name in self.variables:
                    channels = np.arange(archive.tiles.shape(variable)[0])
                    axes = np.array(times), np.array(rows, np.float64), np.array(columns, np.float64)
                    parts.append((self.variables.index(name), archive.tiles.values(variable, channels, *axes)))
            values = np.concatenate([part.astype(np.float32, copy=False) for _, part in sorted(parts, key=_first)])
            values -= self.mean.numpy()
            values /= self.deviation.numpy()
            self._kept[number] = np.nan_to_num(values, copy=False, nan=0.0)
        self._kept.move_to_end(number)
        while len(self._kept) > 1 and sum(values.size for values in self._kept.values()) > _KEPT_VALUES:
            self._kept.popitem(last=False)
        return self._kept[number]

    def _regions(self, number: int, archive: Archive) -> Iterator[Region]:
        names = list(archive.manifest.variables)
        check_names(archive.dataset(), self.variables)
        lossless = [name for name in self.variables if name not in names]
        if lossless:
            raise UsageError(f"{', '.join(lossless)} is kept losslessly and has no tiles: take compressed variables")
        sizes = {name: archive.tiles.shape(names.index(name))[1:] for name in self.variables}
        if len(set(sizes.values())) > 1:
            raise UsageError(f"the variables lie on different grids, which have no common windows: {sizes}")
        tiles = archive.tiles.sizes[names.index(self.variables[0])]
        axes = []
        for lengths, length, axis in zip(tiles[1:], self.window, ("times", "rows", "columns"), strict=True):
            if not 0 < length <= sum(lengths):
                raise UsageError(f"a window of {length} {axis} does not fit into {sum(lengths)} of the archive")
            axes.append(_joined(lengths, length))
        for times, rows, columns in product(*axes):
            starts = (
                sorted({*range(0, len(axis) - length + 1, length), len(axis) - length})
                for axis, length in zip((times, rows, columns), self.window, strict=True)
            )
            yield Region(number, (times, rows, columns), list(product(*starts)))


class IterableTileDataset(IterableDataset[torch.Tensor]):
    """The samples of a `TileDataset` in random order: regions are shuffled, then the windows inside of each, and every
    worker has its own regions. An epoch is one iteration; another one is shuffled anew, by `seed`.
    """

    def __init__(self, dataset: TileDataset, seed: int = 0) -> None:
        self.dataset, self.seed, self.epoch = dataset, seed, 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[torch.Tensor]:
        self.epoch += 1
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        epoch = self.epoch if info is None else info.seed - info.id  # of a copy that may be new: torch counts for it
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset.regions))
        for region in order[worker::workers].tolist():
            windows = np.random.default_rng([self.seed, epoch, region])
            for window in windows.permutation(len(self.dataset.regions[region].starts)).tolist():
                yield self.dataset.sample(region, window)


def _first(part: tuple[int, NDArray[np.floating]]) -> int:
    return part[0]


def _joined(lengths: Sequence[int], least: int) -> list[range]:
    """Ranges of an axis that hold whole pieces, each at least so long."""
    ranges, start, stop = list[range](), 0, 0
    for length in lengths:
        stop += length
        if stop - start >= least:
            ranges.append(range(start, stop))
            start = stop
    ranges[-1] = range(ranges[-1].start, stop)
    return ranges


def _statistics(archives: Sequence[Archive], names: Sequence[str]) -> Statistics:
    """From evenly spaced tiles of every archive."""
    found = {}
    for name in names:
        count = total = squares = np.float64(0)
        for archive in archives:
            variable = list(archive.manifest.variables).index(name)
            sizes, channels = archive.tiles.sizes[variable], archive.tiles.shape(variable)[0]
            tiles = tile_count(sizes)
            sums = np.zeros((3, channels))
            for tile in range(0, tiles, -(-tiles // _SAMPLED_TILES)):
                values = archive.tiles.masked(variable, tile).astype(np.float64)
                here, known = tile_box(sizes, tile).slices[0], np.isfinite(values)
                for row, numbers in enumerate((known, values, values**2)):
                    sums[row, here] += np.where(known, numbers, 0).sum(axis=(1, 2, 3))
            count, total, squares = count + sums[0], total + sums[1], squares + sums[2]
        mean = total / np.maximum(count, 1)
        spread = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0))
        found[name] = mean.tolist(), np.where(spread > 0, spread, 1.0).tolist()
    return found

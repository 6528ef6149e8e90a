"""How fast a DataLoader gets windows of an archive, of NetCDF and of Zarr: the table of docs/training.md.

    python scripts/bench/dataloader.py weather.nc [--variables t2m,z] [--max-error 0.1%] [--workers 0,1,2]

All read the same regions in the same shuffled order, one after another; only the decoding differs. CPU seconds are
those of all processes; beside others on the machine they say more than samples per second.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from zarr.codecs import ZstdCodec

import nnzip
from nnzip.integrations.torch import IterableTileDataset, TileDataset

WINDOW = 2, 128, 128
BATCH = 16


class Stored(TileDataset):
    """The same windows of a file that xarray opens."""

    def __init__(self, like: TileDataset, path: Path, **options: Any) -> None:
        self.__dict__.update(like.__getstate__())
        self._path, self._options = path, options

    def _values(self, number: int) -> NDArray[np.float32]:
        if number not in self._kept:
            with xr.open_dataset(self._path, **self._options) as dataset:
                grid = dataset[self.variables[0]].dims
                box = {
                    dim: slice(axis[0], axis[-1] + 1) for dim, axis in zip(grid, self.regions[number].axes, strict=True)
                }
                read = [dataset[name].isel(box).transpose(..., *grid).to_numpy() for name in self.variables]
            values = np.concatenate([each.reshape(-1, *each.shape[-3:]) for each in read])
            normal = (values - self.mean.numpy()) / self.deviation.numpy()
            self._kept.clear()
            self._kept[number] = np.nan_to_num(normal.astype(np.float32), copy=False)
        return self._kept[number]


def stored(source: Path, names: Sequence[str], max_error: str, folder: Path) -> Iterator[tuple[str, Path, TileDataset]]:
    """Every format with its name and path."""
    with nnzip.open_dataset(source) as dataset:
        chosen = dataset[list(names)].load()
    archive, zarr, netcdf = folder / "a.nnz", folder / "a.zarr", folder / "a.nc"
    nnzip.compress(chosen, archive, nnzip.Target(max_error=max_error))
    maps = {name: {"chunks": (1,) * (array.ndim - 2) + array.shape[-2:]} for name, array in chosen.items()}
    zlib = {name: {"zlib": True, "shuffle": True, "chunksizes": each["chunks"]} for name, each in maps.items()}
    for variable in chosen.variables.values():
        variable.encoding.clear()
    chosen.to_netcdf(netcdf, encoding=zlib)
    zstd = {name: {**each, "compressors": [ZstdCodec(level=3)]} for name, each in maps.items()}
    chosen.to_zarr(zarr, zarr_format=3, encoding=zstd, consolidated=False)
    tiles = TileDataset(archive, names, WINDOW)
    yield f"archive, {max_error}", archive, tiles
    yield "NetCDF, zlib", netcdf, Stored(tiles, netcdf)
    yield "Zarr, Zstandard 3", zarr, Stored(tiles, zarr, engine="zarr", consolidated=False)


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How fast a DataLoader gets samples of each format.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--variables", default="t2m,z")
    parser.add_argument("--max-error", default="0.1%")
    parser.add_argument("--workers", default="0,1,2")
    options = parser.parse_args(arguments)
    print(
        "| format | MB | workers | samples/s | MB/s | samples per CPU second | MB per CPU second |\n"
        "|---|---|---|---|---|---|---|"
    )
    with TemporaryDirectory() as folder:
        formats = stored(options.source, options.variables.split(","), options.max_error, Path(folder))
        for name, path, dataset in formats:
            size = sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file()) / 1e6
            for workers in map(int, options.workers.split(",")):
                fresh = pickle.loads(pickle.dumps(dataset))  # nothing is decoded yet
                loader = DataLoader(IterableTileDataset(fresh), batch_size=BATCH, num_workers=workers)
                begun, spent = time.perf_counter(), cpu_seconds()
                values = sum(batch.numel() for batch in loader)
                seconds, cpu = time.perf_counter() - begun, cpu_seconds() - spent
                rates = [amount / taken for taken in (seconds, cpu) for amount in (len(dataset), 4e-6 * values)]
                print(f"| {name} | {size:.1f} | {workers} |" + "".join(f" {rate:.1f} |" for rate in rates), flush=True)


if __name__ == "__main__":
    main()

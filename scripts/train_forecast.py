"""Train a small forecast network twice, from an archive and from the original, side by side: docs/training.md.

    python scripts/train_forecast.py [weather.nc] [--max-error 0.5%] [--variable msl] [--epochs 10]

Without a file the built-in sample is made. The network learns x(t + 1) - x(t) of windows from x(t - 1) and x(t). Both
networks begin with the same weights and see the same windows in the same order; both are tested on the original's last
quarter.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.utils.data import DataLoader

import nnzip
from nnzip.integrations.torch import IterableTileDataset, TileDataset

WINDOW = 3, 32, 32
BATCH, WIDTH = 16, 16


class Original(TileDataset):
    """The same windows of the original values, which are kept in memory."""

    def __init__(self, like: TileDataset, values: xr.DataArray) -> None:
        self.__dict__.update(like.__dict__)
        self.values = torch.from_numpy(values.to_numpy().astype(np.float32))

    def sample(self, region: int, window: int) -> Tensor:
        axes, where = self.regions[region].axes, self.regions[region].starts[window]
        box = [slice(axis[first], axis[first] + n) for axis, first, n in zip(axes, where, self.window, strict=True)]
        return torch.nan_to_num((self.values[*box][None] - self.mean) / self.deviation)


def network() -> nn.Module:
    """Three convolutions, the same weights every time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, WIDTH, 5, padding="same", padding_mode="reflect"), nn.GELU(),
        nn.Conv2d(WIDTH, WIDTH, 5, padding="same", padding_mode="reflect"), nn.GELU(),
        nn.Conv2d(WIDTH, 1, 1),
    )  # fmt: skip


def train(dataset: TileDataset, epochs: int) -> nn.Module:
    """A network after so many epochs."""
    model, loader = network(), DataLoader(IterableTileDataset(dataset), batch_size=BATCH)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in loader:
            loss = nn.functional.mse_loss(model(batch[:, 0, :2]), batch[:, 0, 2:] - batch[:, 0, 1:2])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return model


@torch.no_grad()
def error(model: nn.Module | None, test: TileDataset) -> float:
    """RMSE of the forecast in the variable's units; without a model that of persistence."""
    squares = []
    for batch in DataLoader(test, batch_size=BATCH):
        change = batch[:, 0, 2:] - batch[:, 0, 1:2]
        squares.append(((change if model is None else change - model(batch[:, 0, :2])) ** 2).mean((1, 2, 3)))
    return float(torch.cat(squares).mean().sqrt() * test.deviation.max())


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Print and return the errors of persistence and of the two networks."""
    parser = argparse.ArgumentParser(
        description="Train a small forecast network from an archive and from the original."
    )
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--max-error", default="0.5%")
    parser.add_argument("--variable", default="msl")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        source, name = options.source or Path(folder) / "sample.nc", options.variable
        if options.source is None:
            nnzip.make_sample(resolution=3, hours=120, variables=[name]).to_netcdf(source)
        with nnzip.open_dataset(source) as dataset:
            values = dataset[name].load()
        time, split = values.dims[0], values.shape[0] * 3 // 4
        parts = {"train": values[:split], "test": values[split:]}
        loaded: dict[str, TileDataset] = {}
        for part, chosen in parts.items():
            wanted = nnzip.Options(nnzip.Target(max_error=options.max_error), tile={str(time): 16})
            result = nnzip.compress(chosen.to_dataset(), Path(folder) / f"{part}.nnz", wanted)
            statistics = loaded["train"].statistics if loaded else None
            loaded[part] = TileDataset(result.path, [name], WINDOW, statistics=statistics)
        originals = {part: Original(loaded[part], parts[part]) for part in parts}
        found = {
            "persistence": error(None, originals["test"]),
            "original": error(train(originals["train"], options.epochs), originals["test"]),
            "archive": error(train(loaded["train"], options.epochs), originals["test"]),
        }
    for what, rmse in found.items():
        print(f"{what:12} RMSE {rmse:.4f} {values.attrs.get('units', '')}")
    return found


if __name__ == "__main__":
    main()

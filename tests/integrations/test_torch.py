"""nnzip.torch: samples are the archive's values, each once an epoch, whoever loads them."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray
from torch.utils.data import DataLoader

import nnzip
from nnzip.errors import UsageError
from nnzip.integrations.torch import IterableTileDataset, TileDataset

TIMES, ROWS, COLUMNS = 14, 40, 48
WINDOW = 2, 16, 16
NAMES = ["t", "z"]


def example(day: int) -> xr.Dataset:
    """Waves, `t` partly missing, `z` on two levels."""
    time, row, column = np.ogrid[:TIMES, :ROWS, :COLUMNS]
    wave = (np.sin(time / 3 + row / 9 + day) * np.cos(column / 8)).astype(np.float32)
    levels = np.stack([5000 + 100 * wave, 50_000 + 300 * wave], axis=1)
    return xr.Dataset(
        {
            "t": (("time", "lat", "lon"), np.where(row + column < 9, np.nan, 280 + 10 * wave), {"units": "K"}),
            "z": (("time", "level", "lat", "lon"), levels, {"units": "m"}),
            "flag": ("time", np.arange(TIMES)),
        },
        {
            "time": np.datetime64("2020-01-01", "ns")
            + np.timedelta64(day, "D")
            + np.arange(TIMES) * np.timedelta64(1, "h"),
            "lat": ("lat", np.linspace(60, -60, ROWS), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(COLUMNS) * 5.0, {"units": "degrees_east"}),
            "level": ("level", [500, 50]),
        },
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives, whose variables are cut differently."""
    path = tmp_path_factory.mktemp("torch")
    for day in range(2):
        options = nnzip.Options(
            nnzip.Target(max_error="0.1%"), tile={"time": 7, "lat": 16, "lon": 24, "level": 1}, effort="fast"
        )
        nnzip.compress(example(day), path / f"day{day}.nnz", options)
    return path


@pytest.fixture(scope="module")
def dataset(folder: Path) -> TileDataset:
    return TileDataset(str(folder / "day*.nnz"), NAMES, WINDOW)


def channels(folder: Path, dataset: TileDataset) -> list[torch.Tensor]:
    """What samples are cut from: every archive as [channel, time, row, column]."""
    found = []
    for day in range(2):
        with nnzip.open_archive(folder / f"day{day}.nnz") as archive:
            decoded = archive.dataset().load()
        whole = np.concatenate([decoded["t"].values[None], decoded["z"].transpose("level", ...).values])
        normal = (torch.from_numpy(whole.astype(np.float32)) - dataset.mean) / dataset.deviation
        found.append(torch.nan_to_num(normal))
    return found


def test_samples_are_windows_of_all_variables(folder: Path, dataset: TileDataset) -> None:
    whole, index = channels(folder, dataset), 0
    covered = [np.zeros((TIMES, ROWS, COLUMNS), bool) for _ in range(2)]
    for region in dataset.regions:
        for start in region.starts:
            box = tuple(
                slice(axis[0] + first, axis[0] + first + length)
                for axis, first, length in zip(region.axes, start, WINDOW, strict=True)
            )
            torch.testing.assert_close(dataset[index], whole[region.archive][:, *box])
            covered[region.archive][box] = True
            index += 1
    assert index == len(dataset)
    assert all(every.all() for every in covered)
    torch.testing.assert_close(dataset[-1], dataset[index - 1])
    with pytest.raises(IndexError, match=f"sample {index} of {index}"):
        dataset[index]


def test_statistics_are_those_of_the_values(folder: Path, dataset: TileDataset) -> None:
    both = xr.concat([example(day) for day in range(2)], "time")
    for name, dims in {"t": None, "z": ("time", "lat", "lon")}.items():
        mean, deviation = dataset.statistics[name]
        np.testing.assert_allclose(np.atleast_1d(both[name].mean(dims)), mean, rtol=1e-3)
        np.testing.assert_allclose(np.atleast_1d(both[name].std(dims)), deviation, rtol=0.05)  # from every other tile
    again = TileDataset(folder / "day0.nnz", NAMES, WINDOW, statistics=dataset.statistics)
    torch.testing.assert_close(again[0], dataset[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_comes_once_an_epoch_in_another_order(dataset: TileDataset, workers: int) -> None:
    torch.manual_seed(0)
    loader = DataLoader(IterableTileDataset(dataset, seed=1), batch_size=4, num_workers=workers)
    epochs = [torch.cat(list(loader)) for _ in range(2)]
    expected = torch.stack([dataset[index] for index in range(len(dataset))])
    for found in epochs:
        assert found.shape == expected.shape == (len(dataset), 3, *WINDOW)
        torch.testing.assert_close(
            sorted(found.sum((1, 2, 3, 4)).tolist()), sorted(expected.sum((1, 2, 3, 4)).tolist())
        )
    assert not torch.equal(*epochs)
    torch.testing.assert_close(torch.cat(list(DataLoader(dataset, batch_size=4, num_workers=workers))), expected)


def test_a_region_is_decoded_once_an_epoch(dataset: TileDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnzip.integrations.torch._KEPT_VALUES", 1)
    read, values = list[int](), TileDataset._values

    def counted(self: TileDataset, number: int) -> NDArray[np.float32]:
        read.append(number)
        return values(self, number)

    monkeypatch.setattr(TileDataset, "_values", counted)
    list(IterableTileDataset(dataset))
    changes = 1 + sum(one != other for one, other in pairwise(read))
    assert changes == len(dataset.regions)


@pytest.mark.parametrize(
    ("names", "window", "message"),
    [
        (["t", "u"], WINDOW, "no variable 'u'"),
        (["flag"], WINDOW, "flag is kept losslessly"),
        (["t"], (2, 64, 16), "a window of 64 rows does not fit into 40"),
        (["t"], (0, 8, 8), "a window of 0 times"),
    ],
)
def test_bad_requests(folder: Path, names: list[str], window: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TileDataset(folder / "day0.nnz", names, window)


def test_nnzip_is_imported_and_compresses_without_torch(tmp_path: Path) -> None:
    example(0).to_netcdf(tmp_path / "in.nc")
    code = (
        "import sys; sys.modules['torch'] = None; import nnzip; nnzip.compress('in.nc', 'a.nnz'); nnzip.verify('a.nnz')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)})

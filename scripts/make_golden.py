"""Write the golden archives that are not there yet; none is ever replaced.

    python scripts/make_golden.py tests/golden

One archive for each coding, each with the values it decoded to on the machine that made it (an `.npz` file); and one
file of chunks of the codecs of Zarr and numcodecs, with their values.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nnzip
from nnzip.integrations.chunks import decode_chunk
from nnzip.integrations.coding import encode_chunk
from nnzip.integrations.tolerance import Tolerance
from nnzip.request.options import Options
from nnzip.request.promises import parse_promise
from nnzip.request.target import Target

Case = tuple[xr.Dataset, Options]


def _waves(shape: tuple[int, ...], rough: float, seed: int) -> NDArray[np.float32]:
    """Waves along every axis, and noise with the standard deviation `rough`."""
    axes = np.meshgrid(*(np.linspace(0, 3, size) for size in shape), indexing="ij")
    waves = sum(4 * np.sin(2 * axis + 1.3 * number) for number, axis in enumerate(axes))
    return np.asarray(280 + waves + rough * np.random.default_rng(seed).normal(size=shape), dtype=np.float32)


def _dataset(shape: tuple[int, ...], rough: float, seed: int = 0) -> xr.Dataset:
    """Variable t on (time, [level,] latitude, longitude) of this shape; the longitudes go around where there are 32."""
    dims = ("time", "level", "latitude", "longitude") if len(shape) == 4 else ("time", "latitude", "longitude")
    times = np.datetime64("2020-02-28", "ns") + np.arange(shape[0]) * np.timedelta64(3, "h")
    step = 360 / shape[-1] if shape[-1] == 32 else 1.0
    coordinates = {
        "time": ("time", times),
        "level": ("level", np.linspace(1000, 100, shape[1])),
        "latitude": ("latitude", np.linspace(60, 60 - 2.0 * (shape[-2] - 1), shape[-2])),
        "longitude": ("longitude", np.arange(shape[-1]) * step),
    }
    values = _waves(shape, rough, seed)
    return xr.Dataset({"t": (dims, values)}, coords={dim: coordinates[dim] for dim in dims})


def _bounded(bound: str, *promises: str, **tile: int) -> Options:
    return Options(Target(max_error={None: bound}), promises=tuple(map(parse_promise, promises)), tile=tile)


def _rough_in_a_corner() -> xr.Dataset:
    dataset = _dataset((4, 32, 40), 0.0)
    dataset["t"].values[:, :10, :13] += np.random.default_rng(1).normal(0, 0.3, (4, 10, 13))
    return dataset


def _with_missing_points() -> xr.Dataset:
    """Land that is missing for ever, ice that comes and goes; a scalar and text beside, and a second variable."""
    dataset = _dataset((5, 20, 32), 0.1)
    dataset["t"].values[:, 5:12, 5:18] = np.nan
    for step in range(5):
        dataset["t"].values[step, : 2 * step + 1, 25:] = np.nan
    dataset["pressure"] = ("latitude", "longitude"), _waves((20, 32), 0.3, 1).astype(np.float64)
    return dataset.assign_coords(height=2.0, station=("latitude", [f"row {k}" for k in range(20)]))


def _packed() -> xr.Dataset:
    """Steps of 1/64 in t; in z each map has an origin, and every second one steps of 1/32."""
    dataset = _dataset((4, 16, 24), 0.1)
    step = np.ldexp(1 / 64, np.arange(4) % 2)[:, None, None]
    origin = 0.0031 * np.arange(4)[:, None, None]
    values = dataset["t"].values.astype(np.float64)
    dataset["t"].values[:] = np.rint(64 * values) / 64
    dataset["z"] = dataset["t"].dims, (np.rint((values - origin) / step) * step + origin).astype(np.float32)
    return dataset


def _days() -> xr.Dataset:
    """Three days by the hour of a sun that warms some cells more than others."""
    dataset = _dataset((72, 16, 24), 0.05)
    amplitude = 4 * np.random.default_rng(2).random((16, 24))
    hours = np.arange(72)[:, None, None] + np.arange(24) / 15
    dataset["t"].values[:] = 280 + amplitude * np.cos(hours * np.pi / 12) + 0.05 * dataset["t"].values
    return dataset.assign_coords(time=np.datetime64("2020-02-28", "ns") + np.arange(72) * np.timedelta64(1, "h"))


def _month() -> xr.Dataset:
    """Twelve days by the hour of weather over cells that differ in their means and days; cut every day."""
    days, rng = _dataset((288, 16, 24), 0.05), np.random.default_rng(3)
    mean, amplitude = rng.normal(0, 5, (16, 24)), 4 * rng.random((16, 24))
    hours = np.arange(288)[:, None, None] + np.arange(24) / 15
    days["t"].values[:] = mean + amplitude * np.cos(hours * np.pi / 12) + days["t"].values
    return days.assign_coords(time=np.datetime64("2020-02-28", "ns") + np.arange(288) * np.timedelta64(1, "h"))


def cases() -> dict[str, Case]:
    """Data and options of every archive, by name."""
    ratio = Options(
        Target(ratio=20), promises=tuple(map(parse_promise, ("extremes p97:0.2", "extremes t<p5:0.2:local")))
    )
    constant = _dataset((5, 12, 16), 0.0)
    constant["t"].values[:] = 271.15
    return {
        "gaps": (_dataset((8, 24, 32), 0.2), _bounded("0.2")),
        "volumes": (_rough_in_a_corner(), _bounded("0.2")),
        "stretches": (_dataset((8, 24, 30), 0.2), ratio),
        "rmse": (_dataset((8, 24, 32), 0.2), Options(Target(rmse={None: "0.1"}))),
        "interpolation": (_dataset((8, 24, 30), 2.0), _bounded("0.3")),
        "exact": (_dataset((3, 12, 16), 0.2), Options(Target(lossless=True))),
        "constant": (constant, _bounded("0.2")),
        "bases": (_month(), _bounded("0.3", time=24, latitude=8)),
        "cycles": (_days(), _bounded("0.3")),
        "edges": (_dataset((4, 40, 42), 0.1), Options(Target(ratio=12), tile={"latitude": 24, "longitude": 24})),
        "lattices": (_packed(), _bounded("0.035")),
        "levels": (_dataset((2, 16, 20, 24), 0.02), _bounded("0.05")),
        "members": (_dataset((4, 3, 20, 24), 0.1), _bounded("0.2")),
        "tiles": (
            _with_missing_points(),
            _bounded("0.2", "extremes t=p95:0.05", time=3, latitude=16),
        ),
    }


def chunks() -> dict[str, tuple[NDArray[np.floating], Tolerance]]:
    """Arrays and their tolerances, by name."""
    waves = _waves((3, 4, 12, 16), 0.1, 3)
    gaps = waves[0].copy()
    gaps[:, 3:7, 5:9], gaps[1, 2, 3], gaps[:, 10:] = np.nan, -np.inf, -999
    signs = np.where(np.abs(waves[0] - 280) < 1, 0, waves[0] - 280).astype(np.float64)
    return {
        "bounded": (waves, Tolerance("max_error", 0.2)),
        "gaps": (gaps, Tolerance("max_error", 0.2, -999)),
        "relative": (signs, Tolerance("relative_error", 0.02)),
        "rmse": (np.asfortranarray(waves[0], dtype=">f4"), Tolerance("rmse", 0.1)),
        "half": (waves[0].astype(np.float16), Tolerance("max_error", 0.5)),
        "exact": (waves[0, 0], Tolerance("max_error", 0.0)),
    }


def main(folder: Path) -> None:
    """Write archives and decoded values, and chunks."""
    for name, (dataset, options) in cases().items():
        made = folder / f"{name}.nnz"
        nnzip.compress(dataset, made, options)
        with nnzip.open_archive(made) as archive:
            path, decoded = folder / f"format{archive.manifest.format}-{name}.nnz", archive.dataset().load()
        if path.exists():
            made.unlink()
            continue
        made.rename(path)
        values = {str(name): decoded[name].to_numpy() for name in dataset.data_vars}
        np.savez_compressed(path.with_suffix(".npz"), allow_pickle=False, **values)
    if not (folder / "chunks1.npz").exists():
        write_chunks(folder / "chunks1.npz")


def write_chunks(path: Path) -> None:
    """Coded chunks, "coded NAME", and what they decode to, "values NAME"."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, (array, tolerance) in chunks().items():
        coded = encode_chunk(array, tolerance)
        arrays[f"coded {name}"] = np.frombuffer(coded, dtype=np.uint8)
        arrays[f"values {name}"] = decode_chunk(coded)
    np.savez_compressed(path, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Small grids and smooth fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid, source_grid

START = 1_475_366_400.0  # 2016-10-02T00:00Z, in seconds since 1970
HOUR = 3600.0


def make_grid(times: int, rows: int, columns: int, *, whole_globe: bool = False, step: float = HOUR) -> SourceGrid:
    """Descending latitudes; with `whole_globe` longitudes that close on themselves, else a quarter degree apart."""
    numbers = [np.arange(n, dtype=np.float64) for n in (times, rows, columns)]
    latitude = np.linspace(90, -90, rows) if whole_globe else 60 - 0.25 * numbers[1]
    longitude = numbers[2] * (360 / columns if whole_globe else 0.25)
    return source_grid(START + step * numbers[0], np.asarray(latitude), longitude, (True, True, True))


def index_grid(times: int, rows: int, columns: int) -> SourceGrid:
    """A grid without real coordinates."""
    axes = [np.arange(n, dtype=np.float64) for n in (times, rows, columns)]
    return source_grid(axes[0], axes[1], axes[2], (False, False, False))


def smooth(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Random fields [..., time, lat, lon] with a red spectrum, mean 280 and standard deviation 5; all axes periodic."""
    noise = np.random.default_rng(seed).normal(size=shape)
    lengths = shape[-3:]
    numbers = [np.fft.fftfreq(n) * n for n in lengths[:2]] + [np.fft.rfftfreq(lengths[2]) * lengths[2]]
    wavenumber = np.sqrt(sum(k**2 for k in np.meshgrid(*numbers, indexing="ij")))
    spectrum = np.fft.rfftn(noise, axes=(-3, -2, -1)) / (1 + wavenumber) ** 2.2
    field = np.fft.irfftn(spectrum, s=lengths, axes=(-3, -2, -1))
    return np.asarray(280 + 5 * (field - field.mean()) / max(field.std(), 1e-9), dtype=np.float32)

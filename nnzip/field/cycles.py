"""What repeats: static maps and cycles of the solar day and of the year, one map per basis function and channel.

    cycles(t, lat, lon) = sum_b basis_b(t, lon) * map_b(lat, lon)

The basis functions follow local solar time, so a map holds the mean state or the amplitude of the diurnal cycle of
each place: coastlines and orography cost their bits once and not at every time. The maps are the least-squares fit,
which is closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.data.axes import DAY_SECONDS, SourceGrid

NAMES = ("static", "cos day", "sin day", "cos half day", "sin half day", "cos year", "sin year")
"""Basis functions; an archive refers to them by their place here."""

STATIC, DAY, HALF_DAY, YEAR = (0,), (1, 2), (3, 4), (5, 6)
YEAR_SECONDS = 365.2425 * DAY_SECONDS
FEWEST_TIMES = 8
_RIDGE = 1e-3


def choose_cycles(grid: SourceGrid) -> tuple[int, ...]:
    """Basis functions (indices of NAMES) that the times of `grid` can tell apart; none for short series."""
    times = grid.time.values
    if times.size < FEWEST_TIMES:
        return ()
    chosen = [*STATIC]
    if grid.time.geographic and grid.longitude.geographic:
        step, span = np.median(np.abs(np.diff(times))), abs(times[-1] - times[0])
        if step <= DAY_SECONDS / 4 and span >= 2 * DAY_SECONDS:
            chosen += DAY
            if step <= DAY_SECONDS / 8:
                chosen += HALF_DAY
        if step <= YEAR_SECONDS / 8 and span >= 0.8 * YEAR_SECONDS:
            chosen += YEAR
    return tuple(chosen)


def basis(chosen: Sequence[int], seconds: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Tensor:
    """Basis functions [b, time, lon] float32 at times (s since 1970) and longitudes (degrees).

    Coordinates in index space serve too where `chosen` holds the static map only.
    """
    day = 2 * np.pi * (np.mod(seconds, DAY_SECONDS)[:, None] / DAY_SECONDS + longitudes[None, :] / 360)
    year = 2 * np.pi * np.mod(seconds, YEAR_SECONDS)[:, None] / YEAR_SECONDS + np.zeros_like(day)
    functions = np.empty((len(chosen), *day.shape), dtype=np.float32)
    for function, index in zip(functions, chosen, strict=True):
        wave = np.cos if index % 2 else np.sin
        function[...] = (
            1.0 if index in STATIC else wave(year if index in YEAR else 2 * day if index in HALF_DAY else day)
        )
    return torch.from_numpy(functions)


def fit_maps(values: Tensor, functions: Tensor) -> Tensor:
    """Least-squares maps [channel, b, lat, lon] of `values` [channel, time, lat, lon] on `functions` [b, time, lon].

    Amplitudes that the times cannot tell apart are kept small by a ridge of 0.1 % of a basis function's energy.
    """
    count = functions.shape[1]
    gram = torch.einsum("atx,btx->xab", functions, functions) + _RIDGE * count * torch.eye(len(functions))
    moments = torch.einsum("btx,ctyx->xbcy", functions, values).flatten(2)
    maps: Tensor = torch.linalg.solve(gram, moments)  # [lon, b, channel * lat]
    return maps.reshape(*maps.shape[:2], values.shape[0], values.shape[2]).permute(2, 1, 3, 0).contiguous()


def evaluate(maps: Tensor, functions: Tensor) -> Tensor:
    """Sum over b of function times map: [channel, time, lat, lon]."""
    return torch.einsum("btx,cbyx->ctyx", functions, maps)

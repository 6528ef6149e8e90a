"""The values of a sample on a grid: at once, or as dask arrays whose chunks are made when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from nnzip.sample import variables as physics
from nnzip.sample.harmonics import Basis, Real
from nnzip.sample.planet import Surface, planet
from nnzip.sample.weather import Atmosphere

Values = dict[str, NDArray[np.float32]]
Times = NDArray[np.int64]  # seconds since 1970-01-01

LEVELS = (850.0, 500.0)  # hPa, of z
CHUNK_BYTES = 64 << 20  # of all variables together
LATITUDES_PER_BLOCK = 32  # keeps the harmonics of a block at 17 MB
TIMES_PER_BLOCK = 16


def level_shape(name: str) -> tuple[int, ...]:
    """(levels,) of a variable on pressure levels, else ()."""
    return (len(LEVELS),) if name == "z" else ()


def planes(names: Sequence[str]) -> int:
    """Horizontal fields per time of these variables."""
    return sum(int(np.prod(level_shape(name))) for name in names)


def generate(names: Sequence[str], times: Times, latitude: Real, longitude: Real, seed: int) -> Values:
    """{name: float32 [time, (level,) lat, lon]}, made block by block so that memory beyond the result stays small."""
    grid = (len(latitude), len(longitude))
    result = {name: np.empty((len(times), *level_shape(name), *grid), dtype=np.float32) for name in names}
    for first in range(0, len(times), TIMES_PER_BLOCK):
        states = [Atmosphere(float(time), seed) for time in times[first : first + TIMES_PER_BLOCK]]
        for top in range(0, len(latitude), LATITUDES_PER_BLOCK):
            rows = slice(top, top + LATITUDES_PER_BLOCK)
            basis = Basis(latitude[rows], longitude)
            surface = planet(seed).surface(basis)
            for time, state in enumerate(states, start=first):
                block = _block(names, state, surface, basis, latitude[rows], longitude)
                for name, values in block.items():
                    result[name][time, ..., rows, :] = values
    return result


def generate_lazily(
    names: Sequence[str], times: Times, latitude: Real, longitude: Real, seed: int
) -> dict[str, da.Array]:
    """The same as dask arrays, one chunk per stretch of times; variables read together share the work."""
    grid = (len(latitude), len(longitude))
    length = max(1, CHUNK_BYTES // (4 * planes(names) * grid[0] * grid[1]))
    chunks: dict[str, list[da.Array]] = {name: [] for name in names}
    for first in range(0, len(times), length):
        part = times[first : first + length]
        values = delayed(generate, pure=True)(tuple(names), part, latitude, longitude, seed)
        for name in names:
            shape = (len(part), *level_shape(name), *grid)
            chunks[name].append(da.from_delayed(values[name], shape, dtype=np.float32))  # type: ignore[no-untyped-call]
    return {name: da.concatenate(parts) for name, parts in chunks.items()}  # type: ignore[no-untyped-call]


def _block(
    names: Sequence[str], state: Atmosphere, surface: Surface, basis: Basis, latitude: Real, longitude: Real
) -> dict[str, Real]:
    """Values of the variables at one time on a block of latitudes."""
    air = state.air(basis, latitude, longitude)
    makers: dict[str, Callable[[], Real]] = {
        "t2m": lambda: physics.temperature_at_2_metres(state, air, surface, basis, longitude),
        "msl": lambda: air.pressure,
        "u10": lambda: physics.wind_at_10_metres(air, surface, basis)[0],
        "v10": lambda: physics.wind_at_10_metres(air, surface, basis)[1],
        "tp": lambda: physics.hourly_rain(state, air, surface, basis, longitude),
        "sst": lambda: physics.sea_surface_temperature(air, surface),
        "z": lambda: np.stack([physics.geopotential(level, state, air) for level in LEVELS]),
    }
    return {name: makers[name]() for name in names}

"""What repeats from day to day: a map of the mean and maps of the daily harmonics of every cell, of one tile.

    values(t, lat, lon) = sum over b of function_b(t, lon) * map_b(lat, lon) + rest

The functions are 1, and cosine and sine of the local solar day and of half of it. The maps are the least squares fit.
Coastlines and the diurnal cycle then cost their bytes once in a tile, not at every time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError

FEWEST_TIMES = 24
CYCLE_BYTES = 25
"""Of a packed cycle."""

_SHORTEST_DAY = 4  # steps
_RIDGE = 1e-3  # of a function's energy: keeps amplitudes small that the times cannot tell apart

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Cycle:
    """The angle of the solar day: `first` + `step` * time + `column` * longitude index, in radians; `harmonics`: 0 to
    2."""

    first: float
    step: float
    column: float
    harmonics: int

    @classmethod
    def of_steps(cls, first: float, step: float, column: float) -> Cycle | None:
        """With as many harmonics as the time step can show; None where it is too long."""
        steps_per_day = 2 * np.pi / abs(step) if step else 0.0
        if steps_per_day < _SHORTEST_DAY:
            return None
        return cls(first, step, column, 2 if steps_per_day >= 2 * _SHORTEST_DAY else 1)

    @property
    def count(self) -> int:
        """Number of functions."""
        return 1 + 2 * self.harmonics

    def shifted(self, times: int, columns: int) -> Cycle:
        """The cycle of a part that begins so many steps and columns later."""
        return replace(self, first=self.first + self.step * times + self.column * columns)

    def functions(self, times: int, columns: int) -> Values:
        """Float32 [function, time, column], computed in float64."""
        angles = self.first + self.step * np.arange(times)[:, None] + self.column * np.arange(columns)
        found = [np.ones_like(angles)]
        for harmonic in range(1, self.harmonics + 1):
            found += [np.cos(harmonic * angles), np.sin(harmonic * angles)]
        return np.array(found, dtype=np.float32)

    def pack(self) -> bytes:
        """Little-endian: float64 first, step, column; one byte of harmonics."""
        return np.array([self.first, self.step, self.column], dtype="<f8").tobytes() + bytes([self.harmonics])


def read_cycle(data: bytes, fewest: int = 1) -> Cycle | None:
    """Inverse of `Cycle.pack`, with at least so many harmonics; None from no bytes. Raises CorruptArchiveError."""
    if not data:
        return None
    numbers = np.frombuffer(data[:24], dtype="<f8") if len(data) == CYCLE_BYTES else np.zeros(0)
    if numbers.size != 3 or not np.isfinite(numbers).all() or not fewest <= data[24] <= 2:
        raise CorruptArchiveError("a tile is damaged: its cycle is no angle with one or two harmonics")
    return Cycle(float(numbers[0]), float(numbers[1]), float(numbers[2]), data[24])


def fit_maps(values: Values, functions: Values) -> Values:
    """Least squares maps [channel, function, lat, lon] float32 of `values` [channel, time, lat, lon]."""
    count, times = functions.shape[:2]
    gram = np.einsum("atx,btx->xab", functions, functions, dtype=np.float64) + _RIDGE * times * np.eye(count)
    moments = np.einsum("btx,ctyx->xbcy", functions, values, optimize=True).astype(np.float64)
    maps = np.linalg.solve(gram, moments.reshape(len(gram), count, -1))
    shaped = maps.reshape(len(gram), count, len(values), values.shape[2])
    return np.ascontiguousarray(shaped.transpose(2, 1, 3, 0), dtype=np.float32)


def add_cycle(values: Values, maps: Values, functions: Values, sign: int) -> None:
    """Add (`sign` 1) or subtract (-1) function times map, in place, in the order of the functions: encoder and decoder
    round alike."""
    for channel, channel_maps in zip(values, maps, strict=True):
        for function, plane in zip(functions, channel_maps, strict=True):
            channel += np.float32(sign) * (function[:, None, :] * plane)

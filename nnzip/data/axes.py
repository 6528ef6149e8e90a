"""Where a point lies on the source grid: fractional vertex positions along time, latitude and longitude.

The field's feature grids have one vertex per source point, so the source grid is decoded without interpolation and
any other point linearly between vertices. A global longitude axis is periodic: beyond the last vertex comes the
first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.data.conventions import TURN, is_global
from nnzip.errors import UsageError

DAY_SECONDS = 86400.0
SMALLEST_ROW_WEIGHT = 0.4
"""Points near the poles get at most 1 / 0.4 times the error of the equator's."""

_SAME = 1e-3  # seconds or degrees that a request may differ from a single coordinate value


@dataclass(frozen=True)
class SourceAxis:
    """One axis of the source grid: strictly monotonic `values` (float64), real coordinates where `geographic`."""

    name: str
    values: NDArray[np.float64]
    geographic: bool
    periodic: bool = False

    @property
    def vertices(self) -> NDArray[np.float64]:
        """Coordinate values, followed on a periodic axis by that of the first vertex one turn further."""
        if not self.periodic:
            return self.values
        return np.append(self.values, self.values[0] + TURN * self._direction)

    def positions(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Fractional vertex positions of coordinate values, in [0, n - 1] (periodic: [0, n)).

        Longitudes may be in any convention. Up to one spacing beyond the ends the nearest end is taken (cell edges,
        poles). Raises UsageError further out and for values that are not finite.
        """
        wanted = np.asarray(values, dtype=np.float64)
        if self.name == "longitude" and self.geographic:
            wanted = self._nearest_turn(wanted)
        self._require_inside(wanted)
        count = self.values.size
        if count == 1:
            return np.zeros(wanted.shape)
        found = np.interp(self._direction * wanted, self._direction * self.vertices, np.arange(self.vertices.size))
        nearest = np.rint(found)
        exact = np.abs(found - nearest) < min(1e-6 * count, 1e-2)  # rounding of float32 coordinates
        found = np.where(exact, nearest, found)
        return found % count if self.periodic else found

    @property
    def _direction(self) -> float:
        return 1.0 if self.values[-1] >= self.values[0] else -1.0

    def _nearest_turn(self, longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Moved by whole turns to where the axis has them; those it lacks, to the nearer end."""
        if self.periodic:
            first = self.values[0]
            return np.asarray(first + self._direction * np.mod(self._direction * (longitudes - first), TURN))
        centre = (self.values[0] + self.values[-1]) / 2
        return np.asarray(longitudes - TURN * np.rint((longitudes - centre) / TURN))

    def _require_inside(self, wanted: NDArray[np.float64]) -> None:
        low, high = sorted((float(self.values[0]), float(self.values[-1])))
        if self.values.size == 1:
            slack = _SAME if self.geographic else np.inf
        else:
            slack = np.inf if self.periodic else float(np.abs(np.diff(self.values)).max())
        outside = ~(np.isfinite(wanted) & (wanted >= low - slack) & (wanted <= high + slack))
        if not outside.any():
            return
        if self.values.size == 1:
            raise UsageError(
                f"{self.name} {wanted[outside][0]:g} is not the archive's only {self.name}, {low:g}: ask for that"
            )
        raise UsageError(
            f"{self.name} {wanted[outside][0]:g} lies outside the archive's {self.name}, {low:g} to {high:g}: "
            "ask for a part of it"
        )


@dataclass(frozen=True)
class SourceGrid:
    """The three axes of a group's field."""

    time: SourceAxis
    latitude: SourceAxis
    longitude: SourceAxis

    @property
    def axes(self) -> tuple[SourceAxis, SourceAxis, SourceAxis]:
        """(time, latitude, longitude)."""
        return self.time, self.latitude, self.longitude

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of vertices along (time, latitude, longitude)."""
        return self.time.values.size, self.latitude.values.size, self.longitude.values.size

    @property
    def periodic(self) -> tuple[bool, bool, bool]:
        """Which axes close on themselves."""
        return self.time.periodic, self.latitude.periodic, self.longitude.periodic

    def times(self, start: int, stop: int) -> SourceGrid:
        """The grid of the times start..stop - 1 (a segment)."""
        part = SourceAxis(self.time.name, self.time.values[start:stop], self.time.geographic)
        return SourceGrid(part, self.latitude, self.longitude)

    def row_weights(self) -> NDArray[np.float64]:
        """Square root of the relative cell area per latitude row [lat], not below `SMALLEST_ROW_WEIGHT`.

        Rows are multiplied by it before the wavelet, so that one quantisation step minimises the area-weighted error.
        """
        if not self.latitude.geographic:
            return np.ones(self.latitude.values.size)
        areas = np.cos(np.deg2rad(np.clip(self.latitude.values, -90, 90)))
        return np.maximum(np.sqrt(areas), SMALLEST_ROW_WEIGHT)

    def coordinates(self, axis: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinate values at vertex positions: seconds, degrees, or indices."""
        vertices = self.axes[axis].vertices
        return np.interp(positions, np.arange(vertices.size), vertices)


def source_grid(
    time: NDArray[np.float64],
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    geographic: tuple[bool, bool, bool],
) -> SourceGrid:
    """The grid with these coordinates, periodic where the longitudes go round the globe.

    Coordinates are seconds since 1970 and degrees, or indices where not `geographic`.
    """
    return SourceGrid(
        SourceAxis("time", time, geographic[0]),
        SourceAxis("latitude", latitude, geographic[1]),
        SourceAxis("longitude", longitude, geographic[2], geographic[2] and is_global(longitude)),
    )

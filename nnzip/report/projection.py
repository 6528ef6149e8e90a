"""Map projections of the report: Equal Earth for the globe, azimuthal equal-area around a pole, plain degrees for the
rest.

Equal-area, so that an error is drawn as large as the area it falls on. Coordinates of a map run from 0 to 1, x from
west to east and y from south to north.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnzip.evaluate.errors import Floats

_A = (1.340264, -0.081106, 0.000893, 0.003796)
_POLAR_EDGE = 20.0  # degrees of latitude: a polar map does not reach beyond it
_NEAR_POLE = 80.0
_WIDE, _TALL, _HALF = 359.0, 120.0, 180.0  # degrees that make a map of the globe, or of a cap

Degrees = tuple[Floats, Floats]
Convert = Callable[[Floats, Floats], Degrees]


@dataclass(frozen=True)
class Projection:
    """A map's geometry. forward: longitude, latitude in degrees -> x, y; inverse: x, y -> longitude, latitude, NaN off
    the globe. height: over the width. name: for readers; "" for plain degrees or index space.
    """

    name: str
    height: float
    forward: Convert
    inverse: Convert


def choose_projection(extent: tuple[float, float, float, float], geographic: bool) -> Projection:
    """By west, east, south, north edges in degrees: the globe, a polar cap, or a region in plain degrees, as wide as it
    is at its middle latitude.
    """
    west, east, south, north = extent
    if geographic and east - west > _WIDE and north - south > _TALL:
        return _equal_earth()
    for pole, nearest, farthest in ((1, north, south), (-1, -south, -north)):
        if geographic and east - west > _HALF and nearest > _NEAR_POLE and farthest > _POLAR_EDGE:
            return _polar(pole, farthest)
    return _plain(extent, geographic)


def _plain(extent: tuple[float, float, float, float], geographic: bool) -> Projection:
    west, east, south, north = extent
    middle = math.cos(math.radians((south + north) / 2)) if geographic else 1.0
    height = (north - south) / ((east - west) * max(middle, 0.2))

    def forward(longitude: Floats, latitude: Floats) -> Degrees:
        return (longitude - west) / (east - west), (latitude - south) / (north - south)

    def inverse(x: Floats, y: Floats) -> Degrees:
        return west + x * (east - west), south + y * (north - south)

    return Projection("", min(max(height, 0.3), 1.25), forward, inverse)


def _equal_earth() -> Projection:
    """Savric, Patterson and Jenny (2018), doi:10.1080/13658816.2018.1504949, around Greenwich."""
    table = np.linspace(-math.pi / 3, math.pi / 3, 4001)
    width, top = math.pi / (_stretch(np.zeros(1))[0]), _rise(table)[-1]

    def forward(longitude: Floats, latitude: Floats) -> Degrees:
        theta = np.arcsin(np.sqrt(3) / 2 * np.sin(np.radians(latitude)))
        x = np.radians((longitude + 180) % 360 - 180) * np.cos(theta) / _stretch(theta)
        return (x / width + 1) / 2, (_rise(theta) / top + 1) / 2

    def inverse(x: Floats, y: Floats) -> Degrees:
        theta = np.interp((2 * y - 1) * top, _rise(table), table)
        longitude = np.degrees((2 * x - 1) * width * _stretch(theta) / np.cos(theta))
        latitude = np.degrees(np.arcsin(np.clip(2 / np.sqrt(3) * np.sin(theta), -1, 1)))
        return np.where(np.abs(longitude) <= 180, longitude, np.nan), latitude

    return Projection("Equal Earth projection", top / width, forward, inverse)


def _rise(theta: Floats) -> Floats:
    square = theta * theta
    return theta * (_A[0] + square * (_A[1] + square * square * (_A[2] + square * _A[3])))


def _stretch(theta: Floats) -> Floats:
    """The slope of `_rise` times sqrt(3)/2: radians of longitude per unit of x, over cos(theta)."""
    square = theta * theta
    slope = _A[0] + square * (3 * _A[1] + square * square * (7 * _A[2] + 9 * square * _A[3]))
    return np.asarray(slope * np.sqrt(3) / 2)


def _polar(pole: int, edge: float) -> Projection:
    """Lambert's azimuthal equal-area around the north (1) or south (-1) pole, out to `edge` degrees from the equator;
    Greenwich points down in the north and up in the south.
    """
    radius = math.sin(math.radians(90 - edge) / 2)

    def forward(longitude: Floats, latitude: Floats) -> Degrees:
        distance = np.sin(np.radians(90 - pole * latitude) / 2) / radius / 2
        angle = np.radians(longitude)
        return 0.5 + distance * np.sin(angle), 0.5 - pole * distance * np.cos(angle)

    def inverse(x: Floats, y: Floats) -> Degrees:
        distance = 2 * np.hypot(x - 0.5, y - 0.5)
        latitude = pole * (90 - 2 * np.degrees(np.arcsin(np.clip(distance * radius, 0, 1))))
        longitude = np.degrees(np.arctan2(x - 0.5, pole * (0.5 - y)))
        return np.where(distance <= 1, longitude, np.nan), latitude

    return Projection("Azimuthal equal-area projection", 1.0, forward, inverse)

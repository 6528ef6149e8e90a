"""Inputs of the network that follow from the coordinates and cost no bits: the sun, the season, the latitude."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DAY = 86400.0
YEAR = 365.2425 * DAY
_TILT = np.deg2rad(23.44)
_SOLSTICE = 2 * np.pi * 10 * DAY / YEAR  # before the first of January

SINGLE = ("one", "latitude", "slow", "sun")
PAIRS = ("hour", "half-day", "season", "half-year")
"""one: 1. latitude: its sine. slow: from -1 to 1 over the record. sun: cosine of its zenith angle, 0 at night. Pairs
are cosine and sine: of the local solar day, of half of it, of the year, of half of it."""

Floats = NDArray[np.float32]
Coordinates = NDArray[np.float64]


def count(names: tuple[str, ...]) -> int:
    """Numbers that these inputs are."""
    return sum(2 if name in PAIRS else 1 for name in names)


def inputs(
    names: tuple[str, ...], seconds: Coordinates, latitude: Coordinates, longitude: Coordinates, share: Coordinates
) -> list[Floats]:
    """Inputs at the points of a product grid, each broadcastable to [time, lat, lon].

    `seconds` [time] since 1970 (UTC); `latitude`, `longitude` in degrees; `share` [time]: 0 to 1 over the record.
    """
    day = 2 * np.pi * (seconds[:, None, None] / DAY % 1 + longitude / 360)
    year = 2 * np.pi * (seconds[:, None, None] / YEAR % 1)
    sine = np.sin(np.deg2rad(latitude))[:, None]
    found: list[NDArray[np.floating]] = []
    for name in names:
        if name in PAIRS:
            angle = {"hour": day, "half-day": 2 * day, "season": year, "half-year": 2 * year}[name]
            found += [np.cos(angle), np.sin(angle)]
        elif name == "sun":
            declination = -_TILT * np.cos(year + _SOLSTICE)
            cosine = np.sqrt(np.maximum(1 - sine**2, 0))
            high, wide = sine * np.sin(declination), cosine * np.cos(declination)
            found.append(np.maximum(high.astype(np.float32) - wide.astype(np.float32) * np.cos(day).astype("f4"), 0))
        else:
            single = {"one": np.ones((1, 1, 1)), "latitude": sine[None], "slow": 2 * share[:, None, None] - 1}
            found.append(single[name])
    return [values.astype(np.float32) for values in found]

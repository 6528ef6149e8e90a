"""Regular grids to decode on: of a given spacing, or another file's."""

from __future__ import annotations

from os import PathLike

import numpy as np
from numpy.typing import NDArray

from nnzip.data.conventions import degrees_coordinate, dimension_roles
from nnzip.data.opening import open_dataset
from nnzip.errors import UsageError

Degrees = NDArray[np.float64]
_SLACK = 1e-6


def regular_grid(latitude: Degrees, longitude: Degrees, spacing: float, is_global: bool) -> tuple[Degrees, Degrees]:
    """Latitudes and longitudes at whole multiples of `spacing` degrees inside the source's, in the source's
    directions.

    A global source gives 360 / spacing longitudes. Raises UsageError when the source's area holds no such point.
    """
    rows = _multiples(float(latitude.min()), float(latitude.max()), spacing)
    last = float(longitude.min()) + 360 - spacing / 2 if is_global else float(longitude.max())
    columns = _multiples(float(longitude.min()), last, spacing)
    for name, source, found in (("latitudes", latitude, rows), ("longitudes", longitude, columns)):
        if not found.size:
            raise UsageError(
                f"a grid of {spacing:g} degrees has no point in the {name} {source.min():g} to {source.max():g}: "
                "choose a finer one"
            )
    return (rows if latitude[-1] > latitude[0] else rows[::-1]), (
        columns if longitude[-1] > longitude[0] else columns[::-1]
    )


def grid_of(path: str | PathLike[str]) -> tuple[Degrees, Degrees]:
    """Latitudes and longitudes (degrees, one-dimensional) of a file.

    Raises UsageError when it has none.
    """
    with open_dataset(path) as dataset:
        found: dict[str, Degrees] = {}
        for dim, role in dimension_roles(dataset).items():
            if role in ("latitude", "longitude"):
                coordinate = degrees_coordinate(dataset, dim, "latitude" if role == "latitude" else "longitude")
                if coordinate is not None:
                    found.setdefault(role, coordinate.to_numpy().astype(np.float64))
    if set(found) != {"latitude", "longitude"}:
        raise UsageError(
            f"{path} has no one-dimensional latitudes and longitudes to decode on: name a file with a regular grid"
        )
    return found["latitude"], found["longitude"]


def _multiples(low: float, high: float, spacing: float) -> Degrees:
    first, last = np.ceil(low / spacing - _SLACK), np.floor(high / spacing + _SLACK)
    return np.arange(first, last + 1) * spacing

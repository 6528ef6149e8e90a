"""An area in degrees, and its text "south,north,west,east"."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from nnzip.errors import UsageError


class Area(NamedTuple):
    """An area in degrees; from `west` eastward to `east`, in any convention."""

    south: float
    north: float
    west: float
    east: float


def parse_bbox(bbox: str | Sequence[float]) -> Area:
    """Area of "south,north,west,east" (text or four numbers). Raises UsageError when it is none."""
    parts = bbox.split(",") if isinstance(bbox, str) else list(bbox)
    try:
        south, north, west, east = (float(part) for part in parts)
    except ValueError as error:
        raise UsageError(f"the area {bbox!r} is not south,north,west,east in degrees, such as 10,35,270,300") from error
    if not all(map(isfinite, (south, north, west, east))) or max(abs(south), abs(north)) > 90:
        raise UsageError(f"the area {bbox!r} has latitudes beyond 90 degrees: the order is south,north,west,east")
    if south > north:
        raise UsageError(f"the area {bbox!r} has its south {south:g} north of its north {north:g}: swap them")
    return Area(south, north, west, east)

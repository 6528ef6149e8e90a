"""Fields as small PNG images: in squares of cells, on the map's projection, in few colours."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from nnzip.evaluate.error_maps import blocks
from nnzip.evaluate.errors import Floats
from nnzip.report.projection import Projection

MISSING = (184, 188, 196)
_OUTSIDE, _MISSING, _FIRST = 0, 1, 2  # entries of the palette

Extent = tuple[float, float, float, float]


def block_mean(field: Floats, block: int) -> Floats:
    """Mean of the finite cells of every block."""
    cells = blocks(field, block, fill=np.nan)
    counts = np.isfinite(cells).sum(axis=-1)
    return np.where(counts > 0, np.nansum(cells, axis=-1) / np.maximum(counts, 1), np.nan)


def block_extreme(field: Floats, block: int) -> Floats:
    """The value of largest magnitude of every block, so that drawing small never hides an error."""
    cells = blocks(field, block, fill=np.nan)
    place = np.argmax(np.where(np.isfinite(cells), np.abs(cells), -1.0), axis=-1)
    return np.asarray(np.take_along_axis(cells, place[..., None], axis=-1)[..., 0])


def projected(
    field: Floats, extent: Extent, projection: Projection, *, extremes: bool
) -> tuple[Floats, NDArray[np.bool_]]:
    """A field [row, column], north first, on the map, and which of its dots lie on the globe. A dot shows the cell at
    its middle; with `extremes` the largest in magnitude of all cells under it. Plain maps stay as they are.
    """
    if not projection.name:
        return field, np.ones(field.shape, dtype=np.bool_)
    west, east, south, north = extent
    rows, columns = field.shape
    width = round(np.sqrt(field.size / projection.height))
    height = round(width * projection.height)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, 1 - (np.arange(height) + 0.5) / height)
    longitude, latitude = projection.inverse(x, y)
    around = (longitude - west) % 360
    inside = np.isfinite(longitude)
    known = inside & (around < east - west) & (latitude > south) & (latitude < north)
    row = np.clip((north - latitude) / (north - south) * rows, 0, rows - 1)
    column = np.clip(around / (east - west) * columns, 0, columns - 1)
    picture = np.full(x.shape, np.nan)
    picture[known] = field[row[known].astype(np.intp), column[known].astype(np.intp)]
    if extremes:
        _raise_extremes(picture, field, extent, projection)
    return picture, inside


def _raise_extremes(picture: Floats, field: Floats, extent: Extent, projection: Projection) -> None:
    """Put every cell of the field on its dot, the largest in magnitude last."""
    west, east, south, north = extent
    (height, width), (rows, columns) = picture.shape, field.shape
    longitudes = west + (np.arange(columns) + 0.5) / columns * (east - west)
    latitudes = north - (np.arange(rows) + 0.5) / rows * (north - south)
    x, y = projection.forward(*np.meshgrid(longitudes, latitudes))
    order = np.argsort(np.abs(field), axis=None)
    order = order[np.isfinite(field.ravel()[order])]
    down = np.clip(((1 - y) * height).astype(np.intp), 0, height - 1).ravel()[order]
    right = np.clip((x * width).astype(np.intp), 0, width - 1).ravel()[order]
    picture[down, right] = field.ravel()[order]


def png(field: Floats, inside: NDArray[np.bool_], limits: tuple[float, float], colours: str, levels: int) -> str:
    """A data: URI of [row, column] in `levels` equal steps of a colour map; grey where missing, clear outside."""
    from PIL import Image

    low, high = limits
    with np.errstate(invalid="ignore"):
        step = np.clip(np.nan_to_num((field - low) / (high - low) * levels), 0, levels - 1).astype(np.uint8)
    dots = np.where(np.isfinite(field), step + _FIRST, _MISSING)
    image = Image.fromarray(np.where(inside, dots, _OUTSIDE).astype(np.uint8))
    table = np.zeros((_FIRST + levels, 3), dtype=np.uint8)
    table[_MISSING] = MISSING
    table[_FIRST:] = palette(colours, levels)
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="png", transparency=_OUTSIDE, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def palette(colours: str, levels: int) -> NDArray[np.uint8]:
    """[level, RGB] of the middles of equal steps."""
    found = mpl.colormaps[colours]((np.arange(levels) + 0.5) / levels)
    return np.asarray(np.round(np.asarray(found)[:, :3] * 255), dtype=np.uint8)

"""Maps of the report as inline SVG: fields before and after, and their error, of a whole grid or of an event's box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nnzip.data.grids import coordinate_label, require_grid
from nnzip.evaluate.errors import Floats
from nnzip.evaluate.scores import VariableScores
from nnzip.report import numbers
from nnzip.report.figures import STYLE, axis_label, new_figure, plain, svg

MAX_COLUMNS = 720  # a map is drawn about 450 px wide; two dots per pixel is enough, and keeps the file small
FIELD_COLOURS = "cividis"
ERROR_COLOURS = "PuOr_r"
SATURATION = 0.999
_WIDE = 60.0  # degrees of latitude: beyond it axes are marked at 30, 60, 90 degrees
_MISSING = "#b8bcc4"
_SYMBOLS = {"ring": ("o", 11.0), "original": ("+", 13.0), "decoded": ("x", 9.0)}


@dataclass(frozen=True)
class MapField:
    """One field for three maps: arrays [row, column], north first; error is decoded minus original.

    extent: west, east, south, north edges of the cells in degrees, or column and row numbers in index space (geographic
    False). worst: x, y of the largest error of this field. block: how many cells per side one map cell stands for.
    when: time and level in words.
    """

    original: Floats
    decoded: Floats
    error: Floats
    extent: tuple[float, float, float, float]
    geographic: bool
    worst: tuple[float, float]
    block: int
    when: str


@dataclass(frozen=True)
class Mark:
    """A symbol on a map: "ring", "original" (+) or "decoded" (×) at x, y."""

    symbol: str
    x: float
    y: float


@dataclass(frozen=True)
class Frame:
    """Where a map is: west, east, south, north edges in degrees, or columns and rows in index space."""

    extent: tuple[float, float, float, float]
    geographic: bool


def worst_field(original: xr.DataArray, decoded: xr.DataArray, scores: VariableScores) -> MapField:
    """The field that holds the largest error of `scores`; loads only that field of each side. Dimensions are matched by
    name. Several decoded datasets are compared by the field of one of them.
    """
    grid = require_grid(original)
    plane = (grid.latitude, grid.longitude)
    leading = {dim: index for dim, index in scores.max_error_index.items() if dim not in plane}
    first = np.asarray(original.isel(leading).transpose(*plane).values, dtype=np.float64)
    second = np.asarray(decoded.isel(leading).transpose(*plane).values, dtype=np.float64)
    valid = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(valid, first, np.nan), np.where(valid, second, np.nan)
    if grid.geographic:
        y, x = grid.latitudes, grid.longitudes
    else:
        y, x = np.arange(first.shape[0], dtype=np.float64)[::-1], np.arange(first.shape[1], dtype=np.float64)
    size = np.abs(second - first)
    row, column = np.unravel_index(int(np.argmax(np.where(valid, size, -1.0))), size.shape)
    block = -(-max(first.shape[1], first.shape[0] * 2) // MAX_COLUMNS)
    flip_rows, flip_columns = bool(y[0] < y[-1]), bool(x[0] > x[-1])
    maps = [field[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1] for field in (first, second, second - first)]
    return MapField(
        original=_block_mean(maps[0], block),
        decoded=_block_mean(maps[1], block),
        error=_block_extreme(maps[2], block),
        extent=(*edges(x), *edges(y)),
        geographic=grid.geographic,
        worst=(float(x[column]), float(y[row])),
        block=block,
        when=", ".join(numbers.coordinate(dim, coordinate_label(original, dim, i)) for dim, i in leading.items()),
    )


def map_figures(fields: Sequence[MapField], scores: Sequence[VariableScores]) -> tuple[str, list[tuple[str, str]]]:
    """SVG maps of the original, and of the decoded field and its error in each dataset: one scale of values, one
    symmetric scale of errors, the largest error of each field ringed.
    """
    first, worst = fields[0], max(scores, key=lambda found: found.max_error)
    limits = value_limits([first.original, *(field.decoded for field in fields)])
    bound = error_limit([field.error for field in fields]) or worst.max_error or 1.0
    axis, frame = axis_label(worst.name, worst.units), Frame(first.extent, first.geographic)
    where = f" at {first.when}" if first.when else ""
    original = draw_map(first.original, frame, limits, FIELD_COLOURS, axis, f"Map of the original {worst.name}{where}")
    pairs = []
    for field, found in zip(fields, scores, strict=True):
        text = f"Map of the decoded {worst.name}{where}"
        decoded = draw_map(field.decoded, frame, limits, FIELD_COLOURS, axis, text)
        largest = float(np.nanmax(np.abs(field.error), initial=0.0))
        error = draw_map(
            field.error,
            frame,
            (-bound, bound),
            ERROR_COLOURS,
            axis_label("error", worst.units),
            f"Map of the error of {worst.name}{where}, at most {numbers.quantity(largest, found.units)}",
            marks=[Mark("ring", *field.worst)] if largest > 0 else [],
            saturated=largest > bound,
        )
        pairs.append((decoded, error))
    return original, pairs


def value_limits(fields: Sequence[Floats]) -> tuple[float, float]:
    """Smallest and largest finite value of all fields, widened where they are equal."""
    values = np.concatenate([field[np.isfinite(field)] for field in fields])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def error_limit(errors: Sequence[Floats]) -> float:
    """The |error| that 99.9 % of all cells stay below; 0 without any."""
    sizes = np.abs(np.concatenate([error[np.isfinite(error)] for error in errors]))
    return float(np.quantile(sizes, SATURATION)) if sizes.size else 0.0


def draw_map(
    values: Floats,
    frame: Frame,
    limits: tuple[float, float],
    colours: str,
    axis: str,
    alt: str,
    *,
    marks: Sequence[Mark] = (),
    saturated: bool = False,
) -> str:
    """SVG of one field [row, column], north first. axis: what the colour bar shows; alt: for screen readers."""
    west, east, south, north = frame.extent
    shape = min(max((north - south) / (east - west), 0.35), 1.2)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.6, 0.9 + 4.0 * shape)
        image = axes.imshow(
            values,
            cmap=mpl.colormaps[colours].with_extremes(bad=_MISSING),
            vmin=limits[0],
            vmax=limits[1],
            extent=frame.extent,
            aspect="auto",
            interpolation="none",
        )
        _draw_marks(axes, marks)
        _mark_degrees(axes, frame)
        bar = figure.colorbar(
            image,
            ax=axes,
            orientation="horizontal",
            fraction=0.06,
            pad=0.02,
            aspect=40,
            extend="both" if saturated else "neither",
        )
        bar.set_label(axis)
        bar.outline.set_linewidth(0.4)
        if bar.solids is not None:
            bar.solids.set_rasterized(True)
        bar.ax.xaxis.set_major_locator(MaxNLocator(5))
        bar.ax.xaxis.set_major_formatter(FuncFormatter(plain))
        return svg(figure, alt)


def edges(values: Floats) -> tuple[float, float]:
    """Outer edges of the cells, lower first."""
    low, high = float(values.min()), float(values.max())
    half = (high - low) / (values.size - 1) / 2
    return low - half, high + half


def _blocks(field: Floats, block: int) -> Floats:
    """[row, column] -> [row block, column block, cells], padded with NaN."""
    rows, columns = (-(-size // block) * block for size in field.shape)
    padded = np.full((rows, columns), np.nan)
    padded[: field.shape[0], : field.shape[1]] = field
    cells = padded.reshape(rows // block, block, columns // block, block).transpose(0, 2, 1, 3)
    return cells.reshape(rows // block, columns // block, block * block)


def _block_mean(field: Floats, block: int) -> Floats:
    """Mean of the finite cells of every block."""
    cells = _blocks(field, block)
    counts = np.isfinite(cells).sum(axis=-1)
    return np.where(counts > 0, np.nansum(cells, axis=-1) / np.maximum(counts, 1), np.nan)


def _block_extreme(field: Floats, block: int) -> Floats:
    """The value of largest magnitude of every block, so that drawing small never hides an error."""
    cells = _blocks(field, block)
    place = np.argmax(np.where(np.isfinite(cells), np.abs(cells), -1.0), axis=-1)
    return np.asarray(np.take_along_axis(cells, place[..., None], axis=-1)[..., 0])


def _draw_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    """Black with a white edge, so that they show on every colour."""
    outline = [patheffects.withStroke(linewidth=3.4, foreground="white")]
    for mark in marks:
        symbol, size = _SYMBOLS[mark.symbol]
        axes.plot(
            mark.x,
            mark.y,
            marker=symbol,
            ms=size,
            mfc="none",
            mec="black",
            mew=1.4 if symbol == "o" else 1.8,
            clip_on=False,
            path_effects=None if symbol == "o" else outline,
        )


def _mark_degrees(axes: Axes, frame: Frame) -> None:
    axes.set_xlabel("longitude" if frame.geographic else "grid column")
    axes.set_ylabel("latitude" if frame.geographic else "grid row")
    wide = frame.geographic and frame.extent[3] - frame.extent[2] > _WIDE
    for side, hemispheres in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        steps = [1, 3, 6, 9, 10] if wide else [1, 2, 2.5, 5, 10]
        side.set_major_locator(MaxNLocator(4, steps=steps, integer=not frame.geographic))
        if frame.geographic:
            side.set_major_formatter(FuncFormatter(_degrees(hemispheres)))


def _degrees(hemispheres: str) -> Callable[[float, float], str]:
    """Formatter of axis ticks: -30 -> 30° S; 0 is plain, and so is 180° of longitude."""

    def text(value: float, _: float) -> str:
        side = "" if value % 180 == 0 else f"\u00a0{hemispheres[0 if value > 0 else 1]}"
        return f"{abs(value):g}°{side}"

    return text

"""Maps of the report as inline SVG: fields before and after, and their error, of a whole grid or of an event's box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from nnzip.evaluate.scores import VariableScores
from nnzip.report import numbers
from nnzip.report.fields import MapField
from nnzip.report.figures import STYLE, axis_label, new_figure, plain, svg

Floats = NDArray[np.float64]

FIELD_COLOURS = "cividis"
ERROR_COLOURS = "PuOr_r"
SATURATION = 0.999
_WIDE = 60.0  # degrees of latitude: beyond it axes are marked at 30, 60, 90 degrees
_MISSING = "#b8bcc4"
_SYMBOLS = {"ring": ("o", 11.0), "original": ("+", 13.0), "decoded": ("x", 9.0)}


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

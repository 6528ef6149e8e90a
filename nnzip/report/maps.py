"""Maps of the report as inline SVG: images of fields, with coastlines, on a projection where the region asks for one.

A map holds one picture per chosen time; the page shows one of them (class "step"). matplotlib draws axes and colour
bars; images, lines and symbols are written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nnzip.evaluate.errors import Floats
from nnzip.report import coasts
from nnzip.report.figures import STYLE, axis_label, plain, svg
from nnzip.report.projection import Projection, choose_projection
from nnzip.report.raster import Extent, palette, png, projected

SATURATION = 0.999
_WIDE = 60.0  # degrees of latitude: beyond it axes are marked at 30, 60, 90 degrees
_POINTS = 72.0  # per inch
_WIDTH, _RIGHT, _TOP, _BAR = 4.6, 0.26, 0.08, 0.1  # inches
_NEAREST = 0.5  # points between two points of a line
_TWO_SIDED = 0.2  # of the larger side: values on both sides of zero get diverging colours from here on
_CELSIUS = {"degc", "celsius", "°c", "deg_c", "degrees_celsius", "degree_celsius", "c"}
_SYMBOLS = {
    "ring": '<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>',
    "original": '<path d="M{x:.1f} {y:.1f}m-6.5 0h13m-6.5-6.5v13"/>',
    "decoded": '<path d="M{x:.1f} {y:.1f}m-4.5-4.5l9 9m0-9l-9 9"/>',
}


@dataclass(frozen=True)
class Mark:
    """A symbol on a map: "ring", "original" (+) or "decoded" (×) at x, y."""

    symbol: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """One field [row, column], north first, and the symbols on it."""

    values: Floats
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Frame:
    """Where a map is: west, east, south, north edges in degrees, or columns and rows in index space."""

    extent: Extent
    geographic: bool

    @property
    def projection(self) -> Projection:
        return choose_projection(self.extent, self.geographic)


@dataclass(frozen=True)
class Scale:
    """The colours of a map. label: of the colour bar; extremes: a dot shows the largest cell under it, not its middle;
    over, under: values beyond the limits exist, drawn in the last colour.
    """

    limits: tuple[float, float]
    colours: str
    levels: int
    label: str
    extremes: bool = False
    under: bool = False
    over: bool = False


def field_scale(fields: Sequence[Floats], name: str, units: str) -> Scale:
    """For values: diverging around zero where they lie on both sides of it (winds, anomalies), else from dark to
    light.
    """
    low, high = value_limits(fields)
    near, far = sorted((-low, high))
    if near > _TWO_SIDED * far and units.lower() not in _CELSIUS:
        return Scale((-far, far), "RdBu_r", 65, axis_label(name, units))
    return Scale((low, high), "cividis", 64, axis_label(name, units))


def error_scale(errors: Sequence[Floats], units: str) -> Scale:
    """For signed errors: white is zero, and 99.9 % of all cells lie within the limits."""
    bound, largest = _limit(errors)
    clipped = largest > bound
    return Scale((-bound, bound), "PuOr_r", 21, axis_label("error", units), True, clipped, clipped)


def size_scale(sizes: Sequence[Floats], label: str, units: str) -> Scale:
    """For RMSE and largest errors: from zero, and 99.9 % of all cells lie within the limits."""
    bound, largest = _limit(sizes)
    return Scale((0.0, bound), "YlOrBr", 24, axis_label(label, units), True, False, largest > bound)


def _limit(fields: Sequence[Floats]) -> tuple[float, float]:
    """The magnitude that 99.9 % of all finite cells stay below (1 where all are zero), and the largest."""
    sizes = np.abs(np.concatenate([field[np.isfinite(field)] for field in fields]))
    if not sizes.size or sizes.max() == 0:
        return 1.0, 0.0
    largest = float(sizes.max())
    return float(np.quantile(sizes, SATURATION)) or largest, largest


def value_limits(fields: Sequence[Floats]) -> tuple[float, float]:
    """Smallest and largest finite value of all fields, widened where they are equal."""
    values = np.concatenate([field[np.isfinite(field)] for field in fields])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def draw_map(pictures: Sequence[Picture], frame: Frame, scale: Scale, alt: str) -> str:
    """SVG of one map with a picture per step. alt: for screen readers."""
    projection = frame.projection
    left, below = (_RIGHT, 0.62) if projection.name else (0.62, 0.84) if frame.geographic else (0.78, 1.02)
    width, height = _WIDTH - left - _RIGHT, (_WIDTH - left - _RIGHT) * projection.height
    total = _TOP + height + below
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, total))
        FigureCanvasSVG(figure)
        if not projection.name:
            axes = figure.add_axes((left / _WIDTH, below / total, width / _WIDTH, height / total))
            _mark_degrees(axes, frame)
        bar = figure.add_axes((left / _WIDTH, 0.46 / total, width / _WIDTH, _BAR / total))
        _mark_bar(bar, scale)
        text = svg(figure, alt)
    area = (left * _POINTS, _TOP * _POINTS, width * _POINTS, height * _POINTS)
    strip = (left * _POINTS, (total - 0.46 - _BAR) * _POINTS, width * _POINTS, _BAR * _POINTS)
    start = text.index(">") + 1
    return text[:start] + "".join(_contents(pictures, frame, scale, area, strip)) + text[start:]


Area = tuple[float, float, float, float]  # left, top, width, height in points


def _contents(pictures: Sequence[Picture], frame: Frame, scale: Scale, area: Area, strip: Area) -> Iterator[str]:
    """Images, lines and symbols of a map, from below to above, and the colours of its bar."""
    projection, steps = frame.projection, len(pictures) > 1
    for number, picture in enumerate(pictures):
        values, inside = projected(picture.values, frame.extent, projection, extremes=scale.extremes)
        uri = png(values, inside, scale.limits, scale.colours, scale.levels)
        yield _image(uri, area, f"step step-{number}" if steps else "")
    yield f'<g fill="none" stroke="#555" stroke-width=".35">{_path(_graticule(frame, area))}</g>'
    yield f'<g fill="none" stroke="#111" stroke-width=".6" stroke-linejoin="round">{_path(_coast(frame, area))}</g>'
    for number, picture in enumerate(pictures):
        drawn = "".join(_symbol(mark, projection, area) for mark in picture.marks)
        yield f'<g class="step step-{number}">{drawn}</g>' if steps else drawn
    steps_of_bar = np.linspace(*scale.limits, 2 * scale.levels + 1)[1::2][None]
    everywhere = np.ones(steps_of_bar.shape, dtype=np.bool_)
    yield _image(png(steps_of_bar, everywhere, scale.limits, scale.colours, scale.levels), strip, "")
    colours = [f"rgb({','.join(map(str, colour))})" for colour in palette(scale.colours, scale.levels)[[0, -1]]]
    x, y, width, height = strip
    for beyond, edge, reach, colour in ((scale.under, x, -7, colours[0]), (scale.over, x + width, 7, colours[1])):
        if beyond:
            yield f'<path d="M{edge:.1f} {y:.1f}l{reach} {height / 2:.1f}l{-reach} {height / 2:.1f}z" fill="{colour}"/>'


def _image(uri: str, area: Area, style: str) -> str:
    x, y, width, height = area
    named = f' class="{style}"' if style else ""
    return (
        f'<image{named} x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{uri}"/>'
    )


def _symbol(mark: Mark, projection: Projection, area: Area) -> str:
    """Black with a white edge, so that it shows on every colour."""
    left, top, width, height = area
    x, y = projection.forward(np.array([mark.x]), np.array([mark.y]))
    shape = _SYMBOLS[mark.symbol].format(x=left + float(x[0]) * width, y=top + (1 - float(y[0])) * height)
    strokes = (("#fff", 3.4), ("#000", 1.5))
    return "".join(f'<g fill="none" stroke="{colour}" stroke-width="{wide}">{shape}</g>' for colour, wide in strokes)


def _path(data: str) -> str:
    return f'<path class="shared" d="{data}"/>' if data else ""


@cache
def _coast(frame: Frame, area: Area) -> str:
    """Coastlines of a map as path data."""
    if not frame.geographic:
        return ""
    south, north = frame.extent[2:]
    extent = (-180.0, 180.0, south, north) if frame.projection.name else frame.extent
    lines = (np.where(((line < south) | (line > north))[:, 1:], np.nan, line) for line in coasts.coastlines(extent))
    return "".join(_line(line, frame.projection, area) for line in lines)


@cache
def _graticule(frame: Frame, area: Area) -> str:
    """Meridians and parallels of a projected map every 30 degrees, and the edge of the globe."""
    if not frame.projection.name:
        return ""
    south, north = max(frame.extent[2], -90.0), min(frame.extent[3], 90.0)
    along, across = np.linspace(south, north, 61), np.linspace(-179.99, 179.99, 181)
    lines = [np.stack([np.full(61, float(meridian)), along], 1) for meridian in range(-150, 180, 30)]
    lines += [np.stack([np.full(61, edge), along], 1) for edge in (-179.99, 179.99)]
    parallels = {south, north, *(float(p) for p in range(-60, 90, 30) if south < p < north)}
    lines += [np.stack([across, np.full(181, parallel)], 1) for parallel in parallels]
    return "".join(_line(line, frame.projection, area) for line in lines)


def _line(points: Floats, projection: Projection, area: Area) -> str:
    """A line [point, (longitude, latitude)] as path data in tenths of a point, broken where it leaves the map or jumps
    to its other side.
    """
    left, top, width, height = area
    x, y = projection.forward(points[:, 0], points[:, 1])
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    across, down = left + x * width, top + (1 - y) * height
    data, last, pen = [], (0.0, 0.0), False
    for i in range(len(across)):
        a, b = float(across[i]), float(down[i])
        if not inside[i]:
            pen = False
        elif not pen or abs(a - last[0]) > width / 2:
            data.append(f"M{a:.1f} {b:.1f}")
            last, pen = (a, b), True
        elif abs(a - last[0]) + abs(b - last[1]) > _NEAREST:
            data.append(f"L{a:.1f} {b:.1f}")
            last = (a, b)
    return "".join(data)


def _mark_bar(axes: Axes, scale: Scale) -> None:
    axes.set_xlim(*scale.limits)
    axes.set_yticks([])
    axes.tick_params(width=0.6, length=3)
    axes.set_xlabel(scale.label)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))


def _mark_degrees(axes: Axes, frame: Frame) -> None:
    axes.set_xlim(*frame.extent[:2])
    axes.set_ylim(*frame.extent[2:])
    axes.tick_params(width=0.6, length=3)
    if not frame.geographic:
        axes.set_xlabel("grid column")
        axes.set_ylabel("grid row")
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

"""Figures of the report as inline SVG: maps, histogram of errors, zonal spectrum.

Drawn with matplotlib's objects (no pyplot state). Text and axes take the page's own colour (currentColor), so that the
same figure reads in light, dark and print. Palettes hold for colour-blind readers: cividis, and the diverging PuOr;
lines are Okabe and Ito's blue and vermilion.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from nnzip.metrics.accumulate import Histogram
from nnzip.metrics.evaluation import Spectrum, StructureScores, VariableScores
from nnzip.report import numbers
from nnzip.report.fields import MapField

Floats = NDArray[np.float64]

FIELD_COLOURS = "cividis"
ERROR_COLOURS = "PuOr_r"
SATURATION = 0.999
BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#8a8f98"
INK = "#010203"  # stands for currentColor while drawing
_WIDE = 60.0  # degrees of latitude: beyond it axes are marked at 30, 60, 90 degrees
_DEEPEST = 1e-9  # of the largest power: what lies below is not worth the room
_MISSING = "#b8bcc4"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: small files, and the page's own font
    "svg.hashsalt": "nnzip",  # equal input gives equal bytes
    "font.size": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.unicode_minus": True,
}


def map_figures(field: MapField, scores: VariableScores) -> tuple[str, str, str]:
    """SVG maps of the original, the decoded field (same colour limits) and the error (symmetric limits), largest
    error ringed.
    """
    both = np.concatenate([field.original.ravel(), field.decoded.ravel()])
    low, high = _limits(both[np.isfinite(both)])
    sizes = np.abs(field.error[np.isfinite(field.error)])
    bound = float(np.quantile(sizes, SATURATION)) if sizes.size else 0.0
    bound = bound or scores.max_error or 1.0
    axis = _axis(scores.name, scores.units)
    where = f" at {field.when}" if field.when else ""
    return (
        _map(field.original, field, (low, high), FIELD_COLOURS, axis, f"Map of the original {scores.name}{where}"),
        _map(field.decoded, field, (low, high), FIELD_COLOURS, axis, f"Map of the decoded {scores.name}{where}"),
        _map(
            field.error,
            field,
            (-bound, bound),
            ERROR_COLOURS,
            _axis("error", scores.units),
            f"Map of the error of {scores.name}{where}, at most {numbers.quantity(scores.max_error, scores.units)}",
            ring=scores.max_error > 0,
            saturated=scores.max_error > bound,
        ),
    )


def histogram_figure(scores: VariableScores) -> str:
    """SVG histogram of all errors, logarithmic counts, with the 99 % and 99.99 % quantiles of |error| marked."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.8, 3.0)
        _draw_histogram(axes, scores.histogram)
        for name, style in (("0.99", "--"), ("0.9999", ":")):
            value = scores.error_quantiles[name]
            text = f"{100 * float(name):g} % of |error| ≤ {numbers.quantity(value, scores.units)}"
            for sign in (-1, 1):
                axes.axvline(sign * value, color=VERMILION, lw=1.2, ls=style, label=text if sign > 0 else None)
        axes.set_xlabel(_axis("error, decoded minus original", scores.units))
        axes.set_ylabel("number of values")
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        legend(figure, 1)
        return svg(figure, f"Histogram of the errors of {scores.name}, counts on a logarithmic scale")


def spectrum_figure(spectrum: Spectrum, structure: StructureScores, scores: VariableScores) -> str:
    """SVG zonal power spectra of original, decoded and error against wavelength, effective resolution marked."""
    scale = spectrum.km_per_unit or 1.0
    length = "km" if spectrum.km_per_unit else spectrum.units
    wavelength = spectrum.wavelength * scale
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.8, 3.0)
        lines = ((spectrum.original, INK, "-", 1.8, "original"), (spectrum.decoded, BLUE, "--", 1.8, "decoded"))
        for power, colour, style, width, name in (*lines, (spectrum.error, VERMILION, "-", 1.0, "error")):
            axes.loglog(wavelength, np.where(power > 0, power, np.nan), color=colour, ls=style, lw=width, label=name)
        if structure.effective_resolution is not None:
            limit = structure.effective_resolution * scale
            text = f"within 25 % down to {numbers.number(limit)}\u00a0{length}"
            axes.axvline(limit, color=GREY, lw=1.2, ls=":", label=text)
        top = max(float(spectrum.original.max()), float(spectrum.decoded.max()))
        if top > 0:
            axes.set_ylim(bottom=max(axes.get_ylim()[0], top * _DEEPEST))
        axes.set_xlim(wavelength[0] * 1.05, wavelength[-1] / 1.05)
        axes.set_xlabel(f"zonal wavelength [{length}]")
        unit = numbers.units(scores.units)
        axes.set_ylabel(f"power [{unit if unit.isalpha() else f'({unit})'}²]" if unit else "power")
        for side in (axes.xaxis, axes.yaxis):
            side.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
        legend(figure, 2)
        return svg(figure, f"Zonal power spectra of {scores.name}: original, decoded and error")


def _map(
    values: Floats,
    field: MapField,
    limits: tuple[float, float],
    colours: str,
    axis: str,
    alt: str,
    *,
    ring: bool = False,
    saturated: bool = False,
) -> str:
    west, east, south, north = field.extent
    shape = min(max((north - south) / (east - west), 0.35), 1.2)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.6, 0.9 + 4.0 * shape)
        palette = mpl.colormaps[colours].with_extremes(bad=_MISSING)
        image = axes.imshow(
            values,
            cmap=palette,
            vmin=limits[0],
            vmax=limits[1],
            extent=field.extent,
            aspect="auto",
            interpolation="none",
        )
        if ring:
            axes.plot(*field.worst, marker="o", ms=11, mfc="none", mec="black", mew=1.4, clip_on=False)
        axes.set_xlabel("longitude" if field.geographic else "grid column")
        axes.set_ylabel("latitude" if field.geographic else "grid row")
        for side, hemispheres in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
            steps = [1, 3, 6, 9, 10] if field.geographic and north - south > _WIDE else [1, 2, 2.5, 5, 10]
            side.set_major_locator(MaxNLocator(4, steps=steps, integer=not field.geographic))
            if field.geographic:
                side.set_major_formatter(FuncFormatter(_degrees(hemispheres)))
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


def _degrees(hemispheres: str) -> Callable[[float, float], str]:
    """Formatter of axis ticks: -30 -> 30° S; 0 is plain, and so is 180° of longitude."""

    def text(value: float, _: float) -> str:
        side = "" if value % 180 == 0 else f"\u00a0{hemispheres[0 if value > 0 else 1]}"
        return f"{abs(value):g}°{side}"

    return text


def _draw_histogram(axes: Axes, histogram: Histogram) -> None:
    counts = np.where(histogram.counts > 0, histogram.counts, np.nan)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.stairs(counts, histogram.edges, baseline=0.5, fill=True, color=BLUE, alpha=0.75)
    axes.set_yscale("log")
    axes.set_ylim(0.5, float(histogram.counts.max()) * 2)
    axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches with one pair of axes; draw inside mpl.rc_context(STYLE)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.tick_params(width=0.6, length=3)
    return figure, axes


def legend(figure: Figure, columns: int) -> None:
    """A legend above the axes, in `columns` columns."""
    figure.legend(
        loc="outside upper center", ncols=columns, fontsize=9, frameon=False, handlelength=1.8, columnspacing=1.4
    )


def _axis(text: str, unit: str) -> str:
    pretty = numbers.units(unit)
    return f"{text} [{pretty}]" if pretty else text


def plain(value: float, _: int) -> str:
    """An axis tick with as many digits as it needs."""
    exponent = f"{value:.2e}".split("e")[1]
    return numbers.minus(f"{value:.6g}") if value == 0 or -3 <= int(exponent) < 6 else numbers.number(value, 2)


def _power_of_ten(value: float, _: int) -> str:
    if value <= 0:
        return ""
    power = round(np.log10(value))
    return numbers.number(value, 1) if 0 <= power <= 2 else f"10{numbers.superscript(str(power))}"


def _limits(values: Floats) -> tuple[float, float]:
    """Smallest and largest value, widened where they are equal."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def svg(figure: Figure, alt: str) -> str:
    """The figure as an <svg> element that scales with the page, labelled for screen readers, without prologue or
    metadata.
    """
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        transparent=True,
        dpi=150,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    used = set(re.findall(r"#([\w.-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)  # ids are the page's
    view = re.search(r'viewBox="[^"]+"', text)
    start = f'<svg {view[0] if view else ""} role="img" aria-label="{escape(alt, quote=True)}" class="figure" '
    body = text[text.index(">") + 1 :]
    return f'{start}xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'

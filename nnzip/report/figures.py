"""Figures of the report as inline SVG: histogram of errors, errors by time, zonal spectrum, and what all figures share.

Drawn with matplotlib's objects (no pyplot state). Text and axes take the page's own colour (currentColor), so that the
same figure reads in light, dark and print. Palettes hold for colour-blind readers: cividis, and the diverging PuOr;
lines are Okabe and Ito's blue and vermilion.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from nnzip.evaluate.errors import Floats, Histogram
from nnzip.evaluate.scores import VariableScores
from nnzip.evaluate.spectrum import Spectrum
from nnzip.report import numbers

BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#8a8f98"
INK = "#010203"  # stands for currentColor while drawing
SERIES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (VERMILION, "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#e69f00", (0, (5, 1))),
    ("#56b4e9", (0, (1, 1))),
)
"""Colour (Okabe and Ito's) and line style of each of the datasets compared."""

MOST_TIMES = 1000  # points of a curve over time
_DEEPEST = 1e-9  # of the largest power: what lies below is not worth the room
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


def histogram_figure(scores: Sequence[VariableScores], names: Sequence[str]) -> str:
    """SVG histogram of all errors of a variable in each of the decoded datasets, logarithmic counts; of a single one
    with the 99 % and 99.99 % quantiles of |error| marked.
    """
    units = scores[0].units
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.8, 3.0)
        if len(scores) == 1:
            _draw_histogram(axes, scores[0].histogram)
            _mark_quantiles(axes, scores[0])
        else:
            for found, name, (colour, style) in zip(scores, names, SERIES, strict=False):
                counts = np.maximum(found.histogram.counts, 0.5)
                axes.stairs(counts, found.histogram.edges, baseline=None, color=colour, ls=style, lw=1.6, label=name)
            _scale_counts(axes, max(float(found.histogram.counts.max()) for found in scores))
        axes.set_xlabel(axis_label("error, decoded minus original", units))
        axes.set_ylabel("number of values")
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        legend(figure, 1)
        return svg(figure, f"Histogram of the errors of {scores[0].name}, counts on a logarithmic scale")


@dataclass(frozen=True)
class Timeline:
    """RMSE and largest error of a variable by time in each dataset: at [point], dates or numbers; rmse, largest
    [dataset][point]. Long records are drawn in groups of `together` times: root mean square, and the largest.
    """

    at: NDArray[Any]
    rmse: Sequence[Floats]
    largest: Sequence[Floats]
    together: int


def timeline(at: NDArray[Any], scores: Sequence[VariableScores]) -> Timeline | None:
    """Errors by time; None for fewer than two times."""
    if len(at) < 2 or any(found.maps.time_rmse.size != len(at) for found in scores):
        return None
    together = -(-len(at) // MOST_TIMES)
    starts = np.arange(0, len(at), together)
    with np.errstate(invalid="ignore"):
        counts = np.add.reduceat(np.isfinite(scores[0].maps.time_rmse), starts)
        rmse = [np.sqrt(np.add.reduceat(np.nan_to_num(s.maps.time_rmse) ** 2, starts) / counts) for s in scores]
    largest = [np.fmax.reduceat(found.maps.time_largest, starts) for found in scores]
    return Timeline(at[starts], rmse, largest, together)


def time_figure(found: Timeline, scores: Sequence[VariableScores], names: Sequence[str]) -> str:
    """SVG of the RMSE above the largest error, against time."""
    with mpl.rc_context(STYLE):
        figure, (upper, lower) = two_panels(4.8, 3.6, (1, 1))
        for rmse, largest, name, (colour, style) in zip(found.rmse, found.largest, names, SERIES, strict=False):
            upper.plot(found.at, rmse, color=colour, ls=style, lw=1.5, label=name)
            lower.plot(found.at, largest, color=colour, ls=style, lw=1.5)
        unit = scores[0].units
        for axes, text in ((upper, "RMSE"), (lower, "largest")):
            axes.set_ylabel(axis_label(text, unit))
            axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_major_formatter(FuncFormatter(plain))
        if np.issubdtype(found.at.dtype, np.datetime64):
            ticks = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
            lower.xaxis.set_major_locator(ticks)
            lower.xaxis.set_major_formatter(ConciseDateFormatter(ticks))  # type: ignore[no-untyped-call]
        else:
            lower.set_xlabel("time step")
        if len(scores) > 1:
            legend(figure, 1)
        return svg(figure, f"RMSE and largest error of {scores[0].name} against time")


def spectrum_figure(scores: Sequence[VariableScores], names: Sequence[str]) -> str | None:
    """SVG zonal power spectra of the original, the decoded data and their errors against wavelength, effective
    resolution marked; None where one of the datasets has no spectrum.
    """
    structures = [found.structure for found in scores]
    spectra = [structure.spectrum for structure in structures if structure is not None and structure.spectrum]
    if len(spectra) < len(scores):
        return None
    scale = spectra[0].km_per_unit or 1.0
    length = "km" if spectra[0].km_per_unit else spectra[0].units
    wavelength = spectra[0].wavelength * scale
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.8, 3.0)
        for power, colour, style, width, name in _spectrum_lines(spectra, names):
            axes.loglog(wavelength, np.where(power > 0, power, np.nan), color=colour, ls=style, lw=width, label=name)
        for structure, (colour, _) in zip(structures, SERIES, strict=False):
            if structure is not None and structure.effective_resolution is not None:
                limit = structure.effective_resolution * scale
                text = f"within 25 % down to {numbers.number(limit)}\u00a0{length}" if len(scores) == 1 else None
                axes.axvline(limit, color=GREY if len(scores) == 1 else colour, lw=1.2, ls=":", label=text)
        _scale_spectrum(axes, wavelength, max(float(power.max()) for s in spectra for power in (s.original, s.decoded)))
        axes.set_xlabel(f"zonal wavelength [{length}]")
        unit = numbers.units(scores[0].units)
        axes.set_ylabel(f"power [{unit if unit.isalpha() else f'({unit})'}²]" if unit else "power")
        legend(figure, 2)
        return svg(figure, f"Zonal power spectra of {scores[0].name}: original, decoded and error")


def _spectrum_lines(
    spectra: Sequence[Spectrum], names: Sequence[str]
) -> Iterator[tuple[Floats, str, str, float, str | None]]:
    """(power, colour, style, width, name) of every line: the original, then decoded and error of each dataset."""
    yield spectra[0].original, INK, "-", 1.8, "original"
    if len(spectra) == 1:
        yield spectra[0].decoded, BLUE, "--", 1.8, "decoded"
        yield spectra[0].error, VERMILION, "-", 1.0, "error"
        return
    for found, name, (colour, _) in zip(spectra, names, SERIES, strict=False):
        yield found.decoded, colour, "--", 1.8, name
        yield found.error, colour, "-", 0.9, None


def _scale_spectrum(axes: Axes, wavelength: Floats, top: float) -> None:
    if top > 0:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], top * _DEEPEST))
    axes.set_xlim(wavelength[0] * 1.05, wavelength[-1] / 1.05)
    for side in (axes.xaxis, axes.yaxis):
        side.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))


def _mark_quantiles(axes: Axes, scores: VariableScores) -> None:
    for name, style in (("0.99", "--"), ("0.9999", ":")):
        value = scores.error_quantiles[name]
        text = f"{100 * float(name):g} % of |error| ≤ {numbers.quantity(value, scores.units)}"
        for sign in (-1, 1):
            axes.axvline(sign * value, color=VERMILION, lw=1.2, ls=style, label=text if sign > 0 else None)


def _draw_histogram(axes: Axes, histogram: Histogram) -> None:
    counts = np.where(histogram.counts > 0, histogram.counts, np.nan)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.stairs(counts, histogram.edges, baseline=0.5, fill=True, color=BLUE, alpha=0.75)
    _scale_counts(axes, float(histogram.counts.max()))


def _scale_counts(axes: Axes, most: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.5, most * 2)
    axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches with one pair of axes; draw inside mpl.rc_context(STYLE)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.tick_params(width=0.6, length=3)
    return figure, axes


def two_panels(width: float, height: float, shares: tuple[int, int]) -> tuple[Figure, tuple[Axes, Axes]]:
    """A figure with two pairs of axes above each other that share the horizontal one."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=shares)
    for axes in (upper, lower):
        axes.tick_params(width=0.6, length=3)
    return figure, (upper, lower)


def legend(figure: Figure, columns: int) -> None:
    """A legend above the axes, in `columns` columns."""
    figure.legend(
        loc="outside upper center", ncols=columns, fontsize=9, frameon=False, handlelength=1.8, columnspacing=1.4
    )


def axis_label(text: str, unit: str) -> str:
    """The label of an axis, with units in brackets."""
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
    text = _shortened(text[text.index("<svg") :]).replace(INK, "currentColor")
    used = set(re.findall(r"#([\w.-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)  # ids are the page's
    view = re.search(r'viewBox="[^"]+"', text)
    start = f'<svg {view[0] if view else ""} role="img" aria-label="{escape(alt, quote=True)}" class="figure" '
    body = text[text.index(">") + 1 :]
    return f'{start}xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'


def _shortened(text: str) -> str:
    """Without what the page's style sheet says, spaces between elements, and digits beyond a hundredth of a point."""
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, flags=re.S)
    text = re.sub(r"font-family: [^;]*; ?| transform=\"rotate\(-?0 [^)]*\)\"", "", text)
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)
    return re.sub(r">\s+<", "><", re.sub(r"\s*\n\s*", " ", text))

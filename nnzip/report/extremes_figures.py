"""Figures of extremes as inline SVG: quantiles, errors by value, a storm over time and its maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nnzip.evaluate.errors import Floats
from nnzip.evaluate.events import Centre, EventScores
from nnzip.evaluate.extremes.scores import ExtremeScores
from nnzip.report.fields import edges, upright
from nnzip.report.figures import GREY, INK, SERIES, STYLE, axis_label, legend, new_figure, plain, svg, two_panels
from nnzip.report.maps import Frame, Mark, Picture, draw_map, error_scale, field_scale

_MARKED = (0.01, 0.99)  # percentiles of the original marked in the plots
_MARKERS = ("o", "s", "^", "D", "v", "P")


def quantile_figure(scores: Sequence[ExtremeScores], names: Sequence[str]) -> str:
    """SVG of the decoded quantiles against the original's, above their difference, which shows the tails."""
    unit = scores[0].units
    with mpl.rc_context(STYLE):
        figure, (upper, lower) = two_panels(4.8, 4.4, (3, 2))
        first = scores[0].curves.original
        upper.plot(first, first, color=GREY, lw=1.0, label="equal")
        for found, name, (colour, style) in zip(scores, names, SERIES, strict=False):
            curves = found.curves
            upper.plot(curves.original, curves.decoded, color=colour, ls=style, lw=1.6, label=name)
            lower.plot(curves.original, curves.decoded - curves.original, color=colour, ls=style, lw=1.6)
        lower.axhline(0, color=GREY, lw=1.0)
        for axes in (upper, lower):
            _mark_percentiles(axes, scores[0])
        upper.set_ylabel(axis_label("decoded", unit))
        lower.set_ylabel(axis_label("difference", unit))
        lower.set_xlabel(axis_label("quantile of the original", unit))
        for side in (upper.yaxis, lower.yaxis, lower.xaxis):
            side.set_major_formatter(FuncFormatter(plain))
        lower.yaxis.set_major_locator(MaxNLocator(4))
        legend(figure, 1 if len(scores) > 1 else 2)
        return svg(figure, f"Quantiles of {scores[0].name}: decoded against original, and their difference")


def error_by_value_figure(scores: Sequence[ExtremeScores], names: Sequence[str]) -> str:
    """SVG of the error against the original's value: mean, the middle 98 %, lowest and highest."""
    unit = scores[0].units
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.8, 4.4)
        axes.axhline(0, color=GREY, lw=1.0)
        for found, name, (colour, style) in zip(scores, names, SERIES, strict=False):
            curves = found.curves
            axes.fill_between(curves.value, curves.low, curves.high, color=colour, alpha=0.2, lw=0)
            axes.plot(curves.value, curves.mean, color=colour, ls=style, lw=1.6, label=f"mean, {name}")
            for edge, text in (
                (curves.lowest, "lowest and highest" if len(scores) == 1 else None),
                (curves.highest, None),
            ):
                axes.plot(curves.value, edge, color=colour, lw=0.7, ls=":", label=text)
        if len(scores) == 1:
            axes.fill_between([], [], [], color=SERIES[0][0], alpha=0.2, lw=0, label="98 % of all errors")
        _mark_percentiles(axes, scores[0])
        axes.set_xlabel(axis_label("value of the original", unit))
        axes.set_ylabel(axis_label("error, decoded minus original", unit))
        for side in (axes.xaxis, axes.yaxis):
            side.set_major_formatter(FuncFormatter(plain))
        legend(figure, 1 if len(scores) > 1 else 2)
        return svg(figure, f"Error of {scores[0].name} against the value of the original")


def storm_figures(scores: Sequence[EventScores], names: Sequence[str]) -> tuple[str, str] | None:
    """SVG of the minimum at the centre over the event's times, and of how far the decoded centre is displaced; None for
    a single time.
    """
    first = scores[0]
    if len(first.moments) < 2:
        return None
    deep, far = {}, {}
    for found, name in zip(scores, names, strict=True):
        deep[name] = _minima([moment.decoded for moment in found.moments])
        far[name] = [np.nan if moment.displacement is None else moment.displacement for moment in found.moments]
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.8, 3.2)
        axes.plot(_minima([m.original for m in first.moments]), color=INK, lw=1.8, marker="+", ms=9, label="original")
        _draw_series(axes, first, deep)
        axes.set_ylabel(axis_label(f"minimum {first.variable}", first.units))
        axes.yaxis.set_major_formatter(FuncFormatter(plain))
        legend(figure, min(3, len(scores) + 1))
        minimum = svg(figure, f"{first.name}: minimum of {first.variable} at the centre over time")
        figure, axes = new_figure(4.8, 3.2)
        axes.axhline(first.cell, color=GREY, lw=1.0, ls="--", label="one grid cell")
        _draw_series(axes, first, far)
        axes.set_ylim(bottom=-0.08 * first.cell, top=max(1.3 * first.cell, axes.get_ylim()[1]))
        axes.set_ylabel("displacement [km]")
        legend(figure, min(3, len(scores) + 1))
        return minimum, svg(figure, f"{first.name}: displacement of the decoded centre over time")


def event_maps(scores: Sequence[EventScores]) -> tuple[str, list[tuple[str, str]]]:
    """SVG maps of the event's box at its deepest time: the original, then decoded field and error of each dataset, with
    the original's centre (+) and the decoded one (×).
    """
    first, moment = scores[0], scores[0].maps.moment
    original, *fields = (_northward(first, field) for field in (first.maps.original, *(s.maps.decoded for s in scores)))
    errors = [field - original for field in fields]
    scale = field_scale([original, *fields], first.variable, first.units)
    error_colours = error_scale(errors, first.units)
    frame = Frame((*edges(first.maps.longitude), *edges(first.maps.latitude)), True)
    where = f"around {first.name} at {first.deepest.time}"
    marks = _marks("original", first.moments[moment].original)
    drawn = draw_map([Picture(original, marks)], frame, scale, f"Map of the original {where}")
    pairs = []
    for found, field, error in zip(scores, fields, errors, strict=True):
        both = (*marks, *_marks("decoded", found.moments[moment].decoded))
        decoded = draw_map([Picture(field, both)], frame, scale, f"Map of the decoded field {where}")
        pairs.append((decoded, draw_map([Picture(error, both)], frame, error_colours, f"Map of the error {where}")))
    return drawn, pairs


def _draw_series(axes: Axes, event: EventScores, lines: Mapping[str, Sequence[float]]) -> None:
    """One line per dataset over the event's times, its own shaded where others surround them."""
    for number, (name, values) in enumerate(lines.items()):
        (colour, style), marker = SERIES[number % len(SERIES)], _MARKERS[number % len(_MARKERS)]
        axes.plot(values, color=colour, ls=style, lw=1.4, marker=marker, ms=5, mfc="none", label=name)
    inside = [step for step, moment in enumerate(event.moments) if moment.inside]
    if len(inside) < len(event.moments):
        axes.axvspan(inside[0] - 0.5, inside[-1] + 0.5, color=GREY, alpha=0.18, lw=0)
    axes.set_xlim(-0.5, len(event.moments) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short_time(event, value)))


def _mark_percentiles(axes: Axes, scores: ExtremeScores) -> None:
    """Dotted lines at the original's 1st and 99th percentile."""
    curves = scores.curves
    for share in _MARKED:
        axes.axvline(float(np.interp(share, curves.probability, curves.original)), color=GREY, lw=0.9, ls=":")


def _minima(centres: Sequence[Centre | None]) -> list[float]:
    return [np.nan if centre is None else centre.minimum for centre in centres]


def _short_time(scores: EventScores, value: float) -> str:
    """The time of a step, without a midnight that all times share."""
    step = round(value)
    if not 0 <= step < len(scores.moments) or abs(value - step) > 1e-6:
        return ""
    text = scores.moments[step].time
    midnight = all(moment.time.endswith(" 00:00") for moment in scores.moments)
    return text.removesuffix(" 00:00") if midnight else text.replace(" ", "\n")


def _northward(scores: EventScores, field: Floats) -> Floats:
    """A field of the box with north first and west on the left."""
    return upright(field, scores.maps.latitude, scores.maps.longitude)


def _marks(symbol: str, centre: Centre | None) -> tuple[Mark, ...]:
    return () if centre is None else (Mark(symbol, centre.longitude, centre.latitude),)

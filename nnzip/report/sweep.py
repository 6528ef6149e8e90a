"""A sweep for people: terminal tables, a chart of error against ratio, and a self-contained HTML report."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from nnzip.report import numbers
from nnzip.report.downloads import Column, Download, table_download
from nnzip.report.html import render, sectioned, write_page
from nnzip.report.tables import plain_table
from nnzip.sweep import Goal, Knee, Point, Sweep, curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette without its yellow, which is too faint on paper; the markers tell more variables apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
MANY = 14  # variables beyond which the legend would fill the chart: then only the tables name them
DASHES = (0, (4, 2))


def write_sweep(path: str | os.PathLike[str], sweep: Sweep, details: Mapping[str, Any]) -> None:
    """Write the report to `path`; details and errors as in `write_report`."""
    write_page(Path(path), render_sweep(sweep, details))


def render_sweep(sweep: Sweep, details: Mapping[str, Any]) -> str:
    """The report as HTML."""
    return render(
        "sweep.html.j2",
        sweep=sweep,
        chart=sweep_figure(sweep),
        data=sweep_download(sweep),
        knees={found.index: found for found in sweep.knees},
        sentences=[knee_sentence(sweep, found) for found in sweep.knees],
        many=MANY,
        percent=percent,
        goal_name=goal_name,
        details=sectioned(details),
    )


def goal_name(goal: Goal) -> str:
    """ "bound 0.1 %" or "ratio 300", with no-break spaces."""
    return (goal.text if goal.share is None else f"bound {goal.text}").replace(" ", "\u00a0")


def percent(share: float | None) -> str:
    """A share in per cent with three digits: 0.00123 -> "0.123 %"; a dash for None."""
    return numbers.DASH if share is None else f"{numbers.number(100 * share)}\u00a0%"


def knee_sentence(sweep: Sweep, found: Knee) -> str:
    """The knee and its numbers in two sentences."""
    point = sweep.points[found.index]
    slow, fast = numbers.number(found.gain_below, 2), numbers.number(found.gain_above, 2)
    return (
        f"Knee at {goal_name(point.goal)}: ratio {numbers.number(point.ratio)}, "
        f"RMSE {percent(point.error)} of the range. "
        f"Ten times the error brings {slow} times the ratio below it, {fast} times above."
    )


def point_line(point: Point, stored: int | None) -> str:
    """One line for a new point: target, ratios to float32 and to the `stored` bytes of the source's files, error."""
    on_disk = f" ({numbers.stored_ratio(stored / point.file_bytes)})" if stored else ""
    ratio = f"{numbers.number(point.ratio)}{on_disk}"
    bits = numbers.number(point.bits_per_value)
    return f"{goal_name(point.goal)}: ratio {ratio}, {bits} bits per value, RMSE {percent(point.error)} of the range"


def sweep_tables(sweep: Sweep) -> Group:
    """Targets with their ratios, errors per variable, knees and notes, one below the other."""
    knees = {found.index for found in sweep.knees}
    titles = ("Target", "Ratio", "To disk", "Bits/value", "File", "RMSE/range", "")
    targets = plain_table("Ratio against error", *titles, words=("Target", ""))
    for index, point in enumerate(sweep.points):
        sizes = (
            numbers.compact(point.ratio),
            numbers.compact(sweep.stored_ratio(point)),
            numbers.compact(point.bits_per_value),
            numbers.file_size(point.file_bytes),
        )
        targets.add_row(point.goal.text, *sizes, percent(point.error), "◀ knee" if index in knees else "")
    targets.caption = (
        "Target: largest error at any point as a share of each variable's range, or a ratio.\n"
        "Ratio: of float32. To disk: of the source's files. RMSE/range: root mean square."
    )
    columns = ("Variable", "Units", "Target", "RMSE", "Max", "RMSE/range", "Max/range")
    errors = plain_table("Errors, decoded minus original", *columns, words=columns[:2])
    for name in sweep.ranges:
        for index, point in enumerate(sweep.points):
            found = point.errors[name]
            first = (name, numbers.units(found.units) or "1") if index == 0 else ("", "")
            measured = (numbers.compact(found.rmse), numbers.compact(found.max_error))
            shares = (percent(found.relative_rmse), percent(found.relative_max_error))
            errors.add_row(*first, point.goal.text, *measured, *shares, end_section=index + 1 == len(sweep.points))
    parts: list[RenderableType] = [targets, Text(), errors]
    if sweep.knees:
        parts += [Text(), *(Text(knee_sentence(sweep, found)) for found in sweep.knees)]
    return Group(*parts, *(Text(f"Note: {note}", style="yellow") for note in sweep.notes))


def sweep_figure(sweep: Sweep) -> str | None:
    """SVG chart of error over range against ratio, both logarithmic: RMSE solid with markers (hollow for ratio
    targets), largest error dashed, knees ringed. None where no variable has an error.
    """
    import matplotlib as mpl
    from matplotlib.ticker import FuncFormatter, LogLocator

    from nnzip.report import figures

    if not any(point.error > 0 for point in sweep.points):
        return None
    with mpl.rc_context(figures.STYLE):
        figure, axes = figures.new_figure(9.6, 5.2)
        axes.set_xscale("log")
        axes.set_yscale("log")
        _draw_curves(axes, sweep)
        _draw_knees(axes, sweep)
        axes.set_xlabel("compression ratio, float32 bytes over the file's")
        axes.set_ylabel("error / range of the variable [%]")
        for side in (axes.xaxis, axes.yaxis):
            side.set_minor_formatter(FuncFormatter(lambda value, _: ""))
            side.set_major_formatter(FuncFormatter(figures.plain))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        low, high = axes.get_ylim()
        if high < 100 * low:
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.grid(color=figures.GREY, alpha=0.25, lw=0.6)
        figures.legend(figure, 6)
        return figures.svg(figure, "Error of every variable against the compression ratio, on logarithmic scales")


def sweep_download(sweep: Sweep) -> Download:
    """The chart's points: a line per target and variable."""
    rows = [(point, name, errors) for point in sweep.points for name, errors in point.errors.items()]
    columns: dict[str, Column] = {
        "target": [point.goal.text for point, _, _ in rows],
        "ratio": [point.ratio for point, _, _ in rows],
        "bytes": [point.file_bytes for point, _, _ in rows],
        "variable": [name for _, name, _ in rows],
    }
    for field in ("units", "rmse", "max_error", "relative_rmse", "relative_max_error"):
        columns[field] = [getattr(errors, field) for _, _, errors in rows]
    return table_download("sweep", columns)


def _draw_curves(axes: Axes, sweep: Sweep) -> None:
    from nnzip.report.figures import GREY

    axes.plot([], [], color=GREY, lw=1.8, label="RMSE")
    axes.plot([], [], color=GREY, lw=1.0, ls=DASHES, label="largest error")
    for name, colour, marker in zip(sweep.ranges, cycle(COLOURS), cycle(MARKERS), strict=False):
        label: str | None = name if len(sweep.ranges) <= MANY else None
        for curve in curves(sweep.points):
            points = [sweep.points[index] for index in curve]
            ratios = [point.ratio for point in points]
            rmse = [_drawable(point.errors[name].relative_rmse) for point in points]
            largest = [_drawable(point.errors[name].relative_max_error) for point in points]
            face = colour if points[0].goal.share is not None else "none"
            axes.plot(ratios, rmse, color=colour, lw=1.8, marker=marker, ms=5, mfc=face, label=label)
            axes.plot(ratios, largest, color=colour, lw=1.0, ls=DASHES)
            label = None


def _draw_knees(axes: Axes, sweep: Sweep) -> None:
    """A dotted line at the ratio of each knee, named on top, and a ring around every variable's RMSE."""
    from nnzip.report.figures import INK

    for found in sweep.knees:
        point = sweep.points[found.index]
        axes.axvline(point.ratio, color=INK, lw=1.0, ls=":")
        axes.annotate(
            f"knee: {goal_name(point.goal)}",
            (point.ratio, 0.985),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="top",
        )
        rings = [_drawable(errors.relative_rmse) for errors in point.errors.values()]
        axes.plot([point.ratio] * len(rings), rings, ls="none", marker="o", ms=11, mfc="none", mec=INK, mew=1.2)


def _drawable(share: float | None) -> float:
    """In per cent; NaN for what a logarithmic axis cannot show."""
    return 100 * share if share else math.nan

"""The sections of the report: figures of every variable and every event, in every dataset that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnzip.data.grids import require_grid, with_dates
from nnzip.evaluate.scorecard import Check
from nnzip.evaluate.scores import Evaluation, VariableScores
from nnzip.report import numbers
from nnzip.report.downloads import Download

if TYPE_CHECKING:
    import xarray as xr

    from nnzip.evaluate.events import EventScores
    from nnzip.evaluate.extremes.scores import ExtremeScores
    from nnzip.report.fields import MapField
    from nnzip.report.figures import Timeline
    from nnzip.report.maps import Frame

Row = tuple["Compared", VariableScores]


@dataclass(frozen=True)
class Compared:
    """One decoded dataset in the report: its name (a file's), its scores, its checked promises, its
    extremes (by variable) and events (in the same order for all datasets).
    """

    name: str
    decoded: xr.Dataset
    evaluation: Evaluation
    checks: tuple[Check, ...] = ()
    extremes: Mapping[str, ExtremeScores] = field(default_factory=dict)
    events: tuple[EventScores, ...] = ()


@dataclass(frozen=True)
class Plot:
    """A figure as SVG and its data."""

    svg: str
    data: Download


@dataclass(frozen=True)
class Section:
    """One variable of the report, in every dataset that holds it.

    original: its map at every step, maps: (decoded, error) of each dataset at every step; steps: time and level of
    each in words, the one of the largest error is number `worst`. places: (RMSE, largest error) of each dataset over
    all times. times: errors against time, of `together` times each. block: cells per side of a map's dots; projection:
    the maps' name of it.
    """

    rows: tuple[Row, ...]
    original: str
    maps: Sequence[tuple[str, str]]
    steps: Sequence[str]
    worst: int
    places: Sequence[tuple[str, str]]
    histogram: Plot
    times: Plot | None
    together: int
    spectrum: Plot | None
    tails: tuple[Plot, Plot] | None
    block: int
    projection: str

    @property
    def scores(self) -> VariableScores:
        """Those of the first dataset: name, units and sizes are the same in all."""
        return self.rows[0][1]

    @property
    def extremes(self) -> list[tuple[Compared, ExtremeScores]]:
        """The extremes of the datasets that have them."""
        name = self.scores.name
        return [(compared, compared.extremes[name]) for compared, _ in self.rows if name in compared.extremes]


@dataclass(frozen=True)
class EventSection:
    """One event of the report, as Section."""

    rows: tuple[tuple[Compared, EventScores], ...]
    original: str
    maps: Sequence[tuple[str, str]]
    series: tuple[Plot, Plot] | None


def variable_sections(original: xr.Dataset, compared: Sequence[Compared]) -> Iterator[tuple[float, Section]]:
    """Every variable with the share of them that is done."""
    from nnzip.report.fields import image_plan

    names = list(dict.fromkeys(scores.name for each in compared for scores in each.evaluation.variables))
    rows = {name: tuple(_rows(compared, name)) for name in names}
    files = sum(map(len, rows.values()))
    grids = [require_grid(original[name]) for name in names]
    cells = max(grid.latitudes.size * grid.longitudes.size for grid in grids)
    times = max(original.sizes[grid.time] if grid.time else 1 for grid in grids)
    plan = image_plan(len(names) + 2 * files, 2 * files, cells, times)
    for number, name in enumerate(names):
        yield (number + 1) / len(names), _variable_section(original[name], rows[name], plan)


def _rows(compared: Sequence[Compared], name: str) -> Iterator[Row]:
    for each in compared:
        yield from ((each, scores) for scores in each.evaluation.variables if scores.name == name)


def _variable_section(original: xr.DataArray, rows: tuple[Row, ...], plan: tuple[int, int]) -> Section:
    from nnzip.report import downloads, figures
    from nnzip.report.fields import chosen_steps, step_fields
    from nnzip.report.maps import Frame

    names, scores = [compared.name for compared, _ in rows], [found for _, found in rows]
    worst = max(scores, key=lambda found: found.max_error)
    steps, place = chosen_steps(original, worst, plan[0])
    fields = [step_fields(original, compared.decoded[worst.name], worst, steps, plan[1]) for compared, _ in rows]
    first = fields[0][0]
    frame = Frame(first.extent, first.geographic)
    maps, pairs = _step_maps(fields, worst, frame, place)
    timeline = figures.timeline(_times(original), scores)
    spectrum = figures.spectrum_figure(scores, names)
    return Section(
        rows=rows,
        original=maps,
        maps=pairs,
        steps=[found.when for found in fields[0]],
        worst=place,
        places=_place_maps(original, scores, frame, plan[1]),
        histogram=Plot(figures.histogram_figure(scores, names), downloads.histogram_download(scores, names)),
        times=None
        if timeline is None
        else Plot(figures.time_figure(timeline, scores, names), _time_download(timeline, worst.name, names)),
        together=1 if timeline is None else timeline.together,
        spectrum=None if spectrum is None else Plot(spectrum, downloads.spectrum_download(scores, names)),
        tails=_tails(rows, worst.name),
        block=first.block,
        projection=frame.projection.name,
    )


def _step_maps(
    fields: Sequence[Sequence[MapField]], worst: VariableScores, frame: Frame, place: int
) -> tuple[str, list[tuple[str, str]]]:
    """Maps of the original, and of the decoded field and its error in each dataset, at every step: one scale of values,
    one symmetric scale of errors, the largest error of each field ringed.
    """
    from nnzip.report.maps import Mark, Picture, draw_map, error_scale, field_scale

    all_fields = [each for steps in fields for each in steps]
    values = field_scale([f for each in all_fields for f in (each.original, each.decoded)], worst.name, worst.units)
    errors = error_scale([each.error for each in all_fields], worst.units)
    when = [each.when for each in fields[0] if each.when]
    where = f" at {when[place]}" if when else ""
    where += f", and at {len(when) - 1} more times to choose" if len(when) > 1 else ""
    pictures = [Picture(each.original) for each in fields[0]]
    original = draw_map(pictures, frame, values, f"Map of the original {worst.name}{where}")
    pairs = []
    for steps in fields:
        largest = float(np.nanmax(np.abs(steps[place].error), initial=0.0))
        text = f"Map of the error of {worst.name}{where}; at most {numbers.quantity(largest, worst.units)}"
        rings = [
            (Mark("ring", *each.worst),) if np.nanmax(np.abs(each.error), initial=0.0) > 0 else () for each in steps
        ]
        pairs.append(
            (
                draw_map([Picture(e.decoded) for e in steps], frame, values, f"Map of the decoded {worst.name}{where}"),
                draw_map([Picture(e.error, r) for e, r in zip(steps, rings, strict=True)], frame, errors, text),
            )
        )
    return original, pairs


def _place_maps(
    original: xr.DataArray, scores: Sequence[VariableScores], frame: Frame, dots: int
) -> list[tuple[str, str]]:
    """Maps of the RMSE and of the largest error over all times and levels in each dataset, on one scale each."""
    from nnzip.evaluate.error_maps import block_size
    from nnzip.report.fields import coordinates, upright
    from nnzip.report.maps import Picture, draw_map, size_scale
    from nnzip.report.raster import block_extreme, block_mean

    y, x = coordinates(require_grid(original))
    rows, columns = scores[0].maps.rmse.shape
    block = block_size(rows, columns, dots)
    rmse = [block_mean(upright(found.maps.rmse, y, x), block) for found in scores]
    largest = [block_extreme(upright(found.maps.largest, y, x), block) for found in scores]
    scales = size_scale(rmse, "RMSE", scores[0].units), size_scale(largest, "largest |error|", scores[0].units)
    return [
        (
            draw_map([Picture(one)], frame, scales[0], f"Map of the RMSE of {found.name} over all times"),
            draw_map([Picture(two)], frame, scales[1], f"Map of the largest error of {found.name} over all times"),
        )
        for found, one, two in zip(scores, rmse, largest, strict=True)
    ]


def _times(original: xr.DataArray) -> NDArray[Any]:
    """Dates of the variable's times, or their numbers."""
    time = require_grid(original).time
    dated = with_dates(original)
    values = dated[time].values if time is not None and time in dated.coords else None
    if values is not None and np.issubdtype(values.dtype, np.datetime64):
        return np.asarray(values)
    return np.arange(0 if time is None else original.sizes[time])


def _time_download(timeline: Timeline, name: str, names: Sequence[str]) -> Download:
    from nnzip.report.downloads import Column, table_download

    columns: dict[str, Column] = {"time": [str(at)[:16] for at in timeline.at]}
    for label, rmse, largest in zip(names, timeline.rmse, timeline.largest, strict=True):
        columns |= {f"{label} RMSE": rmse, f"{label} largest": largest}
    return table_download(f"{name}_by_time", columns)


def _tails(rows: Sequence[Row], name: str) -> tuple[Plot, Plot] | None:
    from nnzip.report import extremes_figures
    from nnzip.report.downloads import tails_downloads

    having = [(each.name, each.extremes[name]) for each, _ in rows if name in each.extremes]
    if not having:
        return None
    labels = [label for label, _ in having] if len(rows) > 1 else ["decoded"]
    found = [scores for _, scores in having]
    data = tails_downloads(found, labels)
    return (
        Plot(extremes_figures.quantile_figure(found, labels), data[0]),
        Plot(extremes_figures.error_by_value_figure(found, labels), data[1]),
    )


def event_section(compared: Sequence[Compared], number: int) -> EventSection:
    """The event of this number in every dataset."""
    from nnzip.report import extremes_figures
    from nnzip.report.downloads import event_download

    scores = [each.events[number] for each in compared]
    names = [each.name for each in compared] if len(compared) > 1 else ["decoded"]
    original, pairs = extremes_figures.event_maps(scores)
    drawn = extremes_figures.storm_figures(scores, names)
    rows = tuple(zip(compared, scores, strict=True))
    if drawn is None:
        return EventSection(rows, original, pairs, None)
    data = event_download(scores, names)
    return EventSection(rows, original, pairs, (Plot(drawn[0], data), Plot(drawn[1], data)))

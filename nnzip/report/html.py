"""The HTML report: one self-contained file, without scripts and without anything fetched from elsewhere."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzip.data.atomic import AtomicOutput
from nnzip.evaluate.scorecard import Check
from nnzip.evaluate.scores import Evaluation, VariableScores
from nnzip.report import extremes_tables, numbers, tables
from nnzip.version import __version__

if TYPE_CHECKING:
    import xarray as xr

    from nnzip.evaluate.events import EventScores
    from nnzip.evaluate.extremes.scores import ExtremeScores

DSSIM_THRESHOLD = 0.9995


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
class Section:
    """One variable of the report, in every dataset that holds it: scores and figures as SVG, where and when the maps
    are. maps: the original, then (decoded, error) of each dataset. tails: quantiles, and errors by value.
    """

    rows: tuple[tuple[Compared, VariableScores], ...]
    original: str
    maps: Sequence[tuple[str, str]]
    histogram: str
    spectrum: str | None
    tails: tuple[str, str] | None
    when: str
    block: int

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
    series: tuple[str, str] | None


def write_report(
    path: str | os.PathLike[str],
    original: xr.Dataset,
    compared: Sequence[Compared],
    details: Mapping[str, Any],
    *,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Writes the report to path, replacing it only once the new file is complete.

    original: the dataset that all of `compared` were evaluated against; of each variable only the field of the largest
    error is read. details: what the reader should know of the files, as {section: {label: value}}, for example
    {"Files": {"Original": "weather.nc"}, "Configuration": {"effort": "normal"}}; a plain value stands in a section
    "Details". progress: called with the finished fraction, 0 to 1. Raises ResourceError when the file cannot be
    written.
    """
    write_page(Path(path), render_report(original, compared, details, progress=progress))


def render_report(
    original: xr.Dataset,
    compared: Sequence[Compared],
    details: Mapping[str, Any],
    *,
    progress: Callable[[float], None] | None = None,
) -> str:
    """The report as HTML; arguments as write_report."""
    names = list(dict.fromkeys(scores.name for each in compared for scores in each.evaluation.variables))
    sections = []
    for number, name in enumerate(names):
        rows = [(each, scores) for each in compared for scores in each.evaluation.variables if scores.name == name]
        sections.append(_section(original[name], tuple(rows)))
        if progress is not None:
            progress((number + 1) / len(names))
    return render(
        "evaluation.html.j2",
        tables=tables,
        extremes=extremes_tables,
        threshold=DSSIM_THRESHOLD,
        compared=compared,
        several=len(compared) > 1,
        sections=sections,
        events=[_event_section(compared, number) for number in range(len(compared[0].events))],
        details=sectioned(details),
        lossless_bytes=sum(section.scores.lossless_bytes for section in sections),
        scored_bytes=sum(section.scores.source_bytes for section in sections),
    )


def render(template: str, **content: Any) -> str:
    """A template as HTML, with the numbers module as `n`, the version and the time of writing."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        n=numbers,
        version=__version__,
        written=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **content,
    )


def write_page(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, replacing a file only once the new one is complete. Raises ResourceError."""
    with AtomicOutput(path, overwrite=True) as output:
        with output.explained():
            output.temporary.write_text(text, encoding="utf-8")
        output.commit()


def _section(original: xr.DataArray, rows: tuple[tuple[Compared, VariableScores], ...]) -> Section:
    from nnzip.report import extremes_figures, figures
    from nnzip.report.maps import map_figures, worst_field

    names, scores = [compared.name for compared, _ in rows], [found for _, found in rows]
    worst = max(scores, key=lambda found: found.max_error)
    fields = [worst_field(original, compared.decoded[worst.name], worst) for compared, _ in rows]
    first, pairs = map_figures(fields, scores)
    tails = None
    found = [compared.extremes[worst.name] for compared, _ in rows if worst.name in compared.extremes]
    if found:
        labels = names if len(rows) > 1 else ["decoded"]
        tails = (
            extremes_figures.quantile_figure(found, labels),
            extremes_figures.error_by_value_figure(found, labels),
        )
    return Section(
        rows=rows,
        original=first,
        maps=pairs,
        histogram=figures.histogram_figure(scores, names),
        spectrum=figures.spectrum_figure(scores, names),
        tails=tails,
        when=fields[0].when,
        block=fields[0].block,
    )


def _event_section(compared: Sequence[Compared], number: int) -> EventSection:
    from nnzip.report import extremes_figures

    scores = [each.events[number] for each in compared]
    names = [each.name for each in compared] if len(compared) > 1 else ["decoded"]
    original, pairs = extremes_figures.event_maps(scores)
    rows = tuple(zip(compared, scores, strict=True))
    return EventSection(rows, original, pairs, extremes_figures.storm_figures(scores, names))


def sectioned(details: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Every detail as text, by section."""
    sections: dict[str, dict[str, str]] = {}
    for title, value in details.items():
        if isinstance(value, Mapping):
            sections[str(title)] = {str(label): _text(item) for label, item in value.items()}
        else:
            sections.setdefault("Details", {})[str(title)] = _text(value)
    return sections


def _text(value: Any) -> str:
    if value is None:
        return numbers.DASH
    if isinstance(value, float):
        return numbers.number(value, 6)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)

"""The HTML report: one self-contained file, without scripts and without anything fetched from elsewhere."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nnzip
from nnzip.errors import ResourceError
from nnzip.metrics.evaluation import Evaluation, VariableScores
from nnzip.report import numbers, tables

if TYPE_CHECKING:
    import xarray as xr

DSSIM_THRESHOLD = 0.9995


@dataclass(frozen=True)
class Section:
    """One variable of the report: its scores, its figures as SVG, and where and when the maps are."""

    scores: VariableScores
    maps: tuple[str, str, str]
    histogram: str
    spectrum: str | None
    when: str
    block: int


def write_report(
    path: str | os.PathLike[str],
    evaluation: Evaluation,
    original: xr.Dataset,
    decoded: xr.Dataset,
    details: Mapping[str, Any],
    *,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Writes the report to path, replacing it only once the new file is complete.

    original, decoded: the datasets that were evaluated; of each variable only the field of the largest error is read.
    details: what the reader should know of the files, as {section: {label: value}}, for example
    {"Files": {"Original": "weather.nc"}, "Configuration": {"effort": "normal"}}; a plain value stands in a section
    "Details". progress: called with the finished fraction, 0 to 1. Raises ResourceError when the file cannot be
    written.
    """
    text = render_report(evaluation, original, decoded, details, progress=progress)
    write_atomically(Path(path), text)


def render_report(
    evaluation: Evaluation,
    original: xr.Dataset,
    decoded: xr.Dataset,
    details: Mapping[str, Any],
    *,
    progress: Callable[[float], None] | None = None,
) -> str:
    """The report as HTML; arguments as write_report."""
    sections = []
    for number, scores in enumerate(evaluation.variables):
        sections.append(_section(scores, original[scores.name], decoded[scores.name]))
        if progress is not None:
            progress((number + 1) / len(evaluation.variables))
    return render(
        "template.html.j2",
        resolved=tables.resolved,
        dssim=tables.dssim,
        threshold=DSSIM_THRESHOLD,
        evaluation=evaluation,
        sections=sections,
        details=sectioned(details),
        lossless_bytes=sum(scores.lossless_bytes for scores in evaluation.variables),
        scored_bytes=sum(scores.source_bytes for scores in evaluation.variables),
    )


def render(template: str, **content: Any) -> str:
    """A template of this directory as HTML, with the numbers module as `n`, the version and the time of writing."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        n=numbers,
        version=nnzip.__version__,
        written=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **content,
    )


def write_atomically(path: Path, text: str) -> None:
    """Writes text as UTF-8 to a temporary sibling and moves it into place; ResourceError when that fails."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise ResourceError(f"cannot write the report {path}: {reason}; choose another place or free space") from error
    except BaseException:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise


def _section(scores: VariableScores, original: xr.DataArray, decoded: xr.DataArray) -> Section:
    from nnzip.report import figures
    from nnzip.report.fields import worst_field

    field = worst_field(original, decoded, scores)
    spectrum = None
    if scores.structure is not None and scores.structure.spectrum is not None:
        spectrum = figures.spectrum_figure(scores.structure.spectrum, scores.structure, scores)
    return Section(
        scores=scores,
        maps=figures.map_figures(field, scores),
        histogram=figures.histogram_figure(scores),
        spectrum=spectrum,
        when=field.when,
        block=field.block,
    )


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

"""The HTML report: one self-contained file, without scripts and without anything fetched from elsewhere."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzip.data.atomic import AtomicOutput
from nnzip.report import coasts, extremes_tables, numbers, tables
from nnzip.report.downloads import errors_download
from nnzip.report.sections import Compared, event_section, variable_sections
from nnzip.version import __version__

if TYPE_CHECKING:
    import xarray as xr

DSSIM_THRESHOLD = 0.9995


def write_report(
    path: str | os.PathLike[str],
    original: xr.Dataset,
    compared: Sequence[Compared],
    details: Mapping[str, Any],
    *,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Writes the report to path, replacing it only once the new file is complete.

    original: the dataset that all of `compared` were evaluated against; of each variable only a few fields are read.
    details: what the reader should know of the files, as {section: {label: value}}, for example
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
    sections = []
    for share, section in variable_sections(original, compared):
        sections.append(section)
        if progress is not None:
            progress(share)
    page = render(
        "evaluation.html.j2",
        tables=tables,
        extremes=extremes_tables,
        threshold=DSSIM_THRESHOLD,
        compared=compared,
        several=len(compared) > 1,
        sections=sections,
        events=[event_section(compared, number) for number in range(len(compared[0].events))],
        errors=errors_download([(each.name, scores) for section in sections for each, scores in section.rows]),
        steps=max(len(section.steps) for section in sections),
        coasts=coasts.available(),
        details=sectioned(details),
        lossless_bytes=sum(section.scores.lossless_bytes for section in sections),
        scored_bytes=sum(section.scores.source_bytes for section in sections),
    )
    return share_paths(page)


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


def share_paths(text: str) -> str:
    """The page with every long line of maps written once: later ones of the same shape refer to the first."""
    seen: dict[str, str] = {}

    def shared(found: re.Match[str]) -> str:
        if found[1] in seen:
            return f'<use href="#{seen[found[1]]}"/>'
        seen[found[1]] = f"line-{len(seen) + 1}"
        return f'<path id="{seen[found[1]]}" d="{found[1]}"/>'

    return re.sub(r'<path class="shared" d="([^"]*)"/>', shared, text)


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

"""Data behind the plots as CSV, in data: links: the report stays one file, and a plot can be drawn again elsewhere."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnzip.evaluate.events import Centre, EventScores
from nnzip.evaluate.extremes.scores import ExtremeScores
from nnzip.evaluate.scores import VariableScores

_DIGITS = 6

Column = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Download:
    """A file's name and its content as a data: link."""

    name: str
    link: str


def table_download(name: str, columns: Mapping[str, Column]) -> Download:
    """`name`.csv with these columns of equal length; numbers to six digits, NaN empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(value) for value in row] for row in zip(*columns.values(), strict=True))
    content = base64.b64encode(buffer.getvalue().encode()).decode("ascii")
    return Download(f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}.csv", f"data:text/csv;base64,{content}")


def histogram_download(scores: Sequence[VariableScores], names: Sequence[str]) -> Download:
    """Edges of the bins and a count per dataset; datasets of their own edges follow each other."""
    rows: dict[str, list[Any]] = {"file": [], "from": [], "to": [], "values": []}
    for found, name in zip(scores, names, strict=True):
        edges = found.histogram.edges
        rows["file"] += [name] * (len(edges) - 1)
        rows["from"] += list(edges[:-1])
        rows["to"] += list(edges[1:])
        rows["values"] += list(found.histogram.counts)
    return table_download(f"{scores[0].name}_histogram", rows)


def spectrum_download(scores: Sequence[VariableScores], names: Sequence[str]) -> Download:
    """Power of the original, and of the decoded data and the error of every dataset, by wavelength."""
    columns: dict[str, Column] = {}
    for found, name in zip(scores, names, strict=True):
        spectrum = None if found.structure is None else found.structure.spectrum
        if spectrum is not None:
            unit = "km" if spectrum.km_per_unit else spectrum.units
            columns.setdefault(f"wavelength [{unit}]", spectrum.wavelength * (spectrum.km_per_unit or 1.0))
            columns.setdefault("original", spectrum.original)
            columns |= {f"{name} decoded": spectrum.decoded, f"{name} error": spectrum.error}
    return table_download(f"{scores[0].name}_spectrum", columns)


def tails_downloads(scores: Sequence[ExtremeScores], names: Sequence[str]) -> tuple[Download, Download]:
    """Quantiles of both sides, and errors by value."""
    quantiles: dict[str, Column] = {
        "probability": scores[0].curves.probability,
        "original": scores[0].curves.original,
    }
    errors: dict[str, Column] = {"value": scores[0].curves.value}
    for found, name in zip(scores, names, strict=True):
        curves = found.curves
        quantiles[f"{name} decoded"] = curves.decoded
        for label in ("mean", "lowest", "low", "high", "highest"):
            errors[f"{name} {label}"] = getattr(curves, label)
    name = scores[0].name
    return table_download(f"{name}_quantiles", quantiles), table_download(f"{name}_error_by_value", errors)


def event_download(scores: Sequence[EventScores], names: Sequence[str]) -> Download:
    """The minimum at the centre at each time, and the displacement of the decoded one in km."""
    columns: dict[str, Column] = {"time": [moment.time for moment in scores[0].moments]}
    columns["original"] = [_minimum(moment.original) for moment in scores[0].moments]
    for found, name in zip(scores, names, strict=True):
        columns[f"{name} minimum"] = [_minimum(moment.decoded) for moment in found.moments]
        columns[f"{name} displacement [km]"] = [moment.displacement for moment in found.moments]
    return table_download(f"{scores[0].name}_{scores[0].variable}", columns)


def errors_download(rows: Sequence[tuple[str, VariableScores]]) -> Download:
    """The table of errors: a line per variable and file."""
    fields = ("name", "units", "rmse", "mae", "bias", "max_error", "psnr", "correlation", "ratio", "bits_per_value")
    columns: dict[str, Column] = {"file": [name for name, _ in rows]}
    columns |= {field: [getattr(scores, field) for _, scores in rows] for field in fields}
    return table_download("errors", columns)


def _minimum(centre: Centre | None) -> float | None:
    return None if centre is None else centre.minimum


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    text = str(value) if isinstance(value, int | np.integer) else f"{value:.{_DIGITS}g}"
    return "" if text == "nan" else text

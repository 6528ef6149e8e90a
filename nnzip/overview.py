"""An open archive in a few lines: for a Python prompt and a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import PurePath

from nnzip.container.reader import ArchiveReader

_UNITS = ("B", "kB", "MB", "GB", "TB")
_TITLES = ("variable", "dimensions", "units", "bound", "largest error", "RMSE")


def text(reader: ArchiveReader) -> str:
    """Name, size, dimensions, and a line for each compressed variable."""
    rows = [_TITLES, *_rows(reader)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join([f"<nnzip.Archive {_title(reader)}>", *(line.rstrip() for line in lines), f"  {_dims(reader)}"])


def html(reader: ArchiveReader) -> str:
    """The same as a table."""
    head, *body = (
        f"<tr>{''.join(f'<{tag} style=text-align:left>{escape(cell)}</{tag}>' for cell in row)}</tr>"
        for tag, row in [("th", _TITLES), *(("td", row) for row in _rows(reader))]
    )
    return (
        f"<div><strong>nnzip.Archive</strong> {escape(_title(reader))}"
        f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>{escape(_dims(reader))}</div>"
    )


def _title(reader: ArchiveReader) -> str:
    ratio = reader.manifest.source.bytes / reader.file_bytes
    return f"{PurePath(reader.path).name}: {_size(reader.file_bytes)}, {ratio:.4g} times smaller than float32"


def _dims(reader: ArchiveReader) -> str:
    kept = [*reader.manifest.coordinates, *reader.manifest.lossless]
    sizes = ", ".join(f"{name}: {size}" for name, size in reader.manifest.dims.items())
    return f"{sizes}; exact: {', '.join(kept) or 'nothing'}"


def _rows(reader: ArchiveReader) -> Iterator[tuple[str, ...]]:
    for name, variable in reader.manifest.variables.items():
        errors = reader.manifest.errors.get(name)
        numbers = (variable.bound, errors and errors.max_error, errors and errors.rmse)
        shown = ("-" if number is None else f"{number:.4g}" for number in numbers)
        yield (name, f"({', '.join(variable.dims)})", str(variable.attrs.get("units", "")), *shown)


def _size(count: float) -> str:
    power = 0
    while count >= 999.5 and power < len(_UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {_UNITS[power]}"

"""The evaluation as rich tables for a terminal, 80 columns wide; nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nnzip.evaluate.scores import Evaluation, VariableScores
from nnzip.report import numbers


def evaluation_tables(evaluation: Evaluation) -> Group:
    """Sizes, errors, structure and notes, one below the other."""
    parts: list[RenderableType] = [Text(summary(evaluation)), Text(), errors_table(evaluation), Text()]
    parts.append(structure_table(evaluation))
    if evaluation.parts:
        parts += [Text(), parts_table(evaluation.parts)]
    parts += [Text(f"Note: {note}", style="yellow") for note in evaluation.notes]
    return Group(*parts)


def summary(evaluation: Evaluation) -> str:
    """One sentence on sizes: "4.65 MB as float32 in a file of 15.5 kB: ratio 300, 0.107 bits per value"."""
    source = f"{numbers.file_size(evaluation.source_bytes)} as float32"
    if evaluation.file_bytes is None:
        return f"{source}; no compressed file given, so no ratio"
    size = numbers.file_size(evaluation.file_bytes)
    ratio, bits = numbers.number(evaluation.ratio), numbers.number(evaluation.bits_per_value)
    on_disk = numbers.stored_ratio(evaluation.stored_ratio)
    return f"{source} in a file of {size}: ratio {ratio}, {bits} bits per value{on_disk and f'; {on_disk}'}"


def errors_table(evaluation: Evaluation) -> Table:
    """Errors of every variable in its units."""
    table = plain_table(
        "Errors, decoded minus original", "Variable", "Units", "RMSE", "MAE", "Bias", "99 %", "99.99 %", "Max"
    )
    for scores in evaluation.variables:
        q = scores.error_quantiles
        values = (scores.rmse, scores.mae, scores.bias, q["0.99"], q["0.9999"], scores.max_error)
        table.add_row(scores.name, numbers.units(scores.units) or "1", *map(numbers.compact, values))
    table.caption = (
        "RMSE, MAE and bias weighted by cell area (uniform off latitude-longitude grids).\n"
        "99 % and 99.99 % of all values have a smaller |error| than shown."
    )
    return table


def structure_table(evaluation: Evaluation) -> Table:
    """Agreement, structure, missing values and sizes of every variable."""
    title = "Agreement and structure"
    table = plain_table(title, "Variable", "PSNR dB", "Correl.", "Resolved", "DSSIM", "Missing", "Ratio", "Lossless")
    for scores in evaluation.variables:
        table.add_row(
            scores.name,
            "∞" if scores.rmse_unweighted == 0 else (f"{scores.psnr:.1f}" if scores.psnr is not None else numbers.DASH),
            numbers.correlation(scores.correlation),
            resolved(scores),
            dssim(scores),
            _missing(scores),
            numbers.compact(scores.ratio),
            numbers.compact(scores.lossless_ratio),
        )
    table.caption = (
        "Resolved: shortest zonal wave whose power is within 25 %. Missing: NaN positions.\n"
        "Ratio: the whole file's. Lossless: ratio of byte shuffle and zlib level 5."
    )
    return table


def parts_table(parts: dict[str, int]) -> Table:
    """Bytes of the file by part, with their share."""
    table = plain_table("Where the bytes are", "Part", "Size", "Share")
    total = sum(parts.values())
    for name, size in parts.items():
        table.add_row(name, numbers.file_size(size), f"{100 * size / total:.1f} %" if total else numbers.DASH)
    return table


def resolved(scores: VariableScores) -> str:
    """The effective resolution in kilometres, or cells in index space."""
    structure = scores.structure
    if structure is None or structure.effective_resolution is None:
        return numbers.DASH
    if structure.effective_resolution_km is not None:
        return f"{numbers.number(structure.effective_resolution_km)}\u00a0km"
    return f"{numbers.number(structure.effective_resolution)}\u00a0{structure.resolution_units}"


def dssim(scores: VariableScores) -> str:
    """DSSIM with the digits that its threshold of 0.9995 needs."""
    value = None if scores.structure is None else scores.structure.dssim
    return numbers.DASH if value is None else numbers.minus(f"{round(value, 5) + 0.0:.5f}")


def _missing(scores: VariableScores) -> Text:
    if scores.missing_mismatch:
        return Text(f"{scores.missing_mismatch} differ", style="bold red")
    return Text("identical" if scores.missing else "none")


def plain_table(title: str, *columns: str, words: Sequence[str] = ("Variable", "Units", "Part")) -> Table:
    """A table with a title; the columns in `words` are left-aligned, all others numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left", padding=(0, 1, 0, 0))
    for column in columns:
        left = column in words
        table.add_column(column, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    return table

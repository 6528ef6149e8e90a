"""Tables of a benchmark, once for the terminal (rich) and once as Markdown, also into a file of the documentation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench_peers import (
    FAMILIES,
    PeerCase,
    best_bytes,
    best_error,
    bound_labels,
    ebcc_rows,
    fraction_of_range,
    rated_codecs,
    ratio_row,
    smallest_held,
)
from bench_results import Results, Run
from rich.table import Table as RichTable

_LOSS = re.compile(r"\*\*(.+?)\*\*")  # Markdown's bold marks what is below 1
_MEGA = 1e6
_MIDDLE = "together: 0.001, 0.01, community tolerances"
_LIMIT_FACTOR = 4
_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True)
class Table:
    """A title, column headings and rows of text; the first column is left-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def rich(self) -> RichTable:
        """For the terminal."""
        table = RichTable(title=self.title, title_justify="left", header_style="bold")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="right" if index else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*(_LOSS.sub(r"[bold red]\1[/]", cell) for cell in row))
        return table

    def markdown(self) -> str:
        """A heading and a pipe table."""
        rules = ["---", *["--:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, rules, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, ""])


def write_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between these marks of a Markdown file that has them, else with them at its end."""
    before, found, rest = path.read_text(encoding="utf-8").partition(begin) if path.exists() else ("", "", "")
    after = rest.partition(end)[2] if found else "\n"
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def all_tables(results: Results, peers: dict[str, PeerCase]) -> list[Table]:
    """Every table that has rows."""
    tables = [
        error_table(results, peers),
        error_means(results, peers),
        ebcc_table(results, peers),
        extremes_table(results, peers),
        bound_table(results, peers),
        bound_means(results, peers),
        cost_table(results),
        speed_table(results),
    ]
    return [table for table in tables if table.rows]


def error_table(results: Results, peers: dict[str, PeerCase]) -> Table:
    """Weighted RMSE at equal bytes, and bytes at equal weighted RMSE."""
    rows = []
    for name, target, run in _ratio_runs(results):
        case = peers[name]
        if run.errors is None:
            rows.append((name, f"{target:g}", "refused", *["–"] * 7))
            continue
        shares = _error_shares(case, run)
        best = best_error(case, rated_codecs(case), run.bytes)
        cells = [_factor(shares[peer]) for peer in (*FAMILIES, "best peer", "bytes")]
        achieved = f"{case.float32_bytes / run.bytes:.1f}"
        error = f"{_number(run.errors.wrmse)} {case.units}"
        sizes = f"{run.bytes:,}", f"{run.metadata_bytes:,}"
        rows.append((name, achieved, *sizes, error, *cells[:3], best[1] if best else "–", cells[3]))
    columns = (
        "case",
        "ratio",
        "bytes",
        "metadata",
        "RMSE",
        "SZ3",
        "SPERR",
        "best peer",
        "which",
        "bytes at equal RMSE",
    )
    return Table("Area-weighted RMSE at equal size: peer's over ours", columns, rows)


def error_means(results: Results, peers: dict[str, PeerCase]) -> Table:
    """Geometric means over the cases, and the number of cases in which nnzip is better."""
    columns = ("peer", *(f"{target:g}x" for target in _targets(results)), "all")
    titles = {
        **{name: f"RMSE, {name}" for name in FAMILIES},
        "best peer": "RMSE, best peer of each row",
        "bytes": "bytes at equal RMSE, best peer",
    }
    rows = []
    for peer, title in titles.items():
        cells, every = [], []
        for target in _targets(results):
            shares = [
                _error_shares(peers[name], run)[peer]
                for name, wanted, run in _ratio_runs(results)
                if wanted == target and run.errors
            ]
            cells.append(_mean_and_wins(shares))
            every += shares
        rows.append((title, *cells, _mean_and_wins(every)))
    return Table(
        "Geometric means over the cases (in brackets: rows in which nnzip is ahead)",
        columns,
        rows if _targets(results) else [],
    )


def ebcc_table(results: Results, peers: dict[str, PeerCase]) -> Table:
    """Weighted RMSE and maximum error at the sizes of EBCC's files."""
    rows = []
    for name, found in results.cases.items():
        case = peers[name]
        for label, theirs in ebcc_rows(case).items():
            run = found.runs.get(label)
            if run is None or run.errors is None:
                continue
            sizes = f"{theirs.bytes:,}", f"{run.bytes:,}"
            errors = [_number(error) for error in (run.errors.wrmse, theirs.wrmse)]
            maxima = [_number(error) for error in (run.errors.max, theirs.max)]
            shares = (_factor(theirs.wrmse / run.errors.wrmse), _factor(theirs.max / run.errors.max))
            rows.append((name, case.units, *sizes, *errors, shares[0], *maxima, shares[1]))
    pairs = [head for error in ("RMSE", "max") for head in (error, f"EBCC's {error}", "EBCC's / ours")]
    return Table("At the sizes of EBCC's files", ("case", "units", "EBCC's bytes", "bytes", *pairs), rows)


def extremes_table(results: Results, peers: dict[str, PeerCase]) -> Table:
    """Maximum error, the quantile 0.999 of |error| and the RMSE above the 99th percentile."""
    rows = []
    for name, target, run in _ratio_runs(results):
        if run.errors is None:
            continue
        cells = [name, f"{target:g}"]
        for attribute in ("max", "p999", "tail_rmse"):
            ours = float(getattr(run.errors, attribute))
            cells.append(_number(ours))
            for codec_names in FAMILIES.values():
                row = ratio_row(peers[name], codec_names, target)
                theirs = None if row is None else getattr(row, attribute)
                cells.append("–" if theirs is None or ours == 0 else f"{theirs / ours:.2f}")
        rows.append(tuple(cells))
    heads = [head for first in ("max", "99.9 %", "tail RMSE") for head in (first, *FAMILIES)]
    return Table("Extremes at the same ratio: error, and the peers' over ours", ("case", "ratio", *heads), rows)


def bound_table(results: Results, peers: dict[str, PeerCase]) -> Table:
    """Bytes under a bound on the error of every point."""
    rows = []
    for name, label, run in _bound_runs(results, peers):
        case, best = peers[name], smallest_held(peers[name], label)
        bound = bound_labels(case)[label]
        if run.errors is None:
            rows.append((name, label, f"{_number(bound)} {case.units}", "refused", *["–"] * 6))
            continue
        rows.append(
            (
                name,
                label,
                f"{_number(bound)} {case.units}",
                f"{run.bytes:,}",
                f"{case.float32_bytes / run.bytes:.1f}",
                best.codec if best else "–",
                f"{best.bytes:,}" if best else "–",
                _factor(best.bytes / run.bytes if best else None),
                _number(run.errors.max),
                str(run.violations),
            )
        )
    columns = (
        "case",
        "bound",
        "absolute",
        "bytes",
        "ratio",
        "best peer",
        "its bytes",
        "its bytes / ours",
        "max error",
        "violations",
    )
    return Table("Bytes under an error bound", columns, rows)


def bound_means(results: Results, peers: dict[str, PeerCase]) -> Table:
    """Geometric means of the bytes' ratios by tightness of the bound."""
    groups: dict[str, list[float]] = {}
    for name, label, run in _bound_runs(results, peers):
        best, fraction = smallest_held(peers[name], label), fraction_of_range(label)
        group = "community tolerances" if fraction is None else f"{fraction:g} of the range"
        for each in (group, *([_MIDDLE] if fraction in (None, 1e-2, 1e-3) else [])):
            if run.errors is not None and best is not None:
                groups.setdefault(each, []).append(best.bytes / run.bytes)
    rows = [(group, _mean_and_wins(groups[group])) for group in sorted(groups)]
    return Table("Geometric means under a bound", ("bound", "best peer's bytes / ours"), rows)


def cost_table(results: Results) -> Table:
    """Seconds, speed and memory of every case."""
    rows = []
    for name, found in results.cases.items():
        runs = [run for run in found.runs.values() if run.errors is not None]
        if not runs:
            continue
        size = found.source_bytes / _MEGA
        cells = [name, f"{size:.1f}"]
        for costs in ([run.encode for run in runs], [run.decode for run in runs]):
            seconds, cpu = median(c.seconds for c in costs), median(c.cpu_seconds for c in costs)
            cells += [f"{seconds:.2f}", f"{size / seconds:.2f}", f"{cpu:.2f}"]
        limit = _LIMIT_FACTOR * found.source_bytes + _LIMIT_BYTES
        peaks = (found.idle_bytes, found.encode_peak_bytes, found.decode_peak_bytes, limit)
        rows.append((*cells, *(f"{peak / _MEGA:.0f}" for peak in peaks)))
    costs_of = [f"{verb} {unit}" for verb in ("encode", "decode") for unit in ("s", "MB/s", "CPU s")]
    memory = ("idle MB", "encode peak MB", "decode peak MB", "limit MB")
    return Table("Speed (median over the runs) and peak memory", ("case", "MB", *costs_of, *memory), rows)


def speed_table(results: Results) -> Table:
    """Rates of the field by itself."""
    rows = [(rate.what, f"{rate.per_second / _MEGA:.1f} M {rate.unit}") for rate in results.speed]
    return Table("The field by itself", ("what", "rate"), rows)


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean(log)); values are positive."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _ratio_runs(results: Results) -> Iterator[tuple[str, float, Run]]:
    for name, found in results.cases.items():
        for label, run in found.runs.items():
            if label.startswith("ratio "):
                yield name, float(label.removeprefix("ratio ")), run


def _bound_runs(results: Results, peers: dict[str, PeerCase]) -> Iterator[tuple[str, str, Run]]:
    for name, found in results.cases.items():
        for label in bound_labels(peers[name]):
            if label in found.runs:
                yield name, label, found.runs[label]


def _targets(results: Results) -> list[float]:
    return sorted({target for _, target, _ in _ratio_runs(results)})


def _error_shares(case: PeerCase, run: Run) -> dict[str, float | None]:
    """Peer's weighted RMSE over ours by family and for the best peer; the best peer's bytes at our RMSE over ours."""
    ours = run.errors.wrmse if run.errors is not None else math.nan
    shares: dict[str, float | None] = {}
    for name, members in {**FAMILIES, "best peer": tuple(rated_codecs(case))}.items():
        found = best_error(case, members, run.bytes)
        shares[name] = None if found is None else found[0] / ours
    needed = best_bytes(case, rated_codecs(case), ours)
    shares["bytes"] = None if needed is None else needed[0] / run.bytes
    return shares


def _mean_and_wins(shares: Iterable[float | None]) -> str:
    known = [share for share in shares if share is not None]
    if not known:
        return "–"
    return f"{geometric_mean(known):.2f} ({sum(share > 1 for share in known)}/{len(known)})"


def _factor(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}" if share >= 1 else f"**{share:.2f}**"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

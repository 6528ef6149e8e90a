"""What `bench run` found beside what the peers reach: geometric means first, then every row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench.peers import (
    FAMILIES,
    PeerCase,
    best_bytes,
    best_error,
    bound_labels,
    fraction_of_range,
    rated_codecs,
    ratio_row,
    smallest_held,
)
from bench.runs import Cost, Results, Run
from bench.tables import Table, factor, geometric_mean, mean_and_wins, number

TOLERANCES = "community tolerances"
_MEGA = 1e6

Peers = dict[str, PeerCase]
Share = Callable[[PeerCase, str, Run], float | None]


def tables(found: Results, others: Sequence[Results], peers: Peers) -> list[Table]:
    """Every table that has rows; `others` stand beside `found` in the means and in the rows of bytes."""
    made = [
        means([found, *others], peers),
        bounds([found, *others], peers),
        ratios([found, *others], peers),
        extremes(found, peers),
        looser(found),
        costs(found),
    ]
    return [table for table in made if table.rows]


def means(columns: Sequence[Results], peers: Peers) -> Table:
    """Geometric means over the cases."""
    kinds = [("1e-04*range", 1e-4), ("1e-03*range", 1e-3), ("1e-02*range", 1e-2), ("1e-01*range", 1e-1)]
    rows = [
        (f"bytes at {fraction:g} of the range", *_each(columns, peers, _is(label), bytes_share))
        for label, fraction in kinds
    ]
    rows.append((f"bytes at {TOLERANCES}", *_each(columns, peers, _is_tolerance, bytes_share)))
    rows.append(("bytes at 0.001, 0.01 and tolerances together", *_each(columns, peers, _is_middle, bytes_share)))
    for ratio in sorted({label for found in columns for runs in found.values() for label in runs}, key=_ratio):
        if _is_ratio(ratio):
            rows.append((f"bytes at equal RMSE, {ratio}", *_each(columns, peers, _is(ratio), equal_share)))
    rows.append(("bytes at equal RMSE, all ratios", *_each(columns, peers, _is_ratio, equal_share)))
    heads = ("best peer over nnzip", *(f"network {number}" for number in range(1, len(columns) + 1)))
    return Table("Geometric means over the cases (in brackets: rows in which nnzip is ahead)", heads, rows)


def bounds(columns: Sequence[Results], peers: Peers) -> Table:
    """Bytes under a bound on the error of every point."""
    rows = []
    for name, label, run in _runs(columns[0], lambda label: _is_middle(label) or fraction_of_range(label) is not None):
        best, bound = smallest_held(peers[name], label), f"{number(bound_labels(peers[name])[label])}"
        if run.errors is None:
            rows.append((name, label, bound, "refused", *["–"] * (5 + len(columns))))
            continue
        shares = [factor(bytes_share(peers[name], label, each)) for each in _beside(columns, name, label)]
        theirs = (best.codec, f"{best.bytes:,}") if best else ("–", "–")
        sizes = f"{run.bytes:,}", f"{run.metadata:,}"
        worst = f"{run.errors.max / bound_labels(peers[name])[label]:.4f}" if not peers[name].per_level else "–"
        rows.append((name, label, bound, *sizes, *theirs, *shares, worst, str(run.violations)))
    shares = [f"peer / network {place}" for place in range(1, len(columns) + 1)]
    heads = ("case", "bound", "absolute", "bytes", "metadata", "best peer", "its bytes", *shares)
    return Table("Bytes under an error bound, whole files", (*heads, "largest error / bound", "violations"), rows)


def ratios(columns: Sequence[Results], peers: Peers) -> Table:
    """Weighted RMSE at equal bytes, and bytes at equal weighted RMSE."""
    rows = []
    for name, label, run in _runs(columns[0], _is_ratio):
        case = peers[name]
        if run.errors is None:
            rows.append((name, label, "refused", *["–"] * (5 + len(columns))))
            continue
        found = [error_at_size(case, codecs, run) for codecs in FAMILIES.values()]
        which = best_bytes(case, rated_codecs(case), run.errors.wrmse)
        shares = [factor(equal_share(case, label, each)) for each in _beside(columns, name, label)]
        sizes = f"{run.bytes:,}", f"{case.float32_bytes / run.bytes:.1f}"
        error = f"{number(run.errors.wrmse)} {case.units.split()[0] if case.units else ''}"
        rows.append((name, label, *sizes, error, *map(factor, found), which[1] if which else "–", *shares))
    heads = ("case", "target", "bytes", "ratio", "RMSE", *(f"RMSE of {family} / ours" for family in FAMILIES))
    shares = [f"bytes at equal RMSE, network {place}" for place in range(1, len(columns) + 1)]
    return Table("Area-weighted RMSE at a ratio", (*heads, "best peer", *shares), rows)


def extremes(found: Results, peers: Peers) -> Table:
    """The error above the 99th percentile where it is asked to be small, at equal bytes."""
    rows, tails, wholes = [], [], []
    for name, label, run in _runs(found, lambda label: label.startswith("extremes ")):
        target = float(label.removeprefix("extremes "))
        plain, sperr = found[name].get(f"ratio {target:g}"), ratio_row(peers[name], FAMILIES["SPERR"], target)
        if run.errors is None or sperr is None or not sperr.tail_rmse:
            continue
        tail, whole = run.errors.tail_rmse / sperr.tail_rmse, run.errors.rmse / sperr.rmse
        tails.append(tail)
        wholes.append(whole)
        before = [number(plain.errors.tail_rmse), number(plain.errors.rmse)] if plain and plain.errors else ["–", "–"]
        ours = f"{run.bytes:,}", number(run.errors.tail_rmse), number(run.errors.rmse)
        rows.append((name, f"{target:g}", *ours, *before, f"{tail:.3f}", f"{whole:.3f}"))
    if rows:
        means = f"{geometric_mean(tails):.3f}", f"{geometric_mean(wholes):.3f}"
        rows.append(("geometric mean", *["–"] * 6, *means))
    heads = ("case", "ratio", "bytes", "tail RMSE", "RMSE", "tail RMSE without", "RMSE without")
    return Table("Extremes `>p99:0.1` at equal bytes", (*heads, "tail RMSE / SPERR's", "RMSE / SPERR's"), rows)


def looser(found: Results) -> Table:
    """Bytes over a series of bounds."""
    rows = []
    for name in found:
        series = [(float(label.split()[1]), run) for _, label, run in _runs({name: found[name]}, _is_looser)]
        sizes = [run.bytes for _, run in sorted(series, key=lambda pair: pair[0])]
        if sizes:
            growth = max((after / before for before, after in itertools.pairwise(sizes)), default=0.0)
            broken = sum(run.violations or 0 for _, run in series)
            worst = f"**{growth:.4f}**" if growth > 1 else f"{growth:.4f}"
            rows.append((name, " ".join(f"{size:,}" for size in sizes), worst, str(broken)))
    title = "Bytes at ever looser bounds"
    return Table(title, ("case", "bytes", "largest share of the bound before", "violations"), rows)


def costs(found: Results) -> Table:
    """Processor time and memory of every case, median over its runs."""
    rows = []
    for name, runs in found.items():
        done = [run for run in runs.values() if run.errors is not None]
        if not done:
            continue
        size, cells = done[0].source_bytes / _MEGA, []
        for part in ([run.encode for run in done], [run.decode for run in done]):
            seconds = median(cost.cpu_seconds for cost in part)
            cells += [f"{seconds:.2f}", f"{size / seconds:.2f}", _peak(part)]
        rows.append((name, f"{size:.1f}", *cells))
    heads = [f"{verb} {unit}" for verb in ("encode", "decode") for unit in ("CPU s", "MB/s", "peak MB")]
    return Table("Processor time and peak memory", ("case", "MB", *heads), rows)


def bytes_share(case: PeerCase, label: str, run: Run) -> float | None:
    """The best peer's bytes over ours at the same bound."""
    best = smallest_held(case, label)
    return None if best is None or run.errors is None else best.bytes / run.bytes


def equal_share(case: PeerCase, label: str, run: Run) -> float | None:
    """The best peer's bytes at our weighted RMSE over ours."""
    if run.errors is None:
        return None
    needed = best_bytes(case, rated_codecs(case), run.errors.wrmse)
    return None if needed is None else needed[0] / run.bytes


def error_at_size(case: PeerCase, codecs: Sequence[str], run: Run) -> float | None:
    """The best weighted RMSE of some codecs at our bytes over ours."""
    best = best_error(case, codecs, run.bytes)
    return None if best is None or run.errors is None else best[0] / run.errors.wrmse


def _each(columns: Sequence[Results], peers: Peers, chosen: Callable[[str], bool], share: Share) -> list[str]:
    return [mean_and_wins(share(peers[name], label, run) for name, label, run in _runs(c, chosen)) for c in columns]


def _runs(found: Results, chosen: Callable[[str], bool]) -> Iterator[tuple[str, str, Run]]:
    for name, runs in found.items():
        for label, run in runs.items():
            if chosen(label):
                yield name, label, run


def _beside(columns: Sequence[Results], name: str, label: str) -> list[Run]:
    return [found.get(name, {}).get(label, Run()) for found in columns]


def _is(wanted: str) -> Callable[[str], bool]:
    return lambda label: label == wanted


def _is_ratio(label: str) -> bool:
    return label.startswith("ratio ")


def _is_looser(label: str) -> bool:
    return label.startswith("looser ")


def _is_tolerance(label: str) -> bool:
    return fraction_of_range(label) is None and " " not in label


def _is_middle(label: str) -> bool:
    return _is_tolerance(label) or (fraction_of_range(label) in (1e-2, 1e-3))


def _ratio(label: str) -> float:
    return float(label.removeprefix("ratio ")) if _is_ratio(label) else math.inf


def _peak(costs: Sequence[Cost]) -> str:
    """In megabytes; a dash where it was not measured."""
    largest = max(cost.peak for cost in costs)
    return f"{largest / _MEGA:.0f}" if largest else "–"

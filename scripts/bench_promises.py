#!/usr/bin/env python
"""What promises beyond the bound cost on real data: a table as Markdown.

    python scripts/bench_promises.py ../shared/data --markdown docs/extremes_costs.md

Every case is compressed within the community's tolerance, alone and with each promise; whole files are counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench_cases import CASES, Case, open_case
from bench_tables import write_between

if TYPE_CHECKING:
    import xarray as xr

BEGIN, END = "<!-- table of scripts/bench_promises.py -->", "<!-- end of the table -->"
HEADER = (
    "| case | promise | points | violations | largest error / tolerance | file | growth | bits per point |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class PromiseCase:
    """A case, its bound (empty: the community's), and promises without the variable's name."""

    case: Case
    bound: str
    promises: tuple[str, ...]


def _case(name: str, bound: str, *promises: str) -> PromiseCase:
    return PromiseCase(CASES[name], bound, promises)


TAILS = ("extremes p99:0.1", "extremes p99:0.5")
PROMISE_CASES = {
    "matthew_z500": _case(
        "matthew_z500", "1", *TAILS, "preserve anom < -100", "preserve-minima month", "region 10,35,270,300:0.1"
    ),
    "uk_t2m": _case(
        "uk_t2m", "", *TAILS, "preserve t2m > 10 degC", "preserve t2m < 0 degC", "preserve-maxima day",
        "preserve-minima day", "region 50,53,-4,1:0.1",
    ),
    "uk_t2m, 0.5 K": _case("uk_t2m", "0.5K", *TAILS, "preserve t2m > 10 degC", "preserve-maxima day"),
    "telangana_tp": _case(
        "telangana_tp", "", *TAILS, "preserve tp > 0", "preserve tp > 1 mm", "preserve tp > 10 mm",
        "preserve-maxima day", "preserve-maxima month",
    ),
    "india_u10": PromiseCase(
        Case("era5_u10v10_india_2023-24.nc", "u10"), "",
        (*TAILS, "preserve u10 > 8 m/s", "preserve-maxima month", "region 8,20,72,80:0.1"),
    ),
    "med_u10": _case("med_u10", "", *TAILS, "preserve u10 > 10 m/s", "preserve-maxima month", "region 35,42,0,10:0.1"),
    "eastasia_u": _case(
        "eastasia_u", "", *TAILS, "preserve u > 20 m/s", "preserve-maxima day", "region 15,30,100,115:0.1"
    ),
}  # fmt: skip


def main() -> int:
    """Compress everything, print and write the table. Returns 1 when a promise did not hold, else 0."""
    options = _parse()
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    lines, broken = [HEADER], 0
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.cases.split(";") if options.cases else PROMISE_CASES:
            for line, violations in _lines(name, options, Path(folder) / "archive.nnz"):
                print(line, flush=True)
                lines.append(line)
                broken += violations
    if options.markdown is not None:
        write_between(options.markdown, BEGIN, END, "\n".join(lines))
    return int(broken > 0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="directory with the files")
    parser.add_argument("--cases", help=f"only these, separated by semicolons: {'; '.join(PROMISE_CASES)}")
    parser.add_argument("--effort", default="fast", choices=("fast", "normal", "best"))
    parser.add_argument("--markdown", type=Path, help="write the table here, between the marks if it has them")
    return parser.parse_args()


def _lines(name: str, options: argparse.Namespace, path: Path) -> list[tuple[str, int]]:
    """A line of the table for the case without promises, and for each of them; with its violations."""
    found = PROMISE_CASES[name]
    dataset = open_case(found.case, options.data)
    plain, _ = _row(dataset, found, (), options.effort, path, None)
    size = path.stat().st_size
    rows = [(f"| {name} {plain}", 0)]
    for promise in found.promises:
        text, violations = _row(dataset, found, (promise,), options.effort, path, size)
        rows.append((f"| {text}", violations))
    return rows


def _row(
    dataset: xr.Dataset, found: PromiseCase, promises: tuple[str, ...], effort: str, path: Path, plain: int | None
) -> tuple[str, int]:
    import nnzip

    target = nnzip.Target(max_error={found.case.variable: found.bound} if found.bound else {})
    result = nnzip.compress(dataset, path, target, promises=promises, effort=effort, overwrite=True)
    if plain is None:
        bound, values = _bound(path, found.case.variable), dataset[found.case.variable].size
        return f"| none: {bound}, {values:,} values | | | | {result.file_bytes:,} B | | |".replace(",", " "), 0
    kept = result.promises[found.case.variable][0]
    share = f"{100 * kept.tightest:.1f} %" if kept.tightest else ""
    growth = result.file_bytes - plain
    bits = f"{8 * growth / kept.points:.2f}" if kept.points else ""
    text = f"| `{promises[0]}` | {kept.points:_} | {kept.violations} | {share} | {result.file_bytes:_} B | "
    return (text + f"{100 * growth / plain:+.1f} % | {bits} |").replace("_", " "), kept.violations


def _bound(path: Path, name: str) -> str:
    import nnzip

    with nnzip.open_archive(path) as archive:
        variable = archive.manifest.variables[name]
        return f"bound {variable.bound:g} {variable.attrs.get('units', '')}"


if __name__ == "__main__":
    sys.exit(main())

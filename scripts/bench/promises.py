"""What promises beyond the bound cost: every case within the community's tolerance, alone and with each promise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cases import CASES, Case, open_case
from bench.tables import Table

if TYPE_CHECKING:
    import xarray as xr

    from nnzip import CompressionResult

COLUMNS = ("case", "promise", "points", "violations", "largest error / tolerance", "file", "growth", "bits per point")


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


def promises_table(data: Path) -> tuple[Table, int]:
    """The table, and how many promises were broken."""
    rows, broken = [], 0
    for name, found in PROMISE_CASES.items():
        dataset = open_case(found.case, data).load()
        for row, violations in _rows(name, dataset, found):
            rows.append(row)
            broken += violations
    return Table("Cost of promises", COLUMNS, rows), broken


def _rows(name: str, dataset: xr.Dataset, found: PromiseCase) -> Iterator[tuple[tuple[str, ...], int]]:
    """A row for the case without promises, and for each of them; with its violations."""
    plain = _compressed(dataset, found, ()).file_bytes
    bound = found.bound or "the community's"
    yield (name, f"none: bound {bound}, {dataset[found.case.variable].size:,} values", *"   ", f"{plain:,}", *"  "), 0
    for text in found.promises:
        result = _compressed(dataset, found, (text,))
        kept = result.promises[found.case.variable][0]
        growth = result.file_bytes - plain
        share = f"{100 * kept.tightest:.1f} %" if kept.tightest else ""
        bits = f"{8 * growth / kept.points:.2f}" if kept.points else ""
        sizes = f"{result.file_bytes:,}", f"{100 * growth / plain:+.1f} %"
        yield ("", f"`{text}`", f"{kept.points:,}", str(kept.violations), share, *sizes, bits), kept.violations


def _compressed(dataset: xr.Dataset, found: PromiseCase, texts: tuple[str, ...]) -> CompressionResult:
    import nnzip

    target = nnzip.Target(max_error={found.case.variable: found.bound} if found.bound else {})
    options = nnzip.Options(target, promises=tuple(map(nnzip.parse_promise, texts)))
    with tempfile.TemporaryDirectory() as folder:
        return nnzip.compress(dataset, Path(folder) / "archive.nnz", options)

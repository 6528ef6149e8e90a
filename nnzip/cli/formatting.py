"""Durations and coordinate ranges as people read them; numbers and sizes come from nnzip.report.numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from nnzip.report import numbers

TIME_UNITS = re.compile(r"(days|hours|minutes|seconds) since ([0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:]{5,8})?)")
STANDARD_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}


PROMISE_COLUMNS = ("promise", "points", "violations", "largest error / tolerance")


def promise_row(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """A promise and how it was kept, for a table under PROMISE_COLUMNS; sets and maxima have no tolerance."""
    share = f"{100 * kept['tightest']:.1f} %" if kept["tightest"] else "-"
    return kept["promise"], numbers.count(kept["points"]), numbers.count(kept["violations"]), share


def promise_sizes(sizes: Mapping[str, int]) -> str:
    """What the promises of each variable take."""
    return f"corrections for promises: {', '.join(f'{n} {numbers.file_size(size)}' for n, size in sizes.items())}"


def seconds_text(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def extent_text(extent: list[float] | None, units: str | None, calendar: str | None = None) -> str:
    """[90.0, -90.0] -> "90 to -90"; CF times of the standard calendar, such as "hours since 1900-01-01", as dates."""
    if extent is None:
        return "-"
    match = TIME_UNITS.match(units or "")
    texts = [f"{value:g}" for value in extent]
    if match and (calendar or "standard") in STANDARD_CALENDARS:
        start = datetime.fromisoformat(match[2])
        try:
            texts = [f"{start + timedelta(**{match[1]: float(value)}):%Y-%m-%d %H:%M}" for value in extent]
        except OverflowError:
            return "-"
    return " to ".join(texts)

"""Tables as Markdown, also into a file of the documentation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """A title, column headings and rows of text; the first column is left-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

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


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean(log)); values are positive."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def mean_and_wins(shares: Iterable[float | None]) -> str:
    """Geometric mean, and in how many rows nnzip is ahead: "1.23 (4/5)"."""
    known = [share for share in shares if share is not None]
    if not known:
        return "–"
    return f"{geometric_mean(known):.2f} ({sum(share > 1 for share in known)}/{len(known)})"


def factor(share: float | None) -> str:
    """What is below 1, a loss, in bold."""
    return "–" if share is None else f"{share:.2f}" if share >= 1 else f"**{share:.2f}**"


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

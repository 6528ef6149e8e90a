"""The report of a sweep: complete, self-contained, honest about the knee, written atomically."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from nnzip.errors import ResourceError
from nnzip.report.sweep import (
    MANY,
    knee_sentence,
    percent,
    point_line,
    render_sweep,
    sweep_figure,
    sweep_tables,
    write_sweep,
)
from nnzip.sweep import Goal, Point, Sweep, SweepErrors, find_knees
from tests.support.pages import Checker

BOUNDS = ((1e-4, 4.0), (1e-3, 8.0), (1e-2, 16.0), (1e-1, 1000.0))
RATIOS = ((3e-3, 30.0), (1e-2, 100.0))


def made(names: tuple[str, ...] = ("t2m", "u<10>"), ratios: bool = False, exact: bool = False) -> Sweep:
    """A sweep with a knee at the bound of 1 %; the last variable is a constant."""
    pairs = [(Goal(share=error), error, ratio) for error, ratio in BOUNDS]
    pairs += [(Goal(ratio=ratio), error, ratio) for error, ratio in RATIOS] if ratios else []
    points = []
    for goal, error, ratio in pairs:
        rmse = 0.0 if exact else 0.4 * error
        errors = {name: SweepErrors(rmse * 50, 2 * rmse * 50, "m s**-1", rmse, 2 * rmse) for name in names}
        errors["flat"] = SweepErrors(0.0, 0.0, "1", None, None)
        points.append(Point(goal, ratio, 32 / ratio, int(4e6 / ratio), 1.5, rmse, errors))
    ranges = {**dict.fromkeys(names, 50.0), "flat": 0.0}
    return Sweep(tuple(points), find_knees(points), ranges, 4_000_000, ("kept <losslessly>",), 2_000_000)


def page_of(sweep: Sweep) -> tuple[str, Checker]:
    html = render_sweep(sweep, {"Files": {"original": ["a<b>.nc"]}})
    checker = Checker()
    checker.feed(html)
    assert checker.stack == []
    return html, checker


def test_the_report_is_well_formed_and_fetches_nothing() -> None:
    html, page = page_of(made(ratios=True))
    assert all(link.startswith(("#", "https://doi.org/", "data:text/csv;base64,")) for link in page.resources)
    assert "<script" not in html
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert len(page.images) == 1
    assert page.images[0]["role"] == "img"
    assert page.images[0]["aria-label"]
    assert all(header.get("scope") in ("col", "row") for header in page.headers)


def test_the_report_has_every_number_with_units_and_escapes_names() -> None:
    html, page = page_of(made(ratios=True))
    text = re.sub(r"\s+", " ", " ".join(page.text))
    for wanted in ("bound 0.01 %", "ratio 100", "1.00 MB", "m s⁻¹", "50.0 m s⁻¹", "0.400 m s⁻¹", "u<10>", "a<b>.nc"):
        assert wanted in text
    assert "u<10>" not in html
    assert html.count('class="knee"') == 1 + 3  # the targets' row, and one row for each variable
    assert "4.00 to 1000" in text
    assert "2011" in text


def test_the_knee_is_said_in_words_with_the_gain_on_both_sides() -> None:
    sweep = made()
    sentence = knee_sentence(sweep, sweep.knees[0]).replace("\u00a0", " ")
    assert sentence == (
        "Knee at bound 1 %: ratio 16.0, RMSE 0.400 % of the range. "
        "Ten times the error brings 2.0 times the ratio below it, 62 times above."
    )
    assert sentence in render_sweep(sweep, {}).replace("\u00a0", " ")


def test_without_a_knee_or_an_error_the_report_says_so() -> None:
    html, page = page_of(made(exact=True))
    assert "No knee" in html
    assert page.images == []
    assert sweep_figure(made(exact=True)) is None


def test_the_chart_names_variables_and_knee() -> None:
    chart = sweep_figure(made(ratios=True)) or ""
    shown = chart.replace("\u00a0", " ")
    for wanted in ("t2m", "RMSE", "largest error", "knee: bound 1 %", "compression ratio"):
        assert wanted in shown
    assert "#010203" not in chart
    assert sweep_figure(made(ratios=True)) == chart


def test_a_chart_of_many_variables_leaves_their_names_to_the_tables() -> None:
    names = tuple(f"variable{number}" for number in range(MANY))
    html, page = page_of(made(names=names))
    assert "variable3" not in (sweep_figure(made(names=names)) or "")
    assert "variable3" in " ".join(page.text)
    assert "The tables" in html


def test_the_terminal_tables_fit_80_columns() -> None:
    sweep = made(ratios=True)
    stream = io.StringIO()
    Console(file=stream, width=80).print(sweep_tables(sweep))
    shown = stream.getvalue()
    rows = [line for line in shown.splitlines() if "knee" in line]
    assert " ".join(rows[0].split()) == "1 % 16.0 8.00 2.00 250 kB 0.400 % ◀ knee"
    for wanted in ("ratio 100", "m s⁻¹", "flat", "–", "Note: kept <losslessly>"):
        assert wanted in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_numbers_as_shares() -> None:
    assert [percent(value) for value in (0.00123, 0.0, None)] == ["0.123\u00a0%", "0\u00a0%", "–"]
    line = point_line(made().points[0], 2_000_000).replace("\u00a0", " ")
    sizes = "ratio 4.00 (2.00 times smaller than on disk), 8.00 bits per value"
    assert line == f"bound 0.01 %: {sizes}, RMSE 0.00400 % of the range"


def test_the_report_replaces_a_file_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "sweep.html"
    write_sweep(path, made(), {})
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(ResourceError, match="cannot write"):
        write_sweep(tmp_path / "no" / "sweep.html", made(), {})
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.html"]

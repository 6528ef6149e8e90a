"""The HTML report: complete, self-contained, well-formed, accessible, written atomically."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import ResourceError
from nnzip.metrics.evaluate import evaluate
from nnzip.metrics.evaluation import Evaluation
from nnzip.report.html import render_report, write_report

VOID = {"meta", "br", "img", "link", "hr", "input"}
DETAILS = {"Files": {"Original": "a<b>&c.nc", "Archive": None}, "Configuration": {"levels": [1, 2.5]}, "seed": 7}


class Checker(HTMLParser):
    """Collects what a page refers to and complains about tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.resources: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.headers: list[dict[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.stack.append(tag)
        self._collect(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._collect(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _collect(self, tag: str, attrs: dict[str, str | None]) -> None:
        self.resources += [attrs[key] or "" for key in ("src", "href", "xlink:href", "data") if key in attrs]
        if tag == "svg":
            self.images.append(attrs)
        if tag == "th":
            self.headers.append(attrs)


def _data(constant: bool = False, holes: bool = False) -> tuple[xr.Dataset, xr.Dataset, Evaluation]:
    rng = np.random.default_rng(0)
    coords = {
        "time": np.array(["2016-10-05T00", "2016-10-05T06"], dtype="datetime64[ns]"),
        "lat": np.linspace(60, 20, 13),
        "lon": np.arange(16) * 2.0,
    }
    dims = ("time", "lat", "lon")
    values = np.ones((2, 13, 16)) if constant else rng.normal(280, 5, (2, 13, 16))
    if holes:
        values[:, :, 3] = np.nan
    original = xr.Dataset(
        {
            "t2m": (dims, values, {"units": "K", "long_name": "2 metre <temperature>"}),
            "u10": (dims, values - 280, {"units": "m s**-1"}),
        },
        coords,
    )
    decoded = original if constant else original + rng.normal(0, 0.1, (2, 13, 16))
    return original, decoded, evaluate(original, decoded, file_bytes=500, layers={"field": 400, "metadata": 100})


def _check(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.stack
    return checker


def test_the_report_names_every_variable_unit_place_and_detail() -> None:
    original, decoded, evaluation = _data()
    page = _check(render_report(evaluation, original, decoded, DETAILS))
    text = " ".join("".join(page.text).split())
    for expected in (
        "t2m: 2 metre <temperature> [K]",
        "u10",
        "m s⁻¹",
        "a<b>&c.nc",
        "levels",
        "2.5",
        "seed",
        "7",
        "field",
        "dB",
    ):
        assert expected in text
    assert f"{evaluation.ratio:.3g}" in text
    assert "2016-10-05 0" in text
    assert "km" in text
    axes = {
        "error, decoded minus original [K]",
        "t2m [K]",
        "error [m s⁻¹]",
        "power [K²]",
        "power [(m s⁻¹)²]",
        "zonal wavelength [km]",
    }
    assert axes <= {piece.strip() for piece in page.text}


def test_the_report_asks_nothing_of_the_network_and_runs_no_script() -> None:
    original, decoded, evaluation = _data()
    text = render_report(evaluation, original, decoded, DETAILS)
    page = _check(text)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in page.resources)
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_figures_have_text_alternatives_and_table_headers_a_scope() -> None:
    original, decoded, evaluation = _data()
    page = _check(render_report(evaluation, original, decoded, DETAILS))
    assert len(page.images) == 2 * 5
    assert all(image["role"] == "img" and image["aria-label"] for image in page.images)
    assert all(header.get("scope") in ("row", "col") for header in page.headers)
    assert "width" not in page.images[0]  # scales with the page


def test_internal_links_lead_somewhere() -> None:
    original, decoded, evaluation = _data()
    text = render_report(evaluation, original, decoded, DETAILS)
    for target in re.findall(r'<a href="#([^"]+)"', text):
        assert f'id="{target}"' in text


def test_figures_do_not_change_between_runs() -> None:
    original, decoded, evaluation = _data()
    figures = [re.findall(r"<svg.*?</svg>", render_report(evaluation, original, decoded, {}), re.S) for _ in range(2)]
    assert figures[0] == figures[1]


def test_an_exact_copy_of_a_constant_field_is_reported() -> None:
    original, decoded, evaluation = _data(constant=True)
    assert "∞" in render_report(evaluation, original, decoded, {})


def test_missing_rows_leave_no_spectrum_and_say_so() -> None:
    original, decoded, evaluation = _data(holes=True)
    text = render_report(evaluation, original, decoded, {})
    _check(text)
    assert "No zonal spectrum" in text
    assert "Grey: missing values" in text


def test_differing_missing_values_stand_out() -> None:
    original, decoded, _ = _data()
    decoded["t2m"][0, 0, :3] = np.nan
    evaluation = evaluate(original, decoded, structure=False)
    text = render_report(evaluation, original, decoded, {})
    assert '<span class="warn">3 differ</span>' in text
    assert "no compressed file was given, so no ratio" in text


def test_writing_replaces_an_old_report_and_leaves_nothing_else(tmp_path: Path) -> None:
    original, decoded, evaluation = _data()
    seen: list[float] = []
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, evaluation, original, decoded, DETAILS, progress=seen.append)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]
    assert seen == [0.5, 1.0]


def test_an_unwritable_place_is_a_resource_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    original, decoded, evaluation = _data()
    with pytest.raises(ResourceError, match=r"cannot write the report .*nowhere.*No such file"):
        write_report(tmp_path / "nowhere" / "r.html", evaluation, original, decoded, {})
    (tmp_path / "r.html").mkdir()
    with pytest.raises(ResourceError, match="cannot write the report"):
        write_report(tmp_path / "r.html", evaluation, original, decoded, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.html"]

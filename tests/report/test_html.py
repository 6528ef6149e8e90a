"""The HTML report: complete, self-contained, well-formed, accessible, written atomically."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import ResourceError, UsageError
from nnzip.evaluate.evaluate import evaluate
from nnzip.evaluate.events import event_scores, parse_event
from nnzip.evaluate.extremes.scores import extreme_scores
from nnzip.evaluate.scorecard import Check
from nnzip.evaluate.scores import Evaluation
from nnzip.report.html import render_report, write_report
from nnzip.report.sections import Compared
from tests.support.pages import Checker

DETAILS: dict[str, object] = {
    "Files": {"Original": "a<b>&c.nc", "Archive": None},
    "Configuration": {"levels": [1, 2.5]},
    "seed": 7,
}


def _render(original: xr.Dataset, decoded: xr.Dataset, evaluation: Evaluation, details: dict[str, object]) -> str:
    return render_report(original, [Compared("a.nnz", decoded, evaluation)], details)


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
    return original, decoded, evaluate(original, decoded, file_bytes=500, parts={"field": 400, "metadata": 100})


def _check(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.stack
    return checker


def test_the_report_names_every_variable_unit_place_and_detail() -> None:
    original, decoded, evaluation = _data()
    page = _check(_render(original, decoded, evaluation, DETAILS))
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
    text = _render(original, decoded, evaluation, DETAILS)
    page = _check(text)
    assert all(target.startswith(("#", "data:image/png;base64,", "data:text/csv;base64,")) for target in page.resources)
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_figures_have_text_alternatives_and_table_headers_a_scope() -> None:
    original, decoded, evaluation = _data()
    page = _check(_render(original, decoded, evaluation, DETAILS))
    assert len(page.images) == 2 * 8  # three maps of fields, two of errors, histogram, spectrum, times
    assert all(image["role"] == "img" and image["aria-label"] for image in page.images)
    assert all(header.get("scope") in ("row", "col") for header in page.headers)
    assert "width" not in page.images[0]  # scales with the page


def test_internal_links_lead_somewhere() -> None:
    original, decoded, evaluation = _data()
    text = _render(original, decoded, evaluation, DETAILS)
    for target in re.findall(r'<a href="#([^"]+)"', text):
        assert f'id="{target}"' in text


def test_figures_do_not_change_between_runs() -> None:
    original, decoded, evaluation = _data()
    figures = [re.findall(r"<svg.*?</svg>", _render(original, decoded, evaluation, {}), re.S) for _ in range(2)]
    assert figures[0] == figures[1]


def test_an_exact_copy_of_a_constant_field_is_reported() -> None:
    original, decoded, evaluation = _data(constant=True)
    assert "∞" in _render(original, decoded, evaluation, {})


def test_missing_rows_leave_no_spectrum_and_say_so() -> None:
    original, decoded, evaluation = _data(holes=True)
    text = _render(original, decoded, evaluation, {})
    _check(text)
    assert "No zonal spectrum" in text
    assert "Grey: missing values" in text


def test_differing_missing_values_stand_out() -> None:
    original, decoded, _ = _data()
    decoded["t2m"][0, 0, :3] = np.nan
    evaluation = evaluate(original, decoded, structure=False)
    text = _render(original, decoded, evaluation, {})
    assert '<span class="warn">3 differ</span>' in text
    assert "no compressed file was given, so no ratio" in text


def test_writing_replaces_an_old_report_and_leaves_nothing_else(tmp_path: Path) -> None:
    original, decoded, evaluation = _data()
    seen: list[float] = []
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, original, [Compared("a.nnz", decoded, evaluation)], DETAILS, progress=seen.append)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]
    assert seen == [0.5, 1.0]


def test_an_unwritable_place_is_refused_and_keeps_what_is_there(tmp_path: Path) -> None:
    original, decoded, evaluation = _data()
    compared = [Compared("a.nnz", decoded, evaluation)]
    with pytest.raises(ResourceError, match=r"cannot write .*nowhere.*does not exist: create it"):
        write_report(tmp_path / "nowhere" / "r.html", original, compared, {})
    (tmp_path / "r.html").mkdir()
    with pytest.raises(UsageError, match="is no regular file"):
        write_report(tmp_path / "r.html", original, compared, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.html"]


def test_what_was_promised_stands_beside_what_was_measured() -> None:
    original, decoded, evaluation = _data()
    checks = (
        Check("t2m", "largest |error|", 0.5, 0.31, "K"),
        Check("t2m", "missing values that differ", 0, 3, "points"),
    )
    text = render_report(original, [Compared("a.nnz", decoded, evaluation, checks)], {})
    page = " ".join(" ".join(_check(text).text).split())
    assert "largest |error| ≤ 0.5000 K 0.3100 K ✓ kept" in page.replace("\u00a0", " ")
    assert "missing values that differ none 3 points ✗ broken" in page.replace("\u00a0", " ")
    assert "nothing promised" in page  # about u10
    assert "Nothing was promised" in _render(original, decoded, evaluation, {})


def _storm() -> tuple[xr.Dataset, xr.Dataset]:
    rng = np.random.default_rng(1)
    coords = {
        "time": (np.datetime64("2016-10-01") + np.arange(9)).astype("datetime64[ns]"),
        "latitude": np.arange(30.0, 10, -1),
        "longitude": np.arange(270.0, 300),
    }
    distance = np.hypot(coords["latitude"][:, None] - 20, coords["longitude"] - 285)
    pressure = 101_000 - 4000 * np.exp(-((distance / 4) ** 2)) + rng.normal(0, 50, (9, 20, 30))
    dims = ("time", "latitude", "longitude")
    original = xr.Dataset({"msl": (dims, pressure, {"units": "Pa"}), "u10": (dims, pressure / 1e4)}, coords)
    original["v10"] = original["u10"]
    return original, original + rng.normal(0, 40, pressure.shape)


def test_extremes_and_events_of_several_files_side_by_side() -> None:
    original, near = _storm()
    far = near + 200 * (near["msl"] < 99_000)
    compared = []
    for name, decoded in (("near.nnz", near), ("far<1>.nc", far)):
        evaluation = evaluate(original, decoded, variables=["msl"])
        scores = {"msl": extreme_scores(original["msl"], decoded["msl"], evaluation.variables[0])}
        events = (event_scores(original, decoded, parse_event("Storm <1>,2016-10-05,10,30,270,299")),)
        compared.append(Compared(name, decoded, evaluation, (), scores, events))
    text = render_report(original, compared, {})
    page = _check(text)
    words = " ".join("".join(page.text).split())
    assert "Event: Storm <1>" in words
    assert "far<1>.nc" in words
    assert words.count("displaced by") == 2
    for expected in ("above\u00a0p99.9", "below\u00a0p0.1", "SEDI", "too few for percentiles", "Wind: largest speed"):
        assert expected in "".join(page.text)
    event, maps, plots = (1 + 2 * 2) + 2, (1 + 2 * 2) + 2 * 2, 3 + 2
    assert len(page.images) == event + maps + plots
    assert all(header.get("scope") in ("row", "col") for header in page.headers)
    alone = render_report(original, compared[:1], {})
    assert len(_check(alone).images) == (3 + 2) + (3 + 2) + (3 + 2)
    for target in re.findall(r'<a href="#([^"]+)"', text):
        assert f'id="{target}"' in text


def test_an_event_of_one_time_has_no_series_and_a_lost_storm_is_said() -> None:
    original, decoded = (data.isel(time=[4]) for data in _storm())
    decoded["msl"] = decoded["msl"] * 0 + decoded["latitude"]
    evaluation = evaluate(original, decoded, structure=False)
    events = (event_scores(original, decoded, parse_event("Storm,2016-10-05,10,30,270,299")),)
    text = render_report(original, [Compared("a.nc", decoded, evaluation, (), {}, events)], {})
    _check(text)
    assert "the storm is lost" in text
    assert "The displacement" not in text


def test_times_can_be_chosen_without_a_script_and_lines_are_written_once() -> None:
    original, decoded = _storm()
    text = render_report(original, [Compared("a.nc", decoded, evaluate(original, decoded))], {})
    page = _check(text)
    assert text.count('<input type="radio" name="step-1"') == 5
    assert text.count(" checked>") == 3  # one per variable
    assert "section:has(.at-4:checked) .step-4" in text
    assert len(set(re.findall(r'<path id="(line-\d+)"', text))) <= 2
    assert text.count('<use href="#line-') + text.count('<path id="line-') in (0, 15)  # a coast on each of the maps
    assert "Error against time" in "".join(page.text)
    names = re.findall(r'download="([^"]+)"', text)
    assert {"errors.csv", "msl_histogram.csv", "msl_by_time.csv", "msl_spectrum.csv"} <= set(names)

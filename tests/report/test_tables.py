"""Terminal tables: every variable with its units, within 80 columns."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from nnzip.evaluate.evaluate import evaluate
from nnzip.evaluate.scores import Evaluation
from nnzip.report.tables import evaluation_tables


def _evaluation(names: dict[str, str], file_bytes: int | None = 4000) -> Evaluation:
    rng = np.random.default_rng(0)
    coords = {"time": np.arange(3.0), "lat": np.linspace(30, 60, 14), "lon": np.arange(20.0)}
    values = {n: (("time", "lat", "lon"), rng.normal(size=(3, 14, 20)), {"units": u}) for n, u in names.items()}
    original = xr.Dataset(values, coords)
    decoded = original + 1e-7 * rng.normal(size=(3, 14, 20))
    first = next(iter(names))
    original[first][0, 0, 0] = np.nan
    parts = {"field": 3000, "rest": 1000} if file_bytes else None
    return evaluate(original, decoded, file_bytes=file_bytes, stored_bytes=9000, parts=parts)


def _text(evaluation: Evaluation) -> str:
    console = Console(width=80, record=True, file=None, color_system=None, quiet=False)
    with console.capture() as capture:
        console.print(evaluation_tables(evaluation))
    return capture.get()


@pytest.mark.parametrize(
    "names", [{"t2m": "K", "u10": "m s**-1"}, {"geopotential_height_at_the_surface": "m**2 s**-2"}]
)
def test_tables_hold_every_variable_and_unit_within_80_columns(names: dict[str, str]) -> None:
    lines = _text(_evaluation(names)).splitlines()
    assert max(map(len, lines)) <= 80
    text = "".join("\n".join(lines).split())
    for name in names:
        assert name[:12] in text
    assert ("ms⁻¹" if "u10" in names else "m²s⁻²") in text
    assert "…" not in text


def test_sizes_layers_and_differing_missing_values_are_said() -> None:
    text = _text(_evaluation({"t2m": "K"}))
    assert "3.36\u00a0kB as float32 in a file of 4.00\u00a0kB: ratio 0.840" in text
    assert "2.25 times smaller than on disk" in " ".join(text.split())
    assert "75.0 %" in text
    assert "1 differ" in text


def test_without_a_file_there_is_no_ratio() -> None:
    text = _text(_evaluation({"t2m": "K"}, file_bytes=None))
    assert "no compressed file given, so no ratio" in text
    assert "Where the bytes are" not in text

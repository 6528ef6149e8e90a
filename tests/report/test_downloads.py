"""Data behind the plots, as CSV that other programs read."""

from __future__ import annotations

import base64
import csv
import io

import numpy as np

from nnzip.report.downloads import Download, table_download


def rows(download: Download) -> list[list[str]]:
    kind, _, content = download.link.partition(";base64,")
    assert kind == "data:text/csv"
    return list(csv.reader(io.StringIO(base64.b64decode(content).decode())))


def test_columns_come_back_with_six_digits_and_gaps_empty() -> None:
    made = table_download("a b/c", {"time": ["2020-01-01", 'q"o,te'], "x [K]": np.array([1 / 3, np.nan])})
    assert made.name == "a_b_c.csv"
    assert rows(made) == [["time", "x [K]"], ["2020-01-01", "0.333333"], ['q"o,te', ""]]
    assert rows(table_download("n", {"count": [1234567890], "none": [None]}))[1] == ["1234567890", ""]

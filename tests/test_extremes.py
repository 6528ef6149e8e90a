"""What users ask for with --extremes, and what it does to an archive."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import UsageError
from nnzip.extremes import Extremes, parse_extremes
from nnzip.field.tails import TailOptions
from tests.conftest import Nnzip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99", [Extremes(99)]),
        ("P99:0.1", [Extremes(99, 0.1)]),
        ("p99.9:upper", [Extremes(99.9, side="upper")]),
        ("p95:0.5:lower:local", [Extremes(95, 0.5, "lower", local=True)]),
        ("p99:0.2:upper, p99.95:0.03:local", [Extremes(99, 0.2, "upper"), Extremes(99.95, 0.03, local=True)]),
    ],
)
def test_what_can_be_asked_for(text: str, expected: list[Extremes]) -> None:
    found = parse_extremes(text)
    assert list(found) == expected
    assert parse_extremes(",".join(extremes.text for extremes in found)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no percentile"),
        ("99", "no percentile"),
        ("p", "no percentile"),
        ("p50", "'p50' is no percentile between p50 and p100"),
        ("p100", "no percentile"),
        ("pnan", "no percentile"),
        ("p99:0", "'0' is no share from 0.001 to 1"),
        ("p99:2", "no share"),
        ("p99:nan", "no share"),
        ("p99:uper", "'uper' is no share"),
        ("p99,,p99", "no percentile"),
    ],
)
def test_what_cannot(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--extremes.*{message}.*p99:0.2"):
        parse_extremes(text)


def test_the_share_of_the_error_is_the_inverse_of_the_emphasis() -> None:
    assert parse_extremes("p98:0.25:lower:local")[0].tail_options() == TailOptions(98, 4, "lower", local=True)


def tail_rmse(source: Path, decoded: Path, name: str) -> tuple[float, float]:
    """RMSE of all values and of those beyond the 2nd and 98th percentile."""
    with xr.open_dataset(source) as first, xr.open_dataset(decoded) as second:
        original, error = first[name].to_numpy(), second[name].to_numpy() - first[name].to_numpy()
    low, high = np.quantile(original, [0.02, 0.98])
    tail = (original > high) | (original < low)
    return float(np.sqrt(np.square(error).mean())), float(np.sqrt(np.square(error[tail]).mean()))


def test_extremes_have_smaller_errors_at_the_same_size(tmp_path: Path, nnzip: Nnzip) -> None:
    source = tmp_path / "source.nc"
    nnzip("sample", source, "--resolution", 5, "--hours", 96, "--step-hours", 6, "--variables", "t2m")
    found, sizes = {}, []
    for name, options in (("plain", ()), ("kept", ("--extremes", "p98:0.2"))):
        output = tmp_path / f"{name}.nnz"
        nnzip("compress", source, "-o", output, "--ratio", 30, "--effort", "fast", *options)
        nnzip("decompress", output)
        sizes.append(output.stat().st_size)
        found[name] = tail_rmse(source, tmp_path / f"{name}.nc", "t2m")
    assert max(sizes) < 1.01 * min(sizes)
    assert found["kept"][1] < 0.6 * found["plain"][1]
    assert found["kept"][0] < 1.6 * found["plain"][0]
    content = json.loads(nnzip("info", tmp_path / "kept.nnz", "--json").stdout)
    assert content["configuration"]["extremes"] == "p98:0.2"
    nnzip("verify", tmp_path / "kept.nnz")


def test_extremes_need_a_ratio_or_a_size(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    output = tmp_path / "weather.nnz"
    result = nnzip("compress", weather, "-o", output, "--extremes", "p99", code=2)
    assert "--ratio or --size" in result.stderr
    result = nnzip("compress", weather, "-o", output, "--ratio", 20, "--extremes", "99", code=2)
    assert "percentile" in result.stderr
    assert not output.exists()

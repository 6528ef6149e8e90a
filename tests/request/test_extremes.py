"""What users ask for with --extremes, and what it does to an archive."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.data.grouping import plan_groups
from nnzip.errors import UsageError
from nnzip.transform.stretch import TailOptions
from nnzip.request.extremes import Extremes, parse_extremes, require_variables, tail_options
from nnzip.sample.sample import make_sample
from tests.conftest import Nnzip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99", Extremes()),
        ("p99:0.1", Extremes(factor=0.1)),
        ("P1:0.1", Extremes(factor=0.1)),
        (">p99.9", Extremes(None, 99.9)),
        ("<p1:.5", Extremes(1, None, 0.5)),
        ("p5,p99.9:0.1", Extremes(5, 99.9, 0.1)),
        ("t2m=p95:0.5:local", Extremes(5, 95, 0.5, local=True, variable="t2m")),
        (" t2m > p99 ", Extremes(None, 99, variable="t2m")),
        ("t2m<p1:0.001:local", Extremes(1, None, 0.001, local=True, variable="t2m")),
    ],
)
def test_what_can_be_asked_for(text: str, expected: Extremes) -> None:
    assert parse_extremes(text) == expected
    assert parse_extremes(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write it as"),
        ("99", "write it as"),
        ("p", "write it as"),
        ("pnan", "write it as"),
        ("p99:-1", "write it as"),
        ("p99:locall", "write it as"),
        ("t2mp99", "write it as"),
        (">p1,p99", "write it as"),
        ("p99,,p99", "write it as"),
        ("p50", "beyond p50 and p50"),
        ("p100", "beyond p0 and p100"),
        ("p120", "beyond p-20 and p120"),
        (">p1", "beyond p1: .* upper one between p50 and p100"),
        ("<p99", "beyond p99: a lower percentile lies between p0 and p50"),
        ("p99,p1", "beyond p99 and p1"),
        ("p99:0", "0 of the error: the share lies from 0.001 to 1"),
        ("p99:2", "2 of the error"),
    ],
)
def test_what_cannot(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_extremes(text)


def test_one_side_at_least() -> None:
    with pytest.raises(UsageError, match="beyond nothing"):
        Extremes(None, None)


def test_extremes_become_options_of_the_field() -> None:
    dataset = make_sample(resolution=30, hours=6, step_hours=6, variables=["t2m", "z", "msl"])
    (group,), _ = plan_groups(dataset, None)
    names = {layout.name: part for layout, part in group.parts()}
    wanted = [Extremes(), Extremes(None, 99.9, 0.25, local=True, variable="z"), Extremes(variable="u10")]
    every, some = tail_options(wanted, group)
    assert every == TailOptions(5, 1, 99, channels=frozenset(range(group.channels)))
    assert some == TailOptions(4, None, 99.9, True, frozenset(range(names["z"].start, names["z"].stop)))
    with pytest.raises(UsageError, match=r"no compressed variable 'u10'.*t2m"):
        require_variables(wanted, [group])
    require_variables(wanted[:2], [group])


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
    for name, options in (("plain", ()), ("kept", ("--extremes", "p98:0.2", "--extremes", "t2m>p99.9:0.5"))):
        output = tmp_path / f"{name}.nnz"
        nnzip("compress", source, "-o", output, "--ratio", 30, "--effort", "fast", *options)
        nnzip("decompress", output)
        sizes.append(output.stat().st_size)
        found[name] = tail_rmse(source, tmp_path / f"{name}.nc", "t2m")
    assert max(sizes) < 1.01 * min(sizes)
    assert found["kept"][1] < 0.6 * found["plain"][1]
    assert found["kept"][0] < 1.6 * found["plain"][0]
    content = json.loads(nnzip("info", tmp_path / "kept.nnz", "--json").stdout)
    assert content["configuration"]["extremes"] == ["p2,p98:0.2", "t2m>p99.9:0.5"]
    nnzip("verify", tmp_path / "kept.nnz")


def test_extremes_need_a_ratio_or_a_size(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    output = tmp_path / "weather.nnz"
    result = nnzip("compress", weather, "-o", output, "--rmse", "0.1%", "--extremes", "p99", code=2)
    assert "extremes go with a ratio or a size" in result.stderr
    result = nnzip("compress", weather, "-o", output, "--ratio", 20, "--extremes", "99", code=2)
    assert "write it as p99" in result.stderr
    assert not output.exists()

"""Promises beyond the bound, through real archives: what was asked for holds at every point, by independent means."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import nnzip
from nnzip.errors import NnzipError, UsageError, VerificationError
from nnzip.promises.constraints import BoxTolerance
from nnzip.request.options import Options
from nnzip.request.promises import COMPARISONS, parse_promise
from nnzip.request.target import Target
from tests.support.promise_examples import KINDS, dataset, field

BOUND = 0.5


def asked(promises: Sequence[str], max_error: dict[str | None, str | float] | None = None, **others: Any) -> Options:
    target = Target(max_error={None: BOUND} if max_error is None else max_error)
    return Options(target, promises=tuple(map(parse_promise, promises)), effort="fast", **others)


def decoded(original: xr.Dataset, path: Path, options: Options) -> xr.Dataset:
    """What an archive with these promises gives back."""
    result = nnzip.compress(original, path, options, overwrite=True)
    assert not any(kept.violations for found in result.promises.values() for kept in found)
    with nnzip.open_archive(path) as archive:
        return archive.dataset().load()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(KINDS),
    st.tuples(st.sampled_from([2, 9, 30]), st.sampled_from([2, 7]), st.sampled_from([4, 12])),
    st.integers(0, 1000),
    st.sampled_from(COMPARISONS),
    st.sampled_from(["day", "month"]),
    st.sampled_from([0.0, -180.0]),
    st.booleans(),
)
def test_every_promise_holds_at_once(
    tmp_path: Path, kind: str, shape: tuple[int, ...], seed: int, comparison: str, block: str, west: float, double: bool
) -> None:
    values: NDArray[np.floating] = field(kind, shape, seed)
    if not np.isfinite(values).any():
        return
    original = dataset(values.astype(np.float64) if double else values, west)
    finite = values[np.isfinite(values)]
    threshold = float(finite[seed % finite.size])
    promises = [
        "extremes p90:0.1",
        f"preserve x {comparison} {threshold!r}",
        f"preserve x > {float(np.median(finite)):.3g} K",
        f"preserve-maxima {block}",
        "preserve-minima x=day",
        "region -20,60,-100,100:0.3",
    ]
    back = decoded(original, tmp_path / "a.nnz", asked(promises, tile={"time": 7, "lat": 4, "lon": 5}))["x"]
    x, y = original["x"], back
    assert x.dtype == y.dtype
    error = abs(y.astype("f8") - x.astype("f8"))
    np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
    assert float(error.max()) <= BOUND
    for sign, limit in ((comparison, threshold), (">", float(f"{float(np.median(finite)):.3g}"))):
        for user in (limit, np.float64(limit), np.float32(limit)):
            same = {">": x > user, ">=": x >= user, "<": x < user, "<=": x <= user}[sign]
            found = {">": y > user, ">=": y >= user, "<": y < user, "<=": y <= user}[sign]
            xr.testing.assert_equal(found, same)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of cells without values
        low, high = (x.astype("f8").quantile(q, "time", skipna=True) for q in (0.1, 0.9))
    tails = error.where((x < low - 1e-9) | (x > high + 1e-9))
    assert float(tails.max().fillna(0)) <= 0.1 * BOUND
    inside = (np.abs((x["lon"] + 180) % 360 - 180) <= 100) & (x["lat"] >= -20) & (x["lat"] <= 60)
    assert float(error.where(inside).max().fillna(0)) <= 0.3 * BOUND
    period = {"day": "1D", "month": "1MS"}
    for side, length in ((xr.DataArray.idxmax, period[block]), (xr.DataArray.idxmin, "1D")):
        first, second = (v.resample(time=length).map(side, args=("time",)) for v in (x, y))
        xr.testing.assert_equal(first, second)
    if kind == "rain":
        assert float(y.min()) >= 0


def test_blocks_across_tiles(tmp_path: Path) -> None:
    original = dataset(field("missing", (40, 5, 8), 2))
    promises = ["preserve-maxima day", "preserve-minima month", "preserve-maxima year"]
    back = decoded(original, tmp_path / "a.nnz", asked(promises, tile={"time": 7, "lat": 3, "lon": 3}))
    x, y = (v["x"] for v in (original, back))
    for period, side in (("1D", xr.DataArray.idxmax), ("1MS", xr.DataArray.idxmin), ("1YS", xr.DataArray.idxmax)):
        first, second = (v.resample(time=period).map(side, args=("time",)) for v in (x, y))
        xr.testing.assert_equal(first, second)
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        kept = {found.promise: found for found in archive.manifest.variables["x"].promises}
    for promise, period in (("maxima x=day", "1D"), ("minima x=month", "1MS"), ("maxima x=year", "1YS")):
        several = x["time"].resample(time=period).count() > 1
        concerned = int(((x.resample(time=period).count() > 0) & several).sum())
        found = kept[f"preserve-{promise}"]
        assert (found.points, found.violations) == (concerned, 0)


def test_rain_stays_rain(tmp_path: Path) -> None:
    sample = nnzip.make_sample(resolution=6.0, hours=48, step_hours=3, variables=["tp"])
    options = asked(["preserve tp > 0", "preserve tp >= 1 mm"], {"tp": "0.1mm"})
    back = decoded(sample, tmp_path / "a.nnz", options)
    for limit, sign in ((0, ">"), (0.001, ">=")):
        first, second = (v["tp"] > limit if sign == ">" else v["tp"] >= limit for v in (sample, back))
        xr.testing.assert_equal(first, second)
    assert float(back["tp"].min()) == 0


def test_promises_cost_bytes_and_are_remembered(tmp_path: Path) -> None:
    original = dataset(field("noise", (40, 11, 24), 3))
    plain = nnzip.compress(original, tmp_path / "a.nnz", asked([]))
    result = nnzip.compress(original, tmp_path / "b.nnz", asked(["extremes p90:0.1", "preserve x > 10 degC"]))
    assert plain.promises == {} == plain.promise_bytes
    assert [kept.promise for kept in result.promises["x"]] == ["extremes x=p10,p90:0.1", "preserve x > 10 degC"]
    tails, warm = result.promises["x"]
    x = original["x"].astype("f8")
    low, high = x.quantile(0.1, "time"), x.quantile(0.9, "time")
    assert tails.points == int(((x < low) | (x > high)).sum())
    assert 0.5 < tails.tightest <= 1
    assert warm.points == int((x > 283.15).sum())
    assert warm.tightest == 0
    assert 0 < result.promise_bytes["x"] < result.file_bytes
    assert result.file_bytes > plain.file_bytes
    with nnzip.open_archive(tmp_path / "b.nnz") as archive:
        variable = archive.manifest.variables["x"]
        assert [kept.promise for kept in variable.promises] == [kept.promise for kept in result.promises["x"]]
        assert variable.promise_bytes == result.promise_bytes["x"]
        for kept in variable.promises:
            nnzip.parse_promise(kept.promise)


def test_packed_sources_keep_promises(tmp_path: Path) -> None:
    values = np.round(field("smooth", (20, 9, 16), 0) / 0.01) * 0.01
    original = dataset(values.astype(np.float64))
    original["x"].encoding.update(dtype="int16", scale_factor=0.01, add_offset=273.15, _FillValue=-32768)
    original.to_netcdf(tmp_path / "packed.nc")
    with nnzip.open_dataset(str(tmp_path / "packed.nc")) as packed:
        back = decoded(packed, tmp_path / "a.nnz", asked(["preserve x > 280", "preserve-maxima day"]))
        xr.testing.assert_equal(back["x"] > 280, packed["x"] > 280)


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ("extremes x=p99:1e-6", r"asks for 5e-07 K of x, 1e-06 of its bound 0\.5 K; decoders and float32 can keep"),
        ("extremes y=p99:0.1", "the dataset has no variable 'y'"),
        ("region -80,-70,5,6:0.5", "lie outside the data's"),
    ],
)
def test_contradictions_leave_no_file(tmp_path: Path, promise: str, message: str) -> None:
    original = dataset(field("noise", (4, 5, 8), 1)).isel(lat=slice(0, 2))
    with pytest.raises(UsageError, match=message):
        nnzip.compress(original, tmp_path / "a.nnz", asked([promise]))
    assert not list(tmp_path.iterdir())


def test_a_threshold_in_the_wrong_units_is_noted(tmp_path: Path) -> None:
    original = dataset(field("noise", (4, 5, 8), 1))
    result = nnzip.compress(original, tmp_path / "a.nnz", asked(["preserve x > 900"]))
    assert any("'preserve x > 900' concerns no value: are its units those of the data, K?" in n for n in result.notes)


def test_a_broken_promise_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoxTolerance, "narrow", lambda *_: None)
    original = dataset(field("noise", (20, 5, 8), 1))
    with pytest.raises(
        VerificationError, match=r"x decodes with \d+ violations of the promise 'extremes x=p10,p90:0.1'"
    ):
        decoded(original, tmp_path / "a.nnz", asked(["extremes p90:0.1"]))
    assert not list(tmp_path.iterdir())
    assert issubclass(VerificationError, NnzipError)

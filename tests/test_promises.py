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
from nnzip.plan import budget
from nnzip.promises.constraints import Tolerance
from nnzip.request.promises import COMPARISONS
from nnzip.tile import corrector

KINDS = ("noise", "ties", "rain", "smooth", "missing")
BOUND = 0.5


def field(kind: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    values = 280 + 3 * generator.normal(size=shape)
    if kind == "ties":
        values = np.round(values)
    elif kind == "rain":
        values = np.maximum(generator.normal(size=shape) - 0.5, 0)
    elif kind == "smooth":
        values = 280 + 5 * np.sin(sum(np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")))
    elif kind == "missing":
        values[generator.random(shape) < 0.3] = np.nan
        values[:, 0, 0] = np.nan
    return values.astype(np.float32)


def dataset(values: NDArray[np.floating], west: float = 0.0) -> xr.Dataset:
    """6-hourly over a whole circle of longitudes."""
    times = np.datetime64("2016-10-01T06", "ns") + np.arange(values.shape[0]) * np.timedelta64(6, "h")
    longitude = west + np.arange(values.shape[2]) * 360 / values.shape[2]
    made = xr.Dataset(
        {"x": (("time", "lat", "lon"), values, {"units": "K"})},
        {"time": times, "lat": np.linspace(60, -60, values.shape[1]), "lon": longitude},
    )
    made["lat"].attrs["units"], made["lon"].attrs["units"] = "degrees_north", "degrees_east"
    return made


def decoded(original: xr.Dataset, path: Path, promises: Sequence[str], **options: Any) -> xr.Dataset:
    """What an archive with these promises gives back."""
    target = nnzip.Target(max_error=options.pop("max_error", {None: BOUND}))
    options = {"effort": "fast", "with_field": False, **options}
    result = nnzip.compress(original, path, target, promises=promises, overwrite=True, **options)
    assert not any(kept.violations for found in result.promises.values() for kept in found)
    with nnzip.open_archive(path) as archive:
        return archive.dataset().load()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    back = decoded(original, tmp_path / "a.nnz", promises)["x"]
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


@pytest.mark.parametrize("parts", [(7, 3, 2), (9, 9, 1), (40, 5, 5)])
@pytest.mark.parametrize("kind", ["noise", "ties", "missing"])
def test_blocks_across_segments_tiles_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, parts: tuple[int, int, int]
) -> None:
    original = dataset(field(kind, (40, 5, 8), 2))
    segment, tile, together = (40 * times for times in parts)
    monkeypatch.setattr(budget, "SEGMENT_VALUES", segment)
    monkeypatch.setattr(budget, "TILE_VALUES", tile)
    monkeypatch.setattr(corrector, "_BLOCK_VALUES", together)
    promises = ["preserve-maxima day", "preserve-minima month", "extremes p80:0.2", "preserve-maxima year"]
    back = decoded(original, tmp_path / "a.nnz", promises)
    x, y = (v["x"] for v in (original, back))
    for period, side in (("1D", xr.DataArray.idxmax), ("1MS", xr.DataArray.idxmin), ("1YS", xr.DataArray.idxmax)):
        first, second = (v.resample(time=period).map(side, args=("time",)) for v in (x, y))
        xr.testing.assert_equal(first, second)
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        assert len(archive.manifest.groups[0].segments) == -(-40 // parts[0])
        kept = {found.promise: found for found in archive.manifest.variables["x"].promises}
    for promise, period in (("maxima x=day", "1D"), ("minima x=month", "1MS"), ("maxima x=year", "1YS")):
        several = x["time"].resample(time=period).count() > 1
        concerned = int(((x.resample(time=period).count() > 0) & several).sum())
        found = kept[f"preserve-{promise}"]
        assert (found.points, found.violations) == (concerned, 0)


def test_rain_stays_rain(tmp_path: Path) -> None:
    sample = nnzip.make_sample(resolution=6.0, hours=48, step_hours=3, variables=["tp"])
    for with_field in (False, True):
        back = decoded(
            sample, tmp_path / "a.nnz", ["preserve tp > 0", "preserve tp >= 1 mm"], max_error={"tp": "0.1mm"},
            with_field=with_field,
        )  # fmt: skip
        for limit, sign in ((0, ">"), (0.001, ">=")):
            first, second = (v["tp"] > limit if sign == ">" else v["tp"] >= limit for v in (sample, back))
            xr.testing.assert_equal(first, second)
        assert float(back["tp"].min()) == 0


def test_promises_cost_bytes_and_are_remembered(tmp_path: Path) -> None:
    original = dataset(field("noise", (40, 11, 24), 3))
    plain = nnzip.compress(original, tmp_path / "a.nnz", nnzip.Target(max_error={"x": BOUND}), effort="fast")
    promises: list[Any] = ["extremes p90:0.1", nnzip.ExceedanceSet("x", ">", "10 degC")]
    result = nnzip.compress(
        original, tmp_path / "b.nnz", nnzip.Target(max_error={"x": BOUND}), promises=promises, effort="fast"
    )
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


def test_levels_masks_and_several_variables(tmp_path: Path) -> None:
    sample = nnzip.make_sample(resolution=10.0, hours=48, step_hours=6, variables=["t2m", "z", "sst"])
    sample["land"] = sample["sst"].isel(valid_time=0).isnull().astype("f4").drop_vars("valid_time")
    sample["night"] = (("valid_time",), (sample["valid_time"].dt.hour.to_numpy() < 9).astype("i4"))
    bounds = {"t2m": "1K", "z": "50 m2/s2", "sst": "0.5K"}
    promises = ["region t2m=land:0.2", "region night:0.5", "extremes z=>p80:0.1", "preserve-maxima day"]
    variables = ["t2m", "z", "sst"]
    back = decoded(sample, tmp_path / "a.nnz", promises, max_error=bounds, variables=variables)
    error = {name: abs(back[name].astype("f8") - sample[name].astype("f8")) for name in variables}
    land, night = sample["land"] != 0, sample["night"] != 0
    assert float(error["t2m"].where(land).max()) <= 0.2 < float(error["t2m"].max()) <= 1
    assert float(error["z"].where(night).max()) <= 25 < float(error["z"].max())
    upper = sample["z"].astype("f8").quantile(0.8, "valid_time")
    assert float(error["z"].where(sample["z"] > upper + 1e-6).max()) <= 5
    for name in variables:
        first, second = (
            v[name].fillna(-1e9).resample(valid_time="1D").map(lambda g: g.argmax("valid_time")) for v in (sample, back)
        )
        xr.testing.assert_equal(first, second)


def test_the_field_and_packed_sources_keep_promises(tmp_path: Path) -> None:
    values = np.round(field("smooth", (20, 9, 16), 0) / 0.01) * 0.01
    original = dataset(values.astype(np.float64))
    original["x"].encoding.update(dtype="int16", scale_factor=0.01, add_offset=273.15, _FillValue=-32768)
    original.to_netcdf(tmp_path / "packed.nc")
    with nnzip.open_dataset(str(tmp_path / "packed.nc")) as packed:
        back = decoded(packed, tmp_path / "a.nnz", ["preserve x > 280", "preserve-maxima day"], with_field=True)
        assert back["x"].dtype == np.float32
        xr.testing.assert_equal(back["x"] > 280, packed["x"] > 280)


def test_other_calendars_have_blocks(tmp_path: Path) -> None:
    original = dataset(field("noise", (12, 5, 8), 1))
    times = xr.date_range("2001-02-27", periods=12, freq="6h", calendar="noleap", use_cftime=True)
    original = original.assign_coords(time=times)
    back = decoded(original, tmp_path / "a.nnz", ["preserve-maxima day"])
    for day in range(3):
        part = slice(4 * day, 4 * day + 4)
        first, second = (v["x"].isel(time=part).argmax("time") for v in (original, back))
        xr.testing.assert_equal(first, second)


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ("extremes x=p99:1e-6", r"asks for 5e-07 K of x, 1e-06 of its bound 0\.5 K; decoders and float32 can keep"),
        ("extremes y=p99:0.1", "the dataset has no variable 'y'"),
        ("preserve flag > 0", r"flag is kept losslessly \(its type is int64.*it is exact"),
        ("preserve other > 0", "about other, which is not among the variables compressed, x"),
        ("preserve x > 3 mm", "3 mm of x cannot be expressed in its units, K"),
        ("region -80,-70,5,6:0.5", "lie outside the data's"),
        ("region nowhere:0.5", "no mask variable 'nowhere'"),
        ("region lon:0.5", None),
        ("region flag:0.5", "the mask 'flag' has dimensions k"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, promise: str, message: str | None) -> None:
    original = dataset(field("noise", (4, 5, 8), 1)).isel(lat=slice(0, 2))
    original["other"] = original["x"]
    original["flag"] = (("k",), np.arange(3))
    options: dict[str, Any] = {"promises": [promise], "variables": ["x"], "effort": "fast"}
    target = nnzip.Target(max_error={"x": BOUND})
    if message is None:
        nnzip.compress(original, tmp_path / "a.nnz", target, **options)
        return
    with pytest.raises(UsageError, match=message):
        nnzip.compress(original, tmp_path / "a.nnz", target, **options)
    assert not list(tmp_path.iterdir())


def test_promises_need_what_they_are_about(tmp_path: Path) -> None:
    single = dataset(field("noise", (1, 5, 8), 1))
    target = nnzip.Target(max_error={"x": BOUND})
    options: dict[str, Any] = {"effort": "fast"}
    with pytest.raises(UsageError, match="x has a single time step, so its cells have no percentiles"):
        nnzip.compress(single, tmp_path / "a.nnz", target, promises=["extremes p99:0.1"], **options)
    with pytest.raises(UsageError, match="x has no dates along its time"):
        nnzip.compress(single.isel(time=0), tmp_path / "a.nnz", target, promises=["preserve-maxima day"], **options)
    with pytest.raises(UsageError, match="needs an error bound"):
        nnzip.compress(single, tmp_path / "a.nnz", nnzip.Target(ratio=2), promises=["preserve x > 0"], **options)
    assert not list(tmp_path.iterdir())


def test_a_threshold_in_the_wrong_units_is_noted(tmp_path: Path) -> None:
    original = dataset(field("noise", (4, 5, 8), 1))
    target = nnzip.Target(max_error={"x": BOUND})
    result = nnzip.compress(original, tmp_path / "a.nnz", target, promises=["preserve x > 900"], effort="fast")
    assert any("'preserve x > 900' concerns no value: are its units those of the data, K?" in n for n in result.notes)


def test_a_broken_promise_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tolerance, "narrow", lambda *_: None)
    original = dataset(field("noise", (20, 5, 8), 1))
    with pytest.raises(
        VerificationError, match=r"x decodes with \d+ violations of the promise 'extremes x=p10,p90:0.1'"
    ):
        decoded(original, tmp_path / "a.nnz", ["extremes p90:0.1"])
    assert not list(tmp_path.iterdir())
    assert issubclass(VerificationError, NnzipError)

"""Promises kept tile by tile hold for the whole record, by independent means; what cannot be promised is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import nnzip
from nnzip.errors import UsageError
from nnzip.plan.cutting import Limits, cut, tile_box, tile_count, whole
from nnzip.promises.kept import Kept
from nnzip.request.options import Options
from nnzip.request.promises import COMPARISONS, parse_promise
from nnzip.request.target import Target
from tests.support.promise_examples import KINDS, coded, dataset, field, goals_of

BOUND = 0.5


def asked(*promises: str, bound: float | str = BOUND, tile: dict[str, int] | None = None) -> Options:
    return Options(Target(max_error={None: bound}), promises=tuple(map(parse_promise, promises)), tile=tile or {})


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.tuples(st.sampled_from([2, 9, 30]), st.sampled_from([2, 7]), st.sampled_from([4, 12])),
    st.integers(0, 1000),
    st.sampled_from(COMPARISONS),
    st.sampled_from(["day", "month"]),
    st.sampled_from([0.0, -180.0]),
    st.booleans(),
    st.tuples(st.none(), *(st.one_of(st.none(), st.integers(1, 9)) for _ in range(3))),
)
def test_every_promise_holds_at_once(
    kind: str,
    shape: tuple[int, ...],
    seed: int,
    comparison: str,
    block: str,
    west: float,
    double: bool,
    limits: Limits,
) -> None:
    values = field(kind, shape, seed)
    if not np.isfinite(values).any():
        return
    original = dataset(values.astype(np.float64) if double else values, west)
    finite = values[np.isfinite(values)]
    threshold, median = float(finite[seed % finite.size]), float(f"{float(np.median(finite)):.3g}")
    goals = goals_of(
        original,
        asked(
            "extremes p90:0.1",
            f"preserve x {comparison} {threshold!r}",
            f"preserve x > {median:.3g} K",
            f"preserve-maxima {block}",
            "preserve-minima x=day",
            "region -20,60,-100,100:0.3",
        ),
    )
    back, kept = coded(original, goals, limits, seed)
    assert not any(found.violations or found.cut for found in kept["x"])
    x, y = original["x"], back["x"]
    assert x.dtype == y.dtype
    error = abs(y.astype("f8") - x.astype("f8"))
    assert float(error.max()) <= BOUND
    for sign, limit in ((comparison, threshold), (">", median)):
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


@pytest.mark.parametrize("kind", ["noise", "ties", "missing"])
@pytest.mark.parametrize("limits", [(None, 7, None, None), (None, 9, 2, 3), (None, 3, 5, 1), (None, 1, 1, 1)])
def test_blocks_across_tiles(kind: str, limits: Limits) -> None:
    original = dataset(field(kind, (40, 5, 8), 2))
    promises = ["preserve-maxima day", "preserve-minima month", "extremes p80:0.2", "preserve-maxima year"]
    goals = goals_of(original, asked(*promises))
    back, kept = coded(original, goals, limits)
    x, y = (v["x"] for v in (original, back))
    by_text = dict(zip(goals.promised["x"].constraints, kept["x"], strict=True))
    for period, side in (("1D", xr.DataArray.idxmax), ("1MS", xr.DataArray.idxmin), ("1YS", xr.DataArray.idxmax)):
        first, second = (v.resample(time=period).map(side, args=("time",)) for v in (x, y))
        xr.testing.assert_equal(first, second)
    for promise, period in (("maxima x=day", "1D"), ("minima x=month", "1MS"), ("maxima x=year", "1YS")):
        several = x["time"].resample(time=period).count() > 1
        concerned = int(((x.resample(time=period).count() > 0) & several).sum())
        found = by_text[f"preserve-{promise}"]
        assert (found.points, found.violations) == (concerned, 0)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 1000), st.tuples(st.none(), *(st.integers(1, 6) for _ in range(3))))
def test_tiles_allow_the_same_values_as_the_whole(kind: str, seed: int, limits: Limits) -> None:
    """But for maxima, whose level follows what a tile holds."""
    original = dataset(field(kind, (9, 5, 8), seed))
    original["land"] = (("lat", "lon"), np.random.default_rng(seed).integers(0, 2, (5, 8)))
    original["night"] = (("time",), np.arange(9) % 4 < 2)
    promises = ["extremes p80:0.2", "extremes x>281:0.1", "preserve x >= 280 K", "region -20,60,-100,100:0.3"]
    goals = goals_of(original, asked(*promises, "region land:0.4", "region night:0.5"))
    values = original["x"].to_numpy()[None].astype("f8")
    everything = goals.promised["x"].within(whole((1, 9, 5, 8)))
    noisy = values + np.random.default_rng(seed).normal(size=values.shape) * BOUND / 4
    expected, counted = everything.allowed(values, noisy, 0.0), everything.check(values, noisy)
    sizes = cut((1, 9, 5, 8), limits)
    kept = [Kept() for _ in counted]
    for number in range(tile_count(sizes)):
        box = tile_box(sizes, number)
        here = goals.promised["x"].within(box)
        found = here.allowed(values[box.slices], noisy[box.slices], 0.0)
        np.testing.assert_array_equal(found.low, expected.low[box.slices])
        np.testing.assert_array_equal(found.high, expected.high[box.slices])
        checked = here.check(values[box.slices], noisy[box.slices])
        kept = [a + b for a, b in zip(kept, checked, strict=True)]
    assert kept == counted


def test_levels_masks_and_several_variables() -> None:
    sample = nnzip.make_sample(resolution=10.0, hours=48, step_hours=6, variables=["t2m", "z", "sst"])
    sample["land"] = sample["sst"].isel(valid_time=0).isnull().astype("f4").drop_vars("valid_time")
    sample["night"] = (("valid_time",), (sample["valid_time"].dt.hour.to_numpy() < 9).astype("i4"))
    variables = ("t2m", "z", "sst")
    texts = ("region t2m=land:0.2", "region night:0.5", "extremes z=>p80:0.1", "preserve-maxima day")
    options = Options(
        Target(max_error={"t2m": "1K", "z": "50 m2/s2", "sst": "0.5K"}), variables, tuple(map(parse_promise, texts))
    )
    goals = goals_of(sample, options)
    assert list(goals.promised["t2m"].constraints) == [
        "region t2m=land:0.2", "region t2m=night:0.5", "preserve-maxima t2m=day"
    ]  # fmt: skip
    back, kept = coded(sample, goals, (1, 3, 7, 10))
    assert not any(found.violations for some in kept.values() for found in some)
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


def test_other_calendars_have_blocks() -> None:
    original = dataset(field("noise", (12, 5, 8), 1))
    times = xr.date_range("2001-02-27", periods=12, freq="6h", calendar="noleap", use_cftime=True)
    original = original.assign_coords(time=times)
    back, _ = coded(original, goals_of(original, asked("preserve-maxima day")), (None, 5, None, 3))
    for day in range(3):
        part = slice(4 * day, 4 * day + 4)
        first, second = (v["x"].isel(time=part).argmax("time") for v in (original, back))
        xr.testing.assert_equal(first, second)


def test_every_level_has_its_guard() -> None:
    original = xr.concat([dataset(scale * field("noise", (4, 5, 8), 1)) for scale in (1, 1000)], "level")
    promised = goals_of(original, asked()).promised["x"]
    assert promised.guards[1] == pytest.approx(1000 * promised.guards[0], rel=1e-5)
    assert promised.guard == promised.guards[1]
    assert promised.within(tile_box(((1, 1), (4,), (5,), (8,)), 1)).guards == promised.guards[1:]


def test_a_constant_is_exact_where_a_share_of_its_range_is_asked_for() -> None:
    original = dataset(np.full((4, 5, 8), 0.1))
    promised = goals_of(original, asked("extremes p90:0.1", "preserve-maxima day", bound="0.1%")).promised["x"]
    assert (promised.bound, promised.guards, promised.dtype) == (0.0, (0.0,), "float64")
    values = np.full((1, 4, 5, 8), 0.1)
    allowed = promised.within(whole((1, 4, 5, 8))).allowed(values, values, 0.0)
    assert (allowed.low == allowed.high).all()
    assert goals_of(original, asked(bound="0.1K")).promised["x"].bound == 0.1
    for target in (Target(rmse={None: "1%"}), Target(psnr=60)):
        assert goals_of(original, Options(target)).rmse == {"x": 0.0}


def test_lossless_is_a_bound_of_nothing() -> None:
    goals = goals_of(dataset(field("noise", (4, 5, 8), 1)), Options(Target(lossless=True)))
    assert (goals.promised["x"].bound, goals.promised["x"].guard) == (0.0, 0.0)


def test_tails_go_with_their_variables() -> None:
    sample = nnzip.make_sample(resolution=30, hours=6, step_hours=6, variables=["t2m", "z"])
    every, some = parse_promise("extremes p99"), parse_promise("extremes z>p99.9:0.25:local")
    goals = goals_of(sample, Options(Target(ratio=20), promises=(every, some)))
    assert goals.tails == {"t2m": (every,), "z": (every, some)}
    assert not goals.promised
    assert not goals.rmse


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
        ("region flag:0.5", "the mask 'flag' has dimensions k"),
    ],
)
def test_contradictions_are_refused(promise: str, message: str) -> None:
    original = dataset(field("noise", (4, 5, 8), 1)).isel(lat=slice(0, 2))
    original["other"] = original["x"]
    original["flag"] = (("k",), np.arange(3))
    options = Options(Target(max_error={"x": BOUND}), ("x",), (parse_promise(promise),))
    with pytest.raises(UsageError, match=message):
        goals_of(original, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            Options(tile={"hight": 3}),
            "--tile hight=3: no compressed variable has a dimension 'hight'; there are time, l",
        ),
        (Options(Target(max_error={"y": 1})), "no compressed variable 'y' to give a bound: there are x"),
        (Options(Target(rmse={"y": 1})), "no compressed variable 'y' to give a RMSE"),
        (Options(Target(max_error={"x": 1e-6})), r"bound 1e-06 K of x cannot be promised: .* at least .* --lossless"),
        (Options(Target(rmse={"x": 1e-7})), r"the RMSE 1e-07 K of x is below float32's rounding, 3.1e-05 K"),
    ],
)
def test_what_does_not_fit_the_data(options: Options, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("--lossless", ".--lossless")):
        goals_of(dataset(field("noise", (4, 5, 8), 1)), options)


def test_promises_need_what_they_are_about() -> None:
    single = dataset(field("noise", (1, 5, 8), 1))
    with pytest.raises(UsageError, match="x has a single time step, so its cells have no percentiles"):
        goals_of(single, asked("extremes p99:0.1"))
    with pytest.raises(UsageError, match="x has no dates along its time"):
        goals_of(single.isel(time=0), asked("preserve-maxima day"))


def test_a_region_may_be_any_numbers_over_the_grid() -> None:
    original = dataset(field("noise", (4, 5, 8), 1))
    assert list(goals_of(original, asked("region lon:0.5")).promised["x"].constraints) == ["region x=lon:0.5"]

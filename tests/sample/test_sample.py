"""The built-in sample looks and behaves like weather, and is the same weather however it is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cf_xarray  # noqa: F401  (the .cf accessor)
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.errors import UsageError
from nnzip.sample import sample as sample_module
from nnzip.sample.generation import LEVELS, generate, generate_lazily
from nnzip.sample.harmonics import EARTH_RADIUS, EARTH_ROTATION
from nnzip.sample.planet import LAND_FRACTION
from nnzip.sample.sample import ATTRIBUTES, make_sample
from nnzip.sample.variables import COLUMN_LAPSE_RATE, GAS_CONSTANT, GRAVITY

RTOL, ATOL = 1e-5, 1e-6  # float32 rounding of differently blocked sums


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    """Three days on a 2 degree grid."""
    return make_sample(resolution=2.0, hours=72, step_hours=3)


def zonal_slope(values: NDArray[Any], latitude: NDArray[Any], lowest: int, highest: int) -> float:
    """Slope of log power over log wavenumber in the middle latitudes; values [..., lat, lon]."""
    rows = values[..., (np.abs(latitude) > 30.0) & (np.abs(latitude) < 60.0), :].astype(np.float64)
    power = (np.abs(np.fft.rfft(rows, axis=-1)) ** 2).reshape(-1, rows.shape[-1] // 2 + 1).mean(axis=0)
    wavenumber = np.arange(lowest, highest)
    return float(np.polyfit(np.log(wavenumber), np.log(power[lowest:highest]), 1)[0])


def test_default_size_and_layout() -> None:
    dataset = make_sample(hours=6, variables=["z", "t2m"])
    assert dict(dataset.sizes) == {"valid_time": 2, "pressure_level": 2, "latitude": 121, "longitude": 240}
    assert dataset.z.dims == ("valid_time", "pressure_level", "latitude", "longitude")
    assert dataset.t2m.dims == ("valid_time", "latitude", "longitude")
    assert dataset.latitude.values[[0, -1]].tolist() == [90.0, -90.0]
    assert dataset.longitude.values[[0, -1]].tolist() == [0.0, 358.5]
    assert all(variable.dtype == np.float32 for variable in dataset.data_vars.values())
    assert str(dataset.valid_time.values[1]).startswith("2016-10-01T03:00")


def test_same_arguments_give_identical_bytes() -> None:
    first, second = (make_sample(resolution=6.0, hours=9, step_hours=3, seed=4) for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert all(first[name].values.tobytes() == second[name].values.tobytes() for name in first)


def test_global_random_state_plays_no_part() -> None:
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    make_sample(resolution=10.0, hours=3, seed=11)
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]  # noqa: NPY002


def test_another_seed_is_another_planet() -> None:
    first, second = (make_sample(resolution=6.0, hours=3, seed=seed) for seed in (0, 1))
    assert (np.isnan(first.sst) != np.isnan(second.sst)).any()
    assert np.abs(first.msl - second.msl).max() > 500.0


def test_cf_conventions(weather: xr.Dataset, tmp_path: Path) -> None:
    weather.isel(valid_time=slice(2)).to_netcdf(tmp_path / "sample.nc")
    with xr.open_dataset(tmp_path / "sample.nc") as back:
        assert back.cf.coordinates == {
            "latitude": ["latitude"], "longitude": ["longitude"],
            "time": ["valid_time"], "vertical": ["pressure_level"],
        }  # fmt: skip
        assert back.attrs["Conventions"] == "CF-1.7"
        assert "Synthetic" in back.attrs["comment"]
        assert back.valid_time.encoding["units"] == "seconds since 1970-01-01"
        assert back.valid_time.encoding["dtype"] == np.int64
        assert all("_FillValue" not in coordinate.encoding for coordinate in back.coords.values())
        for name, attributes in ATTRIBUTES.items():
            assert back[name].attrs.items() >= attributes.items()
            assert set(attributes) == {"long_name", "units", "standard_name"}
        xr.testing.assert_equal(back.load(), weather.isel(valid_time=slice(2)))


def test_values_are_physical(weather: xr.Dataset) -> None:
    bounds = {
        "t2m": (210, 325),
        "msl": (91000, 107000),
        "u10": (-70, 70),
        "v10": (-70, 70),
        "tp": (0, 0.09),
        "sst": (271.3, 308),
    }
    for name, (low, high) in bounds.items():
        assert low <= float(weather[name].min()) < float(weather[name].max()) <= high, name
        assert np.isfinite(weather[name]).all() or name == "sst"
    assert 2.0 < float(weather.u10.std()) < 9.0
    assert 2.0 < float(weather.v10.std()) < 9.0
    assert (
        float(weather.t2m.sel(latitude=slice(20, -20)).mean() - weather.t2m.sel(latitude=slice(90, 60)).mean()) > 20.0
    )


def test_sst_is_missing_on_land_always(weather: xr.Dataset) -> None:
    missing = np.isnan(weather.sst.values)
    assert (missing == missing[0]).all()
    weight = np.cos(np.deg2rad(weather.latitude.values))[:, None]
    assert (missing[0] * weight).sum() / (weight.sum() * missing.shape[2]) == pytest.approx(LAND_FRACTION, abs=0.02)


def test_rain_has_zeros_and_a_heavy_tail(weather: xr.Dataset) -> None:
    rain = weather.tp.values
    assert (rain >= 0.0).all()
    assert 0.4 < (rain == 0.0).mean() < 0.85
    high, extreme = np.percentile(rain, [99.0, 99.9])
    assert extreme / high > 2.0
    assert rain.max() / high > 4.0


def test_daily_cycle_over_land_and_sea(weather: xr.Dataset) -> None:
    tropics = weather.t2m.sel(latitude=slice(40, -40))
    land = np.isnan(weather.sst[0].sel(latitude=slice(40, -40))).values
    daily = tropics.groupby("valid_time.hour").mean().values  # [hour, lat, lon]
    swing = daily.max(axis=0) - daily.min(axis=0)
    assert np.median(swing[land]) > 3.0 * np.median(swing[~land])
    hours_local = (np.arange(0, 24, 3)[:, None] + tropics.longitude.values / 15.0) % 24.0  # [hour, lon]
    inland = land & (swing > np.percentile(swing[land], 60))
    warmest = np.take_along_axis(
        np.broadcast_to(hours_local[:, None], daily.shape), daily.argmax(axis=0)[None], axis=0
    )[0]
    assert 12.5 < np.median(warmest[inland]) < 16.5
    assert (np.abs(warmest[inland] - 14.5) < 3.0).mean() > 0.9


@pytest.mark.parametrize(
    ("name", "steepest", "shallowest"), [("u10", -4.0, -2.5), ("v10", -4.0, -2.5), ("t2m", -4.0, -2.3)]
)
def test_wind_and_temperature_spectra_fall_as_k_to_the_minus_3(
    weather: xr.Dataset, name: str, steepest: float, shallowest: float
) -> None:
    assert steepest < zonal_slope(weather[name].values, weather.latitude.values, 8, 50) < shallowest


@pytest.mark.parametrize("name", ["msl", "z"])
def test_mass_spectra_are_steeper(weather: xr.Dataset, name: str) -> None:
    """Geostrophy: pressure falls about two powers faster than the wind (ERA5's z500 at 1 degree: k^-4.5)."""
    assert -5.5 < zonal_slope(weather[name].values, weather.latitude.values, 8, 50) < -3.5


def test_the_seam_is_nowhere_special(weather: xr.Dataset) -> None:
    for name in ("msl", "u10", "v10", "z"):
        steps = np.abs(np.diff(weather[name].values, axis=-1, append=weather[name].values[..., :1])).mean(axis=(0, -2))
        steps = steps.reshape(-1, weather.sizes["longitude"]).mean(axis=0)
        assert steps[-1] < 2.0 * np.median(steps), name


def test_scalars_have_one_value_at_each_pole(weather: xr.Dataset) -> None:
    for name in ("t2m", "msl", "tp", "z", "sst"):
        rows = weather[name].values[..., [0, -1], :]
        np.testing.assert_array_equal(rows, np.broadcast_to(rows[..., :1], rows.shape), err_msg=name)


def test_polar_wind_turns_once_around_the_pole(weather: xr.Dataset) -> None:
    speed = np.hypot(weather.u10.values[:, 0], weather.v10.values[:, 0])
    np.testing.assert_allclose(speed, np.broadcast_to(speed[:, :1], speed.shape), rtol=1e-3)


def test_fields_move_smoothly_in_time(weather: xr.Dataset) -> None:
    outside = weather.msl.sel(latitude=slice(70, 40)).values.astype(np.float64)
    anomaly = outside - outside.mean(axis=-1, keepdims=True)
    correlation = [np.corrcoef(anomaly[0].ravel(), anomaly[lag].ravel())[0, 1] for lag in (1, 6, 20)]
    assert correlation[0] > 0.95
    assert correlation[0] > correlation[1] > correlation[2]


def test_wind_follows_the_pressure_gradient_away_from_the_storm(weather: xr.Dataset) -> None:
    """Over the southern oceans, free of storms, the 10 m wind is geostrophic but slower and turned to low pressure."""
    part = weather.isel(valid_time=slice(0, 24, 8)).sel(latitude=slice(-30, -62))
    latitude = np.deg2rad(part.latitude.values)[:, None]
    pressure = part.msl.values.astype(np.float64)
    coriolis = 2.0 * EARTH_ROTATION * np.sin(latitude)
    step = np.deg2rad(2.0)
    north = np.gradient(pressure, -step, axis=1) / EARTH_RADIUS
    east = (np.roll(pressure, -1, axis=2) - np.roll(pressure, 1, axis=2)) / (
        2.0 * step * EARTH_RADIUS * np.cos(latitude)
    )
    density = 1.2
    geostrophic = (-north + 1j * east) / (density * coriolis)
    wind = part.u10.values + 1j * part.v10.values
    inside = np.zeros(wind.shape, dtype=bool)
    inside[:, 1:-1] = ~np.isnan(part.sst.values[:, 1:-1])
    ratio = np.vdot(geostrophic[inside], wind[inside]) / np.vdot(geostrophic[inside], geostrophic[inside])
    assert 0.6 < abs(ratio) < 0.95
    assert -22.0 < np.rad2deg(np.angle(ratio)) < -8.0  # towards low pressure, clockwise in the south
    unexplained = np.abs(wind - ratio * geostrophic)[inside].std() / np.abs(wind)[inside].std()
    assert unexplained < 0.5


def test_geopotential_is_hydrostatic(weather: xr.Dataset) -> None:
    """Both levels give the same sea-level temperature of a column with a constant lapse rate above msl."""
    exponent = GAS_CONSTANT * COLUMN_LAPSE_RATE / GRAVITY
    ratio = np.array(LEVELS)[:, None, None] * 100.0 / weather.msl.values[:, None].astype(np.float64)
    temperature = weather.z.values * COLUMN_LAPSE_RATE / GRAVITY / (1.0 - ratio**exponent)
    np.testing.assert_allclose(temperature[:, 0], temperature[:, 1], rtol=1e-4)
    assert 235.0 < temperature.min() < temperature.max() < 312.0


def test_areas_lengths_and_grids_are_cuts_of_one_weather() -> None:
    whole = make_sample(resolution=3.0, hours=12)
    area = make_sample(resolution=3.0, hours=6, start="2016-10-01T06", area=(-31.0, 62.0, 12.0, 200.0))
    cut = whole.sel(latitude=slice(62, -31), longitude=slice(12, 200)).isel(valid_time=slice(2, 4))
    xr.testing.assert_allclose(area, cut, rtol=RTOL, atol=ATOL)
    coarse = make_sample(resolution=6.0, hours=12, step_hours=6, variables=["tp", "sst", "v10"])
    xr.testing.assert_allclose(coarse, whole[["tp", "sst", "v10"]].isel(valid_time=slice(None, None, 2)).thin(
        latitude=2, longitude=2), rtol=RTOL, atol=ATOL)  # fmt: skip


def test_longitudes_west_of_greenwich_and_across_the_date_line() -> None:
    whole = make_sample(resolution=3.0, hours=3, variables=["t2m"])
    west = make_sample(resolution=3.0, hours=3, variables=["t2m"], area=(-90, 90, -180, 180))
    assert west.longitude.values[[0, -1]].tolist() == [-180.0, 177.0]
    np.testing.assert_allclose(west.t2m.values, np.roll(whole.t2m.values, 60, axis=-1), rtol=RTOL, atol=ATOL)
    crossing = make_sample(resolution=3.0, hours=3, variables=["t2m"], area=(0, 30, 171, -171))
    assert crossing.longitude.values.tolist() == [171.0, 174.0, 177.0, 180.0, 183.0, 186.0, 189.0]
    np.testing.assert_allclose(
        crossing.t2m.values, whole.t2m.sel(latitude=slice(30, 0), longitude=slice(171, 189)), rtol=RTOL, atol=ATOL
    )


def test_large_samples_are_lazy_and_equal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    eager = make_sample(resolution=9.0, hours=12)
    monkeypatch.setattr(sample_module, "EAGER_BYTES", 0)
    monkeypatch.setattr("nnzip.sample.generation.CHUNK_BYTES", 60_000)
    lazy = make_sample(resolution=9.0, hours=12)
    assert len(lazy.t2m.chunks[0]) > 1
    assert lazy.z.chunks is not None
    lazy.to_netcdf(tmp_path / "lazy.nc")
    with xr.open_dataset(tmp_path / "lazy.nc") as back:
        xr.testing.assert_equal(back.load(), eager)


def test_variables_do_not_depend_on_company() -> None:
    times = np.array([1475280000], dtype=np.int64)
    latitude, longitude = np.linspace(90, -90, 19), np.arange(0.0, 360.0, 10.0)
    together = generate(tuple(ATTRIBUTES), times, latitude, longitude, 0)
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(generate((name,), times, latitude, longitude, 0)[name], together[name])
    lazily = generate_lazily(("z",), times, latitude, longitude, 0)["z"]
    np.testing.assert_array_equal(np.asarray(lazily), together["z"])


@settings(max_examples=20, deadline=None)
@given(
    steps=st.integers(2, 12), hours=st.integers(1, 20), step_hours=st.integers(1, 12),
    names=st.lists(st.sampled_from(sorted(ATTRIBUTES)), min_size=1, unique=True), seed=st.sampled_from([0, 3]),
)  # fmt: skip
def test_any_size(steps: int, hours: int, step_hours: int, names: list[str], seed: int) -> None:
    hours = max(hours, step_hours)
    dataset = make_sample(resolution=90.0 / steps, hours=hours, step_hours=step_hours, variables=names, seed=seed)
    assert list(dataset) == names
    assert dataset.sizes["valid_time"] == -(-hours // step_hours)
    assert (dataset.sizes["latitude"], dataset.sizes["longitude"]) == (2 * steps + 1, 4 * steps)
    assert all(np.isfinite(dataset[name]).all() for name in names if name != "sst")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 0.7}, r"resolution is 0.7 degrees: take 90 divided by"),
        ({"resolution": 0.0}, "resolution is 0.0"),
        ({"resolution": -1.5}, "resolution is -1.5"),
        ({"resolution": float("nan")}, "resolution is nan"),
        ({"resolution": 90.0}, "resolution is 90.0"),
        ({"resolution": 0.01}, "whole number from 2 to 1800"),
        ({"hours": 0}, "hours is 0, step_hours 3"),
        ({"hours": 2, "step_hours": 3}, "hours >= step_hours"),
        ({"hours": 4.5}, "whole numbers"),
        ({"step_hours": 0}, "step_hours 0"),
        ({"start": "yesterday"}, "start is 'yesterday': take an ISO date"),
        ({"start": "NaT"}, "1900 to 2200"),
        ({"start": "0800-01-01"}, "1900 to 2200"),
        ({"area": (10, -10, 0, 20)}, "south 10, north -10"),
        ({"area": (-91, 10, 0, 20)}, "-90 <= south"),
        ({"area": (0, 10, 20, 20)}, "west 20, east 20"),
        ({"area": (0, 10, -200, 20)}, "longitudes in -180..360"),
        ({"area": (0, float("nan"), 0, 20)}, "north nan"),
        ({"area": (0.1, 0.2, 0, 20)}, "area holds 0 x 14 points at a resolution of 1.5 degrees"),
        ({"variables": ["t2m", "rain"]}, r"no variable 'rain': choose from t2m, msl"),
        ({"variables": []}, "choose from t2m"),
        ({"seed": -1}, "seed is -1"),
    ],
)  # fmt: skip
def test_senseless_requests_are_usage_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_sample(**arguments)

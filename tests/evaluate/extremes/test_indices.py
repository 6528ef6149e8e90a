"""ETCCDI indices on days written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.extremes.indices import (
    cdd,
    daily,
    indices_of,
    r95p,
    rx1day,
    steps_per_day,
    tnn,
    txx,
    wet_percentile,
)

UNITS = {"units": "mm"}


def _series(values: list[float], start: str = "2020-01-01", hours: int = 24, **attrs: str) -> xr.DataArray:
    """values along time at each of 2 x 2 cells."""
    times = np.datetime64(start, "ns") + np.arange(len(values)) * np.timedelta64(hours, "h")
    field = np.broadcast_to(np.array(values)[:, None, None], (len(values), 2, 2))
    coords = {"time": times, "lat": [10.0, 20.0], "lon": [0.0, 10.0]}
    return xr.DataArray(field, coords, dims=("time", "lat", "lon"), name=attrs.pop("name", "tp"), attrs=attrs or UNITS)


def _one(found: xr.DataArray) -> list[float]:
    return [float(value) for value in found.isel(lat=0, lon=1).values]


def test_days_of_hourly_values() -> None:
    hours = _series([1.0, 5, 2, 3, 9, 4, 8], hours=6, name="t2m", units="K")
    assert _one(daily(hours, "max")) == [5, 9]
    assert _one(daily(hours, "min")) == [1, 4]
    rain = _series([0.001, 0, 0.002, np.nan, np.nan, np.nan, np.nan, np.nan, 0.003], hours=6, units="m")
    amounts = daily(rain, "sum")
    np.testing.assert_allclose(amounts.isel(lat=0, lon=0), [3, np.nan, 3])
    rate = _series([1.0, 3, 5, 7], hours=6, units="mm/day")
    assert _one(daily(rate, "sum")) == [4]
    flux = _series([1 / 86400.0], units="kg m**-2 s**-1")
    assert _one(daily(flux, "sum")) == pytest.approx([1])


def test_maxima_and_minima_of_calendar_years() -> None:
    days = _series([1.0, 7, 3, 2, 9], start="2019-12-29")
    assert _one(txx(days)) == [7, 9]
    assert _one(tnn(days)) == [1, 2]
    assert _one(rx1day(days)) == [7, 9]
    assert txx(days).year.values.tolist() == [2019, 2020]


def test_dry_spells_end_at_a_millimetre_a_gap_and_the_year() -> None:
    assert _one(cdd(_series([0.0, 0.9, 1.0, 0, 0, 0, 5]))) == [3]
    assert _one(cdd(_series([0.0, np.nan, 0, 0]))) == [2]
    assert _one(cdd(_series([0.0] * 6, start="2019-12-30"))) == [2, 4]
    assert _one(cdd(_series([3.0, 3]))) == [0]
    lazy = _series([0.0, 0.9, 1.0, 0, 0, 0, 5]).chunk(time=2)
    assert _one(cdd(lazy)) == [3]


def test_very_wet_days_are_those_above_the_95th_percentile_of_wet_ones() -> None:
    wet = [float(amount) for amount in range(1, 41)]
    days = _series([*wet, *([0.5] * 10)])
    threshold = wet_percentile(days)
    assert _one(threshold.expand_dims("time")) == [pytest.approx(np.quantile(wet, 0.95))]
    assert _one(r95p(days, threshold)) == [39 + 40]
    dry = _series([*wet[:19], 0.0])
    assert np.isnan(wet_percentile(dry)).all()
    assert np.isnan(r95p(dry, wet_percentile(dry))).all()


def test_which_variables_have_which_indices() -> None:
    def names(array: xr.DataArray) -> list[str]:
        return [index.name for index, _ in indices_of(array)]

    assert names(_series([1.0, 2], name="t2m", units="K")) == ["TXx", "TNn"]
    assert names(_series([1.0, 2], name="tp", units="m")) == ["Rx1day", "R95p", "CDD"]
    flux = _series([1.0, 2], name="rain", units="kg m-2 s-1", standard_name="precipitation_flux")
    assert names(flux) == ["Rx1day", "R95p", "CDD"]
    assert names(_series([1.0, 2], name="tp", units="inches")) == []
    assert names(_series([1.0, 2], name="msl", units="Pa")) == []
    assert names(_series([1.0, 2], name="t2m", units="K").isel(time=0, drop=True)) == []


def test_steps_per_day_of_every_calendar() -> None:
    assert steps_per_day(_series([0.0] * 5, hours=6)) == 4
    assert steps_per_day(_series([0.0])) is None
    noleap = xr.date_range("2020-02-28", periods=4, freq="12h", calendar="noleap", use_cftime=True)
    days = _series([1.0, 2, 3, 4]).assign_coords(time=noleap)
    assert steps_per_day(days) == 2
    assert daily(days.assign_attrs(units="mm"), "sum").isel(lat=0, lon=0).values.tolist() == [3, 7]
    assert steps_per_day(days.drop_vars("time")) is None

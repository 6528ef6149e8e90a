"""Coordinates, lossless variables and attributes survive the trip through plain arrays and JSON."""

from __future__ import annotations

import json
import math
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.data.deferred import deferred
from nnzip.data.skeleton import (
    RawArray,
    attrs_from_json,
    attrs_to_json,
    compressed_attributes,
    dataset_of,
    decode,
    to_raw,
)
from nnzip.errors import CorruptArchiveError, InputError

cftime = pytest.importorskip("cftime")  # untyped; netCDF4 depends on it


def round_trip(dataset: xr.Dataset) -> xr.Dataset:
    """Through raw arrays of plain kinds and real JSON text."""
    raw = {}
    for name, array in to_raw(dataset, map(str, dataset.variables)).items():
        assert array.values.dtype.kind in "fiuU"
        raw[name] = RawArray(array.dims, json.loads(json.dumps(array.attrs, allow_nan=False)), array.values)
    attrs = json.loads(json.dumps(attrs_to_json(dataset.attrs), allow_nan=False))
    coordinates, variables = map(str, dataset.coords), map(str, dataset.data_vars)
    decoded = {name: decode(name, array) for name, array in raw.items()}
    back = dataset_of({name: decoded[name] for name in coordinates}, {name: decoded[name] for name in variables}, attrs)
    assert_deferred_alike(back, raw)
    return back


def assert_deferred_alike(back: xr.Dataset, raw: dict[str, RawArray]) -> None:
    """A variable that is decoded when it is used, also by another process, is the same as one decoded at once."""
    for name, array in raw.items():
        later = deferred(
            name, array.dims, array.attrs, array.values.dtype, array.values.shape, partial(values_of, array)
        )
        assert later.dtype == back[name].dtype
        assert later.encoding.keys() == back[name].encoding.keys()
        xr.testing.assert_identical(pickle.loads(pickle.dumps(later)).load(), back[name].variable.to_base_variable())


def values_of(raw: RawArray) -> NDArray[Any]:
    return raw.values


def assert_same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_identical(a, b)
    for name in a.variables:
        assert a[name].dtype == b[name].dtype, name


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_keep_resolution_units_and_calendar(unit: str) -> None:
    times = np.array(["2016-10-02T06", "2016-10-03", "2016-10-07T12"], f"M8[{unit}]")
    dataset = xr.Dataset(coords={"valid_time": ("valid_time", times, {"long_name": "time"})})
    encoding = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": np.dtype("i8")}
    dataset.valid_time.encoding = encoding
    back = round_trip(dataset)
    assert_same(back, dataset)
    assert {key: back.valid_time.encoding[key] for key in encoding} == encoding
    raw = to_raw(dataset, ["valid_time"])["valid_time"]
    assert raw.attrs["units"] == "seconds since 1970-01-01"
    assert raw.values.dtype == np.int64


def test_units_that_cannot_hold_the_times_are_replaced() -> None:
    times = np.array(["2016-10-02T06:07:08", "2016-10-03"], "M8[ns]")
    dataset = xr.Dataset(coords={"time": times})
    dataset.time.encoding = {"units": "days since 2016-10-02", "dtype": np.dtype("i4")}
    assert_same(round_trip(dataset), dataset)


@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_times_too_far_apart_for_any_unit_since_the_first(unit: str) -> None:
    """Nanoseconds reach from 1677 to 2262, and no farther than half of that from the first date."""
    times = np.array(["1677-09-22", "1850-01-01T00:00:01", "2262-04-10"], f"M8[{unit}]")
    dataset = xr.Dataset(coords={"time": times})
    raw = to_raw(dataset, ["time"])["time"]
    np.testing.assert_array_equal(decode("time", raw).values, times)
    missing = xr.Dataset(
        coords={"time": ("x", np.array(["1677-09-22T00:00:00.000000001", "NaT", "2262-04-10"], "M8[ns]"))}
    )
    with pytest.raises(InputError, match="too far apart"):
        to_raw(missing, ["time"])


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "standard"])
def test_cftime_calendars(calendar: str) -> None:
    dates = [cftime.datetime(2001, 2, 28, 6, calendar=calendar), cftime.datetime(2001, 3, 1, calendar=calendar)]
    back = round_trip(xr.Dataset(coords={"time": ("time", dates)}))
    assert list(back.time.values) == dates
    assert back.time.values[0].calendar == calendar


def test_every_other_kind() -> None:
    dataset = xr.Dataset(
        {
            "expver": ("time", np.array(["0001", "0005"], "<U4")),
            "text": ("time", np.array(["a", "größer"], object)),
            "flag": ("time", np.array([True, False])),
            "code": ("time", np.array([b"ab", b"\xff"], "S2")),
            "count": ("time", np.array([1, 2], ">u2")),
            "scalar": ((), np.float32(1.5), {"units": "K"}),
            "bounds": (("time", "bnds"), np.array([[0, 1], [1, 2]], "M8[D]").astype("M8[ns]")),
            "hole": ("time", np.array([np.nan, np.inf], "f4")),
            "not_a_time": ("time", np.array(["NaT", "2020-01-01"], "M8[ns]")),
        },
        {
            "time": [10, 20],
            "number": np.int64(0),
            "step": ("time", np.array([6, 12], "m8[h]").astype("m8[ns]"), {"standard_name": "forecast_period"}),
            "name": ("name", ["x", "y", "z"]),
        },
        {"Conventions": "CF-1.7"},
    )
    back = round_trip(dataset)
    assert_same(back, dataset.assign(count=dataset["count"].astype("u2")))


def test_no_fill_value_is_invented_and_a_given_one_is_kept() -> None:
    dataset = xr.Dataset(coords={"lat": [1.0, 2.0], "lon": [1.0, 2.0]})
    dataset.lon.encoding["_FillValue"] = np.float64(np.nan)
    back = round_trip(dataset)
    assert back.lat.encoding["_FillValue"] is None
    assert math.isnan(back.lon.encoding["_FillValue"])


def test_integers_with_fill_value_stay_integers_in_the_store() -> None:
    variable = xr.DataArray(np.array([1.0, np.nan, 3.0], "f4"), dims="x")
    variable.encoding = {"dtype": np.dtype("i2"), "_FillValue": np.int16(-1)}
    dataset = xr.Dataset({"soil": variable})
    raw = to_raw(dataset, ["soil"])["soil"]
    np.testing.assert_array_equal(raw.values, np.array([1, -1, 3], "i2"))
    back = round_trip(dataset)
    assert_same(back, dataset)
    assert back.soil.encoding["dtype"] == np.int16


def test_packing_is_not_kept_but_the_values_are() -> None:
    variable = xr.DataArray(np.array([0.1, np.nan, 0.3]), dims="x", attrs={"valid_max": np.int16(7)})
    variable.encoding = {"dtype": np.dtype("i2"), "scale_factor": 0.1, "_FillValue": np.int16(-1)}
    back = round_trip(xr.Dataset({"v": variable}))
    np.testing.assert_array_equal(back.v, variable)
    assert "scale_factor" not in back.v.encoding
    assert back.v.attrs["valid_max"] == pytest.approx(0.7)


def test_undecoded_times_stay_numbers() -> None:
    dataset = xr.Dataset(coords={"time": ("time", [0, 1], {"units": "months since 2000-01-01", "_FillValue": 9})})
    assert_same(round_trip(dataset), dataset)


@pytest.mark.parametrize(
    ("values", "message"),
    [([1 + 2j], "complex128, which no NetCDF file can hold"), ([{"a": 1}], "Python objects that are not text")],
)
def test_unstorable_values(values: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=f"'v'.*{message}"):
        to_raw(xr.Dataset({"v": ("x", np.array(values))}), ["v"])


def test_compressed_variables_lose_fill_values_only() -> None:
    variable = xr.Variable((), 1.0, {"units": "K", "_FillValue": -1.0, "missing_value": -1.0, "GRIB_NV": np.int64(0)})
    assert compressed_attributes(variable) == {"units": "K", "GRIB_NV": {"dtype": "<i8", "value": 0}}


finite = st.floats(allow_nan=False)
simple = st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), finite, st.just(math.inf))
numpy_scalars = st.one_of(
    st.floats(width=32, allow_nan=False).map(np.float32),
    st.floats(width=16, allow_nan=False).map(np.float16),
    finite.map(np.float64),
    st.integers(0, 255).map(np.uint8),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
)
numpy_arrays = st.one_of(
    st.lists(finite).map(lambda x: np.array(x, "f8")),
    st.lists(st.floats(width=32, allow_nan=False)).map(lambda x: np.array(x, "f4")),
    st.lists(st.integers(-9, 9)).map(lambda x: np.array(x, "i2")),
)
structures = st.one_of(
    st.none(), st.binary(), st.dictionaries(st.text(), st.none()), st.lists(finite), st.lists(st.text())
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), st.one_of(simple, numpy_scalars, numpy_arrays, structures)))
def test_attributes_come_back_in_value_and_type(attrs: dict[str, Any]) -> None:
    back = attrs_from_json(json.loads(json.dumps(attrs_to_json(attrs), allow_nan=False)))
    assert list(back) == list(attrs)
    for key, value in attrs.items():
        assert type(back[key]) is type(value)
        if isinstance(value, np.ndarray):
            assert back[key].dtype == value.dtype
        np.testing.assert_array_equal(back[key], value)


def test_attributes_with_nan_and_text_arrays() -> None:
    attrs: dict[str, Any] = {
        "a": math.nan,
        "b": np.array([np.nan, -np.inf], "f4"),
        "c": np.array(["x", "yz"]),
        "d": np.array([b"x"]),
    }
    attrs["e"] = np.array(["2020-01-01"], "M8[D]")
    attrs["f"] = [np.float32(1.5), 2.0]
    attrs["g"] = np.array(["a", "b"], object)
    attrs["h"] = np.array([[1, 2, 3], [4, 5, 6]], "i2")
    back = attrs_from_json(json.loads(json.dumps(attrs_to_json(attrs), allow_nan=False)))
    assert math.isnan(back["a"])
    for key in "bcdeh":
        np.testing.assert_array_equal(back[key], attrs[key])
        assert back[key].dtype == attrs[key].dtype
    np.testing.assert_array_equal(back["f"], [1.5, 2.0])
    assert back["g"] == ["a", "b"]


@pytest.mark.parametrize("value", [1j, object(), np.complex128(1), np.longdouble(1), {"a": object()}])
def test_unstorable_attributes(value: object) -> None:
    with pytest.raises(InputError, match=r"the attribute 'odd' has the type .*cannot be stored: remove it"):
        attrs_to_json({"odd": value})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"dtype": "<f4"},
        {"dtype": "<f4", "value": "huge"},
        {"dtype": "<i4", "value": ["a"]},
        {"dtype": "float", "value": "1"},
        {"dtype": "json", "value": "{"},
        {"dtype": "json", "value": "[" * 100_000},
        {"dtype": "f4,f4", "value": [1, 2]},
        {"dtype": "<a4", "value": "text"},
        {"dtype": "bytes", "value": 1},
        {"dtype": "V99999999", "value": "a"},
        {"dtype": "<U999999999", "value": "a"},
        {"dtype": "no such type", "value": 1},
        {"dtype": "|i1", "value": 1000},
        {"dtype": "|i1", "value": [1, 2], "shape": [3, 1]},
        {"dtype": "|i1", "value": [1, 2], "shape": "2"},
    ],
)
def test_forged_attributes(value: Any) -> None:
    with pytest.raises(CorruptArchiveError, match="'odd' is not as nnzip writes it"):
        attrs_from_json({"odd": value})


@pytest.mark.parametrize(
    "attrs",
    [
        {"_nnzip_dtype": "S999999999"},
        {"_nnzip_dtype": "float128"},
        {"_nnzip_dtype": 3},
        {"_nnzip_dtype": "datetime64[ns]", "units": "parsecs since 1970-01-01"},
        {"_nnzip_dtype": "datetime64[parsec]", "units": "days since 1970-01-01"},
        {"_nnzip_dtype": "timedelta64[ns]", "units": 1},
    ],
)
def test_forged_arrays(attrs: dict[str, Any]) -> None:
    with pytest.raises(CorruptArchiveError, match="'v' is not stored as nnzip writes it"):
        decode("v", RawArray(("x",), attrs, np.array([1, 2])))

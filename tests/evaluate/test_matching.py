"""Datasets that can and cannot be compared value by value."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import InputError, UsageError
from nnzip.evaluate.matching import align_decoded, comparable_variables


def _dataset() -> xr.Dataset:
    coords = {
        "time": xr.date_range("2020", periods=2, freq="h"),
        "lat": np.linspace(50, 48, 3),
        "lon": np.arange(4) * 0.1,
    }
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {"t": (dims, values), "u": (dims, values), "flag": (dims, values.astype(int)), "s": ("time", [1.0, 2.0])},
        coords,
    )


def test_floating_gridded_variables_are_compared() -> None:
    data = _dataset()
    assert comparable_variables(data, data, None) == ["t", "u"]
    assert comparable_variables(data, data.drop_vars("t"), None) == ["u"]
    assert comparable_variables(data, data, ["u"]) == ["u"]


def test_unknown_and_missing_variables_name_what_there_is() -> None:
    data = _dataset()
    data.encoding["source"] = "weather.nc"
    with pytest.raises(UsageError, match=r"weather\.nc.*no gridded floating-point variable q; it has t, u"):
        comparable_variables(data, data, ["q"])
    with pytest.raises(InputError, match=r"decoded dataset lacks t of the original \(weather\.nc\); it has u"):
        comparable_variables(data, _dataset()[["u"]], ["t"])
    with pytest.raises(InputError, match="it has s"):
        comparable_variables(data, data[["s"]], None)


def test_rounded_coordinates_and_another_order_of_dimensions_are_the_same_grid() -> None:
    data = _dataset()
    other = data.transpose("lon", "lat", "time").assign_coords(lon=data.lon.astype(np.float32))
    aligned = align_decoded(data, other, ["t"])
    xr.testing.assert_identical(aligned.t.drop_attrs(), data.t.drop_attrs())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_coords(lat=d.lat + 0.5), r"'lat' differs: its value number 0 is 50\.0 .* but 50\.5"),
        (lambda d: d.isel(lat=slice(None, None, -1)), "'lat' differs"),
        (lambda d: d.assign_coords(time=d.time + np.timedelta64(1, "h")), r"'time' differs.*T00.*T01"),
        (lambda d: d.isel(lon=slice(3)), "time 2 x lat 3 x lon 4 in .* but time 2 x lat 3 x lon 3"),
        (lambda d: d.rename(lat="y"), "time 2 x y 3 x lon 4"),
    ],
)
def test_other_grids_are_refused_with_both_sides_named(change: object, message: str) -> None:
    data = _dataset()
    with pytest.raises(InputError, match=message):
        align_decoded(data, change(data), ["t"])  # type: ignore[operator]

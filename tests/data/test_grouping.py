"""Which variables are compressed, how they are grouped, and that all of a variable is read in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.data.grouping import lossless_reason, plan_groups, read_box
from nnzip.data.opening import open_dataset
from nnzip.errors import InputError, UsageError
from tests.support.grouping_examples import stack, unstack

LAT, LON = np.linspace(60, 50, 5), np.linspace(-10, 10, 7)
TIMES = np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(6, "h")


def make(variables: dict[str, tuple[tuple[str, ...], np.dtype | str]], seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    coords: dict[str, Any] = {"time": TIMES, "latitude": LAT, "longitude": LON, "level": [850, 500, 250]}
    data = {
        name: (dims, rng.normal(size=[len(coords[dim]) for dim in dims]).astype(dtype))
        for name, (dims, dtype) in variables.items()
    }
    return xr.Dataset(data, coords)


def test_levels_become_channels_and_dims_come_back_in_source_order() -> None:
    dataset = make(
        {
            "t": (("time", "level", "latitude", "longitude"), "f4"),
            "t2m": (("longitude", "latitude", "time"), "f8"),
            "lsm": (("latitude", "longitude"), "f4"),
        }
    )
    groups, lossless = plan_groups(dataset)
    assert lossless == []
    assert [[layout.name for layout in group.variables] for group in groups] == [["t", "t2m"], ["lsm"]]
    assert [group.shape for group in groups] == [(4, 4, 5, 7), (1, 1, 5, 7)]
    assert groups[1].dims == (None, "latitude", "longitude")
    array = stack(dataset, groups[0])
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array[3], dataset.t2m.transpose("time", "latitude", "longitude"))
    for layout, part in zip(groups[0].variables, (array[:3], array[3:]), strict=True):
        back = unstack(part, layout, groups[0].dims)
        assert back.dtype == layout.dtype
        np.testing.assert_array_equal(back, dataset[layout.name])


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(["time", "level", "number", "y", "x"]),
    present=st.sets(st.sampled_from(["time", "level", "number"])),
    seed=st.integers(0, 99),
)
def test_unstack_inverts_stack(order: list[str], present: set[str], seed: int) -> None:
    sizes = {"time": 3, "level": 2, "number": 4, "y": 5, "x": 6}
    dims = tuple(dim for dim in order if dim in present | {"y", "x"})
    values = np.random.default_rng(seed).normal(size=[sizes[dim] for dim in dims]).astype("f4")
    dataset = xr.Dataset({"v": (dims, values)})
    (group,), _ = plan_groups(dataset)
    array = stack(dataset, group)
    assert array.shape == group.shape
    np.testing.assert_array_equal(unstack(array, group.variables[0], group.dims), values)


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(["time", "level", "number", "y", "x"]),
    present=st.sets(st.sampled_from(["time", "level", "number"])),
    data=st.data(),
)
def test_a_box_is_a_part_of_the_whole(order: list[str], present: set[str], data: st.DataObject) -> None:
    sizes = {"time": 3, "level": 2, "number": 4, "y": 5, "x": 6}
    dims = tuple(dim for dim in order if dim in present | {"y", "x"})
    values = np.random.default_rng(0).normal(size=[sizes[dim] for dim in dims]).astype("f4")
    dataset = xr.Dataset({"v": (dims, values)})
    (group,), _ = plan_groups(dataset)
    ends = [sorted(data.draw(st.sets(st.integers(0, size), min_size=2, max_size=2))) for size in group.shape]
    channels, times, rows, columns = (range(start, stop) for start, stop in ends)
    found = read_box(dataset, group, group.variables[0], channels, times, rows, columns)
    assert found.dtype == np.float32
    whole = stack(dataset, group)
    np.testing.assert_array_equal(found, whole[tuple(slice(start, stop) for start, stop in ends)])


def test_missing_values_and_infinities_stay() -> None:
    dataset = make({"sst": (("time", "latitude", "longitude"), "f4")})
    dataset.sst[0, 0, :3] = [np.nan, np.inf, -np.inf]
    (group,), _ = plan_groups(dataset)
    np.testing.assert_array_equal(stack(dataset, group)[0, 0, 0, :3], [np.nan, np.inf, -np.inf])


def test_big_endian_and_dask_become_native_numpy() -> None:
    dataset = make({"a": (("time", "latitude", "longitude"), ">f4")})
    dataset["b"] = dataset.a.chunk(2)
    (group,), _ = plan_groups(dataset)
    array = stack(dataset, group)
    assert array.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(array[0], array[1])


def test_packed_int16_comes_back_as_float32_and_int32_as_float64() -> None:
    dataset = make({"a": (("time", "latitude", "longitude"), "f8"), "b": (("time", "latitude", "longitude"), "f8")})
    dataset.a.encoding = {"dtype": np.dtype("i2"), "scale_factor": 0.1}
    dataset.b.encoding = {"dtype": np.dtype("i4"), "scale_factor": 0.1}
    (group,), _ = plan_groups(dataset)
    assert [layout.dtype for layout in group.variables] == ["float32", "float64"]
    half = make({"h": (("latitude", "longitude"), "f2")})
    assert plan_groups(half)[0][0].variables[0].dtype == "float32"


def test_longer_of_two_time_dimensions_is_time() -> None:
    values = np.zeros((2, 5, 4, 4), "f4")
    dataset = xr.Dataset(
        {"v": (("time", "step", "lat", "lon"), values)},
        {"time": TIMES[:2], "step": np.arange(5) * np.timedelta64(1, "h").astype("m8[ns]")},
    )
    (group,), _ = plan_groups(dataset)
    assert group.time.dim == "step"
    assert group.variables[0].channel_dims == ("time",)


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        (("latitude", np.zeros(5, "f4")), "no longitude dimension"),
        ((("latitude", "longitude"), np.zeros((5, 7), "i4")), "int32, not floating"),
        ((("latitude", "longitude"), np.full((5, 7), np.nan)), "no finite value"),
        ((("latitude", "longitude"), np.full((5, 7), np.inf)), "no finite value"),
        ((("lat", "longitude"), np.zeros((1, 7))), "'lat' has a single point"),
        ((("t", "latitude", "longitude"), np.zeros((0, 5, 7))), "empty"),
        ((("latitude", "longitude"), np.zeros((5, 7)), {"units": "degrees_north"}), "holds coordinates"),
        ((("latitude", "longitude"), np.zeros((5, 7)), {}, {"dtype": "i2", "_FillValue": -1}), "unscaled integers"),
        ((("latitude", "longitude"), np.zeros((5, 7), "longdouble")), "wider than float64"),
    ],
)
def test_kept_losslessly(variable: tuple[object, ...], reason: str) -> None:
    dataset = xr.Dataset({"good": (("latitude", "longitude"), np.ones((5, 7), "f4")), "odd": variable})
    dataset = dataset.assign_coords(latitude=LAT, longitude=LON)
    groups, lossless = plan_groups(dataset)
    assert lossless == ["odd"]
    assert len(groups) == 1
    assert reason in str(lossless_reason(dataset, "odd"))
    with pytest.raises(InputError, match=r"odd: (it|its) "):
        plan_groups(dataset, ["odd"])


def test_finite_value_is_found_beyond_the_first_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnzip.data.conventions._BLOCK_VALUES", 10)
    dataset = make({"v": (("time", "latitude", "longitude"), "f4")})
    dataset["v"] = dataset.v * np.nan
    with pytest.raises(InputError, match="no finite value"):
        plan_groups(dataset)
    dataset.v[-1, -1, -1] = 1.0
    assert len(plan_groups(dataset)[0]) == 1


def test_chosen_variables_bring_what_they_point_to() -> None:
    dataset = make({"t": (("latitude", "longitude"), "f4"), "u": (("latitude", "longitude"), "f4")})
    dataset["crs"] = ((), 0)
    dataset["latitude_bounds"] = (("latitude", "bnds"), np.zeros((5, 2)))
    dataset.t.attrs["grid_mapping"] = "crs"
    dataset.latitude.attrs["bounds"] = "latitude_bounds"
    groups, lossless = plan_groups(dataset, ["t"])
    assert [layout.name for layout in groups[0].variables] == ["t"]
    assert sorted(lossless) == ["crs", "latitude_bounds"]


def test_bounds_over_the_grid_are_not_compressed() -> None:
    dataset = make({"t": (("latitude", "longitude"), "f4")})
    dataset["corners"] = (("latitude", "longitude", "vertex"), np.ones((5, 7, 4)))
    dataset.longitude.attrs["bounds"] = "corners"
    assert plan_groups(dataset)[1] == ["corners"]


def test_unknown_names_are_answered_with_near_ones() -> None:
    dataset = make({"t2m": (("latitude", "longitude"), "f4"), "msl": (("latitude", "longitude"), "f4")})
    with pytest.raises(UsageError, match=r"no variable 't2': did you mean t2m\?"):
        plan_groups(dataset, ["t2"])
    with pytest.raises(UsageError, match="no variable 'xyzzy': there are t2m, msl"):
        plan_groups(dataset, ["xyzzy"])
    with pytest.raises(UsageError, match="'latitude' is a coordinate"):
        plan_groups(dataset, ["latitude"])


def test_nothing_to_compress() -> None:
    with pytest.raises(InputError, match="no data variables"):
        plan_groups(xr.Dataset())
    with pytest.raises(
        InputError, match=r"no variable can be compressed .*a: its type is int64.*b: it has no latitude"
    ):
        plan_groups(xr.Dataset({"a": 1, "b": ("x", [1.0, 2.0])}))


def test_repeated_coordinate_is_refused() -> None:
    dataset = make({"t": (("time", "latitude", "longitude"), "f4")}).isel(time=[0, 1, 1, 2])
    with pytest.raises(InputError, match=r"'time' holds 2020-01-01T06:00 twice \(positions 1 and 2\): remove"):
        plan_groups(dataset)


def test_packed_values_are_the_float64_that_xarray_decodes(tmp_path: Path) -> None:
    pressure = np.linspace(99_000, 104_000, 24).reshape(2, 3, 4)
    dataset = xr.Dataset({"sp": (("time", "latitude", "longitude"), pressure, {"units": "Pa"})})
    packing = {"dtype": "i2", "scale_factor": 0.05, "add_offset": 101_325.0, "_FillValue": -32768}
    dataset.to_netcdf(tmp_path / "a.nc", engine="netcdf4", encoding={"sp": packing})
    with open_dataset(tmp_path / "a.nc") as opened:
        group = plan_groups(opened)[0][0]
        values = stack(opened, group)
        assert values.dtype == opened.sp.dtype == np.float64
        np.testing.assert_array_equal(values[0], opened.sp)
        assert group.variables[0].dtype == "float32"

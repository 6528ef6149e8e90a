"""Files that belong together become one dataset; files that do not are refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.data.joining import join_files, merge_cubes
from nnzip.errors import InputError

LAT, LON = [50.0, 40.0, 30.0], [0.0, 10.0]


def field(value: float, name: str = "t", **coords: object) -> xr.Dataset:
    """One (latitude, longitude) field with scalar coordinates, as GRIB files of one message have."""
    values = value + np.arange(6, dtype="f4").reshape(3, 2)
    data = xr.DataArray(values, {"latitude": LAT, "longitude": LON}, ("latitude", "longitude"), name=name)
    return data.to_dataset().assign_coords(coords)


def series(start: str, days: int, name: str = "t") -> xr.Dataset:
    times = np.datetime64(start, "ns") + np.arange(days) * np.timedelta64(1, "D")
    values = np.arange(days * 6, dtype="f4").reshape(days, 3, 2) + int(np.datetime64(start, "D").astype(int))
    coords = {"time": times, "latitude": LAT, "longitude": LON}
    return xr.Dataset({name: (("time", "latitude", "longitude"), values)}, coords)


def hours(count: int) -> np.timedelta64:
    return np.timedelta64(count * 3600 * 10**9, "ns")


def join(*datasets: xr.Dataset) -> xr.Dataset:
    return join_files(datasets, [f"file{number}" for number in range(len(datasets))])


def test_scalar_level_and_step_become_dimensions() -> None:
    start = np.datetime64("2020-09-15", "ns")
    files = [
        field(
            100 * level + step,
            "gh",
            isobaricInhPa=float(level),
            step=hours(step),
            time=start,
            valid_time=start + hours(step),
        )
        for level in (1000, 200, 500)
        for step in (54, 60, 57)
    ]
    files += [
        field(step, "msl", meanSea=0.0, step=hours(step), time=start, valid_time=start + hours(step))
        for step in (54, 57, 60)
    ]
    joined = join(*files)
    assert joined.gh.dims == ("step", "isobaricInhPa", "latitude", "longitude")
    assert joined.msl.dims == ("step", "latitude", "longitude")
    assert joined.valid_time.dims == ("step",)
    assert joined.time.ndim == 0
    np.testing.assert_array_equal(joined.isobaricInhPa, [1000, 500, 200])
    np.testing.assert_array_equal(joined.step, [hours(54), hours(57), hours(60)])
    np.testing.assert_array_equal(
        joined.gh[:, :, 0, 0], [[100054, 50054, 20054], [100057, 50057, 20057], [100060, 50060, 20060]]
    )


def test_runs_and_steps_give_two_dimensional_valid_times() -> None:
    runs = [np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-02", "ns")]
    joined = join(*(field(0, time=run, step=hours(s), valid_time=run + hours(s)) for run in runs for s in (0, 6, 12)))
    assert joined.t.dims == ("time", "step", "latitude", "longitude")
    assert joined.valid_time.dims == ("time", "step")


def test_only_valid_time_or_member_differs() -> None:
    joined = join(
        field(1, valid_time=np.datetime64("2020-01-02", "ns")), field(0, valid_time=np.datetime64("2020-01-01", "ns"))
    )
    np.testing.assert_array_equal(joined.t[:, 0, 0], [0, 1])
    joined = join(*(field(n, number=n, expver="0001") for n in (2, 0, 1)))
    assert joined.t.dims == ("number", "latitude", "longitude")
    np.testing.assert_array_equal(joined.t[:, 0, 0], [0, 1, 2])


def test_a_missing_combination_is_named() -> None:
    files = [field(0, level=level, step=step) for level, step in ((850, 1), (850, 2), (500, 1))]
    with pytest.raises(InputError, match="there is none with t at step=2, level=500"):
        join(*files)


def test_files_along_time_in_any_order() -> None:
    joined = join(series("2020-01-04", 2), series("2020-01-01", 3))
    assert joined.sizes == {"time": 5, "latitude": 3, "longitude": 2}
    assert joined.indexes["time"].is_monotonic_increasing
    np.testing.assert_array_equal(joined.t[3], series("2020-01-04", 2).t[0])


def test_interleaved_times_are_sorted() -> None:
    whole = series("2020-01-01", 6)
    xr.testing.assert_equal(join(whole.isel(time=[1, 3, 5]), whole.isel(time=[0, 2, 4])), whole)


def test_tiles_and_descending_parts() -> None:
    whole = series("2020-01-01", 4)
    parts = [
        whole.isel(latitude=rows, time=times)
        for rows in (slice(0, 2), slice(2, 3))
        for times in (slice(0, 2), slice(2, 4))
    ]
    xr.testing.assert_equal(join(*parts), whole)
    xr.testing.assert_equal(join(whole.isel(latitude=[2]), whole.isel(latitude=[0, 1])), whole)


def test_time_series_of_several_levels() -> None:
    files = [
        series(start, 2).assign_coords(level=level) for start in ("2020-01-01", "2020-01-03") for level in (500, 850)
    ]
    joined = join(*files)
    assert joined.t.dims == ("level", "time", "latitude", "longitude")
    assert dict(joined.sizes) == {"level": 2, "time": 4, "latitude": 3, "longitude": 2}


def test_scalars_that_follow_the_files_get_their_dimension() -> None:
    files = [series("2020-01-01", 2).assign_coords(expver="0001"), series("2020-01-03", 2).assign_coords(expver="0005")]
    assert join(*files).expver.dims == ("time",)


def test_different_variables_and_static_ones() -> None:
    static = series("2020-01-01", 1).isel(time=0, drop=True).rename(t="lsm")
    one, two = series("2020-01-01", 2).merge(static), series("2020-01-03", 2).merge(static)
    other = series("2020-01-01", 4, "u")
    joined = join(one, two, other)
    assert joined.lsm.dims == ("latitude", "longitude")
    assert list(joined.data_vars) == ["t", "lsm", "u"]
    assert joined.u.sizes["time"] == 4


def test_scalars_that_disagree_between_variables_become_attributes() -> None:
    joined = join(
        field(0, "t2m", heightAboveGround=2.0, step=hours(0)), field(0, "u10", heightAboveGround=10.0, step=hours(6))
    )
    assert "heightAboveGround" not in joined.coords
    assert joined.t2m.attrs["heightAboveGround"] == 2.0
    assert joined.u10.attrs == {"heightAboveGround": 10.0, "step": "6.0"}


def test_common_attributes_are_kept() -> None:
    one, two = series("2020-01-01", 1), series("2020-01-02", 1)
    one.attrs = {"title": "a", "history": "then", "list": np.array([1, 2])}
    two.attrs = {"title": "a", "history": "now", "list": np.array([1, 2])}
    assert list(join(one, two).attrs) == ["title", "list"]


def test_encodings_survive() -> None:
    files = [series("2020-01-01", 1), series("2020-01-02", 1)]
    for file in files:
        file.t.encoding = {"dtype": np.dtype("i2"), "scale_factor": 0.1}
        file.time.encoding = {"units": "hours since 1900-01-01", "dtype": np.dtype("i4")}
    joined = join(*files)
    assert joined.t.encoding["scale_factor"] == 0.1
    assert joined.time.encoding["units"] == "hours since 1900-01-01"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((field(0), field(1)), "file0 and file1 both hold t at the same coordinates: leave one of them out"),
        ((field(0, step=1), field(1, step=2), field(1, step=1)), "file0 and file2 both hold t at step=1"),
        ((series("2020-01-01", 3), series("2020-01-03", 3)), "the time 2020-01-03T00:00 is in file0 and in file1"),
        ((series("2020-01-01", 2), series("2020-01-03", 2).isel(latitude=[0, 1])), "2 files do not fit together"),
        ((series("2020-01-01", 2), series("2020-01-01", 3, "u")), "2 files do not fit together: .*time"),
        (
            (series("2020-01-01", 2), series("2020-01-03", 2).drop_vars("time")),
            "only one of file0 and file1 has a coordinate",
        ),
        ((series("2020-01-01", 2), series("2020-01-03", 0)), "file1 is empty along 'time'"),
        ((xr.Dataset(), xr.Dataset()), "none of the 2 files holds a data variable"),
    ],
)
def test_refused(files: tuple[xr.Dataset, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        join(*files)


def test_static_variables_that_differ_are_refused() -> None:
    one, two = series("2020-01-01", 2), series("2020-01-03", 2)
    one["lsm"], two["lsm"] = field(0).t, field(1).t
    with pytest.raises(InputError, match=r"do not fit together.*lsm"):
        join(one, two)


def test_cubes_of_one_grib_file() -> None:
    levels = xr.concat([field(0, "t", isobaricInhPa=850.0), field(1, "t", isobaricInhPa=500.0)], "isobaricInhPa")
    one_level = field(2, "q").expand_dims(isobaricInhPa=[850.0])
    surface = field(3, "t", surface=0.0)
    surface.t.attrs["GRIB_typeOfLevel"] = "surface"
    high, low = field(4, "u10", heightAboveGround=10.0), field(5, "t2m", heightAboveGround=2.0)
    merged = merge_cubes([levels, one_level, surface, high, low], "file")
    assert list(merged.data_vars) == ["t", "q", "t_surface", "u10", "t2m"]
    assert merged.q.dims == ("isobaricInhPa_1", "latitude", "longitude")
    assert merged.t2m.attrs["heightAboveGround"] == 2.0
    np.testing.assert_array_equal(merged.t_surface, surface.t)


def test_cubes_with_scalar_and_dimension_of_one_name() -> None:
    steps = xr.concat([field(0, "tp", step=hours(6)), field(1, "tp", step=hours(12))], "step")
    merged = merge_cubes([field(0, "t2m", step=hours(0)), steps], "file")
    assert merged.t2m.attrs["step"] == "0.0"
    assert merged.tp.dims == ("step", "latitude", "longitude")

"""Every source's layout becomes one, without a value changed or a time, level or variable missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.download.gaps import find_gaps, refuse_gaps
from nnzip.download.layout import tidy
from nnzip.download.parsing import parse_selection
from nnzip.download.plan import Part, make_plan
from nnzip.errors import InputError
from tests.support import era5_examples
from tests.support.mirror_server import LATITUDE, LONGITUDE


def part(names: str, area: str | None = None, every: str = "6h") -> Part:
    selection = parse_selection([names], "2016-10-01", "2016-10-01", every=every, area=area, grid=10)
    return make_plan(selection, "arco")[0].parts[0]


def whole(names: list[str], levels: tuple[int, ...] = ()) -> xr.Dataset:
    return era5_examples.dataset(names, era5_examples.hours("2016-10-01", "2016-10-02"), LATITUDE, LONGITUDE, levels)


def wanted(names: list[str], levels: tuple[int, ...] = ()) -> xr.Dataset:
    return whole(names, levels).sel(valid_time=era5_examples.hours("2016-10-01", "2016-10-01", 6))


def assert_same(found: xr.Dataset, content: xr.Dataset) -> None:
    for name in content.data_vars:
        assert found[name].dims == content[name].dims
        np.testing.assert_array_equal(found[name], content[name])
        for dim in content[name].dims:
            np.testing.assert_array_equal(found[dim], content[dim])


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d,
        lambda d: d.isel(latitude=slice(None, None, -1)),
        lambda d: d.isel(valid_time=slice(None, None, -1)),
        lambda d: d.transpose("valid_time", "longitude", "latitude"),
        lambda d: d.assign_coords(longitude=(d.longitude + 180) % 360 - 180).sortby("longitude"),
        lambda d: d.rename(valid_time="time", latitude="lat", longitude="lon"),
        lambda d: d.rename(valid_time="time").assign_coords(valid_time=("time", d.valid_time.to_numpy())),
        lambda d: d.assign_coords(number=0, step=np.timedelta64(0, "ns"), surface=0.0),
        lambda d: d.assign_coords(latitude=d.latitude.astype("f4"), longitude=d.longitude.astype("f4")),
    ],
)
def test_layouts_of_the_surface(change: object, tmp_path: Path) -> None:
    changed = change(whole(["t2m", "msl"]))  # type: ignore[operator]
    assert_same(tidy(changed, part("t2m,msl")), wanted(["t2m", "msl"]))
    changed.to_netcdf(tmp_path / "a.nc")  # lazily
    with xr.open_dataset(tmp_path / "a.nc") as opened:
        assert_same(tidy(opened, part("t2m,msl")), wanted(["t2m", "msl"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d,
        lambda d: d.isel(pressure_level=slice(None, None, -1)).rename(pressure_level="level"),
        lambda d: d.rename(pressure_level="isobaricInhPa", valid_time="time"),
        lambda d: d.transpose("pressure_level", "valid_time", "latitude", "longitude"),
        lambda d: d.assign_coords(pressure_level=d.pressure_level.astype("i4")),
    ],
)
def test_layouts_of_levels(change: object) -> None:
    changed = change(whole(["z", "u"], (850, 500, 300)))  # type: ignore[operator]
    assert_same(tidy(changed, part("z@850,300,u@850,300")), wanted(["z", "u"], (850, 300)))
    alone = tidy(changed, part("z500"))
    assert float(alone.pressure_level) == 500
    np.testing.assert_array_equal(alone.z, wanted(["z"], (500,)).z[:, 0])


@pytest.mark.parametrize(
    ("area", "first", "last"),
    [
        ("90,-180,-90,180", -180, 170),
        ("40,-20,-20,20", -20, 20),
        ("40,340,-20,20", 340, 380),
        ("40,170,-20,-170", 170, 190),
    ],
)
def test_longitudes_run_eastward_from_the_west_asked_for(area: str, first: float, last: float) -> None:
    found = tidy(whole(["t2m"]), part("t2m", area))
    np.testing.assert_array_equal(found.longitude, np.arange(first, last + 1, 10))
    content = wanted(["t2m"]).t2m.sel(latitude=found.latitude, longitude=found.longitude.to_numpy() % 360)
    np.testing.assert_array_equal(found.t2m, content)


def test_a_repeated_seam_column_counts_once() -> None:
    held = whole(["t2m"])
    seam = xr.concat([held, held.isel(longitude=[0]).assign_coords(longitude=[360.0])], "longitude", data_vars="all")
    assert_same(tidy(seam, part("t2m")), wanted(["t2m"]))
    found = tidy(seam, part("t2m", "40,340,-20,20"))
    np.testing.assert_array_equal(found.longitude, np.arange(340, 381, 10))
    assert np.isfinite(found.t2m).all()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"msl .* is missing in what arrived, which holds t2m"):
        tidy(whole(["t2m"]), part("t2m,msl"))
    with pytest.raises(InputError, match=r"1 of 4 times are missing in what arrived, the first is 2016-10-01T06:00"):
        tidy(whole(["t2m"]).drop_isel(valid_time=6), part("t2m"))
    with pytest.raises(InputError, match="the level 300 hPa is missing"):
        tidy(whole(["z"], (850, 500)), part("z@500,300"))
    with pytest.raises(InputError, match="what arrived has no valid_time: it holds latitude, longitude"):
        tidy(whole(["t2m"]).isel(valid_time=0, drop=True), part("t2m"))
    with pytest.raises(InputError, match="no pressure levels"):
        tidy(whole(["t2m"]).rename(t2m="z"), part("z500"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.sel(latitude=slice(90, 0)),
            r"9 of 19 latitudes are missing in what arrived, the first is -10: asked",
        ),
        (
            lambda d: d.isel(longitude=slice(None, None, 4)),
            r"27 of 36 longitudes .* every 10 degrees, arrived .* every 40",
        ),
        (lambda d: d.assign_coords(latitude=d.latitude + 0.1), r"19 of 19 latitudes .* arrived 90.1 to -89.9 every 10"),
        (lambda d: d.assign_coords(longitude=d.longitude + 0.01), "36 of 36 longitudes"),
    ],
)
def test_another_grid_or_area_is_refused(change: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tidy(change(whole(["t2m"])), part("t2m"))  # type: ignore[operator]


def test_every_variable_is_checked_for_empty_times() -> None:
    asked = part("t2m,sst,cbh")
    content = tidy(whole(["t2m", "sst", "cbh"]), asked)
    assert not find_gaps(content, asked.selection)
    content["sst"] = xr.full_like(content.sst, np.nan)  # an area without sea
    content.cbh[1:3] = np.nan  # no cloud
    assert not find_gaps(content, asked.selection)
    content.t2m[2] = np.nan
    content.sst[0] = 290.0
    gaps = find_gaps(content, asked.selection)
    assert [(gap.name, gap.times.size) for gap in gaps] == [("t2m", 1), ("sst", 3)]
    with pytest.raises(InputError, match=r"here: t2m has no value at 1 of 4 times: 2016-10-01T12:00; sst has no value"):
        refuse_gaps(gaps, 4, "here")
    content["t2m"] = xr.full_like(content.t2m, np.nan)  # all of it
    assert find_gaps(content, asked.selection)[0].times.size == 4


def test_an_empty_level_is_a_gap_of_its_own() -> None:
    asked = part("z@850,500,300")
    content = tidy(whole(["z"], (850, 500, 300)), asked)
    content.z[1, 2] = np.nan
    (gap,) = find_gaps(content, asked.selection)
    assert gap.describe(4) == "z@300 has no value at 1 of 4 times: 2016-10-01T06:00"


def test_sums_begin_at_seven_on_the_first_day_of_era5() -> None:
    """The forecast that begins at 06 UTC is the first: there is nothing to sum before."""
    selection = parse_selection(["tp"], "1940-01-01", "1940-01-01", area="10,0,-10,20", grid=10)
    (asked,) = make_plan(selection, "cds")[0].parts
    times = era5_examples.hours("1940-01-01", "1940-01-01")[7:]
    held = era5_examples.dataset(["tp"], times, np.array([10.0, 0.0, -10.0]), np.array([0.0, 10.0, 20.0]))
    found = tidy(held, asked)
    assert found.sizes["valid_time"] == 24
    assert found.tp[:7].isnull().all()
    assert not find_gaps(found, asked.selection)
    with pytest.raises(InputError, match="1 of 17 times are missing"):
        tidy(held.isel(valid_time=slice(1, None)), asked)

"""Days, hours and areas; the parts they become; the requests those become; --list and --dry-run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.download.addresses import address
from nnzip.download.cds_request import dataset_of, request_of
from nnzip.download.cost import transferred_bytes
from nnzip.download.parsing import parse_selection
from nnzip.download.plan import CDS_FIELDS, level_groups, make_plan, plan_notes
from nnzip.download.variables import BY_NAME
from nnzip.errors import UsageError
from tests.conftest import Nnzip

GOLDEN = Path(__file__).parents[1] / "golden" / "cds_requests.json"
CASES = {
    "surface, ten days, area": (["t2m,msl"], "2016-10-01", "2016-10-10", "1h", "50,-100,5,-40", "netcdf"),
    "one level beside the surface": (["t2m,z500"], "2016-10-01", "2016-10-01", "6h", None, "netcdf"),
    "several levels, GRIB": (["u@850,500,v@850,300"], "2020-02-28", "2020-03-01", "12h", None, "grib"),
    "sums across the date line": (["tp,ssrd"], "2021-12-31", "2022-01-01", "1h", "10,170,-10,-170", "netcdf"),
    "cut by cost": (["z@1000,850,700,500,300,200,100,50"], "2019-02-01", "2019-02-28", "1h", "1,0,0,1", "netcdf"),
}


@pytest.mark.parametrize("case", CASES)
def test_requests_are_those_of_the_climate_data_store(case: str) -> None:
    """Golden requests, compared with the forms of the Climate Data Store when they were written."""
    names, start, end, every, area, data_format = CASES[case]
    months = make_plan(parse_selection(names, start, end, every=every, area=area), "cds")
    found = [
        {"name": part.name, "dataset": dataset_of(part), "request": request_of(part, data_format)}  # type: ignore[arg-type]
        for month in months
        for part in month.parts
    ]
    assert found == json.loads(GOLDEN.read_text())[case]


def test_parts_cover_every_time_once() -> None:
    selection = parse_selection(["z@1000,850,500,t2m"], "2015-12-30", "2016-03-01")
    months = make_plan(selection, "cds")
    assert [month.name for month in months] == [
        "era5_2015-12-30_2015-12-31", "era5_2016-01", "era5_2016-02", "era5_2016-03-01",
    ]  # fmt: skip
    for label in ("single", "levels"):
        parts = [part for month in months for part in month.parts if part.label == label]
        times = np.concatenate([part.selection.times for part in parts])
        np.testing.assert_array_equal(times, selection.times)
        assert all(part.selection.layers * len(part.selection.times) <= CDS_FIELDS for part in parts)
    assert len({part.name for month in months for part in month.parts}) == sum(len(month.parts) for month in months)


def test_a_request_too_large_is_halved_down_to_a_day() -> None:
    part = make_plan(parse_selection(["t2m"], "2016-10-01", "2016-10-03"), "cds")[0].parts[0]
    first, second = part.halves()
    assert (first.selection.days, second.selection.days) == (1, 2)
    assert first.halves() == [first]


def test_levels_of_one_file_agree() -> None:
    selection = parse_selection(["z500,t850,u@850,500,v@850,300,t2m"], "2016-10-01", "2016-10-01")
    groups = {label: [str(field) for field in fields] for label, fields in level_groups(selection.fields).items()}
    assert groups == {
        "500hPa": ["z@500"], "850hPa": ["t@850"], "levels": ["u@850,500,300", "v@850,500,300"], "single": ["t2m"],
    }  # fmt: skip
    assert "u@850,500,300 v@850,500,300" in plan_notes(selection, "cds")[0]


def test_thinned_sums_are_pointed_out() -> None:
    (note,) = plan_notes(parse_selection(["tp,t2m"], "2016-10-01", "2016-10-01", every="6h"), "cds")
    assert "tp: every value covers the hour before its time, so --every 6h keeps 4 hours of 24" in note
    assert not plan_notes(parse_selection(["tp"], "2016-10-01", "2016-10-01"), "cds")
    (note,) = plan_notes(parse_selection(["tp"], "1940-01-01", "1940-01-01"), "cds")
    assert "no value before 1940-01-01T07" in note


def test_whole_chunks_of_the_zarr_mirrors_are_counted() -> None:
    selection = parse_selection(["z500"], "2016-10-01", "2016-10-01", every="6h", area="10,0,0,10")
    arco, wb2, cds = (make_plan(selection, source)[0].parts[0] for source in ("arco", "wb2", "cds"))
    assert transferred_bytes(arco) == 4 * 37 * 721 * 1440 * 2
    assert transferred_bytes(arco) > 2 * transferred_bytes(wb2) > 100 * transferred_bytes(cds)


def test_whole_chunks_of_ncar_are_counted() -> None:
    """A chunk on levels is the globe on all 37; one of the surface 27 hours of 139 rows and 277 columns."""
    days = ("2016-10-01", "2016-10-02")

    def cost(names: str, area: str | None, every: str = "1h") -> int:
        selection = parse_selection([names], *days, area=area, every=every)
        return sum(transferred_bytes(part) for part in make_plan(selection, "ncar")[0].parts)

    assert cost("z500", "1,0,0,1", "6h") == 8 * 37 * 721 * 1440 * 2
    assert cost("t2m", "60,0,59,1") == 2 * 27 * 139 * 277 * 2  # hours 0 to 47 lie in two chunks
    assert cost("t2m", "60,-1,59,1") == 2 * 2 * 27 * 139 * 277 * 2  # both sides of Greenwich
    assert cost("t2m", None) == 2 * 6 * 6 * 27 * 139 * 277 * 2


@pytest.mark.parametrize(
    ("dataset", "names", "collection", "keys"),
    [
        ("era5-monthly", "t2m", "reanalysis-era5-single-levels-monthly-means",
         {"product_type": ["monthly_averaged_reanalysis"], "month": ["01", "02", "03"], "time": ["00:00"]}),
        ("era5-monthly", "z500", "reanalysis-era5-pressure-levels-monthly-means", {"pressure_level": ["500"]}),
        ("era5-daily-maximum", "t2m", "derived-era5-single-levels-daily-statistics",
         {"daily_statistic": "daily_maximum", "frequency": "1_hourly", "time_zone": "utc+00:00"}),
        ("era5-ensemble", "t2m", "reanalysis-era5-single-levels",
         {"product_type": ["ensemble_members"], "time": [f"{hour:02d}:00" for hour in range(0, 24, 3)]}),
        ("era5-land", "t2m", "reanalysis-era5-land", {"variable": ["2m_temperature"]}),
    ],
)  # fmt: skip
def test_requests_of_other_datasets(dataset: str, names: str, collection: str, keys: dict[str, Any]) -> None:
    selection = parse_selection([names], "2019-01-01", "2019-03-31", dataset=dataset)
    part = make_plan(selection, "cds")[0].parts[0]
    request = request_of(part)
    assert dataset_of(part) == collection
    assert {key: request[key] for key in keys} == keys
    assert ("day" in request) == (dataset != "era5-monthly")
    with pytest.raises(UsageError, match="take --source cds"):
        make_plan(selection, "arco")


def test_static_fields_are_one_file_without_times() -> None:
    months = make_plan(parse_selection(["lsm,zs,t2m"], "2019-01-01", "2019-03-31"), "cds")
    assert [part.name for month in months for part in month.parts] == [
        "era5_static", "era5_2019-01_single", "era5_2019-02_single", "era5_2019-03_single",
    ]  # fmt: skip
    request = request_of(months[0].parts[0])
    assert request["variable"] == ["land_sea_mask", "geopotential"]
    assert (request["year"], request["day"], request["time"]) == (["2000"], ["01"], ["00:00"])
    other = make_plan(parse_selection(["lsm,zs"], "1990-05-05", "1990-05-06"), "cds")[0].parts[0]
    assert other.identity == months[0].parts[0].identity  # whatever the days, one file
    (month,) = make_plan(parse_selection(["lsm"], "2019-01-01", "2019-03-31"), "arco")
    assert [part.name for part in month.parts] == ["era5_static"]


def test_waves_are_asked_for_on_the_grid_of_the_rest() -> None:
    (part,) = make_plan(parse_selection(["swh,t2m"], "2019-01-01", "2019-01-01"), "cds")[0].parts
    assert request_of(part)["grid"] == [0.25, 0.25]
    (part,) = make_plan(parse_selection(["t2m"], "2019-01-01", "2019-01-01", grid=1), "cds")[0].parts
    assert request_of(part)["grid"] == [1, 1]


def test_sources_hold_their_periods_and_hours() -> None:
    with pytest.raises(UsageError, match="wb2 holds 1959-01-01 to 2023-01-10"):
        make_plan(parse_selection(["t2m"], "2023-01-10", "2023-01-11", every="6h"), "wb2")
    with pytest.raises(UsageError, match="wb2 is 6-hourly: take --every 6h"):
        make_plan(parse_selection(["t2m"], "2020-01-10", "2020-01-11", every="3h"), "wb2")
    assert make_plan(parse_selection(["t2m"], "2020-01-10", "2020-01-11", every="12h"), "wb2")


def test_list_names_units_and_sources(nnzip: Nnzip) -> None:
    shown = nnzip("download", "--list").stdout
    assert "2m_temperature" in shown
    assert "m of water equivalent" in shown
    listed = json.loads(nnzip("download", "--list", "--json").stdout)
    (tp,) = [entry for entry in listed if entry["short_name"] == "tp"]
    assert (tp["step"], tp["param_id"], tp["sources"]) == ("sum", 228, ["cds", "arco", "ecmwf"])
    waves = json.loads(nnzip("download", "wave height", "significant", "--list", "--json").stdout)
    assert {"swh", "shww"} <= {entry["short_name"] for entry in waves} < BY_NAME.keys()


DAYS = ("--start", "2016-10-01", "--end", "2016-10-02")


def test_dry_run_shows_requests_sizes_and_licence_and_does_nothing_else(
    tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDSAPI_URL", "http://127.0.0.1:9/api")  # nothing listens there: nothing may be asked
    monkeypatch.setenv("CDSAPI_KEY", "secret")
    shown = nnzip("download", "t2m,z500", *DAYS, "--area", "50,-100,5,-40", "--dry-run").stdout
    for part in ("reanalysis-era5-pressure-levels", '"2m_temperature"', "2 requests, about 8.38", "CC-BY-4.0"):
        assert part in shown
    told = json.loads(nnzip("download", "t2m", *DAYS, "--source", "arco", "--dry-run", "--json").stdout)
    assert told["requests"][0]["address"].startswith("https://storage.googleapis.com/gcp-public-data-arco-era5/ar/")
    ncar = nnzip("download", "t2m,u500", *DAYS, "--source", "ncar", "--dry-run").stdout
    assert "e5.oper.an.sfc/201610/e5.oper.an.sfc.128_167_2t.ll025sc.2016100100_2016103123.nc" in ncar
    assert "e5.oper.an.pl/201610/e5.oper.an.pl.128_131_u.ll025uv.2016100100_2016100123.nc" in ncar
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_the_climate_data_store_with_a_key_else_a_mirror(
    tmp_path: Path, nnzip: Nnzip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CDSAPI_URL", "CDSAPI_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "rc"))

    def chosen(*arguments: str) -> str:
        told = json.loads(nnzip("download", *arguments, *DAYS, "--dry-run", "--json").stdout)
        return str(told["requests"][0]["source"])

    assert chosen("t2m") == "arco"
    assert chosen("r500") == "ncar"
    result = nnzip("download", "r500,tp", *DAYS, "--dry-run", code=2)
    assert "no open mirror has r@500 tp" in result.stderr
    (tmp_path / "rc").write_text("url: http://127.0.0.1:9/api\nkey: secret\n")
    assert chosen("t2m") == "cds"
    assert chosen("t2m", "--source", "arco") == "arco"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name variables and days"),
        (("t2m", "--start", "2016-10-01"), "name variables and days"),
        (("t2m", *DAYS, "--max-error", "0.1K"), "--max-error goes with --compress"),
        (("t2m", *DAYS, "-o", "out.nnz"), "name a directory"),
        (("t2m", *DAYS, "-o", "out.zarr", "--compress"), "name a directory with -o"),
        (("t2m", *DAYS, "--compress", "--max-error", "msl=1Pa"), "bound of 'msl', which is not downloaded"),
    ],
)
def test_senseless_commands(arguments: tuple[str, ...], message: str, nnzip: Nnzip) -> None:
    assert message in nnzip("download", *arguments, code=2).stderr


def test_a_series_without_a_point_is_refused() -> None:
    part = make_plan(parse_selection(["t2m"], "2020-01-01", "2020-01-02"), "cds")[0].parts[0]
    with pytest.raises(UsageError, match="--point"):
        request_of(replace(part, label="point_0_0"))


@settings(max_examples=40, deadline=None)
@given(
    start=st.dates(date(1940, 1, 1), date(2022, 12, 1)),
    days=st.integers(0, 100),
    every=st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]),
    names=st.lists(st.sampled_from(["t2m", "tp", "z500", "u@850,500", "t@1000,700,300"]), min_size=1, unique=True),
    source=st.sampled_from(["cds", "arco"]),
)
def test_every_time_of_every_field_is_in_one_part(
    start: date, days: int, every: int, names: list[str], source: Any
) -> None:
    selection = parse_selection(names, str(start), str(start + timedelta(days=days)), every=f"{every}h")
    parts = [part for month in make_plan(selection, source) for part in month.parts]
    found: dict[str, list[Any]] = {}
    for part in parts:
        assert part.selection.start.replace(day=1) == part.selection.end.replace(day=1)  # one month
        for field in part.selection.fields:
            found.setdefault(field.variable.short_name, []).extend(part.selection.times)
    assert set(found) == {field.variable.short_name for field in selection.fields}
    for times in found.values():
        np.testing.assert_array_equal(times, selection.times)
    assert len({part.name for part in parts}) == len(parts)


def test_weatherbench2_at_one_and_a_half_degrees() -> None:
    selection = parse_selection(["t2m"], "2016-10-01", "2016-10-01", every="6h", grid=1.5)
    assert "240x121_equiangular_with_poles_conservative.zarr" in address("wb2", selection)
    assert "averages over cells" in plan_notes(selection, "wb2")[0]
    selection = parse_selection(["t2m"], "2016-10-01", "2016-10-01", every="6h", grid=1)
    assert "1440x721" in address("wb2", selection)
    assert address("arco", selection).startswith("https://storage.googleapis.com/gcp-public-data-arco-era5/")

"""Every name a variable goes by, levels, and what is said about mistakes in them."""

from __future__ import annotations

import pytest

from nnzip.download.variables import BY_NAME, LEVELS, VARIABLES, check_available, parse_fields
from nnzip.errors import UsageError


def names(*texts: str) -> list[str]:
    return [str(field) for field in parse_fields(texts)]


def test_the_table_is_complete_and_unambiguous() -> None:
    assert len(BY_NAME) == len(VARIABLES) == len({(variable.cds_name, variable.pressure) for variable in VARIABLES})
    assert all(variable.units and "cds" in variable.sources for variable in VARIABLES)
    assert all(bool(variable.ncar) == ("ncar" in variable.sources) for variable in VARIABLES)
    assert not any("ncar" in variable.sources for variable in VARIABLES if variable.past_hour)


def test_units_and_names_are_those_of_eccodes() -> None:
    """The parameter database of ECMWF is the independent source of short names and units."""
    eccodes = pytest.importorskip("eccodes")
    for variable in VARIABLES:
        handle = eccodes.codes_grib_new_from_samples(
            "GRIB2" if variable.param_id >= 260000 or variable.stream == "land" else "GRIB1"
        )
        eccodes.codes_set(handle, "centre", "ecmf")
        eccodes.codes_set(handle, "paramId", variable.param_id)
        assert eccodes.codes_get(handle, "shortName") == variable.grib_name
        if variable.short_name != "zs":  # of the ground: the pressure levels have z
            assert eccodes.codes_get(handle, "cfVarName") == variable.short_name
        assert eccodes.codes_get(handle, "units") == variable.units
        if variable.ncar:
            table, number, _ = variable.ncar.split("_")
            assert eccodes.codes_get(handle, "paramId") == int(number) + (int(table) * 1000 if table != "128" else 0)
        eccodes.codes_release(handle)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t2m,msl,z500", ["t2m", "msl", "z@500"]),
        ("z@500,850,t2m", ["z@850,500", "t2m"]),
        ("u1000,u10,u100", ["u@1000", "u10", "u100"]),
        ("2m_temperature,10u", ["t2m", "u10"]),
        ("2m temperature", ["t2m"]),
        ("air_temperature", ["t2m"]),
        ("air_temperature@850", ["t@850"]),
        ("geopotential@500,z850", ["z@850,500"]),
        ("t2m,2t", ["t2m"]),
        ("geopotential,mtpr", ["zs", "avg_tprate"]),
    ],
)
def test_names_and_levels(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_every_variable_is_found_by_its_short_long_and_grib_name() -> None:
    for variable in VARIABLES:
        level = "@500" if variable.pressure else ""
        for name in (variable.short_name, variable.cds_name, *variable.also):
            assert parse_fields([name + level])[0].variable is variable


def test_all_of_era5_is_there() -> None:
    """The Climate Data Store's forms have 262 variables on single and 16 on pressure levels."""
    levels = [variable.levels for variable in VARIABLES if variable.stream != "land"]
    assert (levels.count("surface"), levels.count("pressure")) == (261, 16)
    for name in ("swh", "lsm", "orography", "mtpr", "ssrdc", "tcrw", "tcsw", "crwc", "mwd", "avg_tnlwrf", "sro"):
        assert parse_fields([f"{name}@500" if name == "crwc" else name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t3m", r"no ERA5 variable 't3m': did you mean t2m"),
        ("2m_temprature", r"did you mean t2m \(2m_temperature\)"),
        ("wave_height", r"did you mean .*hmax \(maximum_individual_wave_height\)"),
        ("wave_hight", r"did you mean hmax \(maximum_individual_wave_height\) or swh1"),
        ("convective rain", r"did you mean crr \(convective_rain_rate\)"),
        ("zzzzzz", "nnzip download --list"),
        ("z", r"z \(geopotential\) needs pressure levels in hPa: write z500 or z@500,850"),
        ("z@", "needs pressure levels"),
        ("t2m@500", r"t2m \(2m_temperature\) is a surface variable and has no level 500"),
        ("t2m500", "is a surface variable and has no level 500"),
        ("z@501", "no level '501' hPa of z: the nearest is 500"),
        ("z@half", "no level 'half'"),
        ("eastward_wind", r"ambiguous: write one of u10 \(10m_u_component_of_wind\), u100"),
        ("t2m,,msl", "no ERA5 variable ''"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_fields([text])


def test_sources_that_lack_a_variable_name_those_that_have_it() -> None:
    with pytest.raises(UsageError, match=r"ncar has no tp .*take --source cds or arco"):
        check_available(parse_fields(["tp"]), "ncar")
    with pytest.raises(UsageError, match=r"wb2 has no 10 hPa, only 50, 100.*--source arco"):
        check_available(parse_fields(["t@500,10"]), "wb2")
    check_available(parse_fields([f"t@{','.join(map(str, LEVELS))}"]), "arco")

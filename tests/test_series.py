"""Series at places: linear between grid points, as CF discrete sampling geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.data.stations import Stations, read_stations
from nnzip.errors import InputError, UsageError
from nnzip.series import series_at

PLACES = "name,lat,lon\nLondon,51.5,-0.1\nÅlesund,62.5,6.2\n"


def places(path: Path, text: str = PLACES) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_series_are_what_interpolation_gives(archive: Path, tmp_path: Path) -> None:
    stations = read_stations(places(tmp_path / "stations.csv"))
    with nnzip.open_archive(archive) as opened:
        series = series_at(opened, stations, "t2m,z", slice("2016-10-01T06", None), 500).load()
        whole = opened.regrid(np.array([51.5]), np.array([-0.1]))
        expected = whole[["t2m", "z"]].sel(pressure_level=[500], valid_time=series["valid_time"]).load()
    assert series["z"].dims == ("valid_time", "pressure_level", "station")
    np.testing.assert_array_equal(series["t2m"][:, 0], expected["t2m"][:, 0, 0])
    np.testing.assert_array_equal(series["z"][:, :, 0], expected["z"].squeeze(("latitude", "longitude")))
    assert series["station_name"].values.tolist() == [b"London", "Ålesund".encode()]


def test_the_file_is_a_discrete_sampling_geometry(archive: Path, tmp_path: Path) -> None:
    stations = places(tmp_path / "stations.csv")
    nnzip.decompress(archive, tmp_path / "series.nc", points=stations, variables="t2m")
    with xr.open_dataset(tmp_path / "series.nc") as series:
        assert series.attrs["featureType"] == "timeSeries"
        assert series["station_name"].attrs["cf_role"] == "timeseries_id"
        assert series["latitude"].attrs["standard_name"] == "latitude"
        assert set(series["t2m"].encoding["coordinates"].split()) == {"latitude", "longitude", "station_name"}
        assert set(series.variables) == {"t2m", "valid_time", "latitude", "longitude", "station_name"}


def test_a_place_outside_the_data_is_named(archive: Path) -> None:
    with nnzip.open_archive(archive) as opened, pytest.raises(UsageError, match=r"the place 'far' \(120, 0\)"):
        series_at(opened, Stations(("far",), np.array([120.0]), np.array([0.0])))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no columns of latitudes"),
        ("a,b\n1,2\n", "only a, b: write the columns"),
        ("lat,lon\n", "has no place"),
        ("lat,lon\n1,x\n", "line 2: '1,x'"),
        ("lat,lon\n1\n", "line 2"),
        ("lat,lon\n1,2\n100,2\n", "line 3: there is no latitude 100"),
    ],
)
def test_a_bad_list_of_places_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_stations(places(tmp_path / "stations.csv", text))


def test_places_without_names_are_numbered(tmp_path: Path) -> None:
    found = read_stations(places(tmp_path / "stations.csv", "\ufefflongitude,Latitude\n10,50\n\n20,60\n"))
    assert found.names == ("1", "3")
    assert found.latitude.tolist() == [50, 60]

"""Small ERA5-like data as every source lays them out: one smooth function of place, time, level and variable."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.download.variables import BY_NAME, VARIABLES, Variable

LONG_NAMES = {(variable.cds_name, variable.pressure): variable for variable in VARIABLES}
LAND_NAMES = {variable.land: variable for variable in VARIABLES if variable.land}
_BASES = {"K": 285.0, "Pa": 101000.0, "m s**-1": 5.0, "m**2 s**-2": 50000.0, "m": 0.001}


def values(
    variable: Variable,
    times: NDArray[np.datetime64],
    latitude: NDArray[Any],
    longitude: NDArray[Any],
    level: int = 0,
) -> NDArray[np.float32]:
    """[time, latitude, longitude], the same for a place and time however they are asked for."""
    number = VARIABLES.index(variable) + 1
    hours = (times - np.datetime64("2000-01-01")) / np.timedelta64(1, "h")
    wave = (
        np.sin(hours / 24 * 2 * np.pi + number)[:, None, None]
        + np.cos(np.deg2rad(latitude * 7 + number))[:, None]
        + np.sin(np.deg2rad(longitude * 5 + number))
        + hours[:, None, None] * 1e-4
    )
    base = _BASES.get(variable.units, 1.0)
    field = base * (1 + 0.01 * wave + level / 2000)
    return np.asarray(np.maximum(field - base, 0) if variable.past_hour else field, dtype=np.float32)


def dataset(
    names: Sequence[str],
    times: NDArray[np.datetime64],
    latitude: NDArray[Any],
    longitude: NDArray[Any],
    levels: Sequence[int] = (),
) -> xr.Dataset:
    """A dataset in the current layout of the Climate Data Store."""
    dims = ("valid_time", *(["pressure_level"] if levels else []), "latitude", "longitude")
    arrays = {}
    for name in names:
        variable = BY_NAME[name]
        fields = [values(variable, times, latitude, longitude, level) for level in levels or (0,)]
        stacked = np.stack(fields, axis=1) if levels else fields[0]
        arrays[name] = (dims, stacked, {"units": variable.units, "GRIB_shortName": variable.grib_name})
    coords: dict[str, Any] = {
        "valid_time": ("valid_time", times, {"standard_name": "time", "long_name": "time"}),
        "latitude": ("latitude", latitude, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    if levels:
        attributes = {"units": "hPa", "standard_name": "air_pressure", "positive": "down"}
        coords["pressure_level"] = ("pressure_level", np.array(levels, "f8"), attributes)
    return xr.Dataset(arrays, coords, {"Conventions": "CF-1.7"})


def hours(start: str, end: str, every: int = 1) -> NDArray[np.datetime64]:
    """Times from the first hour of `start` to the last of `end`."""
    last = np.datetime64(end, "h") + np.timedelta64(24, "h")
    return np.arange(np.datetime64(start, "h"), last, np.timedelta64(every, "h")).astype("datetime64[ns]")


def answer(request: dict[str, Any]) -> bytes:
    """What the Climate Data Store sends for a request: NetCDF, GRIB, or a ZIP where kinds of steps are mixed.

    As the Store does, it interpolates an area that is not on the grid: its points begin at the north-west corner.
    """
    if "location" in request:
        return series(request)
    is_land, is_ensemble = "product_type" not in request, request.get("product_type") == ["ensemble_members"]
    step = request.get("grid", [0.1 if is_land else 0.5 if is_ensemble else 0.25])[0]
    north, west, south, east = request.get("area", [90, 0, -90, 360 - step])
    latitude = np.arange(north, south - 1e-6, -step)
    longitude = np.arange(west, east + 1e-6, step)
    days = [f"{request['year'][0]}-{m}-{d}" for m in request["month"] for d in request.get("day", ["01"])]
    times = np.array([f"{day}T{hour}" for day in days for hour in request.get("time", ["00:00"])], "datetime64[ns]")
    levels = [int(level) for level in request.get("pressure_level", [])]
    variables = [LAND_NAMES[n] if is_land else LONG_NAMES[n, bool(levels)] for n in request["variable"]]
    if request.get("data_format") == "grib":
        return grib(variables, times, latitude, longitude, levels)
    kinds = {}
    for name, kind in (("instant", False), ("accum", True)):
        names = [variable.short_name for variable in variables if variable.past_hour == kind]
        if names:
            whole = dataset(names, times, latitude, longitude, levels)
            if is_ensemble:
                kinds[name] = netcdf(xr.concat([whole + member for member in range(10)], "number"))
                continue
            expver = np.full(times.size, "0001", "<U4")
            kinds[name] = netcdf(whole.assign_coords(number=0, expver=("valid_time", expver)))
    if len(kinds) == 1:
        return next(iter(kinds.values()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in kinds.items():
            archive.writestr(f"data_stream-oper_stepType-{name}.nc", content)
    return packed.getvalue()


def series(request: dict[str, Any]) -> bytes:
    """A time series of a point as the Climate Data Store sends it: NetCDF files in a ZIP, with time alone."""
    start, end = request["date"][0].split("/")
    latitude, longitude = (np.array([float(request["location"][name])]) for name in ("latitude", "longitude"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in request["variable"]:
            whole = dataset([LONG_NAMES[name, False].short_name], hours(start, end), latitude, longitude)
            content = whole.isel(latitude=0, longitude=0)
            archive.writestr(f"reanalysis-era5-single-levels-timeseries-{name}.nc", netcdf(content))
    return packed.getvalue()


def netcdf(content: xr.Dataset, **options: Any) -> bytes:
    """The bytes of a NetCDF file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content.nc"
        content.to_netcdf(path, engine="netcdf4", **options)
        return path.read_bytes()


def grib(
    variables: Sequence[Variable],
    times: NDArray[np.datetime64],
    latitude: NDArray[Any],
    longitude: NDArray[Any],
    levels: Sequence[int] = (),
) -> bytes:
    """GRIB1 messages; accumulations as steps 1 to 12 of the forecasts from 06 and 18 UTC, as ERA5 has them."""
    import eccodes

    messages = []
    for variable in variables:
        for level in levels or (0,):
            for time in times:
                reference, step = time, 0
                if variable.past_hour:
                    hour = int((time - time.astype("datetime64[D]")) / np.timedelta64(1, "h"))
                    step = (hour - 6) % 12 or 12
                    reference = time - np.timedelta64(step, "h")
                stamp = reference.astype("datetime64[m]").item()
                keys = {
                    "centre": "ecmf", "Ni": longitude.size, "Nj": latitude.size,
                    "latitudeOfFirstGridPointInDegrees": latitude[0], "latitudeOfLastGridPointInDegrees": latitude[-1],
                    "longitudeOfFirstGridPointInDegrees": longitude[0],
                    "longitudeOfLastGridPointInDegrees": longitude[-1],
                    "iDirectionIncrementInDegrees": 0.25, "jDirectionIncrementInDegrees": 0.25,
                    "shortName": variable.grib_name,
                    "dataDate": int(f"{stamp:%Y%m%d}"), "dataTime": stamp.hour * 100, "bitsPerValue": 24,
                }  # fmt: skip
                if levels:
                    keys |= {"typeOfLevel": "isobaricInhPa", "level": level}
                handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
                for key, value in keys.items():
                    eccodes.codes_set(handle, key, value)
                if variable.past_hour:
                    eccodes.codes_set(handle, "stepType", "accum")
                    eccodes.codes_set(handle, "stepRange", f"{step - 1}-{step}")
                field = values(variable, np.array([time]), latitude, longitude, level)
                eccodes.codes_set_values(handle, field.astype("f8").ravel().tolist())
                messages.append(eccodes.codes_get_message(handle))
                eccodes.codes_release(handle)
    return b"".join(messages)

"""Every source's files in one layout: that of the Climate Data Store's current NetCDF files, and only what was asked.

(valid_time, [pressure_level,] latitude descending, longitude from west eastward), short names, units as ECMWF writes
them, the licence's attribution; variables on one level carry it as a scalar coordinate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import nnzip
from nnzip.data.conventions import format_value
from nnzip.data.opening import open_dataset
from nnzip.data.selection import bbox_indices
from nnzip.data.writing import write_dataset
from nnzip.download.licence import attribution
from nnzip.download.plan import Part
from nnzip.download.selection import Area
from nnzip.download.variables import Field
from nnzip.errors import InputError

IDENTITY = "nnzip_request"
"""Global attribute that says what a file was asked for."""

_DIMS = {
    "valid_time": ("valid_time", "time"),
    "pressure_level": ("pressure_level", "level", "isobaricInhPa", "plev"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon"),
}
_EXPVER = "expver"
_SLACK = 1e-4  # degrees: longitudes in float32 are no closer
_COORDINATE_ATTRIBUTES: dict[str, dict[str, str]] = {
    "valid_time": {"long_name": "time", "standard_name": "time"},
    "pressure_level": {"long_name": "pressure", "units": "hPa", "standard_name": "air_pressure", "positive": "down"},
    "latitude": {"long_name": "latitude", "units": "degrees_north", "standard_name": "latitude"},
    "longitude": {"long_name": "longitude", "units": "degrees_east", "standard_name": "longitude"},
}


def tidy(dataset: xr.Dataset, part: Part) -> xr.Dataset:
    """`dataset` of any source in the common layout, cut lazily to what `part` asks for.

    Raises InputError when a variable, level or time is missing.
    """
    dataset = rename(dataset, part.selection.fields)
    kept = [_EXPVER] if _EXPVER in dataset.coords and dataset[_EXPVER].dims == ("valid_time",) else []
    wanted = {"valid_time", "pressure_level", "latitude", "longitude", *kept}
    dataset = dataset.drop_vars([name for name in dataset.coords if name not in wanted])
    dataset = _select(dataset, part)
    for name, attributes in _COORDINATE_ATTRIBUTES.items():
        if name in dataset.coords:
            dataset[name].attrs = dict(attributes)
    for field in part.selection.fields:
        _describe(dataset[field.variable.short_name], field)
    dataset.attrs = {
        "Conventions": "CF-1.7",
        **attribution(part),
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} downloaded by nnzip {nnzip.__version__}",
        IDENTITY: part.identity,
    }
    dataset.encoding = {}
    return dataset


def rename(dataset: xr.Dataset, fields: tuple[Field, ...]) -> xr.Dataset:
    """The variables of `fields` alone, under their short names, on dimensions of the common names.

    Raises InputError naming a variable that the dataset lacks.
    """
    names = {_find(dataset, field): field.variable.short_name for field in fields}
    dataset = dataset[list(names)].rename({old: new for old, new in names.items() if old != new})
    for new, candidates in _DIMS.items():
        old = next((name for name in candidates if name in dataset.dims), None)
        old = old or next((name for name in candidates if name in dataset.coords), None)
        if old is not None and old != new:
            dataset = dataset.drop_vars(new, errors="ignore").rename({old: new})
    for new in ("valid_time", "latitude", "longitude"):
        if new not in dataset.coords:
            raise InputError(f"what arrived has no {new}: it holds {', '.join(map(str, dataset.coords)) or 'nothing'}")
        if new not in dataset.dims:
            dataset = dataset.expand_dims(new)  # a single one in a GRIB file
    return dataset


def write_part(dataset: xr.Dataset, part: Part, path: Path, scratch: Path) -> Path:
    """Write a part's dataset as NetCDF into `scratch`, read it again, and move it to `path` (on the same disk).

    Raises InputError when a time is empty although others are not, or nothing has a value.
    """
    written = write_dataset(dataset, scratch / f"{path.stem}.new.nc", overwrite=True)
    with open_dataset(written) as again:
        _check_values(again, part)
    written.replace(path)
    return path


def _find(dataset: xr.Dataset, field: Field) -> str:
    variable = field.variable
    spellings = {variable.short_name, variable.long_name, variable.grib_name, _ncar_name(variable.ncar_code)}
    for name, array in dataset.data_vars.items():
        if name in spellings or array.attrs.get("GRIB_shortName") == variable.grib_name:
            return str(name)
    held = ", ".join(map(str, dataset.data_vars)) or "nothing"
    raise InputError(f"{variable.short_name} ({variable.long_name}) is missing in what arrived, which holds {held}")


def _ncar_name(code: str) -> str:
    """Variable in a file of NCAR: 128_167_2t is VAR_2T, 128_151_msl is MSL."""
    name = code.rpartition("_")[2].upper()
    return f"VAR_{name}" if name[:1].isdigit() else name


def _select(dataset: xr.Dataset, part: Part) -> xr.Dataset:
    selection = part.selection
    times, held = selection.times, dataset["valid_time"].to_numpy().astype("datetime64[ns]")
    lacking = np.setdiff1d(times, held)
    if lacking.size:
        raise InputError(
            f"{part.name}: {lacking.size} of {times.size} times are missing in what arrived, the first is "
            f"{format_value(lacking[0])}: ERA5 may not reach so far yet; take an earlier --end"
        )
    order = np.argsort(held, kind="stable")
    dataset = dataset.isel(valid_time=_steps(order[np.searchsorted(held, times, sorter=order)]))
    levels = selection.fields[0].levels
    if levels:
        if "pressure_level" not in dataset.coords:
            raise InputError(f"{part.name}: what arrived has no pressure levels")
        held_levels = np.atleast_1d(dataset["pressure_level"].to_numpy()).astype(float)
        missing = [level for level in levels if level not in held_levels]
        if missing:
            raise InputError(f"{part.name}: the level {missing[0]} hPa is missing in what arrived")
        if "pressure_level" in dataset.dims:
            places = [int(np.flatnonzero(held_levels == level)[0]) for level in levels]
            dataset = dataset.isel(pressure_level=places if len(levels) > 1 else places[0])
        dims: tuple[str, ...] = ("valid_time", *(["pressure_level"] if len(levels) > 1 else []))
    else:
        dataset, dims = dataset.drop_vars("pressure_level", errors="ignore"), ("valid_time",)
    return _ordered(_cut(dataset, selection.area), (*dims, "latitude", "longitude"))


def _ordered(dataset: xr.Dataset, dims: tuple[str, ...]) -> xr.Dataset:
    """Dimensions in the order of `dims`; a variable with another one is loaded, for xarray would read it by points."""
    for variable in dataset.data_vars.values():
        if variable.dims != dims:
            variable.load()
    return dataset.transpose(*dims)


def _cut(dataset: xr.Dataset, area: Area | None) -> xr.Dataset:
    """The area, with latitudes from the north and longitudes eastward from its west (from 0 on the globe)."""
    latitude, longitude = dataset["latitude"].to_numpy(), dataset["longitude"].to_numpy().astype(np.float64)
    north, west, south, east = area or Area(90.0, 0.0, -90.0, 360.0)
    found, columns = bbox_indices(latitude, longitude, (south, north, west, east if east > west else east + 360))
    if (east - west) % 360 == 0:
        columns = np.argsort((longitude - west) % 360, kind="stable")
    rows = np.arange(latitude.size)[found]
    if latitude[rows[0]] < latitude[rows[-1]]:
        rows = rows[::-1]
    turns = np.floor((longitude[columns] - west + _SLACK) / 360)
    cut = dataset.isel(latitude=_steps(rows), longitude=_steps(columns))
    return cut.assign_coords(longitude=("longitude", longitude[columns] - 360 * turns))


def _steps(positions: Any) -> Any:
    """Positions as a slice where they are one with a positive step: stores are read in whole blocks then."""
    found = np.asarray(positions)
    steps = np.unique(np.diff(found))
    if steps.size == 1 and steps[0] > 0:
        return slice(int(found[0]), int(found[-1]) + 1, int(steps[0]))
    return found


def _describe(array: xr.DataArray, field: Field) -> None:
    """Attributes of a variable: the source's own, completed by the table."""
    variable = field.variable
    known = {"long_name": variable.long_name.replace("_", " "), "units": variable.units}
    if variable.standard_name:
        known["standard_name"] = variable.standard_name
    if variable.accumulated:
        known["cell_methods"] = "valid_time: sum (over the hour before)"
        if variable.short_name in ("fg10", "mx2t", "mn2t"):
            extreme = "minimum" if variable.short_name == "mn2t" else "maximum"
            known["cell_methods"] = f"valid_time: {extreme} (over the hour before)"
    own = {key: str(array.attrs.get(key, "")) for key in ("long_name", "standard_name")}
    known |= {key: text for key, text in own.items() if text not in ("", "unknown", "~")}
    array.attrs = known | {key: value for key, value in array.attrs.items() if key.startswith("GRIB_")}


def _check_values(dataset: xr.Dataset, part: Part) -> None:
    """Raise InputError when a variable has no value at some times."""
    times = dataset["valid_time"].to_numpy()
    empty = {name: np.zeros(times.size, bool) for name in map(str, dataset.data_vars)}
    for name, flags in empty.items():
        for step in range(times.size):
            flags[step] = not np.isfinite(dataset[name].isel(valid_time=step).to_numpy()).any()
    for name, flags in empty.items():
        if flags.any() and not flags.all():
            first = format_value(times[np.flatnonzero(flags)[0]])
            raise InputError(f"{part.name}: {name} has no value at {int(flags.sum())} times, the first is {first}")
    if all(flags.all() for flags in empty.values()):
        raise InputError(f"{part.name}: no variable has a value in this area and period at the source")

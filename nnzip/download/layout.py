"""Every source's data in one layout: that of the Climate Data Store's current NetCDF files, and only what was asked.

([number,] valid_time, [pressure_level,] latitude descending, longitude from west eastward), short names, units as ECMWF
writes them, the licence's attribution; variables on one level carry it as a scalar coordinate, static fields have no
time. What arrives is checked: exactly the times, levels, rows and columns of the selection must be in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nnzip
from nnzip.data.conventions import format_value
from nnzip.download.datasets import Dataset
from nnzip.download.gaps import has_begun
from nnzip.download.licence import attribution
from nnzip.download.plan import Part
from nnzip.download.variables import Field, Variable
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
_DECIMALS = 4  # of degrees: float32 longitudes are no closer
_COORDINATE_ATTRIBUTES: dict[str, dict[str, str]] = {
    "number": {"long_name": "ensemble member numerical id", "units": "1", "standard_name": "realization"},
    "valid_time": {"long_name": "time", "standard_name": "time"},
    "pressure_level": {"long_name": "pressure", "units": "hPa", "standard_name": "air_pressure", "positive": "down"},
    "latitude": {"long_name": "latitude", "units": "degrees_north", "standard_name": "latitude"},
    "longitude": {"long_name": "longitude", "units": "degrees_east", "standard_name": "longitude"},
}


class ContentError(InputError):
    """What arrived can be read, but is not what was asked for."""


def tidy(dataset: xr.Dataset, part: Part) -> xr.Dataset:
    """`dataset` of any source in the common layout, cut lazily to what `part` asks for.

    Raises ContentError when a variable, level, time or point of the grid is missing.
    """
    renamed = rename(dataset, part.selection.fields)
    places = locate(renamed, part)
    kept = {}
    if _EXPVER in renamed.coords and renamed[_EXPVER].dims == ("valid_time",) and "valid_time" in places:
        kept[_EXPVER] = renamed[_EXPVER].variable.isel(valid_time=_steps(places["valid_time"]))
    names = [field.variable.short_name for field in part.selection.fields]
    return build(part, {name: cut(renamed[name].variable, places, part) for name in names}, kept)


def cut(variable: xr.Variable, places: Mapping[str, NDArray[np.intp]], part: Part) -> xr.Variable:
    """A variable of a renamed dataset at `places`, lazily, on `dims_of(part)`."""
    dims = dims_of(part)
    chosen = variable.isel({dim: _steps(places[str(dim)]) for dim in variable.dims if dim in places})
    chosen = chosen.isel({dim: 0 for dim in variable.dims if dim not in dims})
    return _ordered(chosen, dims)


def build(
    part: Part, variables: Mapping[str, xr.Variable], further: Mapping[str, xr.Variable] | None = None
) -> xr.Dataset:
    """The part's dataset of its variables by short name, on `dims_of(part)`, with exact coordinates and attributes.

    Times that ERA5 does not have (the first hours of 1940) are filled with NaN. further: coordinates to keep.
    """
    selection = part.selection
    coords: dict[str, Any] = {
        "number": np.arange(selection.dataset.members),
        "valid_time": _time_coordinate(part, variables),
        "latitude": selection.latitudes,
        "longitude": selection.longitudes,
    }
    levels = np.array(selection.fields[0].levels, np.float64)
    dims = dims_of(part)
    if levels.size:
        coords["pressure_level"] = levels if levels.size > 1 else levels[0]
    used = {name: values for name, values in coords.items() if name in dims or name == "pressure_level"}
    dataset = xr.Dataset(dict(variables), {**used, **(further or {})})
    if "valid_time" in dims and dataset.sizes["valid_time"] < selection.times.size:
        dataset = dataset.reindex(valid_time=selection.times)
    for name in set(dataset.coords) & set(_COORDINATE_ATTRIBUTES):
        dataset[name].attrs = dict(_COORDINATE_ATTRIBUTES[str(name)])
    for field in selection.fields:
        _describe(dataset[field.variable.short_name], field, selection.dataset)
    dataset.attrs = {
        "Conventions": "CF-1.7",
        **attribution(part),
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} downloaded by nnzip {nnzip.__version__}",
        IDENTITY: part.identity,
    }
    return dataset


def dims_of(part: Part) -> tuple[str, ...]:
    """Dimensions of the part's variables."""
    selection = part.selection
    return (
        *(["number"] if selection.dataset.members else []),
        *([] if selection.static else ["valid_time"]),
        *(["pressure_level"] if len(selection.fields[0].levels) > 1 else []),
        "latitude",
        "longitude",
    )


def rename(dataset: xr.Dataset, fields: tuple[Field, ...]) -> xr.Dataset:
    """The variables of `fields` alone, under their short names, on dimensions of the common names.

    Raises ContentError naming a variable that the dataset lacks.
    """
    names = {find(dataset, field): field.variable.short_name for field in fields}
    dataset = dataset[list(names)].rename({old: new for old, new in names.items() if old != new})
    for new, candidates in _DIMS.items():
        old = next((name for name in candidates if name in dataset.dims), None)
        old = old or next((name for name in candidates if name in dataset.coords), None)
        if old is not None and old != new:
            dataset = dataset.drop_vars(new, errors="ignore").rename({old: new})
    static = all(field.variable.step == "static" for field in fields)
    for new in ("latitude", "longitude") if static else ("valid_time", "latitude", "longitude"):
        if new not in dataset.coords:
            raise ContentError(
                f"what arrived has no {new}: it holds {', '.join(map(str, dataset.coords)) or 'nothing'}"
            )
        if new not in dataset.dims:
            dataset = dataset.expand_dims(new)  # a single one in a GRIB file, or a time series
    return dataset


def find(dataset: xr.Dataset, field: Field) -> str:
    """Name of a field's variable in a dataset of any source. Raises ContentError when it is missing."""
    variable = field.variable
    spellings = {*variable.names, variable.arco, variable.wb2, _ncar_name(variable.ncar)} - {""}
    if variable.short_name == "zs":
        spellings |= {"z"}
    for name, array in dataset.data_vars.items():
        if (
            array.attrs.get("GRIB_paramId") == variable.param_id
            or array.attrs.get("GRIB_shortName") == variable.grib_name
        ):
            return str(name)
    for name in dataset.data_vars:
        if name in spellings:
            return str(name)
    held = ", ".join(map(str, dataset.data_vars)) or "nothing"
    raise ContentError(f"{variable.short_name} ({variable.cds_name}) is missing in what arrived, which holds {held}")


def locate(dataset: xr.Dataset, part: Part, times: NDArray[np.datetime64] | None = None) -> dict[str, NDArray[np.intp]]:
    """Positions of the part's times, levels, rows and columns along the dimensions of a renamed dataset.

    times: by default those that ERA5 has of the part's variables. Raises ContentError when one of them is missing,
    naming what was asked for and what arrived.
    """
    selection, found = part.selection, {}
    if "valid_time" in dataset.dims:
        held = dataset["valid_time"].to_numpy().astype("datetime64[ns]")
        found["valid_time"] = _times(held, _begun(part) if times is None else times, part)
    levels = selection.fields[0].levels
    if levels:
        found |= _levels(dataset, levels, part)
    members = selection.dataset.members
    if members and dataset.sizes.get("number") != members:
        raise ContentError(f"{part.name}: {members} members were asked for, {dataset.sizes.get('number', 1)} arrived")
    for name, wanted, period in (("latitude", selection.latitudes, None), ("longitude", selection.longitudes, 360.0)):
        held = dataset[name].to_numpy().astype(np.float64)
        places, missing = _match(held, wanted, period)
        if missing.any():
            spacing = float(np.abs(np.diff(np.sort(held))).min(initial=360.0))
            raise ContentError(
                f"{part.name}: {int(missing.sum())} of {wanted.size} {name}s are missing in what arrived, the first is "
                f"{wanted[missing][0]:g}: asked for {wanted[0]:g} to {wanted[-1]:g} every {selection.grid:g} degrees, "
                f"arrived {held[0]:g} to {held[-1]:g} every {spacing:.4g}"
            )
        found[name] = places
    return found


def _ncar_name(code: str) -> str:
    """Variable in a file of NCAR: 128_167_2t is VAR_2T, 128_151_msl is MSL."""
    name = code.rpartition("_")[2].upper()
    return f"VAR_{name}" if name[:1].isdigit() else name


def _times(held: NDArray[np.datetime64], wanted: NDArray[np.datetime64], part: Part) -> NDArray[np.intp]:
    lacking = np.setdiff1d(wanted, held)
    if lacking.size:
        raise ContentError(
            f"{part.name}: {lacking.size} of {wanted.size} times are missing in what arrived, the first is "
            f"{format_value(lacking[0])}: ERA5 may not reach so far yet; take an earlier --end"
        )
    order = np.argsort(held, kind="stable")
    return order[np.searchsorted(held, wanted, sorter=order)]


def _time_coordinate(part: Part, variables: Mapping[str, xr.Variable]) -> NDArray[np.datetime64]:
    times = part.selection.times
    sizes = {variable.sizes.get("valid_time", times.size) for variable in variables.values()}
    return times if sizes == {times.size} else _begun(part)


def _begun(part: Part) -> NDArray[np.datetime64]:
    """The part's times, from the first that a field of it has."""
    times = part.selection.times
    begun = np.zeros(times.size, bool)
    for field in part.selection.fields:
        begun |= has_begun(field.variable, part.selection)
    return times[begun]


def _levels(dataset: xr.Dataset, levels: tuple[int, ...], part: Part) -> dict[str, NDArray[np.intp]]:
    if "pressure_level" not in dataset.coords:
        raise ContentError(f"{part.name}: what arrived has no pressure levels")
    held = np.atleast_1d(dataset["pressure_level"].to_numpy()).astype(float)
    missing = [level for level in levels if level not in held]
    if missing:
        raise ContentError(f"{part.name}: the level {missing[0]} hPa is missing in what arrived")
    if "pressure_level" not in dataset.dims:
        return {}
    return {"pressure_level": np.array([int(np.flatnonzero(held == level)[0]) for level in levels])}


def _match(
    held: NDArray[np.float64], wanted: NDArray[np.float64], period: float | None
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Position in `held` of each wanted value, and which are missing; a repeated seam counts once."""

    def key(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.round(values, _DECIMALS) if period is None else np.round(values % period, _DECIMALS) % period

    order = np.argsort(key(held), kind="stable")
    places = order[np.searchsorted(key(held), key(wanted), sorter=order).clip(max=held.size - 1)]
    return places, key(held)[places] != key(wanted)


def _ordered(variable: xr.Variable, dims: tuple[str, ...]) -> xr.Variable:
    """Dimensions in the order of `dims`; loaded where they are not, for xarray would read it by points."""
    return variable if variable.dims == dims else variable.load().transpose(*dims)


def _steps(positions: NDArray[np.intp]) -> Any:
    """Positions as a slice where they are one with a positive step: stores are read in whole blocks then."""
    steps = np.unique(np.diff(positions))
    if positions.size == 1 or (steps.size == 1 and steps[0] > 0):
        return slice(int(positions[0]), int(positions[-1]) + 1, int(steps[0]) if steps.size else 1)
    return positions


def _describe(array: xr.DataArray, field: Field, dataset: Dataset) -> None:
    """Attributes of a variable: the source's own, completed by the table."""
    variable = field.variable
    known = {"long_name": variable.cds_name.replace("_", " "), "units": variable.units}
    if variable.cf_name:
        known["standard_name"] = variable.cf_name
    method = _cell_method(variable, dataset)
    if method:
        known["cell_methods"] = f"valid_time: {method}"
    array.attrs = known | {key: value for key, value in array.attrs.items() if str(key).startswith("GRIB_")}
    array.encoding = {}


def _cell_method(variable: Variable, dataset: Dataset) -> str:
    """Span that a value covers: the hours before its time, the day or the month; "" for an instant."""
    if dataset.step == "month":
        return "mean (of the month)"
    if dataset.step == "day":
        return f"{dataset.name.rpartition('-')[2]} (of the day)"
    if not variable.past_hour:
        return ""
    if dataset.since_midnight and variable.step == "sum":
        return "sum (since 00 UTC; at 00 UTC of the day before)"
    return f"{variable.step} (over the {'hour' if dataset.every == 1 else f'{dataset.every} hours'} before)"

"""Which dimension of a dataset is time, which latitude, which longitude, and what its coordinate values are.

CF attributes decide first (read with cf_xarray: axis, standard_name, units such as degrees_north), then the type of
the coordinate, then the usual names, then coordinates that lie along a dimension of another name: ``lat(y)`` or the
two-dimensional ``lat(y, x)`` of curvilinear grids. Attributes: CF conventions 1.11, chapters 4 and 5.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cf_xarray  # noqa: F401  (registers the .cf accessor)
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.times import is_time_valued, seconds_since_epoch
from nnzip.errors import InputError, ResourceError

Role = Literal["time", "latitude", "longitude"]
HorizontalRole = Literal["latitude", "longitude"]
HORIZONTAL: tuple[HorizontalRole, HorizontalRole] = ("latitude", "longitude")

TIME_NAMES = (
    "valid_time", "time", "t", "datetime", "date", "times", "xtime", "time_counter", "step", "lead_time", "leadtime",
    "forecast_period", "forecast_hour", "prediction_timedelta", "year", "month", "dayofyear", "hour",
)  # fmt: skip
LATITUDE_NAMES = (
    "latitude", "lat", "lats", "nav_lat", "nlat", "rlat", "grid_latitude", "south_north", "y", "yc", "ny", "nj", "j",
)  # fmt: skip
LONGITUDE_NAMES = (
    "longitude", "lon", "lons", "nav_lon", "nlon", "rlon", "grid_longitude", "west_east", "x", "xc", "nx", "ni", "i",
)  # fmt: skip
DEGREE_NAMES = {"latitude", "lat", "lats", "nav_lat", "longitude", "lon", "lons", "long", "nav_lon"}
OWN_ATTRIBUTES = ("nnzip_rmse", "nnzip_max_error", "nnzip_bound")
"""What decoded variables say about themselves, in their own units."""

TURN = 360.0

_BLOCK_VALUES = 1 << 22
_NEEDED_TO_READ = 4  # times the values: chunks and their filters take memory too
_EVEN = 0.05  # of a spacing: how much those of a global axis may differ
_CF_KEYS: dict[Role, tuple[str, str]] = {  # cf_xarray's names: coordinate, axis
    "time": ("time", "T"),
    "latitude": ("latitude", "Y"),
    "longitude": ("longitude", "X"),
}
_ROLE_NAMES: dict[Role, tuple[str, ...]] = {
    "time": TIME_NAMES,
    "latitude": LATITUDE_NAMES,
    "longitude": LONGITUDE_NAMES,
}


@dataclass(frozen=True)
class Axis:
    """One axis of a group of variables.

    ``values`` are strictly monotonic float64: seconds since 1970-01-01 for time, degrees for latitude and longitude
    (longitudes that wrap are continued beyond 180 or 360, so true modulo 360). Where they are not known
    (two-dimensional, missing or non-numeric coordinate) the axis lives in index space, 0, 1, 2, ..., and
    ``geographic`` is False.
    ``dim`` is None for the time axis of variables without a time dimension.
    """

    dim: str | None
    values: NDArray[np.float64]
    geographic: bool


def dimension_roles(dataset: xr.Dataset) -> dict[str, Role]:
    """Role of every dimension of `dataset` that has one; levels, members and other dimensions are absent."""
    marked = _roles_by_attributes(dataset)
    roles: dict[str, Role] = {}
    for dim in map(str, dataset.dims):
        role = _role_of_coordinate(dataset, dim, marked) or _role_of_name(dim)
        role = role or _role_of_companion(dataset, dim, marked)
        if role is not None:
            roles[dim] = role
    return roles


def variable_dims(dataset: xr.Dataset, name: str, roles: Mapping[str, Role]) -> dict[Role, str]:
    """The time, latitude and longitude dimension of variable `name`, as far as it has them.

    Of several time-like dimensions (analysis time and forecast step) the longest is time, the others are channels; of
    several latitudes or longitudes the first.
    """
    variable = dataset[name]
    found: dict[Role, str] = {}
    for dim in map(str, variable.dims):
        role = roles.get(dim)
        if role is None:
            continue
        longer_time = role == "time" and role in found and variable.sizes[dim] > variable.sizes[found[role]]
        if role not in found or longer_time:
            found[role] = dim
    return found


def time_axis(dataset: xr.Dataset, dim: str | None) -> Axis:
    """Time axis along `dim`; without a dimension the scalar time coordinate, if there is one, is its only value."""
    coordinate = time_coordinate(dataset, dim)
    size = 1 if dim is None else dataset.sizes[dim]
    if coordinate is not None:
        values = seconds_since_epoch(np.atleast_1d(coordinate.to_numpy()))
        if np.isfinite(values).all() and _is_strictly_monotonic(values):
            return Axis(dim, values, True)
    return Axis(dim, np.arange(size, dtype=np.float64), False)


def time_coordinate(dataset: xr.Dataset, dim: str | None) -> xr.DataArray | None:
    """The coordinate that holds real times along `dim` (for None: the scalar one), or None.

    The dimension's own coordinate first, then for example ``valid_time(step)`` of forecasts.
    """
    wanted = () if dim is None else (dim,)
    names = [str(name) for name, c in dataset.coords.items() if c.dims == wanted and is_time_valued(c.variable)]
    names.sort(key=lambda name: (name != dim, name not in ("valid_time", "time"), name != "valid_time"))
    return dataset.coords[names[0]] if names else None


def horizontal_axis(dataset: xr.Dataset, dim: str, role: HorizontalRole) -> Axis:
    """Latitude or longitude axis along `dim`; index space unless it has degrees that a globe can have."""
    coordinate = degrees_coordinate(dataset, dim, role)
    if coordinate is not None:
        values = coordinate.to_numpy().astype(np.float64)
        if np.isfinite(values).all():
            if role == "longitude":
                values = np.unwrap(values, period=360.0) if np.abs(np.diff(values)).max(initial=0.0) > 180.0 else values
            limit = 90.0 + 1e-6 if role == "latitude" else 1080.0
            if np.abs(values).max() <= limit and _is_strictly_monotonic(values):
                return Axis(dim, values, True)
    return Axis(dim, np.arange(dataset.sizes[dim], dtype=np.float64), False)


def degrees_coordinate(dataset: xr.Dataset, dim: str, role: HorizontalRole) -> xr.DataArray | None:
    """The one-dimensional coordinate along `dim` that is the true latitude or longitude, or None."""
    marked = dataset.cf.coordinates.get(role, [])
    candidates = [dim, *(str(name) for name in dataset.coords if name != dim)]
    for name in candidates:
        if name not in dataset.coords or dataset.coords[name].dims != (dim,):
            continue
        coordinate = dataset.coords[name]
        units = str(coordinate.attrs.get("units", "degrees"))
        if coordinate.dtype.kind not in "fiu" or not units.startswith("deg"):
            continue
        if name in marked or (name.lower() in DEGREE_NAMES and name.lower() in _ROLE_NAMES[role]):
            return coordinate
    return None


def is_global(longitude: NDArray[np.float64]) -> bool:
    """Whether longitudes [points] in degrees close the circle: evenly spaced, also across the seam."""
    if longitude.size < 4:
        return False
    seam = TURN - abs(float(longitude[-1] - longitude[0]))
    steps = np.append(np.abs(np.diff(longitude)), seam)
    return bool((np.abs(steps - steps[0]) < _EVEN * steps[0]).all())


def curvilinear_coordinates(dataset: xr.Dataset, latitude: str, longitude: str) -> tuple[str, str] | None:
    """Names of the two-dimensional latitude and longitude over the dimensions `latitude` and `longitude`, or None."""
    found = []
    for role in HORIZONTAL:
        names = marked_variables(dataset, role) + list(_ROLE_NAMES[role])
        names += [name.upper() for name in names]
        for name in names:
            if name in dataset.variables and set(dataset[name].dims) == {latitude, longitude}:
                found.append(name)
                break
    return (found[0], found[1]) if len(found) == 2 else None


def marked_variables(dataset: xr.Dataset, role: HorizontalRole) -> list[str]:
    """Variables, coordinates or not, whose CF attributes say that they hold latitudes or longitudes."""
    everything = dataset.set_coords(list(dataset.data_vars))
    return sorted(str(name) for name in everything.cf.coordinates.get(role, []))


def check_coordinates(dataset: xr.Dataset, dims: Mapping[str, Any] | set[str] | None = None) -> None:
    """Refuse dimension coordinates (of `dims`, or all) with a value that occurs twice.

    Raises InputError naming the coordinate, the value, both positions and the remedy.
    """
    for dim in map(str, dataset.dims if dims is None else dims):
        if dim not in dataset.indexes or dataset.indexes[dim].is_unique:
            continue
        index = dataset.indexes[dim]
        second = int(np.flatnonzero(index.duplicated())[0])
        first = int(np.flatnonzero(index == index[second])[0])
        value = format_value(dataset[dim].to_numpy()[second])
        raise InputError(
            f"the coordinate {dim!r} holds {value} twice (positions {first} and {second}): remove the repetition, for "
            f"example with dataset.drop_duplicates({dim!r})"
        )


def referenced_variables(dataset: xr.Dataset, names: list[str]) -> list[str]:
    """Data variables that `names` and their coordinates point to: bounds, grid mappings, cell measures, ancillary."""
    coordinates = [str(c) for name in names for c in dataset[name].coords]
    found: dict[str, None] = {}
    for name in dict.fromkeys([*names, *coordinates]):
        variable = dataset[name].variable
        for key in ("bounds", "climatology", "grid_mapping", "cell_measures", "ancillary_variables", "formula_terms"):
            text = variable.attrs.get(key, variable.encoding.get(key, ""))
            found.update((word, None) for word in str(text).replace(":", " ").split() if word in dataset.data_vars)
    return [name for name in found if name not in names]


def arranged(dataset: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """The data variables `names` in this order, with every coordinate, also those that no variable uses."""
    found = xr.Dataset({name: dataset.variables[name] for name in names}, dataset.coords, dataset.attrs)
    found.encoding = dataset.encoding
    return found


def read_values(array: xr.DataArray | xr.Variable, name: str) -> NDArray[Any]:
    """Values of `array`. Raises InputError, naming the variable, when the file breaks while it is read; ResourceError
    where memory was too short for it, which HDF5 does not tell apart."""
    try:
        if array.chunks is not None:  # not on the cluster's other workers, where this is one of them
            array = array.compute(scheduler="synchronous")
        return np.asarray(array.to_numpy())
    except (OSError, RuntimeError) as error:
        try:
            np.empty(_NEEDED_TO_READ * array.nbytes, np.uint8)
        except MemoryError:
            raise ResourceError(f"not enough memory to read {array.nbytes / 1e6:.0f} MB of {name!r}") from error
        raise InputError(f"the values of {name!r} cannot be read ({error}): the file is damaged or gone") from error


def sliced(variable: xr.Variable, indexers: Mapping[str, slice]) -> xr.Variable:
    """A part of a variable, not read yet, that pickles as paths and slices, or with its own values alone."""
    part = variable.isel(indexers)
    if part.chunks is not None:
        from dask.base import optimize

        (part,) = optimize(part)  # type: ignore[no-untyped-call] # leaves out the other blocks
    return part


def blocks(array: xr.DataArray) -> Iterator[xr.DataArray]:
    """`array` in blocks of about 2^22 values, cut along the leading dimensions."""
    if array.size <= _BLOCK_VALUES or array.ndim == 0:
        yield array
        return
    dim, inner = array.dims[0], array.size // array.shape[0]
    step = max(1, _BLOCK_VALUES // inner)
    for start in range(0, array.shape[0], step):
        yield from blocks(array.isel({dim: slice(start, start + step) if step > 1 else start}))


def format_value(value: Any) -> str:
    """A coordinate value for a message: times to the second, durations in hours, numbers without type names."""
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]")).removesuffix(":00")
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 'h'):g} h"
    return str(value.item() if isinstance(value, np.generic) else value)


def _is_strictly_monotonic(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _roles_by_attributes(dataset: xr.Dataset) -> dict[Hashable, Role]:
    """Variables whose CF attributes make them a time, latitude or longitude."""
    axes, coordinates = dataset.cf.axes, dataset.cf.coordinates
    marked: dict[Hashable, Role] = {}
    for role, (coordinate_key, axis_key) in _CF_KEYS.items():
        for name in [*axes.get(axis_key, []), *coordinates.get(coordinate_key, [])]:
            marked.setdefault(name, role)
    return marked


def _role_of_coordinate(dataset: xr.Dataset, dim: str, marked: Mapping[Hashable, Role]) -> Role | None:
    """Role by the dimension's own coordinate variable."""
    if dim not in dataset.variables or dataset[dim].dims != (dim,):
        return None
    if dim in marked:
        return marked[dim]
    variable = dataset[dim].variable
    return "time" if is_time_valued(variable) or variable.dtype.kind == "m" else None


def _role_of_name(dim: str) -> Role | None:
    name = dim.lower()
    return next((role for role, names in _ROLE_NAMES.items() if name in names), None)


def _role_of_companion(dataset: xr.Dataset, dim: str, marked: Mapping[Hashable, Role]) -> Role | None:
    """Role by another coordinate over the dimension: lat(y), valid_time(step), or a two-dimensional lat(y, x)."""
    for name, coordinate in dataset.coords.items():
        if coordinate.dims == (dim,):
            role = marked.get(name) or ("time" if is_time_valued(coordinate.variable) else _role_of_name(str(name)))
            if role is not None:
                return role
    for name, coordinate in dataset.coords.items():
        is_horizontal = (marked.get(name) or _role_of_name(str(name))) in HORIZONTAL
        if is_horizontal and coordinate.ndim == 2 and dim in coordinate.dims:
            return "latitude" if coordinate.dims[0] == dim else "longitude"
    return None

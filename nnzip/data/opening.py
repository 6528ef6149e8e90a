"""Files to one lazy xarray.Dataset: NetCDF, Zarr and GRIB, one file or many.

Formats are told by content (nnzip/data/formats.py), several files are joined on their coordinates
(nnzip/data/joining.py). Only several files are dask-backed; one file is read lazily by xarray alone.
"""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from nnzip.data.bytefile import explained, is_url
from nnzip.data.coders import DURATIONS, decode_durations
from nnzip.data.conventions import check_coordinates
from nnzip.data.expver import has_versions, merge_versions
from nnzip.data.formats import Format, detect_format, zarr_root
from nnzip.data.joining import join_files, merge_cubes
from nnzip.data.packing import unpacked_attributes
from nnzip.data.zipped import unpack
from nnzip.errors import InputError, NnzipWarning, UnavailableError, UsageError

_BLOCK_VALUES = 1 << 22  # dask chunk of a large variable, about 16 MiB of float32
_WILDCARDS = "*?["

PathInput = str | PathLike[str]
Data = PathInput | Sequence[PathInput] | xr.Dataset | xr.DataArray
"""What functions of the package take for a dataset."""


def open_dataset(paths: PathInput | Sequence[PathInput]) -> xr.Dataset:
    """Open `paths` (a file, a Zarr store, a glob pattern, or several of them) lazily as one decoded CF dataset.

    URLs that fsspec knows are stores where their names hold ".zarr", and read lazily; files are copied here first.
    Several files are joined on their coordinates, along existing dimensions or along scalar coordinates that differ
    (level, step, member), and are backed by dask. Ranges given in packed integers (valid_min, ...) are unpacked.
    Raises InputError (missing, truncated, foreign or misfitting files, repeated coordinate values), UnavailableError
    (GRIB without cfgrib) or ResourceError (not readable).
    """
    files = resolve_paths(paths)
    opened = [_open_file(path) for path in files]
    dataset = opened[0] if len(opened) == 1 else _join(opened, files)
    if has_versions(dataset):
        close = dataset.close
        dataset = merge_versions(_chunked(dataset))
        dataset.set_close(close)
    for variable in dataset.variables.values():
        variable.attrs = unpacked_attributes(variable)
    check_coordinates(dataset)
    return dataset


@contextmanager
def opened(data: Data) -> Iterator[xr.Dataset]:
    """`data` as a dataset; what a path names is opened, and closed on leaving.

    Raises TypeError for other types, UsageError for an array without a name, and what `open_dataset` raises.
    """
    if isinstance(data, xr.Dataset):
        yield data
    elif isinstance(data, xr.DataArray):
        if data.name is None:
            raise UsageError("the array has no name: give it that of its variable, as array.rename('t2m')")
        yield data.to_dataset()
    elif isinstance(data, str | PathLike) or (
        isinstance(data, Sequence) and all(isinstance(path, str | PathLike) for path in data)
    ):
        with open_dataset(data) as dataset:
            yield dataset
    else:
        raise TypeError(
            f"data are a path, several paths, an xarray.Dataset or an xarray.DataArray, not a {type(data).__name__}: "
            "xarray.DataArray(values, dims=('time', 'latitude', 'longitude'), name='t2m') makes one of an array"
        )


def resolve_paths(paths: PathInput | Sequence[PathInput]) -> list[Path | str]:
    """Files and URLs that `paths` name, patterns expanded and sorted.

    Raises InputError when a pattern matches nothing.
    """
    given = [paths] if isinstance(paths, str | PathLike) else list(paths)
    if not given:
        raise InputError("no input file is given")
    files: dict[Path | str, None] = {}
    for item in given:
        if is_url(item):
            files[str(item)] = None
            continue
        path = Path(item).expanduser()
        if not any(character in str(path) for character in _WILDCARDS) or path.exists():
            files[path] = None
            continue
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if not matches:
            raise InputError(f"no file matches {str(item)!r}")
        files.update((Path(match), None) for match in matches)
    return list(files)


def stored_bytes(paths: PathInput | Sequence[PathInput]) -> int:
    """Bytes of the files and Zarr stores that `paths` name; 0 where there are URLs. Raises InputError as
    `resolve_paths`.
    """
    files = resolve_paths(paths)
    if any(isinstance(path, str) for path in files):
        return 0
    parts = (part for path in map(Path, files) for part in (path, *path.rglob("*")))
    return sum(part.stat().st_size for part in parts if part.is_file())


def sources_of(dataset: xr.Dataset) -> set[str]:
    """The files and stores that an open dataset reads from, as far as xarray knows them."""
    every = (dataset.encoding, *(variable.encoding for variable in dataset.variables.values()))
    return {str(encoding["source"]) for encoding in every if isinstance(encoding.get("source"), str | PathLike)}


def _open_url(url: str) -> xr.Dataset:
    """A Zarr store lazily; a file from a copy of it, which is removed when the dataset is closed."""
    name = Path(url).name
    if ".zarr" in name and not name.endswith(".zip"):
        with explained(url):
            return _open_with_xarray(url, url, engine="zarr")
    folder = TemporaryDirectory(prefix="nnzip-")
    try:
        with explained(url):
            import fsspec

            system, path = fsspec.core.url_to_fs(url)
            system.get_file(path, str(Path(folder.name, name)))
        opened = _open_file(Path(folder.name, name))
    except BaseException:
        folder.cleanup()
        raise

    def close() -> None:
        opened.close()
        folder.cleanup()

    dataset = opened.copy()
    dataset.set_close(close)
    return dataset


def _open_file(path: Path | str) -> xr.Dataset:
    if isinstance(path, str):
        return _open_url(path)
    openers: dict[Format, Callable[[Path], xr.Dataset]] = {
        "netcdf": _open_netcdf,
        "grib": _open_grib,
        "zarr": _open_zarr,
        "zarr-zip": _open_zarr_zip,
        "zip": _open_zip,
    }
    return openers[detect_format(path)](path)


def _open_netcdf(path: Path) -> xr.Dataset:
    dataset = _open_with_xarray(path, path, engine="netcdf4")
    groups = _netcdf_groups(path)
    if groups:
        warnings.warn(f"{path}: its groups are left out: {', '.join(groups)}", NnzipWarning, stacklevel=2)
    return dataset


def _netcdf_groups(path: Path) -> list[str]:
    """Groups with variables below the root, "forecast" or "forecast/surface"."""
    import netCDF4

    def below(group: netCDF4.Dataset) -> Iterator[str]:
        for child in group.groups.values():
            if child.variables:
                yield child.path.lstrip("/")
            yield from below(child)

    with netCDF4.Dataset(path) as file:
        return list(below(file))


def _open_zarr(path: Path) -> xr.Dataset:
    return _open_with_xarray(path, path, engine="zarr", consolidated=False)


def _open_zarr_zip(path: Path) -> xr.Dataset:
    from zarr.storage import ZipStore

    return _open_with_xarray(
        path, ZipStore(path, mode="r"), engine="zarr", consolidated=False, group=zarr_root(path) or None
    )


def _open_zip(path: Path) -> xr.Dataset:
    """The files inside, joined; unpacked into a temporary directory that is removed when the dataset is closed."""
    folder = TemporaryDirectory(prefix="nnzip-")
    try:
        files = unpack(path, Path(folder.name))
        opened = [_open_file(file) for file in files]
        dataset = _join(opened, files)
    except BaseException:
        folder.cleanup()
        raise

    def close() -> None:
        _closer(opened)()
        folder.cleanup()

    dataset.set_close(close)
    return dataset


def _join(opened: list[xr.Dataset], files: Sequence[Path | str]) -> xr.Dataset:
    dataset = join_files([_chunked(each) for each in opened], [str(path) for path in files])
    dataset.set_close(_closer(opened))
    return dataset


def _open_with_xarray(path: Path | str, store: Any, **options: Any) -> xr.Dataset:
    """Open one store; times that no calendar can decode ("months since") stay numbers."""
    options = {"decode_timedelta": DURATIONS, **options}
    with warnings.catch_warnings():
        # peculiar fill values of the source; what they mean shows in the values, and nothing can be done here
        warnings.simplefilter("ignore", xr.SerializationWarning)
        try:
            try:
                return decode_durations(xr.open_dataset(store, **options))
            except ValueError as error:
                if "decode" not in str(error):
                    raise
                return decode_durations(xr.open_dataset(store, **options, decode_times=False))
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"{path} cannot be opened ({error}): it is truncated, damaged or of a foreign kind"
            ) from error


def _open_grib(path: Path) -> xr.Dataset:
    try:
        import cfgrib
    except (ImportError, RuntimeError) as error:  # RuntimeError: cfgrib without the ecCodes library
        raise UnavailableError(f"{path} is a GRIB file, to read it: pip install nnzip[grib] ({error})") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # cfgrib calls xr.merge without naming `compat`
        keywords: dict[str, Any] = {"indexpath": "", "errors": "raise"}
        try:
            cubes = cfgrib.open_datasets(str(path), backend_kwargs=keywords, decode_timedelta=DURATIONS)
            if any(_is_accumulated(cube) for cube in cubes):  # beside instantaneous variables, on their times
                keywords["time_dims"] = ("valid_time",)
                cubes = cfgrib.open_datasets(str(path), backend_kwargs=keywords, decode_timedelta=DURATIONS)
        except Exception as error:  # eccodes raises its own exception types, derived from Exception alone
            raise InputError(f"{path} cannot be read as GRIB ({error or type(error).__name__})") from error
    if not cubes:
        raise InputError(f"{path} is a GRIB file without a message that cfgrib can read")
    return merge_cubes([decode_durations(cube) for cube in cubes], str(path))


def _is_accumulated(cube: xr.Dataset) -> bool:
    """True for sums (or extremes) over steps of several forecasts that never reach the same time twice, as in ERA5."""
    kinds = {variable.attrs.get("GRIB_stepType", "instant") for variable in cube.data_vars.values()}
    times = cube.coords.get("valid_time")
    if kinds == {"instant"} or times is None or set(times.dims) != {"time", "step"}:
        return False
    return bool(np.unique(times.to_numpy()).size == times.size)


def _chunked(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` with its larger variables as dask arrays, in blocks along the leading dimension."""
    dataset = dataset.copy()
    for name, variable in dataset.data_vars.items():
        if variable.ndim < 2 or variable.dtype.kind not in "fiu":
            continue
        dim, length = variable.dims[0], variable.shape[0]
        block = max(1, _BLOCK_VALUES * length // max(1, variable.size))
        stored = variable.encoding.get("preferred_chunks", {}).get(dim, 1)
        dataset[name] = variable.chunk({dim: max(1, min(length, -(-block // stored) * stored))})
    return dataset


def _closer(datasets: Sequence[xr.Dataset]) -> Callable[[], None]:
    def close() -> None:
        for dataset in datasets:
            dataset.close()

    return close

"""A dataset to a NetCDF4 file or a Zarr store, whole or not at all.

The file is written beside its place under a temporary name, flushed to the disk and renamed, so that a full disk or an
interruption neither leaves a half-written file nor damages an existing one. Source encodings are not applied again,
apart from those of times: packing corrupts values.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nnzip.data.packing import is_packed
from nnzip.data.times import is_time_valued
from nnzip.errors import ResourceError, UsageError

_STREAM_BYTES = 1 << 26  # variables larger than this are written in pieces
_CHUNK_BYTES = 1 << 22
_COMPRESSION = {"zlib": True, "complevel": 1, "shuffle": True}
_REMOVALS, _REMOVAL_PAUSE_SECONDS = 40, 0.05  # after a failure zarr's other tasks go on writing for a moment
_FILL_KEYS = ("_FillValue", "missing_value")
_LEAST_COMPRESSED = 256  # values: chunk headers would make smaller variables larger


def write_dataset(dataset: xr.Dataset, path: str | PathLike[str], overwrite: bool = False) -> Path:
    """Write `dataset` to `path`: .nc or .nc4 is NetCDF4, .zarr a Zarr directory, .zarr.zip or .zip a zipped one.

    Floating NetCDF variables are compressed losslessly (zlib 1, shuffle); lazy variables are written piece by piece.
    Raises UsageError for another suffix or an existing path without `overwrite`, ResourceError when the disk is full,
    the directory is missing or may not be written to. Then nothing is left behind, and an existing path is as it was.
    """
    target = Path(path)
    writer = writer_of(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        _check_place(target, overwrite)
        streamed, is_streamed = _streamed(_encoded(dataset))
        with _one_piece_at_a_time() if is_streamed else nullcontext(), warnings.catch_warnings():
            # xarray warns when it takes finer units than the source had: the times stay exact
            warnings.filterwarnings("ignore", message="Times can't be serialized faithfully")
            writer(streamed, temporary)
        _flush(temporary)
        _put_in_place(temporary, target)
    except OSError as error:
        free = _space_left(target) if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise ResourceError(f"cannot write {target}: {error.strerror or error}{free}") from error
    except RuntimeError as error:  # netCDF-C's own errors; a full disk shows as "NetCDF: HDF error"
        if not str(error).startswith("NetCDF:"):
            raise
        raise ResourceError(f"cannot write {target}: {error}{_space_left(target)}") from error
    finally:
        _remove(temporary)
    return target


def _check_place(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists already: choose another name, or allow overwriting it (-f)")
    if not target.parent.is_dir():
        raise ResourceError(f"cannot write {target}: there is no directory {target.parent}")


def writer_of(path: Path) -> Callable[[xr.Dataset, Path], None]:
    """The function that writes the format of `path`'s suffix. Raises UsageError for a suffix that names none."""
    suffixes = {".nc": _write_netcdf, ".nc4": _write_netcdf, ".zarr": _write_zarr, ".zip": _write_zarr_zip}
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"the name {path.name!r} does not say which format to write: end it in .nc or .nc4 (NetCDF4), .zarr (Zarr "
            "directory) or .zarr.zip (zipped Zarr)"
        )
    return suffixes[path.suffix.lower()]


def _write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    dataset.attrs = {key: _netcdf_attribute(value) for key, value in dataset.attrs.items()}
    for variable in dataset.variables.values():
        variable.attrs = {key: _netcdf_attribute(value) for key, value in variable.attrs.items()}
        if variable.dtype.kind in "fiu" and variable.size >= _LEAST_COMPRESSED:
            variable.encoding.update(_COMPRESSION)
            if variable.chunks is not None:
                variable.encoding["chunksizes"] = _file_chunk(variable)
    dataset.to_netcdf(path, mode="w", format="NETCDF4", engine="netcdf4")


def _file_chunk(variable: xr.Variable) -> tuple[int, ...]:
    """Shape of HDF5 chunks for a variable that is written piece by piece: of at most _CHUNK_BYTES where possible.

    No chunk belongs to two pieces: it would be compressed for the first, then read and compressed again.
    """
    sizes = variable.chunks or ()
    shape = [math.gcd(*lengths[:-1]) or lengths[0] for lengths in sizes]
    for axis, length in enumerate(shape):
        others = math.prod(shape[:axis]) * math.prod(shape[axis + 1 :]) * variable.dtype.itemsize
        divisors = [n for n in range(1, length + 1) if length % n == 0]
        shape[axis] = max((n for n in divisors if n * others <= _CHUNK_BYTES), default=1)
    return tuple(shape)


def _write_zarr(dataset: xr.Dataset, path: Path) -> None:
    for name, variable in dataset.variables.items():
        if any(len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0] for sizes in variable.chunks or ()):
            dataset[name] = variable.chunk({dim: max(sizes) for dim, sizes in variable.chunksizes.items()})
    # format 2: every Zarr reader has it, and format 3 has no stable text type yet
    dataset.to_zarr(path, mode="w", zarr_format=2, consolidated=True)


def _write_zarr_zip(dataset: xr.Dataset, path: Path) -> None:
    folder = path.with_name(path.name + ".zarr")
    try:
        _write_zarr(dataset, folder)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder).as_posix())
    finally:
        _remove(folder)


def _encoded(dataset: xr.Dataset) -> xr.Dataset:
    """A shallow copy with encodings of our own choice."""
    dataset = dataset.copy()
    dataset.encoding = {}
    for name, variable in dataset.variables.items():
        variable.encoding = _encoding(variable, name in dataset.coords, is_index=variable.dims == (name,))
        variable.attrs = {k: v for k, v in variable.attrs.items() if k not in variable.encoding}
    return dataset


def _encoding(variable: xr.Variable, is_coordinate: bool, is_index: bool) -> dict[str, Any]:
    source = variable.encoding
    if is_time_valued(variable) or variable.dtype.kind == "m":
        kept = {key: source[key] for key in ("units", "calendar", "dtype", *_FILL_KEYS) if key in source}
        return {"_FillValue": None, **kept}
    if variable.dtype.kind != "f":
        return {}
    if is_index:  # CF allows no missing values there; files of the Climate Data Store declare a fill value all the same
        return {"_FillValue": None}
    stored = np.dtype(source.get("dtype", variable.dtype))
    fill = {key: source[key] for key in _FILL_KEYS if key in source} if not is_packed(variable) else {}
    if stored.kind in "iu" and fill and not is_packed(variable):
        return {"dtype": stored, **fill}
    return {"_FillValue": None if is_coordinate else variable.dtype.type(np.nan), **fill}


def _streamed(dataset: xr.Dataset) -> tuple[xr.Dataset, bool]:
    """Large variables that are not dask arrays in pieces along their leading dimensions, and whether there are any."""
    large = [
        name
        for name, variable in dataset.variables.items()
        if variable.chunks is None and variable.nbytes > _STREAM_BYTES and variable.dtype.kind in "fiu"
    ]
    for name in large:
        variable = dataset.variables[name]
        pieces, remaining = {}, variable.nbytes
        for dim, length in variable.sizes.items():
            remaining //= length
            fitting = max(1, _STREAM_BYTES // max(1, remaining))
            pieces[dim] = min(length, 1 << (fitting.bit_length() - 1))  # a power of two: cut evenly by smaller chunks
            if pieces[dim] > 1:
                break
        dataset[name] = variable.chunk(pieces)
    return dataset, bool(large)


def _one_piece_at_a_time() -> Any:
    import dask.config

    return dask.config.set(scheduler="synchronous")


def _netcdf_attribute(value: Any) -> Any:
    """Attributes that Zarr has and NetCDF lacks, as the nearest NetCDF type."""
    if isinstance(value, bool | np.bool_):
        return np.int8(value)
    if value is None:
        return ""
    if isinstance(value, dict) or (isinstance(value, list | tuple) and any(isinstance(v, dict | list) for v in value)):
        return json.dumps(value)
    return value


def _flush(path: Path) -> None:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    for file in files:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename; a directory cannot be replaced in one step, so the old one steps aside and comes back on failure."""
    if not target.is_dir():
        temporary.replace(target)
        return
    aside = temporary.with_suffix(".old")
    target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        aside.rename(target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for impossible names)
        if os.path.lexists(path):
            path.unlink()
        return
    for _ in range(_REMOVALS):
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(_REMOVAL_PAUSE_SECONDS)
        if not path.exists():
            return


def _space_left(path: Path) -> str:
    free = shutil.disk_usage(path.parent).free
    return f" ({free / 1e6:.0f} MB are free on that disk)"

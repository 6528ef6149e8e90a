"""A dataset to a NetCDF4 file or a Zarr store, whole or not at all.

Source encodings are not applied again, apart from those of times and unlimited dimensions: packing corrupts values.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import NetCDF4DataStore
from xarray.backends.common import ArrayWriter
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

from nnzip.data.atomic import AtomicOutput, Output, output_at
from nnzip.data.bytefile import PathText, is_url
from nnzip.data.packing import is_packed
from nnzip.data.times import is_time_valued
from nnzip.errors import UnavailableError, UsageError

_STREAM_BYTES = 1 << 26  # variables larger than this are written in pieces
_CHUNK_BYTES = 1 << 22
_COMPRESSION = re.compile(r"(?:(zlib|zstd)(?::(\d+))?|none)")
_STORE_FILES = {".zgroup", ".zattrs", ".zmetadata"}
_ARRAY_FILE = re.compile(r"\.zarray|\.zattrs|\d+(\.\d+)*")
_FILL_KEYS = ("_FillValue", "missing_value")
_LEAST_COMPRESSED = 256  # values: chunk headers would make smaller variables larger


@dataclass(frozen=True)
class Storage:
    """How numbers are stored. `compression`: "zlib:1" to "zlib:9", "zstd" or "zstd:1" to "zstd:22", "none"; `chunks`:
    lengths of chunks by dimension; `packings`: dtype, scale_factor, add_offset and _FillValue by variable.

    Raises UsageError for another compression or chunk, UnavailableError for zstd in a netCDF library without it.
    """

    compression: str = "zlib:1"
    chunks: Mapping[str, int] = field(default_factory=dict)
    packings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        match = _COMPRESSION.fullmatch(self.compression)
        if match is None or not 1 <= int(match[2] or 1) <= (22 if match[1] == "zstd" else 9):
            raise UsageError(
                f"--compression {self.compression}: write zlib:4 (1 to 9), zstd or zstd:3 (1 to 22), or none"
            )
        for dim, length in self.chunks.items():
            if length < 1:
                raise UsageError(f"--chunks {dim}={length}: a chunk has at least one point along each dimension")

    @property
    def codec(self) -> str | None:
        """ "zlib" or "zstd"."""
        return None if self.compression == "none" else self.compression.partition(":")[0]

    @property
    def level(self) -> int:
        """Of the codec."""
        return int(self.compression.partition(":")[2] or 3)

    def netcdf(self) -> dict[str, Any]:
        """xarray's encoding."""
        if self.codec is None:
            return {}
        if self.codec == "zstd":
            import netCDF4

            if not netCDF4.__has_zstandard_support__:
                raise UnavailableError("this netCDF library cannot write zstd: choose --compression zlib:4")
        return {"compression": self.codec, "complevel": self.level, "shuffle": True}

    def zarr(self) -> dict[str, Any]:
        """xarray's encoding for Zarr of format 2."""
        if self.codec is None:
            return {"compressors": None}
        from numcodecs import Blosc

        return {"compressors": [Blosc(self.codec, min(self.level, 9), Blosc.SHUFFLE)]}

    def chunk(self, variable: xr.Variable) -> dict[str, int]:
        """Chunk lengths that were asked for along the variable's dimensions."""
        return {
            str(dim): min(self.chunks[str(dim)], size) for dim, size in variable.sizes.items() if dim in self.chunks
        }


def write_dataset(
    dataset: xr.Dataset, path: PathText, overwrite: bool = False, storage: Storage | None = None, jobs: int = 1
) -> Path:
    """Write `dataset` to `path`: .nc or .nc4 is NetCDF4, .zarr a Zarr directory, .zarr.zip or .zip a zipped one; files
    to a URL too.

    Numbers are compressed losslessly (`storage`); lazy variables are written piece by piece, `jobs` of them at once.
    Raises UsageError for another suffix, an existing path without `overwrite`, or a path that may not be replaced;
    ResourceError when the disk is full or the directory cannot be written. Then an existing path is as it was.
    """
    target, storage = Path(path), storage or Storage()  # of a URL only the name counts
    unknown = [dim for dim in storage.chunks if dim not in dataset.dims]
    if unknown:
        raise UsageError(f"--chunks {unknown[0]}: there is no such dimension, only {', '.join(map(str, dataset.dims))}")
    with output_for(path, overwrite) as output:
        streamed, is_streamed = _streamed(dataset, storage, jobs)
        with output.explained(), _at_once(jobs) if is_streamed else nullcontext(), warnings.catch_warnings():
            # xarray warns when it takes finer units than the source had: the times stay exact
            warnings.filterwarnings("ignore", message="Times can't be serialized faithfully|Ambiguous reference date")
            try:
                writer_of(target)(streamed, output.temporary, storage)
            except (RuntimeError, AttributeError) as error:  # netCDF-C's own; a full disk is "NetCDF: HDF error"
                if not str(error).startswith("NetCDF:"):
                    raise
                if isinstance(error, AttributeError):
                    raise UsageError(f"{target}: NetCDF cannot hold an attribute ({error}): write .zarr") from error
                raise OSError(f"{error} ({_free(target)})") from error
        output.commit()
    return target


def output_for(path: PathText, overwrite: bool) -> Output:
    """The place that `write_dataset` would write to; the caller closes it. Raises as `write_dataset` does."""
    if writer_of(Path(path)) is _write_zarr:
        if is_url(path):
            raise UsageError(f"{path}: only files are written to URLs: end it in .zarr.zip or .nc")
        return AtomicOutput(path, overwrite, replaces=is_written_store, kind="Zarr store that nnzip wrote")
    return output_at(path, overwrite)


def is_written_store(path: Path) -> bool:
    """Whether a directory is a Zarr store as `write_dataset` writes it (format 2, one group) and nothing else."""
    if not (path / ".zgroup").is_file() or not all(e.is_dir() or e.name in _STORE_FILES for e in path.iterdir()):
        return False
    arrays = [entry for entry in path.iterdir() if entry.is_dir()]
    return all(
        (array / ".zarray").is_file()
        and all(entry.is_file() and _ARRAY_FILE.fullmatch(entry.name) for entry in array.iterdir())
        for array in arrays
    )


def writer_of(path: Path) -> Callable[[xr.Dataset, Path, Storage], None]:
    """The function that writes the format of `path`'s suffix. Raises UsageError for a suffix that names none."""
    suffixes = {".nc": _write_netcdf, ".nc4": _write_netcdf, ".zarr": _write_zarr, ".zip": _write_zarr_zip}
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"the name {path.name!r} does not say which format to write: end it in .nc or .nc4 (NetCDF4), .zarr (Zarr "
            "directory) or .zarr.zip (zipped Zarr)"
        )
    return suffixes[path.suffix.lower()]


def _write_netcdf(dataset: xr.Dataset, path: Path, storage: Storage) -> None:
    dataset.attrs = {key: _netcdf_attribute(value) for key, value in dataset.attrs.items()}
    for variable in dataset.variables.values():
        variable.attrs = {key: _netcdf_attribute(value) for key, value in variable.attrs.items()}
        if variable.dtype.kind in "fiu" and variable.size >= _LEAST_COMPRESSED:
            variable.encoding.update(storage.netcdf())
            wanted = storage.chunk(variable)
            if wanted or (variable.chunks is not None and max(map(len, variable.chunks), default=0) > 1):
                variable.encoding["chunksizes"] = _file_chunk(variable, wanted)
    # to_netcdf asks for dask's scheduler, and so imports dask.distributed: half of a small file's time
    store = NetCDF4DataStore.open(str(path), mode="w", format="NETCDF4", lock=NETCDF4_PYTHON_LOCK)  # type: ignore[no-untyped-call]
    pieces = ArrayWriter()  # type: ignore[no-untyped-call]
    try:
        dataset.dump_to_store(store, writer=pieces, unlimited_dims=dataset.encoding.get("unlimited_dims"))
        for name, variable in dataset.variables.items():
            if variable.chunks is not None:  # pieces are whole chunks: compressed when written, not on closing
                store.ds.variables[name].set_var_chunk_cache(size=0)
        pieces.sync()  # type: ignore[no-untyped-call]
    finally:
        store.close()


def _file_chunk(variable: xr.Variable, wanted: Mapping[str, int]) -> tuple[int, ...]:
    """Shape of HDF5 chunks: as `wanted`, whole along other dimensions; for a variable that is written piece by piece
    without a wish of at most _CHUNK_BYTES where possible.

    Then no chunk belongs to two pieces: it would be compressed for the first, then read and compressed again.
    """
    if wanted:
        return tuple(wanted.get(str(dim), size) for dim, size in variable.sizes.items())
    sizes = variable.chunks or ()
    shape = [math.gcd(*lengths[:-1]) or lengths[0] for lengths in sizes]
    for axis, length in enumerate(shape):
        others = math.prod(shape[:axis]) * math.prod(shape[axis + 1 :]) * variable.dtype.itemsize
        divisors = [n for n in range(1, length + 1) if length % n == 0]
        shape[axis] = max((n for n in divisors if n * others <= _CHUNK_BYTES), default=1)
    return tuple(shape)


def _write_zarr(dataset: xr.Dataset, path: Path, storage: Storage) -> None:
    lengths = _common_chunks(dataset, storage)
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "fiu" and variable.size >= _LEAST_COMPRESSED:
            variable.encoding.update(storage.zarr())
        chunk = {str(dim): min(lengths.get(str(dim), size), size) for dim, size in variable.sizes.items()}
        if chunk and name not in dataset.indexes:
            variable.encoding["chunks"] = tuple(chunk.values())
        if variable.chunks is not None:
            dataset[name] = variable.chunk(chunk)
    import zarr

    # format 2: every Zarr reader has it, and format 3 has no stable text type yet; Zarr 2 knows no other
    options: dict[str, Any] = {} if zarr.__version__.startswith("2.") else {"zarr_format": 2}
    dataset.to_zarr(path, mode="w", consolidated=True, **options)


def _common_chunks(dataset: xr.Dataset, storage: Storage) -> dict[str, int]:
    """Chunk lengths by dimension, the same for all variables: xarray refuses a store with different ones."""
    lengths = dict(storage.chunks)
    for variable in dataset.variables.values():
        for dim, sizes in variable.chunksizes.items():
            if dim not in storage.chunks:
                lengths[str(dim)] = min(lengths.get(str(dim), max(sizes)), max(sizes))
    return lengths


def _write_zarr_zip(dataset: xr.Dataset, path: Path, storage: Storage) -> None:
    folder = path.with_name(path.name + ".zarr")
    _write_zarr(dataset, folder, storage)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())


def _encoded(dataset: xr.Dataset, storage: Storage) -> xr.Dataset:
    """A shallow copy with encodings of our own choice."""
    unlimited = [dim for dim in dataset.encoding.get("unlimited_dims", ()) if dim in dataset.dims]
    dataset = dataset.copy()
    dataset.encoding = {"unlimited_dims": unlimited} if unlimited else {}
    for name, variable in dataset.variables.items():
        encoding = _encoding(variable, name in dataset.coords, is_index=variable.dims == (name,))
        variable.encoding = encoding | dict(storage.packings.get(str(name), {}))
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


def _streamed(source: xr.Dataset, storage: Storage, jobs: int) -> tuple[xr.Dataset, bool]:
    """As it is stored, with large variables that are not dask arrays in pieces, and with several `jobs` all lazy ones
    as dask arrays; and whether there are any."""
    dataset, streamed = _encoded(source, storage), False
    for name, variable in dataset.variables.items():
        if variable.chunks is not None or variable.dtype.kind not in "fiu":
            continue
        large = variable.nbytes > _STREAM_BYTES
        if large or (jobs > 1 and name not in dataset.indexes and not variable._in_memory):
            pieces = _pieces(variable, source.variables[name].encoding, storage) if large else {}
            dataset[name], streamed = variable.chunk(pieces), True
    return dataset, streamed


def _pieces(variable: xr.Variable, encoding: Mapping[str, Any], storage: Storage) -> dict[Any, int | tuple[int, ...]]:
    """Lengths of the pieces of a variable: the tiles it is decoded from, or else whole along the last dimensions."""
    tiles = encoding.get("preferred_chunks", {})
    found: dict[Any, int | tuple[int, ...]] = {
        dim: (tiles[dim],) * (size // tiles[dim]) if isinstance(tiles[dim], int) else tiles[dim]
        for dim, size in variable.sizes.items()
        if dim in tiles
    }
    sums = {dim: sum(lengths) for dim, lengths in found.items() if isinstance(lengths, tuple)}
    if sums == dict(variable.sizes) and not storage.chunks:
        return found
    found, remaining = {}, variable.nbytes
    for dim, length in variable.sizes.items():
        remaining //= length
        fitting = max(1, _STREAM_BYTES // max(1, remaining))
        piece = min(length, 1 << (fitting.bit_length() - 1))  # a power of two: cut evenly by smaller chunks
        together = storage.chunks.get(str(dim), 1)
        found[dim] = min(-(-piece // together) * together, length)  # no chunk belongs to two pieces
        if piece > 1:
            break
    return found


def _at_once(jobs: int) -> Any:
    """Inside, dask works on so many pieces at once."""
    import dask.config

    return (
        dask.config.set(scheduler="synchronous")
        if jobs == 1
        else dask.config.set(scheduler="threads", num_workers=jobs)
    )


def _netcdf_attribute(value: Any) -> Any:
    """Attributes that Zarr has and NetCDF lacks, as the nearest NetCDF type."""
    if isinstance(value, bool | np.bool_):
        return np.int8(value)
    if value is None:
        return ""
    if isinstance(value, np.ndarray) and value.ndim > 1:
        return json.dumps(value.tolist())
    if isinstance(value, dict) or (isinstance(value, list | tuple) and any(isinstance(v, dict | list) for v in value)):
        return json.dumps(value)
    return value


def _free(path: Path) -> str:
    return f"{shutil.disk_usage(path.parent).free / 1e6:.0f} MB are free on that disk"

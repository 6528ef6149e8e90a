"""xarray's engine "nnzip": `xr.open_dataset("era5.nnz")`, and the accessor `dataset.nnzip`.

xarray imports this module by the entry point `xarray.backends` when it opens any file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import fields
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.conventions import CF_RELATED_DATA, encode_dataset_coordinates

from nnzip.compress import compress
from nnzip.data.bytefile import is_url
from nnzip.data.conventions import OWN_ATTRIBUTES
from nnzip.data.skeleton import Decoding
from nnzip.errors import NnzipError
from nnzip.progress import ProgressCallback
from nnzip.read import Archive
from nnzip.request.options import Options
from nnzip.request.target import Target
from nnzip.result import CompressionResult

_SUFFIX = ".nnz"
_BEGINNING = re.compile(rb"PK\x03\x04.{4}\x00{4}\x21\x00.{12}.\x00{3}(\d+\.\d+|nnzip)", re.DOTALL)
"""Local header of a tile or of the manifest, with the date that only nnzip's ZIP files have."""
_BEGINNING_BYTES = 64


class NnzipBackendEntrypoint(BackendEntrypoint):
    """Opens archives as lazy datasets that pickle; see `Archive.dataset`."""

    description = "Open archives of nnzip (.nnz)"

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        mask_and_scale: Any = True,
        decode_times: Any = True,
        concat_characters: Any = True,
        decode_coords: bool | str = True,
        use_cftime: Any = None,
        decode_timedelta: Any = None,
        storage_options: Mapping[str, Any] | None = None,
        preview: int = 1,
        device: str = "auto",
    ) -> xr.Dataset:
        """The archive at a path or a URL, with the options of `xarray.open_dataset`.

        `storage_options`, `preview`, `device`: see `Archive`. `concat_characters` has no effect: text is never stored
        as characters. Raises FileNotFoundError, PermissionError or another OSError where the file cannot be read, else
        NnzipError.
        """
        how = Decoding(mask_and_scale, decode_times, use_cftime, decode_timedelta)
        try:
            archive = Archive(filename_or_obj, device, preview, storage_options=storage_options)
        except NnzipError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and type(cause).__module__ == "builtins":
                raise type(cause)(str(error)) from error
            raise
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        dataset = archive.dataset(how).drop_vars(dropped, errors="ignore")
        dataset = _with_coordinates(dataset, decode_coords)
        dataset = dataset.drop_indexes(list(dataset.xindexes))  # xarray makes them, where they are wanted
        dataset.set_close(archive.close)
        return dataset

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """By the suffix .nnz, or the first bytes of a local file."""
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        path = Path(filename_or_obj).expanduser()
        if path.suffix.lower() == _SUFFIX:
            return True
        if is_url(filename_or_obj) or not path.is_file():
            return False
        with path.open("rb") as file:
            return _BEGINNING.match(file.read(_BEGINNING_BYTES)) is not None


@xr.register_dataset_accessor("nnzip")  # type: ignore[no-untyped-call]
class NnzipAccessor:
    """`dataset.nnzip`: compress a dataset, and say how wrong a decoded one is."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def compress(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        device: str = "auto",
        jobs: int = 1,
        executor: Executor | None = None,
        progress: ProgressCallback | None = None,
        **wishes: Any,
    ) -> CompressionResult:
        """Compress the dataset into the archive `path`, as `nnzip.compress` does, with its errors.

        `wishes`: one of `nnzip.Target`'s (max_error={"t2m": "0.1 K"} or one for all, ratio=100, ...; without any the
        community's tolerances hold), and those of `nnzip.Options` (variables, promises, effort, tile). Raises TypeError
        for others.
        """
        names = {field.name for field in fields(Target)}
        wanted = {name: wishes.pop(name) for name in names & wishes.keys()}
        options = Options(Target(**(wanted or {"max_error": {}})), **wishes)
        return compress(
            self._dataset,
            path,
            options,
            overwrite=overwrite,
            device=device,
            jobs=jobs,
            executor=executor,
            progress=progress,
        )

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Of every variable that was compressed: its `rmse`, `max_error` and, where one was promised, `bound`, in its
        own units. They were measured when the archive was written, over all its values.
        """
        prefix = len("nnzip_")
        found = {
            str(name): {key[prefix:]: float(variable.attrs[key]) for key in OWN_ATTRIBUTES if key in variable.attrs}
            for name, variable in self._dataset.data_vars.items()
        }
        return {name: errors for name, errors in found.items() if errors}


def _with_coordinates(dataset: xr.Dataset, decode_coords: bool | str) -> xr.Dataset:
    """As xarray's option says: False turns coordinates into variables that attributes name, "all" turns bounds, grid
    mappings and the like into coordinates.
    """
    if decode_coords not in (False, "all"):
        return dataset
    related = set[Hashable]()
    for variable in dataset.variables.values():
        for key in [key for key in CF_RELATED_DATA if key in variable.attrs]:
            variable.encoding[key] = variable.attrs.pop(key)
            related |= dataset.variables.keys() & set(variable.encoding[key].replace(":", " ").split())
    if decode_coords == "all":
        return dataset.set_coords(related)
    variables, attrs = encode_dataset_coordinates(dataset)
    for name, variable in variables.items():
        moved = {key: dataset[name].encoding.pop(key) for key in CF_RELATED_DATA if key in dataset[name].encoding}
        dataset[name].attrs = {**variable.attrs, **moved}
    return dataset.reset_coords([name for name in dataset.coords if name not in dataset.dims]).assign_attrs(attrs)

"""nnzip: a learned codec for weather and climate data, with error bounds that are checked.

    import nnzip
    with nnzip.show_progress() as progress:                 # a bar, also in a notebook
        nnzip.compress("weather.nc", "weather.nnz", nnzip.Target(max_error="t2m=0.1K"), progress=progress)
    with nnzip.open_archive("weather.nnz") as archive:
        archive.select("t2m", time=slice("2016-10-05", "2016-10-06")).load()    # decodes only what it needs
    nnzip.evaluate("weather.nc", "weather.nnz")["t2m"].max_error

Everything is imported on first use, so that `import nnzip` costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nnzip.version import __version__

if TYPE_CHECKING:
    from nnzip.append import append
    from nnzip.cli.watching import show_progress
    from nnzip.comparison import evaluate
    from nnzip.compress import compress
    from nnzip.data.opening import open_dataset
    from nnzip.decompress import decompress
    from nnzip.errors import NnzipError
    from nnzip.estimate import estimate
    from nnzip.integrations import torch as torch
    from nnzip.integrations import zarr as zarr
    from nnzip.progress import Estimate, Progress
    from nnzip.read import Archive, open_archive, verify
    from nnzip.request.options import Options
    from nnzip.request.promises import (
        BlockExtremes,
        ExceedanceSet,
        RegionTolerance,
        TailTolerance,
        ThresholdTolerance,
        parse_promise,
    )
    from nnzip.request.target import Target
    from nnzip.result import CompressionResult
    from nnzip.sample.sample import make_sample

__all__ = [
    "Archive",
    "BlockExtremes",
    "CompressionResult",
    "Estimate",
    "ExceedanceSet",
    "NnzipError",
    "Options",
    "Progress",
    "RegionTolerance",
    "TailTolerance",
    "Target",
    "ThresholdTolerance",
    "__version__",
    "append",
    "compress",
    "decompress",
    "estimate",
    "evaluate",
    "make_sample",
    "open_archive",
    "open_dataset",
    "parse_promise",
    "show_progress",
    "verify",
]

_HOME = {
    "Archive": "nnzip.read",
    "BlockExtremes": "nnzip.request.promises",
    "CompressionResult": "nnzip.result",
    "Estimate": "nnzip.progress",
    "ExceedanceSet": "nnzip.request.promises",
    "NnzipError": "nnzip.errors",
    "Options": "nnzip.request.options",
    "Progress": "nnzip.progress",
    "RegionTolerance": "nnzip.request.promises",
    "TailTolerance": "nnzip.request.promises",
    "Target": "nnzip.request.target",
    "ThresholdTolerance": "nnzip.request.promises",
    "append": "nnzip.append",
    "compress": "nnzip.compress",
    "decompress": "nnzip.decompress",
    "estimate": "nnzip.estimate",
    "evaluate": "nnzip.comparison",
    "make_sample": "nnzip.sample.sample",
    "open_archive": "nnzip.read",
    "open_dataset": "nnzip.data.opening",
    "parse_promise": "nnzip.request.promises",
    "show_progress": "nnzip.cli.watching",
    "verify": "nnzip.read",
}


_MODULES = {"torch": "nnzip.integrations.torch", "zarr": "nnzip.integrations.zarr"}
"""Modules that are public under another name."""


class _Package(ModuleType):
    """This package: a public name stays the public object, also where a module of the same name is imported.

    Python sets a package's attribute to every submodule it imports, and `nnzip.evaluate` is a folder too.
    """

    def __getattr__(self, name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        if name in _MODULES:
            return import_module(_MODULES[name])
        raise AttributeError(f"module 'nnzip' has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _Package

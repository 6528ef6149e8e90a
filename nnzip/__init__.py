"""nnzip: weather and climate data compressed into neural networks.

    import nnzip
    nnzip.compress(dataset, "weather.nnz", nnzip.Target(ratio=300))
    with nnzip.open_archive("weather.nnz") as archive:
        archive.dataset()["t2m"].sel(time="2016-10-05")     # decodes only that day

Everything is imported on first use, so that `import nnzip` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnzip.budget import Target
    from nnzip.codec import CompressionResult, compress, decompress, open_archive, verify
    from nnzip.data.opening import open_dataset
    from nnzip.data.sample import make_sample
    from nnzip.errors import NnzipError
    from nnzip.metrics.evaluate import evaluate
    from nnzip.progress import Progress
    from nnzip.promises.requests import (
        BlockExtremes,
        ExceedanceSet,
        RegionTolerance,
        TailTolerance,
        ThresholdTolerance,
        parse_promise,
    )
    from nnzip.reader import Archive

__version__ = "0.1.0"

__all__ = [
    "Archive",
    "BlockExtremes",
    "CompressionResult",
    "ExceedanceSet",
    "NnzipError",
    "Progress",
    "RegionTolerance",
    "TailTolerance",
    "Target",
    "ThresholdTolerance",
    "__version__",
    "compress",
    "decompress",
    "evaluate",
    "make_sample",
    "open_archive",
    "open_dataset",
    "parse_promise",
    "verify",
]

_HOME = {
    "Archive": "nnzip.reader",
    "BlockExtremes": "nnzip.promises.requests",
    "CompressionResult": "nnzip.codec",
    "ExceedanceSet": "nnzip.promises.requests",
    "NnzipError": "nnzip.errors",
    "Progress": "nnzip.progress",
    "RegionTolerance": "nnzip.promises.requests",
    "TailTolerance": "nnzip.promises.requests",
    "Target": "nnzip.budget",
    "ThresholdTolerance": "nnzip.promises.requests",
    "compress": "nnzip.codec",
    "decompress": "nnzip.codec",
    "evaluate": "nnzip.metrics.evaluate",
    "make_sample": "nnzip.data.sample",
    "open_archive": "nnzip.codec",
    "open_dataset": "nnzip.data.opening",
    "parse_promise": "nnzip.promises.requests",
    "verify": "nnzip.codec",
}


def __getattr__(name: str) -> Any:
    """The public object called name, from the module it lives in."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'nnzip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

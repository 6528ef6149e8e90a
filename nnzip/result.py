"""What a compression achieved, for the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from nnzip.findings import Findings


@dataclass(frozen=True)
class VariableErrors:
    """Errors of a decoded variable in its own units; `rmse` and `bias` are area-weighted."""

    rmse: float
    max_error: float
    bias: float
    units: str


@dataclass(frozen=True)
class VariablePromise:
    """A promise beyond the bound of a variable, as option and text; see `promises.kept.Kept`."""

    promise: str
    points: int
    violations: int
    tightest: float


@dataclass(frozen=True)
class CompressionResult:
    """What `compress` did; `source_bytes` are the compressed variables as float32, `stored_bytes` the files that the
    dataset came from (0: not known), `file_bytes` the whole file.

    `promises` beyond the bounds, by variable, took `promise_bytes` of the corrections.
    """

    path: Path | str
    ratio: float
    file_bytes: int
    source_bytes: int
    stored_bytes: int
    errors: dict[str, VariableErrors]
    promises: dict[str, list[VariablePromise]]
    promise_bytes: dict[str, int]
    seconds: float
    notes: tuple[str, ...]

    @property
    def stored_ratio(self) -> float | None:
        """How many times smaller the file is than those that the dataset came from; None where that is not known."""
        return self.stored_bytes / self.file_bytes if self.stored_bytes else None


def result_of(
    dataset: xr.Dataset,
    path: Path | str,
    sizes: tuple[int, int, int],
    findings: Mapping[str, Findings],
    seconds: float,
    notes: Sequence[str],
) -> CompressionResult:
    """For the caller; `sizes`: bytes of the source as float32 and as stored, and of the file."""
    source, stored, size = sizes
    promises = {
        name: [VariablePromise(text, kept.points, kept.violations, kept.tightest) for text, kept in found.promises()]
        for name, found in findings.items()
    }
    return CompressionResult(
        path=path,
        ratio=source / size,
        file_bytes=size,
        source_bytes=source,
        stored_bytes=stored,
        errors={name: _errors(dataset, name, found) for name, found in findings.items()},
        promises={name: kept for name, kept in promises.items() if kept},
        promise_bytes={name: findings[name].promise_bytes for name, kept in promises.items() if kept},
        seconds=seconds,
        notes=tuple(notes),
    )


def _errors(dataset: xr.Dataset, name: str, found: Findings) -> VariableErrors:
    units = str(dataset[name].attrs.get("units", ""))
    return VariableErrors(found.errors.rmse(), found.errors.max_error, found.errors.bias(), units)

"""What a compression achieved, for the caller and for the archive's manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import xarray as xr

from nnzip.archive.manifest import AchievedErrors, GroupEntry, KeptPromise, Manifest
from nnzip.corrector import Bounds
from nnzip.metrics.accumulate import ErrorStatistics
from nnzip.progress import units_of
from nnzip.promises.constraints import Check


@dataclass(frozen=True)
class VariableErrors:
    """Errors of a decoded variable in its own units; `rmse` and `bias` are area-weighted."""

    rmse: float
    max_error: float
    bias: float
    units: str


@dataclass(frozen=True)
class VariablePromise:
    """A promise beyond the bound of a variable, as option and text; see `promises.constraints.Kept`."""

    promise: str
    points: int
    violations: int
    tightest: float


@dataclass(frozen=True)
class CompressionResult:
    """What `compress` did; `source_bytes` are the compressed variables as float32, `file_bytes` the whole file.

    `promises` beyond the bounds, by variable, took `promise_bytes` of the corrections.
    """

    path: Path
    ratio: float
    file_bytes: int
    source_bytes: int
    errors: dict[str, VariableErrors]
    promises: dict[str, list[VariablePromise]]
    promise_bytes: dict[str, int]
    seconds: float
    notes: tuple[str, ...]


@dataclass
class Findings:
    """What decoding found, by variable: errors, checks of the promises, bytes of corrections that these took."""

    bounds: Mapping[str, Bounds]
    statistics: dict[str, ErrorStatistics]
    checks: dict[str, list[Check]]
    promise_bytes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest, bounds: Mapping[str, Bounds]) -> Findings:
        """Nothing found so far."""
        checks = {
            name: [promise.constraint.checker() for promise in bounds[name].promises] if name in bounds else []
            for name in manifest.variables
        }
        statistics = {name: ErrorStatistics() for name in manifest.variables}
        return cls(bounds, statistics, checks, dict.fromkeys(manifest.variables, 0))

    def kept(self, name: str) -> tuple[KeptPromise, ...]:
        """What the checks of a variable's promises found."""
        promises = self.bounds[name].promises if name in self.bounds else ()
        return tuple(
            KeptPromise(promise.text, check.kept.points, check.kept.violations, float(f"{check.kept.tightest:.6g}"))
            for promise, check in zip(promises, self.checks[name], strict=True)
        )

    def added_to(self, manifest: Manifest, groups: Sequence[GroupEntry]) -> Manifest:
        """The manifest with these findings and the finished `groups`."""
        variables = {
            name: msgspec.structs.replace(variable, promises=self.kept(name), promise_bytes=self.promise_bytes[name])
            for name, variable in manifest.variables.items()
        }
        errors = {
            name: AchievedErrors(found.rmse(), found.max_error, found.bias()) for name, found in self.statistics.items()
        }
        return msgspec.structs.replace(manifest, groups=tuple(groups), errors=errors, variables=variables)

    def result(
        self, dataset: xr.Dataset, path: Path, sizes: tuple[int, int], seconds: float, notes: Sequence[str]
    ) -> CompressionResult:
        """For the caller; sizes: bytes of the source as float32 and of the file."""
        source, size = sizes
        promises = {name: [_promise(entry) for entry in self.kept(name)] for name in self.statistics}
        return CompressionResult(
            path=path,
            ratio=source / size,
            file_bytes=size,
            source_bytes=source,
            errors={
                name: VariableErrors(found.rmse(), found.max_error, found.bias(), units_of(dataset, name))
                for name, found in self.statistics.items()
            },
            promises={name: kept for name, kept in promises.items() if kept},
            promise_bytes={name: self.promise_bytes[name] for name, kept in promises.items() if kept},
            seconds=seconds,
            notes=tuple(notes),
        )


def _promise(entry: KeptPromise) -> VariablePromise:
    return VariablePromise(entry.promise, entry.points, entry.violations, entry.tightest)

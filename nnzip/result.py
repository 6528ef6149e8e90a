"""What a compression achieved, for the caller and for the archive's manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import xarray as xr

from nnzip.container.manifest import AchievedErrors, GroupEntry, KeptPromise, Manifest
from nnzip.evaluate.errors import ErrorStatistics
from nnzip.progress import units_of
from nnzip.promises.kept import Kept
from nnzip.tile.corrector import Bounds


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
    """What decoding found, by variable: errors, what became of the promises in their order (`texts`, `kept`), bytes of
    corrections that these took."""

    statistics: dict[str, ErrorStatistics]
    texts: dict[str, tuple[str, ...]]
    kept: dict[str, list[Kept]]
    promise_bytes: dict[str, int]

    @classmethod
    def of(cls, names: Iterable[str], bounds: Mapping[str, Bounds]) -> Findings:
        """Nothing found so far."""
        texts = {name: tuple(p.text for p in bounds[name].promises) if name in bounds else () for name in names}
        return cls(
            statistics={name: ErrorStatistics() for name in texts},
            texts=texts,
            kept={name: [Kept() for _ in promises] for name, promises in texts.items()},
            promise_bytes=dict.fromkeys(texts, 0),
        )

    def merge(self, later: Findings) -> None:
        """Add what was found in the next segment of some of the variables."""
        for name, found in later.statistics.items():
            self.statistics[name].merge(found)
            self.kept[name] = [kept + more for kept, more in zip(self.kept[name], later.kept[name], strict=True)]
            self.promise_bytes[name] += later.promise_bytes[name]

    def promises(self, name: str) -> tuple[KeptPromise, ...]:
        """What became of a variable's promises."""
        return tuple(
            KeptPromise(text, kept.points, kept.violations, float(f"{kept.tightest:.6g}"))
            for text, kept in zip(self.texts[name], self.kept[name], strict=True)
        )

    def added_to(self, manifest: Manifest, groups: Sequence[GroupEntry]) -> Manifest:
        """The manifest with these findings and the finished `groups`."""
        variables = {
            name: msgspec.structs.replace(entry, promises=self.promises(name), promise_bytes=self.promise_bytes[name])
            for name, entry in manifest.variables.items()
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
        promises = {name: [_promise(entry) for entry in self.promises(name)] for name in self.statistics}
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

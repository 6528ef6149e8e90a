"""Runs of one case: compression in one process, decoding in another, so that each has its own peak of memory."""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from bench_cases import CASES, Case, channels, differences, latitudes, open_case, split_levels
from bench_measure import Values, measure, violations
from bench_peers import PeerCase, fraction_of_range
from bench_results import CaseResult, Cost, Run, Wanted

from nnzip.container.limits import ARRAYS_MEMBER, MANIFEST_MEMBER

if TYPE_CHECKING:
    import xarray as xr

Result = TypeVar("Result")

_METADATA = (MANIFEST_MEMBER, ARRAYS_MEMBER)


class _Encoded(msgspec.Struct, frozen=True):
    bytes: int = 0
    cost: Cost = Cost()
    source_bytes: int = 0
    failure: str | None = None


class _Stopwatch:
    """Clock and processor time since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def read(self) -> Cost:
        return Cost(time.perf_counter() - self._started[0], time.process_time() - self._started[1])


def run_case(name: str, wanted: list[Wanted], peer: PeerCase, data: Path, folder: Path, effort: str) -> CaseResult:
    """Compress a case to every target, decode every archive, measure it. Archives stay in `folder`."""
    encoded, encode_peak, idle = in_process(_encode, name, wanted, peer.per_level, data, folder, effort)
    result: CaseResult = in_process(_decode, name, wanted, peer, data, folder, encoded)
    result.encode_peak_bytes, result.idle_bytes = encode_peak, idle
    return result


def in_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(*arguments)` in a new interpreter."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # KiB on Linux


def prepared(case: Case, wanted: Wanted, peer_per_level: bool, data: Path) -> xr.Dataset:
    """The dataset of a run: as it is, or one variable per level where every level has its own bound."""
    dataset = open_case(case, data)
    own = wanted.bound is not None and peer_per_level and fraction_of_range(wanted.label) is not None
    return split_levels(dataset, case) if own else dataset


def _encode(
    name: str, wanted: list[Wanted], peer_per_level: bool, data: Path, folder: Path, effort: str
) -> tuple[list[_Encoded], int, int]:
    import nnzip

    importlib.import_module("nnzip.codec")  # so that the first run's time does not hold it
    idle, case = peak_bytes(), CASES[name]
    encoded = []
    for run in wanted:
        dataset = prepared(case, run, peer_per_level, data)
        bounds = None if run.bound is None else _bounds(dataset, run)
        watch = _Stopwatch()
        try:
            target = nnzip.Target(run.ratio, run.size, bounds)
            done = nnzip.compress(dataset, _archive(folder, name, run), target, effort=effort)
        except nnzip.NnzipError as error:
            encoded.append(_Encoded(failure=str(error)))
        else:
            encoded.append(_Encoded(done.file_bytes, watch.read(), done.source_bytes))
    return encoded, peak_bytes(), idle


def _decode(
    name: str, wanted: list[Wanted], peer: PeerCase, data: Path, folder: Path, encoded: list[_Encoded]
) -> CaseResult:
    import nnzip

    importlib.import_module("nnzip.codec")
    case, result, costs = CASES[name], CaseResult(), {}
    done = {run.label: (run, found) for run, found in zip(wanted, encoded, strict=True) if found.failure is None}
    for label, (run, _) in done.items():  # all of them before anything is measured, for the sake of the peak
        watch = _Stopwatch()
        with nnzip.open_archive(_archive(folder, name, run)) as archive:
            archive.dataset().load()
        costs[label] = watch.read()
    result.decode_peak_bytes = peak_bytes()
    for run, found in zip(wanted, encoded, strict=True):
        if found.failure is not None:
            result.runs[run.label] = Run(run.label, failure=found.failure)
            continue
        dataset = prepared(case, run, peer.per_level, data)
        original = channels(dataset, case)
        with nnzip.open_archive(_archive(folder, name, run)) as archive:
            decoded = channels(archive.dataset()[list(dataset.data_vars)], case)
            layers = sum(size for member, size in archive.reader.sizes().items() if member not in _METADATA)
        result.runs[run.label] = Run(
            run.label,
            found.bytes,
            found.bytes - layers,
            measure(original, decoded, latitudes(dataset), peer.p99),
            _violations(dataset, run, original, decoded),
            found.cost,
            costs[run.label],
        )
        result.source_bytes, result.differences = found.source_bytes, differences(original, peer)
    return result


def _violations(dataset: xr.Dataset, run: Wanted, original: Values, decoded: Values) -> int | None:
    """None where the run had no bound."""
    if run.bound is None:
        return None
    bounds = np.asarray(list(_bounds(dataset, run).values()))
    return violations(original, decoded, bounds if len(bounds) == len(original) else bounds.repeat(len(original)))


def _bounds(dataset: xr.Dataset, run: Wanted) -> dict[str | None, float]:
    """Variable -> absolute bound; several variables (levels) have one each, relative to their own range."""
    fraction = fraction_of_range(run.label)
    if len(dataset.data_vars) == 1 or fraction is None:
        return {str(name): run.bound or 0.0 for name in dataset.data_vars}
    ranges = {str(name): float(array.max()) - float(array.min()) for name, array in dataset.data_vars.items()}
    return {name: fraction * spread for name, spread in ranges.items()}


def _archive(folder: Path, name: str, run: Wanted) -> Path:
    kept = "".join(character if character.isalnum() else "_" for character in run.label)
    return folder / f"{name}_{kept}.nnz"

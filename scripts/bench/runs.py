"""One case compressed to one goal, decoded and measured; compression and decoding in processes of their own."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from bench.cases import Case, Values, channels, differences, latitudes, open_case, split_levels
from bench.errors import Errors, measure, violations
from bench.peers import PeerCase, fraction_of_range

if TYPE_CHECKING:
    import xarray as xr


class Wanted(msgspec.Struct, frozen=True):
    """One run: a ratio or an absolute bound; `extremes`: a promise beside it; `own`: the bound as a share of the range
    of each level."""

    label: str
    ratio: float | None = None
    bound: float | None = None
    extremes: str | None = None
    own: bool = False


class Cost(msgspec.Struct, frozen=True):
    """Seconds by the clock, and of the processor: the steadier figure on a machine that is shared; and peak memory of
    the process, in bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak: int = 0


class Run(msgspec.Struct, frozen=True):
    """What one run gave; `failure` alone where it was refused. `metadata`: bytes of the file that are no tiles."""

    bytes: int = 0
    metadata: int = 0
    source_bytes: int = 0
    errors: Errors | None = None
    violations: int | None = None
    encode: Cost = Cost()
    decode: Cost = Cost()
    failure: str | None = None


Results = dict[str, dict[str, Run]]
"""Runs by case and label."""


def run_case(
    case: Case, wanted: Sequence[Wanted], peer: PeerCase, data: Path, network: Path | None
) -> Iterator[tuple[str, Run]]:
    """Every run of a case with its label, as it is done. `network`: weights of the context network, instead of those of
    the package."""
    with tempfile.TemporaryDirectory() as folder, _process(network) as encoder, _process(network) as decoder:
        for run in wanted:
            archive, values = Path(folder) / "case.nnz", Path(folder) / "values.npy"
            encoded = encoder.submit(_encode, case, run, data, archive).result()
            if encoded.failure is None:
                encoded = msgspec.structs.replace(
                    encoded, decode=decoder.submit(_decode, case, run, data, archive, values).result()
                )
                encoded = _measured(encoded, case, run, peer, data, np.load(values))
            yield run.label, encoded


def _process(network: Path | None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), use_network, (network,))


def use_network(network: Path | None) -> None:
    """Code with these weights in this process, which has not coded anything."""
    from nnzip.coder import context_weights
    from nnzip.coder.volumes import plan_volume  # noqa: F401 (so that the first run's time does not hold the imports)

    if network is not None:
        context_weights.WEIGHTS_FILE = network


def timed(work: Callable[[], object]) -> Cost:
    """What `work` costs."""
    started = time.perf_counter(), time.process_time()
    work()
    seconds, processor = time.perf_counter() - started[0], time.process_time() - started[1]
    return Cost(seconds, processor, _peak())


def _peak() -> int:
    """Largest resident memory of this process so far, in bytes; 0 where the system does not say.

    Not getrusage's, which a new program keeps from the process that started it.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def opened(case: Case, run: Wanted, data: Path) -> xr.Dataset:
    """The dataset of a run: as it is, or one variable per level where every level has its own bound."""
    dataset = open_case(case, data)
    return split_levels(dataset, case) if run.own else dataset


def _encode(case: Case, run: Wanted, data: Path, archive: Path) -> Run:
    import nnzip

    dataset = opened(case, run, data)
    promises = () if run.extremes is None else (nnzip.parse_promise(f"extremes {run.extremes}"),)
    target = nnzip.Target(run.ratio, max_error=None if run.bound is None else dict(_bounds(dataset, run)))
    options = nnzip.Options(target, promises=promises)
    found: list[nnzip.CompressionResult] = []
    try:
        cost = timed(lambda: found.append(nnzip.compress(dataset, archive, options, overwrite=True)))
    except nnzip.NnzipError as error:
        return Run(failure=str(error))
    with nnzip.open_archive(archive) as opened_archive:
        tiles = sum(size for member, size in opened_archive.reader.sizes().items() if member[0].isdigit())
    return Run(found[0].file_bytes, found[0].file_bytes - tiles, found[0].source_bytes, encode=cost)


def _decode(case: Case, run: Wanted, data: Path, archive: Path, values: Path) -> Cost:
    import nnzip

    names = list(opened(case, run, data).data_vars)
    found: list[xr.Dataset] = []
    with nnzip.open_archive(archive) as opened_archive:
        cost = timed(lambda: found.append(opened_archive.dataset().load()))
    np.save(values, channels(found[0][names], case))
    return cost


def _measured(encoded: Run, case: Case, run: Wanted, peer: PeerCase, data: Path, decoded: Values) -> Run:
    dataset = opened(case, run, data)
    original = channels(dataset, case)
    other = differences(original, peer)
    if other:
        raise SystemExit(f"{case.files} is not the data of peers.json: {'; '.join(other)}")
    broken = None
    if run.bound is not None:
        bounds = np.array(list(_bounds(dataset, run).values()))
        broken = violations(original, decoded, np.broadcast_to(bounds, len(original)))
    errors = measure(original, decoded, latitudes(dataset), peer.p99)
    return msgspec.structs.replace(encoded, errors=errors, violations=broken)


def _bounds(dataset: xr.Dataset, run: Wanted) -> dict[str | None, float]:
    """Variable -> absolute bound."""
    if not run.own:
        return {str(name): run.bound or 0.0 for name in dataset.data_vars}
    share = fraction_of_range(run.label) or 0.0
    return {str(name): share * float(array.max() - array.min()) for name, array in dataset.data_vars.items()}

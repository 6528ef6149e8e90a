"""How fast archives are made and read, beside SZ3 and SPERR on the same arrays in the same run (hdf5plugin, h5py).

Medians of three runs on one core, in memory; then what each stage takes, the cost per value of growing data, and two
workers against one.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.cases import CASES, open_case
from bench.tables import Table

if TYPE_CHECKING:
    import xarray as xr

RUNS = 3
SAMPLE = ("t2m", "u10", "v10", "msl", "tp", "z", "sst")
GROWTH = (6, 24, 96, 384)
"""Hours of one variable of the sample: each four times the one before."""
STAGES = {
    "survey": ("nnzip.compress", "survey"),
    "choosing way and step on samples": ("nnzip.tile.bounded", "choose"),
    "coding": ("nnzip.tile.bounded", "_encode"),
    "decoding and comparing (a thread)": ("nnzip.compress", "check_piece"),
    "reading: coefficients": ("nnzip.tile.rest", "decode_volumes"),
    "reading: inverse wavelet": ("nnzip.tile.rest", "inverse"),
    "reading: scaling": ("nnzip.tile.decode", "Reconstruction.values"),
    "reading: corrections": ("nnzip.tile.decode", "read_corrections"),
}
"""Functions whose processor time is measured, callees included."""

Goals = dict[tuple[str, str], tuple["xr.Dataset", Any]]
"""Dataset and target by name and label."""

Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def speed_tables(data: Path) -> list[Table]:
    """Everything; about ten minutes on two quiet cores."""
    import nnzip

    sample = nnzip.make_sample(resolution=1.5, hours=48, step_hours=1, variables=list(SAMPLE)).load()
    levels = open_case(CASES["gfs_gh_6lev"], data).load()
    goals: Goals = {
        ("GFS heights, six levels", "1 m"): (levels, nnzip.Target(max_error="1")),
        ("GFS heights, six levels", "ratio 300"): (levels, nnzip.Target(ratio=300.0)),
        ("sample, 1.5 degrees", "tolerances"): (sample, nnzip.Target(max_error={})),
        ("sample, 1.5 degrees", "ratio 300"): (sample, nnzip.Target(ratio=300.0)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nnz"
        ours = [_ours(name, dataset, goal, path) for name, (dataset, goal) in goals.items()]
        stages = _stages(levels, nnzip.Target(max_error="1"), path)
        peers = [_peer(codec, levels, 1.0) for codec in ("SZ3", "SPERR")]
        efforts = _efforts(goals | _small(data), path)
        speed = Table("Speed on one core", COLUMNS, [*ours, *peers])
        return [speed, stages, _growth(path), _workers(levels, path), efforts]


def _small(data: Path) -> Goals:
    """Small cases, to show what efforts do."""
    import nnzip

    wanted = {"uk_t2m": "0.5", "global_t2m_2012": "0.05", "telangana_tp": "0.0001", "eastasia_u": "0.5"}
    return {
        (name, bound): (open_case(CASES[name], data).load(), nnzip.Target(max_error=bound))
        for name, bound in wanted.items()
    }


COLUMNS = (
    "data",
    "goal",
    "MB",
    "bytes",
    *(f"{verb} MB/s {of}" for verb in ("encode", "decode") for of in ("CPU", "wall")),
)


def timed(work: Callable[[], object], runs: int = RUNS) -> Seconds:
    """Medians over some runs."""
    found = []
    for _ in range(runs):
        started = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return median(wall for wall, _ in found), median(processor for _, processor in found)


def _ours(name: tuple[str, str], dataset: xr.Dataset, goal: Any, path: Path) -> tuple[str, ...]:
    import nnzip

    encode = timed(lambda: nnzip.compress(dataset, path, goal, overwrite=True))
    decode = timed(lambda: _load(path))
    return _row(name, dataset, path.stat().st_size, encode, decode)


def _peer(codec: str, dataset: xr.Dataset, bound: float) -> tuple[str, ...]:
    """The filter of hdf5plugin on each variable, [first dimensions together, lat, lon] in chunks of a map stack."""
    import h5py
    import hdf5plugin

    how = hdf5plugin.SZ3(absolute=bound) if codec == "SZ3" else hdf5plugin.Sperr(absolute=bound, swap=True)
    arrays = [array.to_numpy().astype("f4") for array in dataset.data_vars.values()]
    stacks = [array.reshape(-1, *array.shape[-3:]) for array in arrays]
    files: list[Any] = []

    def encode() -> None:
        files.append(h5py.File(f"{codec}{len(files)}.h5", "w", driver="core", backing_store=False))
        for number, stack in enumerate(stacks):
            files[-1].create_dataset(str(number), data=stack, chunks=(1, *stack.shape[1:]), **how)
        files[-1].flush()

    def decode() -> None:
        for number in files[-1]:
            files[-1][number][...]

    costs = timed(encode), timed(decode)
    size = sum(files[-1][number].id.get_storage_size() for number in files[-1])
    return _row((f"GFS heights, six levels: {codec}", f"{bound:g} m"), dataset, size, *costs)


def _stages(dataset: xr.Dataset, goal: Any, path: Path) -> Table:
    import nnzip

    seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    with _watched(seconds):
        encode = timed(lambda: nnzip.compress(dataset, path, goal, overwrite=True), 1)
        coding = dict(seconds)
        seconds.update(dict.fromkeys(seconds, 0.0))
        decode = timed(lambda: _load(path), 1)
    size = _bytes(dataset)
    copy = size / timed(lambda: np.empty(size // 4, dtype=np.float32).copy())[1]
    rows = [(name, f"{coding[name]:.2f}", f"{seconds[name]:.2f}") for name in STAGES]
    rows += [("everything", f"{encode[1]:.2f}", f"{decode[1]:.2f}"), ("copying the values", f"{size / copy:.2f}", "")]
    title = (
        f"GFS heights at 1 m, seconds of the processor ({size / 1e6:.0f} MB; memory is copied at {copy / 1e9:.1f} GB/s)"
    )
    return Table(title, ("stage", "compressing", "reading"), rows)


@contextmanager
def _watched(seconds: dict[str, float]) -> Iterator[None]:
    """Inside, the functions of STAGES add their thread's processor time."""
    places = {stage: _place(module, name) for stage, (module, name) in STAGES.items()}
    before = {stage: getattr(owner, name) for stage, (owner, name) in places.items()}

    def measured(stage: str) -> Callable[..., Any]:
        def work(*arguments: Any, **options: Any) -> Any:
            started = time.thread_time()
            try:
                return before[stage](*arguments, **options)
            finally:
                seconds[stage] += time.thread_time() - started

        return work

    for stage, (owner, name) in places.items():
        setattr(owner, name, measured(stage))
    try:
        yield
    finally:
        for stage, (owner, name) in places.items():
            setattr(owner, name, before[stage])


def _place(module: str, name: str) -> tuple[object, str]:
    """The module, or the class in it, that holds a function, and its name there."""
    *owners, last = name.split(".")
    found: object = importlib.import_module(module)
    for owner in owners:
        found = getattr(found, owner)
    return found, last


def _growth(path: Path) -> Table:
    import nnzip

    rows, goal = [], nnzip.Target(max_error={})
    for hours in GROWTH:
        dataset = nnzip.make_sample(resolution=1.5, hours=hours, step_hours=1, variables=["t2m"]).load()
        encode = timed(partial(nnzip.compress, dataset, path, goal, overwrite=True))
        decode, values = timed(lambda: _load(path)), _bytes(dataset) / 4
        each = (f"{1e9 * cost[1] / values:.0f}" for cost in (encode, decode))
        rows.append((f"{hours // GROWTH[0]}x", f"{values:,.0f}", *each))
    return Table("Processor time per value as data grow", ("t2m", "values", "encode ns", "decode ns"), rows)


def _workers(dataset: xr.Dataset, path: Path) -> Table:
    import nnzip

    goal, target, rows = nnzip.Target(max_error="1"), path.with_suffix(".nc"), []
    works: dict[str, Callable[..., object]] = {
        "compress": partial(nnzip.compress, dataset, path, goal, overwrite=True),
        "decompress": partial(nnzip.decompress, path, target, overwrite=True),
    }
    for verb, work in works.items():
        with _one_core():
            alone = timed(work)[0]
        (one, processor), (two, both) = (timed(partial(work, jobs=jobs)) for jobs in (1, 2))
        rows.append((verb, *(f"{each:.2f}" for each in (alone, one, two, alone / two, processor, both))))
    columns = (
        "one core, s",
        "one job, s",
        "two jobs, s",
        "times as fast as one core",
        "one job, CPU s",
        "two jobs, CPU s",
    )
    return Table("Two workers", ("GFS heights at 1 m", *columns), rows)


@contextmanager
def _one_core() -> Iterator[None]:
    """Inside, this process has one core: with more, even one job checks a tile while it codes the next."""
    cores = os.sched_getaffinity(0)
    threads = [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
    for thread in threads:
        os.sched_setaffinity(thread, {min(cores)})
    try:
        yield
    finally:
        for thread in threads:
            os.sched_setaffinity(thread, cores)


def _efforts(goals: Goals, path: Path) -> Table:
    import nnzip

    rows = []
    for (name, label), (dataset, goal) in goals.items():
        for effort in ("fast", "normal", "best"):
            work = partial(nnzip.compress, dataset, path, nnzip.Options(goal, effort=effort), overwrite=True)
            rate = _bytes(dataset) / 1e6 / timed(work)[1]
            rows.append((name, label, effort, f"{rate:.1f}", f"{path.stat().st_size:,}"))
    return Table("Efforts", ("data", "goal", "effort", "encode MB/s CPU", "bytes"), rows)


def _load(path: Path) -> None:
    import nnzip

    with nnzip.open_archive(path) as archive:
        archive.dataset().load()


def _bytes(dataset: xr.Dataset) -> int:
    """As float32."""
    return 4 * sum(array.size for array in dataset.data_vars.values())


def _row(name: tuple[str, str], dataset: xr.Dataset, size: int, encode: Seconds, decode: Seconds) -> tuple[str, ...]:
    megabytes = _bytes(dataset) / 1e6
    rates = (f"{megabytes / seconds:.1f}" for cost in (encode, decode) for seconds in reversed(cost))
    return (*name, f"{megabytes:.0f}", f"{size:,}", *rates)

"""The recipe from an archive to a file: choose a part, on its own grid, another one or at places; write it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.atomic import require_distinct
from nnzip.data.bytefile import PathText, is_url, place
from nnzip.data.selection import Times, subset
from nnzip.data.stations import read_stations
from nnzip.data.target_grid import grid_of, regular_grid
from nnzip.data.writing import Storage, write_dataset
from nnzip.errors import TooLargeError, UsageError
from nnzip.executor import workers
from nnzip.instants import at_instants, parse_instants
from nnzip.progress import Progress, ProgressCallback, report_to
from nnzip.read import Archive
from nnzip.series import series_at
from nnzip.storage import packings, with_rounding
from nnzip.version import __version__

if TYPE_CHECKING:
    from distributed import Client

_MOST_TIMES_LARGER = 100  # than the archive's own grid


def decompress(
    path: PathText,
    output: PathText,
    *,
    variables: Sequence[str] | None = None,
    time: Times | None = None,
    bbox: str | Sequence[float] | None = None,
    level: str | float | Sequence[float] | None = None,
    points: PathText | None = None,
    grid: float | None = None,
    like: PathText | None = None,
    preview: int = 1,
    packed: bool = False,
    compression: str = "zlib:1",
    chunks: Mapping[str, int] | None = None,
    large: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    jobs: int = 1,
    executor: Executor | Client | None = None,
    progress: ProgressCallback | None = None,
) -> Path | str:
    """Write an archive, or a part of it, as NetCDF or Zarr (by the suffix of `output`), on its own grid or another.

    `time`, `bbox` and `level`: see `Archive.select`, of a network `time` is also any instants, "2016-10-05T12:20,..";
    `points`: a CSV file of places (`data.stations`), whose series are
    written as CF discrete sampling geometry; `grid`: degrees; `like`: a file whose latitudes and longitudes to use;
    `preview`: see `Archive`. `packed`: 16-bit integers where the bound holds all the same (`storage`); `compression`,
    `chunks`: see `Storage`; `large`: also more than the disk has room for, or 100 times the archive's own values;
    `jobs`: threads that decode and write; `executor`: decodes tiles ahead of the writing, as in `compress`.

    Raises UsageError for a selection outside the data or an existing output, CorruptArchiveError, ResourceError.
    Memory: some tiles for each of the jobs, and the series of `points`.
    """
    others = [file for file in (like, points) if file is not None]
    if (grid is not None) + len(others) + (points is not None and bbox is not None) > 1:
        raise UsageError("a grid, a file like it and points (which go without an area) exclude each other: give one")
    require_distinct([path, *others], output)
    report = report_to(progress)
    with ExitStack() as opened:
        team = opened.enter_context(workers(min(jobs, 1) if executor is None else jobs, executor))
        archive = opened.enter_context(Archive(path, device, preview, team))
        own, kind = archive.dataset(), "lossy: see nnzip_rmse of each variable"
        target = None
        if grid is not None or like is not None:
            target = _regular_grid(archive, grid) if like is None else grid_of(like)
        instants = None
        if isinstance(time, str) and points is None and any(v.network for v in archive.manifest.variables.values()):
            instants = parse_instants(time)
        if instants is not None:
            dataset = subset(at_instants(archive, instants, target, variables), None, None, bbox, level)
            kind = "a network, between the points of its record: no error bound holds"
        elif points is not None:
            stations = read_stations(points)
            dataset = series_at(archive, stations, variables, time, level, lambda share: report("decoding", share))
            kind = "lossy, and interpolated to places"
        elif target is not None:
            dataset = subset(archive.regrid(*target, variables), None, time, bbox, level)
            kind = "lossy, and interpolated to another grid: no error bound holds"
        else:
            dataset = archive.select(variables, time, bbox, level)
        if preview > 1:
            kind = f"a preview, every {preview}th row and column: no error bound holds"
        dataset = dataset.assign_attrs(history=_history(dataset, Path(path), kind))
        if not large and not is_url(output):
            _require_room(dataset, own, Path(output))
        stored, added = packings(archive, dataset, packed=packed)
        dataset = dataset.assign({name: with_rounding(dataset[name], more) for name, more in added.items()})
        archive.tiles.watch = _counter(dataset, progress)
        threads = jobs if executor is None else 1
        write_dataset(dataset, output, overwrite, Storage(compression, dict(chunks or {}), stored), threads)
    report("writing", 1.0)
    return place(output)


def _counter(dataset: xr.Dataset, progress: ProgressCallback | None) -> Callable[[int], None]:
    """Reports the share of the values that have been decoded and, as that is piece by piece, written."""
    total, done = sum(variable.size for variable in dataset.data_vars.values()), 0
    one_at_a_time = threading.Lock()

    def count(values: int) -> None:
        nonlocal done
        with one_at_a_time:
            done += values
            if progress is not None:
                progress(Progress("decoding", min(done / max(total, 1), 1.0), source_bytes=4 * done))

    return count


def _require_room(dataset: xr.Dataset, own: xr.Dataset, output: Path) -> None:
    """Raise TooLargeError for output beyond the free disk, or far beyond the archive's own values."""
    values, archived = (sum(variable.size for variable in each.data_vars.values()) for each in (dataset, own))
    agree = "choose less (--variables, --time, --bbox, a coarser --grid), or agree with --yes"
    if values > _MOST_TIMES_LARGER * archived:
        raise TooLargeError(
            f"{output.name} would hold {values / archived:.0f} times the archive's {archived} values, all of the "
            f"rest interpolated: {agree}"
        )
    free = shutil.disk_usage(output.absolute().parent).free
    if dataset.nbytes > free:
        raise TooLargeError(
            f"{output.name} would take up to {dataset.nbytes / 1e9:.3g} GB, and {free / 1e9:.3g} GB of that disk are "
            f"free: {agree}"
        )


def _regular_grid(archive: Archive, spacing: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if spacing is None or not spacing > 0:
        raise UsageError(f"a grid of {spacing} degrees: the spacing is a positive number")
    for grid in archive.grids:
        if grid.latitude.geographic and grid.longitude.geographic:
            return regular_grid(grid.latitude.values, grid.longitude.values, spacing, grid.longitude.periodic)
    raise UsageError("the archive has no variable on regular latitudes and longitudes: leave out --grid")


def _history(dataset: xr.Dataset, path: Path, kind: str) -> str:
    """The dataset's history with a line of ours on top, as CF recommends."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    line = f"{now} nnzip {__version__} decompressed {path.name} ({kind})"
    before = dataset.attrs.get("history")
    return line if before is None else f"{line}\n{before}"

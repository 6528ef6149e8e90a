#!/usr/bin/env python
"""Take every data file of DATA_DIR, and sets of them, through the command line and compare what comes back.

    python scripts/roundtrip.py ../shared/data

Per file: compress --ratio 100, verify, info, decompress. Dimensions, coordinates, attributes (plus ours), missing
values and losslessly kept variables must be equal, errors within what the file says, `ncdump -h` clean.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from roundtrip_compare import compare, header_problems

SUFFIXES = (".nc", ".grib", ".grb", ".grib2", ".zarr")
SETS = (
    "era5_wuv_pl_eastasia_*.grib",
    "ostia_sst_global_0.25_*.nc",
    "gfs/gfs_gh_500hPa_*.grib",
    "gfs/gfs_msl_*.grib",
    "gfs/gfs_gh_*.grib",
    "gfs/*.grib",
)
"""Files that belong together (globs below the directory); a set of which fewer than two files are there is left out."""


@dataclass
class Trip:
    """What became of one input: seconds and exit codes by command, the sizes, everything that is not as it was."""

    name: str
    files: int
    source_bytes: int
    archive_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def main() -> int:
    """Make every trip and print the table. Returns 1 when anything was not as it should be, else 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("--only", default="*", help="a pattern of names below the directory (default: all)")
    parser.add_argument("--ratio", default="100", help="(default: %(default)s)")
    parser.add_argument("--effort", default="normal", choices=("fast", "normal", "best"))
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(options.threads), MKL_NUM_THREADS=str(options.threads))
    trips = []
    for name, files in inputs(options.data, options.only):
        with tempfile.TemporaryDirectory() as folder:
            trip = make_trip(name, files, Path(folder), ["--ratio", options.ratio, "--effort", options.effort])
        trips.append(trip)
        sys.stderr.write(f"{name}: {len(trip.problems) or 'no'} problems\n")
    Console(width=None if sys.stdout.isatty() else 200).print(table(trips))
    for trip in trips:
        for problem in trip.problems:
            print(f"{trip.name}: {problem}")
    return int(any(trip.problems for trip in trips))


def inputs(data: Path, only: str) -> list[tuple[str, list[Path]]]:
    """Every data file below the directory, then the sets, by name."""
    files = sorted(path for path in data.rglob("*") if path.suffix in SUFFIXES)
    found = [(str(path.relative_to(data)), [path]) for path in files]
    found += [(pattern, sorted(data.glob(pattern))) for pattern in SETS if len(list(data.glob(pattern))) > 1]
    return [(name, paths) for name, paths in found if name == only or fnmatch.fnmatch(name, only)]


def make_trip(name: str, files: list[Path], folder: Path, options: list[str]) -> Trip:
    """One input through compress, verify, info and decompress, compared with itself."""
    trip = Trip(name, len(files), sum(path.stat().st_size for path in files))
    archive, back = folder / "a.nnz", folder / "back.nc"
    commands = {
        "compress": ["compress", *map(str, files), "-o", str(archive), *options],
        "verify": ["verify", str(archive)],
        "info": ["info", str(archive)],
        "decompress": ["decompress", str(archive), "-o", str(back)],
    }
    for command, arguments in commands.items():
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "nnzip", *arguments], capture_output=True, text=True, check=False)
        trip.seconds[command] = time.perf_counter() - started
        if done.returncode:
            trip.problems.append(
                f"{command} exits with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
            return trip
        if "Traceback" in done.stderr or "Warning" in done.stderr:
            trip.problems.append(f"{command} says {done.stderr.strip()}")
    trip.archive_bytes = archive.stat().st_size
    known = header_problems(files[0]) if files[0].suffix == ".nc" else []
    found = [text for text in header_problems(back) if text not in known or "_FillValue" not in text]
    trip.problems += compare(files, back) + found
    return trip


def table(trips: list[Trip]) -> Table:
    """One row per input."""
    found = Table(title="Round trips through the command line", title_justify="left", header_style="bold")
    columns = (
        "input",
        "files",
        "source MB",
        "archive bytes",
        "compress s",
        "verify s",
        "info s",
        "decompress s",
        "problems",
    )
    for index, column in enumerate(columns):
        found.add_column(column, justify="right" if index else "left")
    for trip in trips:
        seconds = [
            f"{trip.seconds[c]:.1f}" if c in trip.seconds else "–" for c in ("compress", "verify", "info", "decompress")
        ]
        cells = (trip.name, str(trip.files), f"{trip.source_bytes / 1e6:.1f}", f"{trip.archive_bytes:,}", *seconds)
        found.add_row(*cells, f"[bold red]{len(trip.problems)}[/]" if trip.problems else "0")
    return found


if __name__ == "__main__":
    sys.exit(main())

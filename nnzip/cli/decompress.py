"""`nnzip decompress`: an archive, or the part of it that is asked for, to NetCDF or Zarr on any grid."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated

import typer

from nnzip.cli import options, places
from nnzip.cli.lean import spare_imports
from nnzip.cli.outputs import check_dataset
from nnzip.cli.terminal import session
from nnzip.errors import TooLargeError, UsageError
from nnzip.report import numbers

PLACES, STORAGE = "Where: on the source's grid, or", "How numbers are stored"
_SMALL = 1 << 23  # values of a variable that is written at once, without dask

EXAMPLES = (
    "nnzip decompress era5.nnz",
    "nnzip decompress era5.nnz --variables t2m --time 2016-10 --bbox 35,60,-10,30",
    "nnzip decompress era5.nnz --points stations.csv -o series.nc",
    "nnzip decompress era5.nnz -o era5.zarr --chunks time=24 --compression zstd",
)


def decompress(
    archive: options.Archive,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=options.MESSAGES,
            help="What to write: .nc, .zarr or .zarr.zip, a URL too; - is NetCDF. (default: the archive with .nc)",
        ),
    ] = None,
    variables: options.Variables = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=options.SELECTION,
            help="Only these times: 2016-10-05, 2016-10-05T06, or an inclusive range A/B; of a network also any "
            "instants: 2016-10-05T12:20,2016-10-05T12:40. (default: all)",
        ),
    ] = None,
    bbox: options.Bbox = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVELS",
            rich_help_panel=options.SELECTION,
            help="Only these levels: 500,850, in the data's units or as 500hPa. (default: all)",
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            rich_help_panel=PLACES,
            help="Series at the places of a file with the columns name,latitude,longitude, linear between grid points.",
        ),
    ] = None,
    grid: Annotated[
        float | None,
        typer.Option(metavar="DEGREES", rich_help_panel=PLACES, help="Interpolate to a regular grid of this spacing."),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=PLACES, help="Interpolate to the grid of this file.")
    ] = None,
    preview: Annotated[
        int,
        typer.Option(
            metavar="2|4|8",
            rich_help_panel=PLACES,
            help="Only every 2nd, 4th or 8th row and column, smoothed; no bound holds. (default: all)",
            show_default=False,
        ),
    ] = 1,
    packed: Annotated[
        bool,
        typer.Option(
            "--packed",
            rich_help_panel=STORAGE,
            help="16-bit integers with a scale and an offset, of each variable whose bound that keeps.",
        ),
    ] = False,
    compression: Annotated[
        str, typer.Option(metavar="CODEC", rich_help_panel=STORAGE, help="zlib:1 to zlib:9, zstd[:1-22] or none.")
    ] = "zlib:1",
    chunks: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTHS",
            rich_help_panel=STORAGE,
            help="Chunks: time=24,latitude=181; other dimensions whole. (default: from the shape)",
        ),
    ] = None,
    device: options.DeviceOption = options.Device.AUTO,
    jobs: options.Jobs = 1,
    scheduler: options.Scheduler = None,
    force: options.Force = False,
    yes: options.Yes = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Decompress to the source's grid, to another one, or to series at places."""
    with (
        session(quiet=quiet, verbose=verbose) as terminal,
        places.destination(output, archive, ".nc") as path,
        places.source(archive) as source,
    ):
        names = options.parse_variables(variables)
        lengths = {} if chunks is None else options.parse_lengths("--chunks", chunks)
        if grid is not None and not 0 < grid <= 90:
            raise UsageError(f"--grid {grid:g}: the spacing lies between 0 and 90 degrees")
        from nnzip.container.reader import ArchiveReader

        reader = ArchiveReader(source)  # is it one? only then does its name count
        reader.close()
        plain = jobs == 1 and scheduler is None and grid is None and like is None and points is None
        if plain and prod(reader.manifest.dims.values()) <= _SMALL:
            spare_imports()
        inputs = [source, *(file for file in (like, points) if file is not None)]
        check_dataset(path, inputs=inputs, overwrite=force)
        from time import perf_counter

        from nnzip.decompress import decompress as run
        from nnzip.integrations.cluster import connected

        def written(large: bool) -> None:
            with connected(scheduler) as client, terminal.progress() as progress:
                run(
                    source,
                    path,
                    variables=names,
                    time=time,
                    bbox=bbox,
                    level=level,
                    points=points,
                    grid=grid,
                    like=like,
                    preview=preview,
                    packed=packed,
                    compression=compression,
                    chunks=lengths,
                    large=large,
                    overwrite=force,
                    device=device.value,
                    jobs=jobs,
                    executor=client,
                    progress=progress,
                )

        start = perf_counter()
        try:
            written(yes)
        except TooLargeError as error:
            if not terminal.agrees(str(error)):
                raise
            written(True)
        size = places.size_of(path)
        terminal.message(f"{path}: {numbers.file_size(size)} in {numbers.duration(perf_counter() - start)}")

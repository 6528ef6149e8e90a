"""`nnzip decompress`: an archive, or the part of it that is asked for, to NetCDF or Zarr on any grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnzip.cli import options
from nnzip.cli.outputs import check_dataset
from nnzip.cli.terminal import session
from nnzip.errors import UsageError
from nnzip.report import numbers


def decompress(
    archive: Annotated[Path, typer.Argument(help="Archive written by `nnzip compress`.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .nc, .zarr or .zarr.zip. (default: the archive with .nc)"),
    ] = None,
    variables: options.Variables = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Only these times: 2016-10-05, 2016-10-05T06, or a range A/B with both ends; of a network also any "
            "instants: 2016-10-05T12:20,2016-10-05T12:40.",
            metavar="TIME",
        ),
    ] = None,
    bbox: options.Bbox = None,
    grid: Annotated[
        float | None, typer.Option(help="Interpolate to a regular grid of this spacing.", metavar="DEGREES")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Interpolate to the grid of this file.")] = None,
    preview: Annotated[
        int, typer.Option(help="Only every 2nd, 4th or 8th row and column, smoothed; no bound holds.", metavar="2|4|8")
    ] = 1,
    device: options.DeviceOption = options.Device.AUTO,
    jobs: options.Jobs = 1,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Decompress to the source's grid, or interpolate to another one."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        names = options.parse_variables(variables)
        if grid is not None and not 0 < grid <= 90:
            raise UsageError(f"--grid {grid:g}: the spacing lies between 0 and 90 degrees")
        if grid is not None and like is not None:
            raise UsageError("--grid and --like both name a grid: give one of them")
        path = output or options.default_output(archive, ".nc")
        from nnzip.container.reader import ArchiveReader

        ArchiveReader(archive).close()  # is it one? only then does its name count
        check_dataset(path, inputs=[archive, *([] if like is None else [like])], overwrite=force)
        from time import perf_counter

        from nnzip.read import decompress as run

        start = perf_counter()
        with terminal.progress() as progress:
            run(
                archive,
                path,
                variables=names,
                time=time,
                bbox=bbox,
                grid=grid,
                like=like,
                overwrite=force,
                device=device.value,
                preview=preview,
                jobs=jobs,
                progress=progress,
            )
        size = sum(part.stat().st_size for part in [path, *path.rglob("*")] if part.is_file())
        terminal.message(f"{path}: {numbers.file_size(size)} in {numbers.duration(perf_counter() - start)}")
